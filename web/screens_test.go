package web

import (
	"context"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

var screens = flag.String("screens", "", "directory for pictures of every sample page")

// sampleServer serves every sample at /name, under the policy the product has.
func sampleServer(t *testing.T, lang string) *httptest.Server {
	t.Helper()
	p := newPages()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, ok := strings.CutPrefix(r.URL.Path, "/static/"); ok {
			if !p.serveAsset(w, r, name) {
				http.NotFound(w, r)
			}
			return
		}
		for _, s := range samples() {
			if s.name == path.Base(r.URL.Path) {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "+
					"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
				if err := p.render(w, s.page, lang, s.data); err != nil {
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

// browser starts headless Chromium, or skips the test where there is none. Whatever a
// page then writes to its console, such as a breach of the policy, fails the test.
func browser(t *testing.T) context.Context {
	t.Helper()
	alloc, cancel := chromedp.NewExecAllocator(t.Context(), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Skipf("no browser: %v", err)
	}
	ctx, cancel = context.WithTimeout(ctx, 3*time.Minute)
	read := make(chan struct{})
	messages := chromedp.Console(ctx)
	go func() {
		defer close(read)
		for m, err := range messages {
			if err != nil {
				return
			}
			t.Errorf("console: %v (%s)", m, m.URL)
		}
	}()
	t.Cleanup(func() { cancel(); <-read })
	return ctx
}

// look makes the browser's window as wide, and its colours and zone as told.
func look(width int64, theme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}},
		})
		if err == nil {
			_, err = cdp.Call(ctx, t, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Europe/Berlin"})
		}
		if err != nil {
			return err
		}
		_, err = chromedp.Run(ctx, chromedp.EmulateViewport(width, 900))
		return err
	})
}

// TestScreens takes pictures of the pages when it is told where to put them:
//
//	go test ./web -run Screens -screens /tmp/screens
func TestScreens(t *testing.T) {
	if *screens == "" {
		t.Skip("no -screens directory")
	}
	for _, l := range []struct {
		name, lang, theme string
		width             int64
	}{
		{"1280-light", "en", "light", 1280},
		{"1280-dark", "en", "dark", 1280},
		{"360-light", "de", "light", 360},
		{"360-dark", "en", "dark", 360},
	} {
		srv, ctx := sampleServer(t, l.lang), browser(t)
		for _, s := range samples() {
			if err := chromedp.Do(ctx, look(l.width, l.theme), chromedp.Navigate(srv.URL+"/"+s.name)); err != nil {
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
			if err := os.WriteFile(filepath.Join(*screens, s.name+"-"+l.name+".png"), png, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
