package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"lastseen/db"
)

// A superuser adds, tests, changes and removes targets; what is secret of them is on no
// page, in no event and in no log line.
func TestAlertPages(t *testing.T) {
	t.Parallel()
	ts := newServer(t, "alerts=ntfy+http://:t0ps3cret@127.0.0.1:1/h1dden")
	answer := http.StatusOK
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, r.URL.Path, answer) // which repeats the path
	}))
	defer hook.Close()
	host := strings.TrimPrefix(hook.URL, "http://")
	ada, bob := ts.signIn("ada"), ts.signIn("bob")
	shown := ""
	post := func(client *http.Client, path string, form url.Values, want int, says string) {
		t.Helper()
		res, body := ts.post(client, path, form)
		if res.StatusCode == http.StatusSeeOther {
			_, body = ts.get(client, res.Header.Get("Location"))
		}
		shown += body
		if res.StatusCode != want || !strings.Contains(body, says) {
			t.Errorf("POST %s %v: got %d, want %d and %q in %s", path, form, res.StatusCode, want, says, body)
		}
	}
	target := "webhook+http://:t0ps3cret@" + host + "/h1dden"
	post(bob, "/alerts", url.Values{"url": {target}}, http.StatusForbidden, "")
	post(ada, "/alerts", url.Values{"url": {target + "#t0ps3cret"}}, http.StatusBadRequest, "This cannot be a target")
	post(ada, "/alerts", url.Values{"url": {"mailto:ada@home.example"}}, http.StatusBadRequest, "set --smtp first")
	post(ada, "/alerts", url.Values{"url": {target}, "type": {"nonsense"}}, http.StatusBadRequest, "nonsense")
	post(ada, "/alerts", url.Values{"url": {target}}, http.StatusSeeOther, "webhook+http://"+host)
	post(ada, "/alerts/1/test", nil, http.StatusSeeOther, "A test was sent to webhook")
	answer = http.StatusTeapot
	post(ada, "/alerts/1/test", nil, http.StatusSeeOther, "answered 418")
	post(ada, "/alerts/1/types", url.Values{"type": {"sign_in", "key_created"}}, http.StatusSeeOther, "Sign-ins from a new device or country; An API token made")
	post(ada, "/alerts/1/types", url.Values{"listed": {"1"}}, http.StatusSeeOther, "Tick at least one")
	post(ada, "/alerts", url.Values{"url": {target}, "listed": {"1"}}, http.StatusBadRequest, "Tick at least one")
	post(ada, "/alerts/1/types", url.Values{"listed": {"1"}, "type": {"sign_in", "key_created"}}, http.StatusSeeOther, "Sign-ins from a new device or country; An API token made")
	post(ada, "/alerts/2/test", nil, http.StatusNotFound, "")
	_, body := ts.get(ada, "/alerts")
	shown += body
	if strings.Count(body, `aria-label="Test `) != 2 || strings.Count(body, `aria-label="Remove `) != 1 || !strings.Contains(body, "127.0.0.1:1") {
		t.Errorf("two targets, of which one is in the settings: %s", body)
	}
	post(ada, "/alerts/1/remove", nil, http.StatusSeeOther, "Removed webhook")
	if res, _ := ts.get(bob, "/alerts"); res.StatusCode != http.StatusForbidden {
		t.Errorf("bob: got %d", res.StatusCode)
	}
	for _, path := range []string{"/events", "/doctor", "/sessions/export.json", "/sessions/export.csv"} {
		_, body := ts.get(ada, path)
		shown += body
	}
	_, body = ts.api(ts.key("ada"), "GET", "/events/events/", nil)
	for what, text := range map[string]string{"a page": shown, "an event": body, "the log": ts.log.String()} {
		if strings.Contains(text, "t0ps3cret") || strings.Contains(text, "h1dden") {
			t.Errorf("%s has a secret in it", what)
		}
	}
}

// Own alerts are a switch on the profile, on by default, where there is mail.
func TestOwnAlerts(t *testing.T) {
	t.Parallel()
	bob := newServer(t)
	if _, body := bob.get(bob.signIn("bob"), "/profile"); strings.Contains(body, "/profile/alerts") {
		t.Error("a switch without mail")
	}
	ts := newServer(t, "smtp=smtp://127.0.0.1:1")
	b := ts.signIn("bob")
	for _, step := range []struct {
		form                url.Values // nil: none is sent
		mail, signIn, locks bool
	}{
		{nil, true, true, true},
		{url.Values{"type": {"sign_in"}}, false, true, false},
		{url.Values{"mail": {"1"}}, true, true, true},
		{url.Values{"mail": {"1"}, "listed": {"1"}}, false, true, true}, // no type is ticked
	} {
		if step.form != nil {
			if res, body := ts.post(b, "/profile/alerts", step.form); res.StatusCode != http.StatusSeeOther {
				t.Fatalf("got %d %s", res.StatusCode, body)
			}
		}
		_, body := ts.get(b, "/profile")
		for input, want := range map[string]bool{`name="mail" value="1"`: step.mail, `name="type" value="sign_in"`: step.signIn, `name="type" value="account_locked"`: step.locks} {
			if strings.Contains(body, input+" checked") != want || !strings.Contains(body, input) {
				t.Errorf("after %v: %s checked: want %v", step.form, input, want)
			}
		}
	}
	if res, _ := ts.post(b, "/profile/alerts", url.Values{"type": {"nonsense"}}); res.StatusCode != http.StatusBadRequest {
		t.Errorf("nonsense: got %d", res.StatusCode)
	}
}

// "This was not me" ends the session and forgets its device; asking for the page does
// nothing, and it is nobody else's to say.
func TestNotMe(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	session, device := ts.signInWith("bob", "")
	own := session + "; " + device
	thief, thiefs := ts.signInWith("bob", "")
	again, _ := ts.signInWith("bob", thiefs)
	ada, adas := ts.signInWith("ada", "")
	user, err := ts.app.UserByName(t.Context(), "bob")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{} // by the cookie
	sessions, _, err := ts.store.Sessions(t.Context(), db.SessionFilter{User: &user.ID, Limit: 10, Now: ts.app.Now()})
	if err != nil || len(sessions) != 3 {
		t.Fatalf("got %v, %v", sessions, err)
	}
	alive := func(cookie string) bool {
		res, _ := ts.get(nil, "/sessions", "Cookie", cookie)
		return res.StatusCode == http.StatusOK
	}
	for _, cookie := range []string{session, thief, again} {
		for _, sess := range sessions {
			_, body := ts.get(nil, "/sessions/"+sess.UUID.String(), "Cookie", cookie)
			if !strings.Contains(body, "not-me") {
				ids[cookie] = sess.UUID.String() // its own
			}
		}
	}
	path := "/sessions/" + ids[thief] + "/not-me"
	if res, body := ts.get(nil, path, "Cookie", own); res.StatusCode != http.StatusOK || !strings.Contains(body, `method="post" action="`+path) {
		t.Errorf("the page: got %d %s", res.StatusCode, body)
	}
	for who, cookies := range map[string]string{"a superuser": ada + "; " + adas, "its own session": thief + "; " + thiefs} {
		if res, _ := ts.postAs(cookies, path, nil); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: got %d", who, res.StatusCode)
		}
	}
	if !alive(thief) || !alive(again) {
		t.Fatal("nothing was asked for yet")
	}
	res, body := ts.postAs(own, path, nil)
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/profile#password" {
		t.Errorf("got %d to %s: %s", res.StatusCode, res.Header.Get("Location"), body)
	}
	if alive(thief) || alive(again) || !alive(own) {
		t.Error("not both sessions of the device ended, or another one did")
	}
	devices, err := ts.store.Devices(t.Context(), user.ID)
	if err != nil || len(devices) != 1 {
		t.Errorf("got %d devices, %v, want its own alone", len(devices), err)
	}
	// Once more, when it has ended.
	if res, _ := ts.postAs(own, path, nil); res.StatusCode != http.StatusSeeOther {
		t.Errorf("of an ended session: got %d", res.StatusCode)
	}
	// On the device that one uses oneself, the session alone ends.
	lent, _ := ts.signInWith("bob", device)
	if res, _ := ts.postAs(lent+"; "+device, "/sessions/"+ids[session]+"/not-me", nil); res.StatusCode != http.StatusSeeOther {
		t.Errorf("got %d", res.StatusCode)
	}
	if alive(session) || !alive(lent) {
		t.Error("on the own device not the other session alone ended")
	}
}
