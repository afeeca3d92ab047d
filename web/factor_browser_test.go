package web

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"lastseen/web/browsertest"

	"github.com/chromedp/chromedp"
)

// A second factor is set up and asked for under the policies that the pages have, and
// the way on survives it: over another host after the last form, and with the #fragment.
func TestSecondFactorInBrowser(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<link rel=icon href="data:,"><p id="elsewhere">here</p>`))
	}))
	defer app.Close()
	ctx := browsertest.Start(t)
	do := func(steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, steps...); err != nil {
			t.Fatal(err)
		}
	}
	value := func(expression string) string { t.Helper(); return browsertest.Value(t, ctx, expression) }
	signIn := browsertest.SignIn("ada", password)
	do(chromedp.Navigate(ts.url+"/login?rd=/profile/totp"), signIn, chromedp.WaitVisible(chromedp.CSS(".qr")))
	phone := authenticator{ts, value(`document.querySelector("#secret").textContent`)}
	do(chromedp.SendKeys(chromedp.CSS("#code"), phone.code()), chromedp.Click(chromedp.CSS("form button.main")), chromedp.WaitVisible(chromedp.CSS("#codes")))
	recovery := value(`document.querySelector("#codes code").textContent`)

	for _, tt := range []struct{ page, code, there string }{
		{"/profile#here", "", "#factors"},
		{"/login?rd=" + app.URL + "/x", "", "#elsewhere"},
		{"/profile#here", recovery, "#factors"},
	} {
		ts.advance(time.Minute)
		do(chromedp.Navigate(ts.url+"/logout"), chromedp.Click(chromedp.CSS("main form button")), chromedp.WaitVisible(chromedp.CSS("#password")))
		do(chromedp.Navigate(ts.url+tt.page), signIn, chromedp.WaitVisible(chromedp.CSS("#code")))
		if tt.code == "" {
			do(chromedp.SendKeys(chromedp.CSS("#code"), phone.code()), chromedp.Click(chromedp.CSS("form button.main")))
		} else {
			do(chromedp.Click(chromedp.CSS("details.ended > summary")), chromedp.WaitVisible(chromedp.CSS("#recovery")),
				chromedp.SendKeys(chromedp.CSS("#recovery"), tt.code), chromedp.Click(chromedp.CSS("details.ended button")))
		}
		do(chromedp.WaitVisible(chromedp.CSS(tt.there)))
		if hash := value("location.hash"); tt.there == "#factors" && hash != "#here" {
			t.Errorf("%s: the fragment is %q", tt.page, hash)
		}
	}
}
