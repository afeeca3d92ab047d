package main

import (
	"bytes"
	"context"
	"net/netip"
	"net/url"
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

// The first link is one that can be reached, or says how.
func TestSetupText(t *testing.T) {
	for _, tt := range []struct{ public, listen, says, never string }{
		{"http://127.0.0.1:9000", "127.0.0.1:9000", "  ssh -L 9000:127.0.0.1:9000 ", "another machine at"},
		{"http://[::1]:9000", "[::1]:9000", "  ssh -L 9000:[::1]:9000 ", "another machine at"},
		{"http://localhost:9000", "[::]:9000", "/setup?token=x\n", "ssh"},
		{"http://192.168.1.5:9000", "192.168.1.5:9000", "  http://192.168.1.5:9000/setup?token=x\n", "another machine"},
		{"https://auth.home.example", "127.0.0.1:9000", "  https://auth.home.example/setup?token=x\n", "another machine"},
	} {
		public, err := url.Parse(tt.public)
		if err != nil {
			t.Fatal(err)
		}
		if got := setupText(public, netip.MustParseAddrPort(tt.listen), "/setup?token=x"); !strings.Contains(got, tt.says) || strings.Contains(got, tt.never) {
			t.Errorf("%s at %s: got %s", tt.public, tt.listen, got)
		}
	}
}
