package web

import (
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// counted is how many refusals the lines about floods say there were.
func (ts *testServer) counted() (sum int) {
	for _, m := range regexp.MustCompile(`msg="many requests are refused" count=(\d+)`).FindAllStringSubmatch(ts.log.String(), -1) {
		n, _ := strconv.Atoi(m[1])
		sum += n
	}
	return sum
}

// A flood of refusals is counted, whatever is refused; few have their lines, and that
// somebody is to sign in has none.
func TestFloodOfRefusals(t *testing.T) {
	t.Parallel()
	const many = 300
	for _, tt := range []struct {
		name, path string
		status     int
		lines      int // that a single one has
		header     []string
	}{
		{"nginx, to sign in", nginxPath, 401, 0, []string{"X-Original-URL", "https://grafana.home.example/"}},
		{"Traefik, to sign in", authPrefix + "traefik", 302, 0, []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", app1, "X-Forwarded-Uri", "/"}},
		{"Caddy, a script", authPrefix + "caddy", 401, 0, []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", app1, "X-Forwarded-Uri", "/", "Sec-Fetch-Mode", "cors"}},
		{"nginx, malformed", nginxPath, 400, 1, nil},
		{"nginx, not guarded", nginxPath, 403, 1, []string{"X-Original-URL", "https://other.example/"}},
		{"no page", "/none", 404, 1, nil},
		{"no key", apiPrefix + "/core/users/", 403, 1, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ts := guarded(t)
			ts.Server.log = slog.New(slog.NewTextHandler(ts.log, nil))
			ts.Server.refusals.every = time.Hour // which the test ends
			before := len(ts.log.String())
			ask := func() {
				w, r := httptest.NewRecorder(), httptest.NewRequest("GET", tt.path, nil)
				r.RemoteAddr, r.Host = "127.0.0.1:1", "auth.home.example"
				for i := 0; i < len(tt.header); i += 2 {
					r.Header.Set(tt.header[i], tt.header[i+1])
				}
				if ts.ServeHTTP(w, r); w.Code != tt.status {
					t.Fatalf("got %d %s", w.Code, w.Body)
				}
			}
			lines := func() int { return strings.Count(ts.log.String()[before:], "msg=request") }
			if ask(); lines() != tt.lines {
				t.Errorf("one has %d lines, want %d: %s", lines(), tt.lines, ts.log.String()[before:])
			}
			for range many {
				ask()
			}
			ts.Server.refusals.sum(ts.Server.log)
			if got := ts.counted(); got != many+1 {
				t.Errorf("of %d, %d were counted", many+1, got)
			}
			if got := lines(); got > refusalsShown {
				t.Errorf("%d refusals have %d lines", many, got)
			}
			had := lines()
			if ask(); lines() != had {
				t.Error("the flood goes on, and a refusal has a line")
			}
			ts.Server.refusals.sum(ts.Server.log)
			if ask(); lines() != had+tt.lines {
				t.Error("the flood is over, and a refusal has no line")
			}
		})
	}
}

// A flood has its line by itself.
func TestFloodIsTold(t *testing.T) {
	t.Parallel()
	ts := guarded(t)
	ts.Server.refusals.every = 100 * time.Millisecond
	for i := 0; i < 10_000 && ts.counted() == 0; i++ {
		ts.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/none", nil))
	}
	if ts.counted() == 0 {
		t.Error("no line says how many there were")
	}
}
