// Package browsertest shows pages to a real browser, for tests.
package browsertest

import (
	"context"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// Screens is a directory for pictures of every page, by the flag -screens; "" for none.
var Screens = flag.String("screens", "", "directory for pictures of every page")

// Hostile is what strangers put into user agents, names and organisations.
const Hostile = `<script>alert(1)</script>"'><img src=x onerror=alert(2)>` + "\u202e\u2069gnp.exe\x00\u0007{{.}}%s%!d"

// Start starts headless Chromium. Where there is none the test is skipped, or fails when
// LASTSEEN_TEST_REQUIRE is 1. Whatever a page then writes to its console, such as a breach
// of the policy, fails the test.
func Start(t *testing.T, more ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	alloc, cancel := chromedp.NewExecAllocator(t.Context(), append([]chromedp.ExecAllocatorOption{chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck}, more...)...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		if os.Getenv("LASTSEEN_TEST_REQUIRE") == "1" {
			t.Fatalf("no browser: %v", err)
		}
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

// Look makes the browser's window as wide, and its colours and zone as told.
func Look(width int64, theme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}},
		})
		if err == nil {
			_, err = cdp.Call(ctx, target, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Europe/Berlin"})
		}
		if err != nil {
			return err
		}
		_, err = chromedp.Run(ctx, chromedp.EmulateViewport(width, 900))
		return err
	})
}

// Value is what an expression of JavaScript comes to on the page, which is a string.
func Value(t *testing.T, ctx context.Context, expression string) string {
	t.Helper()
	s, err := chromedp.Run(ctx, chromedp.Evaluate[string](expression))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// SignIn fills in the form of the sign-in page, and sends it.
func SignIn(name, password string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		return chromedp.Do(ctx, chromedp.SendKeys(chromedp.CSS("#username"), name), chromedp.SendKeys(chromedp.CSS("#password"), password),
			chromedp.Click(chromedp.CSS("form button.main")))
	})
}
