package e2e

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The program runs as an ordinary user in a file system that holds nothing but
// itself, all of it read-only but the data directory, as the image has
// it: no /tmp, no /etc, no /proc.
func TestOnlyDataIsWritten(t *testing.T) {
	t.Parallel()
	mayMount(t)
	root, data := t.TempDir(), t.TempDir()
	if err := os.Link(plain, filepath.Join(root, "lastseen")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(data, 65532, 65532); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	image := regexp.MustCompile(`Env: \[\]string\{"(.*?)"\}`).FindStringSubmatch(read(t, "deploy/release/image.go"))
	environ := strings.Split(image[1], `", "`)
	// The mounts are this process's own, and gone with it.
	const enter = `mount --bind "$ROOT" "$ROOT" && mount --bind "$DATA" "$ROOT/data" && mount -o remount,ro,bind "$ROOT" &&
		exec chroot --userspec=65532:65532 --groups= "$ROOT" /lastseen "$@"`
	inside := func(args ...string) *exec.Cmd {
		cmd := exec.Command(program(t, "", "unshare"), append([]string{"--mount", "sh", "-c", enter, "sh"}, args...)...)
		cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "ROOT=" + root, "DATA=" + data, "LASTSEEN_BOOTSTRAP_PASSWORD=correct horse", "LASTSEEN_BACKUP_EVERY=1s"}, environ...)
		cmd.Env = append(cmd.Env, "LASTSEEN_LISTEN="+address) // instead of :9000
		return cmd
	}
	var log strings.Builder
	server := inside("serve")
	server.Stderr = &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop := func() {
		if !stopped {
			stopped = true
			_ = server.Process.Signal(os.Interrupt)
			_ = server.Wait()
		}
	}
	defer stop()
	for try := 0; ; try++ {
		out, err := inside("healthcheck").CombinedOutput()
		if err == nil {
			break
		}
		if try > 100 {
			stop()
			t.Fatalf("it does not get ready: %s\n%s", out, &log)
		}
		time.Sleep(50 * time.Millisecond)
	}
	b := browser(t)
	for _, request := range []struct {
		path string
		form url.Values
		want int
	}{
		{"/login", url.Values{"username": {"admin"}, "password": {"correct horse"}}, 303},
		{"/users", url.Values{"username": {"bob"}, "password": {"correct horse"}, "groups": {"a, b"}}, 303},
		{"/rules", url.Values{"host": {"app.example"}, "groups": {"a"}}, 0},
		{"/doctor/backup", nil, 200},
	} {
		res, err := b.PostForm("http://"+address+request.path, request.form)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if request.want != 0 && res.StatusCode != request.want || err != nil {
			t.Errorf("%s: got %d, %v: %.300s", request.path, res.StatusCode, err, body)
		}
	}
	// More than SQLite sorts in memory.
	store, err := sql.Open("sqlite", "file:"+filepath.Join(data, "lastseen.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	for range 10 { // in steps, between which the server, which tries ten times a second, gets its turn
		_, stepErr := store.Exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000)
			INSERT INTO events (uuid, created, action, actor, client_ip, context) SELECT randomblob(16), i, 'login', hex(randomblob(50)), '192.0.2.1', '{}' FROM n`)
		err = errors.Join(err, stepErr)
		time.Sleep(150 * time.Millisecond)
	}
	if err := errors.Join(err, store.Close()); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/api/v3/events/events/?ordering=client_ip,user&page=500", "/sessions?view=everybody", "/users", "/events", "/doctor", "/profile", "/tokens"} {
		res, err := b.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: got %d", path, res.StatusCode)
		}
	}
	for _, args := range [][]string{{"backup", "/data/copy.db"}, {"session", "list"}, {"doctor"}, {"user", "list", "--json"}} {
		if out, err := inside(args...).CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
	far := inside("session", "list")
	far.Env = append(far.Env, "TZ=Asia/Kathmandu")
	if out, err := far.CombinedOutput(); err != nil || !strings.Contains(string(out), " +0545 ") {
		t.Errorf("in the zone of TZ: got %s, %v, want it named", out, err)
	}
	if out, err := inside("backup", "/copy.db").CombinedOutput(); err == nil || !strings.Contains(string(out), "read-only") {
		t.Errorf("a backup outside of the data directory: %v\n%s", err, out)
	}
	status := read(t, fmt.Sprintf("/proc/%d/status", server.Process.Pid))
	for _, want := range []string{`Uid:\s65532\s65532`, `Gid:\s65532\s65532`, `CapEff:\s0+\n`} {
		if !regexp.MustCompile(want).MatchString(status) {
			t.Errorf("the process is not %s: %s", want, status)
		}
	}
	stop()
	if out, err := inside("restore", "/data/copy.db").CombinedOutput(); err != nil {
		t.Errorf("restore: %v\n%s", err, out)
	}
	if strings.Contains(log.String(), `"ERROR"`) {
		t.Errorf("the log has errors: %s", &log)
	}
}

// systemd understands the unit and finds little to reach from it.
func TestUnit(t *testing.T) {
	analyze := program(t, "LASTSEEN_TEST_SYSTEMD_ANALYZE", "systemd-analyze")
	unit := strings.Replace(read(t, "deploy/lastseen.service"), "/usr/local/bin/lastseen", "/bin/true", 1)
	file := filepath.Join(t.TempDir(), "lastseen.service")
	if err := os.WriteFile(file, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", file).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("verify: %v\n%s", err, out)
	}
	// In tenths: 1.5 of 10.
	if out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=15", file).CombinedOutput(); err != nil {
		t.Errorf("security: %v\n%s", err, out)
	}
}
