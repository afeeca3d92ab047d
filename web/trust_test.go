package web

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"lastseen/app"
	"lastseen/db"
)

// trusting is a browser in which somebody gave a code, ticked that it be the last one for a
// while, and has signed out.
func (ts *testServer) trusting(name string, phone authenticator) *http.Client {
	ts.t.Helper()
	b := ts.halfway(name)
	if _, page := ts.get(b, "/login/code"); !strings.Contains(page, "for 30 days") {
		ts.t.Fatalf("it is not offered: %s", page)
	}
	res, _ := ts.post(b, "/login/code", url.Values{"code": {phone.code()}, "rd": {"/profile"}, "trust": {"1"}})
	if res.StatusCode != 303 || cookieNamed(res, sessionCookie) == nil {
		ts.t.Fatalf("got %d", res.StatusCode)
	}
	ts.post(b, "/logout", nil)
	ts.advance(time.Minute)
	return b
}

// passes gives the password in a browser, and reports whether that was enough.
func (ts *testServer) passes(b *http.Client, name, password string) bool {
	ts.t.Helper()
	res, _ := ts.post(b, "/login", url.Values{"username": {name}, "password": {password}, "rd": {"/profile"}})
	if in := cookieNamed(res, sessionCookie) != nil; in == strings.HasPrefix(res.Header.Get("Location"), "/login") {
		ts.t.Fatalf("got %d to %q with %v", res.StatusCode, res.Header.Get("Location"), res.Cookies())
	} else if in {
		return true
	}
	return false
}

func (ts *testServer) onlyDevice(name string) db.Device {
	ts.t.Helper()
	devices, err := ts.app.Devices(ts.t.Context(), app.Operator, mustUser(ts, name).ID)
	if err != nil {
		ts.t.Fatal(err)
	}
	for _, d := range devices {
		if !d.TrustedUntil.IsZero() {
			return d
		}
	}
	ts.t.Fatal("no device is trusted")
	return db.Device{}
}

func TestTrustedDevice(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	phone, _ := ts.withCodes("bob")
	b := ts.trusting("bob", phone)
	if ts.passes(ts.browser(), "bob", password) {
		t.Error("another browser is trusted")
	}
	if !ts.passes(b, "bob", password) {
		t.Fatal("it is asked for a code")
	}
	sess, err := ts.app.SessionByToken(t.Context(), jarValue(ts, b, sessionCookie))
	if err != nil || sess.Method != "password+trusted" || app.MethodText(sess.Method) != "password on a trusted device" {
		t.Fatalf("got %+v, %v", sess, err)
	}
	for path, want := range map[string]string{
		"/sessions/" + sess.UUID.String():                     "with a password, on a trusted device",
		"/devices/" + ts.onlyDevice("bob").UUID.String() + "": "Stop trusting it",
	} {
		if res, page := ts.get(b, path); res.StatusCode != 200 || !strings.Contains(page, want) {
			t.Errorf("%s does not say %q: %d %s", path, want, res.StatusCode, page)
		}
	}

	// What changes how the account is entered asks for both at once.
	res, page := ts.get(b, "/profile/totp")
	if keyText.MatchString(page) || !strings.Contains(page, `name="again_code"`) {
		t.Fatalf("not asked again: %d %s", res.StatusCode, page)
	}
	for name, tt := range map[string]struct {
		password, code string
		want           int
	}{
		"no code":          {password, "", 401},
		"a wrong code":     {password, "000000", 401},
		"a wrong password": {"wrong", phone.code(), 401},
	} {
		form := fields(page)
		form.Set("again_password", tt.password)
		form.Set("again_code", tt.code)
		if res, _ := ts.post(b, "/profile/totp", form); res.StatusCode != tt.want {
			t.Errorf("%s: got %d, want %d", name, res.StatusCode, tt.want)
		}
	}
	form := fields(page)
	form.Set("again_password", password)
	form.Set("again_code", phone.code())
	if res, page := ts.post(b, "/profile/totp", form); res.StatusCode != 303 {
		t.Errorf("with both: got %d %s", res.StatusCode, page)
	}
	if _, page := ts.get(b, "/profile/totp"); !keyText.MatchString(page) {
		t.Error("asked once more")
	}

	ts.advance(29 * 24 * time.Hour)
	if !ts.passes(b, "bob", password) {
		t.Error("after 29 days it is asked for a code")
	}
	ts.advance(24 * time.Hour)
	if ts.passes(b, "bob", password) {
		t.Error("after 30 days it is not asked for a code")
	}
}

// What ends the trust in a device, each by itself.
func TestWhatEndsTrust(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(ts *testServer, bob db.User) (password string, err error){
		"a new password": func(ts *testServer, bob db.User) (string, error) {
			return password + "!", ts.app.SetPassword(ts.t.Context(), operator, bob, app.NewPassword{Password: password + "!"})
		},
		"a reset by link": func(ts *testServer, bob db.User) (string, error) {
			address, _, err := ts.app.ResetLink(ts.t.Context(), operator, bob, 0)
			if err == nil {
				_, link, _ := strings.Cut(address, "/link/")
				_, _, err = ts.app.TakeLink(ts.t.Context(), link, app.Credentials{Password: password + "!"}, app.Client{}, nil)
				if _, waits := err.(*app.UnfinishedError); waits {
					err = nil
				}
			}
			return password + "!", err
		},
		"new factors after a reset": func(ts *testServer, bob db.User) (string, error) {
			if err := ts.app.ResetFactors(ts.t.Context(), operator, bob); err != nil {
				return "", err
			}
			ts.withCodes("bob")
			return password, nil
		},
		"one factor fewer": func(ts *testServer, bob db.User) (string, error) {
			has, err := ts.app.Factors(ts.t.Context(), app.Operator, bob.ID)
			if err != nil {
				return "", err
			}
			return password, ts.app.RemoveFactor(ts.t.Context(), operator, bob, db.KindTOTP, has.TOTPs[0].ID)
		},
		"being disabled for a while": func(ts *testServer, bob db.User) (string, error) {
			if err := ts.app.SetUserActive(ts.t.Context(), operator, bob, false); err != nil {
				return "", err
			}
			return password, ts.app.SetUserActive(ts.t.Context(), operator, bob, true)
		},
		"forgetting the device": func(ts *testServer, bob db.User) (string, error) {
			_, err := ts.app.ForgetDevice(ts.t.Context(), app.Operator, ts.onlyDevice("bob").UUID)
			return password, err
		},
		"taking it back": func(ts *testServer, bob db.User) (string, error) {
			res, _ := ts.post(ts.signIn("ada"), "/devices/"+ts.onlyDevice("bob").UUID.String()+"/distrust", nil)
			if res.StatusCode != 303 {
				return "", fmt.Errorf("got %d", res.StatusCode)
			}
			return password, nil
		},
		"the setting": func(ts *testServer, bob db.User) (string, error) {
			ts.app.Config.TrustDevices = 0
			return password, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			ts := newServer(t)
			phone, recovery := ts.withCodes("bob")
			if name == "one factor fewer" {
				ts.app.Config.RequireSecondFactor = "none"
				b := ts.halfway("bob")
				ts.enter(b, recovery[0])
				ts.enrol(b, "/profile/totp", "Another")
				ts.advance(time.Minute)
			}
			b := ts.trusting("bob", phone)
			password, err := end(ts, mustUser(ts, "bob"))
			if err != nil {
				t.Fatal(err)
			}
			if ts.passes(b, "bob", password) {
				t.Error("the password is enough still")
			}
			if _, page := ts.get(b, "/login/code"); strings.Contains(page, `name="trust"`) != (name != "the setting") {
				t.Errorf("offered or not: %s", page)
			}
		})
	}
}

// The device's cookie of one account is good for nothing at another's, and who must set up a
// factor is led there from a device that was trusted.
func TestTrustIsOfOneAccount(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ts.createUser("otto", false)
	phone, _ := ts.withCodes("bob")
	ottos, _ := ts.withCodes("otto")
	bobs := ts.trusting("bob", phone)
	if ts.passes(bobs, "otto", password) {
		t.Error("another account passes by the cookie of bob's device")
	}
	ts.trusting("otto", ottos)
	if ts.passes(bobs, "otto", password) {
		t.Error("another account passes by the cookie of bob's device, since its own is trusted elsewhere")
	}
	if !ts.passes(bobs, "bob", password) {
		t.Error("bob is asked for a code")
	}
	bob := mustUser(ts, "bob")
	if err := ts.app.ResetFactors(t.Context(), operator, bob); err != nil {
		t.Fatal(err)
	}
	ts.app.Config.RequireSecondFactor = "everybody"
	res, _ := ts.post(bobs, "/login", url.Values{"username": {"bob"}, "password": {password}})
	if !strings.HasPrefix(res.Header.Get("Location"), "/login/set-up") {
		t.Errorf("got %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
}

// A recovery code stands for a factor that is lost: no device is trusted by it.
func TestRecoveryTrustsNoDevice(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	_, recovery := ts.withCodes("bob")
	b := ts.halfway("bob")
	ts.post(b, "/login/code", url.Values{"code": {recovery[0]}, "trust": {"1"}})
	ts.post(b, "/logout", nil)
	if ts.passes(b, "bob", password) {
		t.Error("it is")
	}
}

// Who must have a factor and has none is shown, with their sessions as they were.
func TestMissingFactors(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ts.createUser("otto", false)
	ts.withCodes("bob")
	ottos, ada := ts.signIn("otto"), ts.signIn("ada")
	for _, tt := range []struct {
		require string
		marks   int
		note    string
	}{
		{"none", 0, ""}, {"superusers", 1, "have none: 1."}, {"everybody", 2, "have none: 2."},
	} {
		ts.app.Config.RequireSecondFactor = tt.require
		_, page := ts.get(ada, "/users")
		if got := strings.Count(page, "no second factor</span>"); got != tt.marks || strings.Contains(page, "must have a second factor") != (tt.note != "") || !strings.Contains(page, tt.note) {
			t.Errorf("%s: got %d marks, want %d and %q: %s", tt.require, got, tt.marks, tt.note, page)
		}
		_, page = ts.get(ada, "/users?factor=missing")
		if got := strings.Count(page, `<a class="name"`); got != tt.marks && tt.marks > 0 {
			t.Errorf("%s: lists %d, want %d", tt.require, got, tt.marks)
		}
	}
	if res, _ := ts.get(ottos, "/sessions"); res.StatusCode != 200 {
		t.Errorf("a session has ended: %d", res.StatusCode)
	}
}

// A session from before its person had a second factor goes on, and whoever is in it with
// the password alone cannot take that factor away again.
// What somebody proved by the password alone counts no more once there is a factor, however
// young it is: else whoever has the password could remove the factor again.
func TestProofsFromBeforeTheFactor(t *testing.T) {
	t.Parallel()
	ts := newLocalServer(t)
	again := func(b *http.Client) *http.Client {
		ts.post(b, "/profile/totp", url.Values{"again": {"get"}, "again_password": {password}})
		return b
	}
	for name, tt := range map[string]struct {
		session func(before *http.Client, phone authenticator) *http.Client // after the first factor
		asked   bool
	}{
		"signed in before":     {func(before *http.Client, _ authenticator) *http.Client { return before }, true},
		"then with a password": {func(before *http.Client, _ authenticator) *http.Client { return again(before) }, true},
		"then with a code too": {func(before *http.Client, phone authenticator) *http.Client {
			ts.post(before, "/profile/totp", url.Values{"again": {"get"}, "again_password": {password}, "again_code": {phone.code()}})
			return before
		}, false},
		"signed in by the code": {func(_ *http.Client, phone authenticator) *http.Client {
			b := ts.halfway("bob")
			ts.enter(b, phone.code())
			return b
		}, false},
		"somebody else's": {func(*http.Client, authenticator) *http.Client { return ts.signIn("ada") }, false},
	} {
		before, own := again(ts.signIn("bob")), ts.signIn("bob")
		phone, _, _ := ts.enrol(own, "/profile/totp", "Phone")
		ts.advance(time.Minute)
		asked := func(b *http.Client) bool {
			res, page := ts.get(b, "/profile/totp")
			if res.StatusCode != 200 {
				t.Fatalf("%s: got %d", name, res.StatusCode)
			}
			return strings.Contains(page, `name="again_password"`)
		}
		if asked(own) {
			t.Errorf("%s: who set up the factor is asked again", name)
		}
		if b := tt.session(before, phone); asked(b) != tt.asked {
			t.Errorf("%s: asked again: %v, want %v", name, !tt.asked, tt.asked)
		}
		if err := ts.app.ResetFactors(t.Context(), app.Operator.Actor(), mustUser(ts, "bob")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAskedAgainFromBeforeTheFactor(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	before := ts.signIn("bob")
	phone, recovery := ts.withCodes("bob")
	ts.advance(time.Hour)
	_, page := ts.get(before, "/profile/totp")
	form := fields(page)
	form.Set("again_password", password)
	if res, _ := ts.post(before, "/profile/totp", form); res.StatusCode != 401 || !strings.Contains(page, `name="again_code"`) {
		t.Errorf("with the password alone: got %d after %s", res.StatusCode, page)
	}
	if err := os.Rename(app.KeyPath(ts.app.Config.DataDir), app.KeyPath(ts.app.Config.DataDir)+".gone"); err != nil {
		t.Fatal(err)
	}
	form.Set("again_code", phone.code())
	if res, page := ts.post(before, "/profile/totp", form); res.StatusCode != 503 || !strings.Contains(page, "Use a recovery code") {
		t.Errorf("without the key: got %d %s", res.StatusCode, page)
	}
	form.Set("again_code", recovery[0])
	if res, _ := ts.post(before, "/profile/totp", form); res.StatusCode != 303 {
		t.Errorf("with a recovery code: got %d", res.StatusCode)
	}
}

// Without a key that is good nothing can be set up, and the page says so.
func TestSettingUpWithoutTheKey(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	b := ts.signIn("bob")
	if err := os.WriteFile(app.KeyPath(ts.app.Config.DataDir), []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if res, page := ts.get(b, "/profile/totp"); res.StatusCode != 503 || !strings.Contains(page, "the key that it needs is gone") {
		t.Errorf("got %d %s", res.StatusCode, page)
	}
	admin := ts.signIn("ada")
	if res, page := ts.post(admin, "/alerts", url.Values{"url": {"ntfy://ntfy.example/home"}}); res.StatusCode != 503 || !strings.Contains(page, "The target cannot be stored") {
		t.Errorf("a target: got %d %s", res.StatusCode, page)
	}
}
