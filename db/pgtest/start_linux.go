package pgtest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// settings are those of a server whose data nobody will miss.
var settings = []string{"fsync=off", "full_page_writes=off", "synchronous_commit=off", "max_connections=400", "shared_buffers=64MB",
	"unix_socket_directories=", "listen_addresses=127.0.0.1", "autovacuum=off", "max_wal_size=2GB"}

// A Server is one that a test stops and starts as it likes.
type Server struct {
	URL  string
	port int
	dir  string
	as   *syscall.SysProcAttr
	bin  string
	cmd  *exec.Cmd
	done chan error
	log  bytes.Buffer
}

// start starts the server that the tests of a package share.
func start() (*postgres, error) {
	s, err := Start()
	if err != nil {
		return nil, err
	}
	return &postgres{address: "127.0.0.1:" + strconv.Itoa(s.port), stop: s.Remove}, nil
}

// NewServer is Start for a test, with which the server goes. Without PostgreSQL the test is
// skipped, or fails when LASTSEEN_TEST_REQUIRE is 1.
func NewServer(t testing.TB) *Server {
	t.Helper()
	s, err := Start()
	if err != nil {
		missing(t, err)
	}
	t.Cleanup(s.Remove)
	return s
}

// Start makes and starts a server of the distribution's PostgreSQL.
func Start() (*Server, error) {
	initdb, err := findProgram("initdb")
	if err != nil {
		return nil, err
	}
	s := &Server{bin: filepath.Dir(initdb)}
	if s.dir, err = os.MkdirTemp(memory(), "lastseen-postgres-"); err != nil {
		return nil, err
	}
	if s.as, err = notRoot(s.dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	password := filepath.Join(s.dir, "password")
	if err := errors.Join(os.WriteFile(password, []byte("secret\n"), 0o644), os.Chmod(s.dir, 0o755)); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	cmd := exec.Command(initdb, "-D", filepath.Join(s.dir, "data"), "-U", "lastseen", "-A", "scram-sha-256", "--pwfile", password,
		"-E", "UTF8", "--locale=C", "--no-sync")
	cmd.SysProcAttr, cmd.Dir = s.as, "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("initdb: %w: %s", err, out), os.RemoveAll(s.dir))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") // a free port
	if err != nil {
		return nil, err
	}
	s.port = listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	s.URL = fmt.Sprintf("postgres://lastseen:secret@127.0.0.1:%d/postgres?sslmode=disable", s.port)
	if err := s.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	return s, nil
}

// memory is a folder that is no disk, where there is one with a gigabyte to spare: making a
// database is to copy files, a tenth as long there. It is "" otherwise.
func memory() string {
	const dir = "/dev/shm"
	var free syscall.Statfs_t
	if syscall.Statfs(dir, &free) != nil || int64(free.Bavail)*int64(free.Bsize) < 1<<30 {
		return ""
	}
	return dir
}

// Start starts it again, on the same port.
func (s *Server) Start(more ...string) error {
	args := []string{"-D", filepath.Join(s.dir, "data"), "-p", strconv.Itoa(s.port)}
	for _, setting := range slices.Concat(settings, more) {
		args = append(args, "-c", setting)
	}
	s.cmd = exec.Command(filepath.Join(s.bin, "postgres"), args...)
	s.log.Reset()
	s.cmd.SysProcAttr, s.cmd.Stdout, s.cmd.Stderr, s.cmd.Dir = s.as, &s.log, &s.log, "/"
	s.done = make(chan error, 1)
	started := make(chan error)
	go func() {
		// It ends with the thread that starts it, and so with this process, however that ends.
		runtime.LockOSThread()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			s.done <- s.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	for range 600 {
		select {
		case err := <-s.done:
			s.done <- err
			return fmt.Errorf("postgres: %w: %s", err, s.log.String())
		case <-time.After(50 * time.Millisecond):
		}
		ready := exec.Command(filepath.Join(s.bin, "pg_isready"), "-q", "-h", "127.0.0.1", "-p", strconv.Itoa(s.port))
		if ready.Run() == nil {
			return nil
		}
	}
	s.Stop(syscall.SIGQUIT)
	return fmt.Errorf("postgres is not ready: %s", s.log.String())
}

// Signal sends one to the server's first process.
func (s *Server) Signal(signal os.Signal) error { return s.cmd.Process.Signal(signal) }

// Stop ends the server by a signal: SIGINT as an operator does, SIGQUIT as a crash does.
func (s *Server) Stop(signal os.Signal) {
	_ = s.cmd.Process.Signal(signal)
	<-s.done
}

// Remove stops the server and removes its data.
func (s *Server) Remove() {
	s.Stop(syscall.SIGQUIT)
	os.RemoveAll(s.dir)
}

// findProgram finds one of PostgreSQL's programs, which Debian keeps beside the path; of
// several versions the latest.
func findProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return filepath.EvalSymlinks(path)
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		return "", fmt.Errorf("there is no %s: install PostgreSQL", name)
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	return slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }), nil
}

// notRoot is for whom a server may run: root it refuses. The directory is given to them.
func notRoot(dir string) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Getuid() != 0 {
		return attr, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, err
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, os.Chown(dir, uid, gid)
}
