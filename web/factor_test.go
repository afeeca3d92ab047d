package web

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"lastseen/app"
	"lastseen/db"

	"github.com/gin-gonic/gin"
)

// An authenticator makes codes from a key, as a phone's app does.
type authenticator struct {
	ts  *testServer
	key string
}

// code is that of now, or so many steps from it.
func (a authenticator) code(steps ...int64) string {
	secret, err := base32.StdEncoding.DecodeString(a.key)
	if err != nil {
		a.ts.t.Fatal(err)
	}
	step := a.ts.app.Now().Unix() / 30
	for _, n := range steps {
		step += n
	}
	mac := hmac.New(sha1.New, secret)
	_ = binary.Write(mac, binary.BigEndian, step)
	sum := mac.Sum(nil)
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[sum[19]&15:])&0x7fffffff%1000000)
}

var (
	hiddenField  = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	keyText      = regexp.MustCompile(`<code[^>]*>([A-Z2-7]{32})</code>`)
	recoveryCode = regexp.MustCompile(`<code>([A-Z2-7]{4}(?:-[A-Z2-7]{4}){3})</code>`)
)

// fields are what a page's form sends by itself.
func fields(page string) url.Values {
	form := url.Values{}
	for _, m := range hiddenField.FindAllStringSubmatch(page, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	return form
}

// enrol sets up an authenticator app on a page, and returns the page that follows.
func (ts *testServer) enrol(b *http.Client, path, name string) (authenticator, *http.Response, string) {
	ts.t.Helper()
	res, page := ts.get(b, path)
	key := keyText.FindStringSubmatch(page)
	if res.StatusCode != 200 || key == nil {
		ts.t.Fatalf("%s: got %d %s", path, res.StatusCode, page)
	}
	a := authenticator{ts, key[1]}
	form := fields(page)
	form.Set("name", name)
	form.Set("code", a.code())
	res, page = ts.post(b, path, form)
	return a, res, page
}

// withCodes gives somebody an authenticator app and recovery codes.
func (ts *testServer) withCodes(name string) (authenticator, []string) {
	ts.t.Helper()
	a, res, page := ts.enrol(ts.signIn(name), "/profile/totp", "Phone")
	var codes []string
	for _, m := range recoveryCode.FindAllStringSubmatch(page, -1) {
		codes = append(codes, m[1])
	}
	if res.StatusCode != 200 || len(codes) != 10 {
		ts.t.Fatalf("got %d, recovery codes %q", res.StatusCode, codes)
	}
	ts.advance(time.Minute) // its code is used up
	return a, codes
}

// halfway is a browser in which somebody has given the password, and no more.
func (ts *testServer) halfway(name string) *http.Client {
	ts.t.Helper()
	b := ts.browser()
	res, _ := ts.post(b, "/login", url.Values{"username": {name}, "password": {password}, "rd": {"/profile"}})
	if res.StatusCode != 303 || !strings.HasPrefix(res.Header.Get("Location"), "/login/") || cookieNamed(res, sessionCookie) != nil {
		ts.t.Fatalf("got %d to %q with %v", res.StatusCode, res.Header.Get("Location"), res.Cookies())
	}
	return b
}

func (ts *testServer) enter(b *http.Client, code string) *http.Response {
	ts.t.Helper()
	res, _ := ts.post(b, "/login/code", url.Values{"code": {code}, "rd": {"/profile"}})
	return res
}

func TestSigningInWithACode(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	phone, recovery := ts.withCodes("bob")
	b := ts.halfway("bob")
	res, page := ts.get(b, "/login/code?rd=/profile")
	for _, want := range []string{`autocomplete="one-time-code"`, `inputmode="numeric"`, "recovery"} {
		if !strings.Contains(page, want) {
			t.Errorf("%d: the page lacks %s:\n%s", res.StatusCode, want, page)
		}
	}
	for name, code := range map[string]string{"none": "", "wrong": "000000", "letters": "abcdef", "long": strings.Repeat("1", 5000), "two steps behind": phone.code(-2), "two steps ahead": phone.code(2)} {
		if res := ts.enter(b, code); res.StatusCode != 401 || cookieNamed(res, sessionCookie) != nil {
			t.Errorf("%s: got %d", name, res.StatusCode)
		}
	}
	good := phone.code(-1)
	res = ts.enter(b, good[:3]+" "+good[3:])
	if session := cookieNamed(res, sessionCookie); res.StatusCode != 303 || res.Header.Get("Location") != "/profile" || session == nil {
		t.Fatalf("got %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
	if pending := cookieNamed(res, "lastseen_signin"); pending == nil || pending.MaxAge >= 0 {
		t.Errorf("what was pending stays: %v", pending)
	}
	if res, page := ts.get(b, "/profile"); res.StatusCode != 200 || !strings.Contains(page, "10 recovery codes are left") {
		t.Errorf("got %d %s", res.StatusCode, page)
	}
	if again := ts.enter(ts.halfway("bob"), good); again.StatusCode != 401 {
		t.Errorf("a code that was used: got %d", again.StatusCode)
	}
	if earlier := ts.enter(ts.halfway("bob"), phone.code(-1)); earlier.StatusCode != 401 {
		t.Errorf("an earlier code: got %d", earlier.StatusCode)
	}
	if next := ts.enter(ts.halfway("bob"), phone.code()); next.StatusCode != 303 {
		t.Errorf("the next code: got %d", next.StatusCode)
	}
	for i, typed := range []string{recovery[0], strings.ToLower(strings.ReplaceAll(recovery[1], "-", " ")), strings.ReplaceAll(recovery[2], "O", "0")} {
		b := ts.halfway("bob")
		if res := ts.enter(b, typed); res.StatusCode != 303 {
			t.Errorf("recovery code %q: got %d", typed, res.StatusCode)
		}
		if _, page := ts.get(b, "/profile"); !strings.Contains(page, fmt.Sprintf("%d recovery codes are left", 9-i)) {
			t.Errorf("after recovery code %d: got %s", i, page)
		}
		if again := ts.enter(ts.halfway("bob"), typed); again.StatusCode != 401 {
			t.Errorf("recovery code %q again: got %d", typed, again.StatusCode)
		}
	}
	ts.advance(5*time.Minute + time.Second)
	late := ts.halfway("bob")
	ts.advance(5 * time.Minute)
	if res := ts.enter(late, phone.code()); res.StatusCode != 303 || !strings.HasPrefix(res.Header.Get("Location"), "/login?") || cookieNamed(res, sessionCookie) != nil {
		t.Errorf("after five minutes: got %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
	methods := map[string]int{}
	sessions, _, err := ts.app.Sessions(t.Context(), app.Operator, db.SessionFilter{Limit: 100})
	for _, s := range sessions {
		methods[s.Method]++
	}
	if err != nil || methods["password"] != 1 || methods["password+totp"] != 2 || methods["password+recovery"] != 3 {
		t.Errorf("got %v, %v", methods, err)
	}
}

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

// Of twenty requests with one code at once, one signs in, whichever the code.
func TestOneCodeManyAtOnce(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	phone, recovery := ts.withCodes("bob")
	for name, code := range map[string]func() string{"a code": func() string { return phone.code() }, "a recovery code": func() string { return recovery[0] }} {
		ts.advance(16 * time.Minute) // the nineteen others are failures
		code := code()
		browsers := make([]*http.Client, 4)
		for i := range browsers {
			browsers[i] = ts.halfway("bob")
		}
		var mu sync.Mutex
		var wait sync.WaitGroup
		got := map[bool]int{}
		for i := range 20 {
			wait.Go(func() {
				res := ts.enter(browsers[i%4], code)
				mu.Lock()
				defer mu.Unlock()
				got[cookieNamed(res, sessionCookie) != nil]++
			})
		}
		if wait.Wait(); got[true] != 1 || got[false] != 19 {
			t.Errorf("%s: %d of 20 signed in", name, got[true])
		}
	}
}

// Passwords and codes share the count of failures, and a right password does not reset it.
func TestCodesShareTheLimits(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	phone, _ := ts.withCodes("bob")
	for i := range 9 {
		if i%3 == 0 {
			ts.post(nil, "/login", url.Values{"username": {"bob"}, "password": {"wrong"}})
			continue
		}
		if res := ts.enter(ts.halfway("bob"), "000000"); res.StatusCode != 401 {
			t.Fatalf("failure %d: got %d", i, res.StatusCode)
		}
	}
	b := ts.halfway("bob")
	if res := ts.enter(b, "000000"); res.StatusCode != 401 {
		t.Errorf("the tenth: got %d", res.StatusCode)
	}
	if res := ts.enter(b, phone.code()); res.StatusCode != 429 || res.Header.Get("Retry-After") == "" {
		t.Errorf("the right code after ten failures: got %d", res.StatusCode)
	}
	if res, _ := ts.post(nil, "/login", url.Values{"username": {"bob"}, "password": {password}}); res.StatusCode != 429 {
		t.Errorf("the right password after ten failures: got %d", res.StatusCode)
	}
	ts.advance(16 * time.Minute)
	if res := ts.enter(ts.halfway("bob"), phone.code()); res.StatusCode != 303 {
		t.Errorf("a while later: got %d", res.StatusCode)
	}
}

// A wrong code that would fit another time names the clock's offset, and is refused.
func TestACodeOfAnotherTime(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	phone, _ := ts.withCodes("bob")
	if res := ts.enter(ts.halfway("bob"), phone.code(7)); res.StatusCode != 401 {
		t.Errorf("got %d", res.StatusCode)
	}
	if !strings.Contains(ts.log.String(), "app_ahead=3m30s") {
		t.Errorf("the log does not say by how much:\n%s", ts.log.String())
	}
	found := ""
	for _, check := range ts.app.Doctor(t.Context()) {
		if check.Name == "Clock" {
			found = check.State + ": " + check.Found.String()
		}
	}
	if !strings.Contains(found, "warning") || !strings.Contains(found, "3m30s") || !strings.Contains(found, "bob") {
		t.Errorf("the doctor says %q", found)
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

// Who must have a factor sets it up at the sign-in, and gets nothing before.
func TestWhoMustHaveAFactor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		required string
		must     map[string]bool
	}{
		{"superusers", map[string]bool{"ada": true, "bob": false}},
		{"everybody", map[string]bool{"ada": true, "bob": true}},
	} {
		ts := newServer(t, "require-second-factor="+tt.required)
		for name, must := range tt.must {
			if !must {
				ts.signIn(name)
				continue
			}
			b := ts.halfway(name)
			if res, _ := ts.get(b, "/profile"); res.StatusCode != 303 {
				t.Errorf("%s before: got %d", name, res.StatusCode)
			}
			if res := ts.enter(b, "000000"); res.Header.Get("Location") != "/login/set-up?rd=%2Fprofile" {
				t.Errorf("%s is not led to it: %d %q", name, res.StatusCode, res.Header.Get("Location"))
			}
			_, page := ts.get(b, "/login/set-up?rd=/profile")
			form := fields(page)
			form.Set("name", "Phone")
			form.Set("code", "000000")
			if res, _ := ts.post(b, "/login/set-up", form); res.StatusCode != 400 || cookieNamed(res, sessionCookie) != nil {
				t.Errorf("%s with a wrong code: got %d", name, res.StatusCode)
			}
			phone, res, page := ts.enrol(b, "/login/set-up?rd=/profile", "Phone")
			if res.StatusCode != 200 || len(recoveryCode.FindAllString(page, -1)) != 10 || cookieNamed(res, sessionCookie) == nil {
				t.Fatalf("%s: got %d %s", name, res.StatusCode, page)
			}
			if res, _ := ts.get(b, "/login?rd=/profile"); res.Header.Get("Location") != "/profile" {
				t.Errorf("%s is led to %q", name, res.Header.Get("Location"))
			}
			res, page = ts.get(b, "/profile")
			remove := regexp.MustCompile(`/profile/totp/\d+/remove`).FindString(page)
			if res.StatusCode != 200 || remove == "" {
				t.Errorf("%s afterwards: got %d", name, res.StatusCode)
			}
			if res, page := ts.post(b, remove, nil); res.StatusCode != 403 || !strings.Contains(page, "you must keep one") {
				t.Errorf("%s removes the last: got %d", name, res.StatusCode)
			}
			if res := ts.enter(ts.halfway(name), phone.code()); res.StatusCode != 401 {
				t.Errorf("%s: the code that enrolled is good again: %d", name, res.StatusCode)
			}
		}
		if status, _ := ts.api(ts.key("ada"), "GET", "/core/users/me/", nil); status != 200 {
			t.Errorf("a key: got %d", status)
		}
	}
}

// The first superuser is no exception.
func TestSetupAsksForTheFactorToo(t *testing.T) {
	t.Parallel()
	ts := newServer(t, "require-second-factor=superusers")
	for _, name := range []string{"bob", "ada"} {
		if err := ts.store.DeleteUser(t.Context(), mustUser(ts, name).ID, false, db.Event{Created: now, Context: map[string]any{}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := ts.app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := ts.browser()
	res, _ := ts.post(b, "/setup", url.Values{"token": {ts.app.SetupToken()}, "username": {"ada"}, "password": {password}})
	if !strings.HasPrefix(res.Header.Get("Location"), "/login/set-up?") || cookieNamed(res, sessionCookie) != nil {
		t.Fatalf("got %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
	if _, res, _ := ts.enrol(b, "/login/set-up?rd=/sessions", "Phone"); res.StatusCode != 200 || cookieNamed(res, sessionCookie) == nil {
		t.Errorf("got %d", res.StatusCode)
	}
}

// GHSA-hp74-gm6m-2qm5: what changes how an account is entered asks again, and then goes
// on with what was sent.
func TestAskingAgain(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	b := ts.signIn("ada")
	bob := mustUser(ts, "bob")
	sess, err := ts.app.SessionByToken(t.Context(), jarValue(ts, b, sessionCookie))
	if err != nil {
		t.Fatal(err)
	}
	if res, _ := ts.post(b, "/tokens", url.Values{"identifier": {"early"}}); res.StatusCode != 200 {
		t.Fatalf("just signed in: got %d", res.StatusCode)
	}
	for name, tt := range map[string]struct {
		path string
		form url.Values
		done int
	}{
		"a key":              {"/tokens", url.Values{"identifier": {"late"}, "description": {`with "quotes" & more`}}, 200},
		"a password":         {fmt.Sprintf("/users/%d/password", bob.ID), url.Values{"password": {password + "!"}}, 303},
		"somebody's factors": {fmt.Sprintf("/users/%d/factors/reset", bob.ID), nil, 303},
		"an email address":   {"/profile", url.Values{"name": {"Ada"}, "email": {"ada@home.example"}}, 303},
		"another superuser":  {"/users", url.Values{"username": {"eve"}, "password": {password}, "superuser": {"1"}}, 303},
		"a superuser of one": {fmt.Sprintf("/users/%d", bob.ID), url.Values{"email": {"bob@home.example"}, "superuser": {"1"}}, 303},
		"a page":             {"/profile/totp", nil, 400},
	} {
		ts.advance(16 * time.Minute)
		res, page := ts.post(b, tt.path, tt.form)
		if res.StatusCode != 403 || !strings.Contains(page, `type="password"`) {
			t.Fatalf("%s: got %d %s", name, res.StatusCode, page)
		}
		form := fields(page)
		for field := range tt.form {
			if form.Get(field) != tt.form.Get(field) {
				t.Errorf("%s: %s is %q, want %q", name, field, form.Get(field), tt.form.Get(field))
			}
		}
		form.Set("again_password", "wrong")
		if res, page = ts.post(b, tt.path, form); res.StatusCode != 401 || fields(page).Encode() == "" {
			t.Errorf("%s with a wrong password: got %d", name, res.StatusCode)
		}
		form = fields(page)
		form.Set("again_password", password)
		if res, page = ts.post(b, tt.path, form); res.StatusCode != tt.done {
			t.Errorf("%s: got %d %s", name, res.StatusCode, page)
		}
		if _, page := ts.get(b, "/sessions/"+sess.UUID.String()); !strings.Contains(page, "proven again") {
			t.Errorf("after %s: the session's page does not say so", name)
		}
		if res, _ := ts.get(b, "/profile/totp"); res.StatusCode != 200 {
			t.Errorf("after %s: asked once more: %d", name, res.StatusCode)
		}
	}
	if token, err := ts.app.Token(t.Context(), app.Operator, "late"); err != nil || token.Description != `with "quotes" & more` {
		t.Errorf("got %+v, %v", token, err)
	}
	ts.advance(16 * time.Minute)
	res, page := ts.get(b, "/profile/totp")
	if res.StatusCode != 200 || keyText.MatchString(page) || !strings.Contains(page, `type="password"`) {
		t.Errorf("a page is not asked about: %d", res.StatusCode)
	}
	form := fields(page)
	form.Set("again_password", password)
	if res, _ := ts.post(b, "/profile/totp", form); res.StatusCode != 303 || res.Header.Get("Location") != "/profile/totp" {
		t.Errorf("got %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
	if res, page := ts.get(b, "/profile/totp"); res.StatusCode != 200 || !keyText.MatchString(page) {
		t.Errorf("got %d", res.StatusCode)
	}
	ts.advance(16 * time.Minute)
	for range 10 {
		ts.post(b, "/profile/totp", url.Values{"again": {"post"}, "again_password": {"wrong"}})
	}
	if res, _ := ts.post(b, "/profile/totp", url.Values{"again": {"post"}, "again_password": {password}}); res.StatusCode != 429 {
		t.Errorf("after ten wrong ones: got %d", res.StatusCode)
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

// Factors by the API: a key removes them, a cookie only while its proof is young.
func TestAuthenticatorsAPI(t *testing.T) {
	t.Parallel()
	ts := newServer(t, "require-second-factor=superusers")
	phone, _ := ts.withCodes("bob")
	key := ts.key("ada")
	bob := mustUser(ts, "bob")
	var devices []struct{ PK, Name, Type string }
	for _, user := range []string{"", "?user=", "?user=x", "?user=1.5", "?user=99999999999999999999"} {
		if status, body := ts.api(key, "GET", "/authenticators/admin/all/"+user, nil); status != 400 {
			t.Errorf("%q: got %d %s", user, status, body)
		}
	}
	if status, body := ts.api(key, "GET", "/authenticators/admin/all/?user=4711", nil); status != 200 || body != "[]" {
		t.Errorf("of nobody: got %d %s", status, body)
	}
	if status, _ := ts.api(key, "GET", fmt.Sprintf("/authenticators/admin/all/?user=%d", bob.ID), &devices); status != 200 || len(devices) != 2 || devices[0].Name != "Phone" {
		t.Fatalf("got %d %+v", status, devices)
	}
	b := ts.halfway("bob")
	if res := ts.enter(b, phone.code()); res.StatusCode != 303 {
		t.Fatalf("got %d", res.StatusCode)
	}
	path := "/api/v3/authenticators/totp/" + devices[0].PK + "/"
	ts.advance(16 * time.Minute)
	if res, body := ts.do(b, "DELETE", path, nil); res.StatusCode != 403 || !strings.Contains(body, "Sign in again") {
		t.Errorf("a while after the sign-in: got %d %s", res.StatusCode, body)
	}
	ts.post(b, "/profile/totp", url.Values{"again": {"get"}, "again_password": {password}})
	if res, body := ts.do(b, "DELETE", path, nil); res.StatusCode != 204 {
		t.Errorf("just after it: got %d %s", res.StatusCode, body)
	}
	if status, body := ts.api(key, "GET", fmt.Sprintf("/authenticators/admin/all/?user=%d", bob.ID), nil); status != 200 || body != "[]" {
		t.Errorf("recovery codes without a factor: %d %s", status, body)
	}
	for _, path := range []string{"x", "0", "-1", "99999999999999999999"} {
		if status, _ := ts.api(key, "DELETE", "/authenticators/admin/totp/"+path+"/", nil); status != 404 {
			t.Errorf("%s: got %d", path, status)
		}
	}
}

// tinyauth#123, #555: a password opens nothing by HTTP Basic, with or without a second
// factor behind it, neither an app nor the API.
func TestNoPasswordByBasic(t *testing.T) {
	t.Parallel()
	ts := guarded(t)
	ts.withCodes("bob")
	for _, name := range []string{"ada", "bob"} {
		basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
		for _, g := range gates {
			res := ts.asks(g, app1, "/", "Authorization", basic)
			if res.StatusCode == 200 || res.Header.Get("X-Authentik-Username") != "" {
				t.Errorf("%s by %s: got %d", name, g.name, res.StatusCode)
			}
		}
		if res, body := ts.get(nil, "/api/v3/core/users/me/", "Authorization", basic); res.StatusCode != 403 {
			t.Errorf("%s by the API: got %d %s", name, res.StatusCode, body)
		}
	}
}
