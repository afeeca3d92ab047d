package web

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
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
