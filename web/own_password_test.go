package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"lastseen/app"
)

// Who is given a password chooses another before there is a session, and nobody else does.
func TestOwnPassword(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	super := ts.signIn("ada")
	const given, own = "given by somebody", "chosen by themselves"
	set := func(name string, form url.Values) {
		t.Helper()
		form.Set("password", given)
		if res, page := ts.post(super, fmt.Sprintf("/users/%d/password", mustUser(ts, name).ID), form); res.StatusCode != 303 {
			t.Fatalf("got %d %s", res.StatusCode, page)
		}
	}
	add := func(name string, must string) {
		t.Helper()
		if res, page := ts.post(super, "/users", url.Values{"username": {name}, "password": {given}, "must_change": {must}}); res.StatusCode != 303 {
			t.Fatalf("got %d %s", res.StatusCode, page)
		}
	}
	for _, tt := range []struct {
		how  string
		name string
		set  func()
		must bool
	}{
		{"set on the page", "bob", func() { set("bob", url.Values{"must_change": {"1"}}) }, true},
		{"set on the page, unticked", "bob", func() { set("bob", url.Values{}) }, false},
		{"added on the page", "cleo", func() { add("cleo", "1") }, true},
		{"added on the page, unticked", "dora", func() { add("dora", "") }, false},
		{"their own, on the page of users", "ada", func() { set("ada", url.Values{"must_change": {"1"}}) }, false},
		{"set by a command", "bob", func() {
			if err := ts.app.SetPassword(t.Context(), app.Operator.Actor(), mustUser(ts, "bob"), app.NewPassword{Password: given, MustChange: true}); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"set by a command, and then by a link", "bob", func() {
			if err := ts.app.SetPassword(t.Context(), app.Operator.Actor(), mustUser(ts, "bob"), app.NewPassword{Password: "as above 1234", MustChange: true}); err != nil {
				t.Fatal(err)
			}
			link, _, err := ts.app.ResetLink(t.Context(), app.Operator.Actor(), mustUser(ts, "bob"), 0)
			if err != nil {
				t.Fatal(err)
			}
			path, _ := strings.CutPrefix(link, ts.app.Config.PublicURL.String())
			if res := ts.take(path, "", given); res.StatusCode != 303 || cookieNamed(res, sessionCookie) == nil {
				t.Fatalf("got %d", res.StatusCode)
			}
		}, false},
	} {
		tt.set()
		_, page := ts.get(super, fmt.Sprintf("/users/%d", mustUser(ts, tt.name).ID))
		if strings.Contains(page, "Another password is chosen at the next sign-in.") != tt.must {
			t.Errorf("%s: the user's page says otherwise than %v", tt.how, tt.must)
		}
		b := ts.browser()
		res, _ := ts.post(b, "/login", url.Values{"username": {tt.name}, "password": {given}, "rd": {"/profile"}})
		if led := res.Header.Get("Location") == "/login/password?rd=%2Fprofile"; led != tt.must || (cookieNamed(res, sessionCookie) == nil) != tt.must {
			t.Errorf("%s: led to %q with %v", tt.how, res.Header.Get("Location"), res.Cookies())
		}
		if !tt.must {
			continue
		}
		for _, wrong := range []string{given, "short", ""} {
			if res, page := ts.post(b, "/login/password", url.Values{"password": {wrong}}); res.StatusCode != 400 || cookieNamed(res, sessionCookie) != nil || !strings.Contains(page, `aria-invalid="true"`) {
				t.Errorf("%s, then %q: got %d %s", tt.how, wrong, res.StatusCode, page)
			}
		}
		if res, _ := ts.post(b, "/login/password", url.Values{"password": {own}, "rd": {"/profile"}}); res.Header.Get("Location") != "/profile" || cookieNamed(res, sessionCookie) == nil {
			t.Errorf("%s, then their own: led to %q", tt.how, res.Header.Get("Location"))
		}
		if res, _ := ts.get(b, "/profile"); res.StatusCode != 200 {
			t.Errorf("%s: signed in, and got %d", tt.how, res.StatusCode)
		}
		if res, _ := ts.post(b, "/login/password", url.Values{"password": {own + "!"}}); !strings.HasPrefix(res.Header.Get("Location"), "/login?") {
			t.Errorf("%s: choosing once more leads to %q", tt.how, res.Header.Get("Location"))
		}
		for typed, status := range map[string]int{given: 401, own: 303} {
			if res, _ := ts.post(ts.browser(), "/login", credentials(tt.name, typed)); res.StatusCode != status {
				t.Errorf("%s, %q afterwards: got %d", tt.how, typed, res.StatusCode)
			}
		}
	}
}

// The password that somebody was given is replaced after all else that they can prove, and
// a device that they said to trust is trusted over that step.
func TestOwnPasswordComesAfterTheFactor(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	phone, _ := ts.withCodes("bob")
	given := app.NewPassword{Password: password, MustChange: true}
	if err := ts.app.SetPassword(t.Context(), app.Operator.Actor(), mustUser(ts, "bob"), given); err != nil {
		t.Fatal(err)
	}
	b := ts.halfway("bob")
	if res, _ := ts.post(b, "/login/password", url.Values{"password": {"chosen too early"}}); !strings.HasPrefix(res.Header.Get("Location"), "/login/code") {
		t.Errorf("before the code: got %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
	code := phone.code()
	res, _ := ts.post(b, "/login/code", url.Values{"code": {code}, "trust": {"1"}, "rd": {"/profile"}})
	if res.Header.Get("Location") != "/login/password?rd=%2Fprofile" || cookieNamed(res, sessionCookie) != nil {
		t.Fatalf("after the code: got %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
	if res := ts.enter(ts.halfway("bob"), code); res.StatusCode != 401 {
		t.Errorf("the code is good again: got %d", res.StatusCode)
	}
	if res, _ := ts.get(b, "/profile"); res.StatusCode != 303 {
		t.Errorf("before the password: got %d", res.StatusCode)
	}
	if res, _ := ts.post(b, "/login/password", url.Values{"password": {password + "!"}, "rd": {"/profile"}}); res.Header.Get("Location") != "/profile" {
		t.Fatalf("got %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
	if sess, err := ts.app.SessionByToken(t.Context(), jarValue(ts, b, sessionCookie)); err != nil || sess.Method != "password+totp" {
		t.Errorf("got %q, %v", sess.Method, err)
	}
	ts.post(b, "/logout", nil)
	if !ts.passes(b, "bob", password+"!") {
		t.Error("the device is not trusted")
	}
}

// Who must have a factor too is led through both.
func TestOwnPasswordAndAFactor(t *testing.T) {
	t.Parallel()
	ts := newServer(t, "require-second-factor=everybody")
	if err := ts.app.SetPassword(t.Context(), app.Operator.Actor(), mustUser(ts, "bob"), app.NewPassword{Password: password, MustChange: true}); err != nil {
		t.Fatal(err)
	}
	b := ts.halfway("bob")
	ts.advance(4 * time.Minute)
	var res *http.Response
	if res, _ = ts.post(b, "/login/password", url.Values{"password": {password + "!"}, "rd": {"/profile"}}); res.Header.Get("Location") != "/login/set-up?rd=%2Fprofile" || cookieNamed(res, sessionCookie) != nil {
		t.Fatalf("got %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
	ts.advance(4 * time.Minute) // each step has its own five
	if _, res, _ = ts.enrol(b, "/login/set-up?rd=/profile", "Phone"); cookieNamed(res, sessionCookie) == nil {
		t.Errorf("got %d", res.StatusCode)
	}
}
