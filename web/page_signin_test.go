package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"lastseen/app"
)

// TestCookieFitsTheName: a cookie whose Domain or Secure does not fit the name and
// scheme in the address bar would be dropped, and the sign-in lead nowhere.
func TestCookieFitsTheName(t *testing.T) {
	t.Parallel()
	ts := guarded(t)
	for _, tt := range []struct {
		host, proto, domain string
		secure              bool
	}{
		{"auth.home.example", "https", "home.example", true},
		{"auth.home.example", "", "home.example", true}, // as the settings say
		{"AUTH.home.example.", "https", "home.example", true},
		{"other.home.example", "https", "home.example", true},
		{"192.168.1.5:9000", "", "", false},
		{"192.168.1.5", "https", "", true},
		{"[::1]:9000", "", "", false},
		{"server", "", "", false},
		{"server.lan", "https", "", true},
		{"localhost:9000", "http", "", false},
	} {
		header := []string{"Host", tt.host, "Content-Type", "application/x-www-form-urlencoded"}
		if tt.proto != "" {
			header = append(header, "X-Forwarded-Proto", tt.proto)
		}
		res, body := ts.do(nil, "POST", "/login", strings.NewReader(url.Values{"username": {"ada"}, "password": {password}}.Encode()), header...)
		cookies := res.Cookies()
		if res.StatusCode != http.StatusSeeOther || len(cookies) != 2 || cookies[1].Name != map[bool]string{true: "__Host-", false: ""}[tt.secure]+deviceCookie || cookies[1].Domain != "" || !cookies[1].HttpOnly {
			t.Fatalf("%s by %q: got %d %s", tt.host, tt.proto, res.StatusCode, body)
		}
		if c := cookies[0]; c.Domain != tt.domain || c.Secure != tt.secure || c.SameSite != http.SameSiteLaxMode || !c.HttpOnly {
			t.Errorf("%s by %q: got %s", tt.host, tt.proto, c.Raw)
		}
	}
}

// TestOtherScheme: the public URL's host under the other scheme is another origin.
func TestOtherScheme(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		public, host, origin string
		want                 int
	}{
		{"https://auth.home.example", "auth.home.example", "https://auth.home.example", 401},
		{"https://auth.home.example", "auth.home.example", "http://auth.home.example", 403},
		{"http://auth.home.example", "auth.home.example", "https://auth.home.example", 403},
		{"http://auth.home.example", "auth.home.example", "http://auth.home.example", 401},
		{"https://auth.home.example", "192.168.1.5:9000", "http://192.168.1.5:9000", 401}, // signing in by address
		{"https://auth.home.example", "auth.home.example", "https://app.home.example", 403},
		{"https://auth.home.example", "auth.home.example", "null", 403},
	} {
		ts := newServer(t, "public-url="+tt.public, "cookie-domain=home.example")
		for _, site := range []string{"", "same-origin"} {
			header := []string{"Host", tt.host, "Origin", tt.origin, "Content-Type", "application/x-www-form-urlencoded"}
			if site != "" {
				if tt.origin == "null" || strings.Contains(tt.origin, "app.") {
					continue // no browser says so
				}
				header = append(header, "Sec-Fetch-Site", site)
			}
			res, _ := ts.do(nil, "POST", "/login", strings.NewReader("username=nobody&password=wrong"), header...)
			if res.StatusCode != tt.want {
				t.Errorf("%s as %s from %s, site %q: got %d, want %d", tt.public, tt.host, tt.origin, site, res.StatusCode, tt.want)
			}
		}
	}
}

// TestUnsent: what arrives after the session's end is not lost silently.
func TestUnsent(t *testing.T) {
	t.Parallel()
	ts := guarded(t)
	for _, tt := range []struct{ path, referer, back string }{
		{"/users", "https://auth.home.example/users?q=x", "/users?q=x"},
		{"/profile", "", ""},
		{"/tokens", "https://evil.example/x", ""},
	} {
		header := []string{"Host", "auth.home.example", "Content-Type", "application/x-www-form-urlencoded"}
		if tt.referer != "" {
			header = append(header, "Referer", tt.referer)
		}
		res, _ := ts.do(nil, "POST", tt.path, strings.NewReader("a=b"), header...)
		want := "/login"
		if tt.back != "" {
			want += "?rd=" + url.QueryEscape(tt.back)
		}
		if got := res.Header.Get("Location"); res.StatusCode != 303 || got != want {
			t.Errorf("%s from %q: got %d to %s, want %s", tt.path, tt.referer, res.StatusCode, got, want)
		}
		notice := strings.Split(res.Header.Get("Set-Cookie"), ";")[0]
		if _, body := ts.get(nil, want, "Host", "auth.home.example", "Cookie", notice); !strings.Contains(body, "was not taken") {
			t.Errorf("%s: the sign-in page says %s", tt.path, body)
		}
	}
	if _, body := ts.get(nil, "/login?unsent=1&rd=/users"); !strings.Contains(body, "was not taken") || !strings.Contains(body, `name="rd" value="/users"`) {
		t.Errorf("the sign-in page says %s", body)
	}
	// The same at the gate: nginx's start and the others' answers.
	for _, tt := range []struct{ method, referer, back string }{
		{"GET", "", "https://grafana.home.example/save?x=y"},
		{"POST", "https://grafana.home.example/form", "https://grafana.home.example/form"},
		{"POST", "", "https://grafana.home.example/"},
		{"DELETE", "https://other.home.example/form", "https://grafana.home.example/"},
	} {
		header := []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", app1, "X-Forwarded-Uri", "/save?x=y", "X-Forwarded-Method", tt.method, "X-Original-Method", tt.method}
		if tt.referer != "" {
			header = append(header, "Referer", tt.referer)
		}
		for _, path := range []string{"/outpost.goauthentik.io/auth/traefik", "/outpost.goauthentik.io/start?rd=https://grafana.home.example/save?x=y"} {
			res, _ := ts.get(nil, path, header...)
			want := "https://auth.home.example/login?rd=" + url.QueryEscape(tt.back)
			if tt.method != "GET" {
				want += "&unsent=1"
			}
			if got := res.Header.Get("Location"); got != want {
				t.Errorf("%s from %q at %s: got %d to %s, want %s", tt.method, tt.referer, path, res.StatusCode, got, want)
			}
		}
	}
}

// TestToldAtTheSignIn: whose session has ended is told so, and who signed out too.
func TestToldAtTheSignIn(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	b := ts.signIn("bob")
	if _, body := ts.get(nil, "/login"); strings.Contains(body, "You are signed out") {
		t.Error("a stranger is told of a session")
	}
	user, err := ts.app.UserByName(t.Context(), "bob")
	if err != nil {
		t.Fatal(err)
	}
	if err := ts.app.SetUserActive(t.Context(), app.Operator.Actor(), user, false); err != nil {
		t.Fatal(err)
	}
	if _, body := ts.get(b, "/login"); !strings.Contains(body, "your session ran out, or was ended from another device") {
		t.Errorf("ended from elsewhere: %s", body)
	}
	ada := ts.signIn("ada")
	ts.post(ada, "/logout", nil)
	if _, body := ts.get(ada, "/login"); !strings.Contains(body, "You are signed out here.") || strings.Contains(body, "another device") {
		t.Errorf("after signing out: %s", body)
	}
	if _, body := ts.get(ada, "/login"); strings.Contains(body, "You are signed out") {
		t.Error("it is told twice")
	}
}

// TestNoticeOfOurOwn: over https a sibling host cannot plant what a page says.
func TestNoticeOfOurOwn(t *testing.T) {
	t.Parallel()
	ts := guarded(t)
	res, body := ts.get(nil, "/login", "Host", "auth.home.example", "Cookie", "lastseen_said=Call+0900+123")
	if res.StatusCode != 200 || strings.Contains(body, "0900") {
		t.Errorf("a planted notice is shown: %s", body)
	}
	if _, body = ts.get(nil, "/login", "Host", "auth.home.example", "Cookie", "__Host-lastseen_said=Call+0900+123+who+can+set+this+anywhere"); strings.Contains(body, "0900") {
		t.Error("the page says what is not ours")
	}
	if _, body = ts.get(nil, "/login", "Host", "auth.home.example", "Cookie", "__Host-lastseen_said="+ts.flashMAC("Saved.")+"Saved."); !strings.Contains(body, "Saved.") {
		t.Error("our own is not shown")
	}
	if res, _ = ts.get(nil, "/.well-known/change-password"); res.StatusCode != 303 || res.Header.Get("Location") != "/profile" {
		t.Errorf("where to change a password: got %d to %s", res.StatusCode, res.Header.Get("Location"))
	}
}
