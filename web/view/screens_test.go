package view

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"lastseen/web/browsertest"

	"github.com/chromedp/chromedp"
)

// sampleServer serves every sample at /name, under the policy the product has.
func sampleServer(t *testing.T, lang string) *httptest.Server {
	t.Helper()
	p := New()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, ok := strings.CutPrefix(r.URL.Path, "/static/"); ok {
			if !p.ServeAsset(w, r, name) {
				http.NotFound(w, r)
			}
			return
		}
		for _, s := range samples() {
			if s.name == path.Base(r.URL.Path) {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "+
					"connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
				if err := p.Render(w, s.page, lang, s.data); err != nil {
					t.Error(err)
				}
				return
			}
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv
}

// TestScreens takes pictures of the pages when it is told where to put them:
//
//	go test ./web/view -run Screens -screens /tmp/screens
func TestScreens(t *testing.T) {
	if *browsertest.Screens == "" {
		t.Skip("no -screens directory")
	}
	for _, l := range []struct {
		name, lang, theme string
		width             int64
	}{
		{"1280-light", "en", "light", 1280},
		{"1280-dark", "es", "dark", 1280},
		{"768-light", "de", "light", 768},
		{"768-dark", "en", "dark", 768},
		{"360-light", "de", "light", 360},
		{"360-dark", "fr", "dark", 360},
	} {
		srv, ctx := sampleServer(t, l.lang), browsertest.Start(t)
		for _, s := range samples() {
			if err := chromedp.Do(ctx, browsertest.Look(l.width, l.theme), chromedp.Navigate(srv.URL+"/"+s.name)); err != nil {
				t.Fatalf("%s %s: %v", l.name, s.name, err)
			}
			wide, err := chromedp.Run(ctx, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`))
			if err != nil || wide > l.width {
				t.Errorf("%s %s: page is %d wide, scrolls sideways: %v", l.name, s.name, wide, err)
			}
			png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
			if err != nil {
				t.Fatalf("%s %s: %v", l.name, s.name, err)
			}
			if err := os.WriteFile(filepath.Join(*browsertest.Screens, s.name+"-"+l.name+".png"), png, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
