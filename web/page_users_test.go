package web

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"lastseen/app"
)

// The list of users finds, sorts, and says who is locked and when somebody was there.
func TestUsersPage(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ts.createUser("otto", false)
	_, token := ts.session("bob", "81.2.69.142", firefox)
	ts.advance(2 * time.Hour)
	ts.get(nil, "/api/v3/core/users/me/", "Cookie", cookie(token))
	ts.advance(time.Hour)
	for range 10 {
		_, _, err := ts.app.SignIn(t.Context(), app.Credentials{Username: "OTTO", Password: "wrong"}, app.Client{IP: netip.MustParseAddr("203.0.113.7")}, nil)
		if err != app.ErrBadCredentials {
			t.Fatal(err)
		}
	}
	ts.advance(5 * time.Minute)
	ada := ts.signIn("ada")

	names := regexp.MustCompile(`<a class="name" href="/users/\d+"><bdi>(\w+)</bdi>`)
	for query, want := range map[string]string{
		"":                         "ada bob otto",
		"?sort=-username":          "otto bob ada",
		"?sort=-last_seen":         "ada bob otto",
		"?sort=last_login":         "otto bob ada",
		"?sort=-sessions&search=o": "bob otto",
		"?sort=password_hash":      "ada bob otto",
		"?search=OTT":              "otto",
		"?search=nobody":           "",
		"?search=%25":              "",
	} {
		_, body := ts.get(ada, "/users"+query)
		var found []string
		for _, m := range names.FindAllStringSubmatch(body, -1) {
			found = append(found, m[1])
		}
		if got := strings.Join(found, " "); got != want {
			t.Errorf("%q: got %q, want %q", query, got, want)
		}
	}

	_, body := ts.get(ada, "/users")
	cell := func(name, label string) string {
		_, row, _ := strings.Cut(body, "<bdi>"+name+"</bdi>")
		_, row, _ = strings.Cut(row, `data-label="`+label+`">`)
		row, _, _ = strings.Cut(row, "</td>")
		return regexp.MustCompile(`<[^>]*>`).ReplaceAllString(row, "")
	}
	for _, tt := range [][3]string{
		{"bob", "Last sign-in", "3 hours ago"}, {"bob", "Last seen", "1 hour ago"}, {"bob", "Sessions", "1"},
		{"otto", "Last sign-in", "never"}, {"otto", "Last seen", "never"}, {"otto", "Sessions", "0"},
	} {
		if got := cell(tt[0], tt[1]); got != tt[2] {
			t.Errorf("%s, %s: got %q, want %q", tt[0], tt[1], got, tt[2])
		}
	}
	if n := strings.Count(body, "free again"); n != 1 || !strings.Contains(body, "in 10 minutes") {
		t.Errorf("%d are locked, or until another time", n)
	}
	if add, list := strings.Index(body, "Add a user"), strings.Index(body, "<table"); add > list {
		t.Error("one adds a user below the list")
	}
	ts.post(ada, fmt.Sprintf("/users/%d/unlock", mustUser(ts, "otto").ID), nil)
	if _, body := ts.get(ada, "/users"); strings.Contains(body, "free again") {
		t.Error("otto is locked still")
	}
}
