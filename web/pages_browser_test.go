package web

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lastseen/app/demo"
	"lastseen/db"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"lastseen/web/browsertest"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/uuid"
)

// demoServer serves the demo's data; ada is signed in by the cookie it returns.
func demoServer(t *testing.T) (*testServer, string) {
	t.Helper()
	ts := newServer(t)
	if err := demo.Fill(t.Context(), ts.store, agents(), now); err != nil {
		t.Fatal(err)
	}
	sess, token := ts.session("ada", "192.168.1.20", firefox)
	_ = sess
	return ts, token
}

// hostileSession is one whose agent is markup and control characters.
func hostileSession(t *testing.T, ts *testServer) db.Session {
	t.Helper()
	user := mustUser(ts, "ada")
	hash := sha256.Sum256([]byte("nobody's"))
	sess := db.Session{
		UUID: uuid.New(), UserID: user.ID, IP: netip.MustParseAddr("203.0.113.7"), Method: "password",
		Agent:   &db.Agent{String: strings.ToValidUTF8(hostile, "?"), Definitions: agents().Version(), AgentParts: db.AgentParts{Kind: "bot", Browser: hostile, OS: hostile, Device: hostile}},
		Created: now, LastUsed: now, Ends: now.Add(time.Hour), Expires: now.Add(time.Hour),
	}
	sess, err := ts.store.CreateSession(t.Context(), db.SignIn{User: user, Session: sess, TokenHash: hash[:], Event: db.Event{Created: now, Action: db.Login, Actor: hostile, SubjectID: user.ID, Context: map[string]any{}}})
	if err != nil {
		t.Fatal(err)
	}
	return sess
}

// TestRealPages opens every page of a real server in a browser: none scrolls
// sideways, writes to the console or asks anybody else for anything. With
// -screens it takes pictures.
func TestRealPages(t *testing.T) {
	t.Parallel()
	ts, token := demoServer(t)
	sess := hostileSession(t, ts)
	pages := []string{
		"/sessions", "/sessions?view=everybody", "/sessions?view=everybody&group=device&sort=place&state=all", "/sessions/" + sess.UUID.String(),
		"/sessions/" + sess.UUID.String() + "/revoke", "/sessions/revoke-others", "/sessions/revoke-chosen?view=everybody&group=user&heading=grace", "/users", "/users/3", "/tokens", "/events", "/rules", "/doctor", "/profile", "/logout", "/api/v3/", "/nowhere",
	}
	for _, l := range []struct {
		name, theme string
		width       int64
	}{{"1280-light", "light", 1280}, {"360-light", "light", 360}, {"1280-dark", "dark", 1280}, {"360-dark", "dark", 360}} {
		t.Run(l.name, func(t *testing.T) {
			ctx := browsertest.Start(t)
			if err := chromedp.Do(ctx, browsertest.Look(l.width, l.theme), setCookie(ts.url, token)); err != nil {
				t.Fatal(err)
			}
			for _, page := range pages {
				if page == "/nowhere" && l.name != "1280-light" {
					continue
				}
				if page == "/nowhere" {
					res, _ := ts.get(nil, page)
					if res.StatusCode != 404 {
						t.Errorf("%s: got %d", page, res.StatusCode)
					}
					continue
				}
				if err := chromedp.Do(ctx, chromedp.Navigate(ts.url+page)); err != nil {
					t.Fatalf("%s: %v", page, err)
				}
				wide, err := chromedp.Run(ctx, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`))
				if err != nil || wide > l.width {
					t.Errorf("%s: %d wide, scrolls sideways: %v", page, wide, err)
				}
				elsewhere, err := chromedp.Run(ctx, chromedp.Evaluate[string](
					`performance.getEntriesByType("resource").map(e => e.name).filter(n => !n.startsWith(location.origin)).join(" ")`))
				if err != nil || elsewhere != "" {
					t.Errorf("%s: asks elsewhere: %s %v", page, elsewhere, err)
				}
				if *browsertest.Screens != "" {
					png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
					if err != nil {
						t.Fatal(err)
					}
					name := "real" + strings.NewReplacer("/", "_", "?", "_", "&", "_", "=", "-", sess.UUID.String(), "uuid").Replace(page)
					if err := os.WriteFile(filepath.Join(*browsertest.Screens, fmt.Sprintf("%s-%s.png", name, l.name)), png, 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
}

// setCookie signs the browser in.
func setCookie(base, token string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		u, err := url.Parse(base)
		if err != nil {
			return err
		}
		_, err = cdp.Call(ctx, t, network.SetCookie, network.SetCookieParams{Name: sessionCookie, Value: token, Domain: u.Hostname(), Path: "/"})
		return err
	})
}

// TestSignOutElsewhere signs in with two browsers, in one of them without
// JavaScript, and signs the one out from the other.
func TestSignOutElsewhere(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	one, two := browsertest.Start(t), browsertest.Start(t)
	for _, ctx := range []context.Context{one, two} {
		err := chromedp.Do(ctx, browsertest.Look(1280, "light"), chromedp.Navigate(ts.url+"/profile"),
			browsertest.SignIn("ada", password), chromedp.WaitVisible(chromedp.CSS("#current_password")))
		if err != nil {
			t.Fatal(err)
		}
	}
	err := chromedp.Do(one, chromedp.Navigate(ts.url+"/sessions"), chromedp.Click(chromedp.CSS("table.sessions .act button")),
		chromedp.Click(chromedp.CSS("#sure [data-yes]")), chromedp.WaitVisible(chromedp.CSS("#said p")))
	if err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(two, chromedp.Navigate(ts.url+"/sessions"), chromedp.WaitVisible(chromedp.CSS("#password"))); err != nil {
		t.Errorf("the other browser is not asked to sign in: %v", err)
	}
	if err := chromedp.Do(one, chromedp.Navigate(ts.url+"/sessions"), chromedp.WaitVisible(chromedp.CSS("section.current"))); err != nil {
		t.Errorf("this browser was signed out too: %v", err)
	}
}

// Without JavaScript signing one out goes through a page that asks.
func TestSignOutWithoutScript(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ts.session("ada", "81.2.69.142", iphone)
	ctx := browsertest.Start(t)
	disable := chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	})
	err := chromedp.Do(ctx, browsertest.Look(360, "light"), disable, chromedp.Navigate(ts.url+"/login"),
		browsertest.SignIn("ada", password), chromedp.WaitVisible(chromedp.CSS("table.sessions")),
		chromedp.Click(chromedp.CSS("table.sessions .act button")), chromedp.WaitVisible(chromedp.CSS("ul.ending")),
		chromedp.Click(chromedp.CSS("main button.danger")), chromedp.WaitVisible(chromedp.CSS("#said p")))
	if err != nil {
		t.Fatal(err)
	}
	var l list
	if ts.api(ts.key("ada"), "GET", "/core/authenticated_sessions/", &l); l.Pagination.Count != 1 {
		t.Errorf("%d sessions are left, want one", l.Pagination.Count)
	}
}

// TestKeyboard signs out three selected sessions with the keyboard alone.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	_, token := ts.session("ada", "192.168.1.20", firefox)
	manySessions(t, ts, "bob", 5)
	ctx := browsertest.Start(t)
	if err := chromedp.Do(ctx, browsertest.Look(1280, "light"), setCookie(ts.url, token), chromedp.Navigate(ts.url+"/sessions?view=everybody&user=bob")); err != nil {
		t.Fatal(err)
	}
	// reach presses the tabulator until what has the focus fits, and can be seen.
	reach := func(css string) {
		t.Helper()
		for range 80 {
			if err := chromedp.Do(ctx, chromedp.KeyEvent(kb.Tab)); err != nil {
				t.Fatal(err)
			}
			there, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`(() => {
				const e = document.activeElement, box = e.getBoundingClientRect();
				const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
				return e.matches(`+"`"+css+"`"+`) && (e.contains(top) || top?.contains(e));
			})()`))
			if err != nil {
				t.Fatal(err)
			}
			if there {
				return
			}
		}
		t.Fatalf("the keyboard does not reach %s", css)
	}
	for range 3 {
		reach("[name=session]")
		if err := chromedp.Do(ctx, chromedp.KeyEvent(" ")); err != nil {
			t.Fatal(err)
		}
	}
	reach(".chosen button")
	if count := browsertest.Value(t, ctx, `document.activeElement.textContent`); count != "Sign out the selected (3)" {
		t.Errorf("the button says %q", count)
	}
	if err := chromedp.Do(ctx, chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS("ul.ending"))); err != nil {
		t.Fatal(err)
	}
	reach("main button.filled")
	if err := chromedp.Do(ctx, chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS("#said p"))); err != nil {
		t.Fatal(err)
	}
	if at := browsertest.Value(t, ctx, `location.search`); at != "?user=bob&view=everybody" || ts.living("bob") != 2 {
		t.Errorf("at %s; bob has %d sessions, want 2", at, ts.living("bob"))
	}
}

// axeScript is axe-core, from the npm registry, kept outside the repository.
func axeScript(t *testing.T) string {
	t.Helper()
	const version = "4.14.1"
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "lastseen-test", "axe-core-"+version)
	file := filepath.Join(dir, "node_modules", "axe-core", "axe.min.js")
	if _, err := os.Stat(file); err != nil {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("npm", "install", "--prefix", dir, "--no-audit", "--no-fund", "axe-core@"+version).CombinedOutput()
		if err != nil && os.Getenv("LASTSEEN_TEST_REQUIRE") == "1" {
			t.Fatalf("npm install axe-core: %v %s", err, out)
		}
		if err != nil {
			t.Skipf("axe-core cannot be had by npm: %v", err)
		}
	}
	script, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(script)
}

// TestAccessibility has axe-core look at every page.
func TestAccessibility(t *testing.T) {
	t.Parallel()
	script := axeScript(t)
	ts, token := demoServer(t)
	sess, _ := ts.session("ada", "81.2.69.142", iphone)
	ctx := browsertest.Start(t)
	for _, theme := range []string{"light", "dark"} {
		if err := chromedp.Do(ctx, browsertest.Look(1280, theme), setCookie(ts.url, token)); err != nil {
			t.Fatal(err)
		}
		for _, page := range []string{
			"/sessions", "/sessions?view=everybody", "/sessions?view=everybody&group=user&country=DE", "/sessions/" + sess.UUID.String(), "/sessions/revoke-others", "/sessions/revoke-chosen?view=everybody&group=user&heading=grace", "/users", "/users/3",
			"/tokens", "/events", "/rules", "/doctor", "/profile", "/logout",
		} {
			if err := chromedp.Do(ctx, chromedp.Navigate(ts.url+page)); err != nil {
				t.Fatal(err)
			}
			if _, err := chromedp.Run(ctx, chromedp.Evaluate[chromedp.Void](script+"; 0")); err != nil {
				t.Fatal(err)
			}
			found, err := chromedp.Run(ctx, chromedp.Evaluate[string](
				`axe.run().then(r => (r.passes.length > 10 ? "" : "axe looked at nothing\n") + r.violations.map(v => v.id + ": " + v.nodes.map(n => n.target + " " + n.html.slice(0, 120)).slice(0, 3).join(" | ")).join("\n"))`, chromedp.EvalAwaitPromise))
			if err != nil {
				t.Fatal(err)
			}
			if found != "" {
				t.Errorf("%s, %s:\n%s", page, theme, found)
			}
		}
	}
}

// TestPicture makes the README's picture when it is told where to put it:
//
//	go test ./web -run Picture -picture ../docs/sessions.png
func TestPicture(t *testing.T) {
	t.Parallel()
	if *picture == "" {
		t.Skip("no -picture file")
	}
	ts, token := demoServer(t)
	ctx := browsertest.Start(t)
	everyday := chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: firefox})
		return err
	})
	if err := chromedp.Do(ctx, browsertest.Look(1120, "light"), everyday, setCookie(ts.url, token), chromedp.Navigate(ts.url+"/sessions")); err != nil {
		t.Fatal(err)
	}
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(*picture, png, 0o644); err != nil {
		t.Fatal(err)
	}
}

var picture = flag.String("picture", "", "file for a picture of the sessions page")
