package view

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"lastseen/web/browsertest"

	"github.com/chromedp/chromedp"
)

// TestScript uses the pages with JavaScript on, as a person would.
func TestScript(t *testing.T) {
	ctx := browsertest.Start(t)
	var posted, revision atomic.Value
	posted.Store("")
	revision.Store("41")
	samplesAt := sampleServer(t, "en").Config.Handler
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			body, _ := io.ReadAll(r.Body)
			posted.Store(r.URL.Path + " " + string(body))
			if r.URL.Path == "/preferences" {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			http.Redirect(w, r, "/everybody", http.StatusSeeOther)
		case r.URL.Path == "/sessions/live":
			fmt.Fprint(w, revision.Load())
		default:
			samplesAt.ServeHTTP(w, r)
		}
	}))
	defer srv.Close()
	run := func(steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, steps...); err != nil {
			t.Fatal(err)
		}
	}
	value := func(expression string) string {
		t.Helper()
		s, err := chromedp.Run(ctx, chromedp.Evaluate[string]("Promise.resolve("+expression+").then(String)", chromedp.EvalAwaitPromise))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	click := func(css string) chromedp.Action[chromedp.Void] { return chromedp.Click(chromedp.CSS(css)) }

	// Focus is set with the first frame, a moment after the page is loaded.
	const focused = `new Promise((done) => {
		let tries = 0;
		const look = setInterval(() => {
			if (document.activeElement.id || ++tries > 100) { clearInterval(look); done(document.activeElement.id); }
		}, 10);
	})`
	run(browsertest.Look(1280, "light"), chromedp.Navigate(srv.URL+"/login"))
	check("focus", value(focused), "username")
	run(click(".secret button"))
	check("a shown password", value(`password.type`), "text")
	run(click(".secret button"))
	check("a hidden password", value(`password.type`), "password")

	run(chromedp.Navigate(srv.URL + "/login-failed"))
	check("focus after a failure", value(focused), "password")
	check("what it is described by", value(`document.activeElement.getAttribute("aria-describedby") + document.activeElement.ariaInvalid`), "problemtrue")

	run(chromedp.Navigate(srv.URL + "/sessions"))
	check("a time in the reader's zone", value(`document.querySelector("table.sessions tr:nth-child(2) .used time").textContent.startsWith("yesterday")`), "true")
	run(click("[data-theme-switch]"))
	check("theme", value(`document.documentElement.dataset.theme`), "dark")
	check("page colour", value(`getComputedStyle(document.body).backgroundColor`), "rgb(17, 23, 24)")

	run(chromedp.Evaluate[chromedp.Void](`document.getElementById("live").dataset.old = "yes"; document.querySelector("details.ended").open = true`))
	wait := func() string {
		t.Helper()
		return value(`new Promise((done) => {
			document.dispatchEvent(new Event("visibilitychange"));
			let tries = 0;
			const look = setInterval(() => {
				const old = document.getElementById("live").dataset.old === "yes";
				if (!old || ++tries > 30) { clearInterval(look); done(old ? "old" : "fresh"); }
			}, 10);
		})`)
	}
	check("a list nobody changed", wait(), "old")
	revision.Store("42")
	run(chromedp.Focus(chromedp.CSS("table.sessions .act button")))
	check("a list under somebody's hands", wait(), "old")
	run(chromedp.Evaluate[chromedp.Void](`document.activeElement.blur()`))
	check("a list that changed", wait(), "fresh")
	check("the folded part", value(`document.querySelector("details.ended").open`), "true")

	run(click("table.sessions .act button"))
	check("the question", value(`document.getElementById("sure").open`), "true")
	if text := value(`document.getElementById("sure-text").textContent`); !strings.Contains(text, "Mobile Safari 18.5 on iPhone will be signed out at its next request.") {
		t.Errorf("the question says %q", text)
	}
	run(click("#sure [data-no]"))
	check("the question, put away", value(`document.getElementById("sure").open`), "false")
	run(click("table.sessions .act button"), click("#sure [data-yes]"), chromedp.WaitVisible(chromedp.CSS("table.all")))
	check("what was sent", posted.Load().(string), "/sessions/018f3a1c-7e20-7c3d-9b1e-000000000002/revoke ")
}

// TestWithoutScript follows the same button with JavaScript off.
func TestWithoutScript(t *testing.T) {
	p := New()
	page := renderSample(t, p, sample{"sessions", "sessions", sampleSessions()}, "en")
	for _, want := range []string{
		`method="post" action="/sessions/018f3a1c-7e20-7c3d-9b1e-000000000002/revoke"`,
		`method="post" action="/sessions/revoke-others"`,
		`<button class="danger" formmethod="get">Sign out all others (3)</button>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}
