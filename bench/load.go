package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// A request is text as it goes over the wire, with {host}, the server's, {token}, {uuid},
// {ip} and {agent} of a session that is chosen anew each time, the peer's {record} of that
// number, and {n}, a number never used before.
type request string

func get(path string, headers ...string) request {
	all := append([]string{"GET " + path + " HTTP/1.1", "Host: " + authHost, "User-Agent: {agent}"}, headers...)
	return request(strings.Join(all, "\r\n") + "\r\n\r\n")
}

// of is the request of session number i.
func (r request) of(i int, s shape, n int64) string {
	return strings.NewReplacer("{token}", token(i), "{uuid}", sessionUUID(i).String(), "{ip}", address(i),
		"{agent}", agent(agentOf(i, s.agents)), "{record}", fmt.Sprintf("bench%010d", i), "{n}", fmt.Sprint(n)).Replace(string(r))
}

// lua is a script for wrk that sends the request for sessions up to spread, chosen
// by chance, or one after another, from where so many were asked for, to warm up. It makes
// the texts that data.go does.
func (r request) lua(s shape, spread int, inTurn bool, asked int) string {
	text := strings.NewReplacer("\r", `\r`, "\n", `\n`, `"`, `\"`,
		"{token}", `" .. string.format("bench-token-%08d", i) .. "`,
		"{uuid}", `" .. string.format("%08d-0000-4000-8000-%012d", i * 48271 % 100000000, i) .. "`,
		"{ip}", `" .. string.format("86.%d.%d.%d", 128 + i % 16, math.floor(i / 16) % 256, math.floor(i / 4096) % 256) .. "`,
		"{record}", `" .. string.format("bench%010d", i) .. "`,
		"{agent}", `" .. agents[agentOf(i)] .. "`,
		"{n}", `" .. seed .. k .. "`).Replace(string(r))
	choose := fmt.Sprintf("math.random(%d)", spread)
	if inTurn {
		choose = fmt.Sprintf("(k * 2 + id + %d) %% %d + 1", asked, spread)
	}
	var agents strings.Builder
	for i := range s.agents {
		fmt.Fprintln(&agents, agent(i))
	}
	return fmt.Sprintf(`
local threads = 0
function setup(thread) thread:set("id", threads); thread:set("seed", %d * 10 + threads); threads = threads + 1 end
function init() math.randomseed(seed) end
local agents, count = {}, 0
for line in ([[
%s]]):gmatch("[^\n]+") do agents[count] = line; count = count + 1 end -- as constants they would be too many
local function agentOf(i)
	local x = i * 7919 %% 100000 / 100000
	return math.floor(x * x * x * %d)
end
local k = 0
function request()
	k = k + 1
	local i = %s
	return "%s"
end
function done(summary, latency)
	local e = summary.errors
	io.write(string.format("result %%d %%d %%d %%d %%d %%d %%d\n", summary.requests, summary.duration,
		latency:percentile(50), latency:percentile(99), e.status, e.connect + e.read + e.write, e.timeout))
end
`, time.Now().UnixNano()%1e9, &agents, s.agents, choose, text)
}

// Figures are what one round of load gave.
type figures struct {
	PerSecond float64 // requests
	CPU       float64 // microseconds of the server's processor time per request
	P50, P99  float64 // milliseconds
}

// usual is how many connections saturate drives a server with if nothing else is said.
const usual = 32

// saturate drives a server as hard as so many connections can.
func saturate(ctx context.Context, p *process, c throughput, inTurn bool, d time.Duration) (s figures, err error) {
	r := request(strings.ReplaceAll(string(c.request), "{host}", p.host))
	script := filepath.Join(os.TempDir(), fmt.Sprintf("lastseen-bench-%d.lua", os.Getpid()))
	if err := os.WriteFile(script, []byte(r.lua(p.data, c.spread, inTurn, p.asked)), 0o600); err != nil {
		return s, err
	}
	defer os.Remove(script)
	before, err := p.cpu()
	if err != nil {
		return s, err
	}
	out, err := exec.CommandContext(ctx, "wrk", fmt.Sprintf("-t%d", min(2, c.connections)), fmt.Sprintf("-c%d", c.connections), "--latency", "-d", fmt.Sprint(int(d.Seconds()))+"s", "-s", script, "http://"+p.address).Output()
	if err != nil {
		return s, fmt.Errorf("wrk: %w: %s", err, out)
	}
	after, err := p.cpu()
	if err != nil {
		return s, err
	}
	var requests, micros, p50, p99, refused, broken, late int64
	_, result, _ := strings.Cut(string(out), "\nresult ")
	if _, err := fmt.Sscan(result, &requests, &micros, &p50, &p99, &refused, &broken, &late); err != nil || requests == 0 {
		return s, fmt.Errorf("wrk said: %s", out)
	}
	if c.refused {
		refused = requests - refused
	}
	if inTurn {
		p.asked += int(requests)
	}
	if refused+broken > 0 { // those answered after two seconds count in p99
		return s, fmt.Errorf("of %d requests %d were answered otherwise and %d connections broke: %.200q", requests, refused, broken, r.of(1, p.data, 1))
	}
	return figures{
		PerSecond: float64(requests) / float64(micros) * 1e6,
		CPU:       float64((after - before).Microseconds()) / float64(requests),
		P50:       float64(p50) / 1000, P99: float64(p99) / 1000,
	}, nil
}

// oneByOne sends requests over one connection, each after the answer to the
// one before, and takes the time of each.
func oneByOne(p *process, r request, count int) (s figures, err error) {
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		return s, err
	}
	defer conn.Close()
	reader := bufio.NewReader(conn)
	var times []time.Duration
	var before time.Duration
	began := time.Now()
	for i := -3; i < count; i++ { // the first few warm up
		if i == 0 {
			began = time.Now()
			if before, err = p.cpu(); err != nil {
				return s, err
			}
		}
		sent := time.Now()
		if _, err := io.WriteString(conn, r.of((i+3)*7919%p.data.sessions+1, p.data, sent.UnixNano())); err != nil {
			return s, err
		}
		resp, err := http.ReadResponse(reader, nil)
		if err != nil {
			return s, err
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return s, err
		}
		if resp.StatusCode >= 400 {
			return s, fmt.Errorf("%s: %.200q", resp.Status, r.of(1, p.data, 1))
		}
		if i >= 0 {
			times = append(times, time.Since(sent))
		}
	}
	took := time.Since(began)
	after, err := p.cpu()
	slices.Sort(times)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return figures{
		PerSecond: float64(count) / took.Seconds(),
		CPU:       float64((after - before).Microseconds()) / float64(count),
		P50:       ms(times[count/2]), P99: ms(times[count*99/100]),
	}, err
}

// answer is what a server says to a request, as it goes over the wire: 200, or the 401
// of the gate.
func answer(p *process, r request) (fixed fixedAnswer, err error) {
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		return fixed, err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, r.of(1, p.data, 1)); err != nil {
		return fixed, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return fixed, err
	}
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusUnauthorized {
		err = errors.Join(err, fmt.Errorf("%s: %s", resp.Status, body))
	}
	resp.Header.Del("Content-Length")
	resp.Header.Del("Date")
	return fixedAnswer{resp.StatusCode, resp.Header, body}, err
}

// A flow is a request that comes at a steady rate, whether or not the earlier
// ones were answered. Each of its sessions comes once when once is set.
type flow struct {
	request request
	rate    int // a second
	first   int // the first of its sessions
	spread  int
	once    bool
}

// steady sends flows side by side, and says how the first one fared.
func steady(p *process, d time.Duration, flows ...flow) (s figures, err error) {
	failed := make(chan error, len(flows))
	results := make(chan figures, 1)
	for i, f := range flows {
		go func() {
			var m vegeta.Metrics
			n := 0
			attacker := vegeta.NewAttacker(vegeta.KeepAlive(true), vegeta.Redirects(vegeta.NoFollow))
			for res := range attacker.Attack(func(t *vegeta.Target) error {
				n++
				session := f.first + n%f.spread
				if f.once && n >= f.spread {
					return errors.New("no session is left")
				}
				return target(t, p.address, f.request.of(session, p.data, int64(n)))
			}, vegeta.ConstantPacer{Freq: f.rate, Per: time.Second}, d, "") {
				m.Add(res)
			}
			m.Close()
			if i == 0 {
				results <- figures{PerSecond: m.Rate, P50: float64(m.Latencies.P50.Microseconds()) / 1000, P99: float64(m.Latencies.P99.Microseconds()) / 1000}
			}
			var err error
			if m.Success < 1 {
				err = fmt.Errorf("of %.60q %.2f%% failed: %v %v", f.request, 100-100*m.Success, m.StatusCodes, m.Errors)
			}
			failed <- err
		}()
	}
	for range flows {
		err = errors.Join(err, <-failed)
	}
	return <-results, err
}

func target(t *vegeta.Target, address, text string) error {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		return err
	}
	t.Method, t.URL, t.Header = r.Method, "http://"+address+r.RequestURI, r.Header
	t.Header.Set("Host", r.Host)
	return nil
}
