package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	data, dir := t.TempDir(), t.TempDir()
	p := start(t, data, "LASTSEEN_BOOTSTRAP_PASSWORD=correct horse")
	b := browser(t)
	if got := p.signIn(b, "admin", "correct horse"); got != 303 {
		t.Fatalf("sign in: got %d", got)
	}
	link, errs, _ := execute(t, data, "", "user", "invite")
	if link = strings.TrimSpace(link); !strings.Contains(link, "/link/") {
		t.Fatalf("invite: got %q %s", link, errs)
	}
	_, token, _ := strings.Cut(link, "/link/")
	file := filepath.Join(dir, "copy.db")
	must := func(status int, want string, args ...string) {
		t.Helper()
		_, errs, got := execute(t, data, "another horse\n", args...)
		if got != status || !strings.Contains(errs, want) {
			t.Errorf("%v: got %d %s, want %d %q", args, got, errs, status, want)
		}
	}
	must(0, file+" is written, ", "backup", file)
	must(0, " MB, in the place of the one of ", "backup", file)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup: %v, %v", info, err)
	}
	foreign := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(foreign, []byte("keep me"), 0o600); err != nil {
		t.Fatal(err)
	}
	must(1, "will not replace", "backup", foreign)
	must(1, "no backup", "backup", filepath.Join(data, "lastseen.db"))
	if got, body := p.get(b, "/-/health/ready/"); got != 204 && got != 200 {
		t.Errorf("after that the server is not ready: %d %s", got, body)
	}
	must(1, "a server runs on", "restore", file)
	must(0, "", "user", "create", "later", "--password-file", "-")
	if err := p.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}

	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "text": []byte("no database"), "half": content[:len(content)/2],
		"scribbled": append(append(append([]byte{}, content[:8192]...), bytes.Repeat([]byte{0xaa}, 8192)...), content[16384:]...),
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		must(1, path, "restore", path)
	}
	must(1, "no such file", "restore", filepath.Join(dir, "missing"))
	must(1, "is a directory", "restore", dir)
	if out, _, _ := execute(t, data, "", "user", "list"); !strings.Contains(out, "later") {
		t.Errorf("a refused restore changed something: %s", out)
	}

	must(1, "no backup", "backup", filepath.Join(data, "lastseen.db")) // though nobody uses it now

	if os.Getuid() == 0 { // who restores as root leaves the database to the service's user
		if err := os.Chown(data, 4321, 4321); err != nil {
			t.Fatal(err)
		}
	}
	must(0, "everybody is signed out", "restore", file)
	if info, err := os.Stat(filepath.Join(data, "lastseen.db")); err != nil || os.Getuid() == 0 && info.Sys().(*syscall.Stat_t).Uid != 4321 {
		t.Errorf("the owner of the database: got %+v, %v, want that of its directory", info, err)
	}
	if out, _, _ := execute(t, data, "", "user", "list"); strings.Contains(out, "later") || !strings.Contains(out, "admin") {
		t.Errorf("after restore: %s", out)
	}
	if kept, _ := filepath.Glob(filepath.Join(data, "lastseen.db.before-restore-*")); len(kept) != 1 {
		t.Errorf("the old database: %v", kept)
	}
	again := start(t, data)
	again.mustBe(b, 403, "after restore")
	if got, _ := again.get(b, "/link/"+token); got != 404 { // it may have been used since
		t.Errorf("a link of the backup: got %d", got)
	}
	if err := again.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	must(0, "", "restore", file, "--keep-sessions")
	third := start(t, data)
	third.mustBe(b, 200, "after restore --keep-sessions")
	if got, _ := third.get(b, "/link/"+token); got != 200 {
		t.Errorf("a link after restore --keep-sessions: got %d", got)
	}
}

// Backups that the server makes by itself are whole, few, and can be restored.
func TestScheduledBackup(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	p := start(t, data, "LASTSEEN_BOOTSTRAP_PASSWORD=correct horse", "LASTSEEN_BACKUP_EVERY=1s", "LASTSEEN_BACKUP_KEEP=2")
	b := browser(t)
	if got := p.signIn(b, "admin", "correct horse"); got != 303 {
		t.Fatalf("sign in: got %d", got)
	}
	for signedIn := strings.Count(p.log(), "backup made"); strings.Count(p.log(), "backup made") < signedIn+3; time.Sleep(50 * time.Millisecond) {
		if strings.Contains(p.log(), "failed") {
			t.Fatal(p.log())
		}
	}
	if err := p.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(data, "backups", "*"))
	if err != nil || len(files) != 2 {
		t.Fatalf("kept: %v, %v", files, err)
	}
	if out, _, _ := execute(t, data, "", "doctor"); !strings.Contains(out, filepath.Base(files[1])) {
		t.Errorf("the doctor does not name the last one: %s", out)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(filepath.Join(data, "lastseen.db"+suffix))
	}
	if _, errs, status := execute(t, data, "", "restore", "--keep-sessions", files[1]); status != 0 {
		t.Fatal(errs)
	}
	start(t, data).mustBe(b, 200, "after a restore")
}
