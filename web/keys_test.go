package web

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"lastseen/app"
	"lastseen/db"
)

// scoped makes an API key with a scope.
func (ts *testServer) scoped(name, identifier, scope string) string {
	ts.t.Helper()
	key, _, err := ts.app.CreateToken(context.Background(), app.Operator.Actor(), app.NewToken{User: mustUser(ts, name), Identifier: identifier, Scope: scope})
	if err != nil {
		ts.t.Fatal(err)
	}
	return key
}

// TestScopes: what a key is good for, at each door.
func TestScopes(t *testing.T) {
	t.Parallel()
	ts := guarded(t)
	sess, _ := ts.session("bob", "192.0.2.1", firefox)
	one := "/api/v3/core/authenticated_sessions/" + sess.UUID.String() + "/"
	for _, tt := range []struct {
		scope                      string
		reads, ends, grafana, wiki bool
	}{
		{"", true, true, true, true},
		{"all", true, true, true, true},
		{"read", true, false, false, false},
		{"gate", false, false, true, true},
		{"GATE", false, false, true, true},
		{"gate:grafana.home.example", false, false, true, false},
		{"gate:Grafana.Home.Example.,x.home.example", false, false, true, false},
		{"gate:*.home.example", false, false, true, true},
		{"gate:*.grafana.home.example", false, false, false, false},
		{"gate:rafana.home.example", false, false, false, false},
	} {
		key := ts.scoped("bob", "", tt.scope)
		authorization := "Bearer " + key
		for _, path := range []string{one, "/api/v3/core/users/me/", "/api/v3/events/events/"} {
			res, body := ts.get(nil, path, "Authorization", authorization)
			if got := res.StatusCode == 200; got != tt.reads || !got && (res.StatusCode != 403 || !strings.Contains(body, "scope")) {
				t.Errorf("%q: reading %s: got %d %s", tt.scope, path, res.StatusCode, body)
			}
		}
		res, _ := ts.do(nil, "DELETE", "/api/v3/core/authenticated_sessions/00000000-0000-4000-8000-000000000000/", nil, "Authorization", authorization)
		if got := res.StatusCode == 404; got != tt.ends {
			t.Errorf("%q: ending: got %d", tt.scope, res.StatusCode)
		}
		for host, want := range map[string]bool{app1: tt.grafana, "wiki.home.example": tt.wiki} {
			for _, g := range gates {
				for _, header := range [][]string{{"Authorization", authorization}, {"X-Lastseen-Token", key}} {
					if res := ts.asks(g, host, "/", header...); (res.StatusCode == 200) != want {
						t.Errorf("%q: %s by %s: got %d", tt.scope, host, g.name, res.StatusCode)
					}
				}
			}
		}
	}
	for _, scope := range []string{"write", "gate:", "gate:a b", "gate:https://x", "gate:x,", "gate:*", "all,read", "gate:a/b", "read:x"} {
		if _, _, err := ts.app.CreateToken(t.Context(), app.Operator.Actor(), app.NewToken{User: mustUser(ts, "bob"), Scope: scope}); err == nil {
			t.Errorf("%q is taken for a scope", scope)
		}
	}
}

// TestKeysOfOthers: whether somebody else has a key of a name is nobody's to see.
func TestKeysOfOthers(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ts.scoped("ada", "backup", "")
	bob := ts.signIn("bob")
	for i, want := range []int{200, 400} { // theirs, and then a second of theirs
		res, body := ts.post(bob, "/tokens", url.Values{"identifier": {"backup"}, "scope": {"gate:"}, "hosts": {"files.home.example"}})
		if res.StatusCode != want {
			t.Fatalf("round %d: got %d %s", i, res.StatusCode, body)
		}
	}
	token, err := ts.app.Token(t.Context(), app.Caller{User: ptr(mustUser(ts, "bob"))}, "backup")
	if err != nil || token.User.Username != "bob" || token.Scope != "gate:files.home.example" {
		t.Errorf("bob's: %+v, %v", token, err)
	}
	if token, err := ts.app.Token(t.Context(), app.Caller{User: ptr(mustUser(ts, "ada"))}, "backup"); err != nil || token.User.Username != "ada" {
		t.Errorf("ada's: %+v, %v", token, err)
	}
	ada := ts.signIn("ada")
	if res, _ := ts.post(ada, "/tokens/backup/delete", url.Values{"user": {strconv.FormatInt(mustUser(ts, "bob").ID, 10)}}); res.StatusCode != 303 {
		t.Errorf("deleting bob's: got %d", res.StatusCode)
	}
	tokens, _, _ := ts.app.Tokens(t.Context(), app.Operator, db.TokenFilter{Limit: 10})
	if len(tokens) != 1 || tokens[0].User.Username != "ada" {
		t.Errorf("left: %+v", tokens)
	}
}

func ptr[T any](v T) *T { return &v }

// TestKeysLastUse is shown to the minute, and never goes back.
func TestKeysLastUse(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	key := ts.scoped("bob", "script", "")
	last := func() time.Time {
		t.Helper()
		token, err := ts.app.Token(t.Context(), app.Operator, "script")
		if err != nil {
			t.Fatal(err)
		}
		return token.LastUsed
	}
	if at := last(); !at.IsZero() {
		t.Errorf("before its first use: %v", at)
	}
	ts.get(nil, "/api/v3/core/users/me/", "Authorization", "Bearer "+key)
	if at := last(); !at.Equal(now) {
		t.Errorf("after its first use: %v", at)
	}
	ts.advance(10 * time.Second)
	ts.get(nil, "/api/v3/core/users/me/", "Authorization", "Bearer "+key)
	if at := last(); !at.Equal(now) {
		t.Errorf("within the minute: %v", at)
	}
	ts.advance(time.Hour)
	ts.get(nil, "/api/v3/core/users/me/", "Authorization", "Bearer "+key)
	if at := last(); !at.Equal(now.Add(time.Hour + 10*time.Second)) {
		t.Errorf("an hour later: %v", at)
	}
	if _, body := ts.get(ts.signIn("bob"), "/tokens"); !strings.Contains(body, "Last used") {
		t.Error("the page does not say it")
	}
}

// TestKeysOutliveAPassword with a word, and go where that is asked for.
func TestKeysOutliveAPassword(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	key := ts.scoped("bob", "one", "")
	ts.scoped("bob", "two", "")
	works := func() bool {
		res, _ := ts.get(nil, "/api/v3/core/users/me/", "Authorization", "Bearer "+key)
		return res.StatusCode == 200
	}
	bob := ts.signIn("bob")
	change := func(more ...string) string {
		t.Helper()
		form := url.Values{"current_password": {password}, "new_password": {password}}
		for _, name := range more {
			form.Set(name, "1")
		}
		if res, body := ts.post(bob, "/profile/password", form); res.StatusCode != 303 {
			t.Fatalf("got %d %s", res.StatusCode, body)
		}
		_, body := ts.get(bob, "/profile")
		return body
	}
	if body := change(); !strings.Contains(body, "API tokens that go on working: 2.") || !works() {
		t.Errorf("they remain: %s", body)
	}
	if body := change("delete_tokens"); !strings.Contains(body, "API tokens deleted: 2.") || works() {
		t.Errorf("they are deleted: %s", body)
	}
	if body := change(); strings.Contains(body, "API tokens that") {
		t.Errorf("there are none: %s", body)
	}
}

// TestChallenge: clients that wait to be asked for a key are asked, where a rule says so.
func TestChallenge(t *testing.T) {
	t.Parallel()
	ts := guarded(t)
	key := ts.scoped("bob", "git", "gate")
	for _, r := range [][2]string{{"git.home.example", ""}, {"files.home.example", "/dav/*"}, {"*.dav.home.example", ""}} {
		if _, err := ts.app.Challenge(t.Context(), app.Operator.Actor(), r[0], r[1]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ts.app.Challenge(t.Context(), app.Operator.Actor(), "git.home.example", ""); err == nil {
		t.Error("the same rule twice")
	}
	for _, tt := range []struct {
		host, path string
		asked      bool
	}{
		{"git.home.example", "/repo.git/info/refs?service=git-upload-pack", true},
		{"files.home.example", "/dav/x", true},
		{"files.home.example", "/", false},
		{"a.dav.home.example", "/x", true},
		{"dav.home.example", "/x", false},
		{app1, "/", false},
	} {
		check := func(name string, res *http.Response, browser bool) {
			t.Helper()
			want := tt.asked && !browser
			if got := strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Basic "); got != want || want && res.StatusCode != 401 {
				t.Errorf("%s%s by %s, browser %v: got %d %v", tt.host, tt.path, name, browser, res.StatusCode, res.Header)
			}
		}
		for _, g := range gates {
			check(g.name, ts.asks(g, tt.host, tt.path, "User-Agent", "git/2.39"), false)
			check(g.name, ts.asks(g, tt.host, tt.path, "Sec-Fetch-Mode", "navigate"), true)
			check(g.name, ts.asks(g, tt.host, tt.path, "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors"), true)
			wrong, _ := http.NewRequest("GET", "/", nil)
			wrong.SetBasicAuth("bob", "wrong")
			check(g.name, ts.asks(g, tt.host, tt.path, "Authorization", wrong.Header.Get("Authorization")), false)
			right, _ := http.NewRequest("GET", "/", nil)
			right.SetBasicAuth("bob", key)
			if res := ts.asks(g, tt.host, tt.path, "Authorization", right.Header.Get("Authorization")); res.StatusCode != 200 {
				t.Errorf("%s by %s with the key: got %d", tt.host, g.name, res.StatusCode)
			}
		}
		res, _ := ts.get(nil, "/outpost.goauthentik.io/start?rd=https://"+tt.host+tt.path, "Host", tt.host)
		check("start", res, false)
		res, _ = ts.get(nil, "/outpost.goauthentik.io/start?rd=https://"+tt.host+tt.path, "Host", tt.host, "Sec-Fetch-Mode", "navigate")
		check("start", res, true)
	}
}

// TestOpenForMethods: a path may be open for preflights alone; where the proxy does not
// say the method, it is not.
func TestOpenForMethods(t *testing.T) {
	t.Parallel()
	ts := guarded(t)
	if _, err := ts.app.OpenPath(t.Context(), app.Operator.Actor(), app1, "/api/*", "options", "HEAD"); err != nil {
		t.Fatal(err)
	}
	for method, want := range map[string]bool{"OPTIONS": true, "HEAD": true, "GET": false, "POST": false, "options": false, "": false} {
		for _, g := range gates {
			path, header := g.ask("https", app1, "/api/x")
			sent := "GET"
			if g.name == "envoy" {
				if method == "" || method == "options" {
					continue
				}
				sent = method
			} else if method != "" {
				header = append(header, map[bool]string{true: "X-Original-Method", false: "X-Forwarded-Method"}[g.isNginx()], method)
			}
			if res, _ := ts.do(nil, sent, path, nil, header...); (res.StatusCode == 200) != want {
				t.Errorf("%q by %s: got %d", method, g.name, res.StatusCode)
			}
			// What another proxy would say of it is the client's word here.
			forged := []string{"X-Forwarded-Method", "OPTIONS"}
			if !g.isNginx() && g.name != "envoy" {
				forged[0] = "X-Original-Method"
			}
			if res, _ := ts.do(nil, sent, path, nil, append(header, forged...)...); (res.StatusCode == 200) != want {
				t.Errorf("%q by %s, with a forged %s: got %d", method, g.name, forged[0], res.StatusCode)
			}
		}
	}
	for _, method := range []string{"", "GET POST", "GÉT", "a/b"} {
		if _, err := ts.app.OpenPath(t.Context(), app.Operator.Actor(), app1, "/x", method); err == nil {
			t.Errorf("%q is taken for a method", method)
		}
	}
}

// tinyauth#123, #555: a password opens nothing by HTTP Basic, with or without a second
// factor behind it, neither an app nor the API.
func TestNoPasswordByBasic(t *testing.T) {
	t.Parallel()
	ts := guarded(t)
	ts.withCodes("bob")
	for _, name := range []string{"ada", "bob"} {
		basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
		for _, g := range gates {
			res := ts.asks(g, app1, "/", "Authorization", basic)
			if res.StatusCode == 200 || res.Header.Get("X-Authentik-Username") != "" {
				t.Errorf("%s by %s: got %d", name, g.name, res.StatusCode)
			}
		}
		if res, body := ts.get(nil, "/api/v3/core/users/me/", "Authorization", basic); res.StatusCode != 403 {
			t.Errorf("%s by the API: got %d %s", name, res.StatusCode, body)
		}
	}
}
