package e2e

import (
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"
	"unsafe"
)

// onTerminal runs a command on a terminal where somebody types input, and returns all
// that it printed there.
func onTerminal(t *testing.T, data, input string, args ...string) (printed string, status int) {
	t.Helper()
	return onTerminalOf(t, 0, data, input, args...)
}

// onTerminalOf does so on a terminal of that many columns; 0 leaves them unsaid.
func onTerminalOf(t *testing.T, columns uint16, data, input string, args ...string) (printed string, status int) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		missing(t, "no terminal to be had: %v", err)
	}
	defer screen.Close()
	var locked, n int32
	for request, value := range map[uintptr]*int32{syscall.TIOCSPTLCK: &locked, syscall.TIOCGPTN: &n} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, screen.Fd(), request, uintptr(unsafe.Pointer(value))); errno != 0 {
			t.Fatal(errno)
		}
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		missing(t, "no terminal to be had: %v", err)
	}
	size := [4]uint16{24, columns}
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, screen.Fd(), syscall.TIOCSWINSZ, uintptr(unsafe.Pointer(&size))); errno != 0 {
		t.Fatal(errno)
	}
	cmd := command(t, []string{"LASTSEEN_DATA=" + data}, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	if _, err := io.WriteString(screen, input); err != nil {
		t.Fatal(err)
	}
	all, _ := io.ReadAll(screen) // ends with an error when the command has left
	_ = cmd.Wait()
	return string(all), cmd.ProcessState.ExitCode()
}

// What ends many sessions or accounts asks first on a terminal, and nowhere else.
func TestAsksFirst(t *testing.T) {
	t.Parallel()
	data, dir := t.TempDir(), t.TempDir()
	must := func(args ...string) string {
		t.Helper()
		out, errs, status := execute(t, data, "correct horse", args...)
		if status != 0 {
			t.Fatalf("%v: %d %s", args, status, errs)
		}
		return out
	}
	must("user", "create", "ada", "--superuser", "--password-file", "-")
	copied := dir + "/copy.db"
	must("backup", copied)
	gone := true
	for _, line := range []string{"session revoke-all", "session revoke-all --user ada", "user delete zoe", "restore " + copied, "backup " + copied} {
		for _, tt := range []struct {
			flag, typed string
			asked       bool
			status      int
		}{{"", "\n", true, 1}, {"", "n\n", true, 1}, {"", "yes, no\n", true, 1}, {"", "y\n", true, 0}, {"", "YES\n", true, 0}, {"--yes", "", false, 0}} {
			if gone {
				must("user", "create", "zoe", "--password-file", "-")
			}
			args := strings.Fields(line + " " + tt.flag)
			printed, status := onTerminal(t, data, tt.typed, args...)
			if status != tt.status || strings.Contains(printed, "Go on?") != tt.asked || strings.Contains(printed, "nothing was changed") != (status == 1) {
				t.Errorf("%v, typed %q: got %d %s, want %d", args, tt.typed, status, printed, tt.status)
			}
			if gone = !strings.Contains(must("user", "list"), "zoe"); gone != (status == 0 && (strings.HasPrefix(line, "user") || strings.HasPrefix(line, "restore"))) {
				t.Errorf("%v, typed %q: zoe is gone: %v", args, tt.typed, gone)
			}
		}
	}
	must("alert", "add", "ntfy://h.example/t")
	if piped := must("alert", "list"); !strings.HasPrefix(piped, "1  ntfy://h.example") {
		t.Errorf("the targets, piped: %s", piped)
	}
	if printed, _ := onTerminal(t, data, "", "alert", "list"); !strings.HasPrefix(printed, "ID  TARGET ") {
		t.Errorf("the targets on a terminal: %s", printed)
	}
	if printed, status := onTerminal(t, data, "", "backup", dir+"/another.db"); status != 0 || strings.Contains(printed, "Go on?") {
		t.Errorf("a backup where there is none: got %d %s", status, printed)
	}
	must("session", "revoke-all")
	must("restore", copied)
	must("backup", copied)
	if printed, status := onTerminal(t, data, "", "backup", "-"); status != 2 || strings.Contains(printed, "SQLite format") {
		t.Errorf("a backup to a terminal: got %d %.100q, want 2", status, printed)
	}
}

// At 80 columns the sessions still say which device, where, when and how to name them.
func TestSessionsOnATerminal(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	p := start(t, data, "LASTSEEN_BOOTSTRAP_PASSWORD=correct horse", "LASTSEEN_BOOTSTRAP_USERNAME=somebody.with-a-rather-long-name")
	for range 2 {
		p.signIn(browser(t), "somebody.with-a-rather-long-name", "correct horse")
	}
	wide, _, _ := execute(t, data, "", "session", "list")
	uuid, _, _ := strings.Cut(strings.Split(wide, "\n")[1], " ")
	printed, status := onTerminalOf(t, 80, data, "", "session", "list")
	for _, want := range []string{uuid[:8] + "  just now", "DEVICE", "PLACE", "Go-http-client"} {
		if !strings.Contains(printed, want) || status != 0 {
			t.Errorf("at 80 columns: %q is not in %s", want, printed)
		}
	}
	doctor, _ := onTerminalOf(t, 80, data, "", "doctor")
	for line := range strings.SplitSeq(printed+doctor, "\r\n") {
		if utf8.RuneCountInString(line) > 80 && strings.Contains(strings.TrimSpace(line), " ") { // a path is not broken
			t.Errorf("wider than 80 columns: %s", line)
		}
	}
	if piped, _, _ := execute(t, data, "", "doctor"); strings.Count(piped, "\n") >= strings.Count(doctor, "\n") {
		t.Errorf("piped it is broken too: %s", piped)
	}
	if strings.Contains(printed, uuid) {
		t.Errorf("the whole UUID at 80 columns: %s", printed)
	}
	if printed, status := onTerminalOf(t, 80, data, "", "session", "revoke", uuid[:8]); status != 0 || !strings.Contains(printed, "Ended the session of somebody.with-a-rather-long-name: Go-http-client") {
		t.Errorf("revoked by eight characters: %d %s", status, printed)
	}
}
