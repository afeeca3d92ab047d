package web

import (
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"lastseen/app"
)

// alone is a server with one user, and a page of theirs in a browser that is signed in.
func alone(t *testing.T, settings ...string) (ts *testServer, open func() string, cookie []string) {
	t.Helper()
	ts = newServer(t, append([]string{"public-url=https://auth.home.example", "cookie-domain=home.example", "trusted-proxies=127.0.0.1"}, settings...)...)
	bob, err := ts.app.UserByName(t.Context(), "bob")
	if err != nil {
		t.Fatal(err)
	}
	if err := ts.app.DeleteUser(t.Context(), app.Operator.Actor(), bob); err != nil {
		t.Fatal(err)
	}
	_, token := ts.session("ada", "192.0.2.1", "curl/8.14")
	cookie = []string{"Cookie", sessionCookie + "=" + token}
	return ts, func() string {
		t.Helper()
		res, body := ts.get(nil, "/sessions", cookie...)
		if res.StatusCode != http.StatusOK {
			t.Fatalf("got %d %s", res.StatusCode, body)
		}
		return body
	}, cookie
}

var firstSteps = map[app.FirstStep]string{app.AddPlaces: "Add a database of places", app.UseGate: "Guard your apps", app.AddUser: "Add the people"}

func mustAdvise(t *testing.T, page, when string, want ...app.FirstStep) {
	t.Helper()
	for step, text := range firstSteps {
		wanted := false
		for _, w := range want {
			wanted = wanted || w == step
		}
		if strings.Contains(page, text) != wanted {
			t.Errorf("%s: %s is there: %v, want %v", when, step, !wanted, wanted)
		}
	}
	if strings.Contains(page, "What next?") != (len(want) > 0) {
		t.Errorf("%s: the heading, with %v", when, want)
	}
}

// A new instance says what to do next, and stops as it is done.
func TestFirstSteps(t *testing.T) {
	t.Parallel()
	ts, open, cookie := alone(t)
	mustAdvise(t, open(), "new", app.UseGate, app.AddUser)
	ts.createUser("grace", true)
	mustAdvise(t, open(), "with a second user", app.UseGate)
	ts.session("grace", "192.0.2.2", "curl/8.14")
	mustAdvise(t, open(), "with two sessions", app.UseGate)
	if res := ts.asks(gates[1], "app.home.example", "/", cookie...); res.StatusCode != http.StatusOK {
		t.Fatalf("the gate: got %d", res.StatusCode)
	}
	mustAdvise(t, open(), "through the gate")
	grace, err := ts.app.UserByName(t.Context(), "grace")
	if err != nil {
		t.Fatal(err)
	}
	if err := ts.app.DeleteUser(t.Context(), app.Operator.Actor(), grace); err != nil {
		t.Fatal(err)
	}
	mustAdvise(t, open(), "alone again")
}

func TestFirstStepsDismissed(t *testing.T) {
	t.Parallel()
	ts, open, cookie := alone(t, "geoip-city="+filepath.Join(t.TempDir(), "none.mmdb"))
	mustAdvise(t, open(), "new", app.AddPlaces, app.UseGate, app.AddUser)
	_, everybody := ts.get(nil, "/sessions?view=everybody", cookie...)
	mustAdvise(t, everybody, "everybody's sessions")
	ts.createUser("bob", false)
	_, token := ts.session("bob", "192.0.2.3", "curl/8.14")
	_, body := ts.get(nil, "/sessions", "Cookie", sessionCookie+"="+token)
	mustAdvise(t, body, "to somebody who is no superuser")
	if res, _ := ts.post(nil, "/first-steps", url.Values{}, "Cookie", sessionCookie+"="+token); res.StatusCode != http.StatusForbidden {
		t.Errorf("dismissed by them: got %d, want 403", res.StatusCode)
	}
	mustAdvise(t, open(), "as before", app.AddPlaces, app.UseGate)
	if res, _ := ts.post(nil, "/first-steps", url.Values{}, cookie...); res.StatusCode != http.StatusSeeOther {
		t.Errorf("dismissed: got %d, want 303", res.StatusCode)
	}
	mustAdvise(t, open(), "dismissed")
	beside := app.New(ts.store, nil, agents(), ts.app.Config, ts.app.Log)
	if left, err := beside.FirstSteps(t.Context()); err != nil || left != nil {
		t.Errorf("after a restart: got %v, %v", left, err)
	}
}

// Whoever had more than one user or session when this came is not told.
func TestFirstStepsOfOldInstances(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	b := ts.signIn("ada")
	_, body := ts.get(b, "/sessions")
	mustAdvise(t, body, "two users")

	ts, open, _ := alone(t)
	ts.session("ada", "192.0.2.4", "curl/8.14")
	mustAdvise(t, open(), "two sessions")
}
