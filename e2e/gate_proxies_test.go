package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestProxies drives the same requests through each proxy.
func TestProxies(t *testing.T) {
	for _, proxy := range []struct {
		name         string
		keepsCookie  bool // the app gets to see the session's cookie
		program      func(t *testing.T) string
		serve        func(g *guard, program string)
		forwardedFor string // of the app
	}{
		{name: "nginx", program: func(t *testing.T) string { return program(t, "", "nginx", "/usr/sbin/nginx") }, serve: func(g *guard, program string) {
			g.nginx(program, g.snippet("nginx"))
		}},
		{name: "npm", program: func(t *testing.T) string { return program(t, "", "nginx", "/usr/sbin/nginx") }, serve: func(g *guard, program string) {
			g.nginx(program, g.npm("app.lastseen.test"))
		}},
		{name: "caddy", program: func(t *testing.T) string { return program(t, "", "caddy") }, serve: serveCaddy},
		{name: "newer caddy", program: func(t *testing.T) string { return program(t, "LASTSEEN_TEST_CADDY") }, serve: serveCaddy},
		{name: "traefik", keepsCookie: true, program: func(t *testing.T) string { return program(t, "LASTSEEN_TEST_TRAEFIK", "traefik") }, serve: func(g *guard, program string) {
			g.traefik(program)
		}},
	} {
		t.Run(proxy.name, func(t *testing.T) {
			path := proxy.program(t)
			t.Parallel()
			g := newGuard(t)
			proxy.serve(g, path)
			g.check(proxy.name, proxy.keepsCookie)
		})
	}
}

func (g *guard) check(proxy string, keepsCookie bool) {
	t := g.t

	// Signing in leads back to the very page, and the app is told who it is.
	const page = "/deep/page?x=1&y=a%20b&rd=http://evil.example/"
	zoe, saw := g.signIn("zoë", page)
	groups := saw.Header.Get("X-Authentik-Groups")
	if saw.URI != page || saw.Host != "app.lastseen.test:"+g.port || saw.Header.Get("X-Authentik-Username") != "zoë" || groups != "Küche|members" && groups != "members|Küche" {
		t.Errorf("after signing in the app saw %+v", saw)
	}
	if got := strings.Contains(saw.Header.Get("Cookie"), "lastseen_session="); got != keepsCookie {
		t.Errorf("the app sees the session's cookie: %v", got)
	}
	// An app that sets a cookie of that name does not come to see the other.
	for _, more := range []string{"lastseen_session=junk", "a=b; lastseen_session=junk;lastseen_session=more; c=d"} {
		if got := g.get(zoe, "/", "Cookie", more).Header.Get("Cookie"); !keepsCookie && strings.Contains(got, "lastseen_session=") {
			t.Errorf("with %s beside it the app sees %q", more, got)
		}
	}
	if got := g.get(zoe, "/", "Cookie", "a=b; c=d").Header.Get("Cookie"); !strings.Contains(got, "a=b; c=d") {
		t.Errorf("the app's own cookies: got %q", got)
	}

	// What a client claims of itself goes no further, signed in or not.
	forged := []string{"X-Forwarded-For", "6.6.6.6", "X-Forwarded-Host", "forged.lastseen.test", "X-Forwarded-Uri", "/open/x", "X-Forwarded-Proto", "https",
		"X-Original-Url", g.app + "/open/x", "X-Original-Uri", "/open/x", "X-Forwarded-Method", "HEAD", "User-Agent", "browser/1"}
	for _, name := range []string{"Username", "Groups", "Entitlements", "Email", "Name", "Uid", "Jwt", "Meta-Jwks", "Meta-Outpost", "Meta-Provider", "Meta-App", "Meta-Version"} {
		for _, alias := range []string{"X-authentik-" + name, "X_authentik_" + name, "X-Authentik_" + name, "x_Authentik-" + name, "X.Authentik." + name} {
			forged = append(forged, alias, "forged")
		}
	}
	for _, path := range []string{"/x", "/open/x"} {
		saw := g.get(zoe, path, forged...)
		for name, values := range saw.Header {
			if strings.Contains(strings.Join(values, " "), "forged") && name != "X-Forwarded-Host" {
				t.Errorf("%s: the app sees %s: %q", path, name, values)
			}
		}
		if got := saw.Header.Get("X-Forwarded-For"); got != "127.0.0.1" {
			t.Errorf("%s: the app sees X-Forwarded-For %q", path, got)
		}
		if want := map[string]string{"/x": "zoë"}[path]; saw.Header.Get("X-Authentik-Username") != want {
			t.Errorf("%s: the app sees user %q, want %q", path, saw.Header.Get("X-Authentik-Username"), want)
		}
	}
	nobody := g.browser(false)
	g.get(nobody, "/open/x")
	for mode, want := range map[string]int{"navigate": 302, "cors": 401, "websocket": 401} {
		if res, body := g.ask(nobody, "POST", g.app+"/x", "a=b", "Sec-Fetch-Mode", mode); res.StatusCode != want || want == 401 && !strings.Contains(body, `"login_url":"http://auth.lastseen.test`) {
			t.Errorf("%s: got %d %s", mode, res.StatusCode, body)
		}
	}
	res, _ := g.ask(nobody, "GET", g.app+"/x", "", forged...)
	if res.StatusCode != 302 {
		t.Errorf("forged headers of an open path: got %d", res.StatusCode)
	}
	// A request line with %2f or .. in it may be refused by the proxy itself.
	for _, path := range []string{"/open/%2e%2e/x", "/open/..%2fx", "/open//x", "/open/;/../x", "/open/%5c..%5cx"} {
		before := g.hits.Load()
		res, body := g.ask(nobody, "GET", g.app+path, "")
		if cleaned := strings.Contains(body, `"URI":"/open/x"`); !cleaned && (res.StatusCode < 300 || g.hits.Load() != before) {
			t.Errorf("%s: got %d %s", path, res.StatusCode, body)
		}
	}

	// The session follows what the proxy saw.
	if s := g.sessions("zoë"); len(s) != 1 || s[0].LastIP != "127.0.0.1" || s[0].LastUserAgent+s[0].LastUserAgent_.String == "" || !strings.Contains(fmt.Sprint(s), "browser/1") {
		t.Errorf("sessions: got %+v", s)
	}

	g.checkUpgrades(zoe)
	g.checkText(zoe, proxy, keepsCookie)
	t.Run("scripts", g.checkScripts)

	// The app's requests arrive whole.
	res, body := g.ask(zoe, "POST", g.app+"/form", "a=b&c=d")
	if err := json.Unmarshal([]byte(body), &saw); err != nil || saw.Method != "POST" || saw.Body != "a=b&c=d" {
		t.Errorf("post: got %d %s", res.StatusCode, body)
	}

	// Nobody but the proxy asks the gate itself.
	for _, host := range []string{"app", "auth"} {
		for _, path := range []string{"nginx", "traefik", "caddy", "envoy/open/x"} {
			u := fmt.Sprintf("http://%s.lastseen.test:%s/outpost.goauthentik.io/auth/%s", host, g.port, path)
			before := g.hits.Load()
			if res, _ := g.ask(zoe, "GET", u, "", forged...); res.StatusCode < 400 && g.hits.Load() == before {
				t.Errorf("%s: got %d", u, res.StatusCode) // and not from the app
			}
		}
	}

	// Who is in no group that may gets a page that says so.
	eve := g.browser(true)
	form := url.Values{"username": {"eve"}, "password": {"correct horse"}}
	g.ask(eve, "POST", "http://auth.lastseen.test:"+g.port+"/login", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	before := g.hits.Load()
	if res, body := g.ask(eve, "GET", g.app+"/", ""); res.StatusCode != 403 || !strings.Contains(body, "You may not open this app") || g.hits.Load() != before {
		t.Errorf("no member: got %d %s", res.StatusCode, body)
	}
	// Nor does it help to name another host in the Host header than in the request line.
	for _, host := range []string{"app.lastseen.test", "other.lastseen.test"} {
		other := map[string]string{"app.lastseen.test": "other.lastseen.test", "other.lastseen.test": "app.lastseen.test"}[host]
		u, _ := url.Parse("http://auth.lastseen.test:" + g.port)
		g.raw(fmt.Sprintf("GET http://%s:%s/x HTTP/1.1\r\nHost: %s:%s\r\nCookie: %s\r\nConnection: close\r\n\r\n", host, g.port, other, g.port, eve.Jar.Cookies(u)[0]))
		if g.hits.Load() != before {
			t.Errorf("%s with Host %s: the app was asked", host, other)
		}
	}

	// API keys pass, and the app does not get to see ours.
	key, errs, status := execute(t, g.data, "", "token", "create", "--user", "zoë")
	if status != 0 {
		t.Fatal(errs)
	}
	key = strings.TrimSpace(key)
	if saw := g.get(nobody, "/", "X-Lastseen-Token", key, "Authorization", "Bearer of-the-app"); saw.Header.Get("X-Lastseen-Token") != "" ||
		saw.Header.Get("X-Authentik-Username") != "zoë" || saw.Header.Get("Authorization") != "Bearer of-the-app" {
		t.Errorf("by key: the app saw %v", saw.Header)
	}
	g.get(nobody, "/", "Authorization", "Bearer "+key)
	if res, _ := g.ask(nobody, "GET", g.app+"/", "", "Authorization", "Bearer x"); res.StatusCode != 401 {
		t.Errorf("a wrong key: got %d", res.StatusCode)
	}

	g.underLoad(t)

	// Signing out on the app's host asks on ours, and ends it all.
	res, body = g.ask(zoe, "GET", g.app+"/outpost.goauthentik.io/sign_out", "")
	if want := "http://auth.lastseen.test:" + g.port + "/outpost.goauthentik.io/sign_out"; res.StatusCode != 302 || !strings.HasPrefix(res.Header.Get("Location"), want) {
		t.Errorf("sign out: got %d to %s %s", res.StatusCode, res.Header.Get("Location"), body)
	}
	if res, body = g.ask(zoe, "GET", res.Header.Get("Location"), ""); res.StatusCode != 200 || !strings.Contains(body, "app.lastseen.test") {
		t.Errorf("sign out: got %d %s", res.StatusCode, body)
	}
	g.get(zoe, "/")
	g.ask(zoe, "POST", "http://auth.lastseen.test:"+g.port+"/outpost.goauthentik.io/sign_out", "", "Sec-Fetch-Site", "same-origin")
	if !g.refused(zoe, "/") {
		t.Error("signed out, and not refused")
	}

	// So does ending it elsewhere, with the next request.
	zoe, _ = g.signIn("zoë", "/")
	if _, errs, status := execute(t, g.data, "", "session", "revoke", g.sessions("zoë")[0].UUID); status != 0 {
		t.Fatal(errs)
	}
	if !g.refused(zoe, "/") {
		t.Error("revoked, and not refused")
	}
	zoe, _ = g.signIn("zoë", "/")
	if _, errs, status := execute(t, g.data, "", "user", "group", "remove", "zoë", "members"); status != 0 {
		t.Fatal(errs)
	}
	if res, _ := g.ask(zoe, "GET", g.app+"/", ""); res.StatusCode != 403 {
		t.Errorf("no member any more: got %d", res.StatusCode)
	}
	if _, errs, status := execute(t, g.data, "", "user", "disable", "zoë"); status != 0 {
		t.Fatal(errs)
	}
	if !g.refused(zoe, "/") {
		t.Error("disabled, and not refused")
	}
	if res, _ := g.ask(nobody, "GET", g.app+"/", "", "X-Lastseen-Token", key); res.StatusCode != 401 {
		t.Errorf("the key of a disabled user: got %d", res.StatusCode)
	}
}

// underLoad revokes sessions while they ask over kept connections. From the
// moment that a revocation is answered, no request may pass.
func (g *guard) underLoad(t *testing.T) {
	const sessions, requests = 6, 60
	known := map[string]bool{}
	for _, s := range g.sessions("zoë") {
		known[s.UUID] = true
	}
	var wait sync.WaitGroup
	var passed, refused atomic.Int64
	for range sessions {
		client, _ := g.signIn("zoë", "/load")
		id := ""
		for _, s := range g.sessions("zoë") {
			if !known[s.UUID] {
				id, known[s.UUID] = s.UUID, true
			}
		}
		wait.Go(func() {
			for i := range requests {
				if i == requests/2 {
					g.api("DELETE", "/core/authenticated_sessions/"+id+"/", nil)
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
				case res.StatusCode == 200 && i < requests/2:
					passed.Add(1)
				case res.StatusCode == 302 && i >= requests/2:
					refused.Add(1)
				default:
					t.Errorf("request %d of %d: got %d", i, requests, res.StatusCode)
				}
			}
		})
	}
	wait.Wait()
	if passed.Load() != sessions*requests/2 || refused.Load() != sessions*requests/2 {
		t.Errorf("%d passed and %d were refused of %d", passed.Load(), refused.Load(), sessions*requests)
	}
}
