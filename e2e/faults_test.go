package e2e

import (
	"bytes"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A database that fails must let nobody through the gate (authentik#18063), and
// the log must say what to do.

// A patient is a server that somebody is signed in at while something happens to
// its database.
type patient struct {
	*process
	data    string
	browser *http.Client
}

func newPatient(t *testing.T, data string) *patient {
	t.Helper()
	p := &patient{data: data, browser: browser(t)}
	p.process = start(t, data, "LASTSEEN_BOOTSTRAP_PASSWORD=correct horse", "LASTSEEN_TRUSTED_PROXIES=127.0.0.1")
	if got := p.signIn(p.browser, "admin", "correct horse"); got != http.StatusSeeOther {
		t.Fatalf("sign in: got %d\n%s", got, p.last())
	}
	p.wants(t, "at first", 200, p.ready, p.gate, p.api)
	return p
}

// last is the end of the log.
func (p *patient) last() string {
	log := p.log()
	return log[max(0, len(log)-3000):]
}

func (p *patient) database() string { return filepath.Join(p.data, "lastseen.db") }

func (p *patient) ready() (string, int) {
	status, _ := p.get(http.DefaultClient, "/-/health/ready/")
	return "ready", status
}

// gate asks as nginx does for somebody who is signed in.
func (p *patient) gate() (string, int) {
	status, _ := p.get(p.browser, "/outpost.goauthentik.io/auth/nginx", "X-Original-Url", "http://127.0.0.1:8080/")
	return "the gate", status
}

func (p *patient) api() (string, int) {
	status, _ := p.get(p.browser, me)
	return "the API", status
}

// stranger asks the gate with a cookie that nobody was given.
func (p *patient) stranger() (string, int) {
	status, _ := p.get(http.DefaultClient, "/outpost.goauthentik.io/auth/nginx", "X-Original-Url", "http://127.0.0.1:8080/", "Cookie", "lastseen_session=made-up")
	return "the gate, to a stranger", status
}

func (p *patient) wants(t *testing.T, when string, want int, asked ...func() (string, int)) {
	t.Helper()
	for _, ask := range asked {
		if what, got := ask(); got != want {
			t.Errorf("%s: %s is %d, want %d\n%s", when, what, got, want, p.last())
		}
	}
}

// becomes waits until an answer is what is wanted.
func (p *patient) becomes(t *testing.T, want int, ask func() (string, int)) {
	t.Helper()
	what, got := ask()
	for end := time.Now().Add(30 * time.Second); got != want; what, got = ask() {
		if time.Now().After(end) {
			t.Fatalf("%s stays %d, want %d\n%s", what, got, want, p.last())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// refuses is when nothing can be stored: a sign-in is answered with a page that
// a person can read, and that tells nothing of the inside; nobody is let in anew.
func (p *patient) refuses(t *testing.T) {
	t.Helper()
	var last int
	for range 60 { // the write-ahead log may have room for a few
		res, err := browser(t).PostForm(p.url+"/login", url.Values{"username": {"admin"}, "password": {"correct horse"}})
		if err != nil {
			t.Fatal(err)
		}
		page, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if last = res.StatusCode; last != http.StatusSeeOther {
			if !strings.Contains(string(page), "The database is not available") || strings.Contains(string(page), p.data) || len(res.Cookies()) > 0 {
				t.Errorf("signing in: got %d %v %s", last, res.Cookies(), page)
			}
			break
		}
	}
	if last != http.StatusServiceUnavailable {
		t.Errorf("signing in: got %d, want 503\n%s", last, p.last())
	}
	if _, got := p.stranger(); got < 400 {
		t.Errorf("a stranger at the gate: got %d", got)
	}
	p.wants(t, "meanwhile", 503, p.ready)
	if _, got := p.get(http.DefaultClient, "/-/health/live/"); got != "" {
		t.Error("not alive")
	}
}

// recovered is when all is as it was.
func (p *patient) recovered(t *testing.T) {
	t.Helper()
	p.becomes(t, 200, p.ready)
	p.wants(t, "afterwards", 200, p.gate, p.api)
	p.wants(t, "afterwards", 401, p.stranger)
	if got := p.signIn(browser(t), "admin", "correct horse"); got != http.StatusSeeOther {
		t.Errorf("signing in afterwards: got %d\n%s", got, p.last())
	}
}

// says is when the log names the file and what to do.
func (p *patient) says(t *testing.T, file, problem, remedy string) {
	t.Helper()
	for line := range strings.SplitSeq(p.log(), "\n") {
		if strings.Contains(line, strings.TrimSpace(file+" "+problem)) && strings.Contains(line, remedy) {
			return
		}
	}
	t.Errorf("no line of the log says that %s %s, and %s:\n%s", file, problem, remedy, p.last())
}

// outside is another program that has the database open.
func (p *patient) outside(t *testing.T) *sql.DB {
	t.Helper()
	other, err := sql.Open("sqlite", "file:"+p.database()+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	other.SetMaxOpenConns(1)
	t.Cleanup(func() { other.Close() })
	return other
}

func execIn(t *testing.T, conn *sql.DB, statement string) {
	t.Helper()
	if _, err := conn.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// Who is signed in already passes while nothing can be written: that nobody has
// ended the session is still certain.
func TestLockedByAnotherProgram(t *testing.T) {
	t.Parallel()
	p := newPatient(t, t.TempDir())
	other := p.outside(t)
	execIn(t, other, "BEGIN EXCLUSIVE")
	p.refuses(t)
	p.wants(t, "locked", 200, p.gate, p.api)
	p.says(t, p.database(), "is locked by another program", "end what has it open")
	execIn(t, other, "ROLLBACK")
	p.recovered(t)
}

func TestWriteError(t *testing.T) {
	t.Parallel()
	prlimit := program(t, "", "prlimit")
	p := newPatient(t, t.TempDir())
	limit := func(bytes string) {
		if out, err := exec.Command(prlimit, "--pid", fmt.Sprint(p.cmd.Process.Pid), "--fsize="+bytes+":unlimited").CombinedOutput(); err != nil {
			t.Fatalf("prlimit: %v %s", err, out)
		}
	}
	limit("4096")
	p.refuses(t)
	signOut := func() (string, int) {
		res, err := p.browser.PostForm(p.url+"/logout", nil)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return "signing out", res.StatusCode
	}
	p.wants(t, "while nothing can be written", 503, signOut)
	p.wants(t, "while nothing can be written", 200, p.gate, p.api)
	p.says(t, p.database(), "cannot be read or written", "look at the disk")
	limit("unlimited")
	p.recovered(t)
}

// smallDisk mounts a file system of its own kind.
func smallDisk(t *testing.T) (dir, image, device string) {
	t.Helper()
	mayMount(t)
	dir, image = t.TempDir(), filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 16<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", image).CombinedOutput(); err != nil {
		missing(t, "mkfs.ext4: %v %s", err, out)
	}
	if err := mount("loop,errors=remount-ro", image, dir); err != nil {
		missing(t, "%v", err)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", dir).Run() })
	out, err := exec.Command("findmnt", "-no", "SOURCE", dir).Output()
	if err != nil {
		missing(t, "findmnt: %v", err)
	}
	return dir, image, filepath.Base(strings.TrimSpace(string(out)))
}

// mount mounts the file system that an image holds. Of two who do so at once both may take
// the same loop device: then one is told that it is busy, and tries again.
func mount(options, image, dir string) error {
	for try := 1; ; try++ {
		out, err := exec.Command("mount", "-o", options, image, dir).CombinedOutput()
		if err == nil {
			return nil
		}
		if try == 20 || !strings.Contains(string(out), "busy") {
			return fmt.Errorf("mount -o %s: %w %s", options, err, out)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// SQLite's locks work on few file systems that are not local. FUSE stands for
// them here, since it needs no second machine.
func TestNetworkFileSystem(t *testing.T) {
	t.Parallel()
	mayMount(t)
	dir, image := t.TempDir(), filepath.Join(t.TempDir(), "image")
	for _, command := range []string{"truncate -s 16M " + image, "mkfs.ext4 -q -F " + image, "fuse2fs " + image + " " + dir} {
		if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
			missing(t, "%s: %v %s", command, err, out)
		}
	}
	t.Cleanup(func() { _ = exec.Command("umount", dir).Run() })
	data := filepath.Join(dir, "data")
	p := start(t, data)
	if log := p.log(); !strings.Contains(log, "network file system") || !strings.Contains(log, "FUSE") || !strings.Contains(log, "put it on a local disk") {
		t.Errorf("no warning in %s", log)
	}
	if out, _, _ := execute(t, data, "", "doctor"); !strings.Contains(out, "FUSE") || !strings.Contains(out, "Put it on a local disk") {
		t.Errorf("the doctor says: %s", out)
	}
	_ = p.signal(syscall.SIGTERM)
}

// A disk with errors is mounted read-only by the kernel, under whoever uses it.
func TestReadOnlyFileSystem(t *testing.T) {
	t.Parallel()
	disk, image, device := smallDisk(t)
	data := filepath.Join(disk, "data")
	p := newPatient(t, data)
	if err := os.WriteFile("/sys/fs/ext4/"+device+"/trigger_fs_error", []byte("1"), 0); err != nil {
		missing(t, "the kernel makes no errors: %v", err)
	}
	p.refuses(t)
	p.wants(t, "read-only", 200, p.gate, p.api)
	p.says(t, p.database(), "cannot be written", "mount its file system read-write")
	// Such a file system has to be mounted anew.
	_ = p.signal(syscall.SIGKILL)
	mountAgain := func(options string) {
		t.Helper()
		if out, err := exec.Command("umount", disk).CombinedOutput(); err != nil {
			t.Fatalf("umount: %v %s", err, out)
		}
		if err := mount(options, image, disk); err != nil {
			t.Fatal(err)
		}
	}
	mountAgain("loop") // reads its journal, which needs writing
	mountAgain("loop,ro")
	if _, errs, status := execute(t, data, "", "serve", "--listen", "127.0.0.1:0"); status != 1 ||
		!strings.Contains(errs, p.database()+" cannot be opened for writing: mount its file system read-write") {
		t.Errorf("a start on it: %d %s", status, errs)
	}
	mountAgain("loop")
	p.process = start(t, data, "LASTSEEN_TRUSTED_PROXIES=127.0.0.1")
	p.recovered(t)
}

// Where there is no room for another backup, the last one stays, no half of one
// is left, and the next is made when there is room.
func TestBackupDiskFull(t *testing.T) {
	t.Parallel()
	mayMount(t)
	data := t.TempDir()
	backups := filepath.Join(data, "backups")
	if err := os.Mkdir(backups, 0o700); err != nil {
		t.Fatal(err)
	}
	mount := func(options string) {
		t.Helper()
		if out, err := exec.Command("mount", "-t", "tmpfs", "-o", options, "lastseen-test", backups).CombinedOutput(); err != nil {
			missing(t, "cannot mount a small file system: %v %s", err, out)
		}
	}
	like, one := t.TempDir(), filepath.Join(t.TempDir(), "one.db")
	for _, args := range [][]string{{"user", "create", "admin", "--password-file", "-"}, {"backup", one}} {
		if _, errs, status := execute(t, like, "correct horse", args...); status != 0 {
			t.Fatal(errs)
		}
	}
	info, err := os.Stat(one)
	if err != nil {
		t.Fatal(err)
	}
	mount(fmt.Sprintf("size=%d", info.Size()*3/2)) // for one of them, and a half
	t.Cleanup(func() { _ = exec.Command("umount", "-l", backups).Run() })
	p := &patient{data: data}
	p.process = start(t, data, "LASTSEEN_BOOTSTRAP_PASSWORD=correct horse", "LASTSEEN_BACKUP_EVERY=1s", "LASTSEEN_BACKUP_KEEP=1")
	logged := func(message string) func() (string, int) {
		return func() (string, int) { return message, min(1, strings.Count(p.log(), message)) }
	}
	p.becomes(t, 1, logged("scheduled backup failed"))
	p.says(t, filepath.Join(backups, "lastseen-"), "", "the disk is full")
	left, err := filepath.Glob(filepath.Join(backups, "lastseen-*.db"))
	if err != nil || len(left) != 1 {
		t.Fatalf("left: %v, %v", left, err)
	}
	p.wants(t, "without room for a backup", 200, p.ready)
	mount("remount,size=4m")
	p.becomes(t, 0, func() (string, int) {
		_, err := os.Stat(left[0])
		if err == nil {
			return "the old backup", 1
		}
		return "the old backup", 0
	})
	if left, _ = filepath.Glob(filepath.Join(backups, "lastseen-*.db")); len(left) == 0 {
		t.Error("the old backup is gone, and no new one there")
	}
}

// Files that nobody may write, not even root, and then may again.
func TestFilesCannotBeWritten(t *testing.T) {
	t.Parallel()
	mayMount(t)
	p := newPatient(t, t.TempDir())
	files := []string{p.database(), p.database() + "-wal"}
	change := func(flag string) error {
		out, err := exec.Command("chattr", append([]string{flag}, files...)...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("chattr: %w %s", err, out)
		}
		return err
	}
	t.Cleanup(func() { _ = change("-i") })
	if err := change("+i"); err != nil {
		missing(t, "%v", err)
	}
	p.refuses(t)
	p.wants(t, "immutable", 200, p.gate, p.api)
	p.says(t, p.database(), "cannot be read or written", "look at the disk")
	if err := change("-i"); err != nil {
		t.Fatal(err)
	}
	p.recovered(t)
}

// damage writes over a page of a file, as a bad disk does.
func damage(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(bytes.Repeat([]byte("damage!!"), 4096/8), at); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// pageOf is where the first page of a table is in the file, all of which is there.
func (p *patient) pageOf(t *testing.T, table string) int64 {
	t.Helper()
	other := p.outside(t)
	defer other.Close()
	execIn(t, other, "PRAGMA wal_checkpoint(TRUNCATE)")
	var page int64
	if err := other.QueryRow("SELECT (rootpage - 1) * 4096 FROM sqlite_master WHERE name = $1", table).Scan(&page); err != nil {
		t.Fatal(err)
	}
	return page
}

func TestDamagedWhileStopped(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		table, problem string
		starts         bool
	}{
		{"", "is no database, or a damaged one", false}, // the file's header
		{"events", "is damaged", true},                  // which nothing reads at first
	} {
		t.Run("table "+tt.table, func(t *testing.T) {
			p := newPatient(t, t.TempDir())
			backup := filepath.Join(t.TempDir(), "backup.db")
			if _, errs, status := execute(t, p.data, "", "backup", backup); status != 0 {
				t.Fatal(errs)
			}
			at := int64(0)
			if tt.table != "" {
				at = p.pageOf(t, tt.table)
			}
			if err := p.signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			damage(t, p.database(), at)
			if tt.starts {
				p.process = start(t, p.data, "LASTSEEN_TRUSTED_PROXIES=127.0.0.1")
				p.becomes(t, 503, p.ready)
				p.wants(t, "damaged", 503, p.gate, p.api, p.stranger)
				p.says(t, p.database(), tt.problem, "lastseen restore")
				_ = p.signal(syscall.SIGTERM)
			} else if _, errs, status := execute(t, p.data, "", "serve", "--listen", "127.0.0.1:0"); status != 1 ||
				!strings.Contains(errs, p.database()+" "+tt.problem) || !strings.Contains(errs, "lastseen restore") {
				t.Errorf("serve: %d %s", status, errs)
			}
			if out, errs, status := execute(t, p.data, "", "doctor"); status != 1 || !strings.Contains(out+errs, tt.problem) || !strings.Contains(strings.ToLower(out+errs), "stop the server") {
				t.Errorf("the doctor: %d %s %s", status, out, errs)
			}
			// The remedy that it names works.
			if _, errs, status := execute(t, p.data, "", "restore", "--keep-sessions", backup); status != 0 {
				t.Fatal(errs)
			}
			p.process = start(t, p.data, "LASTSEEN_TRUSTED_PROXIES=127.0.0.1")
			p.recovered(t)
		})
	}
}

func TestDamagedWhileRunning(t *testing.T) {
	t.Parallel()
	p := newPatient(t, t.TempDir())
	damage(t, p.database(), p.pageOf(t, "users"))
	p.becomes(t, 503, func() (string, int) { return "signing in", p.signIn(browser(t), "admin", "correct horse") })
	p.refuses(t)
	p.wants(t, "damaged", 503, p.gate, p.api, p.stranger)
	p.says(t, p.database(), "is damaged", "lastseen restore")
}

func TestFilesTakenAway(t *testing.T) {
	t.Parallel()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		t.Run("lastseen.db"+suffix, func(t *testing.T) {
			p := newPatient(t, t.TempDir())
			file := p.database() + suffix
			if err := os.Rename(file, file+".away"); err != nil {
				t.Fatal(err)
			}
			p.becomes(t, 503, p.gate)
			p.refuses(t)
			p.wants(t, "taken away", 503, p.gate, p.api, p.stranger)
			p.says(t, file, "was deleted or moved", "move it back")
			if _, err := os.Stat(file); err == nil {
				t.Error("it made another one")
			}
			if err := os.Rename(file+".away", file); err != nil {
				t.Fatal(err)
			}
			p.recovered(t)
		})
	}
}

// With another database in the place of the open one, commands would end
// sessions there that still passed here.
func TestDatabaseReplaced(t *testing.T) {
	t.Parallel()
	p := newPatient(t, t.TempDir())
	copied := p.database() + ".copy"
	if _, errs, status := execute(t, p.data, "", "backup", copied); status != 0 {
		t.Fatal(errs)
	}
	if err := os.Rename(copied, p.database()); err != nil {
		t.Fatal(err)
	}
	p.becomes(t, 503, p.gate)
	p.refuses(t)
	p.wants(t, "replaced", 503, p.gate, p.api, p.stranger)
	p.says(t, p.database(), "was replaced", "start the server anew")
}

// The file that processes share memory through is cut to nothing, or to a part: a read of
// what is gone would end the process. Everything is refused instead, until it starts anew.
func TestSharedMemoryIsCut(t *testing.T) {
	for _, size := range []int64{0, 100, 4096} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			p := newPatient(t, t.TempDir())
			if err := os.Truncate(p.database()+"-shm", size); err != nil {
				t.Fatal(err)
			}
			p.becomes(t, 503, p.gate)
			p.wants(t, "afterwards", 503, p.gate, p.api, p.stranger, p.ready)
			time.Sleep(3 * time.Second) // the background's turn
			p.wants(t, "later", 503, p.gate, p.ready)
			p.says(t, p.database()+"-shm", "was cut short", "start the server anew")
		})
	}
}
