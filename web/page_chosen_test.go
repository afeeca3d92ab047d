package web

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"lastseen/app"
	"lastseen/db"

	"github.com/google/uuid"
)

// living is how many sessions of a user there are.
func (ts *testServer) living(name string) int {
	ts.t.Helper()
	id := mustUser(ts, name).ID
	_, total, err := ts.app.Sessions(ts.t.Context(), app.Operator, db.SessionFilter{User: &id})
	if err != nil {
		ts.t.Fatal(err)
	}
	return total
}

// The way back leads to one of our own lists, and nowhere else.
func TestCameFrom(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ from, want string }{
		{"/sessions", "/sessions"},
		{"/sessions?view=everybody&user=bob&page=2", "/sessions?page=2&user=bob&view=everybody"},
		{"/events?action=login", "/events?action=login"},
		{"/sessions?search=%0d%0aSet-Cookie:x", "/sessions?search=%0D%0ASet-Cookie%3Ax"},
		{"/sessions?a=b#//evil.example", "/sessions?a=b"},
		{"", ""},
		{"//evil.example/sessions", ""},
		{"https://evil.example/sessions", ""},
		{"javascript:/sessions", ""},
		{"https:/sessions", ""},
		{`/\evil.example/sessions`, ""},
		{"///sessions", ""},
		{"/sessions/../logout", ""},
		{"/sessions%2f..%2flogout", ""},
		{"/logout", ""},
		{"sessions", ""},
		{"/sessions\x00", ""},
		{"/sessions?search=" + strings.Repeat("x", maxFrom), ""},
	} {
		if got := cameFrom(tt.from); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.from, got, tt.want)
		}
	}
}

// TestRevokeChosen signs out what a form names, as far as the caller may see it.
func TestRevokeChosen(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ada, bob := ts.signIn("ada"), ts.signIn("bob")
	ts.createUser("carol", false)
	bobs, adas, carols := manySessions(t, ts, "bob", 3), manySessions(t, ts, "ada", 2), manySessions(t, ts, "carol", 2)
	named := func(ids ...uuid.UUID) url.Values {
		form := url.Values{"session": {"17", ""}, "from": {"/sessions?view=everybody&kind=phone"}}
		for _, id := range ids {
			form["session"] = append(form["session"], id.String())
		}
		return form
	}
	const path = "/sessions/revoke-chosen"

	// What one may not see is neither shown nor ended.
	if _, body := ts.get(bob, path+"?"+named(bobs[0], adas[0]).Encode()); !strings.Contains(body, "Sign out 1 session of") || strings.Contains(body, `name="session" value="`+adas[0].String()) {
		t.Errorf("bob is asked: %s", body)
	}
	ts.post(bob, path, named(bobs[0], adas[0], bobs[0]))
	if ts.living("bob") != 3 || ts.living("ada") != 3 {
		t.Errorf("bob has %d sessions, ada %d, want 3 and 3", ts.living("bob"), ts.living("ada"))
	}

	// Those of several people at once; what has ended meanwhile is passed over.
	chosen := named(bobs[0], bobs[1], carols[0], carols[1])
	if _, body := ts.get(ada, path+"?"+chosen.Encode()); !strings.Contains(body, "Sign out 3 sessions of 2 people?") {
		t.Errorf("ada is asked: %s", body)
	}
	res, _ := ts.post(ada, path, chosen)
	if got := res.Header.Get("Location"); res.StatusCode != 303 || got != "/sessions?kind=phone&view=everybody" {
		t.Errorf("got %d to %q", res.StatusCode, got)
	}
	if _, body := ts.get(ada, "/sessions"); !strings.Contains(body, "Signed out 3 sessions.") {
		t.Error("nothing says what happened")
	}
	if ts.living("bob") != 2 || ts.living("carol") != 0 {
		t.Errorf("bob has %d sessions, carol %d, want 2 and 0", ts.living("bob"), ts.living("carol"))
	}
	events, total, err := ts.store.Events(t.Context(), db.EventFilter{Actions: []db.Action{db.ModelDeleted}, Limit: 10})
	if err != nil || total != 4 || events[0].Actor != "ada" {
		t.Errorf("%d events, %v: %+v", total, err, events)
	}
	if _, body := ts.get(ada, "/sessions/"+carols[0].String()); !strings.Contains(body, "signed out by an administrator") {
		t.Error("its page does not say who ended it")
	}

	// One's own session goes on, and the page says so.
	var own string
	_, body := ts.get(ada, "/sessions")
	if m := regexp.MustCompile(`href="/sessions/([0-9a-f-]{36})"`).FindStringSubmatch(body); m != nil {
		own = m[1] // this device comes first
	}
	here := uuid.MustParse(own)
	if _, body := ts.get(ada, path+"?"+named(here, adas[0]).Encode()); !strings.Contains(body, "Sign out 1 session of") || !strings.Contains(body, "This device stays signed in.") {
		t.Errorf("ada is asked: %s", body)
	}
	if _, body := ts.get(ada, path+"?"+named(here).Encode()); !strings.Contains(body, "There is nothing to sign out") {
		t.Errorf("ada is asked: %s", body)
	}
	ts.post(ada, path, named(here, adas[0]))
	if res, _ := ts.get(ada, "/sessions"); res.StatusCode != 200 || ts.living("ada") != 2 {
		t.Errorf("got %d, ada has %d sessions, want 2", res.StatusCode, ts.living("ada"))
	}
	ts.post(ada, path, named(adas[0]))
	if _, body := ts.get(ada, "/sessions"); !strings.Contains(body, "None of them was signed in any more.") {
		t.Error("nothing says that nothing happened")
	}
}

// What is too much, comes from elsewhere or is no form is refused, and ends nothing.
func TestRevokeChosenRefusals(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ada, bob := ts.signIn("ada"), ts.signIn("bob")
	id := manySessions(t, ts, "bob", 1)[0].String()
	many := func(n int) url.Values {
		form := url.Values{"session": {id}}
		for i := range n {
			form.Add("session", uuid.NewSHA1(uuid.Nil, fmt.Append(nil, i)).String())
		}
		return form
	}
	const path = "/sessions/revoke-chosen"
	for _, tt := range []struct {
		name   string
		form   url.Values
		header []string
		want   int
	}{
		{"too many", many(app.MaxChosen), nil, 413},
		{"a large body", many(2000), nil, 413},
		{"another site", many(0), []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"an app beside us", many(0), []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"another type", many(0), []string{"Content-Type", "text/plain"}, 415},
	} {
		body := strings.NewReader(tt.form.Encode())
		header := tt.header
		if !strings.Contains(strings.Join(header, " "), "Content-Type") {
			header = append(header, "Content-Type", "application/x-www-form-urlencoded")
		}
		if res, _ := ts.do(ada, "POST", path, body, header...); res.StatusCode != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, res.StatusCode, tt.want)
		}
	}
	if res, _ := ts.get(ada, path+"?"+many(app.MaxChosen).Encode()); res.StatusCode != 413 {
		t.Errorf("asked about too many: got %d, want 413", res.StatusCode)
	}
	if res, _ := ts.get(bob, path+"?view=everybody&user=bob"); res.StatusCode != 403 {
		t.Errorf("a filter of bob's: got %d, want 403", res.StatusCode)
	}
	if res, _ := ts.post(nil, path, many(0)); res.StatusCode != 303 || ts.living("bob") != 2 {
		t.Errorf("nobody: got %d, bob has %d sessions, want 2", res.StatusCode, ts.living("bob"))
	}
}

// All of a person, of a heading, or of what a filter shows: those of all pages.
func TestRevokeWhatIsShown(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ada := ts.signIn("ada")
	ts.createUser("carol", false)
	manySessions(t, ts, "bob", 40)
	manySessions(t, ts, "carol", 5)
	links := func(body string) []string {
		var all []string
		for _, m := range regexp.MustCompile(`href="(/sessions/revoke-chosen\?[^"]*)"`).FindAllStringSubmatch(body, -1) {
			all = append(all, strings.ReplaceAll(m[1], "&amp;", "&"))
		}
		return all
	}
	for _, tt := range []struct {
		query string
		want  []string // what the pages behind the links ask, in their order
	}{
		{"", nil},
		{"&state=ended", nil},
		{"&user=bob", []string{"Sign out 40 sessions of bob?"}},
		{"&country=SE", []string{"Sign out 9 sessions of 2 people?"}},
		{"&group=user&page=2", []string{"Sign out 40 sessions of bob?", "Sign out 5 sessions of carol?"}},
		{"&group=user&kind=phone", []string{"Sign out 15 sessions of 2 people?", "Sign out 13 sessions of bob?", "Sign out 2 sessions of carol?"}},
		{"&group=device&user=carol", []string{"Sign out 5 sessions of carol?", "Sign out 2 sessions of carol?", "Sign out 2 sessions of carol?", "Sign out 1 session of carol?"}},
	} {
		_, body := ts.get(ada, "/sessions?view=everybody"+tt.query)
		found := links(body)
		if len(found) != len(tt.want) {
			t.Errorf("%q: links %q, want %d", tt.query, found, len(tt.want))
			continue
		}
		for i, link := range found {
			_, body := ts.get(ada, link)
			h1 := regexp.MustCompile(`<h1>(.*)</h1>`).FindStringSubmatch(body)
			if want := tt.want[i]; h1 == nil || h1[1] != want {
				t.Errorf("%q, %s: asks %q, want %q", tt.query, link, h1, want)
			}
		}
	}

	// And they end, from the page that asks.
	_, body := ts.get(ada, "/sessions/revoke-chosen?view=everybody&user=bob&kind=phone&from=/sessions?view%3Deverybody%26user%3Dbob%26page%3D2")
	form := url.Values{}
	for _, m := range regexp.MustCompile(`name="(session|from)" value="([^"]*)"`).FindAllStringSubmatch(body, -1) {
		form.Add(m[1], strings.ReplaceAll(m[2], "&amp;", "&"))
	}
	res, _ := ts.post(ada, "/sessions/revoke-chosen", form)
	if got := res.Header.Get("Location"); ts.living("bob") != 27 || got != "/sessions?page=2&user=bob&view=everybody" {
		t.Errorf("bob has %d sessions, want 27; led to %q", ts.living("bob"), got)
	}
	// The page that is led back to may be gone: then the last one is shown.
	if _, body := ts.get(ada, "/sessions?view=everybody&user=bob&page=9"); !strings.Contains(body, "26 to 27 of 27") || strings.Count(body, `name="session"`) != 2 {
		t.Errorf("past the end: %s", body)
	}
}

// The filter stays after one is signed out, and its page leads back to the list.
func TestWayBack(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ada := ts.signIn("ada")
	ids := manySessions(t, ts, "bob", 2)
	const list = "/sessions?group=user&kind=phone&view=everybody"
	_, body := ts.get(ada, "/sessions?view=everybody&kind=phone&group=user")
	link := regexp.MustCompile(`href="(/sessions/` + ids[1].String() + `[^"]*)"`).FindStringSubmatch(body)
	if link == nil {
		t.Fatal(body)
	}
	crumb := `<a href="` + strings.ReplaceAll(list, "&", "&amp;") + `">Everybody’s sessions</a>`
	if _, body := ts.get(ada, link[1]); !strings.Contains(body, crumb) {
		t.Errorf("no way back %s on %s", crumb, link[1])
	}
	if _, body := ts.get(ada, "/sessions/"+ids[1].String()+"?from=//evil.example/sessions"); strings.Contains(body, `href="//evil`) {
		t.Error("the page leads elsewhere")
	}
	if res, _ := ts.post(ada, "/sessions/"+ids[1].String()+"/revoke", url.Values{"from": {list}}); res.Header.Get("Location") != list {
		t.Errorf("led to %q, want %q", res.Header.Get("Location"), list)
	}
	if res, _ := ts.post(ada, "/sessions/"+ids[0].String()+"/revoke", url.Values{"from": {"https://evil.example/sessions"}}); res.Header.Get("Location") != "/sessions?view=everybody" {
		t.Errorf("led to %q", res.Header.Get("Location"))
	}
}

// The chart shows the sign-ins of the people, countries and networks that the list does,
// says where it does not follow, and is not there when there is nothing to see.
func TestChartFollows(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	_, token := ts.session("ada", "192.168.1.20", firefox)
	ts.createUser("carol", false)
	manySessions(t, ts, "bob", 10) // of which two each are from a place
	manySessions(t, ts, "carol", 5)
	for _, tt := range []struct{ query, want, not string }{
		{"", "16 succeeded", "told apart"},
		{"&user=bob", "10 succeeded", "told apart"},
		{"&user=bob&kind=phone", "10 succeeded", ""},
		{"&country=SE", "3 succeeded", "told apart"},
		{"&user=bob&country=SE", "2 succeeded", ""},
		{"&network=AS20712", "3 succeeded", "told apart"},
		{"&search=curl", "told apart", ""},
		{"&user=carol&country=SE", "1 sessions", `id="signins"`},
		{"&user=nobody", "No session matches.", `id="signins"`},
	} {
		_, body := ts.get(nil, "/sessions?view=everybody"+tt.query, "Cookie", sessionCookie+"="+token)
		want := strings.Replace(tt.want, "1 sessions", "1 session<", 1)
		if !strings.Contains(body, want) || tt.not != "" && strings.Contains(body, tt.not) {
			t.Errorf("%q: has %q: %t, has %q: %t", tt.query, want, strings.Contains(body, want), tt.not, strings.Contains(body, tt.not))
		}
	}
}
