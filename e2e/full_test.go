package e2e

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDiskFull serves from a file system of two megabytes that is then filled:
// the server says so, refuses what it cannot store, and goes on by itself when
// there is room again.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	mayMount(t)
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=2m", "lastseen-test", data).CombinedOutput(); err != nil {
		missing(t, "cannot mount a small file system: %v %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", data).Run() })
	p := start(t, data, "LASTSEEN_BOOTSTRAP_PASSWORD=correct horse")
	b := browser(t)
	if got := p.signIn(b, "admin", "correct horse"); got != http.StatusSeeOther {
		t.Fatalf("sign in: got %d", got)
	}
	ready := func() int {
		status, _ := p.get(browser(t), "/-/health/ready/")
		return status
	}
	if got := ready(); got != 200 {
		t.Fatalf("ready: got %d", got)
	}

	filler := filepath.Join(data, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	block := []byte(strings.Repeat("x", 4096))
	for {
		if _, err := f.Write(block); err != nil {
			break
		}
	}
	f.Close()

	// What the write-ahead log still has room for goes on; then it must refuse.
	refused := 0
	for range 60 {
		res, err := browser(t).PostForm(p.url+"/login", url.Values{"username": {"admin"}, "password": {"correct horse"}})
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode == http.StatusServiceUnavailable {
			refused++
			break
		}
		if res.StatusCode != http.StatusSeeOther {
			t.Fatalf("on a full disk: got %d", res.StatusCode)
		}
	}
	if refused == 0 {
		t.Fatal("a full disk was never noticed")
	}
	again := false
	for range 15 { // at most every ten seconds it writes to find out
		if again = ready() == 503; again {
			break
		}
		time.Sleep(time.Second)
	}
	if !again {
		t.Error("ready on a full disk")
	}
	p.mustBe(b, 200, "a session that was there before, on a full disk")
	if !strings.Contains(p.log(), "full") {
		t.Errorf("nothing in the log says that the disk is full:\n%s", p.log())
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if got := p.signIn(browser(t), "admin", "correct horse"); got != http.StatusSeeOther {
		t.Errorf("with room again: got %d", got)
	}
	if got := ready(); got != 200 {
		t.Errorf("ready, with room again: got %d", got)
	}
}
