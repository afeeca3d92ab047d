package web

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzRequest sends any request to any route, as nobody and as a superuser: none
// is a 5xx, and nobody gets what is not theirs.
func FuzzRequest(f *testing.F) {
	ts := newServer(f)
	_, token := ts.session("ada", "192.0.2.1", "curl/8")
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /sessions?view=everybody&sort=user&user=ada&page=2 HTTP/1.1\r\nHost: localhost\r\nCookie: lastseen_session=x; theme=dark; lang=de\r\n\r\n",
		"GET /login?rd=https://x/ HTTP/1.1\r\nHost: localhost\r\nAccept-Language: de, *;q=0.5\r\nAccept-Encoding: gzip;q=0\r\n\r\n",
		"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 22\r\n\r\nusername=x&password=%z",
		"POST /preferences HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 20\r\n\r\ntheme=dark&rd=//evil",
		"GET /api/v3/core/users/me/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\nAccept: application/json;q=0, */*\r\n\r\n",
		"DELETE /api/v3/core/authenticated_sessions/bulk_delete/?user_pks=1&user_pks=x HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /api/v3/schema/?format=json HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n",
		"GET /api/v3/events/events/volume/?action=login&history_days=-1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /outpost.goauthentik.io/auth/nginx HTTP/1.1\r\nHost: localhost\r\nX-Original-URL: http://x/\r\n\r\n",
		"GET /outpost.goauthentik.io/start?rd=http://x/?a=b&c HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /static/app.css HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: x\r\nRange: bytes=0-1\r\n\r\n",
		"POST /users/2/groups HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 12\r\n\r\ngroups=a,,b|",
		"POST /rules HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 21\r\n\r\nhost=*.x&path=/%2e%2e",
		"GET http://evil.example/sessions HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, raw string, signedIn bool) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			return
		}
		r.RemoteAddr = "192.0.2.7:1234"
		if r.Body == nil {
			r.Body = http.NoBody
		}
		path := r.URL.Path
		if signedIn {
			// Signing in costs a hash, and signing out or away ends the fun.
			if path == "/login" || path == "/logout" || strings.Contains(path, "password") || strings.HasPrefix(path, "/users") && r.Method == "POST" || r.Method == "DELETE" || strings.Contains(path, "revoke") || path == "/doctor/backup" || strings.HasSuffix(path, "/sign_out") {
				return
			}
			r.Header.Set("Cookie", r.Header.Get("Cookie")+"; "+sessionCookie+"="+token)
		} else if path == "/login" && r.Method == "POST" {
			if _, err := parseFormOf(r); err == nil {
				return
			}
		}
		w := httptest.NewRecorder()
		ts.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Errorf("%q: got %d %s", raw, w.Code, w.Body)
		}
		body := w.Body.String()
		if isAPI(path) && w.Header().Get("Content-Type") == "application/json" && r.Method != "HEAD" && !json.Valid([]byte(body)) {
			t.Errorf("%q: not JSON: %q", raw, body)
		}
		if w.Header().Get("Content-Encoding") == "" && !utf8.ValidString(body) {
			t.Errorf("%q: not UTF-8: %q", raw, body)
		}
		if !signedIn && w.Code < 300 && !forNobody(r) {
			t.Errorf("%q: nobody got %d %.300s", raw, w.Code, body)
		}
		if location := w.Header().Get("Location"); strings.HasPrefix(location, "//") || strings.HasPrefix(location, `/\`) || strings.Contains(location, "evil") && strings.Contains(location, "://") && !strings.HasPrefix(location, "/") {
			t.Errorf("%q: leads to %q", raw, location)
		}
	})
}

// parseFormOf tells whether a sign-in would get as far as hashing.
func parseFormOf(r *http.Request) (string, error) {
	if !strings.HasPrefix(strings.TrimSpace(strings.ToLower(r.Header.Get("Content-Type"))), "application/x-www-form-urlencoded") {
		return "", http.ErrNotSupported
	}
	return r.Method, nil
}

// forNobody reports whether somebody who is not signed in may have a 2xx.
func forNobody(r *http.Request) bool {
	switch path := r.URL.Path; {
	case path == "/login", path == "/api/v3/", path == "/api/v3/root/config/", path == "/api/v3/schema/", path == gatePrefix+"/ping":
		return true
	default:
		return needsNoData(path)
	}
}

// FuzzListQuery lists sessions by any query: it is answered with a page or told
// what is wrong, and a filter that is given but chooses nobody is not everybody.
func FuzzListQuery(f *testing.F) {
	ts := newServer(f)
	key := ts.key("ada")
	ts.session("ada", "192.0.2.1", "curl/8")
	ts.session("bob", "2001:db8::1", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	for _, seed := range []string{
		"", "user=1", "user=", "user=x", "user__username=ada", "session__last_ip=::1", "last_ip=192.0.2.1", "search=ada+fox", "search=%00%ff",
		"ordering=-last_used,uuid,,x", "page=2&page_size=1", "page=last", "page=0", "page_size=99999999999999999999", "page_size=-1",
		"last_user_agent=%25_\\", "user=1&user=2", "user=9223372036854775808", "ordering=--uuid", ";", "a=%", "user__username=%C3%A4%CC%88",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range []string{"core/authenticated_sessions/", "core/users/", "core/tokens/", "events/events/", "events/events/per_month/", "events/events/volume/"} {
			r := httptest.NewRequest("GET", "http://localhost/", nil)
			r.URL.Path, r.URL.RawQuery = apiPrefix+"/"+path, query
			r.Header.Set("Authorization", "Bearer "+key)
			w := httptest.NewRecorder()
			ts.ServeHTTP(w, r)
			if w.Code != 200 && w.Code != 400 && w.Code != 404 {
				t.Errorf("%s?%s: got %d %s", path, query, w.Code, w.Body)
			}
			if !json.Valid(w.Body.Bytes()) {
				t.Errorf("%s?%s: not JSON: %s", path, query, w.Body)
			}
			values := r.URL.Query()
			if path != "core/authenticated_sessions/" || w.Code != 200 {
				continue
			}
			var page struct {
				Pagination struct{ Count int }
				Results    []struct{ User int }
			}
			if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
				t.Fatal(err)
			}
			for _, user := range values["user"] {
				for _, got := range page.Results {
					if fmt.Sprint(got.User) != strings.TrimLeft(strings.TrimSpace(user), "+0") && len(values["user"]) == 1 {
						t.Errorf("?%s: lists user %d", query, got.User)
					}
				}
			}
		}
	})
}
