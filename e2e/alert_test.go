package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Targets are added, shown, tested and removed beside a running server, which sends to
// them without a restart; nothing that is secret of them is shown anywhere.
func TestAlertCommands(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []string
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.URL.Path+" "+string(body))
	}))
	defer hook.Close()
	host := strings.TrimPrefix(hook.URL, "http://")
	data := t.TempDir()
	run := func(want int, in string, args ...string) (out, errs string) {
		t.Helper()
		out, errs, status := execute(t, data, in, args...)
		if status != want {
			t.Fatalf("lastseen %s: exit status %d, want %d: %s%s", args, status, want, out, errs)
		}
		if strings.Contains(out+errs, "t0ps3cret") || strings.Contains(out+errs, "h1dden") {
			t.Errorf("lastseen %s: shows a secret: %s%s", args, out, errs)
		}
		return out, errs
	}
	run(0, "correct horse", "user", "create", "ada", "--password-file", "-")
	start(t, data)
	if out, _ := run(0, "", "alert", "list"); out != "" {
		t.Errorf("got %q", out)
	}
	id, _ := run(0, "", "alert", "add", "webhook+http://:t0ps3cret@"+host+"/h1dden")
	id = strings.TrimSpace(id)
	second, _ := run(0, "ntfy+http://:t0ps3cret@127.0.0.1:1/h1dden\n", "alert", "add", "--type", "sign_in,key_created", "-")
	second = strings.TrimSpace(second)
	out, _ := run(0, "", "alert", "list")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], id+" ") || !strings.Contains(lines[0], host) || !strings.Contains(lines[1], "127.0.0.1:1") || !strings.Contains(lines[1], "sign_in,key_created") {
		t.Errorf("got %s", out)
	}
	for _, wrong := range [][]string{
		{"alert", "add", "https://" + host + "/h1dden"}, {"alert", "add", "mailto:ada@home.example"}, {"alert", "add", "--type", "nonsense", "ntfy://h/t"},
		{"alert", "remove", "77"}, {"alert", "test", "77"}, {"alert", "test", second}, {"alert", "test"},
	} {
		if _, errs := run(1, "", wrong...); errs == "" {
			t.Errorf("%s: says nothing", wrong)
		}
	}
	run(2, "", "alert")
	run(2, "", "--alerts", "https://"+host+"/h1dden", "alert", "list")
	run(0, "", "alert", "test", id)
	run(0, "", "token", "create", "--user", "ada", "--identifier", "homepage")
	wait := func(what, want string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			mu.Lock()
			all := strings.Join(got, "\n")
			mu.Unlock()
			if strings.Contains(all, want) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s did not come: %s", what, all)
			}
		}
	}
	wait("the test", `"type":"test"`)
	wait("the key", `"type":"key_created"`)
	if out, _ := run(0, "", "doctor"); !strings.Contains(out, "Alerts") || !strings.Contains(out, "127.0.0.1:1") {
		t.Errorf("the doctor knows nothing of the dead target: %s", out)
	}
	run(0, "", "alert", "remove", second)
	if out, _ := run(0, "", "doctor"); strings.Contains(out, "127.0.0.1:1") {
		t.Errorf("the doctor speaks of a target that is gone: %s", out)
	}
	run(0, "", "--alerts", "webhook+http://"+host+"/h1dden", "alert", "list")
	if _, errs := run(1, "", "--alerts", "webhook+http://127.0.0.1:1/h1dden", "alert", "test"); !strings.Contains(errs, "127.0.0.1:1") {
		t.Errorf("got %s", errs)
	}
}
