package web

import (
	"net/url"
	"strings"
	"testing"

	"lastseen/app"
	"lastseen/db"

	"github.com/gin-gonic/gin"
)

// GHSA-3q28-qjrv-qr39: what waits for a second factor opens nothing, under its own
// cookie's name or the session's. Every route there is answers as it does to nobody.
func TestHalfASignInOpensNothing(t *testing.T) {
	t.Parallel()
	ts := newServer(t, "trusted-proxies=127.0.0.1", "apps=app.home.example")
	ts.withCodes("ada")
	token := func() string {
		res, _ := ts.post(nil, "/login", url.Values{"username": {"ada"}, "password": {password}})
		return cookieNamed(res, "lastseen_signin").Value
	}()
	if len(token) != secretLength {
		t.Fatalf("got %q", token)
	}
	signIns := map[string]bool{"/login": true, "/login/code": true, "/login/password": true, "/login/set-up": true, "/login/code/passkey": true, "/login/set-up/passkey": true} // they ask for the rest
	n := 0
	ts.eachRoute(func(route gin.RouteInfo, path string) {
		header := []string{"Content-Type", "application/x-www-form-urlencoded", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "app.home.example", "X-Forwarded-Uri", "/",
			"X-Forwarded-For", "192.0.2.9", "X-Original-URL", "https://app.home.example/"}
		if strings.HasPrefix(path, authPrefix+"nginx") {
			header = header[:2]
			header = append(header, "X-Original-URL", "https://app.home.example/", "X-Forwarded-For", "192.0.2.9")
		} else if isGateAuth(path) {
			header = header[:10]
		}
		nobody, want := ts.do(nil, route.Method, path, strings.NewReader(""), header...)
		for _, cookies := range []string{
			"lastseen_signin=" + token, sessionCookie + "=" + token, "lastseen_signin=" + token + "; " + sessionCookie + "=" + token,
			"__Host-lastseen_app=" + token, "lastseen_app=" + token,
		} {
			if signIns[route.Path] && strings.HasPrefix(cookies, "lastseen_signin") {
				continue
			}
			n++
			res, got := ts.do(nil, route.Method, path, strings.NewReader(""), append(header, "Cookie", cookies)...)
			if res.StatusCode != nobody.StatusCode || res.Header.Get("X-Authentik-Username") != "" || cookieNamed(res, sessionCookie) != nil {
				t.Errorf("%s %s with %.20s: got %d, want %d", route.Method, route.Path, cookies, res.StatusCode, nobody.StatusCode)
			}
			if strings.HasPrefix(path, "/api/") && got != want {
				t.Errorf("%s %s with %.20s: got %s, want %s", route.Method, route.Path, cookies, got, want)
			}
		}
	})
	if n < 500 {
		t.Errorf("only %d were tried", n)
	}
	res, _ := ts.do(nil, "GET", "/api/v3/core/users/me/", nil, "Authorization", "Bearer "+token)
	if res.StatusCode != 403 {
		t.Errorf("as a key: got %d", res.StatusCode)
	}
}

// What changes how somebody signs in ends what they had begun.
func TestWhatEndsHalfASignIn(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(ts *testServer, bob db.User, recovery []string) error{
		"another factor": func(ts *testServer, bob db.User, recovery []string) error {
			b := ts.halfway("bob")
			ts.enter(b, recovery[0])
			ts.enrol(b, "/profile/totp", "Tablet")
			return nil
		},
		"fewer factors": func(ts *testServer, bob db.User, recovery []string) error {
			has, err := ts.app.Factors(ts.t.Context(), app.Operator, bob.ID)
			if err != nil {
				return err
			}
			return ts.app.RemoveFactor(ts.t.Context(), operator, bob, db.KindTOTP, has.TOTPs[0].ID)
		},
		"a reset": func(ts *testServer, bob db.User, recovery []string) error {
			return ts.app.ResetFactors(ts.t.Context(), operator, bob)
		},
		"a new password": func(ts *testServer, bob db.User, recovery []string) error {
			return ts.app.SetPassword(ts.t.Context(), operator, bob, app.NewPassword{Password: password + "!"})
		},
		"being disabled": func(ts *testServer, bob db.User, recovery []string) error {
			return ts.app.SetUserActive(ts.t.Context(), operator, bob, false)
		},
		"being deleted": func(ts *testServer, bob db.User, recovery []string) error {
			return ts.app.DeleteUser(ts.t.Context(), operator, bob)
		},
	} {
		t.Run(name, func(t *testing.T) {
			ts := newServer(t)
			phone, recovery := ts.withCodes("bob")
			b := ts.halfway("bob")
			if err := change(ts, mustUser(ts, "bob"), recovery); err != nil {
				t.Fatal(err)
			}
			res := ts.enter(b, phone.code())
			if res.StatusCode != 303 || !strings.HasPrefix(res.Header.Get("Location"), "/login?") || cookieNamed(res, sessionCookie) != nil {
				t.Errorf("got %d to %q", res.StatusCode, res.Header.Get("Location"))
			}
		})
	}
}

// GHSA-f24x-5g9q-753f: a session that the browser had before goes on until all is proven,
// and then another takes its place.
func TestNoSessionIsKeptOverTheSteps(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	before := ts.signIn("bob")
	phone, _ := ts.withCodes("bob")
	old, err := ts.app.SessionByToken(t.Context(), jarValue(ts, before, sessionCookie))
	if err != nil {
		t.Fatal(err)
	}
	ts.post(before, "/login", url.Values{"username": {"bob"}, "password": {password}})
	if _, err := ts.app.Session(t.Context(), app.Operator, old.UUID); err != nil {
		t.Errorf("after the password: %v", err)
	}
	if res := ts.enter(before, phone.code()); res.StatusCode != 303 {
		t.Fatalf("got %d", res.StatusCode)
	}
	if _, err := ts.app.Session(t.Context(), app.Operator, old.UUID); err == nil {
		t.Error("the old session lives on")
	}
	if now := jarValue(ts, before, sessionCookie); len(now) != secretLength {
		t.Errorf("got %q", now)
	}
}

// Where a sign-in is to lead outlives its second step, with a cookie of the app's own too.
func TestTheWayBackOverBothSteps(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string][]string{
		"a shared cookie": {"public-url=http://auth.home.example", "cookie-domain=home.example", "apps=app.home.example"},
		"one of its own":  {"public-url=http://auth.home.example", "apps=app.home.example"},
	} {
		ts := newServer(t, append(settings, "trusted-proxies=127.0.0.1")...)
		phone, _ := ts.withCodes("bob")
		const target = "http://app.home.example/x?y=1&z=2"
		res, _ := ts.get(nil, startPath+"?rd="+url.QueryEscape(target), "Host", "app.home.example", "X-Forwarded-Proto", "http", "Sec-Fetch-Mode", "navigate")
		if res.StatusCode != 302 {
			t.Fatalf("%s: start answers %d", name, res.StatusCode)
		}
		login, err := url.Parse(res.Header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		own := []string{"Host", "auth.home.example"}
		_, page := ts.get(nil, login.RequestURI(), own...)
		form := fields(page)
		form.Set("username", "bob")
		form.Set("password", password)
		res, _ = ts.post(nil, login.RequestURI(), form, own...)
		code, pending := res.Header.Get("Location"), cookieNamed(res, "lastseen_signin")
		if res.StatusCode != 303 || pending == nil || pending.Domain != "" || !pending.HttpOnly {
			t.Fatalf("%s: got %d to %q with %v", name, res.StatusCode, code, pending)
		}
		own = append(own, "Cookie", pending.Name+"="+pending.Value)
		_, page = ts.get(nil, code, own...)
		form = fields(page)
		form.Set("code", phone.code())
		res, _ = ts.post(nil, code, form, own...)
		to, err := url.Parse(res.Header.Get("Location"))
		if err != nil || res.StatusCode != 303 || to.Host != "app.home.example" {
			t.Errorf("%s: got %d to %q", name, res.StatusCode, to)
		}
		if name == "one of its own" && (to.Path != callbackPath || to.Query().Get("code") == "") || name != "one of its own" && to.String() != target {
			t.Errorf("%s: leads to %q", name, to)
		}
	}
}

// Over https no other host can plant the cookie of a pending sign-in.
func TestPendingCookieOverHTTPS(t *testing.T) {
	t.Parallel()
	ts := newServer(t, "public-url=https://auth.home.example", "cookie-domain=home.example")
	ts.withCodes("bob")
	res, _ := ts.post(nil, "/login", url.Values{"username": {"bob"}, "password": {password}}, "Host", "auth.home.example")
	if c := cookieNamed(res, "__Host-lastseen_signin"); c == nil || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.MaxAge != 300 {
		t.Errorf("got %v", res.Cookies())
	}
}
