package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"lastseen/app"
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
	ts := guarded(b, "apps=*.home.example,"+wiki)
	sess, token := ts.session("ada", "81.2.69.142", firefox)
	key := ts.key("ada")
	ts.open(app1, "/public/*")
	secret, state := app.NewState()
	code, err := ts.app.GrantCode(b.Context(), sess.UUID, wiki, state, "https://"+wiki+"/")
	if err != nil {
		b.Fatal(err)
	}
	ownToken, _, _, err := ts.app.RedeemCode(b.Context(), wiki, code, secret, true, app.Client{})
	if err != nil {
		b.Fatal(err)
	}
	retrieve := "/api/v3/core/authenticated_sessions/" + sess.UUID.String() + "/"
	for _, bench := range []struct {
		name, path string
		header     []string
	}{
		{"retrieve by key", retrieve, []string{"Authorization", "Bearer " + key}},
		{"retrieve by cookie", retrieve, []string{"Cookie", "lastseen_session=" + token}},
		{"me by cookie", "/api/v3/core/users/me/", []string{"Cookie", "lastseen_session=" + token}},
		{"gate by cookie", "/outpost.goauthentik.io/auth/nginx", []string{"Cookie", "lastseen_session=" + token, "X-Original-URL", "https://grafana.home.example/d/1?x=y"}},
		{"gate by an app's cookie", "/outpost.goauthentik.io/auth/nginx", []string{"Cookie", "__Host-lastseen_app=" + ownToken, "X-Original-URL", "https://" + wiki + "/d/1?x=y"}},
		{"gate, open path", "/outpost.goauthentik.io/auth/nginx", []string{"X-Original-URL", "https://grafana.home.example/public/x"}},
		{"health", "/-/health/live/", []string{"X", "y"}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			req := httptest.NewRequest("GET", bench.path, nil).WithContext(context.Background())
			for i := 0; i < len(bench.header); i += 2 {
				req.Header.Set(bench.header[i], bench.header[i+1])
			}
			req.RemoteAddr, req.Host = "127.0.0.1:1", "auth.home.example"
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
