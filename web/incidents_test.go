package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"lastseen/app"
	"lastseen/db"
)

// What went wrong in other gates. Each case is one that let somebody in, or
// told an app a wrong name, there; the reference is in its name.
func TestHolesOfOtherGates(t *testing.T) {
	t.Parallel()
	ts := guarded(t)
	ts.open(app1, "/status")
	ts.open(app1, "/public/*")
	ts.createUser("guest", false)
	ts.allow("admin.home.example", "admins")
	_, guest := ts.session("guest", "81.2.69.142", firefox)
	const nginx, traefik, caddy, envoy = "/outpost.goauthentik.io/auth/nginx", "/outpost.goauthentik.io/auth/traefik", "/outpost.goauthentik.io/auth/caddy", "/outpost.goauthentik.io/auth/envoy"
	forwarded := func(host, uri string, more ...string) []string {
		return append([]string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", host, "X-Forwarded-Uri", uri}, more...)
	}
	for _, tt := range []struct {
		name   string
		path   string
		header []string
		want   int
	}{
		{"CVE-2024-47070: an address that does not parse skips the password", nginx, []string{"X-Original-URL", "https://" + app1 + "/", "X-Forwarded-For", "a"}, 400},
		{"CVE-2024-47070: likewise with a session", nginx, []string{"X-Original-URL", "https://" + app1 + "/", "X-Forwarded-For", "198.51.100.1, a", "Cookie", cookie(guest)}, 400},
		{"CVE-2023-36456: an address with a port too many", traefik, forwarded(app1, "/", "X-Forwarded-For", "198.51.100.1:99999"), 400},
		{"CVE-2026-34457: the user agent of a health check", nginx, []string{"X-Original-URL", "https://" + app1 + "/", "User-Agent", "kube-probe/1.29"}, 401},
		{"CVE-2026-34457: likewise", caddy, forwarded(app1, "/", "User-Agent", "GoogleHC/1.0"), 302},
		{"CVE-2025-54576: an open path in the query", nginx, []string{"X-Original-URL", "https://" + app1 + "/admin?path=/status"}, 401},
		{"CVE-2025-54576: an open path after the query's mark", traefik, forwarded(app1, "/admin?/status"), 302},
		{"CVE-2025-54576: an open path within the path", traefik, forwarded(app1, "/admin/status"), 302},
		{"GHSA-pxq7-h93f-9jrg: a fragment as part of the path", traefik, forwarded(app1, "/admin#/status"), 400},
		{"GHSA-pxq7-h93f-9jrg: likewise", nginx, []string{"X-Original-URL", "https://" + app1 + "/status#/../admin"}, 400},
		{"CVE-2021-32637: a URL that does not parse", nginx, []string{"X-Original-URL", "https://" + app1 + "/%zz"}, 400},
		{"CVE-2021-32637: no URL at all", nginx, nil, 400},
		{"CVE-2021-32637: an empty URL", nginx, []string{"X-Original-URL", ""}, 400},
		{"CVE-2021-32637: an address that is no URL", nginx, []string{"X-Original-URL", "//" + app1 + "/"}, 400},
		{"CVE-2021-32637: with a session", nginx, []string{"X-Original-URL", "https://" + app1 + "/%", "Cookie", cookie(guest)}, 400},
		{"GHSA-3q34-rx83-r6mq: an open prefix left by ..", traefik, forwarded(app1, "/public/../admin"), 302},
		{"GHSA-3q34-rx83-r6mq: an encoded dot", caddy, forwarded(app1, "/public/%2e%2e/admin"), 302},
		{"CVE-2021-31920: an encoded slash", traefik, forwarded(app1, "/public%2f..%2fadmin"), 302},
		{"CVE-2025-29914: two slashes", traefik, forwarded(app1, "//status"), 302},
		{"CVE-2020-24660: an encoded letter of the path", nginx, []string{"X-Original-URL", "https://" + app1 + "/%70ublic/x"}, 401},
		{"CVE-2026-48794: a host in another case", traefik, forwarded("Admin.HOME.example", "/", "Cookie", cookie(guest)), 403},
		{"CVE-2026-48794: a host with its last dot", nginx, []string{"X-Original-URL", "https://admin.home.example./", "Cookie", cookie(guest)}, 403},
		{"CVE-2026-48794: a host with a port", traefik, forwarded("admin.home.example:8443", "/", "Cookie", cookie(guest)), 403},
		{"CVE-2026-35051: a prefix that nobody asked for", traefik, forwarded(app1, "/admin", "X-Forwarded-Prefix", "/status"), 302},
		{"CVE-2026-39858: a header twice", traefik, forwarded(app1, "/admin", "X-Forwarded-Uri", "/status"), 400},
		{"CVE-2026-39858: a host twice", traefik, forwarded("admin.home.example", "/", "X-Forwarded-Host", app1, "Cookie", cookie(guest)), 400},
		{"CVE-2026-39858: a list in one header", traefik, forwarded("admin.home.example, "+app1, "/", "Cookie", cookie(guest)), 400},
		{"CVE-2026-33433: an alias with an underscore", traefik, []string{"X_Forwarded_Uri", "/status", "X-Forwarded-Proto", "https", "X-Forwarded-Host", app1}, 400},
		{"CVE-2026-40575: another proxy's header beside its own", nginx, []string{"X-Original-URL", "https://" + app1 + "/admin", "X-Original-URI", "/status"}, 400},
		{"CVE-2026-40575: a header of another proxy alone", nginx, forwarded(app1, "/status"), 400},
		{"CVE-2026-40575: nginx's header where Envoy's path counts", envoy + "/admin", []string{"Host", app1, "X-Original-URL", "https://" + app1 + "/status", "X-Forwarded-Uri", "/status"}, 302},
		{"userinfo that looks like the host", traefik, forwarded("admin.home.example@"+app1, "/", "Cookie", cookie(guest)), 400},
		{"GHSA-jjmg-x456-w976: a cookie of a name like ours", nginx, []string{"X-Original-URL", "https://" + app1 + "/", "Cookie", "__Host-" + cookie(guest)}, 401},
		{"GHSA-hp74-gm6m-2qm5: a made-up cookie", nginx, []string{"X-Original-URL", "https://" + app1 + "/", "Cookie", sessionCookie + "=true"}, 401},
	} {
		res, _ := ts.get(nil, tt.path, tt.header...)
		if res.StatusCode != tt.want || res.Header.Get("X-Authentik-Username") != "" {
			t.Errorf("%s: got %d as %q, want %d", tt.name, res.StatusCode, res.Header.Get("X-Authentik-Username"), tt.want)
		}
	}
}

// CVE-2026-40575, CVE-2020-28483: what a stranger says of the URL or the client
// counts for nothing. CVE-2026-76835: and by default everybody is a stranger.
func TestStrangersCannotAsk(t *testing.T) {
	t.Parallel()
	for name, setting := range map[string]string{"by default": "trusted-proxies=", "another proxy": "trusted-proxies=10.0.0.1", "a network": "trusted-proxies=192.168.0.0/16,fd00::/8"} {
		ts := guarded(t, setting)
		ts.open(app1, "/public/*")
		sess, token := ts.session("bob", "81.2.69.142", firefox)
		for _, g := range gates {
			for _, uri := range []string{"/", "/public/x"} {
				res := ts.asks(g, app1, uri, "Cookie", cookie(token), "X-Forwarded-For", "127.0.0.1", "X-Real-IP", "10.0.0.1", "Forwarded", "for=10.0.0.1")
				if res.StatusCode != 403 || res.Header.Get("X-Authentik-Username") != "" {
					t.Errorf("%s, %s%s: got %d", name, g.name, uri, res.StatusCode)
				}
			}
		}
		// Nor does it become the address that the session is shown with (CVE-2024-54450).
		ts.get(nil, "/sessions", "Cookie", cookie(token), "X-Forwarded-For", "1.2.3.4")
		seen, err := ts.app.Session(t.Context(), app.Operator, sess.UUID)
		if err != nil || seen.IP.String() != "127.0.0.1" || seen.Via.IsValid() {
			t.Errorf("%s: used from %v via %v, %v", name, seen.IP, seen.Via, err)
		}
	}
}

// authentik#18063: a session that cannot be looked up is a refusal. So are rules.
func TestGateWithoutDatabase(t *testing.T) {
	t.Parallel()
	ts := guarded(t)
	ts.open(app1, "/public/*")
	_, token := ts.session("bob", "81.2.69.142", firefox)
	if err := ts.store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, g := range gates {
		for _, uri := range []string{"/", "/public/x"} {
			if res := ts.asks(g, app1, uri, "Cookie", cookie(token)); res.StatusCode != 503 || res.Header.Get("X-Authentik-Username") != "" {
				t.Errorf("%s%s: got %d, want 503", g.name, uri, res.StatusCode)
			}
		}
	}
}

// CVE-2025-29928, CVE-2025-4754, CVE-2026-43983: what ends a session, its user or
// their key ends it at the gate on the next request, by whichever way they came.
func TestGateAfterTheEnd(t *testing.T) {
	t.Parallel()
	type secrets struct{ cookie, key string }
	for name, end := range map[string]func(*testServer, secrets){
		"deleted by the API": func(ts *testServer, s secrets) {
			var page struct{ Results []struct{ UUID string } }
			ts.api(s.key, "GET", "/core/authenticated_sessions/", &page)
			for _, sess := range page.Results {
				if status, body := ts.api(s.key, "DELETE", "/core/authenticated_sessions/"+sess.UUID+"/", nil); status != 204 {
					t.Error(status, body)
				}
			}
			if err := ts.app.DeleteToken(t.Context(), app.Operator.Actor(), ts.onlyToken("eve")); err != nil {
				t.Error(err)
			}
		},
		"user disabled": func(ts *testServer, _ secrets) {
			user, _ := ts.app.UserByName(t.Context(), "eve")
			if err := ts.app.SetUserActive(t.Context(), app.Operator.Actor(), user, false); err != nil {
				t.Error(err)
			}
		},
		"user deleted": func(ts *testServer, _ secrets) {
			user, _ := ts.app.UserByName(t.Context(), "eve")
			if err := ts.app.DeleteUser(t.Context(), app.Operator.Actor(), user); err != nil {
				t.Error(err)
			}
		},
		"out of the group": func(ts *testServer, _ secrets) {
			user, _ := ts.app.UserByName(t.Context(), "eve")
			if err := ts.app.RemoveFromGroup(t.Context(), app.Operator.Actor(), user, "family"); err != nil {
				t.Error(err)
			}
		},
		"a rule for others": func(ts *testServer, _ secrets) { ts.allow("sub."+app1, "others") },
	} {
		ts := guarded(t)
		ts.createUser("eve", false, "family")
		ts.allow("*."+app1, "family")
		_, token := ts.session("eve", "81.2.69.142", firefox)
		s := secrets{token, ts.key("eve")}
		pass := func(header ...string) bool { return ts.asks(gates[0], "sub."+app1, "/", header...).StatusCode == 200 }
		ways := [][]string{{"Cookie", cookie(s.cookie)}, {"X-Lastseen-Token", s.key}, {"Authorization", "Bearer " + s.key}}
		for _, way := range ways {
			if !pass(way...) {
				t.Errorf("%s: %s is refused before", name, way[0])
			}
		}
		end(ts, s)
		for _, way := range ways {
			if pass(way...) {
				t.Errorf("%s: %s passes afterwards", name, way[0])
			}
		}
	}
}

// GHSA-qqxw-m5fj-f7gv, GHSA-j7px-6hwj-hpjg, GHSA-5m6c-jp6f-2vcv, GHSA-4mf2-f3wh-gvf2,
// CVE-2026-83589, CVE-2026-81509: signing in leads to no stranger's page, by
// whichever door the target comes in.
func TestNoOpenRedirect(t *testing.T) {
	t.Parallel()
	ts := guarded(t)
	for _, rd := range []string{
		"https://evil.example/", "//evil.example/", `/\evil.example/`, `\\evil.example`, "/\t/evil.example", "/%09/evil.example", "/\u00a0/evil.example",
		"https://evilhome.example/", "https://home.example.evil.example/", "https://home.example@evil.example/", `https://evil.example\.home.example/`,
		"https://evil.example%2f.home.example/", "https:evil.example", "http:///evil.example", "javascript:alert(1)//home.example", "https://[::1]/", "https://evil.example#.home.example/",
	} {
		for door, location := range map[string]string{
			"start":             ts.location("GET", "/outpost.goauthentik.io/start?rd="+url.QueryEscape(rd), nil),
			"start, unencoded":  ts.location("GET", "/outpost.goauthentik.io/start?rd="+strings.NewReplacer("\t", "%09", " ", "%20", "\u00a0", "%C2%A0", `\`, "%5C").Replace(rd), nil),
			"sign-in":           ts.location("POST", "/login", url.Values{"username": {"bob"}, "password": {password}, "rd": {rd}}),
			"sign-in, of query": ts.location("POST", "/login?rd="+url.QueryEscape(rd), url.Values{"username": {"bob"}, "password": {password}}),
		} {
			u, err := url.Parse(location)
			if err != nil || u.Host != "" && u.Host != "auth.home.example" || strings.HasPrefix(location, "//") {
				t.Errorf("%s by %s: leads to %q", rd, door, location)
				continue
			}
			inner := u.Query().Get("rd")
			if at, err := url.Parse(inner); err != nil || at.Host != "" && at.Host != "auth.home.example" || strings.HasPrefix(inner, "//") || strings.ContainsAny(inner, "\\\t") {
				t.Errorf("%s by %s: passes on %q", rd, door, inner)
			}
		}
	}
	// caddy-security#269: our own address comes from the settings, whatever the request says.
	res, _ := ts.get(nil, "/outpost.goauthentik.io/auth/traefik", "X-Forwarded-Proto", "https", "X-Forwarded-Host", app1, "X-Forwarded-Uri", "/", "Host", "evil.example")
	if got := res.Header.Get("Location"); !strings.HasPrefix(got, "https://auth.home.example/login?") {
		t.Errorf("to sign in: got %q", got)
	}
}

// onlyToken is the one API token that a user has.
func (ts *testServer) onlyToken(name string) db.Token {
	ts.t.Helper()
	tokens, _, err := ts.app.Tokens(ts.t.Context(), app.Operator, db.TokenFilter{Username: &name, Limit: 2})
	if err != nil || len(tokens) != 1 {
		ts.t.Fatalf("tokens of %s: %v, %v", name, tokens, err)
	}
	return tokens[0]
}

// location is where an answer leads, "" for a page.
func (ts *testServer) location(method, path string, form url.Values) string {
	ts.t.Helper()
	var res *http.Response
	if method == "POST" {
		res, _ = ts.post(ts.browser(), path, form)
	} else {
		res, _ = ts.get(nil, path)
	}
	if res.StatusCode >= 500 {
		ts.t.Errorf("%s %s: got %d", method, path, res.StatusCode)
	}
	return res.Header.Get("Location")
}

// CVE-2026-54763, GHSA-7r4p-vjf4-gxv4: an identity that the client sends itself
// is never what the gate answers, whatever it is called.
func TestForgedIdentity(t *testing.T) {
	t.Parallel()
	ts := guarded(t)
	ts.open(app1, "/public/*")
	ts.createUser("zoe", true) // whose name no random uid in hexadecimal digits contains
	_, token := ts.session("bob", "81.2.69.142", firefox)
	forged := []string{"X-Authentik-Username", "zoe", "X_Authentik_Username", "zoe", "X-Authentik-Groups", "admins", "Remote-User", "zoe", "X-Authentik-Uid", "1"}
	for _, g := range gates {
		for uri, want := range map[string]string{"/": "bob", "/public/x": ""} {
			res := ts.asks(g, app1, uri, append(slices.Clone(forged), "Cookie", cookie(token))...)
			for _, header := range identityHeaders {
				values := res.Header.Values("X-Authentik-" + header)
				value := strings.Join(values, "")
				if !g.saysOnce(values) || strings.Contains(value, "zoe") || strings.Contains(value, "admins") || value == "1" {
					t.Errorf("%s%s: %s is %q", g.name, uri, header, values)
				}
			}
			if got := res.Header.Get("X-Authentik-Username"); got != want {
				t.Errorf("%s%s: got %q, want %q", g.name, uri, got, want)
			}
		}
	}
}
