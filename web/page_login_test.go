package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lastseen/app"
	"lastseen/db"
)

var operator = app.Operator.Actor()

func mustUser(ts *testServer, name string) db.User {
	ts.t.Helper()
	user, err := ts.app.UserByName(context.Background(), name)
	if err != nil {
		ts.t.Fatal(err)
	}
	return user
}

func credentials(name, password string) url.Values {
	return url.Values{"username": {name}, "password": {password}}
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	b := ts.browser()
	res, _ := ts.post(b, "/login", url.Values{"username": {"ADA"}, "password": {password}, "rd": {"/profile?x=1"}})
	if res.StatusCode != 303 || res.Header.Get("Location") != "/profile?x=1" {
		t.Errorf("got %d to %q, want 303 to the page asked for", res.StatusCode, res.Header.Get("Location"))
	}
	cookie := res.Cookies()[0]
	if cookie.Name != "lastseen_session" || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Secure || cookie.Domain != "" || cookie.MaxAge != 0 || len(cookie.Value) != 43 {
		t.Errorf("cookie over http: got %+v", cookie)
	}
	if strings.Contains(ts.log.String(), cookie.Value) || strings.Contains(ts.log.String(), password) {
		t.Error("a secret is in the log")
	}

	res, _ = ts.post(b, "/login", url.Values{"username": {"ada"}, "password": {password}, "remember": {"1"}})
	second := res.Cookies()[0]
	if second.Value == cookie.Value {
		t.Error("signing in again kept the token")
	}
	if second.MaxAge != 14*24*3600 {
		t.Errorf("remembered: Max-Age is %d, want two weeks", second.MaxAge)
	}
	if res, _ := ts.get(nil, "/api/v3/core/users/me/", "Cookie", "lastseen_session="+cookie.Value); res.StatusCode != 403 {
		t.Errorf("the session that the browser held before lives: got %d", res.StatusCode)
	}
	// Of several cookies of the name each is tried.
	if res, _ := ts.get(nil, "/api/v3/core/users/me/", "Cookie", "lastseen_session=tossed; lastseen_session="+second.Value); res.StatusCode != 200 {
		t.Errorf("the good cookie behind another one: got %d, want 200", res.StatusCode)
	}
}

func TestSecureCookie(t *testing.T) {
	t.Parallel()
	ts := newServer(t, "public-url=https://auth.home.example", "cookie-domain=home.example")
	res, _ := ts.post(nil, "/login", credentials("ada", password), "Host", "auth.home.example")
	if c := res.Cookies()[0]; !c.Secure || c.Domain != "home.example" {
		t.Errorf("got %+v, want Secure and the domain", c)
	}
}

func TestRefusedSignInsLookAlike(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ts.createUser("eve", false)
	if err := ts.app.SetUserActive(t.Context(), operator, mustUser(ts, "eve"), false); err != nil {
		t.Fatal(err)
	}
	var pages []string
	for _, tt := range [][2]string{{"ada", "wrong password"}, {"nobody", password}, {"eve", password}, {"", ""}} {
		res, body := ts.post(nil, "/login", credentials(tt[0], tt[1]))
		if res.StatusCode != 401 || len(res.Cookies()) != 0 {
			t.Errorf("%q: got %d and cookies %v, want 401", tt[0], res.StatusCode, res.Cookies())
		}
		pages = append(pages, strings.Replace(body, `value="`+tt[0]+`" autocomplete`, `value="" autocomplete`, 1))
	}
	for _, page := range pages[1:] {
		if page != pages[0] {
			t.Errorf("pages differ:\n%s\n%s", pages[0], page)
		}
	}
	if !strings.Contains(ts.log.String(), `msg="sign-in refused" user=ada ip=127.0.0.1 why="wrong password"`) {
		t.Error("no log line for log readers in", ts.log)
	}
}

func TestSignInTakesOnlyForms(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	for _, contentType := range []string{"", "text/plain", "application/json", "multipart/form-data; boundary=x"} {
		res, _ := ts.do(nil, "POST", "/login", strings.NewReader(credentials("ada", password).Encode()), "Content-Type", contentType)
		if res.StatusCode != 415 {
			t.Errorf("%q: got %d, want 415", contentType, res.StatusCode)
		}
	}
	res, _ := ts.do(nil, "POST", "/login", strings.NewReader("username="+strings.Repeat("x", maxBody)), "Content-Type", "application/x-www-form-urlencoded")
	if res.StatusCode != 413 {
		t.Errorf("a large body: got %d, want 413", res.StatusCode)
	}
}

func TestUnsafeRequestsFromElsewhere(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	own := ts.url
	for _, tt := range []struct {
		name, site, origin string
		want               int
	}{
		{"no browser", "", "", 303},
		{"our page", "same-origin", own, 303},
		{"address bar", "none", "", 303},
		{"our page in an old browser", "", own, 303},
		{"sibling", "same-site", "http://evil.home.example", 403},
		{"another site", "cross-site", "https://evil.example", 403},
		{"another site in an old browser", "", "https://evil.example", 403},
		{"hidden origin", "", "null", 403},
	} {
		var header []string
		if tt.site != "" {
			header = append(header, "Sec-Fetch-Site", tt.site)
		}
		if tt.origin != "" {
			header = append(header, "Origin", tt.origin)
		}
		for _, path := range []string{"/login", "/logout"} {
			if res, _ := ts.post(nil, path, credentials("ada", password), header...); res.StatusCode != tt.want {
				t.Errorf("%s, %s: got %d, want %d", tt.name, path, res.StatusCode, tt.want)
			}
		}
	}
}

func TestTooManyFailures(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	try := func(name, password string) (int, string) {
		res, _ := ts.post(nil, "/login", credentials(name, password))
		return res.StatusCode, res.Header.Get("Retry-After")
	}
	for i := range 10 {
		if status, _ := try("ada", "wrong"); status != 401 {
			t.Fatalf("failure %d: got %d, want 401", i+1, status)
		}
	}
	status, after := try("ada", password)
	if status != 429 || after != "900" {
		t.Errorf("the right password after ten wrong ones: got %d, Retry-After %q, want 429 and 900", status, after)
	}
	if status, _ := try("bob", password); status != 303 {
		t.Errorf("somebody else: got %d, want 303", status)
	}
	ts.advance(15*time.Minute - time.Second)
	if status, after := try("ada", password); status != 429 || after != "1" {
		t.Errorf("a second before: got %d, Retry-After %q", status, after)
	}
	ts.advance(time.Second)
	if status, _ := try("ada", password); status != 303 {
		t.Errorf("after the window: got %d, want 303", status)
	}
}

// A superuser lets a person try again, on the page that says why they cannot,
// and so does a command.
func TestUnlock(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ada, bob := ts.signIn("ada"), mustUser(ts, "bob")
	page, button := fmt.Sprintf("/users/%d", bob.ID), "/unlock"
	if _, body := ts.get(ada, page); strings.Contains(body, button) {
		t.Error("the page of somebody without a wrong password has the button")
	}
	fail := func(n int) {
		t.Helper()
		for range n {
			if res, _ := ts.post(nil, "/login", credentials("BOB", "wrong")); res.StatusCode != 401 {
				t.Fatalf("a wrong password: got %d, want 401", res.StatusCode)
			}
		}
	}
	fail(9)
	if _, body := ts.get(ada, page); !strings.Contains(body, "9 wrong passwords") || !strings.Contains(body, button) || strings.Contains(body, "locked") {
		t.Errorf("the page after nine wrong passwords: %s", body)
	}
	fail(1)
	if _, body := ts.get(ada, page); !strings.Contains(body, "10 wrong passwords") || !strings.Contains(body, "locked") {
		t.Errorf("the page of somebody locked: %s", body)
	}
	if res, _ := ts.post(nil, "/login", credentials("bob", password)); res.StatusCode != 429 {
		t.Fatalf("locked: got %d, want 429", res.StatusCode)
	}
	if res, _ := ts.post(ts.signIn("ada"), page+button, nil); res.StatusCode != 303 {
		t.Fatalf("unlock: got %d, want 303", res.StatusCode)
	}
	bobs := ts.signIn("bob")
	if res, _ := ts.post(bobs, page+button, nil); res.StatusCode != 403 {
		t.Errorf("unlock by somebody ordinary: got %d, want 403", res.StatusCode)
	}
	fail(10)
	if err := ts.app.UnlockUser(t.Context(), operator, bob); err != nil {
		t.Fatal(err)
	}
	ts.signIn("bob")
}

// Many at once get no further than one after another.
func TestTooManyFailuresAtOnce(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	var wait sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for range 40 {
		wait.Go(func() {
			res, _ := ts.post(nil, "/login", credentials("ada", "wrong"))
			mu.Lock()
			defer mu.Unlock()
			statuses[res.StatusCode]++
		})
	}
	wait.Wait()
	if statuses[401] > 10 || statuses[401]+statuses[429] != 40 {
		t.Errorf("got %v, want at most ten 401", statuses)
	}
}

func TestWhatEndsSessions(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ctx := t.Context()
	here, there := ts.signIn("bob"), ts.signIn("bob")
	alive := func(b *http.Client) bool {
		res, _ := ts.get(b, "/api/v3/core/users/me/")
		return res.StatusCode == 200
	}
	res, body := ts.post(here, "/profile/password", url.Values{"current_password": {password}, "new_password": {"another horse"}})
	if res.StatusCode != 303 {
		t.Fatalf("change the password: got %d %s", res.StatusCode, body)
	}
	if !alive(here) || alive(there) {
		t.Errorf("after a password change: here %v, there %v, want only here", alive(here), alive(there))
	}
	if res, _ := ts.post(here, "/profile/password", url.Values{"current_password": {password}, "new_password": {"yet another"}}); res.StatusCode != 400 {
		t.Errorf("with the wrong current password: got %d, want 400", res.StatusCode)
	}
	if res, _ := ts.post(here, "/logout", nil); res.StatusCode != 303 || alive(here) {
		t.Errorf("after signing out: got %d, alive %v", res.StatusCode, alive(here))
	}

	ada := ts.signIn("ada")
	if err := ts.app.SetUserActive(ctx, operator, mustUser(ts, "bob"), false); err != nil {
		t.Fatal(err)
	}
	if err := ts.app.DeleteUser(ctx, operator, mustUser(ts, "bob")); err != nil {
		t.Fatal(err)
	}
	if !alive(ada) {
		t.Error("ada's session ended with bob")
	}
	// GET /logout only asks.
	if res, _ := ts.get(ada, "/logout"); res.StatusCode != 200 || !alive(ada) {
		t.Errorf("GET /logout: got %d, alive %v", res.StatusCode, alive(ada))
	}
}

func TestSetup(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	for _, name := range []string{"bob", "ada"} {
		if err := ts.store.DeleteUser(t.Context(), mustUser(ts, name).ID, false, db.Event{Created: now, Context: map[string]any{}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := ts.app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	token := ts.app.SetupToken()
	file := filepath.Join(ts.app.Config.DataDir, "setup-token")
	content, err := os.ReadFile(file)
	if err != nil || strings.TrimSpace(string(content)) != token {
		t.Errorf("setup-token: got %q, %v, want the token", content, err)
	}
	if info, _ := os.Stat(file); info.Mode().Perm() != 0o600 {
		t.Errorf("mode of setup-token: got %v", info.Mode())
	}
	if _, body := ts.get(nil, "/login"); !strings.Contains(body, "open the setup link") {
		t.Error("the sign-in page does not say that nobody can sign in yet")
	}
	form := url.Values{"token": {token}, "username": {"first"}, "password": {password}}
	for _, wrong := range []string{"", "x", token + "x"} {
		if res, body := ts.get(nil, "/setup?token="+wrong); res.StatusCode != 404 || !strings.Contains(body, "This link is not good any more") {
			t.Errorf("token %q: got %d %s, want 404 saying why", wrong, res.StatusCode, body)
		}
		f := url.Values{"token": {wrong}, "username": {"first"}, "password": {password}}
		if res, _ := ts.post(nil, "/setup", f); res.StatusCode != 404 {
			t.Errorf("post token %q: got %d, want 404", wrong, res.StatusCode)
		}
	}
	if res, _ := ts.get(nil, "/setup?token="+token); res.StatusCode != 200 {
		t.Errorf("the page: got %d, want 200", res.StatusCode)
	}
	form.Set("password", "short")
	if res, body := ts.post(nil, "/setup", form); res.StatusCode != 400 || !strings.Contains(body, "8 characters") {
		t.Errorf("a short password: got %d, want 400 saying so", res.StatusCode)
	}
	form.Set("password", password)
	b := ts.browser()
	if res, body := ts.post(b, "/setup", form); res.StatusCode != 303 {
		t.Fatalf("got %d %s, want 303", res.StatusCode, body)
	}
	if res, body := ts.get(b, "/api/v3/core/users/me/"); res.StatusCode != 200 || !strings.Contains(body, `"is_superuser":true`) {
		t.Errorf("after setup: got %d %s", res.StatusCode, body)
	}
	if res, body := ts.post(nil, "/setup", form); res.StatusCode != 404 || !strings.Contains(body, "It was used") {
		t.Errorf("again: got %d %s, want 404 saying so", res.StatusCode, body)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("setup-token was left behind")
	}
}

func TestPagesNeedSigningIn(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	res, _ := ts.get(nil, "/sessions?view=everybody")
	if res.StatusCode != 303 || res.Header.Get("Location") != "/login?rd=%2Fsessions%3Fview%3Deverybody" {
		t.Errorf("got %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
	res, _ = ts.post(nil, "/sessions/revoke-others", nil)
	if res.StatusCode != 303 || res.Header.Get("Location") != "/login" {
		t.Errorf("a form: got %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
}

func TestSessionsPage(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	b := ts.signIn("bob")
	other, _ := ts.session("bob", "81.2.69.142", `<script>alert(1)</script>`)
	ts.session("ada", "89.160.20.112", iphone)
	res, body := ts.get(b, "/sessions", "User-Agent", firefox)
	if res.StatusCode != 200 {
		t.Fatalf("got %d %s", res.StatusCode, body)
	}
	for _, want := range []string{"Firefox 140 on Linux", "London, United Kingdom", "81.2.69.142", "This device"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q on the page", want)
		}
	}
	for _, not := range []string{"<script>alert", "89.160.20.112"} {
		if strings.Contains(body, not) {
			t.Errorf("%q is on the page", not)
		}
	}
	path := "/sessions/" + other.UUID.String() + "/revoke"
	if res, _ := ts.get(b, path); res.StatusCode != 200 {
		t.Errorf("the question: got %d", res.StatusCode)
	}
	if res, _ := ts.post(b, path, nil); res.StatusCode != 303 {
		t.Errorf("revoke: got %d", res.StatusCode)
	}
	if _, body := ts.get(b, "/sessions"); !strings.Contains(body, "Signed out") || !strings.Contains(body, "ended in the last") {
		t.Errorf("nothing says what happened: %s", body)
	}
	if res, _ := ts.post(b, path, nil); res.StatusCode != 404 {
		t.Errorf("revoke again: got %d, want 404", res.StatusCode)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	for _, path := range []string{"/-/health/live/", "/-/health/ready/"} {
		if res, body := ts.get(nil, path); res.StatusCode != 200 || body != "" {
			t.Errorf("%s: got %d %q", path, res.StatusCode, body)
		}
	}
	ts.store.Close()
	if res, _ := ts.get(nil, "/-/health/ready/"); res.StatusCode != 503 {
		t.Errorf("without a database: got %d, want 503", res.StatusCode)
	}
}

// Who changes the language on the way to an app still gets there, and nowhere else.
func TestLanguageOfTheSignIn(t *testing.T) {
	t.Parallel()
	ts := newServer(t, "cookie-domain=home.example", "public-url=http://auth.home.example")
	for next, want := range map[string]string{
		"/login?rd=http%3A%2F%2Fapp.home.example%2Fx": "/login?rd=http%3A%2F%2Fapp.home.example%2Fx",
		"/profile":             "/profile",
		"//evil.example":       "/sessions",
		"https://evil.example": "/sessions",
		"":                     "/sessions",
	} {
		res, _ := ts.post(nil, "/preferences", url.Values{"lang": {"de"}, "next": {next}})
		if got := res.Header.Get("Location"); res.StatusCode != http.StatusSeeOther || got != want {
			t.Errorf("%q: got %d to %q, want %q", next, res.StatusCode, got, want)
		}
	}
}
