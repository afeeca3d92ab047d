package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// keeping are the proxies whose printed text the tests of connections try.
var keeping = []struct {
	name, program string
	serve         func(g *guard, program string)
	waits         bool // for a server that is started anew
	app           bool // connections to the app are kept, too
}{
	{name: "nginx", program: "nginx", serve: func(g *guard, program string) { g.nginx(program, g.snippet("nginx")) }, app: true},
	{name: "npm", program: "nginx", serve: npmKeeping},
	{name: "caddy", program: "caddy", serve: serveCaddy, waits: true, app: true},
}

// npmKeeping does what Nginx Proxy Manager's text says of keeping connections open.
func npmKeeping(g *guard, program string) {
	text := g.npm("app.lastseen.test")
	top := regexp.MustCompile(`(?m)^#    (upstream lastseen .*)`).FindStringSubmatch(text)
	old := "proxy_pass http://" + g.address
	if at := strings.Index(text, "set $forward_scheme"); top == nil || strings.Count(text[at:], old) != 4 {
		g.t.Errorf("the text says of connections: %q, with %d of them", top, strings.Count(text[at:], old))
		return
	}
	g.nginx(program, top[1]+"\n"+strings.ReplaceAll(text, old, "proxy_pass http://lastseen"))
}

// Through the printed texts a hundred requests, one after another and eight at once, leave
// no connection behind that was opened for one of them.
func TestConnectionsAreKept(t *testing.T) {
	for _, proxy := range keeping {
		t.Run(proxy.name, func(t *testing.T) {
			path := program(t, "", proxy.program, "/usr/sbin/"+proxy.program)
			t.Parallel()
			g := newGuard(t)
			proxy.serve(g, path)
			client, _ := g.signIn("zoë", "/first")
			_, upstream, _ := net.SplitHostPort(g.upstream)
			_, gate, _ := net.SplitHostPort(g.address)
			ports := []string{gate}
			if proxy.app {
				ports = append(ports, upstream)
			}
			before := closed(t, ports)
			g.hits.Store(0)
			for range 50 {
				g.get(client, "/one")
			}
			var wait sync.WaitGroup
			for range 8 {
				wait.Go(func() {
					for range 7 {
						g.get(client, "/of/eight")
					}
				})
			}
			wait.Wait()
			if got := g.hits.Load(); got != 50+8*7 {
				t.Fatalf("the app was asked %d times", got)
			}
			for connection := range closed(t, ports) {
				if !before[connection] {
					t.Errorf("a connection was opened and closed: %s; gate and app are %q", connection, ports)
				}
			}
		})
	}
}

// closed are the connections from or to ports that an end has closed, of which the kernel
// keeps some for a minute (TIME_WAIT). Others that are on their way there when a port comes
// into use again are no matter of its new owner.
func closed(t *testing.T, ports []string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Skip(err)
		}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) < 4 || !strings.Contains("04 05 06 08 09 0B", fields[3]) { // by the numbers of include/net/tcp_states.h
				continue
			}
			for _, port := range ports {
				n, _ := strconv.Atoi(port)
				if end := fmt.Sprintf(":%04X", n); strings.HasSuffix(fields[1], end) || strings.HasSuffix(fields[2], end) {
					all[fields[1]+" to "+fields[2]] = true
				}
			}
		}
	}
	return all
}

// While a server is started anew, requests wait for it: behind Caddy, and behind nginx where
// systemd holds the socket. Else nginx refuses them, but leads nobody to sign in again.
func TestRestartUnderLoad(t *testing.T) {
	for _, proxy := range keeping {
		for _, held := range []bool{true, false} {
			if held && proxy.waits || proxy.name == "npm" {
				continue // nginx's text does the same
			}
			t.Run(fmt.Sprintf("%s, held %t", proxy.name, held), func(t *testing.T) {
				path := program(t, "", proxy.program, "/usr/sbin/"+proxy.program)
				t.Parallel()
				g := newGuard(t)
				_ = g.signal(syscall.SIGTERM)
				listener, err := net.Listen("tcp", g.address)
				if err != nil {
					t.Fatal(err)
				}
				socket, err := listener.(*net.TCPListener).File()
				if err != nil {
					t.Fatal(err)
				}
				listener.Close()
				if !held {
					socket.Close()
				}
				defer socket.Close()
				again := func() *process {
					cmd := command(t, g.environ(), "serve", "--data", g.data, "--listen", g.address)
					if held {
						cmd = withSocket(cmd, socket, "LISTEN_PID=$$ LISTEN_FDS=1")
					}
					return launch(t, cmd)
				}
				g.process = again()
				proxy.serve(g, path)
				client, _ := g.signIn("zoë", "/first")
				var passed, refused atomic.Int64
				stop := make(chan struct{})
				var wait sync.WaitGroup
				for range 4 {
					wait.Go(func() {
						for {
							select {
							case <-stop:
								return
							default:
							}
							req, _ := http.NewRequest("GET", g.app+"/load", nil)
							res, err := client.Do(req)
							if err != nil {
								t.Error(err)
								return
							}
							_, _ = io.Copy(io.Discard, res.Body)
							res.Body.Close()
							switch {
							case res.StatusCode == 200:
								passed.Add(1)
							case res.StatusCode >= 500 && !held && !proxy.waits:
								refused.Add(1)
							default:
								t.Errorf("got %d to %s", res.StatusCode, res.Header.Get("Location"))
								return
							}
							time.Sleep(time.Millisecond)
						}
					})
				}
				more := func() {
					for from := passed.Load(); passed.Load() < from+50 && !t.Failed(); {
						time.Sleep(time.Millisecond)
					}
				}
				more()
				if err := g.signal(syscall.SIGTERM); err != nil {
					t.Errorf("it ended with %v: %s", err, g.log())
				}
				g.process = again()
				more()
				close(stop)
				wait.Wait()
				t.Logf("%d passed, %d were refused", passed.Load(), refused.Load())
			})
		}
	}
}
