// Bench measures a built lastseen beside a floor: a bare net/http server that
// answers the same bytes, in turn within one run, so that a noisy machine
// troubles both alike. It needs Linux and wrk.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lastseen/db/pgtest"
)

const (
	authHost = "auth.bench.example"
	browser  = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	username = "bench"
	gatePath = "/outpost.goauthentik.io/auth/nginx"
	apiPath  = "/api/v3/core/authenticated_sessions/"
)

// A bench is one run.
type bench struct {
	ctx      context.Context
	binary   string
	cache    string // where generated data is kept
	work     string // removed at the end
	rounds   int
	duration time.Duration
	report   report

	password, key string // of the superuser who asks

	postgres  *pgtest.Server // nil: SQLite
	databases int            // made there
	database  string         // the URL of what is served last
}

func main() {
	binary := flag.String("binary", "../bin/lastseen", "the `file` to measure")
	cacheDir, _ := os.UserCacheDir()
	cache := flag.String("cache", filepath.Join(cacheDir, "lastseen-bench"), "the `folder` that keeps generated data")
	jsonFile := flag.String("json", "", "write the figures to a `file` too")
	quick := flag.Bool("quick", false, "within two minutes: 100,000 sessions, short rounds")
	sizes := flag.String("growth", "", "measure only growth, over these `numbers` of sessions: 1000,100000")
	store := flag.String("store", "sqlite", "what is served from: sqlite or postgres")
	peer := flag.String("peer", "", "measure beside PocketBase too: the `file` built from peer/")
	flag.Parse()
	if flag.Arg(0) == "floor" { // we serve as the floor of another run
		exitOn(serveFloor(flag.Arg(1), flag.Arg(2), flag.Arg(3), flag.Arg(4)))
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	work, err := os.MkdirTemp("", "lastseen-bench-")
	exitOn(err)
	b := &bench{ctx: ctx, binary: *binary, cache: *cache, work: work, rounds: 7, duration: 2 * time.Second} // many: the machine's speed changes within seconds
	if *quick {
		b.rounds, b.duration = 3, time.Second
	}
	stopPostgres := func() {}
	switch *store {
	case "sqlite":
	case "postgres":
		stopPostgres, err = b.startPostgres()
	default:
		err = fmt.Errorf("-store is sqlite or postgres, not %s", *store)
	}
	exitOn(err)
	switch {
	case *sizes != "":
		b.rounds = 3
		err = b.growth(*sizes)
	case *quick && b.postgres == nil:
		err = errors.Join(b.behind(), b.signIns(), b.binarySize(), b.requests(shapeOf(100_000), true), b.lists(100_000), b.starts("an empty database", 0))
	case *quick:
		err = errors.Join(b.requests(shapeOf(100_000), true), b.lists(100_000))
	case b.postgres != nil:
		err = errors.Join(b.requests(shapeOf(100_000), true), b.requests(shapeOf(1_000_000), true), b.lists(1_000_000), b.mixed(100_000))
	default:
		err = errors.Join(b.behind(), b.signIns(), b.binarySize(), b.requests(shapeOf(100_000), false), b.requests(shapeOf(1_000_000), false), b.lists(1_000_000), b.mixed(100_000),
			b.starts("an empty database", 0), b.starts("a million sessions", 1_000_000))
	}
	if *peer != "" {
		err = errors.Join(err, b.peer(*peer, 100_000))
	}
	stopPostgres()
	err = errors.Join(err, os.RemoveAll(work))
	b.report.print(os.Stdout)
	if *jsonFile != "" {
		text, _ := json.MarshalIndent(b.report, "", "\t")
		err = errors.Join(err, os.WriteFile(*jsonFile, append(text, '\n'), 0o644))
	}
	exitOn(err)
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// serve starts ours on a copy of the data of a shape, with a superuser to ask as.
func (b *bench) serve(s shape) (*process, error) {
	dir, err := os.MkdirTemp(b.work, "data-")
	if err != nil {
		return nil, err
	}
	if s.sessions > 0 {
		from, err := data(b.ctx, b.cache, s)
		if err != nil {
			return nil, err
		}
		if err := copyData(from, dir); err != nil {
			return nil, err
		}
	}
	if b.postgres != nil {
		if b.database, err = b.moveData(dir); err != nil {
			return nil, err
		}
	}
	if err := b.createUser(dir); err != nil {
		return nil, err
	}
	p, err := b.start(dir)
	if err == nil {
		p.data = s
	}
	return p, err
}

func (b *bench) start(dir string) (*process, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	return start(b.ctx, address, "/-/health/live/", b.binary, "serve", "--data", dir, "--listen", address,
		"--public-url", "http://"+authHost, "--cookie-domain", "bench.example", "--trusted-proxies", "127.0.0.1", "--database", b.database)
}

func (b *bench) createUser(dir string) error {
	b.password = rand.Text()
	create := exec.CommandContext(b.ctx, b.binary, "user", "create", username, "--superuser", "--password-file", "-", "--data", dir, "--database", b.database)
	create.Stdin = strings.NewReader(b.password)
	if out, err := create.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	out, err := exec.CommandContext(b.ctx, b.binary, "token", "create", "--user", username, "--data", dir, "--database", b.database).Output()
	b.key = strings.TrimSpace(string(out))
	return err
}

// A throughput is a request to send as fast as it goes, over how many sessions it
// spreads and over how many connections it comes.
type throughput struct {
	name        string
	spread      int
	request     request
	gin         bool // the floor through gin, too
	connections int
	refused     bool // each is answered with 4xx
}

func gate(cookie string, more ...string) request {
	return get(gatePath, append([]string{"X-Original-URL: http://app.bench.example/some/page?with=query",
		"Accept: text/html,application/xhtml+xml", "Accept-Language: en-GB,en;q=0.5", cookie}, more...)...)
}

const (
	client = "X-Forwarded-For: {ip}"
	cookie = "Cookie: lastseen_session={token}\r\n" + client
)

// gateOfTraefik is a check whose answer has all headers, the empty ones too.
var gateOfTraefik = get("/outpost.goauthentik.io/auth/traefik", "X-Forwarded-Proto: http", "X-Forwarded-Host: app.bench.example", "X-Forwarded-Uri: /some/page?with=query",
	"X-Forwarded-Method: GET", "Accept: text/html,application/xhtml+xml", "Accept-Language: en-GB,en;q=0.5", cookie)

// requests measures what is asked most beside the floor, over all sessions, and
// the memory that it takes.
func (b *bench) requests(s shape, quick bool) error {
	n := s.sessions
	ours, err := b.serve(s)
	if err != nil {
		return err
	}
	defer ours.stop()
	if err := ours.settle(); err != nil { // what begins with the start is done
		return err
	}
	if err := b.rest(ours, fmt.Sprintf("memory at rest, %s sessions", thousands(n))); err != nil {
		return err
	}
	bearer := "Authorization: Bearer " + b.key
	// Where a session is used changes seldom, so the load comes from there. What is noted
	// of all sessions takes long to write: what needs none of them comes first.
	cases := []throughput{
		{name: "gate, one session", spread: 1, request: gate(cookie), gin: true},
		{name: "gate, Traefik's path, one session", spread: 1, request: gateOfTraefik},
		{name: "gate, no session", spread: 1, request: gate(client), refused: true},
		{name: "gate, a cookie that is none of ours", spread: 1, request: gate("Cookie: lastseen_session=nobody{n}", client), refused: true},
		{name: "retrieve by bearer", spread: n, request: get(apiPath+"{uuid}/", bearer), gin: true},
		{name: "retrieve by cookie", spread: n, request: get(apiPath+"{uuid}/", cookie)},
		{name: "gate", spread: n, request: gate(cookie)},
	}
	if b.postgres != nil {
		for i := range cases {
			cases[i].gin = false
		}
		cases = append(cases, throughput{name: "gate, from one connection", spread: n, request: gate(cookie), connections: 1})
	}
	if n > 100_000 {
		cases = slices.DeleteFunc(cases, func(c throughput) bool { return c.spread == 1 })
	} else if !quick {
		cases = append(cases, throughput{name: "viewer, own sessions", spread: n, request: get("/sessions", cookie, "Accept-Language: en")})
	}
	for _, c := range cases {
		if err := b.beside(ours, c); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	if err := b.rest(ours, fmt.Sprintf("memory after that load, %s sessions", thousands(n))); err != nil || n > 100_000 || quick {
		return err
	}
	newAgent := request(strings.Replace(string(gate(cookie)), "{agent}", browser+"{n}", 1))
	if err := b.beside(ours, throughput{name: "gate, an agent never seen each time", spread: n, request: newAgent}); err != nil {
		return err
	}
	return b.rest(ours, fmt.Sprintf("memory after some 500,000 agents, %s sessions", thousands(n)))
}

func (b *bench) rest(p *process, name string) error {
	m, err := p.memory()
	b.report.Memory = append(b.report.Memory, memoryRow{name, m})
	return err
}

// beside measures ours and the floors in turn.
func (b *bench) beside(ours *process, c throughput) error {
	n := ours.data.sessions
	c.connections = cmp.Or(c.connections, usual)
	b.say("%s, %s sessions", c.name, thousands(n))
	servers := []*process{ours}
	for _, kind := range []string{"net/http", "gin"} {
		if kind == "gin" && !c.gin {
			continue
		}
		if b.postgres != nil {
			kind = "SELECT 1"
		}
		floor, err := b.floorOf(ours, c, kind)
		if err != nil {
			return err
		}
		defer floor.stop()
		servers = append(servers, floor)
	}
	// Each session is asked for once, as it has been in a server that has run for a while.
	all := throughput{request: gate(cookie), spread: c.spread, connections: usual}
	for c.spread > 1 && ours.asked < c.spread {
		if _, err := saturate(b.ctx, ours, all, true, 3*time.Second+min(time.Duration(c.spread/20_000)*time.Second, time.Minute)); err != nil {
			return err
		}
	}
	if _, err := saturate(b.ctx, ours, c, false, b.duration); err != nil {
		return err
	}
	if err := ours.settle(); err != nil {
		return err
	}
	samples := make([][]figures, len(servers))
	for range b.rounds {
		for i, server := range servers {
			s, err := saturate(b.ctx, server, c, false, b.duration)
			if err != nil {
				return err
			}
			samples[i] = append(samples[i], s)
		}
	}
	row := besideRow{Name: c.name, Sessions: n, Ours: median(samples[0]), Floor: median(samples[1])}
	if c.gin {
		gin := median(samples[2])
		row.Gin = &gin
	}
	b.report.Beside = append(b.report.Beside, row)
	return nil
}

// floorOf starts a floor that gives to every request the answer that ours gives to one.
func (b *bench) floorOf(ours *process, c throughput, kind string) (*process, error) {
	fixed, err := answer(ours, c.request)
	if err != nil {
		return nil, err
	}
	floor, err := b.startFloor(kind, fixed)
	if err == nil {
		floor.data = ours.data
	}
	return floor, err
}

func (b *bench) startFloor(kind string, fixed fixedAnswer) (*process, error) {
	text, err := json.Marshal(fixed)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(b.work, rand.Text()+".json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	return start(b.ctx, address, "", self, "floor", kind, address, file, b.database)
}

// lists measures what looks at many sessions, one request after another.
func (b *bench) lists(n int) error {
	ours, err := b.serve(shapeOf(n))
	if err != nil {
		return err
	}
	defer ours.stop()
	bearer := "Authorization: Bearer " + b.key
	list := func(query string) request { return get(apiPath+"?page_size=20&"+query, bearer) }
	type one struct {
		name    string
		request request
		count   int
	}
	var all []one
	for _, column := range []string{"user__username", "user", "last_ip", "last_user_agent", "last_used", "expires", "uuid"} {
		all = append(all, one{"list by " + column, list("ordering=" + column), 60}, one{"list by -" + column, list("ordering=-" + column), 60})
	}
	deep := min(5000, n/20)
	all = append(all,
		one{fmt.Sprintf("list, page %d", deep), list(fmt.Sprintf("page=%d", deep)), 30},
		one{fmt.Sprintf("list by -last_used, page %d", deep), list(fmt.Sprintf("ordering=-last_used&page=%d", deep)), 30},
		one{"list of one user", list("user=1"), 60},
		one{"list of one user by -last_used", list("user=1&ordering=-last_used"), 60},
		one{"list of one user's name", list("user__username=ada" + "lovelac"), 60},
		one{"list of one address", list("last_ip=86.129.0.0"), 60},
		one{"search, no hit", list("search=nothinglikeit"), 30},
		one{"search, few hits (a part of an agent)", list("search=curl/8.3.103"), 30},
		one{"search, many hits (mozilla)", list("search=mozilla"), 30},
		one{"search, a part of a name", list("search=turing"), 30},
		one{"search, a part of an address", list("search=86.130"), 20},
		one{"search, one digit", list("search=7"), 20},
		one{"search, two words", list("search=ada%20iphone"), 20},
		one{"viewer, everybody's sessions", get("/sessions?everybody=1", cookie, "Accept-Language: en"), 20},
	)
	token, err := b.signIn(ours)
	if err != nil {
		return err
	}
	for _, c := range all {
		r := request(strings.NewReplacer("{token}", token, "{agent}", browser).Replace(string(c.request)))
		s, err := oneByOne(ours, r, c.count)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		b.report.Single = append(b.report.Single, singleRow{c.name, n, s})
	}
	b.say("sign-in")
	form := "username=" + username + "&password=" + b.password
	signIn := request(fmt.Sprintf("POST /login HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s",
		authHost, browser, len(form), form))
	s, err := oneByOne(ours, signIn, 20)
	b.report.Single = append(b.report.Single, singleRow{"sign-in", n, s})
	return errors.Join(err, b.rest(ours, fmt.Sprintf("memory after the lists, %s sessions", thousands(n))))
}

// mixed measures the gate quiet, and while sign-outs, uses and lists go on.
func (b *bench) mixed(n int) error {
	b.say("gate beside others")
	ours, err := b.serve(shapeOf(n))
	if err != nil {
		return err
	}
	defer ours.stop()
	check := flow{request: gate(cookie), rate: 1500, first: 1, spread: n / 2}
	var quiet, busy []figures
	const rounds, long = 3, 5 * time.Second
	for round := range rounds {
		s, err := steady(ours, long, check)
		if err != nil {
			return err
		}
		quiet = append(quiet, s)
		perRound := n / 2 / rounds
		s, err = steady(ours, long, check,
			flow{request: request("POST /logout HTTP/1.1\r\nHost: " + authHost + "\r\nUser-Agent: {agent}\r\n" + cookie + "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n\r\n"),
				rate: 334, first: n/2 + round*perRound, spread: perRound, once: true},
			flow{request: get(apiPath+"{uuid}/", cookie), rate: 333, first: 1, spread: n / 2},
			flow{request: get(apiPath+"?page_size=20&ordering=-last_used", "Authorization: Bearer "+b.key), rate: 333, first: 1, spread: n / 2},
		)
		if err != nil {
			return err
		}
		busy = append(busy, s)
	}
	b.report.Mixed = &mixedRow{Rate: check.rate, Quiet: median(quiet), Busy: median(busy)}
	return nil
}

// signIns measures the memory of a server without data, and what of it eight sign-ins at
// once leave behind.
func (b *bench) signIns() error {
	b.say("sign-ins at once")
	ours, err := b.serve(shape{})
	if err != nil {
		return err
	}
	defer ours.stop()
	const idle = 10 * time.Second
	time.Sleep(idle / 2)
	err = b.rest(ours, "memory at rest, an empty database")
	failed := make(chan error)
	for range 8 {
		go func() {
			_, err := b.signIn(ours)
			failed <- err
		}()
	}
	for range 8 {
		err = errors.Join(err, <-failed)
	}
	time.Sleep(idle)
	return errors.Join(err, b.rest(ours, fmt.Sprintf("memory %.0f s after eight sign-ins at once", idle.Seconds())))
}

// starts measures from exec to ready.
func (b *bench) starts(name string, n int) error {
	s := shape{}
	if n > 0 {
		s = shapeOf(n)
	}
	p, err := b.serve(s)
	if err != nil {
		return err
	}
	dir := p.cmd.Args[slices.Index(p.cmd.Args, "--data")+1]
	var took []time.Duration
	for range 11 {
		if err := p.stop(); err != nil {
			return err
		}
		address, err := freeAddress()
		if err != nil {
			return err
		}
		p, err = start(b.ctx, address, "/-/health/ready/", b.binary, "serve", "--data", dir, "--listen", address)
		if err != nil {
			return err
		}
		took = append(took, p.took)
	}
	slices.Sort(took)
	b.report.Starts = append(b.report.Starts, startRow{name, float64(took[len(took)/2].Microseconds()) / 1000})
	return p.stop()
}

func (b *bench) binarySize() error {
	info, err := os.Stat(b.binary)
	if err != nil {
		return fmt.Errorf("%w: run make first", err)
	}
	b.report.Binary = info.Size()
	return nil
}

// signIn is the token of a new session of the superuser.
func (b *bench) signIn(p *process) (string, error) {
	form := strings.NewReader("username=" + username + "&password=" + b.password)
	req, err := http.NewRequestWithContext(b.ctx, "POST", "http://"+p.address+"/login", form)
	if err != nil {
		return "", err
	}
	req.Host = authHost
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	for _, cookie := range resp.Cookies() {
		if cookie.Name == "lastseen_session" {
			return cookie.Value, nil
		}
	}
	return "", fmt.Errorf("sign-in: %s", resp.Status)
}
