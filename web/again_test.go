package web

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"lastseen/app"
)

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
