package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
)

// discard is a response that nobody reads.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// What a request costs beyond net/http's own work.
func BenchmarkRequest(b *testing.B) {
	ts := newServer(b)
	sess, token := ts.session("ada", "81.2.69.142", firefox)
	key := ts.key("ada")
	retrieve := "/api/v3/core/authenticated_sessions/" + sess.UUID.String() + "/"
	for _, bench := range []struct {
		name, path string
		header     []string
	}{
		{"retrieve by key", retrieve, []string{"Authorization", "Bearer " + key}},
		{"retrieve by cookie", retrieve, []string{"Cookie", "lastseen_session=" + token}},
		{"me by cookie", "/api/v3/core/users/me/", []string{"Cookie", "lastseen_session=" + token}},
		{"health", "/-/health/live/", []string{"X", "y"}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			req := httptest.NewRequest("GET", bench.path, nil).WithContext(context.Background())
			req.Header.Set(bench.header[0], bench.header[1])
			req.Header.Set("User-Agent", firefox)
			w := &discard{}
			b.ReportAllocs()
			for b.Loop() {
				w.header = http.Header{}
				ts.ServeHTTP(w, req)
				if w.status != 200 && w.status != 0 {
					b.Fatal(w.status)
				}
			}
		})
	}
}
