package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Somebody who is not root.
const uid, gid = 4321, 4322

// asOthers has commands run by other users, in a directory that they can reach.
func asOthers(t *testing.T) (base string, as func(uid, gid uint32, data string, args ...string) (out string, status int)) {
	t.Helper()
	asRoot(t)
	base, err := os.MkdirTemp("", "lastseen-test-") // the test's own directories are for its user alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	bin := filepath.Join(base, "lastseen")
	if err := errors.Join(os.Chmod(base, 0o755), os.Link(plain, bin)); err != nil {
		t.Fatal(err)
	}
	return base, func(uid, gid uint32, data string, args ...string) (string, int) {
		t.Helper()
		cmd := exec.Command(bin, append([]string{"--data", data}, args...)...)
		cmd.Env = []string{"LASTSEEN_LISTEN=127.0.0.1:0"}
		cmd.Dir = base
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
		cmd.Stdin = strings.NewReader("correct horse")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return out.String(), cmd.ProcessState.ExitCode()
	}
}

// What root's commands make in the data directory of another is theirs: the server can
// read it.
func TestRootBesideAnother(t *testing.T) {
	t.Parallel()
	base, as := asOthers(t)
	for name, tt := range map[string]struct{ theirs, roots [][]string }{
		"a key":          {[][]string{{"user", "create", "ada", "--superuser", "--password-file", "-"}}, [][]string{{"alert", "add", "webhook+http://127.0.0.1:1/"}}},
		"a database":     {nil, [][]string{{"user", "create", "ada", "--superuser", "--password-file", "-"}, {"alert", "add", "webhook+http://127.0.0.1:1/"}}},
		"a restored one": {nil, [][]string{{"--data", filepath.Join(base, "other"), "user", "create", "ada", "--superuser", "--password-file", "-"}, {"--data", filepath.Join(base, "other"), "alert", "add", "webhook+http://127.0.0.1:1/"}, {"--data", filepath.Join(base, "other"), "backup", "--with-key", filepath.Join(base, "backup")}, {"restore", filepath.Join(base, "backup")}}},
	} {
		t.Run(name, func(t *testing.T) {
			data := filepath.Join(base, name)
			if err := errors.Join(os.Mkdir(data, 0o700), os.Chown(data, uid, gid)); err != nil {
				t.Fatal(err)
			}
			for _, args := range tt.theirs {
				if out, status := as(uid, gid, data, args...); status != 0 {
					t.Fatal(out)
				}
			}
			for _, args := range tt.roots {
				if out, status := as(0, 0, data, args...); status != 0 {
					t.Fatal(out)
				}
			}
			entries, err := os.ReadDir(data)
			if err != nil || len(entries) == 0 {
				t.Fatal(entries, err)
			}
			for _, entry := range entries {
				info, err := entry.Info()
				if err != nil {
					t.Fatal(err)
				}
				if owner := info.Sys().(*syscall.Stat_t); owner.Uid != uid || owner.Gid != gid {
					t.Errorf("%s is of %d:%d", entry.Name(), owner.Uid, owner.Gid)
				}
			}
		})
	}
}

// Whoever may not use the data directory is told of the file, of who they are and of
// what to do, by every command, and never that another server runs.
func TestDataDirectoryOfAnother(t *testing.T) {
	t.Parallel()
	base, as := asOthers(t)
	must := func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, tt := range []struct {
		name, file, problem string // what is refused, under the data directory
		readOnly            bool
		prepare             func(data string)
	}{
		{"root's", "lastseen.lock", "permission denied", false, func(string) {}},
		{"root's, open to all", "lastseen.lock", "permission denied", false, func(data string) { must(os.Chmod(data, 0o755)) }},
		{"root's, to pass through", "", "permission denied", false, func(data string) { must(os.Chmod(data, 0o711)) }},
		{"root's, empty", "lastseen.lock", "permission denied", false, func(data string) { must(os.RemoveAll(data), os.Mkdir(data, 0o700)) }},
		{"the lock is root's", "lastseen.lock", "permission denied", false, func(data string) {
			must(os.Chown(data, uid, gid), os.Chown(data+"/lastseen.db", uid, gid))
		}},
		{"without rights of its owner", "lastseen.lock", "permission denied", false, func(data string) {
			must(os.Remove(data+"/lastseen.lock"), os.Chown(data, uid, gid), os.Chmod(data, 0o500))
		}},
		{"in a directory of root's", "", "permission denied", false, func(data string) { must(os.RemoveAll(data)) }},
		{"read-only", "lastseen.lock", "read-only file system", true, func(data string) { must(os.Remove(data + "/lastseen.lock")) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			data := filepath.Join(base, fmt.Sprint(i))
			must(os.Mkdir(data, 0o700))
			if tt.readOnly {
				mayMount(t)
				if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=4m", "lastseen-test", data).CombinedOutput(); err != nil {
					missing(t, "cannot mount: %v %s", err, out)
				}
				t.Cleanup(func() { _ = exec.Command("umount", "-l", data).Run() })
			}
			if out, status := as(0, 0, data, "user", "create", "ada", "--password-file", "-"); status != 0 {
				t.Fatal(out)
			}
			must(os.WriteFile(data+".copy", nil, 0o644))
			tt.prepare(data)
			remedy := fmt.Sprintf("chown -R %d:%d %s", uid, gid, data)
			if tt.readOnly {
				remedy = "mount its file system read-write"
				if out, err := exec.Command("mount", "-o", "remount,ro", data).CombinedOutput(); err != nil {
					missing(t, "cannot mount: %v %s", err, out)
				}
			}
			user := uint32(uid)
			if tt.readOnly {
				user = 0
			}
			for _, args := range [][]string{{"serve"}, {"user", "create", "bob", "--password-file", "-"}, {"restore", data + ".copy"}} {
				out, status := as(user, gid, data, args...)
				for _, want := range []string{fmt.Sprintf("as user %d", user), filepath.Join(data, tt.file) + ": " + tt.problem, remedy} {
					if !strings.Contains(out, want) || status != 1 || strings.Contains(out, "another lastseen") {
						t.Errorf("%v: got %d %s, want 1 and %q", args, status, out, want)
					}
				}
			}
			if tt.readOnly {
				return
			}
			// What it says helps.
			if out, err := exec.Command("sh", "-c", fmt.Sprintf("mkdir -p %[1]s && chown -R %[2]d:%[3]d %[1]s && chmod 0700 %[1]s", data, uid, gid)).CombinedOutput(); err != nil {
				t.Fatalf("%v %s", err, out)
			}
			if out, status := as(uid, gid, data, "user", "create", "bob", "--password-file", "-"); status != 0 {
				t.Errorf("after that: got %d %s", status, out)
			}
		})
	}
}
