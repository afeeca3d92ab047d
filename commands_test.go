package main

import (
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
