package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lastseen/app"
	"lastseen/db"

	"github.com/gofrs/flock"
	"github.com/google/uuid"
)

// missing ends a test for want of something outside this repository: it is left
// out, unless LASTSEEN_TEST_REQUIRE says that it must not be.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("LASTSEEN_TEST_REQUIRE") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// authentikClient installs one version of authentik's own client for JavaScript
// into the user's cache, once, and returns the folder to require it from.
func authentikClient(t *testing.T, version string) string {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing(t, "no %s, so authentik's clients are not tried", tool)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		missing(t, "no folder to keep authentik's clients in: %v", err)
	}
	dir := filepath.Join(cache, "lastseen-test", "goauthentik-api-"+version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	lock := flock.New(filepath.Join(dir, "lock"))
	if err := lock.Lock(); err != nil {
		t.Fatal(err)
	}
	defer lock.Unlock()
	modules, installed := filepath.Join(dir, "node_modules"), filepath.Join(dir, "installed")
	if _, err := os.Stat(installed); err == nil {
		return modules
	} else if !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	install := exec.Command("npm", "install", "--prefix", dir, "--no-save", "--no-audit", "--no-fund", "--ignore-scripts",
		"--fetch-retries=1", "@goauthentik/api@"+version)
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		missing(t, "npm cannot install @goauthentik/api %s, so it is not tried: %v\n%s", version, err, out)
	}
	if err := os.WriteFile(installed, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return modules
}

// authentik's own clients, of the first and the latest version that we are
// compatible with, read everything there is and end sessions.
func TestAuthentikClients(t *testing.T) {
	t.Parallel()
	for generation, version := range map[string]string{"2024.8": "2024.8.3-1729836831", "2026.8": "2026.8.3"} {
		t.Run(generation, func(t *testing.T) {
			modules := authentikClient(t, version)
			ts := newServer(t)
			type session struct {
				UUID  string `json:"uuid"`
				User  string `json:"user"`
				IP    string `json:"ip"`
				Agent string `json:"agent"`
			}
			eve, err := ts.app.CreateUser(t.Context(), operator,
				app.NewUser{Username: "eve", Email: "eve@home.example", Password: password, Groups: []string{"family"}})
			if err != nil {
				t.Fatal(err)
			}
			bob := mustUser(ts, "bob")
			var sessions []session
			for i, n := range []session{
				{User: "bob", IP: "81.2.69.142", Agent: iphone},
				{User: "bob", IP: "192.168.1.20", Agent: firefox},
				{User: "bob", IP: "2001:db8::1"},
				{User: "ada", IP: "89.160.20.112", Agent: firefox},
				{User: "eve", IP: "81.2.69.160", Agent: "curl/8.14.1"},
			} {
				if i == 1 {
					ts.post(nil, "/login", url.Values{"username": {"bob"}, "password": {"wrong"}})
				}
				sess, _ := ts.session(n.User, n.IP, n.Agent)
				n.UUID = sess.UUID.String()
				sessions = append(sessions, n)
			}
			err = ts.store.AddFactor(t.Context(), db.NewFactor{TOTP: &db.TOTP{UUID: uuid.New(), UserID: bob.ID, Name: "Phone", Secret: []byte("sealed"), Created: now},
				Recovery: [][]byte{{1}, {2}}, Event: func(int64) db.Event { return eventOf(bob.ID) }})
			if err != nil {
				t.Fatal(err)
			}
			bobKey, _, err := ts.app.CreateToken(t.Context(), operator, app.NewToken{User: bob, Identifier: "widget", Lifetime: 24 * time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			known, err := json.Marshal(map[string]any{
				"generation": generation, "url": ts.url, "adaKey": ts.key("ada"), "bobKey": bobKey, "sessions": sessions,
				"users": map[string]int64{"ada": mustUser(ts, "ada").ID, "bob": bob.ID, "eve": eve.ID},
			})
			if err != nil {
				t.Fatal(err)
			}
			script, err := filepath.Abs("testdata/clients/check.cjs")
			if err != nil {
				t.Fatal(err)
			}
			node := exec.Command("node", script)
			node.Env = append(os.Environ(), "NODE_PATH="+modules, "NO_PROXY=*")
			node.Stdin = bytes.NewReader(known)
			out, err := node.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "# fail 0") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
