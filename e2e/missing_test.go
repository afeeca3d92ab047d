package e2e

import (
	"os"
	"os/exec"
	"runtime"
	"testing"
)

// missing ends a test for want of something outside this repository: it is left out,
// unless LASTSEEN_TEST_REQUIRE says that it must not be.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("LASTSEEN_TEST_REQUIRE") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// asRoot leaves out a test, in CI too, for anybody but root on Linux.
func asRoot(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("only root on Linux can do this")
	}
}

// mayMount leaves it out, too, for a root who may not even mount a file system in memory,
// as in most containers. What else is in the way of a mount is something missing.
func mayMount(t *testing.T) {
	t.Helper()
	asRoot(t)
	// This mount is of the command alone, and gone with it.
	mount := exec.Command(program(t, "", "unshare"), "--mount", "mount", "-t", "tmpfs", "lastseen-test", t.TempDir())
	if out, err := mount.CombinedOutput(); err != nil {
		t.Skipf("root cannot mount here: %v %s", err, out)
	}
}
