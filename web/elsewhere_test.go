package web

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"

	"lastseen/app"

	"github.com/gin-gonic/gin"
)

// eachRoute calls f with every route there is, its parameters filled in with what
// exists, so that no route can be forgotten.
func (ts *testServer) eachRoute(f func(route gin.RouteInfo, path string)) {
	ts.t.Helper()
	bob := mustUser(ts, "bob")
	sess, _ := ts.session("bob", "192.0.2.1", "curl/8")
	link, _, err := ts.app.Invite(ts.t.Context(), operator, app.Invitation{})
	if err != nil {
		ts.t.Fatal(err)
	}
	values := map[string]string{
		":uuid": sess.UUID.String(), ":id": fmt.Sprint(bob.ID), ":identifier": "none", ":link": "0", ":token": path.Base(link), ":name": strings.TrimPrefix(ts.pages.Urls["app.css"], "/static/"), "*asked": "x",
	}
	n := 0
	for _, route := range ts.engine.Routes() {
		parts := strings.Split(route.Path, "/")
		for i, part := range parts {
			if strings.HasPrefix(part, ":") || strings.HasPrefix(part, "*") {
				if parts[i] = values[part]; parts[i] == "" {
					ts.t.Fatalf("what is %s in %s?", part, route.Path)
				}
			}
		}
		n++
		f(route, strings.Join(parts, "/"))
	}
	if n < 100 {
		ts.t.Fatalf("only %d routes", n)
	}
}

// Every unsafe request that a browser sends from elsewhere is refused on every
// route, a sibling subdomain's included, whoever is signed in.
func TestEveryUnsafeRouteRefusesOtherOrigins(t *testing.T) {
	t.Parallel()
	ts := newServer(t, "public-url=http://auth.home.example", "cookie-domain=home.example")
	_, token := ts.session("ada", "192.0.2.1", "curl/8")
	n := 0
	ts.eachRoute(func(route gin.RouteInfo, path string) {
		if isSafe(route.Method) || isGateAuth(path) {
			return
		}
		n++
		for _, header := range [][]string{
			{"Sec-Fetch-Site", "same-site"},
			{"Sec-Fetch-Site", "cross-site"},
			{"Sec-Fetch-Site", "same-site", "Origin", "http://app.home.example"},
			{"Origin", "http://app.home.example"},
			{"Origin", "https://auth.home.example:8443"},
			{"Origin", "https://evil.example"},
			{"Origin", "null"},
		} {
			res, body := ts.do(nil, route.Method, path, strings.NewReader("username=x"), append(header,
				"Host", "auth.home.example", "Cookie", sessionCookie+"="+token, "Content-Type", "application/x-www-form-urlencoded")...)
			if res.StatusCode != 403 || len(res.Cookies()) > 0 || !strings.Contains(body, "CSRF") && !strings.Contains(body, "another site") {
				t.Errorf("%s %s with %v: got %d %.200s", route.Method, route.Path, header, res.StatusCode, body)
			}
		}
	})
	if n < 20 {
		t.Errorf("only %d unsafe routes", n)
	}
	if status, _ := ts.api(ts.key("ada"), "GET", "/core/users/me/", nil); status != 200 {
		t.Errorf("ada is gone: %d", status)
	}
}

// No answer is kept by a cache, taken for another type, or framed, but for files
// that are the same for everybody.
func TestEveryAnswerHasItsHeaders(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ada := ts.signIn("ada")
	check := func(name string, res *http.Response) {
		t.Helper()
		h := res.Header
		if got := h.Get("X-Content-Type-Options"); got != "nosniff" {
			t.Errorf("%s: X-Content-Type-Options is %q", name, got)
		}
		if got, ok := h["Access-Control-Allow-Origin"]; ok {
			t.Errorf("%s: others may read it: %q", name, got)
		}
		static := strings.HasPrefix(res.Request.URL.Path, "/static/") && res.StatusCode == 200
		if got := h.Get("Cache-Control"); got != "no-store" && !static {
			t.Errorf("%s: Cache-Control is %q", name, got)
		}
		if res.StatusCode != 303 && res.StatusCode != 204 && h.Get("Content-Type") == "" && res.ContentLength > 0 {
			t.Errorf("%s: there is no Content-Type", name)
		}
		if !strings.HasPrefix(h.Get("Content-Type"), "text/html") {
			return
		}
		if got := h.Get("X-Frame-Options"); got != "DENY" {
			t.Errorf("%s: X-Frame-Options is %q", name, got)
		}
		policy := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri ", "form-action"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: the policy %q lacks %s", name, policy, want)
			}
		}
		if strings.Contains(policy, "unsafe-") {
			t.Errorf("%s: the policy is %q", name, policy)
		}
	}
	ts.eachRoute(func(route gin.RouteInfo, path string) {
		for who, client := range map[string]*http.Client{"somebody": ada, "nobody": nil} {
			if who == "somebody" && !isSafe(route.Method) {
				continue // it would sign out, and more
			}
			res, _ := ts.do(client, route.Method, path, nil, "Accept", "*/*")
			check(route.Method+" "+route.Path+" as "+who, res)
		}
	})
	for _, tt := range [][]string{
		{"GET", "/nothing"}, {"GET", "/static/nothing"}, {"PUT", "/login"}, {"GET", "/api/v3/nothing/"},
		{"GET", "/login", "Host", "evil.example"}, {"POST", "/login", "Origin", "https://evil.example"},
	} {
		res, _ := ts.do(nil, tt[0], tt[1], nil, tt[2:]...)
		check(strings.Join(tt, " "), res)
	}
}

// A session that somebody planted in a browser before it signs in is no way into
// the one that follows, and ends (GHSA-f24x-5g9q-753f).
func TestPlantedSession(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	_, planted := ts.session("bob", "192.0.2.1", "curl/8")
	res, _ := ts.post(nil, "/login", credentials("ada", password), "Cookie", sessionCookie+"="+planted+"; "+sessionCookie+"=tossed")
	if res.StatusCode != 303 || len(res.Cookies()) != 2 || res.Cookies()[0].Value == planted {
		t.Fatalf("got %d, %v", res.StatusCode, res.Cookies())
	}
	if res, _ := ts.get(nil, "/api/v3/core/users/me/", "Cookie", sessionCookie+"="+planted); res.StatusCode != 403 {
		t.Errorf("the planted session: got %d, want 403", res.StatusCode)
	}
}

// Every cookie that we set is for our own use alone, and over https only there.
func TestCookieAttributes(t *testing.T) {
	t.Parallel()
	ts := newServer(t, "public-url=https://auth.home.example", "cookie-domain=home.example")
	host := []string{"Host", "auth.home.example"}
	seen := map[string]bool{}
	look := func(res *http.Response) {
		t.Helper()
		for _, c := range res.Cookies() {
			seen[c.Name] = true
			if !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" {
				t.Errorf("%s: got %+v", c.Name, c)
			}
			if c.Name == sessionCookie && (!c.HttpOnly || c.Domain != "home.example") || c.Name != sessionCookie && c.Domain != "" {
				t.Errorf("%s: got %+v", c.Name, c)
			}
		}
	}
	res, _ := ts.post(nil, "/login", credentials("ada", password), host...)
	look(res)
	signedIn := append(host, "Cookie", sessionCookie+"="+res.Cookies()[0].Value)
	res, _ = ts.get(nil, "/login?rd="+url.QueryEscape("https://app.home.example/"), signedIn...)
	look(res)
	for _, form := range []url.Values{{"theme": {"dark"}}, {"lang": {"de"}}} {
		res, _ = ts.post(nil, "/preferences", form, host...)
		look(res)
	}
	res, _ = ts.post(nil, fmt.Sprintf("/users/%d", mustUser(ts, "bob").ID), url.Values{"name": {"Bob"}}, signedIn...)
	look(res)
	res, _ = ts.post(nil, "/logout", nil, signedIn...)
	look(res)
	if len(seen) < 4 {
		t.Errorf("only %v were seen", seen)
	}
}

// A name that a stranger made lead here is none of ours (DNS rebinding); names of
// the local network, which nobody else can have, are.
func TestNamesWeAnswerTo(t *testing.T) {
	t.Parallel()
	plain := newServer(t)
	domain := newServer(t, "public-url=https://auth.home.example", "cookie-domain=home.example", "trusted-proxies=127.0.0.2")
	own := strings.TrimPrefix(plain.url, "http://")
	for _, tt := range []struct {
		host          string
		plain, domain bool
	}{
		{own, true, true},
		{"127.0.0.1", true, true},
		{"192.168.1.5:9000", true, true},
		{"[::1]:9000", true, true},
		{"[fd00::1]", true, true},
		{"localhost:9000", true, true},
		{"lastseen.localhost", true, true},
		{"nas:9000", true, true},
		{"NAS.local.", true, true},
		{"nas.lan:9000", true, true},
		{"nas.home.arpa", true, true},
		{"auth.home.example", false, true},
		{"AUTH.home.example.:8443", false, true},
		{"app.home.example", false, true},
		{"evil.example", false, false},
		{"evil.example:9000", false, false},
		{"127.0.0.1.evil.example", false, false},
		{"local.evil.example", false, false},
		{"evilhome.example", false, false},
		{"nas.lan.evil.example", false, false},
	} {
		for ts, want := range map[*testServer]bool{plain: tt.plain, domain: tt.domain} {
			for path, status := range map[string]int{"/login": 200, "/": 303, "/api/v3/root/config/": 200, "/sessions": 303} {
				if !want {
					status = 421
				}
				res, body := ts.get(nil, path, "Host", tt.host)
				if res.StatusCode != status || !want && !strings.Contains(body, "--public-url") {
					t.Errorf("%s%s: got %d, want %d: %.300s", tt.host, path, res.StatusCode, status, body)
				}
			}
		}
	}
	if res, _ := plain.post(nil, "/login", credentials("ada", password), "Host", "evil.example", "Origin", "http://evil.example", "Sec-Fetch-Site", "same-origin"); res.StatusCode != 421 {
		t.Errorf("signing in under a stranger's name: got %d, want 421", res.StatusCode)
	}
	for _, tt := range []struct {
		path string
		want int
	}{
		{"/-/health/live/", 200}, {"/-/health/ready/", 200}, {plain.pages.Urls["app.css"], 200},
		{"/outpost.goauthentik.io/auth/nginx", 403}, // from nobody's proxy
		{"/outpost.goauthentik.io/start?rd=/", 421},
	} {
		if res, _ := plain.get(nil, tt.path, "Host", "app.example"); res.StatusCode != tt.want {
			t.Errorf("app.example%s: got %d, want %d", tt.path, res.StatusCode, tt.want)
		}
	}
	// A proxy passes on the app's name to all of the gate's paths.
	proxy := &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if res, _ := domain.get(proxy, "/outpost.goauthentik.io/ping", "Host", "app.example"); res.StatusCode != 204 {
		t.Errorf("a proxy's ping for an app: got %d, want 204", res.StatusCode)
	}
	if res, _ := domain.get(proxy, "/login", "Host", "app.example"); res.StatusCode != 421 {
		t.Errorf("a proxy's sign-in page for an app: got %d, want 421", res.StatusCode)
	}
}
