package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image/png"
	"net/url"
	"os"
	"regexp"
	"testing"

	"lastseen/web/browsertest"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// What a phone needs to put the pages on its home screen is there for everybody.
func TestHomeScreen(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	_, login := ts.get(nil, "/login")
	find := func(expression string) string {
		t.Helper()
		m := regexp.MustCompile(expression).FindStringSubmatch(login)
		if m == nil {
			t.Fatalf("no %s in %s", expression, login)
		}
		return m[1]
	}
	icon := func(path, contentType, sizes string) {
		t.Helper()
		res, body := ts.get(nil, path)
		if got := res.Header.Get("Content-Type"); res.StatusCode != 200 || got != contentType {
			t.Errorf("%s: got %d %s, want 200 %s", path, res.StatusCode, got, contentType)
		}
		if contentType != "image/png" {
			return
		}
		img, err := png.Decode(bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if got := fmt.Sprintf("%dx%d", img.Bounds().Dx(), img.Bounds().Dy()); got != sizes || len(body) > 4096 {
			t.Errorf("%s: got %s in %d bytes, want %s in 4096 or fewer", path, got, len(body), sizes)
		}
	}
	icon(find(`rel="apple-touch-icon" href="([^"]+)"`), "image/png", "180x180")

	res, body := ts.get(nil, find(`rel="manifest" href="([^"]+)"`))
	if got := res.Header.Get("Content-Type"); got != "application/manifest+json" {
		t.Errorf("the manifest's content type: got %s", got)
	}
	var manifest struct {
		StartURL   string `json:"start_url"`
		ThemeColor string `json:"theme_color"`
		Background string `json:"background_color"`
		Icons      []struct{ Src, Type, Sizes, Purpose string }
	}
	if err := json.Unmarshal([]byte(body), &manifest); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, i := range manifest.Icons {
		icon(i.Src, i.Type, i.Sizes)
		found[i.Purpose+i.Sizes] = true
	}
	for _, want := range []string{"192x192", "512x512", "maskable192x192", "maskable512x512"} {
		if !found[want] {
			t.Errorf("no icon %s", want)
		}
	}

	// The frame around the pages has their colours.
	css, err := os.ReadFile("view/static/app.css")
	if err != nil {
		t.Fatal(err)
	}
	panels := regexp.MustCompile(`--(?:page|panel): (#[0-9a-f]+);`).FindAllStringSubmatch(string(css), -1)
	light, dark := `<meta name="theme-color" content="`+panels[1][1]+`"`, `<meta name="theme-color" content="`+panels[3][1]+`"`
	if manifest.Background != panels[0][1] || manifest.ThemeColor != panels[1][1] {
		t.Errorf("the manifest has %s and %s, the pages %v", manifest.Background, manifest.ThemeColor, panels[:2])
	}
	for theme, want := range map[string][2]string{
		"":      {light + ` media="(prefers-color-scheme: light)">`, dark + ` media="(prefers-color-scheme: dark)">`},
		"light": {light + ">", ""},
		"dark":  {"", dark + ">"},
	} {
		_, body := ts.get(nil, "/login", "Cookie", "theme="+theme)
		metas := regexp.MustCompile(`<meta name="theme-color"[^>]*>`).FindAllString(body, -1)
		var wanted []string
		for _, w := range want {
			if w != "" {
				wanted = append(wanted, w)
			}
		}
		if fmt.Sprint(metas) != fmt.Sprint(wanted) {
			t.Errorf("theme %q: got %v, want %v", theme, metas, wanted)
		}
	}

	// A browser takes it, under the policy that the pages have.
	ctx := browsertest.Start(t)
	var took page.GetAppManifestResult
	err = chromedp.Do(ctx, chromedp.Navigate(ts.url+"/login"), chromedp.Func(func(ctx context.Context, target *chromedp.Target) (err error) {
		took, err = cdp.Call(ctx, target, page.GetAppManifest, page.GetAppManifestParams{})
		return err
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range took.Errors {
		t.Errorf("the manifest: %s", e.Message)
	}
	start, err := url.Parse(ts.url + manifest.StartURL)
	if err != nil || took.Manifest == nil || took.Manifest.StartURL != start.String() || len(took.Manifest.Icons) != len(manifest.Icons) {
		t.Errorf("the browser read %+v, %v", took.Manifest, err)
	}
}
