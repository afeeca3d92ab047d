package pgtest

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// NewBouncer starts a PgBouncer in transaction mode before the server of a database's URL,
// with few connections to it, and returns the URL of the database through it. The test is
// skipped without one, or fails when LASTSEEN_TEST_REQUIRE is 1.
func NewBouncer(t testing.TB, to string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program = "/usr/sbin/pgbouncer"; !exists(program) { // where only root looks
			missing(t, err)
		}
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") // a free port
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	dir, err := os.MkdirTemp("", "lastseen-pgbouncer-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	as, err := notRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	for name, content := range map[string]string{
		"users": fmt.Sprintf("%q %q\n", u.User.Username(), password),
		"pgbouncer.ini": fmt.Sprintf("[databases]\n* = host=%s port=%s\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port=%d\nunix_socket_dir=\nauth_type=plain\nauth_file=%s\n"+
			"pool_mode=transaction\ndefault_pool_size=4\nmax_client_conn=200\n", u.Hostname(), u.Port(), port, filepath.Join(dir, "users")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-q", filepath.Join(dir, "pgbouncer.ini"))
	var log strings.Builder
	cmd.SysProcAttr, cmd.Stdout, cmd.Stderr, cmd.Dir = as, &log, &log, "/"
	started, done := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // as for the server
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(done)
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		<-done
	})
	u.Host = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	for range 200 {
		if conn, err := net.Dial("tcp", u.Host); err == nil {
			conn.Close()
			return u.String() + "&default_query_exec_mode=exec"
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("pgbouncer does not listen: %s", log.String())
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
