package web

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// A refusal says who is refused what, and a page that is not there keeps the navigation.
func TestRefusalsHelp(t *testing.T) {
	t.Parallel()
	ts := guarded(t)
	ts.createUser("eve", true)
	ts.allow("admin.home.example", "admins")
	bob := ts.signIn("bob")
	for _, tt := range []struct {
		path string
		want []string
	}{
		{"/nothing", []string{"There is no such page", "/nothing", `href="/events"`, "<summary><bdi>bob</bdi>"}},
		{"/users", []string{"You may not do this", "/users", "<dd><bdi>bob</bdi></dd>", "Only superusers may"}},
	} {
		_, body := ts.get(bob, tt.path)
		for _, want := range tt.want {
			if !strings.Contains(body, want) {
				t.Errorf("%s lacks %q", tt.path, want)
			}
		}
	}
	if _, body := ts.get(nil, "/nothing"); strings.Contains(body, `href="/events"`) {
		t.Error("a stranger has a navigation")
	}
	for _, tt := range []struct{ name, back string }{{"bob", `href="/sessions"`}, {"eve", `href="/rules"`}} {
		_, token := ts.session(tt.name, "81.2.69.142", firefox)
		for _, g := range gates {
			res := ts.asks(g, "admin.home.example", "/", "Cookie", cookie(token))
			if res.StatusCode != 403 {
				t.Errorf("%s, %s: got %d", g.name, tt.name, res.StatusCode)
			}
		}
		_, body := ts.get(nil, gatePrefix+"/denied", "Host", "admin.home.example", "Cookie", cookie(token))
		for _, want := range []string{"You may not open this app", "<dd>admin.home.example</dd>", "<dd><bdi>" + tt.name + "</bdi></dd>", tt.back} {
			if !strings.Contains(body, want) {
				t.Errorf("what %s is told lacks %q", tt.name, want)
			}
		}
	}
}

// The field to be mended has the focus, and is described by what is wrong.
func TestInvalidFields(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ada := ts.signIn("ada")
	bob := mustUser(ts, "bob").ID
	for _, tt := range []struct {
		path, id string
		form     url.Values
	}{
		{"/login", "password", url.Values{"username": {"bob"}, "password": {"wrong"}}},
		{"/users", "username", url.Values{"username": {"BOB"}, "password": {password}}},
		{"/users", "password", url.Values{"username": {"otto"}, "password": {"short"}}},
		{"/users", "groups", url.Values{"username": {"otto"}, "password": {password}, "groups": {"a|b"}}},
		{fmt.Sprintf("/users/%d", bob), "email", url.Values{"email": {"nobody"}}},
		{fmt.Sprintf("/users/%d/groups", bob), "groups", url.Values{"groups": {"a|b"}}},
		{fmt.Sprintf("/users/%d/password", bob), "password", url.Values{"password": {"short"}}},
		{"/profile", "name", url.Values{"name": {strings.Repeat("x", 200)}}},
		{"/profile/password", "current_password", url.Values{"current_password": {"wrong"}, "new_password": {password}}},
		{"/profile/password", "new_password", url.Values{"current_password": {password}, "new_password": {"short"}}},
		{"/tokens", "identifier", url.Values{"identifier": {"a b"}}},
		{"/tokens", "hosts", url.Values{"identifier": {"x"}, "scope": {"gate:"}, "hosts": {"::"}}},
		{"/rules", "allow-host", url.Values{"kind": {"allow"}, "host": {"a:1"}, "groups": {"family"}}},
		{"/rules", "open-path", url.Values{"kind": {"open"}, "host": {"a.home.example"}, "path": {"x"}}},
	} {
		client := ada
		if tt.path == "/login" {
			client = nil
		}
		_, body := ts.post(client, tt.path, tt.form)
		_, field, _ := strings.Cut(body, ` id="`+tt.id+`"`)
		field, _, _ = strings.Cut(field, ">")
		if strings.Count(body, " autofocus") != 1 || !strings.Contains(field, " autofocus") || !strings.Contains(field, `aria-invalid="true"`) ||
			!strings.Contains(field, `aria-describedby="problem`) || strings.Count(field, "aria-describedby") != 1 || !strings.Contains(body, `id="problem"`) {
			t.Errorf("%s %v: the field %s is not marked, or another one too: %s", tt.path, tt.form, tt.id, field)
		}
	}
}
