package web

import (
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lastseen/app"
	"lastseen/db"
	"lastseen/db/postgres"
)

// signInWith signs somebody in by the form with cookies, and returns those that a browser
// then has.
func (ts *testServer) signInWith(name, cookies string) (session, device string) {
	ts.t.Helper()
	res, body := ts.do(nil, "POST", "/login", strings.NewReader(url.Values{"username": {name}, "password": {password}}.Encode()),
		"Content-Type", "application/x-www-form-urlencoded", "User-Agent", firefox, "Cookie", cookies)
	for _, cookie := range res.Cookies() {
		switch cookie.Name {
		case sessionCookie:
			session = cookie.Name + "=" + cookie.Value
		case deviceCookie:
			device = cookie.Name + "=" + cookie.Value
			if cookie.MaxAge != 365*24*3600 || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Domain != "" {
				ts.t.Errorf("the device's cookie: %s", cookie.Raw)
			}
		}
	}
	if res.StatusCode != http.StatusSeeOther || session == "" || device == "" {
		ts.t.Fatalf("sign-in: got %d %v %s", res.StatusCode, res.Cookies(), body)
	}
	return session, device
}

var heading = regexp.MustCompile(`<h1[^>]*>([^<]*)`)

// Thirteen sign-ins of one browser are one device, and two browsers of a kind are two.
func TestDevicesAreCounted(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	session, device := ts.signInWith("bob", "")
	for range 12 {
		s, d := ts.signInWith("bob", device)
		if d != device {
			t.Fatalf("the cookie became %s", d)
		}
		session = s
	}
	_, body := ts.get(nil, "/sessions", "Cookie", session+"; "+device)
	if got := heading.FindStringSubmatch(body)[1]; got != "You are signed in on 1 device" || !strings.Contains(body, "13 sign-ins") || strings.Contains(body, "Sign out all others") {
		t.Errorf("thirteen sign-ins: %q\n%s", got, body)
	}
	other, otherDevice := ts.signInWith("bob", deviceCookie+"=forged")
	_, body = ts.get(nil, "/sessions", "Cookie", other+"; "+otherDevice)
	if got := heading.FindStringSubmatch(body)[1]; got != "You are signed in on 2 devices" || !strings.Contains(body, "Sign out all others (1)") {
		t.Errorf("two browsers: %q\n%s", got, body)
	}
	// Another account in the browser has a device of its own.
	adas, d := ts.signInWith("ada", device)
	if d != device {
		t.Errorf("another account's cookie is %s", d)
	}
	if _, body = ts.get(nil, "/sessions", "Cookie", adas+"; "+device); !strings.Contains(heading.FindString(body), "on 1 device") {
		t.Errorf("another account: %s", heading.FindString(body))
	}
	// All others at once: the twelve others, and what is said counts devices.
	res, _ := ts.postAs(other, "/sessions/revoke-others", nil)
	if res.StatusCode != 303 {
		t.Fatalf("got %d", res.StatusCode)
	}
	if said := ts.said(res); said != "Signed out 1 other device." {
		t.Errorf("it says %q", said)
	}
	if res, _ := ts.get(nil, "/sessions", "Cookie", session); res.StatusCode != 303 {
		t.Error("a session of the other device passes")
	}
}

// said is what the page that an answer leads to will say.
func (ts *testServer) said(res *http.Response) string {
	cookie := cookieNamed(res, flashCookie)
	if cookie == nil {
		return ""
	}
	text, _ := url.QueryUnescape(cookie.Value)
	return text[len(ts.flashMAC("")):]
}

var deviceLink = regexp.MustCompile(`/devices/[0-9a-f-]{36}`)

// A device is named, signed out and forgotten by forms alone, by its person and no other.
func TestDevicePages(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	session, device := ts.signInWith("bob", "")
	second, _ := ts.signInWith("bob", device)
	elsewhere, _ := ts.signInWith("bob", "")
	_, body := ts.get(nil, "/sessions", "Cookie", second)
	path := deviceLink.FindString(body)
	ada, eve := ts.signIn("ada"), func() string { ts.createUser("eve", false); s, _ := ts.signInWith("eve", device); return s }()

	for _, page := range []string{"", "/sign-out", "/forget"} {
		if res, _ := ts.get(nil, path+page, "Cookie", eve); res.StatusCode != 404 {
			t.Errorf("somebody else at %s: got %d", page, res.StatusCode)
		}
		if res, _ := ts.get(ada, path+page); res.StatusCode != 200 {
			t.Errorf("a superuser at %s: got %d", page, res.StatusCode)
		}
		if res, _ := ts.get(nil, path+page); res.StatusCode != 303 {
			t.Errorf("nobody at %s: got %d", page, res.StatusCode)
		}
	}
	for _, form := range []string{"/name", "/sign-out", "/forget"} {
		if res, _ := ts.postAs(eve, path+form, url.Values{"name": {"mine"}}); res.StatusCode != 404 {
			t.Errorf("somebody else posts %s: got %d", form, res.StatusCode)
		}
	}
	if res, body := ts.postAs(second, path+"/name", url.Values{"name": {strings.Repeat("x", 61)}}); res.StatusCode != 400 || !strings.Contains(body, "60 characters or fewer") || !strings.Contains(body, strings.Repeat("x", 61)) {
		t.Errorf("a long name: got %d %s", res.StatusCode, body)
	}
	if res, _ := ts.postAs(second, path+"/name", url.Values{"name": {"Kitchen <tablet>"}}); res.StatusCode != 303 || res.Header.Get("Location") != "/sessions" {
		t.Errorf("named: got %d", res.StatusCode)
	}
	// The name is where its sessions are.
	const shown = "Kitchen &lt;tablet&gt;"
	for _, at := range []string{"/sessions", path, path + "/sign-out", path + "/forget", "/events", regexp.MustCompile(`/sessions/[0-9a-f-]{36}`).FindString(body)} {
		if _, body := ts.get(nil, at, "Cookie", second); !strings.Contains(body, shown) {
			t.Errorf("%s: the name is missing in %s", at, body)
		}
	}
	for _, filter := range []string{"user=bob", "search=KITCHEN+bob", "search=kitchen&state=all"} {
		if _, body := ts.get(ada, "/sessions?view=everybody&"+filter); !strings.Contains(body, shown) {
			t.Errorf("everybody, %s: the name is missing", filter)
		}
	}
	if _, body := ts.get(nil, "/sessions/export.csv", "Cookie", second); strings.Count(body, `"Kitchen <tablet>"`) != 2 {
		t.Errorf("CSV: %s", body)
	}
	if _, body := ts.get(nil, "/sessions/export.json", "Cookie", second); strings.Count(body, `"device":"Kitchen`) != 2 || strings.Count(body, `"device":""`) != 1 {
		t.Errorf("JSON: %s", body)
	}
	if _, body := ts.get(nil, "/api/v3/core/authenticated_sessions/", "Cookie", second); strings.Contains(body, "Kitchen") {
		t.Error("the API says the name")
	}
	// Signed out from elsewhere, all of it, and known again at the next sign-in.
	if res, _ := ts.postAs(elsewhere, path+"/sign-out", nil); res.StatusCode != 303 || ts.said(res) != "Signed out Kitchen <tablet>." {
		t.Errorf("signed out: got %d %q", res.StatusCode, ts.said(res))
	}
	for _, dead := range []string{session, second} {
		if res, _ := ts.get(nil, "/sessions", "Cookie", dead); res.StatusCode != 303 {
			t.Error("a session passes on a device that was signed out")
		}
	}
	if _, body := ts.get(nil, "/sessions", "Cookie", elsewhere); !strings.Contains(body, "1 named device that is signed out") {
		t.Errorf("it is not listed: %s", body)
	}
	again, _ := ts.signInWith("bob", device)
	if _, body := ts.get(nil, "/sessions", "Cookie", again); !strings.Contains(body, shown) || strings.Contains(body, "named device") {
		t.Errorf("signed in anew: %s", body)
	}
	// Who forgets the device that they use is signed out there.
	if res, _ := ts.postAs(again, path+"/forget", nil); res.Header.Get("Location") != "/login" {
		t.Errorf("forgotten: got %d to %s", res.StatusCode, res.Header.Get("Location"))
	}
	if res, _ := ts.get(nil, path, "Cookie", elsewhere); res.StatusCode != 404 {
		t.Errorf("one that was forgotten: got %d", res.StatusCode)
	}
}

// A session from before there were devices gets one when its browser opens the page; other
// such sessions are told apart by what they are.
func TestSessionsWithoutDevice(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	const safari = "Mozilla/5.0 (iPad; CPU OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1"
	_, token := ts.session("bob", "192.0.2.1", safari)
	for i := range 5 {
		ts.session("bob", "192.0.2.1", []string{firefox, strings.ReplaceAll(firefox, "140", "139")}[i%2])
	}
	cookie := sessionCookie + "=" + token
	res, body := ts.get(nil, "/sessions", "Cookie", cookie, "User-Agent", safari)
	if !strings.Contains(heading.FindString(body), "on 2 devices") || !strings.Contains(body, "5 sign-ins") || !deviceLink.MatchString(body) {
		t.Errorf("got %s", body)
	}
	chosen := regexp.MustCompile(`name="session" value="([^"]+)"`).FindAllStringSubmatch(body, -1)
	if len(chosen) != 5 {
		t.Errorf("to be signed out together: %d, want the five", len(chosen))
	}
	got := cookieNamed(res, deviceCookie)
	if got == nil {
		t.Fatal("the browser got no cookie")
	}
	device := got.Name + "=" + got.Value
	if res, _ := ts.get(nil, "/sessions", "Cookie", cookie+"; "+device, "User-Agent", safari); strings.Contains(strings.Join(res.Header["Set-Cookie"], ""), deviceCookie) {
		t.Error("it got another one")
	}
	next, _ := ts.signInWith("bob", device)
	if _, body := ts.get(nil, "/sessions", "Cookie", next, "User-Agent", firefox); !strings.Contains(heading.FindString(body), "on 2 devices") {
		t.Errorf("its next sign-in is on another device: %s", heading.FindString(body))
	}
}

// Where nothing can be stored, as on a full disk, the page shows what there is, and stores
// later what it would have.
func TestSessionsPageStoresLater(t *testing.T) {
	t.Parallel()
	onlySQLite(t)
	ts, open, _ := alone(t)
	pool, err := sql.Open("sqlite", "file:"+ts.store.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	do := func(statement string) {
		t.Helper()
		if _, err := pool.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	do(`CREATE TRIGGER no_device BEFORE INSERT ON devices BEGIN SELECT RAISE(ABORT, 'full'); END`)
	do(`CREATE TRIGGER no_setting BEFORE INSERT ON settings BEGIN SELECT RAISE(ABORT, 'full'); END`)
	page := open()
	if deviceLink.MatchString(page) {
		t.Errorf("it was stored: %s", page)
	}
	mustAdvise(t, page, "full", app.UseGate, app.AddUser)
	do(`DROP TRIGGER no_device`)
	do(`DROP TRIGGER no_setting`)
	if page := open(); !deviceLink.MatchString(page) {
		t.Errorf("it is not stored later: %s", page)
	}
}

// stored is the whole database, as bytes.
func (ts *testServer) stored() string {
	ts.t.Helper()
	if s, ok := ts.store.(*postgres.Store); ok {
		var all strings.Builder
		err := s.Dump(ts.t.Context(), func(table db.Table) error {
			for row, err := range table.Rows {
				if err != nil {
					return err
				}
				fmt.Fprintf(&all, "%s %s\n", table.Name, row)
			}
			return nil
		})
		if err != nil {
			ts.t.Fatal(err)
		}
		return all.String()
	}
	backup := filepath.Join(ts.t.TempDir(), "backup.db")
	if err := ts.store.Backup(ts.t.Context(), backup, ""); err != nil {
		ts.t.Fatal(err)
	}
	content, err := os.ReadFile(backup)
	if err != nil {
		ts.t.Fatal(err)
	}
	return string(content)
}

// What the cookie holds is kept nowhere.
func TestDeviceTokenIsKeptNowhere(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	session, device := ts.signInWith("bob", "")
	ts.get(nil, "/sessions", "Cookie", session+"; "+device)
	_, token, _ := strings.Cut(device, "=")
	if strings.Contains(ts.log.String(), token) {
		t.Error("it is logged")
	}
	if strings.Contains(ts.stored(), token) {
		t.Error("it is stored")
	}
	if app.DeviceToken(token) != token {
		t.Errorf("%q is no token", token)
	}
}
