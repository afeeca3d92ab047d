package web

import (
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

var linkText = regexp.MustCompile(`<code id="link">([^<]*)</code>`)

// link follows a form of ada's that makes one, and returns its path.
func (ts *testServer) link(path string, form url.Values) string {
	ts.t.Helper()
	res, page := ts.post(ts.signIn("ada"), path, form)
	m := linkText.FindStringSubmatch(page)
	if res.StatusCode != 200 || m == nil {
		ts.t.Fatalf("%s: got %d %s", path, res.StatusCode, page)
	}
	link := html.UnescapeString(m[1])
	if !strings.HasPrefix(link, ts.app.Config.PublicURL.String()+"/link/") {
		ts.t.Errorf("got %q", link)
	}
	return strings.TrimPrefix(link, ts.app.Config.PublicURL.String())
}

func (ts *testServer) take(path, username, password string) *http.Response {
	ts.t.Helper()
	res, _ := ts.post(ts.browser(), path, url.Values{"username": {username}, "password": {password}})
	return res
}

func TestInvitation(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	if _, page := ts.get(ts.signIn("ada"), "/users"); !strings.Contains(page, "Invite somebody") {
		t.Error("the page has no control for it")
	}
	if res, _ := ts.post(ts.signIn("bob"), "/users/invite", nil); res.StatusCode != 403 {
		t.Errorf("by who may not: got %d", res.StatusCode)
	}
	for name, form := range map[string]url.Values{"taken": {"username": {"BOB"}}, "no name": {"username": {"a b"}}, "no group": {"groups": {"a|b"}}} {
		if res, page := ts.post(ts.signIn("ada"), "/users/invite", form); res.StatusCode != 400 || !strings.Contains(page, `id="problem"`) {
			t.Errorf("%s: got %d", name, res.StatusCode)
		}
	}
	open := ts.link("/users/invite", url.Values{"groups": {"family, films"}})
	named := ts.link("/users/invite", url.Values{"username": {"grace"}, "superuser": {"1"}})
	for range 3 { // looking at it does not use it up
		res, page := ts.get(nil, open)
		if res.StatusCode != 200 || !strings.Contains(page, `name="username"`) || !strings.Contains(page, `autocomplete="new-password"`) {
			t.Fatalf("got %d %s", res.StatusCode, page)
		}
		if res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Referrer-Policy") != linkReferrer || !strings.Contains(page, `<meta name="referrer" content="`+linkReferrer+`">`) {
			t.Errorf("got %v", res.Header)
		}
	}
	for name, tt := range map[string][2]string{"a short password": {"otto", "short"}, "a name that is taken": {"Bob", password}, "no name": {"", password}} {
		res, page := ts.post(nil, open, url.Values{"username": {tt[0]}, "password": {tt[1]}})
		if res.StatusCode != 400 || !strings.Contains(page, `id="problem"`) || cookieNamed(res, sessionCookie) != nil {
			t.Errorf("%s: got %d", name, res.StatusCode)
		}
	}
	if res := ts.take(open, "otto", password); res.StatusCode != 303 || res.Header.Get("Location") != "/sessions" || cookieNamed(res, sessionCookie) == nil || res.Header.Get("Referrer-Policy") != linkReferrer {
		t.Errorf("got %d %v", res.StatusCode, res.Header)
	}
	otto := mustUser(ts, "otto")
	if otto.Superuser || len(otto.Groups) != 2 || otto.Groups[0].Name != "family" {
		t.Errorf("got %+v", otto)
	}
	if res := ts.take(open, "eve", password); res.StatusCode != 404 || cookieNamed(res, sessionCookie) != nil {
		t.Errorf("again: got %d", res.StatusCode)
	}
	if res, page := ts.get(nil, open); res.StatusCode != 404 || !strings.Contains(page, "not good any more") || res.Header.Get("Referrer-Policy") != linkReferrer {
		t.Errorf("again: got %d", res.StatusCode)
	}
	if res := ts.take(named, "eve", password); res.StatusCode != 303 {
		t.Errorf("got %d", res.StatusCode)
	}
	if grace := mustUser(ts, "grace"); !grace.Superuser {
		t.Errorf("got %+v", grace)
	}
	if _, err := ts.app.UserByName(t.Context(), "eve"); err == nil {
		t.Error("a name was chosen where there was one")
	}
	sessions, _, err := ts.app.Sessions(t.Context(), app.Operator, db.SessionFilter{User: &otto.ID, Limit: 2})
	if err != nil || len(sessions) != 1 || sessions[0].Method != app.ByLink {
		t.Errorf("got %+v, %v", sessions, err)
	}
	late := ts.link("/users/invite", nil)
	ts.advance(app.InviteFor)
	if res := ts.take(late, "eve", password); res.StatusCode != 404 {
		t.Errorf("three days later: got %d", res.StatusCode)
	}
}

// Of twenty at once, one account is made.
func TestOneInvitationManyAtOnce(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	_, before, err := ts.app.Users(t.Context(), app.Operator, db.UserFilter{})
	if err != nil {
		t.Fatal(err)
	}
	open := ts.link("/users/invite", nil)
	var mu sync.Mutex
	var wait sync.WaitGroup
	signedIn := 0
	for i := range 20 {
		wait.Go(func() {
			res := ts.take(open, "otto"+string(rune('a'+i)), password)
			mu.Lock()
			defer mu.Unlock()
			if cookieNamed(res, sessionCookie) != nil {
				signedIn++
			}
		})
	}
	wait.Wait()
	if _, after, err := ts.app.Users(t.Context(), app.Operator, db.UserFilter{}); err != nil || after != before+1 || signedIn != 1 {
		t.Errorf("%d accounts were made, %d signed in, %v", after-before, signedIn, err)
	}
}

func TestReset(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	bob := mustUser(ts, "bob")
	path := "/users/" + fmt.Sprint(bob.ID) + "/reset"
	if _, page := ts.get(ts.signIn("ada"), strings.TrimSuffix(path, "/reset")); !strings.Contains(page, `action="`+path+`"`) {
		t.Error("the page has no control for it")
	}
	if res, _ := ts.post(ts.signIn("bob"), path, nil); res.StatusCode != 403 {
		t.Errorf("by who may not: got %d", res.StatusCode)
	}
	elsewhere := ts.signIn("bob")
	first := ts.link(path, nil)
	second := ts.link(path, nil)
	const next = "a wholly new passphrase"
	if res := ts.take(first, "", next); res.StatusCode != 404 {
		t.Errorf("one that was replaced: got %d", res.StatusCode)
	}
	if res, page := ts.get(nil, second); res.StatusCode != 200 || !strings.Contains(page, `value="bob"`) {
		t.Errorf("got %d %s", res.StatusCode, page)
	}
	if res := ts.take(second, "ada", "short"); res.StatusCode != 400 {
		t.Errorf("a short one: got %d", res.StatusCode)
	}
	if res := ts.take(second, "ada", next); res.StatusCode != 303 || cookieNamed(res, sessionCookie) == nil {
		t.Errorf("got %d", res.StatusCode)
	}
	if res, _ := ts.get(elsewhere, "/profile"); res.StatusCode != 303 {
		t.Errorf("other devices: got %d", res.StatusCode)
	}
	for name, want := range map[string]int{next: 303, password: 401} {
		if res, _ := ts.post(nil, "/login", url.Values{"username": {"bob"}, "password": {name}}); res.StatusCode != want {
			t.Errorf("signing in: got %d, want %d", res.StatusCode, want)
		}
	}
	if res := ts.take(second, "", password); res.StatusCode != 404 {
		t.Errorf("again: got %d", res.StatusCode)
	}
	late := ts.link(path, nil)
	ts.advance(app.ResetFor)
	if res := ts.take(late, "", password); res.StatusCode != 404 {
		t.Errorf("an hour later: got %d", res.StatusCode)
	}
	dead := ts.link(path, nil)
	for _, active := range []bool{false, true} {
		if err := ts.app.SetUserActive(t.Context(), operator, bob, active); err != nil {
			t.Fatal(err)
		}
		if res := ts.take(dead, "", password); res.StatusCode != 404 {
			t.Errorf("of an account that was disabled, %v: got %d", active, res.StatusCode)
		}
	}
}

// A link proves no factor, and makes nobody an exception to the settings.
func TestLinksLiftNoFactor(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	phone, _ := ts.withCodes("bob")
	reset := ts.link("/users/"+fmt.Sprint(mustUser(ts, "bob").ID)+"/reset", nil)
	b := ts.browser()
	res, _ := ts.post(b, reset, url.Values{"password": {password + "!"}})
	if res.StatusCode != 303 || !strings.HasPrefix(res.Header.Get("Location"), "/login/code?") || cookieNamed(res, sessionCookie) != nil {
		t.Fatalf("got %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
	if res, _ := ts.get(b, "/profile"); res.StatusCode != 303 {
		t.Errorf("got %d", res.StatusCode)
	}
	if res := ts.enter(b, "000000"); res.StatusCode != 401 {
		t.Errorf("a wrong code: got %d", res.StatusCode)
	}
	if res := ts.enter(b, phone.code()); res.StatusCode != 303 || cookieNamed(res, sessionCookie) == nil {
		t.Errorf("got %d", res.StatusCode)
	}
	must := newServer(t, "require-second-factor=everybody")
	_, l, err := must.app.Invite(t.Context(), operator, app.Invitation{Username: "otto"})
	if err != nil || l.Username != "otto" {
		t.Fatal(err)
	}
	address, _, err := must.app.Invite(t.Context(), operator, app.Invitation{Username: "otto"})
	if err != nil {
		t.Fatal(err)
	}
	if res := must.take(strings.TrimPrefix(address, must.app.Config.PublicURL.String()), "", password); !strings.HasPrefix(res.Header.Get("Location"), "/login/set-up?") || cookieNamed(res, sessionCookie) != nil {
		t.Errorf("got %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
}

// Guessing links counts as guessing passwords does, and the right one is refused then too;
// from elsewhere it is not, however many guess.
// Who may make links sees those that nobody has used, but not what opens them, and takes
// them back.
func TestLinksAreListed(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	super := ts.signIn("ada")
	ts.advance(time.Second)
	open, named := ts.link("/users/invite", url.Values{"groups": {"family"}, "superuser": {"1"}}), ts.link("/users/invite", url.Values{"username": {"otto"}})
	_, page := ts.get(super, "/users")
	for _, want := range []string{"used yet: 2", "made by <bdi>ada</bdi>", "Invitation for <bdi>otto</bdi>", "family"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not on %s", want, page)
		}
	}
	for _, path := range []string{open, named} {
		if strings.Contains(page, strings.TrimPrefix(path, "/link/")) {
			t.Error("the link is shown again")
		}
	}
	takeBack := regexp.MustCompile(`/users/links/\d+/delete`).FindAllString(page, -1)
	if len(takeBack) != 2 {
		t.Fatalf("got %q", takeBack)
	}
	if res, _ := ts.post(ts.signIn("bob"), takeBack[1], nil); res.StatusCode != 403 {
		t.Errorf("by somebody else: got %d", res.StatusCode)
	}
	for i, status := range []int{303, 404} {
		if res, _ := ts.post(super, takeBack[1], nil); res.StatusCode != status {
			t.Errorf("taken back, time %d: got %d", i+1, res.StatusCode)
		}
	}
	for path, status := range map[string]int{open: 404, named: 200} {
		if res, _ := ts.get(nil, path); res.StatusCode != status {
			t.Errorf("%s: got %d, want %d", path, res.StatusCode, status)
		}
	}
}

func TestLinksAreThrottled(t *testing.T) {
	t.Parallel()
	ts := newServer(t, "trusted-proxies=127.0.0.1")
	open := ts.link("/users/invite", nil)
	from := func(ip, path string) int {
		res, _ := ts.get(nil, path, "X-Forwarded-For", ip)
		return res.StatusCode
	}
	for i := range 10 {
		if got := from("192.0.2.7", "/link/"+strings.Repeat("a", i+1)); got != 404 {
			t.Fatalf("got %d", got)
		}
	}
	if got := from("192.0.2.7", open); got != 429 {
		t.Errorf("after ten: got %d", got)
	}
	for i := range 120 {
		from("198.51.100."+fmt.Sprint(int64(i)), "/link/x")
	}
	if got := from("203.0.113.9", open); got != 200 {
		t.Errorf("from elsewhere: got %d", got)
	}
	ts.advance(16 * time.Minute)
	if got := from("192.0.2.7", open); got != 200 {
		t.Errorf("a while later: got %d", got)
	}
}

// Nothing that is kept or logged is good as a link.
func TestLinksAreKeptAsHashes(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	token := strings.TrimPrefix(ts.link("/users/invite", url.Values{"username": {"otto"}}), "/link/")
	ts.get(nil, "/link/"+token)
	ts.take("/link/"+token, "", password)
	ts.take("/link/"+token, "", password)
	if strings.Contains(ts.log.String(), token) {
		t.Error("the log holds it")
	}
	if strings.Contains(ts.stored(), token) {
		t.Error("the database holds it")
	}
	if _, page := ts.get(ts.signIn("ada"), "/events"); !strings.Contains(page, "invited") {
		t.Error("the events do not tell of it")
	}
}
