package web

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"lastseen/app"
)

// What a superuser did to somebody is theirs to know, not from where, nor how to write
// to that superuser; nor may they find it out by asking for it.
func TestOthersInOnesOwnEvents(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ada := app.Actor{ID: mustUser(ts, "ada").ID, Name: "ada", IP: netip.MustParseAddr("203.0.113.9")}
	user := mustUser(ts, "ada")
	user.Email = "ada@home.example"
	if err := ts.app.UpdateUser(t.Context(), app.Operator.Actor(), user); err != nil {
		t.Fatal(err)
	}
	if err := ts.app.SetPassword(t.Context(), ada, mustUser(ts, "bob"), app.NewPassword{Password: password}); err != nil {
		t.Fatal(err)
	}
	bob, key := ts.signIn("bob"), ts.key("bob")
	for _, path := range []string{"/api/v3/events/events/", "/api/v3/events/events/?action=password_set", "/api/v3/events/events/?search=ada"} {
		_, body := ts.get(nil, path, "Authorization", "Bearer "+key)
		if !strings.Contains(body, `"username":"ada"`) || strings.Contains(body, "203.0.113.9") || strings.Contains(body, "ada@home.example") {
			t.Errorf("%s: got %s", path, body)
		}
	}
	for _, path := range []string{"/api/v3/events/events/?client_ip=203.0.113.9", "/api/v3/events/events/?search=203.0.113"} {
		if _, body := ts.get(nil, path, "Authorization", "Bearer "+key); !strings.Contains(body, `"count":0`) {
			t.Errorf("%s: got %s", path, body)
		}
	}
	if _, body := ts.get(bob, "/events"); strings.Contains(body, "203.0.113.9") {
		t.Errorf("the page: %s", body)
	}
	if _, body := ts.get(nil, "/api/v3/events/events/?client_ip=203.0.113.9", "Authorization", "Bearer "+ts.key("ada")); !strings.Contains(body, "203.0.113.9") {
		t.Errorf("a superuser: got %s", body)
	}
}

// Whether others sign in is nobody's to see but a superuser's.
func TestLiveIsOnesOwn(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ada, bob := ts.signIn("ada"), ts.signIn("bob")
	_, adasBefore := ts.get(ada, "/sessions/live")
	_, bobsBefore := ts.get(bob, "/sessions/live")
	ts.createUser("eve", false)
	sess, _ := ts.session("eve", "192.0.2.1", firefox)
	if err := ts.app.RevokeSession(t.Context(), app.Operator, sess.UUID); err != nil {
		t.Fatal(err)
	}
	if _, after := ts.get(bob, "/sessions/live"); after != bobsBefore {
		t.Errorf("bob sees that somebody signed in: %s, then %s", bobsBefore, after)
	}
	if _, after := ts.get(ada, "/sessions/live"); after == adasBefore {
		t.Error("a superuser does not")
	}
	// Nor does it repeat when a user is deleted with the newest numbers.
	seen := map[string]bool{}
	for i := range 3 {
		name := fmt.Sprint("guest", i)
		ts.createUser(name, false)
		ts.session(name, "192.0.2.1", firefox)
		_, with := ts.get(ada, "/sessions/live")
		if err := ts.app.DeleteUser(t.Context(), app.Operator.Actor(), mustUser(ts, name)); err != nil {
			t.Fatal(err)
		}
		_, without := ts.get(ada, "/sessions/live")
		if seen[with] || seen[without] || with == without {
			t.Errorf("round %d: %s and %s", i, with, without)
		}
		seen[with], seen[without] = true, true
	}
}

func TestLongWords(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ada, key := ts.signIn("ada"), ts.key("ada")
	for _, n := range []int{1, 256, 257, 5000, 50001, 60000} {
		word := strings.Repeat("ä", n/2+1)[:n/2*2+n%2]
		if n%2 == 1 {
			word = strings.Repeat("a", n)
		}
		for _, path := range []string{"core/authenticated_sessions", "core/users", "core/tokens", "events/events"} {
			want := 200
			if n > 256 {
				want = 400
			}
			if res, body := ts.get(nil, "/api/v3/"+path+"/?search="+url.QueryEscape(word), "Authorization", "Bearer "+key); res.StatusCode != want {
				t.Errorf("%s, %d bytes: got %d %.200s", path, n, res.StatusCode, body)
			}
		}
		for _, path := range []string{"/sessions?view=everybody&search=", "/events?search=", "/users?search="} {
			if res, body := ts.get(ada, path+url.QueryEscape(word)); res.StatusCode != 200 {
				t.Errorf("%s, %d bytes: got %d %.200s", path, n, res.StatusCode, body)
			}
		}
	}
}

func TestCSVCells(t *testing.T) {
	t.Parallel()
	for cell, want := range map[string]string{
		"": `""`, "a": `"a"`, `a"b`: `"a""b"`, "a,b": `"a,b"`, "=1+1": `"'=1+1"`, "+1": `"'+1"`, "-1": `"'-1"`, "@x": `"'@x"`, "\tx": "\"'\tx\"",
		"＝1": `"'＝1"`, "＋1": `"'＋1"`, "－1": `"'－1"`, "＠x": `"'＠x"`, "  =1": `"'  =1"`, "\u3000=1": "\"'\u3000=1\"", "a=1": `"a=1"`,
	} {
		if got := csvRow([]string{cell}); got != want+"\r\n" {
			t.Errorf("%q: got %q, want %q", cell, got, want)
		}
	}
}

func TestStrictTransport(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		public, setting, host string
		want                  bool
	}{
		{"https://auth.home.example", "hsts=on", "auth.home.example", true},
		{"https://auth.home.example", "hsts=off", "auth.home.example", false},
		{"https://auth.home.example", "hsts=on", "192.168.1.5", false},
		{"http://auth.home.example", "hsts=on", "auth.home.example", false},
	} {
		ts := newServer(t, "public-url="+tt.public, tt.setting)
		res, _ := ts.get(nil, "/login", "Host", tt.host)
		if got := res.Header.Get("Strict-Transport-Security") != ""; got != tt.want {
			t.Errorf("%+v: got %q", tt, res.Header.Get("Strict-Transport-Security"))
		}
	}
}

func TestNamesForApps(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Zoë Ω": "Zoë Ω", "a\u202eb": "ab", "a\u2066b\u2069": "ab", "a\u200fb": "ab", "a\u0085b": "ab", "a\x7fb": "ab", "a\r\nX: y": "aX: y", " a ": "a", "日本": "日本",
	} {
		if got := headerText(name); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}
