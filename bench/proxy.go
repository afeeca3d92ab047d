package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// A proxy is one that is measured with the text that lastseen prints for it.
type proxy struct {
	name, snippet string
	version       []string
	serve         func(b *bench, text string) (args []string, err error)
	gate          *regexp.Regexp // what of the text asks the gate
}

var proxies = []proxy{
	{"nginx", "nginx", []string{"-v"}, serveNginx, regexp.MustCompile(`(?m)^.*(auth_request|\$lastseen_x_authentik).*\n`)},
	{"Caddy", "caddy", []string{"version"}, serveCaddy, regexp.MustCompile(`(?s)\t\tforward_auth .*?\n\t\t}\n`)},
}

// behind measures an app behind each proxy without a gate, with ours, and with a floor
// in its place that answers the same bytes, in turn. What is not installed is left out.
func (b *bench) behind() error {
	var errs []error
	for _, p := range proxies {
		program, err := exec.LookPath(strings.ToLower(p.name))
		if err != nil {
			b.report.Proxies = append(b.report.Proxies, proxyRow{Name: p.name, Version: "is not installed"})
			continue
		}
		if err := b.behindOne(p, program); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.name, err))
		}
	}
	return errors.Join(errs...)
}

func (b *bench) behindOne(p proxy, program string) error {
	version, err := exec.CommandContext(b.ctx, program, p.version...).CombinedOutput()
	if err != nil {
		return err
	}
	row := proxyRow{Name: p.name, Version: numbers.FindString(string(version))}
	b.say("behind %s %s", p.name, row.Version)
	ours, err := b.serve(shape{sessions: 1000, users: 50, agents: 50})
	if err != nil {
		return err
	}
	defer ours.stop()
	floor, err := b.floorOf(ours, throughput{request: gate(cookie), spread: 1}, "net/http")
	if err != nil {
		return err
	}
	defer floor.stop()
	app, err := b.startFloor("net/http", fixedAnswer{Status: 200, Body: []byte(strings.Repeat("An app. ", 100))})
	if err != nil {
		return err
	}
	defer app.stop()

	ways := []struct {
		gate    *process // nil: none
		figures *figures
	}{{nil, &row.Without}, {ours, &row.Ours}, {floor, &row.Floor}}
	samples := make([][]figures, len(ways))
	servers := make([]*process, len(ways))
	for i, way := range ways {
		address, err := freeAddress()
		if err != nil {
			return err
		}
		port := address[strings.LastIndexByte(address, ':'):]
		printed, err := exec.CommandContext(b.ctx, b.binary, "proxy-snippet", p.snippet, "--data", b.work, "--listen", ours.address,
			"--public-url", "http://"+authHost+port, "--cookie-domain", "bench.example", "--app", "app.bench.example"+port, "--upstream", app.address).Output()
		if err != nil {
			return err
		}
		text := string(printed)
		if way.gate == nil {
			text = p.gate.ReplaceAllString(text, "")
		} else {
			text = strings.ReplaceAll(text, ours.address, way.gate.address)
		}
		args, err := p.serve(b, text)
		if err != nil {
			return err
		}
		if servers[i], err = start(b.ctx, address, "/-/health/live/", program, args...); err != nil {
			return err
		}
		defer servers[i].stop()
		servers[i].data, servers[i].host, servers[i].beside = ours.data, "app.bench.example"+port, way.gate
	}
	page := request("GET /some/page?with=query HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept: text/html,application/xhtml+xml\r\n" +
		"Accept-Language: en-GB,en;q=0.5\r\nCookie: lastseen_session={token}\r\n\r\n")
	for round := range b.rounds + 1 { // the first warms up
		for i, server := range servers {
			s, err := saturate(b.ctx, server, throughput{request: page, spread: 1, connections: usual}, false, b.duration)
			if err != nil {
				return err
			}
			if round > 0 {
				samples[i] = append(samples[i], s)
			}
		}
	}
	for i, way := range ways {
		*way.figures = median(samples[i])
	}
	b.report.Proxies = append(b.report.Proxies, row)
	return nil
}

var numbers = regexp.MustCompile(`\d+(\.\d+)+`)

// serveNginx has nginx include a text in its http block.
func serveNginx(b *bench, text string) (args []string, err error) {
	dir, err := os.MkdirTemp(b.work, "nginx-")
	if err != nil {
		return nil, err
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // the folder is ours alone
	}
	return b.config(dir, []string{"-p", dir, "-e", "stderr", "-c"}, fmt.Sprintf(`daemon off; pid %[1]s/pid; error_log stderr warn; %[2]s
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	%[3]s
}`, dir, user, text))
}

func serveCaddy(b *bench, text string) (args []string, err error) {
	return b.config(b.work, []string{"run", "--adapter", "caddyfile", "--config"}, "{\n\tadmin off\n\tauto_https off\n}\n"+text)
}

// config writes a file of its own, and is args with its name.
func (b *bench) config(dir string, args []string, content string) ([]string, error) {
	file, err := os.CreateTemp(dir, "config-")
	if err != nil {
		return nil, err
	}
	_, err = file.WriteString(content)
	return append(args, filepath.Clean(file.Name())), errors.Join(err, file.Close())
}
