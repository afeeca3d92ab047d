package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A command that only holds others does nothing alone: a script that forgot the
// rest must not go on as if all were well. Who asks for help gets it.
func TestGroupsOfCommands(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	for line, status := range map[string]int{
		"user": 2, "user group": 2, "token": 2, "session": 2, "rule": 2, "geoip": 2, "--data /nowhere user": 2,
		"help nonsense": 2, "user help nonsense": 2,
		"": 0, "help": 0, "--help": 0, "user help": 0, "user --help": 0, "help user": 0, "user group help": 0, "user create --help": 0,
	} {
		out, errs, got := execute(t, data, "", strings.Fields(line)...)
		if got != status || (status == 0) != strings.Contains(out, "USAGE:") || (status == 0) != (errs == "") {
			t.Errorf("lastseen %s: exit status %d, want %d; printed %q and %q", line, got, status, out, errs)
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
