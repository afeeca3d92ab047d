package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A command that only holds others does nothing alone: a script that forgot the
// rest must not go on as if all were well. Who asks for help gets it.
func TestGroupsOfCommands(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	for line, status := range map[string]int{
		"user": 2, "user group": 2, "user factors": 2, "user factors reset": 2, "token": 2, "session": 2, "rule": 2, "alert": 2, "geoip": 2, "--data /nowhere user": 2,
		"help nonsense": 2, "user help nonsense": 2, "nonsense --help": 2, "user nonsense --help": 2, "serve nonsense --help": 2,
		"": 0, "help": 0, "--help": 0, "user help": 0, "user --help": 0, "help user": 0, "user group help": 0, "user create --help": 0, "user create ada --help": 0, "user factors ada --help": 0, "--help user": 0,
	} {
		out, errs, got := execute(t, data, "", strings.Fields(line)...)
		if got != status || (status == 0) != strings.Contains(out, "USAGE:") || (status == 0) != (errs == "") {
			t.Errorf("lastseen %s: exit status %d, want %d; printed %q and %q", line, got, status, out, errs)
		}
	}
}

// What takes something away says what it took.
func TestSaysWhatItDid(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	for _, tt := range []struct{ line, want string }{
		{"user create ada --superuser --group films --password-file -", ""},
		{"user create bob --password-file -", ""},
		{"user invite otto", ""},
		{"alert add ntfy://h.example/t", ""},
		{"rule allow a.example --group films", ""},
		{"token create --user ada --identifier script", ""},
		{"user password ada --password-file -", "ada has a new password and is signed out everywhere."},
		{"user group remove ada films", "ada is no longer in the group films."},
		{"user links delete 1", "The link 1 (invite otto) is taken back."},
		{"alert remove 1", "The target 1 is removed."},
		{"rule delete 1", "The rule 1, of a.example, is removed."},
		{"token delete script", "The token script of ada is removed."},
		{"user factors reset ada", "ada has no second factor any more."},
		{"user disable bob", "bob is disabled and signed out everywhere."},
		{"user delete bob", "bob is removed."},
		{"session revoke-all", "sessions ended: 0"},
	} {
		if _, errs, status := execute(t, data, "correct horse", strings.Fields(tt.line)...); status != 0 || !strings.Contains(errs, tt.want) {
			t.Errorf("%s: got %d %s, want %s", tt.line, status, errs, tt.want)
		}
	}
}

// A mistyped --data makes no database, unless by what begins an instance.
func TestDataIsMadeByFew(t *testing.T) {
	t.Parallel()
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte("ada:$2y$05$r/2Z3faonLmlsQy1imDgmOePSTBFPYre.l1leccZizOYgY6Zuz01a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for line, makes := range map[string]bool{
		"alert add ntfy://h.example/t": false, "rule allow a.example --group g": false, "rule open a.example /": false, "rule challenge a.example": false,
		"user invite": false, "user list": false, "import htpasswd " + users + " --dry-run": false,
		"import htpasswd " + users: true, "user create ada --password-file -": true,
	} {
		data := filepath.Join(t.TempDir(), "data")
		_, errs, status := execute(t, data, "correct horse", strings.Fields(line)...)
		if _, err := os.Stat(data); (err == nil) != makes || (status == 0) != makes || strings.Contains(errs, "no database in "+data) == makes {
			t.Errorf("%s: exit status %d, %s; made: %v, want %v", line, status, errs, err == nil, makes)
		}
	}
}

// "backup -" writes the copy to standard output, makes no file of that name, and
// leaves nothing behind, even when whoever reads it has left.
func TestBackupToStandardOutput(t *testing.T) {
	t.Parallel()
	data, dir := t.TempDir(), t.TempDir()
	if _, errs, status := execute(t, data, "correct horse", "user", "create", "ada", "--password-file", "-"); status != 0 {
		t.Fatal(errs)
	}
	start(t, data)
	cmd := command(t, []string{"LASTSEEN_DATA=" + data}, "backup", "-")
	cmd.Dir = dir
	copied, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd = command(t, []string{"LASTSEEN_DATA=" + data}, "backup", "-")
	cmd.Dir, cmd.Stdout = dir, w
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("nobody reads: got %v, want exit status 1", err)
	}
	w.Close()
	for _, pattern := range []string{filepath.Join(dir, "*"), filepath.Join(data, ".lastseen-*")} {
		if left, err := filepath.Glob(pattern); len(left) != 0 || err != nil {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
	file, other := filepath.Join(dir, "copy.db"), filepath.Join(dir, "other")
	if err := os.WriteFile(file, copied, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, status := execute(t, other, "", "restore", file); status != 0 {
		t.Fatal(errs)
	}
	if out, errs, _ := execute(t, other, "", "user", "list"); !strings.Contains(out, "ada") {
		t.Errorf("restored: got %s%s, want ada", out, errs)
	}
}

// An address of IPv4 is no invitation by IPv6; one of neither is answered by both.
func TestListensWhereToldTo(t *testing.T) {
	t.Parallel()
	if six, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("no IPv6 here: ", err)
	} else {
		six.Close()
	}
	for listen, want := range map[string][2]bool{
		"0.0.0.0:0": {true, false}, "127.0.0.1:0": {true, false}, ":0": {true, true}, "[::]:0": {true, true}, "[::1]:0": {false, true},
	} {
		p := &process{t: t, cmd: command(t, nil, "serve", "--data", t.TempDir(), "--listen", listen, "--metrics-listen", listen)}
		p.cmd.Stderr = p
		if err := p.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = p.signal(syscall.SIGTERM) }()
		for _, message := range []string{"listening", "metrics"} {
			line := regexp.MustCompile(`"msg":"` + message + `","address":"[^"]*:(\d+)"`)
			var m []string
			for range 500 {
				if m = line.FindStringSubmatch(p.log()); m != nil {
					break
				}
				time.Sleep(20 * time.Millisecond)
			}
			if m == nil {
				t.Fatalf("%s: no address of %s in %s", listen, message, p.log())
			}
			for i, host := range []string{"127.0.0.1", "::1"} {
				conn, err := net.Dial("tcp", net.JoinHostPort(host, m[1]))
				if err == nil {
					conn.Close()
				}
				if (err == nil) != want[i] {
					t.Errorf("%s, %s at %s: got %v, want a connection: %v", listen, message, host, err, want[i])
				}
			}
		}
	}
}

// withSocket has a command find a socket and what systemd says of it, in the shell's words.
func withSocket(cmd *exec.Cmd, socket *os.File, says string) *exec.Cmd {
	inside := exec.Command("sh", append([]string{"-c", says + ` exec "$0" "$@"`}, cmd.Args...)...)
	inside.Env, inside.ExtraFiles = cmd.Env, []*os.File{socket}
	return inside
}

// What systemd holds is served from if it is one socket of TCP and meant for us.
func TestSocketsThatSystemdHolds(t *testing.T) {
	t.Parallel()
	file := func(f interface{ File() (*os.File, error) }, err error) *os.File {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		file, err := f.File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { file.Close() })
		return file
	}
	loopback := net.IPv4(127, 0, 0, 1)
	tcp := file(net.ListenTCP("tcp", &net.TCPAddr{IP: loopback}))
	udp := file(net.ListenUDP("udp", &net.UDPAddr{IP: loopback}))
	unix := file(net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "socket")}))
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for name, tt := range map[string]struct {
		socket  *os.File
		says    string
		problem string // "" where it serves, from an address of its own
	}{
		"none":                       {tcp, "LISTEN_PID=$$ LISTEN_FDS=0", `LISTEN_FDS is "0", not 1`},
		"two":                        {tcp, "LISTEN_PID=$$ LISTEN_FDS=2", `LISTEN_FDS is "2", not 1`},
		"a number that is none":      {tcp, "LISTEN_PID=$$ LISTEN_FDS=one", `LISTEN_FDS is "one", not 1`},
		"no number":                  {tcp, "LISTEN_PID=$$", `LISTEN_FDS is "", not 1`},
		"one of datagrams":           {udp, "LISTEN_PID=$$ LISTEN_FDS=1", "invalid argument"},
		"one of this machine alone":  {unix, "LISTEN_PID=$$ LISTEN_FDS=1", "is no TCP address"},
		"a file":                     {null, "LISTEN_PID=$$ LISTEN_FDS=1", "non-socket"},
		"another process's":          {tcp, "LISTEN_PID=1 LISTEN_FDS=1", ""},
		"another process's, of many": {tcp, "LISTEN_PID=1 LISTEN_FDS=2", ""},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := withSocket(command(t, nil, "--data", t.TempDir(), "serve", "--listen", "127.0.0.1:0"), tt.socket, tt.says) // the plain one, as nothing here races
			if tt.problem == "" {
				held, err := net.FileListener(tt.socket)
				if err != nil {
					t.Fatal(err)
				}
				defer held.Close()
				if p := launch(t, cmd); strings.HasSuffix(p.url, held.Addr().String()) {
					t.Errorf("it serves from %s", p.url)
				}
				return
			}
			out, _ := cmd.CombinedOutput()
			if status := cmd.ProcessState.ExitCode(); status != 1 || !strings.Contains(string(out), tt.problem) || !strings.Contains(string(out), "one ListenStream, an address and a port") {
				t.Errorf("got %d %s, want 1 and %q", status, out, tt.problem)
			}
		})
	}
}

// Tables tell times by the clock of TZ and name its zone; JSON tells them in UTC.
func TestZones(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	if _, errs, status := execute(t, data, "correct horse", "user", "create", "ada", "--password-file", "-"); status != 0 {
		t.Fatal(errs)
	}
	if _, errs, status := execute(t, data, "", "token", "create", "--user", "ada", "--expires", "90d"); status != 0 {
		t.Fatal(errs)
	}
	for zone, name := range map[string]string{"": "UTC", "UTC": "UTC", "Asia/Kathmandu": "+0545", "Asia/Tokyo": "JST", "Nowhere/Land": "UTC"} {
		cmd := command(t, []string{"LASTSEEN_DATA=" + data, "TZ=" + zone}, "token", "list")
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if found := regexp.MustCompile(`\d\d:\d\d `+regexp.QuoteMeta(name)+`\s`).FindAll(out, -1); len(found) != 2 {
			t.Errorf("TZ=%s: got %s, want two times with %s", zone, out, name)
		}
	}
}

// The last active superuser stays, unless by force; who is none may always go.
func TestLastSuperuserStays(t *testing.T) {
	t.Parallel()
	for _, others := range [][]string{{}, {"bob"}, {"bob", "off"}} { // off is a superuser who is disabled
		for _, command := range []string{"disable", "delete"} {
			data := t.TempDir()
			run := func(want int, args ...string) {
				t.Helper()
				if _, errs, status := execute(t, data, "correct horse", args...); status != want || want == 1 && !strings.Contains(errs, "ada is the last active superuser") {
					t.Errorf("beside %v, %v: got %d %s, want %d", others, args, status, errs, want)
				}
			}
			run(0, "user", "create", "ada", "--superuser", "--password-file", "-")
			for _, name := range others {
				run(0, "user", "create", name, "--password-file", "-", fmt.Sprintf("--superuser=%v", name == "off"))
			}
			for _, name := range others {
				run(0, "user", "disable", name)
			}
			run(1, "user", command, "ADA")
			run(0, "user", command, "ada", "--force")
			for _, name := range others { // nobody is in charge already
				run(0, "user", command, name)
			}
			run(0, "user", "create", "ada2", "--superuser", "--password-file", "-")
			run(0, "user", "create", "eve", "--superuser", "--password-file", "-")
			run(0, "user", command, "ada2") // eve is there
		}
	}
}
