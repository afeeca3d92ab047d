package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"lastseen/app"
	"lastseen/db"
)

// The session's last use is that of the request to the app, as far as the proxy
// describes it.
func TestTrail(t *testing.T) {
	t.Parallel()
	const phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
	for _, g := range gates {
		ts := guarded(t)
		sess, token := ts.session("bob", "81.2.69.142", firefox)
		for _, tt := range []struct {
			name, ip, agent string
			header          []string
		}{
			{"nothing said", "81.2.69.142", firefox, []string{"User-Agent", ""}},
			{"address and agent", "203.0.113.7", phone, []string{"X-Forwarded-For", "203.0.113.7", "User-Agent", phone}},
			{"only the address", "203.0.113.8", phone, []string{"X-Forwarded-For", "203.0.113.8", "User-Agent", ""}},
			{"only the agent", "203.0.113.8", firefox, []string{"User-Agent", firefox}},
			{"forged on the left", "203.0.113.9", firefox, []string{"X-Forwarded-For", "1.2.3.4, 203.0.113.9", "User-Agent", firefox}},
			{"mapped", "203.0.113.9", firefox, []string{"X-Forwarded-For", "::ffff:203.0.113.9", "User-Agent", firefox}},
		} {
			ts.advance(time.Minute)
			if res := ts.asks(g, app1, "/", append(tt.header, "Cookie", cookie(token))...); res.StatusCode != 200 {
				t.Fatalf("%s, %s: got %d", g.name, tt.name, res.StatusCode)
			}
			seen, err := ts.app.Session(t.Context(), app.Operator, sess.UUID)
			if err != nil || seen.IP.String() != tt.ip || seen.Agent.String != tt.agent || !seen.LastUsed.Equal(ts.app.Now()) {
				t.Errorf("%s, %s: used from %v by %s at %v, %v", g.name, tt.name, seen.IP, seen.Agent.String, seen.LastUsed, err)
			}
		}
		// What is refused is no use, and neither is a key's.
		used := ts.app.Now()
		ts.advance(time.Minute)
		ts.asks(g, app1, "/", "Cookie", cookie(token), "X-Forwarded-For", "nonsense")
		ts.asks(g, app1, "/", "X-Lastseen-Token", ts.key("bob"))
		if seen, err := ts.app.Session(t.Context(), app.Operator, sess.UUID); err != nil || !seen.LastUsed.Equal(used) {
			t.Errorf("%s: a refusal counts as a use: %v, %v", g.name, seen.LastUsed, err)
		}
	}
}

// Which hosts a session reached is kept beyond its end, and shown.
func TestHostsReached(t *testing.T) {
	t.Parallel()
	ts := guarded(t)
	ts.allow("admin.home.example", "admins")
	ts.open(app1, "/public/*")
	sess, token := ts.session("bob", "81.2.69.142", firefox)
	first := ts.app.Now()
	reach := func(host, uri string) { ts.asks(gates[0], host, uri, "Cookie", cookie(token)) }
	reach(app1, "/")
	ts.advance(time.Hour)
	reach("Media.home.example:8443", "/")
	reach("admin.home.example", "/")     // refused
	reach("open.home.example", "/%zz")   // malformed
	ts.asks(gates[0], app1, "/public/x") // nobody's
	ts.asks(gates[0], "x.home.example", "/", "X-Lastseen-Token", ts.key("bob"))
	ts.advance(time.Hour)
	reach(app1, "/again")
	ts.advance(10 * time.Second)
	reach(app1, "/soon") // not written at once, but known
	want := fmt.Sprint([]db.Reach{
		{Host: app1, First: first, Last: first.Add(2*time.Hour + 10*time.Second)},
		{Host: "media.home.example", First: first.Add(time.Hour), Last: first.Add(time.Hour)},
	})
	check := func(when string) {
		t.Helper()
		if got, err := ts.app.SessionHosts(t.Context(), sess.UUID); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s: got %v, %v\nwant %v", when, got, err, want)
		}
	}
	check("while it lives")
	if _, body := ts.get(nil, "/sessions/"+sess.UUID.String(), "Host", "auth.home.example", "Cookie", cookie(token)); !strings.Contains(body, app1) || !strings.Contains(body, "media.home.example") || strings.Contains(body, "admin.home.example") || !strings.Contains(body, ", first ") {
		t.Errorf("the page shows: %s", body)
	}
	if err := ts.app.RevokeSession(t.Context(), app.Operator, sess.UUID); err != nil {
		t.Fatal(err)
	}
	check("after its end")

	// Of very many hosts, those reached last are kept.
	many, token := ts.session("bob", "81.2.69.142", firefox)
	for i := range 70 {
		ts.advance(time.Second)
		ts.asks(gates[0], fmt.Sprintf("h%d.home.example", i), "/", "Cookie", cookie(token))
	}
	got, err := ts.app.SessionHosts(t.Context(), many.UUID)
	if err != nil || len(got) != 50 || got[0].Host != "h69.home.example" || got[49].Host != "h20.home.example" {
		t.Errorf("of 70 hosts: %d are kept, %v", len(got), err)
	}
}

// start leads to the sign-in page and from there to where it was asked to, as
// published lines for nginx write it.
func TestStart(t *testing.T) {
	t.Parallel()
	ts := guarded(t)
	for rd, want := range map[string]string{
		"https://grafana.home.example/d/1?x=y&z=1": "https://grafana.home.example/d/1?x=y&z=1", // not encoded, as nginx's $request_uri
		"http://grafana.home.example:3000/":        "http://grafana.home.example:3000/",
		"https%3A%2F%2Fgrafana.home.example%2Fa":   "https://grafana.home.example/a",
		"/sessions":                                "/sessions",
		"":                                         "/sessions",
		"nonsense":                                 "/sessions",
		"%zz":                                      "/sessions",
	} {
		for _, host := range []string{"auth.home.example", app1} {
			res, _ := ts.get(nil, "/outpost.goauthentik.io/start?rd="+rd, "Host", host)
			if got, want := res.Header.Get("Location"), "https://auth.home.example/login?rd="+url.QueryEscape(want); res.StatusCode != 302 || got != want {
				t.Errorf("%s on %s: got %d to %q, want %q", rd, host, res.StatusCode, got, want)
			}
		}
	}
	// A host that the cookie does not reach would ask for ever: it gets a page
	// that says what to set.
	res, body := ts.get(nil, "/outpost.goauthentik.io/start?rd=https://app.elsewhere.example/")
	if res.StatusCode != 403 || !strings.Contains(body, "--cookie-domain") {
		t.Errorf("a host that is not ours: got %d %s", res.StatusCode, body)
	}
	_, token := ts.session("ada", "81.2.69.142", firefox)
	for _, g := range gates {
		path, header := g.ask("https", "app.elsewhere.example", "/")
		for _, header := range [][]string{header, append(header, "Cookie", cookie(token))} {
			res, body := ts.get(nil, path, header...)
			if res.StatusCode != 403 || res.Header.Get("Location") != "" || !strings.Contains(body, "--cookie-domain") {
				t.Errorf("%s for a host that is not ours: got %d to %q", g.name, res.StatusCode, res.Header.Get("Location"))
			}
		}
	}
}

// sign_out asks before it ends anything, and an app's page cannot end it.
func TestGateSignOut(t *testing.T) {
	t.Parallel()
	ts := guarded(t)
	_, token := ts.session("bob", "81.2.69.142", firefox)
	const path = "/outpost.goauthentik.io/sign_out"
	lives := func() bool { return ts.asks(gates[0], app1, "/", "Cookie", cookie(token)).StatusCode == 200 }
	own := []string{"Host", "auth.home.example", "Cookie", cookie(token)}

	res, body := ts.get(nil, path, own...)
	if res.StatusCode != 200 || !strings.Contains(body, `method="post"`) || !lives() {
		t.Errorf("asking: got %d, lives %v", res.StatusCode, lives())
	}
	res, _ = ts.get(nil, path, "Host", app1, "Cookie", cookie(token))
	if got := res.Header.Get("Location"); res.StatusCode != 302 || !strings.HasPrefix(got, "https://auth.home.example"+path) || !lives() {
		t.Errorf("on an app's host: got %d to %q", res.StatusCode, got)
	}
	for _, header := range [][]string{
		{"Host", app1, "Origin", "https://" + app1, "Sec-Fetch-Site", "same-origin"},
		{"Host", "auth.home.example", "Origin", "https://" + app1, "Sec-Fetch-Site", "same-site"},
		{"Host", "auth.home.example", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"},
		{"Host", "auth.home.example", "Origin", "null"},
	} {
		if res, _ := ts.post(nil, path, nil, append(header, "Cookie", cookie(token))...); res.StatusCode != 403 || !lives() {
			t.Errorf("%v: got %d, lives %v", header, res.StatusCode, lives())
		}
	}
	res, _ = ts.post(nil, path, nil, append(own, "Origin", "https://auth.home.example", "Sec-Fetch-Site", "same-origin")...)
	if res.StatusCode != http.StatusSeeOther || lives() {
		t.Errorf("from our own page: got %d, lives %v", res.StatusCode, lives())
	}
	if res, _ := ts.get(nil, path, own...); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/login" {
		t.Errorf("signed out already: got %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
	if res, _ := ts.get(nil, "/outpost.goauthentik.io/ping"); res.StatusCode != 204 {
		t.Errorf("ping: got %d", res.StatusCode)
	}
}

// FuzzGate asks with headers that anybody may have written, through a trusted
// proxy that passed them on: without a session nothing is let through, with one
// nobody else is named, and it is never our mistake.
func FuzzGate(f *testing.F) {
	for i, seed := range []string{"https://grafana.home.example/a?b", "/a", "grafana.home.example", "https", "198.51.100.1", "%zz", "//x", "x@y", "[::1]:1"} {
		f.Add(byte(i), seed, "grafana.home.example", "https", "198.51.100.1", "Bearer x")
	}
	ts := guarded(f)
	_, token := ts.session("bob", "81.2.69.142", firefox)
	valid := func(s string) bool { return !strings.ContainsAny(s, "\x00\r\n") }
	f.Fuzz(func(t *testing.T, kind byte, uri, host, scheme, from, authorization string) {
		if !valid(uri) || !valid(host) || !valid(scheme) || !valid(from) || !valid(authorization) {
			return // which net/http refuses
		}
		g := gates[int(kind)%len(gates)]
		for _, signedIn := range []bool{false, true} {
			path, header := g.ask(scheme, host, uri)
			if g.name == "envoy" {
				path, header = "/outpost.goauthentik.io/auth/envoy/", append(header, "X-Forwarded-Host", host)
			}
			r, err := http.NewRequest("GET", "http://auth.home.example"+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.RemoteAddr, r.RequestURI = "127.0.0.1:1", path
			for i := 0; i < len(header); i += 2 {
				if header[i] == "Host" {
					r.Host = header[i+1]
				} else {
					r.Header.Add(header[i], header[i+1])
				}
			}
			r.Header.Set("X-Forwarded-For", from)
			r.Header.Set("Authorization", authorization)
			if signedIn {
				r.Header.Set("Cookie", cookie(token))
			}
			w := &discard{header: http.Header{}}
			ts.ServeHTTP(w, r)
			who := w.header.Get("X-Authentik-Username")
			switch {
			case w.status == 200 && signedIn && who == "bob":
			case who != "" || w.status != 302 && (w.status < 400 || w.status > 403):
				t.Fatalf("%s %v, signed in %v: got %d as %q", path, r.Header, signedIn, w.status, who)
			}
			if location := w.header.Get("Location"); location != "" && !strings.HasPrefix(location, "https://auth.home.example/login?rd=") {
				t.Fatalf("%s %v: leads to %q", path, r.Header, location)
			}
		}
	})
}

// FuzzStart is about rd, as it stands in the query.
func FuzzStart(f *testing.F) {
	for _, seed := range []string{"rd=https://a.home.example/x?y=z&rd=1", "rd=%2Fx", "x=1&rd=//evil.example", `rd=https://evil.example\.home.example/`, "rd=%zz", "rd=https://a.home.example:1/%2f"} {
		f.Add(seed)
	}
	ts := guarded(f)
	f.Fuzz(func(t *testing.T, query string) {
		r, _ := http.NewRequest("GET", "http://auth.home.example/outpost.goauthentik.io/start", http.NoBody)
		r.URL.RawQuery, r.RemoteAddr = query, "192.0.2.1:1"
		w := &discard{header: http.Header{}}
		ts.ServeHTTP(w, r)
		if w.status == 403 {
			return
		}
		u, err := url.Parse(w.header.Get("Location"))
		if w.status != 302 || err != nil || u.Host != "auth.home.example" || u.Path != "/login" {
			t.Fatalf("%q: got %d to %q", query, w.status, w.header.Get("Location"))
		}
		rd := u.Query().Get("rd")
		to, err := url.Parse(rd)
		if err != nil || strings.HasPrefix(rd, "//") || strings.ContainsAny(rd, "\\\t\r\n\x00") ||
			to.Host != "" && !strings.HasSuffix("."+strings.ToLower(strings.TrimSuffix(to.Hostname(), ".")), ".home.example") {
			t.Fatalf("%q: passes on %q", query, rd)
		}
	})
}
