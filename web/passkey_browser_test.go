package web

import (
	"context"
	"strings"
	"testing"
	"time"

	"lastseen/app"
	"lastseen/db"
	"lastseen/web/browsertest"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// A virtual authenticator of Chromium's.
type virtual struct {
	t   *testing.T
	ctx context.Context
	id  webauthn.AuthenticatorID
}

func call[P, R any](v virtual, command cdp.Command[P, R], params P) (result R) {
	v.t.Helper()
	err := chromedp.Do(v.ctx, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		got, err := cdp.Call(ctx, target, command, params)
		if err == nil {
			result = got
		}
		return err
	}))
	if err != nil {
		v.t.Fatal(err)
	}
	return result
}

func newVirtual(t *testing.T, ctx context.Context, options webauthn.VirtualAuthenticatorOptions) virtual {
	t.Helper()
	v := virtual{t: t, ctx: ctx}
	call(v, webauthn.Enable, webauthn.EnableParams{})
	options.AutomaticPresenceSimulation = true
	v.id = call(v, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &options}).AuthenticatorID
	return v
}

func (v virtual) credentials() []*webauthn.Credential {
	v.t.Helper()
	return call(v, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: v.id}).Credentials
}

// A person with a laptop sets a passkey up, and signs in by it: as offered with the names,
// by the button, as a second factor where it does not verify; and removes it.
func TestPasskeyInABrowser(t *testing.T) {
	t.Parallel()
	ts := newLocalServer(t)
	ts.session("bob", "192.0.2.1", "curl/8")
	ctx := browsertest.Start(t)
	run := func(what string, steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		within, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		if err := chromedp.Do(within, steps...); err != nil {
			page, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
			t.Fatalf("%s: %v\n%s", what, err, page)
		}
	}
	css := func(selector string) chromedp.CSS { return chromedp.CSS(selector) }
	laptop := newVirtual(t, ctx, webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true, HasUserVerification: true, IsUserVerified: true,
	})
	byPassword := browsertest.SignIn("bob", password)
	run("signing in", browsertest.Look(1280, "light"), chromedp.Navigate(ts.url+"/profile"), byPassword, chromedp.WaitVisible(css("#factors")))
	run("setting it up, by keyboard alone", chromedp.Focus(css(`a[href="/profile/passkey"]`)), chromedp.KeyEvent("\r"), chromedp.WaitVisible(css("#passkey_name")),
		chromedp.Focus(css("#passkey_name")), chromedp.KeyEvent("\r"), chromedp.WaitVisible(css("ul.codes, .codes")))
	if got := laptop.credentials(); len(got) != 1 || got[0].RpID != "localhost" || !got[0].IsResidentCredential {
		t.Fatalf("got %+v", got)
	}
	has, err := ts.app.Factors(t.Context(), app.Operator, mustUser(ts, "bob").ID)
	if err != nil || len(has.Passkeys) != 1 || !*has.Passkeys[0].Discoverable || !strings.Contains(has.Passkeys[0].Name, "Linux") {
		t.Fatalf("got %+v, %v", has, err)
	}
	signOut := chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := chromedp.Run(ctx, chromedp.Evaluate[string](`fetch("/logout", {method: "POST", body: new URLSearchParams()}).then(r => r.url)`, chromedp.EvalAwaitPromise))
		return err
	})
	button, finish := css("form.passkey button"), css(`form[data-passkey="/login/code/passkey"] button`)
	run("the same device again", chromedp.Navigate(ts.url+"/profile/passkey"), chromedp.Click(button), chromedp.WaitVisible(css("[data-problem]:not([hidden])")))

	// Chromium takes the one passkey that there is as chosen.
	run("as offered with the names", signOut, chromedp.Navigate(ts.url+"/login?rd=/profile"), chromedp.WaitVisible(css("#factors")))

	call(laptop, webauthn.SetAutomaticPresenceSimulation, webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: laptop.id, Enabled: false})
	run("the button", signOut, chromedp.Navigate(ts.url+"/login?rd=/profile"), chromedp.WaitVisible(button), chromedp.Click(css("[name=remember][type=checkbox]")), chromedp.Click(button))
	call(laptop, webauthn.SetAutomaticPresenceSimulation, webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: laptop.id, Enabled: true})
	run("the touch", chromedp.WaitVisible(css("#factors")))

	call(laptop, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: laptop.id, IsUserVerified: false})
	run("unverified", signOut, chromedp.Navigate(ts.url+"/login?rd=/profile"), chromedp.WaitVisible(button), chromedp.Click(button), chromedp.WaitVisible(css("[data-problem]:not([hidden])")))
	run("as a second factor", chromedp.Navigate(ts.url+"/profile"), byPassword, chromedp.WaitVisible(finish), chromedp.Click(finish), chromedp.WaitVisible(css("#factors")))
	methods := map[string]int{}
	sessions, _, err := ts.app.Sessions(t.Context(), app.Operator, db.SessionFilter{Limit: 100})
	for _, s := range sessions {
		methods[s.Method]++
	}
	if err != nil || methods["password+passkey"] != 1 {
		t.Errorf("got %v, %v", methods, err)
	}
	call(laptop, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: laptop.id, IsUserVerified: true})
	ts.advance(16 * time.Minute)
	run("asking again", chromedp.Navigate(ts.url+"/profile/passkey"), chromedp.WaitVisible(css("#again_password")), chromedp.Click(button), chromedp.WaitVisible(css("#passkey_name")))
	run("removing it", chromedp.Navigate(ts.url+"/profile"), chromedp.Click(css(`form[action^="/profile/passkey/"][action$="/remove"] button`)), chromedp.WaitVisible(css("#said p")))
	if has, err := ts.app.Factors(t.Context(), app.Operator, mustUser(ts, "bob").ID); err != nil || has.Any() {
		t.Errorf("got %+v, %v", has, err)
	}

	link, _, err := ts.app.Invite(t.Context(), app.Operator.Actor(), app.Invitation{})
	if err != nil {
		t.Fatal(err)
	}
	run("joining by a passkey", signOut, chromedp.Navigate(link), chromedp.SetValue(css("#username"), "cleo"), chromedp.Click(button), chromedp.WaitVisible(css("ul.codes, .codes")))
	if got := mustUser(ts, "cleo"); got.PasswordHash != "" {
		t.Errorf("got %+v", got)
	}
}
