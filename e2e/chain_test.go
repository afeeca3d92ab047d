package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// goTool runs the go command in a directory.
func goTool(t *testing.T, dir string, environ []string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program(t, "", "go"), args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), environ...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, &errs)
	}
	return string(out)
}

// A licence is told by what only its text says.
var licences = []struct{ name, says, not string }{
	{"MIT", "Permission is hereby granted, free of charge", ""},
	{"ISC", "Permission to use, copy, modify, and", ""},
	{"Apache-2.0", "Apache License, Version 2.0", ""},
	{"MPL-2.0", "Mozilla Public License, version 2.0", ""},
	{"BSD-3", "Redistribution and use in source and binary forms", ""},
	{"BSD-2", "Redistribution and use in source and binary forms", "Neither the name"},
}

// Every module whose code is in the program has a line in docs/dependencies.md,
// with the licence that it brings, and there is no other line.
func TestDependenciesAreDocumented(t *testing.T) {
	documented := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| (\S+\.\S+) \| .* \| ([^|]*) \|$`).FindAllStringSubmatch(read(t, "docs/dependencies.md"), -1) {
		documented[m[1]] = m[2]
	}
	linked := map[string]string{}
	for _, platform := range []string{"linux", "darwin", "windows"} {
		out := goTool(t, ".", []string{"GOOS=" + platform, "CGO_ENABLED=0", "GOFLAGS=-tags=nomsgpack,nethttpomithttp2"},
			"list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Dir}}{{end}}{{end}}", ".")
		for line := range strings.Lines(out) {
			if path, dir, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
				linked[path] = dir
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(linked)) {
		licence, ok := documented[path]
		delete(documented, path)
		if !ok {
			t.Errorf("docs/dependencies.md has no line for %s", path)
			continue
		}
		var text string
		for _, name := range []string{"LICENSE", "LICENSE.md", "LICENSE.txt", "COPYING"} {
			if content, err := os.ReadFile(filepath.Join(linked[path], name)); err == nil {
				text += string(content)
			}
		}
		text = strings.Join(strings.Fields(text), " ")
		for name := range strings.SplitSeq(licence, ", ") {
			known := false
			for _, l := range licences {
				if l.name == name {
					known = strings.Contains(text, l.says) && (l.not == "" || !strings.Contains(text, l.not))
				}
			}
			if !known {
				t.Errorf("%s: docs/dependencies.md says %q, its licence begins %.200q", path, name, text)
			}
		}
	}
	for path := range documented {
		t.Errorf("docs/dependencies.md has a line for %s, which is not in the program", path)
	}
}

// Two builds of the same source in different places are the same bytes. With
// LASTSEEN_TEST_REBUILD=1 the second shares no compiled package with the first.
func TestBuildIsReproducible(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds twice")
	}
	for _, tool := range []string{"make", "git"} {
		program(t, "", tool)
	}
	list, err := exec.Command("git", "ls-files", "-z").Output()
	if err != nil {
		t.Skip("not in a git checkout:", err)
	}
	var built [2][]byte
	for i := range built {
		dir := filepath.Join(t.TempDir(), strings.Repeat("elsewhere/", i+1))
		for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
			content, err := os.ReadFile(name)
			if errors.Is(err, fs.ErrNotExist) {
				continue // deleted, not yet committed
			}
			path := filepath.Join(dir, name)
			if err := errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command("make", "build", "VERSION=v0.0.0", "COMMIT=000000000000")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=", fmt.Sprintf("USER=builder%d", i), "HOME="+os.Getenv("HOME"))
		if i == 1 && os.Getenv("LASTSEEN_TEST_REBUILD") == "1" {
			cmd.Env = append(cmd.Env, "GOCACHE="+t.TempDir())
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("make build: %v\n%s", err, out)
		}
		if built[i], err = os.ReadFile(filepath.Join(dir, "bin/lastseen")); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(built[i], []byte(dir)) {
			t.Error("the program tells where it was built")
		}
	}
	if !bytes.Equal(built[0], built[1]) {
		t.Errorf("two builds differ: %d and %d bytes", len(built[0]), len(built[1]))
	}
}
