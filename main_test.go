package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
)

// run can be called as a function, and ends with its context.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var out, errs bytes.Buffer
	if status := run(ctx, []string{"lastseen", "version"}, os.Stdin, &out, &errs, nil); status != 0 || !strings.HasPrefix(out.String(), "lastseen ") {
		t.Errorf("version: %d %s %s", status, out.String(), errs.String())
	}
	cancel()
	if status := run(ctx, []string{"lastseen", "serve", "--data", t.TempDir(), "--listen", "127.0.0.1:0"}, os.Stdin, &out, &errs, nil); status == 2 {
		t.Errorf("a context that has ended is no wrong usage: %s", errs.String())
	}
}
