package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
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
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A guard is an instance behind a real proxy, which guards an app with the very
// text that proxy-snippet prints.
type guard struct {
	*process
	data     string
	address  string // of Lastseen itself
	port     string // of the proxy
	scheme   string
	settings []string
	app      string // URL of the app, through the proxy
	upstream string // address of the app itself
	hits     atomic.Int64
}

const guardToken = "bootstrap-token-of-the-test"

// newGuard serves an instance and an app that answers with what it was asked.
func newGuard(t *testing.T) *guard {
	return newGuardWith(t, "http", "LASTSEEN_COOKIE_DOMAIN=lastseen.test")
}

func newGuardWith(t *testing.T, scheme string, settings ...string) *guard {
	t.Helper()
	g := &guard{data: t.TempDir(), port: freePort(t), scheme: scheme, settings: settings}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.hits.Add(1)
		if upgrade(w, r) {
			return
		}
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1000))
		rest, _ := io.Copy(io.Discard, r.Body)
		_ = json.NewEncoder(w).Encode(appSaw{r.Method, r.Host, r.RequestURI, r.Header, string(body), len(body) + int(rest)})
	}))
	t.Cleanup(app.Close)
	g.upstream = strings.TrimPrefix(app.URL, "http://")
	g.process = start(t, g.data, g.environ()...)
	g.address = regexp.MustCompile(`"msg":"listening","address":"([^"]+)"`).FindStringSubmatch(g.log())[1]
	g.app = g.url("app.lastseen.test")
	for _, args := range [][]string{
		{"user", "create", "zoë", "--group", "members", "--group", "Küche", "--password-file", "-"},
		{"user", "create", "eve", "--password-file", "-"},
		{"rule", "allow", "app.lastseen.test", "--group", "members"},
		{"rule", "open", "app.lastseen.test", "/open/*"},
	} {
		if _, errs, status := execute(t, g.data, "correct horse\n", args...); status != 0 {
			t.Fatalf("%v: %d %s", args, status, errs)
		}
	}
	return g
}

func (g *guard) environ() []string {
	return append([]string{"LASTSEEN_PUBLIC_URL=" + g.url("auth.lastseen.test"), "LASTSEEN_TRUSTED_PROXIES=127.0.0.1,::1",
		"LASTSEEN_BOOTSTRAP_PASSWORD=correct horse", "LASTSEEN_BOOTSTRAP_TOKEN=" + guardToken}, g.settings...)
}

// url is a host's, through the proxy.
func (g *guard) url(host string) string { return g.scheme + "://" + host + ":" + g.port }

// snippet is what proxy-snippet prints for the instance.
func (g *guard) snippet(proxy string) string { return g.snippetFor(proxy, "app.lastseen.test") }

func (g *guard) snippetFor(proxy, app string) string {
	g.t.Helper()
	cmd := command(g.t, g.environ(), "proxy-snippet", proxy, "--listen", g.address, "--app", app, "--upstream", g.upstream)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil || errs.String() != "" {
		g.t.Fatalf("proxy-snippet %s: %v %s", proxy, err, errs.String())
	}
	return string(out)
}

// An appSaw is a request as it reached the app.
type appSaw struct {
	Method, Host, URI string
	Header            http.Header
	Body              string // its beginning
	Size              int    // of the body, in bytes
}

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

// browser resolves every name to this machine.
func (g *guard) browser(follow bool) *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		g.t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:"+g.port)
	}, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // the certificate is self-made
	g.t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Jar: jar, Transport: transport, Timeout: 20 * time.Second}
	if !follow {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return client
}

// ask sends a request through the proxy.
func (g *guard) ask(client *http.Client, method, url, body string, header ...string) (*http.Response, string) {
	g.t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header[header[i]] = append(req.Header[header[i]], header[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return res, string(text)
}

// get asks for a path of the app, which must answer.
func (g *guard) get(client *http.Client, path string, header ...string) appSaw {
	g.t.Helper()
	res, body := g.ask(client, "GET", g.app+path, "", header...)
	var saw appSaw
	if err := json.Unmarshal([]byte(body), &saw); err != nil || res.StatusCode != 200 {
		g.t.Fatalf("%s: got %d %v %s", path, res.StatusCode, res.Header, body)
	}
	return saw
}

// refused reports whether the app was not asked and the browser sent to sign in.
func (g *guard) refused(client *http.Client, path string) bool {
	g.t.Helper()
	before := g.hits.Load()
	res, _ := g.ask(client, "GET", g.app+path, "")
	return res.StatusCode == 302 && strings.Contains(res.Header.Get("Location"), "rd=") && g.hits.Load() == before
}

// signIn asks for a page of the app and signs in on the way.
func (g *guard) signIn(name, path string) (*http.Client, appSaw) {
	g.t.Helper()
	client := g.browser(true)
	res, body := g.ask(client, "GET", g.app+path, "")
	if res.StatusCode != 200 || res.Request.URL.Path != "/login" || !strings.Contains(body, `name="password"`) {
		g.t.Fatalf("not signed in: got %d at %s: %s", res.StatusCode, res.Request.URL, body)
	}
	form := url.Values{"username": {name}, "password": {"correct horse"}, "rd": {res.Request.URL.Query().Get("rd")}}
	res, body = g.ask(client, "POST", "http://auth.lastseen.test:"+g.port+"/login", form.Encode(),
		"Content-Type", "application/x-www-form-urlencoded", "Origin", "http://auth.lastseen.test:"+g.port, "Sec-Fetch-Site", "same-origin")
	var saw appSaw
	_ = json.Unmarshal([]byte(body), &saw)
	if got := res.Request.URL.String(); got != g.app+path {
		g.t.Fatalf("after signing in as %s: at %s with %d %s, want %s", name, got, res.StatusCode, body, g.app+path)
	}
	follow := *client
	follow.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &follow, saw
}

// api asks Lastseen's API directly.
func (g *guard) api(method, path string, v any) {
	g.t.Helper()
	req, _ := http.NewRequest(method, "http://"+g.address+"/api/v3"+path, nil)
	req.Header.Set("Authorization", "Bearer "+guardToken)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if v != nil {
		err = json.Unmarshal(body, v)
	}
	if res.StatusCode >= 300 || err != nil {
		g.t.Fatalf("%s %s: got %d %s %v", method, path, res.StatusCode, body, err)
	}
}

type guardSession struct {
	UUID           string `json:"uuid"`
	LastIP         string `json:"last_ip"`
	LastUserAgent  string `json:"last_user_agent"`
	LastUserAgent_ struct {
		String string `json:"string"`
	} `json:"user_agent"`
}

func (g *guard) sessions(user string) []guardSession {
	g.t.Helper()
	var page struct{ Results []guardSession }
	g.api("GET", "/core/authenticated_sessions/?ordering=-last_used&user__username="+url.QueryEscape(user), &page)
	return page.Results
}

// spawn runs a proxy until the test ends, and waits until it listens.
func (g *guard) spawn(name string, args ...string) {
	g.t.Helper()
	cmd := exec.Command(name, args...)
	var output process
	cmd.Stdout, cmd.Stderr = &output, &output
	dir := g.t.TempDir()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	g.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
		}
	})
	for range 500 {
		select {
		case <-ended:
			g.t.Fatalf("%s ended: %s", name, output.log())
		default:
		}
		if conn, err := net.Dial("tcp", "127.0.0.1:"+g.port); err == nil {
			conn.Close()
			if res, err := g.browser(false).Get(g.url("auth.lastseen.test") + "/outpost.goauthentik.io/ping"); err == nil {
				res.Body.Close()
				if res.StatusCode == 204 {
					return
				}
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	g.t.Fatalf("%s does not serve: %s", name, output.log())
}

func (g *guard) write(name, content string) string {
	g.t.Helper()
	path := filepath.Join(g.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		g.t.Fatal(err)
	}
	return path
}

// nginx serves a configuration as its http block includes it.
func (g *guard) nginx(program, include string) {
	dir := g.t.TempDir()
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // the temporary directory is ours alone
	}
	config := g.write("nginx.conf", fmt.Sprintf(`daemon off; pid %[1]s/pid; error_log stderr warn; %[2]s
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	include %[3]s;
}`, dir, user, g.write("lastseen.conf", include)))
	g.spawn(program, "-p", dir, "-e", "stderr", "-c", config)
}

// program finds a proxy, by an environment variable or in the path.
func program(t *testing.T, variable string, names ...string) string {
	t.Helper()
	if path := os.Getenv(variable); variable != "" && path != "" {
		return path
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if variable == "" {
		missing(t, "%s is not installed", names[0])
	}
	t.Skipf("no %s here", strings.Join(append(names, variable), " nor "))
	return ""
}

// npm is what Nginx Proxy Manager makes of the text that is printed for it: a server for
// the sign-in, and one for each app.
func (g *guard) npm(apps ...string) string {
	host, port, _ := net.SplitHostPort(g.upstream)
	all := fmt.Sprintf(`
server { listen %[1]s default_server; return 444; }
server {
	listen %[1]s; server_name auth.lastseen.test;
	%[3]s
	location / {
		proxy_set_header Host $host; proxy_set_header X-Forwarded-Scheme $scheme; proxy_set_header X-Forwarded-Proto $scheme;
		proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Real-IP $remote_addr;
		proxy_pass http://%[2]s;
	}
}`, g.port, g.address, advanced(g.snippetFor("npm", apps[0])))
	for _, app := range apps {
		all += fmt.Sprintf(`
server {
	listen %s; server_name %s;
	set $forward_scheme http; set $server %q; set $port %s;
	%s
}`, g.port, app, host, port, g.snippetFor("npm", app))
	}
	return all
}

// advanced is what Nginx Proxy Manager's text says of the tab Advanced of the sign-in's host.
func advanced(text string) string {
	_, lines, _ := strings.Cut(text, "tab Advanced:\n")
	lines, _, _ = strings.Cut(lines, "# 2.")
	return strings.ReplaceAll(lines, "#", "")
}

// traefik serves the text that is printed for it, by the static configuration that it names.
func (g *guard) traefik(program string) {
	dynamic := g.snippet("traefik")
	_, static, _ := strings.Cut(dynamic, "# This is a file of the file provider. The static configuration needs\n#\n")
	static, _, _ = strings.Cut(static, "#\n# Run Lastseen with")
	static = regexp.MustCompile(`(?m)^#   `).ReplaceAllString(static, "")
	static += "providers:\n  file:\n    filename: " + g.write("lastseen.yml", dynamic) + "\n"
	g.spawn(program, "--configFile="+g.write("traefik.yml", static))
}

func serveCaddy(g *guard, program string) { g.caddy(program, g.snippet("caddy")) }

func (g *guard) caddy(program, text string) {
	config := "{\n\tadmin off\n\tauto_https off\n}\n" + text
	g.spawn(program, "run", "--config", g.write("Caddyfile", config), "--adapter", "caddyfile")
}

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

// rawApp sends a request as it stands to the app, which must answer.
func (g *guard) rawApp(request string) (saw appSaw) {
	g.t.Helper()
	if status, _, body := g.raw(request); status != 200 || json.Unmarshal(body, &saw) != nil {
		g.t.Errorf("%q: got %d %s", request, status, body)
	}
	return saw
}

// raw sends a request as it stands, and waits for the answer.
func (g *guard) raw(request string) (status int, header http.Header, body []byte) {
	g.t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+g.port)
	if err != nil {
		g.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		g.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return 0, nil, nil // a name that is not answered
	}
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return res.StatusCode, res.Header, body
}
