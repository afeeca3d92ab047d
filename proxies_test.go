package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// proxies are real ones. Each is run with the very text that proxy-snippet
// prints, wrapped in what a configuration needs besides.
var proxies = map[string]struct {
	program string
	wrap    func(snippet, dir, port string) map[string]string // files by name
	args    func(dir, port string) []string
}{
	"nginx": {"nginx", func(snippet, dir, _ string) map[string]string {
		return map[string]string{"nginx.conf": fmt.Sprintf(`daemon off; worker_processes 1; pid %[1]s/pid; error_log %[1]s/error.log;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	%[2]s
}`, dir, snippet)}
	}, func(dir, _ string) []string {
		return []string{"-p", dir, "-e", dir + "/error.log", "-c", dir + "/nginx.conf"}
	}},
	"caddy": {"caddy", func(snippet, _, _ string) map[string]string {
		return map[string]string{"Caddyfile": "{\n\tadmin off\n\tauto_https off\n}\n" + snippet}
	}, func(dir, _ string) []string {
		return []string{"run", "--adapter", "caddyfile", "--config", dir + "/Caddyfile"}
	}},
	"traefik": {"traefik", func(snippet, _, _ string) map[string]string {
		return map[string]string{"dynamic.yml": snippet}
	}, func(dir, port string) []string {
		return []string{"--entrypoints.web.address=127.0.0.1:" + port, "--providers.file.filename=" + dir + "/dynamic.yml",
			"--global.checknewversion=false", "--global.sendanonymoususage=false"}
	}},
}

// freePort is one that nothing listens on, just now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// homeBrowser keeps cookies, follows redirects, and finds every host here.
func homeBrowser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		_, port, _ := net.SplitHostPort(address)
		return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+port)
	}}}
}

func TestProxies(t *testing.T) {
	for name := range proxies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testProxy(t, name)
		})
	}
}

func testProxy(t *testing.T, name string) {
	proxy := proxies[name]
	program, err := exec.LookPath(proxy.program)
	if err != nil && name == "nginx" {
		program, err = exec.LookPath("/usr/sbin/nginx") // where Debian keeps it from users
	}
	if err != nil {
		if name != "traefik" && os.Getenv("LASTSEEN_TEST_REQUIRE") == "1" { // Debian has no Traefik
			t.Fatal(err)
		}
		t.Skipf("no %s here: %v", name, err)
	}

	// The app behind the proxy tells what it was sent.
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"uri": r.RequestURI, "headers": r.Header})
	}))
	t.Cleanup(upstream.Close)

	data, dir := t.TempDir(), t.TempDir()
	authPort, port := freePort(t), freePort(t)
	settings := []string{
		"LASTSEEN_PUBLIC_URL=http://auth.home.example:" + authPort, "LASTSEEN_COOKIE_DOMAIN=home.example", "LASTSEEN_TRUSTED_PROXIES=127.0.0.1",
	}
	serve := command(t, append(settings, "LASTSEEN_BOOTSTRAP_PASSWORD=correct horse"), "serve", "--data", data, "--listen", "127.0.0.1:"+authPort)
	var log bytes.Buffer
	serve.Stderr = &log
	runProgram(t, serve)
	snippetOf := command(t, settings, "proxy-snippet", name, "--listen", "127.0.0.1:"+authPort,
		"--app", "app.home.example:"+port, "--upstream", strings.TrimPrefix(upstream.URL, "http://"))
	snippet, err := snippetOf.Output()
	if err != nil {
		t.Fatalf("proxy-snippet: %v", err)
	}
	for file, content := range proxy.wrap(string(snippet), dir, port) {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, proxy.args(dir, port)...)
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	runProgram(t, cmd)
	for _, p := range []string{authPort, port} {
		waitFor(t, p, &said)
	}

	app := "http://app.home.example:" + port
	b := homeBrowser(t)
	fetch := func(b *http.Client, path string, header ...string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequest("GET", app+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header[header[i]] = []string{header[i+1]} // as it is, not in canonical form
		}
		res, err := b.Do(req)
		if err != nil {
			t.Fatalf("%s: %v\n%s", path, err, said.String())
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, string(body)
	}
	asked := func(res *http.Response) bool { return res.Request.URL.Path == "/login" }

	// Not signed in: asked to, and back to the page afterwards.
	res, body := fetch(b, "/x/y?a=1&b=2")
	for range 100 { // Traefik listens before it has read its configuration
		if res.StatusCode != 404 {
			break
		}
		time.Sleep(100 * time.Millisecond)
		res, body = fetch(b, "/x/y?a=1&b=2")
	}
	if !asked(res) || res.StatusCode != 200 || !strings.Contains(body, "app.home.example") {
		t.Fatalf("not signed in: got %d at %s\n%s\n%s", res.StatusCode, res.Request.URL, body, log.String())
	}
	signIn := func(b *http.Client, name, password, rd string) (*http.Response, string) {
		t.Helper()
		res, err := b.PostForm("http://auth.home.example:"+authPort+"/login", url.Values{"username": {name}, "password": {password}, "rd": {rd}})
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return res, string(body)
	}
	type echo struct {
		URI     string
		Headers http.Header
	}
	var got echo
	res, body = signIn(b, "admin", "correct horse", res.Request.URL.Query().Get("rd"))
	if err := json.Unmarshal([]byte(body), &got); err != nil || got.URI != "/x/y?a=1&b=2" {
		t.Fatalf("signed in: got %d at %s, %s", res.StatusCode, res.Request.URL, body)
	}

	// What the client claims is gone, under every spelling.
	_, body = fetch(b, "/", "X-Authentik-Username", "forged", "x_authentik_username", "forged", "X-Authentik_Username", "forged",
		"X-authentik-groups", "forged", "X-Authentik-Email", "forged", "X-Authentik-Jwt", "forged", "X-Forwarded-For", "203.0.113.66")
	got = echo{}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if user := got.Headers.Get("X-Authentik-Username"); user != "admin" {
		t.Errorf("the app is told %q, want admin", user)
	}
	for header, values := range got.Headers {
		if strings.Contains(strings.Join(values, " "), "forged") && strings.Contains(strings.NewReplacer("_", "-").Replace(strings.ToLower(header)), "x-authentik-") {
			// An app may fold _ and - into one.
			t.Errorf("what the client claims reaches the app: %s: %v", header, values)
		}
	}
	list, _, _ := execute(t, data, "", "session", "list", "--json")
	for range 50 { // until what is buffered is written
		if strings.Contains(list, "Go-http-client") {
			break
		}
		time.Sleep(100 * time.Millisecond)
		list, _, _ = execute(t, data, "", "session", "list", "--json")
	}
	if strings.Contains(list, "203.0.113.66") {
		t.Errorf("a client chose its own address: %s", list)
	}

	// Rules and groups.
	if _, errs, status := execute(t, data, "another horse\n", "user", "create", "bob", "--password-file", "-"); status != 0 {
		t.Fatal(errs)
	}
	bob := homeBrowser(t)
	if res, body := signIn(bob, "bob", "another horse", app+"/"); res.StatusCode != 200 || !strings.Contains(body, "bob") {
		t.Errorf("bob: got %d %s", res.StatusCode, body)
	}
	if _, errs, status := execute(t, data, "", "rule", "allow", "app.home.example", "--group", "family"); status != 0 {
		t.Fatal(errs)
	}
	if res, body := fetch(bob, "/"); res.StatusCode != 403 || strings.Contains(body, `"uri"`) {
		t.Errorf("bob, in no group that may: got %d %s", res.StatusCode, body)
	}
	if _, errs, status := execute(t, data, "", "user", "group", "add", "bob", "family"); status != 0 {
		t.Fatal(errs)
	}
	if res, body := fetch(bob, "/"); res.StatusCode != 200 || !strings.Contains(body, "family") {
		t.Errorf("bob, in the group: got %d %s", res.StatusCode, body)
	}
	if _, errs, status := execute(t, data, "", "rule", "open", "app.home.example", "/health"); status != 0 {
		t.Fatal(errs)
	}
	res, body = fetch(homeBrowser(t), "/health", "X-Authentik-Username", "forged")
	if res.StatusCode != 200 || !strings.Contains(body, `"uri"`) || strings.Contains(body, "forged") {
		t.Errorf("an open path: got %d %s", res.StatusCode, body)
	}
	// In another spelling it is not open, unless the proxy spells it out for us and the app alike.
	if res, body := fetch(homeBrowser(t), "/other/../health"); !asked(res) && !strings.Contains(body, `"uri":"/health"`) {
		t.Errorf("an open path in another spelling: got %d at %s, %s", res.StatusCode, res.Request.URL, body)
	}

	// Ended under load, over connections that are kept: not one gets through.
	var passed atomic.Int64
	var ended atomic.Bool
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 60 {
				after := ended.Load()
				res, err := bob.Get(app + "/")
				if err != nil {
					t.Error(err)
					return
				}
				body, _ := io.ReadAll(res.Body)
				res.Body.Close()
				if reached := bytes.Contains(body, []byte(`"uri"`)); reached && after {
					t.Error("a session that was ended got through")
				} else if reached {
					passed.Add(1)
				}
			}
		})
	}
	for passed.Load() < 20 && !t.Failed() {
		time.Sleep(5 * time.Millisecond)
	}
	if _, errs, status := execute(t, data, "", "session", "revoke-all", "--user", "bob"); status != 0 {
		t.Error(errs)
	}
	ended.Store(true)
	wait.Wait()
	if res, _ := fetch(bob, "/"); !asked(res) {
		t.Errorf("bob, ended: got %d at %s", res.StatusCode, res.Request.URL)
	}

	// Disabled.
	signIn(bob, "bob", "another horse", app+"/")
	if _, errs, status := execute(t, data, "", "user", "disable", "bob"); status != 0 {
		t.Fatal(errs)
	}
	if res, _ := fetch(bob, "/"); !asked(res) {
		t.Errorf("bob, disabled: got %d at %s", res.StatusCode, res.Request.URL)
	}
}

// runProgram starts a program that the test ends.
func runProgram(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		done := make(chan struct{})
		go func() { _ = cmd.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
	})
}

func waitFor(t *testing.T, port string, said fmt.Stringer) {
	t.Helper()
	for range 300 {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			conn.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("nothing listens on %s: %s", port, said)
}
