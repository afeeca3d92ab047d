package web

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lastseen/app"
	"lastseen/db/pgtest"
	"lastseen/db/sqlite"
)

// TestWhoMayOpenWhat asks for every page as nobody, as bob and as ada.
func TestWhoMayOpenWhat(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ada, bob := ts.signIn("ada"), ts.signIn("bob")
	adas, _ := ts.session("ada", "81.2.69.142", firefox)
	bobs, _ := ts.session("bob", "81.2.69.142", iphone)
	for _, tt := range []struct {
		path     string
		bob, ada int
	}{
		{"/sessions", 200, 200},
		{"/sessions?view=everybody", 403, 200},
		{"/sessions?view=everybody&sort=place&group=device&state=all&country=GB&network=20712&kind=phone&search=x", 403, 200},
		{"/sessions/live", 200, 200},
		{"/sessions/export.csv", 200, 200},
		{"/sessions/export.json", 200, 200},
		{"/sessions/export.csv?view=everybody", 403, 200},
		{"/sessions/" + bobs.UUID.String(), 200, 200},
		{"/sessions/" + adas.UUID.String(), 404, 200},
		{"/sessions/" + adas.UUID.String() + "/revoke", 404, 200},
		{"/sessions/17", 404, 404},
		{"/sessions/revoke-others", 200, 200},
		{"/profile", 200, 200},
		{"/tokens", 200, 200},
		{"/events", 200, 200},
		{"/events?action=login_failed&search=bob&page=2", 200, 200},
		{"/users", 403, 200},
		{"/users?search=b", 403, 200},
		{"/users/1", 403, 200},
		{"/users/17", 403, 404},
		{"/doctor", 403, 200},
	} {
		if res, _ := ts.get(nil, tt.path); res.StatusCode != 303 || !strings.HasPrefix(res.Header.Get("Location"), "/login") {
			t.Errorf("%s as nobody: got %d to %q", tt.path, res.StatusCode, res.Header.Get("Location"))
		}
		if res, body := ts.get(bob, tt.path); res.StatusCode != tt.bob {
			t.Errorf("%s as bob: got %d, want %d: %s", tt.path, res.StatusCode, tt.bob, body)
		}
		if res, body := ts.get(ada, tt.path); res.StatusCode != tt.ada {
			t.Errorf("%s as ada: got %d, want %d: %s", tt.path, res.StatusCode, tt.ada, body)
		}
	}
	for _, path := range []string{"/users", "/users/1", "/users/1/groups", "/users/1/password", "/users/1/enable", "/users/1/disable", "/users/1/delete", "/doctor/backup"} {
		if res, _ := ts.post(bob, path, url.Values{"username": {"eve"}, "password": {password}}); res.StatusCode != 403 {
			t.Errorf("post %s as bob: got %d, want 403", path, res.StatusCode)
		}
		if res, _ := ts.post(nil, path, nil); res.StatusCode != 303 {
			t.Errorf("post %s as nobody: got %d, want 303", path, res.StatusCode)
		}
	}
}

// A superuser takes a copy of the database away: a whole one, by cookie alone.
func TestBackupDownload(t *testing.T) {
	t.Parallel()
	onlySQLite(t)
	ts := newServer(t)
	ada := ts.signIn("ada")
	res, body := ts.post(ada, "/doctor/backup", nil)
	file := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Check(t.Context(), file); err != nil || res.StatusCode != 200 || res.ContentLength != int64(len(body)) {
		t.Errorf("got %d, %d bytes, %v", res.StatusCode, len(body), err)
	}
	if got := res.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control: got %q", got)
	}
	if got := res.Header.Get("Content-Disposition"); !regexp.MustCompile(`^attachment; filename="lastseen-\d{8}T\d{6}Z\.db"$`).MatchString(got) {
		t.Errorf("Content-Disposition: got %q", got)
	}
	if _, body := ts.get(ada, "/events"); !strings.Contains(body, "backup downloaded") {
		t.Error("no event says that a backup was downloaded")
	}
	if res, _ := ts.post(nil, "/doctor/backup", nil, "Authorization", "Bearer "+ts.key("ada")); res.StatusCode != 303 {
		t.Errorf("with an API key: got %d, want 303 to the sign-in page", res.StatusCode)
	}
	if res, _ := ts.post(ada, "/doctor/backup", nil, "Sec-Fetch-Site", "same-site"); res.StatusCode != 403 {
		t.Errorf("from an app beside us: got %d, want 403", res.StatusCode)
	}
	if res, _ := ts.get(ada, "/doctor/backup"); res.StatusCode != 405 {
		t.Errorf("GET: got %d, want 405", res.StatusCode)
	}
}

func TestEverybody(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ada := ts.signIn("ada")
	ts.session("bob", "81.2.69.142", iphone)
	ts.session("bob", "89.160.20.112", firefox)
	ts.createUser("carol", false)
	ts.session("carol", "216.160.83.56", "curl/8.14.1")
	gone, _ := ts.session("carol", "2.3.4.5", "gone/1")
	if status, _ := ts.api(ts.key("ada"), "DELETE", "/core/authenticated_sessions/"+gone.UUID.String()+"/", nil); status != 204 {
		t.Fatal(status)
	}
	for _, tt := range []struct {
		query     string
		want, not []string
	}{
		{"", []string{"81.2.69.142", "89.160.20.112", "216.160.83.56", "of 3 people"}, []string{"2.3.4.5"}},
		{"&user=bob", []string{"81.2.69.142", "89.160.20.112"}, []string{"216.160.83.56"}},
		{"&search=curl", []string{"216.160.83.56"}, []string{"81.2.69.142"}},
		{"&country=SE", []string{"89.160.20.112"}, []string{"81.2.69.142"}},
		{"&network=20712", []string{"81.2.69.142"}, []string{"89.160.20.112"}},
		{"&kind=phone", []string{"81.2.69.142"}, []string{"89.160.20.112"}},
		{"&state=ended", []string{"2.3.4.5", "signed out by an administrator"}, []string{"81.2.69.142"}},
		{"&state=all", []string{"2.3.4.5", "81.2.69.142"}, nil},
		{"&state=all&user=bob", []string{"81.2.69.142"}, []string{"2.3.4.5"}},
		{"&group=user&sort=place", []string{`scope="rowgroup"`}, nil},
		{"&search=nothing+like+it", []string{"No session matches."}, []string{"81.2.69.142"}},
	} {
		_, body := ts.get(ada, "/sessions?view=everybody"+tt.query)
		for _, want := range tt.want {
			if !strings.Contains(body, want) {
				t.Errorf("%s: no %q", tt.query, want)
			}
		}
		for _, not := range tt.not {
			if strings.Contains(body, not) {
				t.Errorf("%s: %q is there", tt.query, not)
			}
		}
	}
	// By place: Sweden before the United Kingdom before the United States, the local one last.
	_, body := ts.get(ada, "/sessions?view=everybody&sort=place")
	at := -1
	for _, ip := range []string{"89.160.20.112", "81.2.69.142", "216.160.83.56", "127.0.0.1"} {
		i := strings.Index(body, ip)
		if i <= at {
			t.Errorf("%s is not in the order of places", ip)
		}
		at = i
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ada := ts.signIn("ada")
	ts.session("bob", "81.2.69.142", `=cmd|'/c calc'!A1`)
	res, body := ts.get(ada, "/sessions/export.csv?view=everybody&user=bob")
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil || len(rows) != 2 || rows[1][1] != "bob" || rows[1][7] != "London" {
		t.Fatalf("got %q, %v", rows, err)
	}
	if got := rows[1][len(rows[1])-2]; got != `'=cmd|'/c calc'!A1` {
		t.Errorf("a formula went out as %q", got)
	}
	if res.Header.Get("Content-Disposition") == "" || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/csv") {
		t.Errorf("headers: %v", res.Header)
	}
	var objects []struct {
		Last_ip string
		Current bool
	}
	_, body = ts.get(ada, "/sessions/export.json")
	if err := json.Unmarshal([]byte(body), &objects); err != nil || len(objects) != 1 || !objects[0].Current {
		t.Errorf("one's own as JSON: got %s, %v", body, err)
	}
}

func TestRevisionFollowsTheList(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	bob := ts.signIn("bob")
	_, before := ts.get(bob, "/sessions/live")
	if _, body := ts.get(bob, "/sessions"); !strings.Contains(body, `data-revision="`+before+`"`) {
		t.Errorf("the page has another revision than %s", before)
	}
	sess, _ := ts.session("bob", "81.2.69.142", iphone)
	_, after := ts.get(bob, "/sessions/live")
	ts.post(bob, "/sessions/"+sess.UUID.String()+"/revoke", nil)
	_, ended := ts.get(bob, "/sessions/live")
	if before == after || after == ended {
		t.Errorf("revisions %s, %s, %s", before, after, ended)
	}
}

func TestSessionPage(t *testing.T) {
	t.Parallel()
	ts := newServer(t, "session-idle=1h")
	bob := ts.signIn("bob")
	sess, _ := ts.session("bob", "81.2.69.142", iphone)
	path := "/sessions/" + sess.UUID.String()
	_, body := ts.get(bob, path)
	for _, want := range []string{"Safari 18", "iPhone", "AS20712", "81.2.69.0/24", "London, United Kingdom", "with a password", "Lastseen-Sample-City", sess.UUID.String(), "if it is not used before"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q on the page", want)
		}
	}
	ts.post(bob, path+"/revoke", nil)
	if res, body := ts.get(bob, path); res.StatusCode != 200 || !strings.Contains(body, "signed out from another device") || strings.Contains(body, path+"/revoke") {
		t.Errorf("after it ended: got %d %s", res.StatusCode, body)
	}
}

func TestUserPages(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ada := ts.signIn("ada")
	post := func(path string, form url.Values, want int) string {
		t.Helper()
		res, body := ts.post(ada, path, form)
		if res.StatusCode != want {
			t.Errorf("%s %v: got %d, want %d: %s", path, form, res.StatusCode, want, body)
		}
		return body
	}
	body := post("/users", url.Values{"username": {"bob"}, "password": {password}}, 400)
	if !strings.Contains(body, "There is already a user of that name.") {
		t.Error("nothing says that the name is taken")
	}
	post("/users", url.Values{"username": {"carol"}, "password": {"short"}}, 400)
	post("/users", url.Values{"username": {"carol"}, "password": {password}, "groups": {"family, media"}}, 303)
	carol := mustUser(ts, "carol")
	if len(carol.Groups) != 2 {
		t.Errorf("groups: got %v", carol.Groups)
	}
	path := fmt.Sprintf("/users/%d", carol.ID)
	post(path, url.Values{"name": {"Carol"}, "email": {"nonsense"}}, 400)
	post(path, url.Values{"name": {"Carol"}, "email": {"carol@home.example"}, "superuser": {"1"}}, 303)
	post(path+"/groups", url.Values{"groups": {"media, a|b"}}, 400)
	post(path+"/groups", url.Values{"groups": {"media,work"}}, 303)
	if carol = mustUser(ts, "carol"); !carol.Superuser || carol.Name != "Carol" || len(carol.Groups) != 2 || carol.Groups[1].Name != "work" {
		t.Errorf("got %+v", carol)
	}
	b := ts.signIn("carol")
	post(path+"/password", url.Values{"password": {"another horse"}}, 303)
	if res, _ := ts.get(b, "/sessions"); res.StatusCode != 303 {
		t.Errorf("carol, after her password was reset: got %d, want 303 to the sign-in", res.StatusCode)
	}
	post(path+"/disable", url.Values{}, 303)
	if res, _ := ts.post(nil, "/login", credentials("carol", "another horse")); res.StatusCode != 401 {
		t.Errorf("carol, disabled: got %d, want 401", res.StatusCode)
	}
	post(path+"/enable", url.Values{}, 303)
	post(path+"/delete", url.Values{}, 303)
	// Somebody has to stay in charge.
	for _, p := range []string{"/users/1/disable", "/users/1/delete"} {
		if body := post(p, url.Values{}, 400); !strings.Contains(body, "The only superuser") {
			t.Errorf("%s: nothing says why not", p)
		}
	}
	post("/users/1", url.Values{"name": {"Ada"}}, 400)
	if res, _ := ts.get(ada, "/users/1"); res.StatusCode != 200 {
		t.Errorf("ada's page: got %d", res.StatusCode)
	}
}

func TestTokenPages(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	bob := ts.signIn("bob")
	res, body := ts.post(bob, "/tokens", url.Values{"identifier": {"script"}, "expires": {"30d"}, "user": {"1"}})
	i := strings.Index(body, "lastseen_")
	if res.StatusCode != 200 || i < 0 {
		t.Fatalf("got %d %s", res.StatusCode, body)
	}
	key := body[i : i+len("lastseen_")+43]
	if status, body := ts.api(key, "GET", "/core/users/me/", nil); status != 200 || !strings.Contains(body, `"username":"bob"`) {
		t.Errorf("bob made a token for somebody else, or none: %d %s", status, body)
	}
	if _, body := ts.get(bob, "/tokens"); strings.Contains(body, key) || !strings.Contains(body, "script") {
		t.Error("the key is shown again, or the token is not")
	}
	if res, _ := ts.post(bob, "/tokens", url.Values{"identifier": {"script"}}); res.StatusCode != 400 {
		t.Errorf("the same identifier: got %d, want 400", res.StatusCode)
	}
	if res, _ := ts.post(bob, "/tokens", url.Values{"identifier": {"x"}, "expires": {"soon"}}); res.StatusCode != 400 {
		t.Errorf("a malformed lifetime: got %d, want 400", res.StatusCode)
	}
	ts.createUser("carol", false)
	if res, _ := ts.post(ts.signIn("carol"), "/tokens/script/delete", nil); res.StatusCode != 404 {
		t.Errorf("carol deletes bob's token: got %d, want 404", res.StatusCode)
	}
	if res, _ := ts.post(bob, "/tokens/script/delete", nil); res.StatusCode != 303 {
		t.Errorf("delete: got %d", res.StatusCode)
	}
	if status, _ := ts.api(key, "GET", "/core/users/me/", nil); status != 403 {
		t.Errorf("a deleted token: got %d, want 403", status)
	}
	// A superuser makes one for somebody else.
	if res, _ := ts.post(ts.signIn("ada"), "/tokens", url.Values{"identifier": {"bobs"}, "user": {"2"}}); res.StatusCode != 200 {
		t.Errorf("for bob: got %d", res.StatusCode)
	}
	if token, err := ts.app.Token(t.Context(), app.Operator, "bobs"); err != nil || token.User.Username != "bob" {
		t.Errorf("got %+v, %v", token, err)
	}
}

func TestEventsPage(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	bob := ts.signIn("bob")
	ts.post(nil, "/login", credentials("bob", "wrong"))
	ts.post(nil, "/login", credentials("ada", "wrong"))
	_, body := ts.get(bob, "/events")
	for _, want := range []string{"signed in", "sign-in refused", "Go-http-client 1"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q on bob's page", want)
		}
	}
	if strings.Contains(body, "ada") {
		t.Error("bob sees what happened to ada")
	}
	_, body = ts.get(ts.signIn("ada"), "/events?action=login_failed&search=ada")
	if strings.Contains(body, ">bob<") || !strings.Contains(body, "sign-in refused") {
		t.Errorf("filtered: %s", body)
	}
}

func TestDoctorPage(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ada := ts.signIn("ada")
	_, body := ts.get(ada, "/doctor", "X-Forwarded-For", "1.2.3.4")
	for _, want := range []string{filepath.Base(ts.store.Path()), "127.0.0.1", "--trusted-proxies", "Lastseen-Sample-City"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q on the page", want)
		}
	}
	trusting := newServer(t, "trusted-proxies=127.0.0.1")
	_, body = trusting.get(trusting.signIn("ada"), "/doctor", "X-Forwarded-For", "1.2.3.4", "X-Forwarded-Proto", "https")
	for _, want := range []string{"1.2.3.4: the last in X-Forwarded-For", "--public-url"} {
		if !strings.Contains(body, want) {
			t.Errorf("behind a proxy: no %q on the page", want)
		}
	}
}

// What is not well comes first, that there is no backup is not well, and all of it is in
// the reader's language.
func TestDoctorInGerman(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	_, body := ts.get(ts.signIn("ada"), "/doctor", "Accept-Language", "de")
	_, table, _ := strings.Cut(body, "<tbody>")
	table, _, _ = strings.Cut(table, "</tbody>")
	if warned, good := strings.LastIndex(table, "Verbesserbar"), strings.Index(table, ">Gut<"); warned < 0 || good < 0 || warned > good {
		t.Errorf("what is well stands above what is not: %s", table)
	}
	state, says := "Verbesserbar", "Von selbst wurde noch keine gemacht."
	if pgtest.Asked() {
		state, says = ">Gut<", "PostgreSQL wird mit eigenen Mitteln gesichert."
	}
	_, backups, _ := strings.Cut(table, "Sicherungen")
	if backups, _, _ = strings.Cut(backups, "</tr>"); !strings.Contains(backups, state) || !strings.Contains(backups, says) {
		t.Errorf("without a backup: %s", backups)
	}
	for _, english := range []string{" the ", " is ", " of ", " not "} {
		if strings.Contains(table, english) {
			t.Errorf("%q is English: %s", english, table)
		}
	}
}

func TestNoScriptNeeded(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	res, body := ts.get(ts.signIn("ada"), "/sessions?view=everybody")
	if csp := res.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy: %s", csp)
	}
	for _, not := range []string{"style=", "onclick=", "<script>", "http://", "https://"} {
		if strings.Contains(strings.ReplaceAll(body, ts.url, ""), not) {
			t.Errorf("%q is on the page", not)
		}
	}
	if res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control is %q", res.Header.Get("Cache-Control"))
	}
	if res.StatusCode != http.StatusOK {
		t.Errorf("got %d", res.StatusCode)
	}
}

func TestPagesArePacked(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	b := ts.signIn("ada")
	b.Transport = &http.Transport{DisableCompression: true}
	_, plain := ts.get(b, "/profile")
	res, packed := ts.get(b, "/profile", "Accept-Encoding", "gzip")
	if res.Header.Get("Content-Encoding") != "gzip" || len(packed) >= len(plain)/2 {
		t.Errorf("got %q, %d bytes of %d", res.Header.Get("Content-Encoding"), len(packed), len(plain))
	}
	r, err := gzip.NewReader(strings.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(r); err != nil || len(text) != len(plain) {
		t.Errorf("unpacked: %d bytes, %v, want %d", len(text), err, len(plain))
	}
}
