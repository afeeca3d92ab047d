package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

const (
	firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	iphone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)

// indent makes JSON readable, with the uuid that changes each time replaced.
func indent(t *testing.T, body string, id uuid.UUID) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(body), "", "  "); err != nil {
		t.Fatal(err, body)
	}
	return strings.ReplaceAll(b.String(), id.String(), "00000000-0000-4000-8000-000000000000") + "\n"
}

func TestRetrieve(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	key := ts.key("ada")
	for _, tt := range []struct{ name, ip, agent string }{
		{"iphone", "81.2.69.142", iphone},
		{"local", "192.168.1.20", firefox},
		{"unknown", "2001:db8::1", ""},
	} {
		sess, _ := ts.session("ada", tt.ip, tt.agent)
		status, body := ts.api(key, "GET", "/core/authenticated_sessions/"+sess.UUID.String()+"/", nil)
		if status != http.StatusOK {
			t.Errorf("%s: got %d", tt.name, status)
		}
		golden(t, "session_"+tt.name+".json", indent(t, body, sess.UUID))
	}
}

func TestRetrieveHeaders(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	sess, _ := ts.session("ada", "81.2.69.142", firefox)
	res, _ := ts.get(nil, "/api/v3/core/authenticated_sessions/"+sess.UUID.String()+"/", "Authorization", "Bearer "+ts.key("ada"))
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Allow": "GET, DELETE, HEAD, OPTIONS", "Cache-Control": "no-store",
		"X-Content-Type-Options": "nosniff", "Set-Cookie": "", "Server": "",
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// current is true only for the caller's own cookie, never for a key.
func TestCurrent(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	browser := ts.signIn("bob")
	ts.session("bob", "81.2.69.142", firefox)
	count := func(body string) (n int) { return strings.Count(body, `"current":true`) }
	if _, body := ts.get(browser, "/api/v3/core/authenticated_sessions/"); count(body) != 1 || strings.Count(body, `"uuid"`) != 2 {
		t.Errorf("by cookie: got %s, want two sessions, one of them current", body)
	}
	if _, body := ts.api(ts.key("bob"), "GET", "/core/authenticated_sessions/", nil); count(body) != 0 {
		t.Errorf("by key: got %s, want none current", body)
	}
}

func TestWhoMaySee(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	bobs, _ := ts.session("bob", "81.2.69.142", firefox)
	adas, _ := ts.session("ada", "81.2.69.142", firefox)
	gone, _ := ts.session("ada", "81.2.69.142", firefox)
	ts.api(ts.key("ada"), "DELETE", "/core/authenticated_sessions/"+gone.UUID.String()+"/", nil)
	path := func(id string) string { return "/core/authenticated_sessions/" + id + "/" }
	notFound := `{"detail":"Not found."}`
	for _, tt := range []struct {
		name, key, method, path string
		status                  int
		body                    string // exact, when not ""
	}{
		{"own", "bob", "GET", path(bobs.UUID.String()), 200, ""},
		{"a superuser sees all", "ada", "GET", path(bobs.UUID.String()), 200, ""},
		{"in capitals", "bob", "GET", path(strings.ToUpper(bobs.UUID.String())), 200, ""},
		{"without dashes", "bob", "GET", path(strings.ReplaceAll(bobs.UUID.String(), "-", "")), 200, ""},
		{"somebody else's", "bob", "GET", path(adas.UUID.String()), 404, notFound},
		{"unknown", "bob", "GET", path(uuid.NewString()), 404, notFound},
		{"malformed", "bob", "GET", path("17"), 404, notFound},
		{"malformed braces", "bob", "GET", path("x" + bobs.UUID.String() + "x"), 404, notFound},
		{"revoked", "ada", "GET", path(gone.UUID.String()), 404, notFound},
		{"delete somebody else's", "bob", "DELETE", path(adas.UUID.String()), 404, notFound},
		{"delete the malformed", "bob", "DELETE", path("17"), 404, notFound},
		{"what uses somebody else's", "bob", "GET", path(adas.UUID.String()) + "used_by/", 404, notFound},
		{"what uses one's own", "bob", "GET", path(bobs.UUID.String()) + "used_by/", 200, "[]"},
		{"delete one's own", "bob", "DELETE", path(bobs.UUID.String()), 204, ""},
		{"delete it again", "bob", "DELETE", path(bobs.UUID.String()), 404, notFound},
	} {
		status, body := ts.api(ts.key(tt.key), tt.method, tt.path, nil)
		if status != tt.status || tt.body != "" && body != tt.body || status == 204 && body != "" {
			t.Errorf("%s: got %d %s, want %d %s", tt.name, status, body, tt.status, tt.body)
		}
	}
}

func TestAPIErrors(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	key := "Bearer " + ts.key("ada")
	expired := ts.key("bob")
	ts.app.SetUserActive(t.Context(), operator, mustUser(ts, "bob"), false)
	list := "/api/v3/core/authenticated_sessions/"
	for _, tt := range []struct {
		name, method, path string
		header             []string
		status             int
		body               string
	}{
		{"nobody", "GET", list, nil, 403, `{"detail":"Authentication credentials were not provided."}`},
		{"nobody, one", "GET", list + uuid.NewString() + "/", nil, 403, `{"detail":"Authentication credentials were not provided."}`},
		{"a made-up cookie", "GET", list, []string{"Cookie", "lastseen_session=x"}, 403, `{"detail":"Authentication credentials were not provided."}`},
		{"unknown key", "GET", list, []string{"Authorization", "Bearer nonsense"}, 403, `{"detail":"Token invalid/expired"}`},
		{"disabled owner", "GET", list, []string{"Authorization", "Bearer " + expired}, 403, `{"detail":"Token invalid/expired"}`},
		{"no key", "GET", list, []string{"Authorization", "Bearer "}, 403, `{"detail":"Malformed header"}`},
		{"another scheme", "GET", list, []string{"Authorization", "Basic YTpi"}, 403, `{"detail":"Unsupported authentication type"}`},
		{"two headers", "GET", list, []string{"Authorization", key, "Authorization", key}, 403, `{"detail":"Malformed header"}`},
		{"method", "POST", list, []string{"Authorization", key}, 405, `{"detail":"Method \"POST\" not allowed."}`},
		{"method, one", "PATCH", list + uuid.NewString() + "/", []string{"Authorization", key}, 405, `{"detail":"Method \"PATCH\" not allowed."}`},
		{"method, nobody", "POST", list, nil, 403, `{"detail":"Authentication credentials were not provided."}`},
		{"odd method", "PROPFIND", list, []string{"Authorization", key}, 405, `{"detail":"Method \"PROPFIND\" not allowed."}`},
		{"html", "GET", list, []string{"Authorization", key, "Accept", "text/html"}, 406, `{"detail":"Could not satisfy the request Accept header."}`},
		{"bad page", "GET", list + "?page=2", []string{"Authorization", key}, 404, `{"detail":"Invalid page."}`},
		{"page 0", "GET", list + "?page=0", []string{"Authorization", key}, 404, `{"detail":"Invalid page."}`},
		{"page of letters", "GET", list + "?page=x", []string{"Authorization", key}, 404, `{"detail":"Invalid page."}`},
		{"empty filter", "GET", list + "?user__username=", []string{"Authorization", key}, 400, `{"user__username":["This field may not be blank."]}`},
		{"empty user", "GET", list + "?user=", []string{"Authorization", key}, 400, `{"user":["This field may not be blank."]}`},
		{"malformed address", "GET", list + "?last_ip=home", []string{"Authorization", key}, 400, `{"last_ip":["Enter a valid IPv4 or IPv6 address."]}`},
		{"no slash", "GET", strings.TrimSuffix(list, "/"), nil, 404, `{"detail":"Not found. Did you mean /api/v3/core/authenticated_sessions/ with a slash at its end?"}`},
		{"no such path", "GET", "/api/v3/core/nonsense/", nil, 404, `{"detail":"Not found."}`},
		{"another origin", "DELETE", list + uuid.NewString() + "/", []string{"Authorization", key, "Sec-Fetch-Site", "cross-site"}, 403, `{"detail":"CSRF Failed: the request comes from another origin."}`},
		{"a sibling", "DELETE", list + uuid.NewString() + "/", []string{"Authorization", key, "Sec-Fetch-Site", "same-site"}, 403, `{"detail":"CSRF Failed: the request comes from another origin."}`},
		{"another origin, old browser", "DELETE", list + uuid.NewString() + "/", []string{"Authorization", key, "Origin", "https://evil.example"}, 403, `{"detail":"CSRF Failed: the request comes from another origin."}`},
	} {
		res, body := ts.do(nil, tt.method, tt.path, nil, tt.header...)
		if res.StatusCode != tt.status || body != tt.body {
			t.Errorf("%s: got %d %s, want %d %s", tt.name, res.StatusCode, body, tt.status, tt.body)
		}
		if tt.status == 405 && !strings.Contains(res.Header.Get("Allow"), "GET") {
			t.Errorf("%s: Allow is %q", tt.name, res.Header.Get("Allow"))
		}
		if got := res.Header.Get("Content-Type"); got != "application/json" {
			t.Errorf("%s: Content-Type is %q", tt.name, got)
		}
	}
	// A good cookie does not mend a bad header.
	if res, _ := ts.get(ts.signIn("ada"), list, "Authorization", "Basic YTpi"); res.StatusCode != 403 {
		t.Errorf("good cookie, bad header: got %d, want 403", res.StatusCode)
	}
}

// A cookie alone ends nothing for a page from elsewhere, a sibling's included.
func TestDeleteNeedsOurOrigin(t *testing.T) {
	t.Parallel()
	ts := newServer(t, "public-url=http://auth.home.example", "cookie-domain=home.example")
	sess, token := ts.session("bob", "81.2.69.142", firefox)
	path := "/api/v3/core/authenticated_sessions/" + sess.UUID.String() + "/"
	for _, tt := range []struct {
		name   string
		header []string
		status int
	}{
		{"another site", []string{"Origin", "https://evil.example"}, 403},
		{"a sibling", []string{"Origin", "http://app.home.example"}, 403},
		{"a sibling, by its own word", []string{"Origin", "http://app.home.example", "Sec-Fetch-Site", "same-site"}, 403},
		{"our host, another scheme", []string{"Origin", "https://auth.home.example:8443"}, 403},
		{"no origin to speak of", []string{"Origin", "null"}, 403},
		{"a cross-site link", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"our own page", []string{"Origin", "http://auth.home.example", "Sec-Fetch-Site", "same-origin"}, 204},
	} {
		header := append([]string{"Host", "auth.home.example", "Cookie", "lastseen_session=" + token}, tt.header...)
		if res, body := ts.do(nil, "DELETE", path, nil, header...); res.StatusCode != tt.status {
			t.Errorf("%s: got %d %s, want %d", tt.name, res.StatusCode, body, tt.status)
		}
	}
	_, token = ts.session("bob", "81.2.69.142", firefox)
	for _, origin := range []string{"https://evil.example", "http://app.home.example"} {
		res, _ := ts.do(nil, "DELETE", "/api/v3/core/authenticated_sessions/bulk_delete/?user_pks=2", nil,
			"Host", "auth.home.example", "Cookie", "lastseen_session="+token, "Origin", origin)
		if res.StatusCode != 403 {
			t.Errorf("bulk_delete from %s: got %d, want 403", origin, res.StatusCode)
		}
	}
}

func TestHeadAndOptions(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	key := "Bearer " + ts.key("ada")
	res, body := ts.do(nil, "HEAD", "/api/v3/core/authenticated_sessions/", nil, "Authorization", key)
	if res.StatusCode != 200 || body != "" || res.ContentLength <= 0 {
		t.Errorf("HEAD: got %d %q, length %d", res.StatusCode, body, res.ContentLength)
	}
	res, body = ts.do(nil, "OPTIONS", "/api/v3/core/authenticated_sessions/", nil, "Authorization", key)
	if res.StatusCode != 200 || res.Header.Get("Allow") != "GET, HEAD, OPTIONS" || !strings.Contains(body, `"renders"`) {
		t.Errorf("OPTIONS: got %d, Allow %q, %s", res.StatusCode, res.Header.Get("Allow"), body)
	}
}

type list struct {
	Pagination   pagination
	Results      []struct{ UUID, LastIP string }
	Autocomplete *struct{}
}

func TestListPages(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	key := ts.key("bob")
	var empty list
	if status, _ := ts.api(key, "GET", "/core/authenticated_sessions/", &empty); status != 200 || empty.Pagination != (pagination{Current: 1, TotalPages: 1}) || empty.Results == nil || empty.Autocomplete == nil {
		t.Errorf("empty list: got %d %+v", status, empty)
	}
	for i := range 5 {
		ts.session("bob", fmt.Sprintf("81.2.69.%d", i), firefox)
	}
	for _, tt := range []struct {
		query string
		want  pagination
	}{
		{"", pagination{Count: 5, Current: 1, TotalPages: 1, StartIndex: 1, EndIndex: 5}},
		{"?page_size=2", pagination{Next: 2, Count: 5, Current: 1, TotalPages: 3, StartIndex: 1, EndIndex: 2}},
		{"?page_size=2&page=2", pagination{Next: 3, Previous: 1, Count: 5, Current: 2, TotalPages: 3, StartIndex: 3, EndIndex: 4}},
		{"?page_size=2&page=last", pagination{Previous: 2, Count: 5, Current: 3, TotalPages: 3, StartIndex: 5, EndIndex: 5}},
		{"?page_size=0", pagination{Count: 5, Current: 1, TotalPages: 1, StartIndex: 1, EndIndex: 5}},
		{"?page_size=nonsense", pagination{Count: 5, Current: 1, TotalPages: 1, StartIndex: 1, EndIndex: 5}},
		{"?page_size=99999999999999999999", pagination{Count: 5, Current: 1, TotalPages: 1, StartIndex: 1, EndIndex: 5}},
		{"?user=2", pagination{Count: 5, Current: 1, TotalPages: 1, StartIndex: 1, EndIndex: 5}},
		{"?user=1", pagination{Current: 1, TotalPages: 1}},
		{"?unknown=1", pagination{Count: 5, Current: 1, TotalPages: 1, StartIndex: 1, EndIndex: 5}},
		{"?last_ip=81.2.69.3", pagination{Count: 1, Current: 1, TotalPages: 1, StartIndex: 1, EndIndex: 1}},
		{"?last_ip=::ffff:81.2.69.3", pagination{Count: 1, Current: 1, TotalPages: 1, StartIndex: 1, EndIndex: 1}},
		{"?session__last_user_agent=" + url.QueryEscape(firefox), pagination{Count: 5, Current: 1, TotalPages: 1, StartIndex: 1, EndIndex: 5}},
		{"?search=bob,FIREFOX", pagination{Count: 5, Current: 1, TotalPages: 1, StartIndex: 1, EndIndex: 5}},
		{"?search=bob+chrome", pagination{Current: 1, TotalPages: 1}},
	} {
		var got list
		if status, body := ts.api(key, "GET", "/core/authenticated_sessions/"+tt.query, &got); status != 200 || got.Pagination != tt.want {
			t.Errorf("%s: got %d %s, want %+v", tt.query, status, body, tt.want)
		}
	}
}

// What a cookie does is seen at once, though it is written later.
func TestLastUsedIsNeverBehind(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	browser := ts.signIn("ada")
	ts.advance(time.Hour)
	_, body := ts.get(browser, "/api/v3/core/authenticated_sessions/", "User-Agent", iphone)
	want := now.Add(time.Hour).Format("2006-01-02T15:04:05.000000Z")
	for _, part := range []string{`"last_used":"` + want + `"`, `"family":"Mobile Safari"`, `"last_user_agent":"` + iphone + `"`} {
		if !strings.Contains(body, part) {
			t.Errorf("the caller's own session: got %s, want %s in it", body, part)
		}
	}
	// A key is no use of any session.
	ts.advance(time.Hour)
	if _, body := ts.api(ts.key("ada"), "GET", "/core/authenticated_sessions/", nil); !strings.Contains(body, want) {
		t.Errorf("after a request by key: got %s, want last_used %s", body, want)
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	ts := newServer(t, "session-duration=10h", "session-idle=1h")
	key := ts.key("ada")
	status := func(b *http.Client) int {
		res, _ := ts.get(b, "/api/v3/core/users/me/")
		return res.StatusCode
	}
	count := func() int {
		var l list
		ts.api(key, "GET", "/core/authenticated_sessions/", &l)
		return l.Pagination.Count
	}
	used, idle := ts.signIn("ada"), ts.signIn("ada")
	for range 9 {
		ts.advance(59 * time.Minute)
		if got := status(used); got != 200 {
			t.Fatalf("used every hour: got %d", got)
		}
	}
	if got := status(idle); got != 403 {
		t.Errorf("idle for nine hours: got %d, want 403", got)
	}
	if got := count(); got != 1 {
		t.Errorf("listed: got %d, want the one that was used", got)
	}
	ts.advance(70 * time.Minute)
	if got := status(used); got != 403 {
		t.Errorf("past its absolute limit: got %d, want 403", got)
	}
	if got := count(); got != 0 {
		t.Errorf("listed: got %d, want none", got)
	}
}
