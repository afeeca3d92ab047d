package web

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"lastseen/app"
)

// TestNobodyPasses asks the gate in made-up ways for somebody who is not signed in, on a
// host with an open path beside: whatever is said of the request, nothing passes but the
// open path, and no answer names a user. LASTSEEN_TEST_ATTEMPTS says how often.
func TestNobodyPasses(t *testing.T) {
	t.Parallel()
	attempts := 5000
	if text := os.Getenv("LASTSEEN_TEST_ATTEMPTS"); text != "" {
		attempts, _ = strconv.Atoi(text)
	}
	ts := guarded(t)
	ts.open(app1, "/open/*")
	if _, err := ts.app.OpenPath(t.Context(), app.Operator.Actor(), app1, "/preflight", "OPTIONS"); err != nil {
		t.Fatal(err)
	}
	sess, ended := ts.session("ada", "192.0.2.1", firefox)
	if err := ts.app.RevokeSession(t.Context(), app.Operator, sess.UUID); err != nil {
		t.Fatal(err)
	}
	read := ts.scoped("ada", "reads", "read")
	elsewhere := ts.scoped("ada", "elsewhere", "gate:wiki.home.example")
	random := rand.New(rand.NewPCG(1, 2)) // the same each time
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	var tried [4]int
	for i := range attempts {
		host := pick(app1, "GRAFANA.home.example", app1+".", app1+":443", "auth.home.example:8443", "other.home.example", "evil.example", "a@"+app1, app1+"%00", "[::1]", "", "xn--")
		var uri strings.Builder
		uri.WriteString(pick("/", "//", "/open", "/open/../", "/open/%2e%2e/", "/open/..%2f", "/open/..;/", "/preflight", "/x?/open/", "/%6fpen/", "", "\\open/", "/open//", "/./open/"))
		for range random.IntN(3) {
			uri.WriteString(pick("secret", "..", "%2e%2e", "%5c", ";", "//", "/", "?a=b", "%00", "%zz", "ü", " ", "#x", "&path=/open/x"))
		}
		g := gates[random.IntN(len(gates))]
		path, header := g.ask(pick("https", "http", "HTTPS", "ws", "ftp", ""), host, uri.String())
		for range random.IntN(5) {
			switch random.IntN(12) {
			case 0:
				header = append(header, "Cookie", "lastseen_session="+pick(ended, "x", "", strings.Repeat("a", 43), `"`+ended+`"`))
			case 1:
				header = append(header, "Cookie", pick("lastseen_app=", "__Host-lastseen_app=")+pick(ended, "x"))
			case 2:
				header = append(header, "Authorization", pick("Bearer ", "bearer ", "Basic ", "Token ", "")+pick(read, elsewhere, "x", "YWRhOng=", ""))
			case 3:
				header = append(header, "X-Lastseen-Token", pick(read, elsewhere, "x"))
			case 4:
				header = append(header, pick("X-Authentik-Username", "X-Authentik-Groups", "Remote-User", "X-Forwarded-User"), "ada")
			case 5:
				header = append(header, pick("X-Forwarded-Uri", "X-Original-Uri", "X-Original-Url", "X-Rewrite-Url"), pick("/open/x", "https://"+app1+"/open/x"))
			case 6:
				header = append(header, pick("X-Forwarded-Host", "X-Forwarded-Proto"), pick(app1, "https", ""))
			case 7:
				header = append(header, pick("X-Forwarded-Method", "X-Original-Method"), pick("OPTIONS", "GET", "options", "", "OPTIONS, GET"))
			case 8:
				header = append(header, "X-Forwarded-For", pick("127.0.0.1", "::1", "x", "", "127.0.0.1, x"))
			case 9:
				header = append(header, "User-Agent", pick("GoogleHC/1.0", "kube-probe/1.30", ""))
			case 10:
				header = append(header, pick("Sec-Fetch-Mode", "Upgrade", "Accept"), pick("navigate", "cors", "websocket", "application/json"))
			case 11:
				header = append(header, "Connection", pick("close", "X-Authentik-Username", "Upgrade"))
			}
		}
		r, err := http.NewRequest(pick("GET", "POST", "OPTIONS", "HEAD", "DELETE"), ts.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		asks, err := http.NewRequest(r.Method, "http://auth.home.example/", nil)
		if err != nil {
			t.Fatal(err)
		}
		asks.URL.Path, asks.URL.RawQuery, _ = strings.Cut(path, "?")
		asks.URL.Path, _, _ = strings.Cut(path, "?")
		asks.RequestURI = path
		for i := 0; i < len(header); i += 2 {
			if header[i] == "Host" {
				asks.Host = header[i+1]
			} else {
				asks.Header.Add(header[i], header[i+1])
			}
		}
		asks.RemoteAddr = "127.0.0.1:1"
		w := &recorder{header: http.Header{}, status: http.StatusOK}
		ts.ServeHTTP(w, asks)
		tried[min(w.status/100-2, 3)]++
		// What passes is an open path that can be read in one way, of the host whose it is.
		open := strings.HasPrefix(uri.String(), "/open/") && !strings.ContainsAny(uri.String(), "%;\\ ü#") && !strings.Contains(uri.String(), "/..") && !strings.Contains(uri.String(), "//") ||
			strings.HasPrefix(uri.String(), "/preflight") && (g.name == "envoy" && r.Method == "OPTIONS" || g.isNginx() && strings.Contains(fmt.Sprint(header), "X-Original-Method OPTIONS") ||
				!g.isNginx() && g.name != "envoy" && strings.Contains(fmt.Sprint(header), "X-Forwarded-Method OPTIONS"))
		if w.status/100 == 2 && !open {
			t.Errorf("attempt %d: %s %s by %s with %q passed", i, r.Method, host+uri.String(), g.name, header)
		}
		for name, values := range w.header {
			if strings.HasPrefix(name, "X-Authentik-") && name != "X-Authentik-Meta-App" && name != "X-Authentik-Meta-Version" && strings.Join(values, "") != "" {
				t.Errorf("attempt %d: %s says %q", i, name, values)
			}
		}
	}
	t.Logf("%d requests that tried to pass, %d found the open path, %d were led to the sign-in, %d refused", attempts, tried[0], tried[1], tried[2]+tried[3])
}

// TestFloodOfStrangers: while a home's networks try passwords, people who come from where
// they have signed in before get in.
func TestFloodOfStrangers(t *testing.T) {
	t.Parallel()
	ts := newServer(t, "trusted-proxies=127.0.0.1")
	var people []string
	for i := range 20 {
		name := fmt.Sprint("person", i)
		ts.createUser(name, false)
		ts.session(name, fmt.Sprintf("198.51.100.%d", i), firefox)
		people = append(people, name)
	}
	signIn := func(name, secret, ip string) int {
		r := form("/login", "username="+name+"&password="+strings.ReplaceAll(secret, " ", "+"))
		r.RemoteAddr, r.Host = "127.0.0.1:1", "localhost"
		r.Header.Set("X-Forwarded-For", ip)
		w := &recorder{header: http.Header{}, status: http.StatusOK}
		ts.ServeHTTP(w, r)
		return w.status
	}
	done := make(chan struct{})
	var flood, wait sync.WaitGroup
	var sent [64]int
	for i := range sent {
		flood.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
					signIn(fmt.Sprint("guess", n), "wrong", fmt.Sprintf("2001:db8:%x:%x::1", i%4, n*64+i))
					sent[i]++
				}
			}
		})
	}
	kept := make([]bool, len(people))
	for i, name := range people {
		wait.Go(func() { kept[i] = signIn(name, password, fmt.Sprintf("198.51.100.%d", i)) == http.StatusSeeOther })
	}
	wait.Wait()
	close(done)
	flood.Wait()
	in, all := 0, 0
	for _, ok := range kept {
		if ok {
			in++
		}
	}
	for _, n := range sent {
		all += n
	}
	if in != len(people) {
		t.Errorf("%d of %d got in", in, len(people))
	}
	t.Logf("%d of %d sign-ins kept during a flood of %d", in, len(people), all)
}
