package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"lastseen/app"
	"lastseen/db"

	"github.com/google/uuid"
)

// guarded is a server that believes its peers and guards hosts under home.example.
func guarded(t testing.TB, settings ...string) *testServer {
	t.Helper()
	return newServer(t, append([]string{"public-url=https://auth.home.example", "cookie-domain=home.example", "trusted-proxies=127.0.0.1"}, settings...)...)
}

func (ts *testServer) allow(host string, groups ...string) {
	ts.t.Helper()
	if _, err := ts.app.AllowGroups(context.Background(), app.Operator.Actor(), host, groups); err != nil {
		ts.t.Fatal(err)
	}
}

func (ts *testServer) open(host, path string) {
	ts.t.Helper()
	if _, err := ts.app.OpenPath(context.Background(), app.Operator.Actor(), host, path); err != nil {
		ts.t.Fatal(err)
	}
}

// A gate asks as one of the proxies does about a URL.
type gate struct {
	name string
	ask  func(scheme, host, uri string) (path string, header []string)
}

var gates = []gate{
	{"nginx", func(scheme, host, uri string) (string, []string) {
		return "/outpost.goauthentik.io/auth/nginx", []string{"X-Original-URL", scheme + "://" + host + uri}
	}},
	{"nginx by URI", func(scheme, host, uri string) (string, []string) {
		return "/outpost.goauthentik.io/auth/nginx", []string{"X-Original-URI", uri, "Host", host}
	}},
	{"traefik", func(scheme, host, uri string) (string, []string) {
		return "/outpost.goauthentik.io/auth/traefik", []string{"X-Forwarded-Proto", scheme, "X-Forwarded-Host", host, "X-Forwarded-Uri", uri}
	}},
	{"caddy", func(scheme, host, uri string) (string, []string) {
		return "/outpost.goauthentik.io/auth/caddy", []string{"X-Forwarded-Proto", scheme, "X-Forwarded-Host", host, "X-Forwarded-Uri", uri}
	}},
	{"envoy", func(scheme, host, uri string) (string, []string) {
		return "/outpost.goauthentik.io/auth/envoy" + uri, []string{"X-Forwarded-Proto", scheme, "Host", host}
	}},
}

func (g gate) isNginx() bool { return strings.HasPrefix(g.name, "nginx") }

// asks sends what the proxy would ask.
func (ts *testServer) asks(g gate, host, uri string, header ...string) *http.Response {
	ts.t.Helper()
	path, own := g.ask("https", host, uri)
	res, _ := ts.get(nil, path, append(own, header...)...)
	return res
}

// saysOnce reports whether an identity header is there as it should be: once, and before
// nginx, which takes a missing one for an empty one, not at all when it is empty.
func (g gate) saysOnce(values []string) bool {
	return g.isNginx() && len(values) == 0 || len(values) == 1 && !(g.isNginx() && values[0] == "")
}

const app1 = "grafana.home.example"

func cookie(token string) string { return sessionCookie + "=" + token }

var identityHeaders = []string{"Username", "Groups", "Entitlements", "Email", "Name", "Uid", "Jwt",
	"Meta-Jwks", "Meta-Outpost", "Meta-Provider", "Meta-App", "Meta-Version"}

func TestGate(t *testing.T) {
	t.Parallel()
	ts := guarded(t)
	ts.createUser("zoë", false, "admins", "Küche")
	user, err := ts.app.UserByName(t.Context(), "zoë")
	if err != nil {
		t.Fatal(err)
	}
	user.Name, user.Email = "Zoë Ω", "zoe@home.example"
	if err := ts.app.UpdateUser(t.Context(), app.Operator.Actor(), user); err != nil {
		t.Fatal(err)
	}
	_, token := ts.session("zoë", "81.2.69.142", firefox)
	for _, g := range gates {
		t.Run(g.name, func(t *testing.T) {
			res := ts.asks(g, app1, "/d/1?x=y&z=%20", "Cookie", cookie(token))
			if res.StatusCode != 200 || res.ContentLength != 0 || res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("got %d, %d bytes, %v", res.StatusCode, res.ContentLength, res.Header)
			}
			for header, want := range map[string]string{
				"Username": "zoë", "Groups": "Küche|admins", "Name": "Zoë Ω", "Email": "zoe@home.example", "Uid": userUID(&user),
				"Entitlements": "", "Jwt": "", "Meta-App": app1,
			} {
				if got := res.Header.Values("X-Authentik-" + header); header == "Groups" {
					groups := strings.Split(got[0], "|")
					slices.Sort(groups)
					if strings.Join(groups, "|") != "Küche|admins" && strings.Join(groups, "|") != "admins|Küche" {
						t.Errorf("groups: got %q", got)
					}
				} else if !g.saysOnce(got) || strings.Join(got, "") != want {
					t.Errorf("%s: got %q, want %q", header, got, want)
				}
			}
			for _, header := range identityHeaders {
				if got := res.Header.Values("X-Authentik-" + header); !g.saysOnce(got) {
					t.Errorf("%s: got %q, want one value", header, got)
				}
			}

			res = ts.asks(g, app1, "/d/1?x=y&z=%20")
			back := "https://auth.home.example/login?rd=" + url.QueryEscape("https://grafana.home.example/d/1?x=y&z=%20")
			if want := 302; g.isNginx() {
				if res.StatusCode != 401 {
					t.Errorf("not signed in: got %d, want 401", res.StatusCode)
				}
			} else if got := res.Header.Get("Location"); res.StatusCode != want || got != back {
				t.Errorf("not signed in: got %d to %s, want %d to %s", res.StatusCode, got, want, back)
			}
			if len(res.Header.Values("X-Authentik-Username")) != 0 {
				t.Error("a refusal names a user")
			}
		})
	}
}

// Any method asks: a proxy may relay that of the app's own request.
func TestGateMethods(t *testing.T) {
	t.Parallel()
	ts := guarded(t)
	_, token := ts.session("bob", "81.2.69.142", firefox)
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "MKCOL", "REPORT", "BREW"} {
		for _, g := range gates {
			path, header := g.ask("https", app1, "/x")
			header = append(header, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "X-Forwarded-Method", method, "X-Original-Method", method)
			if res, body := ts.do(nil, method, path, nil, append(header, "Cookie", cookie(token))...); res.StatusCode != 200 {
				t.Errorf("%s by %s: got %d %s", method, g.name, res.StatusCode, body)
			}
			if res, _ := ts.do(nil, method, path, nil, header...); res.StatusCode != 302 && res.StatusCode != 401 {
				t.Errorf("%s by %s, not signed in: got %d", method, g.name, res.StatusCode)
			}
		}
	}
}

// A cookie is tried first, then keys; what is not ours belongs to the app.
func TestGateKeys(t *testing.T) {
	t.Parallel()
	ts := guarded(t)
	ada, bob := ts.key("ada"), ts.key("bob")
	_, token := ts.session("bob", "81.2.69.142", firefox)
	basic := func(name, key string) string {
		r, _ := http.NewRequest("GET", "/", nil)
		r.SetBasicAuth(name, key)
		return r.Header.Get("Authorization")
	}
	for _, tt := range []struct {
		name   string
		header []string
		want   string // who; "" for a refusal
	}{
		{"header of ours", []string{"X-Lastseen-Token", ada}, "ada"},
		{"header of ours beside the app's own", []string{"X-Lastseen-Token", ada, "Authorization", "Bearer of-the-app"}, "ada"},
		{"bearer", []string{"Authorization", "Bearer " + ada}, "ada"},
		{"bearer, lower case", []string{"Authorization", "bearer " + ada}, "ada"},
		{"basic", []string{"Authorization", basic("ada", ada)}, "ada"},
		{"basic, another case", []string{"Authorization", basic("Ada", ada)}, "ada"},
		{"basic with another's name", []string{"Authorization", basic("bob", ada)}, ""},
		{"basic without a name", []string{"Authorization", basic("", ada)}, ""},
		{"basic with the password", []string{"Authorization", basic("ada", password)}, ""},
		{"the app's own", []string{"Authorization", "Bearer x"}, ""},
		{"digest", []string{"Authorization", `Digest username="ada"`}, ""},
		{"nonsense", []string{"Authorization", "\xff"}, ""},
		{"twice", []string{"Authorization", "Bearer " + ada, "Authorization", "Bearer " + bob}, ""},
		{"key of ours twice", []string{"X-Lastseen-Token", ada, "X-Lastseen-Token", bob}, ""},
		{"the cookie wins", []string{"Cookie", cookie(token), "Authorization", "Bearer " + ada}, "bob"},
		{"the cookie beside the app's own", []string{"Cookie", cookie(token), "Authorization", "Basic x"}, "bob"},
		{"a bad cookie", []string{"Cookie", cookie("x"), "X-Lastseen-Token", ada}, "ada"},
		{"two cookies, the first bad", []string{"Cookie", cookie("x") + "; " + cookie(token)}, "bob"},
		{"two cookies, the second bad", []string{"Cookie", cookie(token) + "; " + cookie("x")}, "bob"},
	} {
		for _, g := range gates {
			res := ts.asks(g, app1, "/", tt.header...)
			if got := res.Header.Get("X-Authentik-Username"); got != tt.want || (res.StatusCode == 200) != (tt.want != "") {
				t.Errorf("%s by %s: got %d as %q, want %q", tt.name, g.name, res.StatusCode, got, tt.want)
			}
		}
	}
}

func TestGateRules(t *testing.T) {
	t.Parallel()
	ts := guarded(t)
	for name, groups := range map[string][]string{"cook": {"kitchen"}, "admin": {"admins"}, "both": {"admins", "kitchen"}} {
		ts.createUser(name, false, groups...)
	}
	ts.allow("recipes.home.example", "kitchen")
	ts.allow("*.lab.home.example", "admins")
	ts.allow("open.lab.home.example", "kitchen")
	ts.allow("open.lab.home.example", "guests")
	ts.allow("*.x.lab.home.example", "kitchen")
	ts.allow("Twice.Home.Example.", "nobody-yet")
	tokens := map[string]string{"": "none"}
	for _, name := range []string{"ada", "bob", "cook", "admin", "both"} {
		_, tokens[name] = ts.session(name, "81.2.69.142", firefox)
	}
	for _, tt := range []struct{ host, may string }{
		{"free.home.example", "ada bob cook admin both"},
		{"recipes.home.example", "cook both"},
		{"RECIPES.home.example.", "cook both"},
		{"a.recipes.home.example", "ada bob cook admin both"},
		{"lab.home.example", "ada bob cook admin both"}, // *. is for what is below
		{"a.lab.home.example", "admin both"},
		{"a.b.lab.home.example", "admin both"},
		{"open.lab.home.example", "cook both"}, // the exact one wins, and its rules add up
		{"a.x.lab.home.example", "cook both"},  // so does the longer suffix
		{"twice.home.example:8443", ""},
	} {
		for name, token := range tokens {
			want := 403
			if name == "" {
				want = 401
			} else if slices.Contains(strings.Fields(tt.may), name) {
				want = 200
			}
			if res := ts.asks(gates[0], tt.host, "/", "Cookie", cookie(token)); res.StatusCode != want {
				t.Errorf("%s as %q: got %d, want %d", tt.host, name, res.StatusCode, want)
			}
		}
	}
	// Changes count on the next request.
	user, _ := ts.app.UserByName(t.Context(), "cook")
	if err := ts.app.RemoveFromGroup(t.Context(), app.Operator.Actor(), user, "kitchen"); err != nil {
		t.Fatal(err)
	}
	if res := ts.asks(gates[0], "recipes.home.example", "/", "Cookie", cookie(tokens["cook"])); res.StatusCode != 403 {
		t.Errorf("no member any more: got %d", res.StatusCode)
	}
	rules, err := ts.app.Rules(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		if _, err := ts.app.DeleteRule(t.Context(), app.Operator.Actor(), r.ID); err != nil {
			t.Fatal(err)
		}
	}
	if res := ts.asks(gates[0], "recipes.home.example", "/", "Cookie", cookie(tokens["bob"])); res.StatusCode != 200 {
		t.Errorf("no rule any more: got %d", res.StatusCode)
	}
	// The page of a refusal is readable where it is shown.
	ts.allow(app1, "admins")
	path, header := gates[2].ask("https", app1, "/")
	res, body := ts.get(nil, path, append(header, "Cookie", cookie(tokens["bob"]))...)
	if res.StatusCode != 403 || !strings.Contains(body, "You may not open this app") || !strings.Contains(body, `<base href="https://auth.home.example/">`) ||
		!strings.Contains(res.Header.Get("Content-Security-Policy"), "style-src 'self' https://auth.home.example;") {
		t.Errorf("got %d %v %s", res.StatusCode, res.Header, body)
	}
}

func TestOpenPaths(t *testing.T) {
	t.Parallel()
	ts := guarded(t)
	_, token := ts.session("bob", "81.2.69.142", firefox)
	ts.open(app1, "/api/health")
	ts.open(app1, "/public/*")
	ts.open("*.hooks.home.example", "/hook*")
	ts.allow("a.hooks.home.example", "nobody")
	for _, tt := range []struct {
		host, uri string
		open      bool
	}{
		{app1, "/api/health", true},
		{app1, "/api/health?x=y", true},
		{app1, "/public/", true},
		{app1, "/public/a/b.js", true},
		{"GRAFANA.Home.Example:443", "/public/a", true},
		{"a.hooks.home.example", "/hooks", true},
		{app1, "/", false},
		{app1, "/public", false},
		{app1, "/Public/a", false},
		{app1, "/api/health/", false},
		{app1, "/api/healthy", false},
		{app1, "/admin?path=/api/health", false},
		{app1, "/admin?/public/", false},
		{app1, "/public/../admin", false},
		{app1, "/public/./a", false},
		{app1, "/public//a", false},
		{app1, "//public/a", false},
		{app1, "/public/%2e%2e/admin", false},
		{app1, "/public/%2E%2E%2Fadmin", false},
		{app1, "/public/..%2fadmin", false},
		{app1, "/public/%252e%252e/admin", false},
		{app1, "/public/..;/admin", false},
		{app1, "/public/;x=y", false},
		{app1, "/public/%5c..%5cadmin", false},
		{app1, "/public/%00", false},
		{app1, "/%70ublic/a", false},
		{app1, "/public/a%20b", false},
		{app1, "/public/é", false},
		{"other.home.example", "/public/a", false},
		{"hooks.home.example", "/hooks", false},
	} {
		for _, g := range gates {
			res := ts.asks(g, tt.host, tt.uri)
			if got := res.StatusCode == 200; got != tt.open {
				t.Errorf("%s%s by %s: got %d, want open %v", tt.host, tt.uri, g.name, res.StatusCode, tt.open)
			}
			if !tt.open {
				continue
			}
			res = ts.asks(g, tt.host, tt.uri, "Cookie", cookie(token))
			for _, header := range identityHeaders {
				if got := res.Header.Values("X-Authentik-" + header); !g.saysOnce(got) || strings.Join(got, "") != "" {
					t.Errorf("%s%s by %s: %s is %q, want it empty", tt.host, tt.uri, g.name, header, got)
				}
			}
		}
	}
	if n := strings.Count(ts.log.String(), "open path not applied"); n != 1 {
		t.Errorf("%d lines of paths that try to slip through at one time are in the log, want one", n)
	}
}

func TestWrongRules(t *testing.T) {
	t.Parallel()
	ts := guarded(t)
	for _, host := range []string{"", "*", "*.", "a b", "https://a.home.example", "a.home.example/x", "a.home.example:80", "a.*.home.example", "**.home.example", "a..b", ".home.example"} {
		if _, err := ts.app.AllowGroups(t.Context(), app.Operator.Actor(), host, []string{"x"}); err == nil {
			t.Errorf("host %q is taken", host)
		}
	}
	for _, groups := range [][]string{nil, {}, {""}, {"a", "b|c"}} {
		if _, err := ts.app.AllowGroups(t.Context(), app.Operator.Actor(), app1, groups); err == nil {
			t.Errorf("groups %q are taken", groups)
		}
	}
	for _, path := range []string{"", "*", "x", "//", "/a//b", "/a/../b", "/a/.", "/%41", "/a;b", "/a?b", "/a#b", `/a\b`, "/*/a", "/a**", "/ü", "/a b"} {
		if _, err := ts.app.OpenPath(t.Context(), app.Operator.Actor(), app1, path); err == nil {
			t.Errorf("path %q is taken", path)
		}
	}
	if rules, err := ts.app.Rules(t.Context()); err != nil || len(rules) != 0 {
		t.Errorf("got %v, %v", rules, err)
	}
}

func TestRulesPage(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ada, bob := ts.signIn("ada"), ts.signIn("bob")
	for _, path := range []string{"/rules", "/rules/1/delete"} {
		if res, _ := ts.post(bob, path, url.Values{"kind": {"open"}, "host": {app1}, "path": {"/*"}}); res.StatusCode != 403 {
			t.Errorf("post %s as bob: got %d", path, res.StatusCode)
		}
	}
	if res, _ := ts.get(bob, "/rules"); res.StatusCode != 403 {
		t.Errorf("as bob: got %d", res.StatusCode)
	}
	for _, form := range []url.Values{
		{"kind": {"allow"}, "host": {app1}, "groups": {"admins, kitchen"}},
		{"kind": {"open"}, "host": {app1}, "path": {"/public/*"}},
	} {
		if res, body := ts.post(ada, "/rules", form); res.StatusCode != 303 {
			t.Errorf("%v: got %d %s", form, res.StatusCode, body)
		}
	}
	_, body := ts.get(ada, "/rules")
	for _, want := range []string{app1, "admins", "kitchen", "/public/*", `action="/rules/1/delete"`, `action="/rules/2/delete"`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in %s", want, body)
		}
	}
	for _, form := range []url.Values{
		{"kind": {"allow"}, "host": {app1 + "/"}, "groups": {"admins"}},
		{"kind": {"allow"}, "host": {app1}, "groups": {""}},
		{"kind": {"open"}, "host": {app1}, "path": {"/a/../b"}},
		{"kind": {"open"}, "host": {app1}, "path": {"/public/*"}},
		{"kind": {"other"}},
	} {
		if res, body := ts.post(ada, "/rules", form); res.StatusCode != 400 || form.Get("path") != "" && !strings.Contains(body, `id="problem"`) {
			t.Errorf("%v: got %d %s", form, res.StatusCode, body)
		}
	}
	for path, want := range map[string]int{"/rules/1/delete": 303, "/rules/2/delete": 303, "/rules/3/delete": 404, "/rules/x/delete": 404} {
		if res, _ := ts.post(ada, path, nil); res.StatusCode != want {
			t.Errorf("%s: got %d, want %d", path, res.StatusCode, want)
		}
	}
}

// TestNavigation: who follows a link is led to the sign-in page, and a script is told
// in words that it can read. nginx asks start for what it answers.
func TestNavigation(t *testing.T) {
	t.Parallel()
	ts := guarded(t)
	for _, tt := range []struct {
		name     string
		header   []string
		navigate bool
	}{
		{"a browser's link", []string{"Sec-Fetch-Mode", "navigate", "Accept", "text/html,*/*"}, true},
		{"a link, whatever else it says", []string{"Sec-Fetch-Mode", "navigate", "Accept", "application/json", "X-Requested-With", "XMLHttpRequest", "Authorization", "Bearer x"}, true},
		{"fetch", []string{"Sec-Fetch-Mode", "cors", "Accept", "*/*"}, false},
		{"fetch of the app's own", []string{"Sec-Fetch-Mode", "same-origin", "Accept", "text/html"}, false},
		{"a picture", []string{"Sec-Fetch-Mode", "no-cors"}, false},
		{"a socket", []string{"Sec-Fetch-Mode", "websocket"}, false},
		{"an old browser", []string{"Accept", "text/html,application/xhtml+xml"}, true},
		{"a command", []string{"Accept", "*/*"}, true},
		{"nothing said", nil, true},
		{"an old script", []string{"X-Requested-With", "XMLHttpRequest"}, false},
		{"another old script", []string{"X-Requested-With", "xmlhttprequest", "Accept", "text/html"}, false},
		{"JSON", []string{"Accept", "application/json"}, false},
		{"JSON of a kind", []string{"Accept", "application/vnd.api+json"}, false},
		{"JSON or HTML", []string{"Accept", "application/json, text/html"}, true},
		{"a wrong key of ours", []string{"X-Lastseen-Token", "x"}, false},
		{"a wrong bearer", []string{"Authorization", "Bearer x", "Accept", "text/html"}, false},
		{"a wrong password", []string{"Authorization", "Basic YTpi"}, false},
		{"digest, which is the app's", []string{"Authorization", "Digest x"}, true},
	} {
		answers := map[string]*http.Response{}
		for _, g := range gates {
			if !g.isNginx() {
				answers[g.name] = ts.asks(g, app1, "/d?x=y", tt.header...)
			}
		}
		answers["start"], _ = ts.get(nil, "/outpost.goauthentik.io/start?rd=https://grafana.home.example/d?x=y", append(tt.header, "Host", app1)...)
		for name, res := range answers {
			login := "https://auth.home.example/login?rd=" + url.QueryEscape("https://grafana.home.example/d?x=y")
			if tt.navigate {
				if res.StatusCode != 302 || res.Header.Get("Location") != login {
					t.Errorf("%s by %s: got %d to %s", tt.name, name, res.StatusCode, res.Header.Get("Location"))
				}
			} else if res.StatusCode != 401 || res.Header.Get("Content-Type") != "application/json" || res.Header.Get("Location") != "" {
				t.Errorf("%s by %s: got %d %v", tt.name, name, res.StatusCode, res.Header)
			}
		}
	}
	_, body := ts.get(nil, "/outpost.goauthentik.io/start?rd=https://grafana.home.example/", "Sec-Fetch-Mode", "cors")
	if want := `{"detail":"Sign in first.","login_url":"https://auth.home.example/login?rd=https%3A%2F%2Fgrafana.home.example%2F"}`; body != want {
		t.Errorf("got %s, want %s", body, want)
	}
}

// TestGateOfOurOwn: asked about the sign-in itself the gate says so, instead of leading
// there for ever.
func TestGateOfOurOwn(t *testing.T) {
	t.Parallel()
	ts := guarded(t)
	_, token := ts.session("ada", "81.2.69.142", firefox)
	for host, want := range map[string]string{
		"auth.home.example": "The gate guards the sign-in itself", "AUTH.home.example.": "The gate guards the sign-in itself",
		"auth.home.example:443": "The gate guards the sign-in itself", "auth.home.example:8443": "",
	} {
		for _, g := range gates {
			for _, header := range [][]string{nil, {"Cookie", cookie(token)}} {
				path, own := g.ask("https", host, "/login")
				res, body := ts.get(nil, path, append(own, header...)...)
				if got := res.StatusCode == 403 && strings.Contains(body, "The gate guards the sign-in itself"); got != (want != "") {
					t.Errorf("%s by %s: got %d %s", host, g.name, res.StatusCode, body)
				}
			}
		}
	}
}

// TestBackToTheApp: what cannot be led back to leads to the app's root, never to a page
// of ours or an error.
func TestBackToTheApp(t *testing.T) {
	t.Parallel()
	ts := guarded(t)
	for rd, want := range map[string]string{
		"https://grafana.home.example/x?y=z":                               "https://grafana.home.example/x?y=z",
		"https://grafana.home.example//x":                                  "https://grafana.home.example/",
		"https://grafana.home.example/%zz":                                 "https://grafana.home.example/",
		"https://grafana.home.example:8443//x":                             "https://grafana.home.example:8443/",
		"https://grafana.home.example/" + strings.Repeat("x", maxTarget):   "https://grafana.home.example/",
		"https://grafana.home.example/?" + strings.Repeat("%FF", 60<<10/3): "https://grafana.home.example/",
		"https://ada@grafana.home.example//x":                              "",
		"https://evil.example/":                                            "",
		"//evil.example/":                                                  "/sessions",
		"/login":                                                           "/sessions",
	} {
		res, _ := ts.get(nil, "/outpost.goauthentik.io/start?rd="+rd)
		if want == "" {
			if res.StatusCode != 403 {
				t.Errorf("%.60s: got %d, want 403", rd, res.StatusCode)
			}
		} else if got := res.Header.Get("Location"); got != "https://auth.home.example/login?rd="+url.QueryEscape(want) {
			t.Errorf("%.60s: got %d to %s, want %s", rd, res.StatusCode, got, want)
		}
	}
}

// TestUntrustedPeer: page and log say that a proxy is not trusted, and where to.
func TestUntrustedPeer(t *testing.T) {
	t.Parallel()
	ts := newServer(t, "public-url=https://auth.home.example", "cookie-domain=home.example")
	for _, path := range []string{"/outpost.goauthentik.io/auth/nginx", "/outpost.goauthentik.io/auth/caddy", "/outpost.goauthentik.io/denied"} {
		res, body := ts.get(nil, path, "X-Original-URL", "https://grafana.home.example/", "Host", app1)
		if res.StatusCode != 403 || !strings.Contains(body, "--trusted-proxies") || strings.Contains(body, "group") {
			t.Errorf("%s: got %d %s", path, res.StatusCode, body)
		}
	}
	if log := ts.log.String(); strings.Count(log, "level=WARN") != 1 || !strings.Contains(log, "setting=--trusted-proxies ip=127.0.0.1") {
		t.Errorf("the log says %s", log)
	}
}

// Apps are told what is true of a user now, however their identity was kept.
func TestIdentityOfAChangedUser(t *testing.T) {
	var all identities
	ada := db.User{ID: 1, UUID: uuid.New(), Username: "ada", Name: "Ada", Email: "ada@home.example", Groups: []db.Group{{UUID: uuid.New(), Name: "family"}}}
	kept := all.of(&ada)
	if same := ada; all.of(&same) != kept {
		t.Error("another identity of the same user")
	}
	for i, change := range []func(u *db.User){
		func(u *db.User) { u.Username = "lovelace" },
		func(u *db.User) { u.Groups = []db.Group{{UUID: u.Groups[0].UUID, Name: "friends"}} },
		func(u *db.User) { u.Email = "" },
		func(u *db.User) { u.Name = "Ada Lovelace" },
		func(u *db.User) { u.UUID = uuid.New() }, // one with the number of another
	} {
		changed := ada
		change(&changed)
		if before, now := all.of(&ada).values[i][0], all.of(&changed).values[i][0]; now == before {
			t.Errorf("%s: %q as before", passHeaders[i], now)
		}
	}
}
