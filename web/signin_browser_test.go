package web

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lastseen/web/browsertest"

	"github.com/chromedp/chromedp"
)

// TestSignInInBrowser follows a person through what a browser decides on: the way on
// over another site after the form, the #fragment, and Back after signing out.
func TestSignInInBrowser(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	// An app on another port of our host, whose first answer leads to another site.
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<link rel=icon href="data:,"><p id="elsewhere">here</p>`)
	}))
	defer elsewhere.Close()
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(elsewhere.URL, "http://"))
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://localhost:"+port+"/", http.StatusFound)
	}))
	defer app.Close()

	ctx := browsertest.Start(t)
	signIn := func(page string, then ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		steps := append([]chromedp.Action[chromedp.Void]{chromedp.Navigate(page), browsertest.SignIn("ada", password)}, then...)
		if err := chromedp.Do(ctx, steps...); err != nil {
			t.Fatalf("%s: %v", page, err)
		}
	}
	value := func(expression string) string { t.Helper(); return browsertest.Value(t, ctx, expression) }
	until := func(expression string) {
		t.Helper()
		for range 100 { // a page that is just being left answers nothing
			if s, err := chromedp.Run(ctx, chromedp.Evaluate[string](`String(!!(`+expression+`))`)); err == nil && s == "true" {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Fatalf("never: %s", expression)
	}
	signIn(ts.url+"/login?rd="+app.URL+"/", chromedp.WaitVisible(chromedp.CSS("#elsewhere")))

	// Signed out, Back shows nothing of what was.
	if err := chromedp.Do(ctx, chromedp.Navigate(ts.url+"/sessions"), chromedp.WaitVisible(chromedp.CSS("section.current")), chromedp.Navigate(ts.url+"/logout")); err != nil {
		t.Fatal(err)
	}
	value(`setTimeout(() => document.querySelector("main form").requestSubmit()), ""`) // which first answers
	until(`location.pathname === "/login" && document.querySelector("#password")`)
	if said := value(`document.querySelector("#said").innerText`); !strings.Contains(said, "You are signed out here.") {
		t.Errorf("after signing out the page says %q", said)
	}
	for range 3 {
		value(`setTimeout(() => history.back()), ""`)
		time.Sleep(300 * time.Millisecond) // for as long as a person needs to see what is there
		until(`document.querySelector("#password, #elsewhere")`)
		if text := value(`document.body.innerText`); strings.Contains(text, "This device") {
			t.Fatalf("Back shows %s", text)
		}
	}

	// The #fragment of the page that was asked for is there after the sign-in.
	signIn(ts.url+"/profile#here", chromedp.WaitVisible(chromedp.CSS("#current_password")))
	if hash := value("location.hash"); hash != "#here" {
		t.Errorf("after the sign-in the fragment is %q", hash)
	}
}
