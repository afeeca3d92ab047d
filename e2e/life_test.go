package e2e

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
)

// What strangers send as a user agent or a name steers no terminal, and comes out
// of --json as it went in.
func TestStrangeTextInCommands(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	for _, user := range []struct {
		args   []string
		status int
	}{{[]string{"ada", "--superuser"}, 0}, {[]string{"bob", "--name", "Bob \u202egnp.exe", "--group", "a\u2066b"}, 2}} {
		_, errs, status := execute(t, data, "correct horse\n", append([]string{"user", "create", "--password-file", "-"}, user.args...)...)
		if status != user.status || strings.ContainsAny(errs, "\u202e\u2066") {
			t.Fatalf("%v: status %d: %q", user.args, status, errs)
		}
	}
	p := start(t, data)
	agent := "Mozilla \u009b2J\u202e\u200f\u061c\u0085 \xff\xfe\t end"
	req, err := http.NewRequest("POST", p.url+"/login", strings.NewReader(url.Values{"username": {"ada"}, "password": {"correct horse"}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("User-Agent", agent)
	res, err := browser(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	var sessions []struct {
		UUID       string
		User_agent struct{ String string }
	}
	out, _, _ := execute(t, data, "", "session", "list", "--json")
	if err := json.Unmarshal([]byte(out), &sessions); err != nil || len(sessions) != 1 {
		t.Fatalf("session list: %v in %s, after %d", err, out, res.StatusCode)
	}
	if got, want := sessions[0].User_agent.String, strings.ToValidUTF8(agent, "\uFFFD"); got != want {
		t.Errorf("--json: got %q, want %q", got, want)
	}
	p.signIn(browser(t), "x\u009b2J\u202e\x1b[2J", "wrong")
	for _, args := range [][]string{
		{"session", "list"}, {"session", "list", "--json"}, {"session", "show", sessions[0].UUID}, {"user", "list"}, {"user", "list", "--json"},
		{"user", "unlock", "x\x1b[2J\u009b\u202e"}, {"rule", "list"}, {"doctor"}, {"session", "show", "\x1b[2J\u009b"}, {"\x1b[2J\u009b"},
	} {
		out, errs, _ := execute(t, data, "", args...)
		if i := strings.IndexFunc(out+errs, func(r rune) bool {
			return r != '\n' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
		}); i >= 0 {
			t.Errorf("%q: prints %q", args, (out + errs)[i:min(i+20, len(out+errs))])
		}
	}
}

// A command beside the server unlocks an account.
func TestUnlockCommand(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	if _, errs, status := execute(t, data, "correct horse\n", "user", "create", "ada", "--password-file", "-"); status != 0 {
		t.Fatal(errs)
	}
	p := start(t, data)
	for range 10 {
		p.signIn(browser(t), "ada", "wrong")
	}
	if got := p.signIn(browser(t), "ada", "correct horse"); got != 429 {
		t.Fatalf("after ten wrong passwords: got %d, want 429", got)
	}
	if _, errs, status := execute(t, data, "", "user", "unlock", "ADA"); status != 0 {
		t.Fatal(errs)
	}
	if got := p.signIn(browser(t), "ada", "correct horse"); got != 303 {
		t.Errorf("unlocked: got %d, want 303", got)
	}

	// Nor is it enough that the wrong passwords from where ada signs in were others'.
	for i := range 50 {
		p.signIn(browser(t), fmt.Sprint("nobody", i), "wrong")
	}
	if got := p.signIn(browser(t), "ada", "correct horse"); got != 429 {
		t.Fatalf("after fifty wrong passwords of others: got %d, want 429", got)
	}
	if _, errs, status := execute(t, data, "", "user", "unlock", "ada"); status != 0 {
		t.Fatal(errs)
	}
	if got := p.signIn(browser(t), "ada", "correct horse"); got != 303 {
		t.Errorf("unlocked again: got %d, want 303", got)
	}
}

// What the first issue of this project promised, from the outside.
func TestLife(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	p := start(t, data)
	link := regexp.MustCompile(`/setup\?token=(\S+)`).FindStringSubmatch(p.log())
	if link == nil {
		t.Fatal("no setup link in", p.log())
	}
	first := browser(t)
	res, err := first.PostForm(p.url+"/setup", url.Values{"token": {link[1]}, "username": {"ada"}, "password": {"correct horse"}})
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 303 {
		t.Fatalf("setup: got %d", res.StatusCode)
	}
	second := browser(t)
	if got := p.signIn(second, "ada", "correct horse"); got != 303 {
		t.Fatalf("sign in: got %d", got)
	}

	// Commands work beside the server, and it sees what they did.
	out, errs, status := execute(t, data, "", "session", "list", "--json")
	var sessions []struct{ UUID, User_agent any }
	if err := json.Unmarshal([]byte(out), &sessions); err != nil || len(sessions) != 2 || status != 0 {
		t.Fatalf("session list: %d %s %s %v", status, out, errs, err)
	}
	key, errs, status := execute(t, data, "", "token", "create", "--user", "ada", "--identifier", "test")
	if status != 0 || strings.Count(key, "\n") != 1 {
		t.Fatalf("token create: %d %q %s", status, key, errs)
	}
	for _, s := range sessions {
		if got, body := p.get(browser(t), fmt.Sprintf("/api/v3/core/authenticated_sessions/%s/", s.UUID), "Authorization", "Bearer "+strings.TrimSpace(key)); got != 200 {
			t.Errorf("retrieve: got %d %s", got, body)
		}
	}
	var current struct {
		Results []struct {
			UUID    string
			Current bool
		}
	}
	_, body := p.get(second, "/api/v3/core/authenticated_sessions/")
	if err := json.Unmarshal([]byte(body), &current); err != nil {
		t.Fatal(err)
	}
	for _, s := range current.Results {
		if s.Current {
			if _, errs, status := execute(t, data, "", "session", "revoke", s.UUID); status != 0 {
				t.Fatalf("session revoke: %d %s", status, errs)
			}
		}
	}
	if got, _ := p.get(second, me); got != 403 {
		t.Errorf("the revoked browser: got %d, want 403", got)
	}
	if got, _ := p.get(first, me); got != 200 {
		t.Errorf("the other browser: got %d, want 200", got)
	}

	// Killed and started again, nothing is lost.
	_ = p.signal(syscall.SIGKILL)
	again := start(t, data)
	again.mustBe(first, 200, "after kill -9")
	again.mustBe(second, 403, "revoked, after kill -9")

	for _, step := range []struct {
		args  []string
		input string
		want  int
	}{
		{[]string{"user", "password", "ada", "--password-file", "-"}, "another horse\n", 403},
	} {
		if _, errs, status := execute(t, data, step.input, step.args...); status != 0 {
			t.Fatalf("%v: %d %s", step.args, status, errs)
		}
		again.mustBe(first, step.want, strings.Join(step.args, " "))
	}
	if err := again.signal(syscall.SIGTERM); err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, again.log())
	}
	for _, secret := range []string{"correct horse", "another horse", strings.TrimSpace(key), link[1]} {
		if log := strings.ReplaceAll(p.log()+again.log(), "/setup?token="+link[1], ""); strings.Contains(log, secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
}

// What is buffered is written when the server is told to stop.
func TestTerminationFlushes(t *testing.T) {
	data := t.TempDir()
	p := start(t, data, "LASTSEEN_BOOTSTRAP_PASSWORD=correct horse")
	b := browser(t)
	if got := p.signIn(b, "admin", "correct horse"); got != 303 {
		t.Fatalf("sign in: got %d", got)
	}
	if got, _ := p.get(b, me, "User-Agent", "flushed/1.0"); got != 200 {
		t.Fatalf("me: got %d", got)
	}
	if err := p.signal(syscall.SIGTERM); err != nil {
		t.Fatalf("SIGTERM: %v\n%s", err, p.log())
	}
	if out, errs, _ := execute(t, data, "", "session", "list", "--json"); !strings.Contains(out, "flushed/1.0") {
		t.Errorf("got %s %s, want the last agent", out, errs)
	}
}

func TestOneServerOnly(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	start(t, data)
	_, errs, status := execute(t, data, "", "serve", "--listen", "127.0.0.1:0")
	if status != 1 || !strings.Contains(errs, "another lastseen serves from "+data) {
		t.Errorf("got %d %s", status, errs)
	}
}

func TestWrongUsage(t *testing.T) {
	data := t.TempDir()
	for _, tt := range []struct {
		args   []string
		status int
		want   []string
	}{
		{[]string{"nonsense"}, 2, []string{"there is no command `lastseen nonsense`"}},
		{[]string{"user", "nonsense"}, 2, []string{"there is no command `lastseen user nonsense`"}},
		{[]string{"serve", "--nonsense"}, 2, []string{"nonsense"}},
		{[]string{"serve", "extra"}, 2, []string{"usage: lastseen serve"}},
		{[]string{"serve", "--listen", "x", "--user-agent-regexes", "/nowhere/x.yaml"}, 2, []string{"--listen: ", "--user-agent-regexes: open /nowhere/x.yaml"}},
		{[]string{"serve", "--listen", "x", "--session-idle", "soon", "--trusted-proxies", "0.0.0.0/0", "--cookie-domain", "co.uk"}, 2,
			[]string{"--listen: ", "--session-idle: ", "--trusted-proxies: ", "--cookie-domain: "}},
		{[]string{"serve", "--cookie-domain", "co.uk"}, 2, []string{"--cookie-domain: ", "public suffix"}},
		{[]string{"user", "create"}, 2, []string{"usage: lastseen user create NAME"}},
		{[]string{"user", "create", "a b"}, 2, []string{"letters, digits"}},
		{[]string{"move", "postgres://u:secr@et/w@h/db"}, 2, []string{"write %40", "usage: lastseen move"}},
		{[]string{"user", "invite", "bad/name"}, 2, []string{"letters, digits"}},
		{[]string{"alert", "add", "ftp://x"}, 2, []string{"cannot be a target"}},
		{[]string{"alert", "add", "ntfy://h/t", "--type", "nope"}, 2, []string{"nope"}},
		{[]string{"rule", "allow", "http://x", "--group", "g"}, 2, []string{"without port"}},
		{[]string{"user", "create", "eve"}, 2, []string{"--password-file"}},
		{[]string{"user", "disable", "nobody"}, 1, []string{`there is no user "nobody"`}},
		{[]string{"user", "disable", "help"}, 1, []string{`there is no user "help"`}},
		{[]string{"user", "delete", "h"}, 1, []string{`there is no user "h"`}},
		{[]string{"proxy-snippet", "nginx", "--public-url", "https://auth.home.example", "--cookie-domain", "home.example", "--app", "auth.home.example"}, 2,
			[]string{"--app: auth.home.example is where people sign in"}},
		{[]string{"proxy-snippet", "nginx", "--public-url", "https://auth.home.example", "--apps", "wiki.other.example", "--app", "app.home.example"}, 2,
			[]string{"--app: the gate does not guard app.home.example", "--apps"}},
		{[]string{"serve", "--apps", "https://a.example,b.example:80,*.com", "--cookie-name", "lastseen_app", "--gate-default", "x"}, 2,
			[]string{`--apps: "https://a.example" must`, `"b.example:80" must`, `"*.com"`, "--cookie-name: ", "--gate-default: "}},
		{[]string{"session", "revoke", "17"}, 2, []string{"no UUID"}},
		{[]string{"session", "revoke-all", "--user", ""}, 2, []string{"--user"}},
		{[]string{"token", "create", "--user", "nobody"}, 1, []string{`there is no user "nobody"`}},
		{[]string{"--data", filepath.Join(data, "nowhere"), "session", "list"}, 1, []string{"no database in"}},
		{[]string{"geoip", "lookup", "x"}, 2, []string{"no address"}},
		{[]string{"healthcheck", "--listen", "127.0.0.1:1"}, 1, []string{"not ready"}},
	} {
		if tt.args[0] == "user" && tt.args[1] == "create" && len(tt.args) == 2 {
			if _, errs, status := execute(t, data, "correct horse", "user", "create", "ada", "--superuser", "--password-file", "-"); status != 0 {
				t.Fatal(errs)
			}
		}
		_, errs, status := execute(t, data, "", tt.args...)
		if status != tt.status {
			t.Errorf("%v: exit status %d, want %d: %s", tt.args, status, tt.status, errs)
		}
		for _, want := range tt.want {
			if !strings.Contains(errs, want) {
				t.Errorf("%v: got %s, want %q in it", tt.args, errs, want)
			}
		}
	}
}

func TestUnknownVariables(t *testing.T) {
	p := start(t, t.TempDir(), "LASTSEEN_TRUSTED_PROXY=10.0.0.1", "LASTSEEN_BOOTSTRAP_PASSWORD=correct horse")
	if log := p.log(); !strings.Contains(log, `"name":"LASTSEEN_TRUSTED_PROXY","did_you_mean":"LASTSEEN_TRUSTED_PROXIES"`) {
		t.Errorf("no warning in %s", log)
	}
}

func TestSecretFromFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, t.TempDir(), "LASTSEEN_BOOTSTRAP_USERNAME=ada", "LASTSEEN_BOOTSTRAP_PASSWORD_FILE="+file)
	if got := p.signIn(browser(t), "ada", "correct horse"); got != 303 {
		t.Errorf("sign in: got %d\n%s", got, p.log())
	}
}

func TestDataIsPrivate(t *testing.T) {
	data := filepath.Join(t.TempDir(), "a", "b")
	start(t, data)
	entries, err := os.ReadDir(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		want := fs.FileMode(0o600)
		if e.IsDir() {
			want = 0o700
		}
		if info, err := e.Info(); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: got %v, %v, want mode %o", e.Name(), info.Mode(), err, want)
		}
	}
	if info, _ := os.Stat(data); info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: got %v, want mode 700", info.Mode())
	}
}

func TestMetrics(t *testing.T) {
	p := start(t, t.TempDir(), "LASTSEEN_METRICS_LISTEN=127.0.0.1:0", "LASTSEEN_BOOTSTRAP_PASSWORD=correct horse")
	b := browser(t)
	if got := p.signIn(b, "admin", "correct horse"); got != 303 {
		t.Fatalf("sign in: got %d", got)
	}
	var m []string
	for range 100 {
		if m = regexp.MustCompile(`"msg":"metrics","address":"([^"]+)"`).FindStringSubmatch(p.log()); m != nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	metrics := &process{t: t, url: "http://" + m[1]}
	_, body := metrics.get(browser(t), "/metrics")
	for _, want := range []string{`lastseen_requests_total{method="POST",route="/login",status="303"} 1`, `lastseen_request_duration_seconds_bucket{route="/login",le="+Inf"} 1`, "lastseen_sessions 1", "lastseen_users 1", "process_resident_memory_bytes"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	req, err := http.NewRequest("GET", metrics.url+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example" // a name that somebody made lead here
	res, err := b.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("under a stranger's name: got %d, want 421", res.StatusCode)
	}
	if status, _ := p.get(b, "/metrics"); status != 404 {
		t.Errorf("on the main port: got %d, want 404", status)
	}
}

// What --json prints is the API's own objects.
func TestCommandsPrintJSON(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	decode := func(v any, input string, args ...string) {
		t.Helper()
		out, errs, status := execute(t, data, input, args...)
		if err := json.Unmarshal([]byte(out), v); err != nil || status != 0 {
			t.Fatalf("%v: %v, status %d, %s%s", args, err, status, out, errs)
		}
	}
	var user struct {
		Username  string
		GroupsObj []struct{ Name string } `json:"groups_obj"`
	}
	decode(&user, "correct horse battery", "user", "create", "ada", "--group", "family", "--password-file", "-", "--json")
	if user.Username != "ada" || len(user.GroupsObj) != 1 || user.GroupsObj[0].Name != "family" {
		t.Errorf("user create: got %+v", user)
	}
	var made struct {
		Key   string
		Token struct{ Identifier string }
	}
	decode(&made, "", "token", "create", "--user", "ada", "--identifier", "widget", "--json")
	if !strings.HasPrefix(made.Key, "lastseen_") || made.Token.Identifier != "widget" {
		t.Errorf("token create: got %+v", made)
	}
	var list []struct{ Identifier string }
	if decode(&list, "", "token", "list", "--json"); len(list) != 1 || list[0] != made.Token {
		t.Errorf("token list: got %+v", list)
	}
	var ended struct{ Deleted *int }
	if decode(&ended, "", "session", "revoke-all", "--json"); ended.Deleted == nil || *ended.Deleted != 0 {
		t.Errorf("session revoke-all: got %+v", ended)
	}
}
