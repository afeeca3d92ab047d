package web

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lastseen/app"
	"lastseen/app/config"
	"lastseen/app/useragent"
	"lastseen/db"
	"lastseen/geoip"
	geosample "lastseen/geoip/sample"
	"lastseen/web/browsertest"
)

var update = flag.Bool("update", false, "write golden files anew")

// now is where every test's clock starts.
var now = time.Date(2026, 11, 3, 9, 30, 15, 123456000, time.UTC)

// testServer is a real server over a real database, with a clock of its own.
type testServer struct {
	*Server
	t     testing.TB
	app   *app.App
	store testStore
	url   string
	log   *lockedBuffer

	mu    sync.Mutex
	clock time.Time
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// agents are parsed by definitions that all tests share: reading them takes a while.
var agents = sync.OnceValue(func() *useragent.Parser {
	p, err := useragent.New()
	if err != nil {
		panic(err)
	}
	return p
})

// newServer serves with the given settings; ada is a superuser, bob is not.
func newServer(t testing.TB, settings ...string) *testServer {
	t.Helper()
	dir := t.TempDir()
	city, asn := filepath.Join(dir, "city.mmdb"), filepath.Join(dir, "asn.mmdb")
	for path, content := range map[string][]byte{city: geosample.City, asn: geosample.ASN} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	store, database := openStore(t, dir)
	server := httptest.NewUnstartedServer(nil)
	values := map[string]string{
		"data": dir, "database": database, "geoip-city": city, "geoip-asn": asn,
		"public-url": "http://" + server.Listener.Addr().String(),
	}
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
		values[name] = strings.ReplaceAll(value, "PORT", port)
	}
	cfg, err := config.Parse(func(name string) (string, bool) { v, ok := values[name]; return v, ok },
		func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	ts := &testServer{t: t, store: store, clock: now, url: "http://" + server.Listener.Addr().String(), log: &lockedBuffer{}}
	level := slog.LevelDebug
	if _, ok := t.(*testing.B); ok {
		level = slog.LevelInfo
	}
	log := slog.New(slog.NewTextHandler(ts.log, &slog.HandlerOptions{Level: level}))
	geo := geoip.Open(cfg.GeoIPCity, cfg.GeoIPASN, log)
	ts.app = app.New(store, geo, agents(), cfg, log)
	ts.app.Now = func() time.Time {
		ts.mu.Lock()
		defer ts.mu.Unlock()
		return ts.clock
	}
	if err := ts.app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ts.Server = New(ts.app, "test")
	server.Config.Handler = described{ts.Server, t}
	server.Start()
	t.Cleanup(func() {
		server.Close()
		geo.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return ts
}

// sessionCookie is its name unless it is told otherwise.
const sessionCookie = "lastseen_session"

const hostile = browsertest.Hostile

// password is everybody's.
const password = "correct horse battery"

func (ts *testServer) createUser(name string, superuser bool, groups ...string) db.User {
	ts.t.Helper()
	user, err := ts.app.CreateUser(context.Background(), app.Operator.Actor(),
		app.NewUser{Username: name, Password: password, Superuser: superuser, Groups: groups})
	if err != nil {
		ts.t.Fatal(err)
	}
	return user
}

// advance moves the clock.
func (ts *testServer) advance(d time.Duration) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.clock = ts.clock.Add(d)
}

// key makes an API key for a user.
func (ts *testServer) key(name string) string {
	ts.t.Helper()
	user, err := ts.app.UserByName(context.Background(), name)
	if err != nil {
		ts.t.Fatal(err)
	}
	key, _, err := ts.app.CreateToken(context.Background(), app.Operator.Actor(), app.NewToken{User: user})
	if err != nil {
		ts.t.Fatal(err)
	}
	return key
}

// session makes a session of a user from an address, as signing in would, and
// returns its token.
func (ts *testServer) session(name, ip, agent string) (db.Session, string) {
	ts.t.Helper()
	token, sess, err := ts.app.SignIn(context.Background(), app.Credentials{Username: name, Password: password},
		app.Client{IP: netip.MustParseAddr(ip), Agent: agent}, nil)
	if err != nil {
		ts.t.Fatal(err)
	}
	return sess, token
}

// browser is a client with cookies of its own, which follows no redirect.
func (ts *testServer) browser() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		ts.t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// signIn is a browser in which somebody is signed in.
func (ts *testServer) signIn(name string) *http.Client {
	ts.t.Helper()
	b := ts.browser()
	res, body := ts.post(b, "/login", url.Values{"username": {name}, "password": {password}})
	if res.StatusCode != http.StatusSeeOther {
		ts.t.Fatalf("sign in as %s: got %d %s", name, res.StatusCode, body)
	}
	return b
}

// do sends a request; header are names and values in turn.
func (ts *testServer) do(client *http.Client, method, path string, body io.Reader, header ...string) (*http.Response, string) {
	ts.t.Helper()
	req, err := http.NewRequest(method, ts.url+path, body)
	if err != nil {
		ts.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	if client == nil {
		client = ts.browser()
	}
	res, err := client.Do(req)
	if err != nil {
		ts.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		ts.t.Fatal(err)
	}
	return res, string(text)
}

func (ts *testServer) get(client *http.Client, path string, header ...string) (*http.Response, string) {
	ts.t.Helper()
	return ts.do(client, "GET", path, nil, header...)
}

func (ts *testServer) post(client *http.Client, path string, form url.Values, header ...string) (*http.Response, string) {
	ts.t.Helper()
	return ts.do(client, "POST", path, strings.NewReader(form.Encode()),
		append([]string{"Content-Type", "application/x-www-form-urlencoded"}, header...)...)
}

// postAs sends a form with a cookie.
func (ts *testServer) postAs(cookie, path string, form url.Values) (*http.Response, string) {
	ts.t.Helper()
	return ts.do(nil, "POST", path, strings.NewReader(form.Encode()), "Content-Type", "application/x-www-form-urlencoded", "Cookie", cookie)
}

func cookieNamed(res *http.Response, name string) *http.Cookie {
	for _, cookie := range res.Cookies() {
		if cookie.Name == name && (cookie.Value != "" || name != sessionCookie) { // signing out drops it
			return cookie
		}
	}
	return nil
}

func jarValue(ts *testServer, b *http.Client, name string) string {
	u, _ := url.Parse(ts.url)
	for _, cookie := range b.Jar.Cookies(u) {
		if cookie.Name == name {
			return cookie.Value
		}
	}
	return ""
}

// api asks the API with a key and decodes the answer into v, unless v is nil.
func (ts *testServer) api(key, method, path string, v any) (status int, body string) {
	ts.t.Helper()
	res, body := ts.do(nil, method, "/api/v3"+path, nil, "Authorization", "Bearer "+key)
	if v != nil {
		if err := json.Unmarshal([]byte(body), v); err != nil {
			ts.t.Fatalf("%s %s: %v in %s", method, path, err, body)
		}
	}
	return res.StatusCode, body
}

// golden compares with a file in testdata, which -update writes.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}
