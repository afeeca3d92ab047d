package web

import (
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lastseen/app"

	"github.com/google/uuid"
)

const (
	wiki  = "wiki.other.example"
	shop  = "app.home.example"
	named = shop + "," + wiki + ",*.media.example"
)

// separate is a server whose apps have a cookie each, on two domains.
func separate(t testing.TB, settings ...string) *testServer {
	t.Helper()
	return newServer(t, append([]string{"public-url=https://auth.home.example", "apps=" + named, "trusted-proxies=127.0.0.1"}, settings...)...)
}

// A visitor is a browser with cookies by host and scheme, in front of a proxy that
// relays what is ours and asks about the rest.
type visitor struct {
	ts  *testServer
	g   gate
	jar *cookiejar.Jar
	// trail is where it was led, in turn.
	trail []string
}

func (ts *testServer) visitor(g gate) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		ts.t.Fatal(err)
	}
	return &visitor{ts: ts, g: g, jar: jar}
}

// open asks for a URL once, as a navigation.
func (v *visitor) open(target string, header ...string) (*http.Response, string) {
	v.ts.t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		v.ts.t.Fatal(err)
	}
	path, extra := u.RequestURI(), header
	header = append(slices.Clone(extra), "Host", u.Host, "X-Forwarded-Proto", u.Scheme, "X-Forwarded-For", "81.2.69.142")
	if u.Hostname() != "auth.home.example" && !strings.HasPrefix(u.Path, gatePrefix+"/") {
		var own []string
		path, own = v.g.ask(u.Scheme, u.Host, u.RequestURI())
		header = append(append(own, "X-Forwarded-For", "81.2.69.142"), extra...)
	}
	for _, cookie := range v.jar.Cookies(u) {
		header = append(header, "Cookie", cookie.Name+"="+cookie.Value)
	}
	res, body := v.ts.get(nil, path, header...)
	if res.StatusCode == http.StatusUnauthorized && v.g.isNginx() { // as its configuration goes on
		header = []string{"Host", u.Host, "X-Forwarded-Proto", u.Scheme}
		for _, cookie := range v.jar.Cookies(u) {
			header = append(header, "Cookie", cookie.Name+"="+cookie.Value)
		}
		res, body = v.ts.get(nil, startPath+"?rd="+target, header...)
	}
	v.jar.SetCookies(u, res.Cookies())
	return res, body
}

// follow opens a URL and goes where that leads, and answers where it ends.
func (v *visitor) follow(target string) (res *http.Response, body, at string) {
	v.ts.t.Helper()
	v.trail = nil
	for range 20 {
		v.trail = append(v.trail, target)
		res, body = v.open(target)
		if res.StatusCode/100 != 3 {
			return res, body, target
		}
		u, _ := url.Parse(target)
		next, err := u.Parse(res.Header.Get("Location"))
		if err != nil {
			v.ts.t.Fatal(err)
		}
		target = next.String()
	}
	v.ts.t.Fatalf("led around for ever: %v", v.trail)
	return nil, "", ""
}

// signIn fills in the form at a sign-in page, and answers where that leads.
func (v *visitor) signIn(name, at, body string) string {
	v.ts.t.Helper()
	u, _ := url.Parse(at)
	form := url.Values{"username": {name}, "password": {password}, "rd": {u.Query().Get("rd")}, "state": {u.Query().Get("state")}}
	for _, field := range []string{"rd", "state"} {
		if form.Get(field) != "" && !strings.Contains(body, `name="`+field+`"`) {
			v.ts.t.Errorf("%s: the form does not carry %s", at, field)
		}
	}
	header := []string{"Host", u.Host, "Origin", u.Scheme + "://" + u.Host}
	for _, cookie := range v.jar.Cookies(u) {
		header = append(header, "Cookie", cookie.Name+"="+cookie.Value)
	}
	res, text := v.ts.post(nil, "/login", form, header...)
	if res.StatusCode != http.StatusSeeOther {
		v.ts.t.Fatalf("sign in: got %d %s", res.StatusCode, text)
	}
	v.jar.SetCookies(u, res.Cookies())
	return res.Header.Get("Location")
}

// value is the cookie that a URL's host has in this browser, or "".
func (v *visitor) value(target, name string) string {
	u, _ := url.Parse(target)
	for _, cookie := range v.jar.Cookies(u) {
		if cookie.Name == name {
			return cookie.Value
		}
	}
	return ""
}

func (v *visitor) mustOpen(target string) {
	v.ts.t.Helper()
	if res, body, at := v.follow(target); res.StatusCode != 200 || at != target {
		v.ts.t.Fatalf("%s: got %d at %s %s by %v", target, res.StatusCode, at, body, v.trail)
	}
}

// One sign-in opens apps of two domains, through each proxy, and its end shuts both.
func TestAppCookies(t *testing.T) {
	t.Parallel()
	const first, second = "https://" + shop + "/deep/page?x=1&y=a%20b", "https://" + wiki + "/"
	for _, g := range gates {
		t.Run(g.name, func(t *testing.T) {
			ts := separate(t)
			v := ts.visitor(g)
			_, body, at := v.follow(first)
			if !strings.HasPrefix(at, "https://auth.home.example/login?rd=") {
				t.Fatalf("led to %s by %v", at, v.trail)
			}
			next := v.signIn("bob", at, body)
			if u, _ := url.Parse(next); u.Host != shop || u.Path != callbackPath || u.Query().Get("code") == "" || u.Query().Get("state") == "" {
				t.Fatalf("after the sign-in: led to %s", next)
			}
			if res, body, at := v.follow(next); res.StatusCode != 200 || at != first {
				t.Fatalf("got %d at %s %s by %v", res.StatusCode, at, body, v.trail)
			}
			v.mustOpen(second)
			token, other := v.value(first, "__Host-lastseen_app"), v.value(second, "__Host-lastseen_app")
			if len(token) != 43 || len(other) != 43 || token == other || v.value(first, sessionCookie) != "" {
				t.Errorf("cookies: %q and %q", token, other)
			}
			session := v.value("https://auth.home.example/", sessionCookie)

			// What an app reads of its visitors opens nothing else.
			steal := func(host, name, value string) int {
				return ts.asks(g, host, "/", "Cookie", name+"="+value).StatusCode
			}
			no := map[bool]int{true: 401, false: 302}[g.isNginx()]
			for _, try := range []struct {
				what, host, name, value string
				want                    int
			}{
				{"its own", shop, "__Host-lastseen_app", token, 200},
				{"its own, without its prefix", shop, "lastseen_app", token, no},
				{"on the other host", wiki, "__Host-lastseen_app", token, no},
				{"the other's here", shop, "__Host-lastseen_app", other, no},
				{"on a host of another pattern", "x.media.example", "__Host-lastseen_app", token, no},
				{"as the session's, on the other host", wiki, sessionCookie, token, no},
				{"the session's as the app's", wiki, "__Host-lastseen_app", session, no},
				{"the session's", wiki, sessionCookie, session, no},
				{"below the host", "x." + shop, "__Host-lastseen_app", token, 403},
			} {
				if got := steal(try.host, try.name, try.value); got != try.want {
					t.Errorf("%s: got %d, want %d", try.what, got, try.want)
				}
			}
			for _, name := range []string{"__Host-lastseen_app", "lastseen_app", sessionCookie} {
				if res, _ := ts.get(nil, "/api/v3/core/users/me/", "Host", "auth.home.example", "Cookie", name+"="+token); res.StatusCode != 403 {
					t.Errorf("%s in the API: got %d", name, res.StatusCode)
				}
				if res, _ := ts.get(nil, "/sessions", "Host", "auth.home.example", "Cookie", name+"="+token); res.StatusCode != 303 {
					t.Errorf("%s on our pages: got %d", name, res.StatusCode)
				}
			}
			// Nor are our pages, under the app's name, for its cookie or the session's.
			for _, path := range []string{"/sessions", "/login", "/api/v3/core/users/me/", "/"} {
				if res, _ := ts.get(nil, path, "Host", shop, "Cookie", sessionCookie+"="+session); res.StatusCode != 421 {
					t.Errorf("%s under the app's name: got %d", path, res.StatusCode)
				}
			}

			// A use of the app is a use of the session.
			ts.advance(time.Hour)
			v.mustOpen(first)
			var page struct {
				Results []struct{ UUID, Last_Used string }
			}
			ts.api(ts.key("bob"), "GET", "/core/authenticated_sessions/", &page)
			if len(page.Results) != 1 || page.Results[0].Last_Used < "2026-11-03T10:3" {
				t.Errorf("sessions: got %+v", page.Results)
			}

			// One app can be signed out alone, and the session's end shuts both.
			at = "https://auth.home.example/sessions/" + page.Results[0].UUID
			if _, body := v.open(at); strings.Count(body, "/sign-out-app") != 2 || !strings.Contains(body, wiki) {
				t.Errorf("the session's page: %s", body)
			}
			header := []string{"Host", "auth.home.example", "Origin", "https://auth.home.example", "Cookie", sessionCookie + "=" + session}
			path := "/sessions/" + page.Results[0].UUID
			secret, state := app.NewState()
			underway := map[string]string{}
			for _, host := range []string{wiki, shop} {
				code, err := ts.app.GrantCode(t.Context(), uuid.MustParse(page.Results[0].UUID), host, state, "https://"+host+"/")
				if err != nil {
					t.Fatal(err)
				}
				underway[host] = code
			}
			if res, _ := ts.post(nil, path+"/sign-out-app", url.Values{"host": {wiki}}, header...); res.StatusCode != 303 {
				t.Errorf("sign out of one: got %d", res.StatusCode)
			}
			if got := steal(wiki, "__Host-lastseen_app", other); got != no {
				t.Errorf("signed out of that app: got %d", got)
			}
			// A code that was on its way then signs in no more, unlike another app's.
			for host, want := range map[string]error{wiki: app.ErrCode, shop: nil} {
				if _, _, _, err := ts.app.RedeemCode(t.Context(), host, underway[host], secret, true, app.Client{}); !errors.Is(err, want) {
					t.Errorf("%s: a code from before: %v, want %v", host, err, want)
				}
			}
			v.mustOpen(first)
			v.mustOpen(second) // anew, as the session lives
			other = v.value(second, "__Host-lastseen_app")
			if res, _ := ts.post(nil, path+"/revoke", nil, header...); res.StatusCode != 303 {
				t.Errorf("revoke: got %d", res.StatusCode)
			}
			if a, b := steal(shop, "__Host-lastseen_app", token), steal(wiki, "__Host-lastseen_app", other); a != no || b != no {
				t.Errorf("after the session's end: got %d and %d", a, b)
			}
		})
	}
}

// However a session ends, its apps' cookies are dead on the next request.
func TestAppCookiesEnd(t *testing.T) {
	t.Parallel()
	g := gates[3]
	for name, end := range map[string]func(ts *testServer, v *visitor){
		"disabled": func(ts *testServer, _ *visitor) {
			bob, _ := ts.app.UserByName(t.Context(), "bob")
			if err := ts.app.SetUserActive(t.Context(), app.Operator.Actor(), bob, false); err != nil {
				t.Error(err)
			}
		},
		"expired": func(ts *testServer, _ *visitor) { ts.advance(15 * 24 * time.Hour) },
		"all revoked": func(ts *testServer, _ *visitor) {
			ts.do(nil, "DELETE", "/api/v3/core/authenticated_sessions/bulk_delete/?user_pks=1&user_pks=2", nil, "Authorization", "Bearer "+ts.key("ada"))
		},
		"signed out": func(ts *testServer, v *visitor) {
			ts.post(nil, "/logout", nil, "Host", "auth.home.example", "Cookie", sessionCookie+"="+v.value("https://auth.home.example/", sessionCookie))
		},
		"signed in anew": func(ts *testServer, v *visitor) { v.signIn("bob", "https://auth.home.example/login", "") },
		"another password": func(ts *testServer, v *visitor) {
			bob, _ := ts.app.UserByName(t.Context(), "bob")
			if err := ts.app.SetPassword(t.Context(), app.Operator.Actor(), bob, app.NewPassword{Password: "another " + password}); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			ts := separate(t)
			v := ts.visitor(g)
			_, body, at := v.follow("https://" + shop + "/")
			v.follow(v.signIn("bob", at, body))
			v.mustOpen("https://" + wiki + "/")
			tokens := map[string]string{}
			for _, host := range []string{shop, wiki} {
				tokens[host] = v.value("https://"+host+"/", "__Host-lastseen_app")
				if got := ts.asks(g, host, "/", "Cookie", "__Host-lastseen_app="+tokens[host]); got.StatusCode != 200 {
					t.Fatalf("%s: got %d", host, got.StatusCode)
				}
			}
			end(ts, v)
			for host, token := range tokens {
				if got := ts.asks(g, host, "/", "Cookie", "__Host-lastseen_app="+token); got.StatusCode != 302 {
					t.Errorf("%s: got %d", host, got.StatusCode)
				}
			}
		})
	}
}

// A code is good once, for a minute, on its host, in its browser. All else is a page with
// a way on, and never lets anybody in.
func TestCodes(t *testing.T) {
	t.Parallel()
	ts := separate(t)
	code := func(v *visitor) string {
		t.Helper()
		_, body, at := v.follow("https://" + shop + "/x")
		return v.signIn("bob", at, body)
	}
	refused := func(what string, v *visitor, callback string) {
		t.Helper()
		res, body := v.open(callback)
		if res.StatusCode != 403 || !strings.Contains(body, "This way in was used up") || !strings.Contains(body, `href="https://`+strings.Split(callback, "/")[2]+`/"`) {
			t.Errorf("%s: got %d %s", what, res.StatusCode, body)
		}
		for _, cookie := range res.Cookies() {
			if strings.Contains(cookie.Name, appCookie) {
				t.Errorf("%s: got a cookie", what)
			}
		}
	}
	v := ts.visitor(gates[3])
	callback := code(v)
	u, _ := url.Parse(callback)
	with := func(name, value string) string {
		q := u.Query()
		q.Set(name, value)
		return "https://" + shop + callbackPath + "?" + q.Encode()
	}
	thief := ts.visitor(gates[3])
	refused("another browser", thief, callback)
	thief.follow("https://" + shop + "/x")
	refused("another browser that holds a state of its own", thief, callback)
	other := thief.trail[len(thief.trail)-1]
	at, _ := url.Parse(other)
	refused("another browser with its own state", thief, with("state", at.Query().Get("state")))
	secret := ""
	for _, cookie := range v.jar.Cookies(u) {
		if strings.HasPrefix(cookie.Name, "__Host-"+stateCookie) {
			secret = cookie.Value
		}
	}
	planted := ts.visitor(gates[3]) // a sibling can set this one
	planted.jar.SetCookies(u, []*http.Cookie{{Name: stateCookie + "x", Value: secret, Path: "/"}})
	refused("a planted state", planted, callback)
	wrong := ts.visitor(gates[3])
	elsewhere := "https://" + wiki + callbackPath + "?" + u.RawQuery
	eu, _ := url.Parse(elsewhere)
	wrong.jar.SetCookies(eu, []*http.Cookie{{Name: "__Host-" + stateCookie + "x", Value: secret, Path: "/", Secure: true}})
	refused("another host", wrong, elsewhere)
	refused("another code", v, with("code", strings.Repeat("A", 43)))
	refused("no code", v, with("code", ""))
	refused("no state", v, with("state", ""))
	refused("a long code", v, with("code", strings.Repeat("A", 4000)))
	if res, _ := ts.get(nil, callbackPath+"?"+u.RawQuery, "Host", "auth.home.example"); res.StatusCode != 403 {
		t.Errorf("on our own host: got %d", res.StatusCode)
	}
	if res, _ := ts.do(nil, "HEAD", callbackPath+"?"+u.RawQuery, nil, "Host", shop); res.StatusCode != 405 {
		t.Errorf("HEAD: got %d", res.StatusCode)
	}

	// None of these used it up.
	if res, _, at := v.follow(callback); res.StatusCode != 200 || at != "https://"+shop+"/x" {
		t.Fatalf("got %d at %s", res.StatusCode, at)
	}
	refused("twice", v, callback)

	v = ts.visitor(gates[3])
	callback = code(v)
	ts.advance(time.Minute)
	refused("after a minute", v, callback)

	v = ts.visitor(gates[3])
	callback = code(v)
	ts.post(nil, "/logout", nil, "Host", "auth.home.example", "Cookie", sessionCookie+"="+v.value("https://auth.home.example/", sessionCookie))
	refused("after the session's end", v, callback)

	v = ts.visitor(gates[3])
	callback = code(v)
	u, _ = url.Parse(callback)
	header := []string{"Host", shop, "X-Forwarded-Proto", "https"}
	for _, cookie := range v.jar.Cookies(u) {
		header = append(header, "Cookie", cookie.Name+"="+cookie.Value)
	}
	var wait sync.WaitGroup
	var mu sync.Mutex
	var statuses []int
	for range 20 {
		wait.Go(func() {
			res, _ := ts.get(nil, u.RequestURI(), header...)
			mu.Lock()
			defer mu.Unlock()
			statuses = append(statuses, res.StatusCode)
		})
	}
	wait.Wait()
	slices.Sort(statuses)
	if statuses[0] != 303 || statuses[1] != 403 || statuses[19] != 403 {
		t.Errorf("20 at once: got %v", statuses)
	}
}

// What stands in nobody's cookie, state and settings.
func TestAppCookieEdges(t *testing.T) {
	t.Parallel()
	ts := separate(t)
	// Two pages that were opened at once go on both.
	v := ts.visitor(gates[3])
	first, second := "https://"+shop+"/one", "https://"+shop+"/two"
	a, _ := v.open("https://" + shop + startPath + "?rd=" + url.QueryEscape(first))
	fresh := ts.visitor(gates[3])
	b, _ := fresh.open("https://" + shop + startPath + "?rd=" + url.QueryEscape(second))
	u, _ := url.Parse("https://" + shop + "/")
	v.jar.SetCookies(u, b.Cookies())
	signIn, body := a.Header.Get("Location"), ""
	_, body = v.open(signIn)
	for target, next := range map[string]string{first: v.signIn("bob", signIn, body), second: b.Header.Get("Location")} {
		if res, _, at := v.follow(next); res.StatusCode != 200 || at != target {
			t.Errorf("got %d at %s, want %s", res.StatusCode, at, target)
		}
	}
	// A browser keeps one state however often it asks.
	for range 5 {
		fresh.follow("https://" + shop + "/")
	}
	if n := len(fresh.jar.Cookies(u)); n != 1 {
		t.Errorf("%d states in one browser", n)
	}
	// A script is told, and not led.
	res, body := ts.visitor(gates[3]).open("https://"+shop+"/", "Sec-Fetch-Mode", "cors")
	if res.StatusCode != 401 || !strings.Contains(body, `"login_url":"https://auth.home.example/login?rd=`) || len(res.Cookies()) != 0 {
		t.Errorf("a script: got %d %s", res.StatusCode, body)
	}
	// A browser that keeps no cookie of the app is told so, and not led around for ever.
	v = ts.visitor(gates[3])
	_, body, at := v.follow("https://" + shop + "/")
	v.signIn("bob", at, body)
	session := v.value("https://auth.home.example/", sessionCookie)
	returns, status := "", 0
	for i := 0; i < 8 && status != 403; i++ {
		res, body = ts.get(nil, "/login?rd="+url.QueryEscape("https://"+shop+"/")+"&state="+app.StateOf("x"), "Host", "auth.home.example",
			"Cookie", sessionCookie+"="+session+"; __Host-lastseen_returns="+returns)
		status = res.StatusCode
		for _, cookie := range res.Cookies() {
			if strings.HasSuffix(cookie.Name, "lastseen_returns") {
				returns = cookie.Value
			}
		}
	}
	if status != 403 || !strings.Contains(body, "the app cannot tell") {
		t.Errorf("led back for ever: got %d %s", status, body)
	}
	// A code never goes in the clear where the sign-in does not.
	res, body = ts.get(nil, "/login?rd="+url.QueryEscape("http://"+wiki+"/")+"&state="+app.StateOf("x"), "Host", "auth.home.example", "Cookie", sessionCookie+"="+session)
	if res.StatusCode != 403 || !strings.Contains(body, "the app cannot tell") {
		t.Errorf("an app on http: got %d to %s", res.StatusCode, res.Header.Get("Location"))
	}
	// Nobody but a trusted proxy relays what is asked on an app's host.
	for _, path := range []string{startPath, callbackPath, gatePrefix + "/denied", signOutPath} {
		direct := separate(t, "trusted-proxies=192.0.2.1")
		if res, body := direct.get(nil, path+"?rd=https://"+shop+"/", "Host", shop); res.StatusCode != 403 || !strings.Contains(body, "--trusted-proxies") {
			t.Errorf("%s by anybody: got %d %s", path, res.StatusCode, body)
		}
	}
	// What --apps does not name is not guarded, nor led to, and the page says what to set.
	both := separate(t, "cookie-domain=home.example")
	_, token := both.session("bob", "81.2.69.142", firefox)
	for host, want := range map[string]int{shop: 200, "not-named.home.example": 403, "elsewhere.example": 403, wiki: 302} {
		res, body := both.do(nil, "GET", gatePrefix+"/auth/caddy", nil, "X-Forwarded-Proto", "https", "X-Forwarded-Host", host, "X-Forwarded-Uri", "/", "Cookie", cookie(token))
		if res.StatusCode != want || want == 403 && (!strings.Contains(body, "--apps") || !strings.Contains(body, "--cookie-domain")) {
			t.Errorf("%s: got %d %s", host, res.StatusCode, body)
		}
		if _, ok := both.target("https://" + host + "/"); ok != (want != 403) {
			t.Errorf("%s: led to %v", host, ok)
		}
	}
	// Sign_out on an app's host leads to ours.
	if res, _ := ts.get(nil, signOutPath, "Host", wiki, "X-Forwarded-Proto", "https"); res.StatusCode != 302 || res.Header.Get("Location") != "https://auth.home.example"+signOutPath+"?rd="+url.QueryEscape("https://"+wiki+"/") {
		t.Errorf("sign out: got %d to %s", res.StatusCode, res.Header.Get("Location"))
	}
	// An API key passes as before.
	if res := ts.asks(gates[3], wiki, "/", "X-Lastseen-Token", ts.key("bob")); res.StatusCode != 200 {
		t.Errorf("by key: got %d", res.StatusCode)
	}
	// Over http the cookie has no prefix.
	plain := newServer(t, "public-url=http://auth.home.example:8080", "apps="+named, "trusted-proxies=127.0.0.1")
	v = plain.visitor(gates[3])
	_, body, at = v.follow("http://" + wiki + ":8080/")
	if res, _, at := v.follow(v.signIn("bob", at, body)); res.StatusCode != 200 || at != "http://"+wiki+":8080/" || v.value("http://"+wiki+"/", appCookie) == "" {
		t.Errorf("over http: got %d at %s, cookies %v", res.StatusCode, at, v.jar.Cookies(u))
	}
}

// Without a rule nobody passes, where that is the default.
func TestGateDefault(t *testing.T) {
	t.Parallel()
	ts := guarded(t, "gate-default=deny")
	ts.createUser("zoë", false, "admins")
	ts.allow("ruled.home.example", "admins")
	ts.open(app1, "/open")
	for _, tt := range []struct {
		user, host, path string
		want             int
		text             string
	}{
		{"zoë", "ruled.home.example", "/", 200, ""},
		{"bob", "ruled.home.example", "/", 403, "You may not open this app"},
		{"zoë", app1, "/", 403, "Nobody may open this app yet"},
		{"ada", app1, "/", 403, "Nobody may open this app yet"}, // a superuser
		{"bob", app1, "/open", 200, ""},
	} {
		_, token := ts.session(tt.user, "81.2.69.142", firefox)
		res, body := ts.get(nil, gatePrefix+"/auth/traefik", "X-Forwarded-Proto", "https", "X-Forwarded-Host", tt.host, "X-Forwarded-Uri", tt.path, "Cookie", cookie(token))
		if res.StatusCode != tt.want || !strings.Contains(body, tt.text) {
			t.Errorf("%s at %s%s: got %d %s", tt.user, tt.host, tt.path, res.StatusCode, body)
		}
		if res, body := ts.get(nil, gatePrefix+"/denied", "Host", tt.host); tt.want == 403 && (res.StatusCode != 403 || !strings.Contains(body, tt.text)) {
			t.Errorf("%s: nginx shows %d %s", tt.host, res.StatusCode, body)
		}
	}
	if res := ts.asks(gates[0], app1, "/", "X-Lastseen-Token", ts.key("ada")); res.StatusCode != 403 {
		t.Errorf("by key: got %d", res.StatusCode)
	}
}

// The cookie has the name that it is told to have, everywhere.
func TestCookieName(t *testing.T) {
	t.Parallel()
	ts := guarded(t, "cookie-name=lastseen_two")
	res, _ := ts.post(nil, "/login", url.Values{"username": {"bob"}, "password": {password}}, "Host", "auth.home.example")
	i := slices.IndexFunc(res.Cookies(), func(c *http.Cookie) bool { return c.Name == "lastseen_two" })
	if i < 0 {
		t.Fatalf("got %v", res.Cookies())
	}
	token := res.Cookies()[i].Value
	for name, want := range map[string]int{"lastseen_two": 200, "lastseen_session": 401, "lastseen_tw": 401, "lastseen_twoo": 401} {
		if res := ts.asks(gates[0], app1, "/", "Cookie", name+"="+token); res.StatusCode != want {
			t.Errorf("%s: got %d, want %d", name, res.StatusCode, want)
		}
	}
}
