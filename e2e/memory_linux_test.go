package e2e

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// kilobytes is a line of /proc/PID/status.
func (p *process) kilobytes(name string) (n int) {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), name+":")
	fmt.Sscan(rest, &n)
	return n
}

// What eight sign-ins at once took is given back by itself.
func TestMemoryComesBack(t *testing.T) {
	if race {
		t.Skip("the detector's own memory stays")
	}
	t.Parallel()
	p := start(t, t.TempDir(), "LASTSEEN_BOOTSTRAP_PASSWORD=correct horse")
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			if got := p.signIn(browser(t), "admin", "correct horse"); got != 303 {
				t.Errorf("sign-in: got %d", got)
			}
		})
	}
	wait.Wait()
	if most := p.kilobytes("VmHWM"); most < 40<<10 {
		t.Errorf("at most %d kB: this tries nothing", most)
	}
	for range 300 {
		if p.kilobytes("RssAnon") < 16<<10 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("%d kB stay", p.kilobytes("RssAnon"))
}
