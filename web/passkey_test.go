package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"lastseen/app"
	"lastseen/app/webauthn"
	"lastseen/app/webauthn/webauthntest"
	"lastseen/db"

	"github.com/google/uuid"
)

// newLocalServer is newServer at a name where there can be passkeys without https.
func newLocalServer(t testing.TB, settings ...string) *testServer {
	t.Helper()
	ts := newServer(t, append(settings, "public-url=http://localhost:PORT")...)
	ts.url = ts.app.Config.PublicURL.String()
	return ts
}

// ask is what a page's script would ask the browser for.
func (ts *testServer) ask(b *http.Client, path string) (asked app.PasskeyRequest) {
	ts.t.Helper()
	res, body := ts.post(b, path, url.Values{})
	if res.StatusCode != 200 {
		ts.t.Fatalf("%s: got %d %s", path, res.StatusCode, body)
	}
	if err := json.Unmarshal([]byte(body), &asked); err != nil {
		ts.t.Fatal(err)
	}
	return asked
}

func answer(asked app.PasskeyRequest, text string) url.Values {
	return url.Values{"challenge": {asked.Token}, "answer": {text}, "passkey_name": {"Laptop"}}
}

// withPasskey gives somebody a passkey.
func (ts *testServer) withPasskey(name string) *webauthntest.Passkey {
	ts.t.Helper()
	p := webauthntest.New("localhost", ts.app.Config.PublicURL.String(), webauthn.Algorithms[0])
	b := ts.signIn(name)
	asked := ts.ask(b, "/profile/passkey/options")
	res, page := ts.post(b, "/profile/passkey", answer(asked, p.Create(asked.PublicKey)))
	if n := len(recoveryCode.FindAllString(page, -1)); res.StatusCode != 200 || n != 10 {
		ts.t.Fatalf("got %d, %d recovery codes: %s", res.StatusCode, n, page)
	}
	return p
}

// bySignIn tries a whole sign-in with a passkey.
func (ts *testServer) bySignIn(p *webauthntest.Passkey) *http.Response {
	ts.t.Helper()
	b := ts.browser()
	asked := ts.ask(b, "/login/passkey")
	form := answer(asked, p.Get(asked.PublicKey))
	form.Set("rd", "/profile")
	res, _ := ts.post(b, "/login", form)
	return res
}

func signedIn(res *http.Response) bool {
	return res.StatusCode == 303 && cookieNamed(res, sessionCookie) != nil && res.Header.Get("Location") == "/profile"
}

func TestSigningInByPasskey(t *testing.T) {
	t.Parallel()
	ts := newLocalServer(t)
	p := ts.withPasskey("bob")
	res, page := ts.get(ts.browser(), "/login")
	if res.StatusCode != 200 || !strings.Contains(page, `autocomplete="username webauthn"`) || !strings.Contains(page, "passkey") {
		t.Errorf("got %d %s", res.StatusCode, page)
	}
	for range 2 {
		if res := ts.bySignIn(p); !signedIn(res) {
			t.Fatalf("got %d to %q", res.StatusCode, res.Header.Get("Location"))
		}
	}
	sessions, _, err := ts.app.Sessions(t.Context(), app.Operator, db.SessionFilter{Limit: 100})
	n := 0
	for _, s := range sessions {
		if s.Method == "passkey" {
			n++
		}
	}
	if err != nil || n != 2 {
		t.Errorf("got %d sessions, %v", n, err)
	}
	unverified := *p
	unverified.Flags = webauthn.UserPresent
	elsewhere := *p
	elsewhere.Origin = "http://127.0.0.1"
	forged := *p
	forged.Signer = webauthntest.New("", "", -7).Signer
	stranger := webauthntest.New("localhost", p.Origin, -7)
	stranger.User = p.User
	for name, p := range map[string]*webauthntest.Passkey{"unverified": &unverified, "elsewhere": &elsewhere, "forged": &forged, "unknown": stranger} {
		if res := ts.bySignIn(p); res.StatusCode != 401 || cookieNamed(res, sessionCookie) != nil {
			t.Errorf("%s: got %d", name, res.StatusCode)
		}
	}
	asked := ts.ask(nil, "/login/passkey")
	for name, form := range map[string]url.Values{
		"no answer": answer(asked, ""), "no JSON": answer(ts.ask(nil, "/login/passkey"), "{"), "no request": {"answer": {p.Get(asked.PublicKey)}},
	} {
		if res, _ := ts.post(nil, "/login", form); res.StatusCode != 401 || cookieNamed(res, sessionCookie) != nil {
			t.Errorf("%s: got %d", name, res.StatusCode)
		}
	}
}

// Incident 47: a challenge is good once, for five minutes, for what it was asked for.
func TestChallengesAreGoodOnce(t *testing.T) {
	t.Parallel()
	ts := newLocalServer(t)
	p := ts.withPasskey("bob")
	asked := ts.ask(nil, "/login/passkey")
	form := answer(asked, p.Get(asked.PublicKey))
	form.Set("rd", "/profile")
	if res, _ := ts.post(nil, "/login", form); !signedIn(res) {
		t.Fatalf("got %d", res.StatusCode)
	}
	if res, _ := ts.post(nil, "/login", form); res.StatusCode != 401 {
		t.Errorf("again: got %d", res.StatusCode)
	}
	asked = ts.ask(nil, "/login/passkey")
	form = answer(asked, p.Get(asked.PublicKey))
	wrong := answer(asked, "{}")
	ts.post(nil, "/login", wrong)
	if res, _ := ts.post(nil, "/login", form); res.StatusCode != 401 {
		t.Errorf("after a wrong answer: got %d", res.StatusCode)
	}
	asked = ts.ask(nil, "/login/passkey")
	ts.advance(5 * time.Minute)
	if res, _ := ts.post(nil, "/login", answer(asked, p.Get(asked.PublicKey))); res.StatusCode != 401 {
		t.Errorf("after five minutes: got %d", res.StatusCode)
	}
	ts.advance(15 * time.Minute) // those were failures
	b := ts.halfway("bob")
	asked = ts.ask(b, "/login/code/passkey")
	if res, _ := ts.post(nil, "/login", answer(asked, p.Get(asked.PublicKey))); res.StatusCode != 401 {
		t.Errorf("a second factor's for a sign-in: got %d", res.StatusCode)
	}
	asked = ts.ask(nil, "/login/passkey")
	if res, _ := ts.post(b, "/login/code", answer(asked, p.Get(asked.PublicKey))); res.StatusCode != 401 {
		t.Errorf("a sign-in's for a second factor: got %d", res.StatusCode)
	}
	ts.advance(15 * time.Minute)
	var mu sync.Mutex
	var wait sync.WaitGroup
	won := 0
	asked = ts.ask(nil, "/login/passkey")
	form = answer(asked, p.Get(asked.PublicKey))
	form.Set("rd", "/profile")
	for range 5 { // of more the good one may come when too many others have failed
		wait.Go(func() {
			res, _ := ts.post(nil, "/login", form)
			mu.Lock()
			defer mu.Unlock()
			if signedIn(res) {
				won++
			}
		})
	}
	if wait.Wait(); won != 1 {
		t.Errorf("%d of 5 at once signed in", won)
	}
}

func TestPasskeyAsSecondFactor(t *testing.T) {
	t.Parallel()
	ts := newLocalServer(t)
	p := ts.withPasskey("bob")
	ada := ts.withPasskey("ada")
	finish := func(p *webauthntest.Passkey) *http.Response {
		b := ts.halfway("bob")
		asked := ts.ask(b, "/login/code/passkey")
		if len(asked.PublicKey.Allow) != 1 {
			t.Errorf("asked %+v", asked.PublicKey)
		}
		form := answer(asked, p.Get(asked.PublicKey))
		form.Set("rd", "/profile")
		res, _ := ts.post(b, "/login/code", form)
		return res
	}
	if res := finish(ada); res.StatusCode != 401 || cookieNamed(res, sessionCookie) != nil {
		t.Errorf("somebody else's: got %d", res.StatusCode)
	}
	p.Flags = webauthn.UserPresent // which is enough for a second one
	if res := finish(p); !signedIn(res) {
		t.Errorf("got %d", res.StatusCode)
	}
	if res, _ := ts.post(nil, "/login/code/passkey", url.Values{}); res.StatusCode != 403 {
		t.Errorf("with no sign-in pending: got %d", res.StatusCode)
	}
	p.Count = 5
	if res := finish(p); !signedIn(res) {
		t.Errorf("one that begins to count: got %d", res.StatusCode)
	}
	p.Count = 5
	if res := finish(p); res.StatusCode != 401 || !strings.Contains(ts.log.String(), "copy of it may be about") {
		t.Errorf("a copy: got %d", res.StatusCode)
	}
	p.Count = 9
	if res := finish(p); !signedIn(res) {
		t.Errorf("the right one afterwards: got %d", res.StatusCode)
	}
	p.Flags |= webauthn.BackupEligible | webauthn.BackedUp
	if res := finish(p); !signedIn(res) {
		t.Errorf("one that is synchronized from now on: got %d", res.StatusCode)
	}
	b := ts.halfway("bob")
	asked := ts.ask(b, "/login/code/passkey")
	if err := ts.app.SetUserActive(t.Context(), operator, mustUser(ts, "bob"), false); err != nil {
		t.Fatal(err)
	}
	if res, _ := ts.post(b, "/login/code", answer(asked, p.Get(asked.PublicKey))); cookieNamed(res, sessionCookie) != nil {
		t.Errorf("disabled: got %d", res.StatusCode)
	}
	p.Flags |= webauthn.UserVerified
	if res := ts.bySignIn(p); res.StatusCode != 401 {
		t.Errorf("disabled: got %d", res.StatusCode)
	}
}

func TestRegisteringPasskeys(t *testing.T) {
	t.Parallel()
	ts := newLocalServer(t)
	p := ts.withPasskey("bob")
	b := ts.signInBy(p)
	_, page := ts.get(b, "/profile")
	for _, want := range []string{"Laptop", `href="/profile/passkey"`, "Remove the passkey Laptop"} {
		if !strings.Contains(page, want) {
			t.Errorf("the profile lacks %s", want)
		}
	}
	asked := ts.ask(b, "/profile/passkey/options")
	if len(asked.PublicKey.Exclude) != 1 || asked.PublicKey.Attestation != "none" || asked.PublicKey.Selection.ResidentKey != "preferred" {
		t.Errorf("asked %+v", asked.PublicKey)
	}
	others := ts.ask(ts.signIn("ada"), "/profile/passkey/options")
	for name, create := range map[string]func(webauthn.Options) string{
		"the same again": p.Create,
		"another's request": func(webauthn.Options) string {
			return webauthntest.New("localhost", p.Origin, -7).Create(others.PublicKey)
		},
		"none": func(webauthn.Options) string { return "{}" },
	} {
		asked := ts.ask(b, "/profile/passkey/options")
		text := create(asked.PublicKey)
		if res, page := ts.post(b, "/profile/passkey", answer(asked, text)); res.StatusCode != 400 || !strings.Contains(page, `id="problem"`) {
			t.Errorf("%s: got %d", name, res.StatusCode)
		}
	}
	form := answer(asked, webauthntest.New("localhost", p.Origin, -7).Create(asked.PublicKey))
	form.Set("passkey_name", strings.Repeat("x", 151))
	if res, _ := ts.post(b, "/profile/passkey", form); res.StatusCode != 400 {
		t.Errorf("with a name that is too long: got %d", res.StatusCode)
	}
	form.Set("passkey_name", "Key ring")
	if res, _ := ts.post(b, "/profile/passkey", form); res.StatusCode != 303 {
		t.Errorf("another: got %d", res.StatusCode)
	}
	has, err := ts.app.Factors(t.Context(), app.Operator, mustUser(ts, "bob").ID)
	if err != nil || len(has.Passkeys) != 2 || has.Recovery != 10 || has.Passkeys[0].RPID != "localhost" || !*has.Passkeys[1].Discoverable {
		t.Fatalf("got %+v, %v", has, err)
	}
	ts.advance(16 * time.Minute)
	if res, _ := ts.post(b, "/profile/passkey/options", url.Values{}); res.StatusCode != 403 {
		t.Errorf("a while later: got %d", res.StatusCode)
	}
	remove := fmt.Sprintf("/profile/passkey/%d/remove", has.Passkeys[1].ID)
	res, page := ts.post(b, remove, url.Values{})
	if res.StatusCode != 403 || !strings.Contains(page, "Is it you?") {
		t.Fatalf("got %d", res.StatusCode)
	}
	asked = ts.ask(b, "/profile/again")
	again := url.Values{"again": {"post"}, "again_challenge": {asked.Token}, "again_answer": {"{}"}}
	if res, _ := ts.post(b, remove, again); res.StatusCode != 401 {
		t.Errorf("a wrong answer: got %d", res.StatusCode)
	}
	asked = ts.ask(b, "/profile/again")
	again.Set("again_challenge", asked.Token)
	again.Set("again_answer", p.Get(asked.PublicKey))
	if res, _ := ts.post(b, remove, again); res.StatusCode != 303 {
		t.Errorf("removing it: got %d", res.StatusCode)
	}
	if has, err = ts.app.Factors(t.Context(), app.Operator, mustUser(ts, "bob").ID); err != nil || len(has.Passkeys) != 1 {
		t.Fatalf("got %+v, %v", has, err)
	}
	if res := ts.bySignIn(p); res.StatusCode != 401 {
		t.Errorf("one that was removed: got %d", res.StatusCode)
	}
}

// signInBy is a browser in which somebody is signed in by a passkey.
func (ts *testServer) signInBy(p *webauthntest.Passkey) *http.Client {
	ts.t.Helper()
	b := ts.browser()
	asked := ts.ask(b, "/login/passkey")
	if res, page := ts.post(b, "/login", answer(asked, p.Get(asked.PublicKey))); res.StatusCode != 303 {
		ts.t.Fatalf("got %d %s", res.StatusCode, page)
	}
	return b
}

// Who must have a factor may set up a passkey, and is signed in with it.
func TestEnrollingByPasskey(t *testing.T) {
	t.Parallel()
	ts := newLocalServer(t, "require-second-factor=everybody")
	b := ts.halfway("bob")
	p := webauthntest.New("localhost", ts.app.Config.PublicURL.String(), -7)
	asked := ts.ask(b, "/login/set-up/passkey")
	form := answer(asked, p.Create(asked.PublicKey))
	form.Set("rd", "/profile")
	res, page := ts.post(b, "/login/set-up", form)
	if res.StatusCode != 200 || len(recoveryCode.FindAllString(page, -1)) != 10 || cookieNamed(res, sessionCookie) == nil {
		t.Fatalf("got %d %s", res.StatusCode, page)
	}
	if res := ts.bySignIn(p); !signedIn(res) {
		t.Errorf("got %d", res.StatusCode)
	}
	if res, _ := ts.post(b, "/login/set-up/passkey", url.Values{}); res.StatusCode != 403 {
		t.Errorf("afterwards: got %d", res.StatusCode)
	}
}

// A passkey is called what its person says, or else what keeps it, or the browser; and can be
// called something else, as an authenticator app can. Nobody names another's.
func TestNamingFactors(t *testing.T) {
	t.Parallel()
	ts := newLocalServer(t)
	p := ts.withPasskey("bob")
	b := ts.signInBy(p)
	ts.enrol(b, "/profile/totp", "Phone")
	const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	for name, tt := range map[string]struct{ typed, aaguid string }{
		"Key ring":             {"Key ring", "d548826e-79b4-db40-a3d8-11116f7e8349"},
		"Bitwarden":            {" ", "d548826e-79b4-db40-a3d8-11116f7e8349"},
		"Firefox 140 on Linux": {"", "00000000-0000-0000-0000-000000000000"},
	} {
		asked, another := ts.ask(b, "/profile/passkey/options"), webauthntest.New("localhost", p.Origin, -7)
		another.AAGUID = uuid.MustParse(tt.aaguid)
		form := answer(asked, another.Create(asked.PublicKey))
		form.Set("passkey_name", tt.typed)
		res, page := ts.post(b, "/profile/passkey", form, "User-Agent", firefox)
		if res.StatusCode != 303 {
			t.Fatalf("%s: got %d %s", name, res.StatusCode, page)
		}
		if _, page := ts.get(b, "/profile"); !strings.Contains(page, "<strong><bdi>"+name) {
			t.Errorf("%q is not on the profile: %q", name, regexp.MustCompile(`<strong><bdi>.*?</bdi>`).FindAllString(page, -1))
		}
	}
	has, err := ts.app.Factors(t.Context(), app.Operator, mustUser(ts, "bob").ID)
	if err != nil {
		t.Fatal(err)
	}
	ts.advance(time.Hour) // which asks for no proof: nothing is entered otherwise
	for path, typed := range map[string]string{fmt.Sprintf("/profile/totp/%d/name", has.TOTPs[0].ID): "Old phone", fmt.Sprintf("/profile/passkey/%d/name", has.Passkeys[0].ID): "Blue key"} {
		if res, _ := ts.post(ts.signIn("ada"), path, url.Values{"name": {"mine"}}); res.StatusCode != 404 {
			t.Errorf("%s by somebody else: got %d", path, res.StatusCode)
		}
		if res, _ := ts.post(b, path, url.Values{"name": {" "}}); res.StatusCode != 400 {
			t.Errorf("%s without a name: got %d", path, res.StatusCode)
		}
		res, _ := ts.post(b, path, url.Values{"name": {typed}})
		if _, page := ts.get(b, "/profile"); res.StatusCode != 303 || !strings.Contains(page, typed) || strings.Contains(page, "mine") {
			t.Errorf("%s: got %d", path, res.StatusCode)
		}
		if _, page := ts.get(b, "/events"); !strings.Contains(page, typed) {
			t.Errorf("no event tells of %q", typed)
		}
	}
}

// Who is invited may have a passkey in the place of a password, if it is a whole sign-in. They
// keep a way in.
func TestJoiningByPasskey(t *testing.T) {
	t.Parallel()
	ts := newLocalServer(t)
	link := ts.link("/users/invite", url.Values{"groups": {"family"}})
	p := webauthntest.New("localhost", ts.app.Config.PublicURL.String(), -7)
	b := ts.browser()
	if _, page := ts.get(b, link); !strings.Contains(page, `data-passkey="`+link+`/passkey"`) {
		t.Errorf("none is offered on %s", page)
	}
	ask := func(name string) (asked app.PasskeyRequest) {
		t.Helper()
		res, body := ts.post(b, link+"/passkey", url.Values{"username": {name}})
		if err := json.Unmarshal([]byte(body), &asked); res.StatusCode != 200 || err != nil {
			t.Fatalf("got %d %s", res.StatusCode, body)
		}
		return asked
	}
	for _, name := range []string{"", "bob", "a\tb"} {
		for _, path := range []string{link + "/passkey", link} {
			if res, _ := ts.post(b, path, url.Values{"username": {name}, "answer": {""}, "challenge": {""}}); res.StatusCode != 400 {
				t.Errorf("%s as %q: got %d", path, name, res.StatusCode)
			}
		}
	}
	asked := ask("cleo")
	if selected := asked.PublicKey.Selection; selected.ResidentKey != "required" || selected.UserVerification != "required" || asked.PublicKey.User.Name != "cleo" {
		t.Errorf("asked %+v", asked.PublicKey)
	}
	join := func(asked app.PasskeyRequest, text string) (*http.Response, string) {
		form := answer(asked, text)
		form.Set("username", "cleo")
		return ts.post(b, link, form)
	}
	for name, text := range map[string]func(webauthn.Options) string{
		"an unverified one": func(o webauthn.Options) string {
			p.Flags = webauthn.UserPresent
			defer func() { p.Flags |= webauthn.UserVerified }()
			return p.Create(o)
		},
		"one that is not found": func(o webauthn.Options) string { return strings.Replace(p.Create(o), `"rk":true`, `"rk":false`, 1) },
		"of another's challenge": func(webauthn.Options) string {
			return p.Create(ts.ask(ts.signIn("bob"), "/profile/passkey/options").PublicKey)
		},
		"none": func(webauthn.Options) string { return "" },
	} {
		asked := ask("cleo")
		if res, page := join(asked, text(asked.PublicKey)); res.StatusCode != 400 || cookieNamed(res, sessionCookie) != nil || !strings.Contains(page, `id="problem"`) {
			t.Errorf("%s: got %d", name, res.StatusCode)
		}
	}
	res, page := join(asked, p.Create(asked.PublicKey))
	if res.StatusCode != 200 || len(recoveryCode.FindAllString(page, -1)) != 10 || cookieNamed(res, sessionCookie) == nil {
		t.Fatalf("got %d %s", res.StatusCode, page)
	}
	if res, _ := ts.get(ts.browser(), link); res.StatusCode != 404 {
		t.Errorf("the link is good again: %d", res.StatusCode)
	}
	if res := ts.bySignIn(p); !signedIn(res) {
		t.Errorf("signing in: got %d", res.StatusCode)
	}
	if res, _ := ts.post(ts.browser(), "/login", credentials("cleo", "")); res.StatusCode != 401 {
		t.Errorf("without a password: got %d", res.StatusCode)
	}
	cleo := mustUser(ts, "cleo")
	if len(cleo.Groups) != 1 || cleo.PasswordHash != "" || cleo.MustChange {
		t.Errorf("got %+v", cleo)
	}
	has, err := ts.app.Factors(t.Context(), app.Operator, cleo.ID)
	if err != nil || len(has.Passkeys) != 1 {
		t.Fatalf("got %+v, %v", has, err)
	}
	remove := fmt.Sprintf("/profile/passkey/%d/remove", has.Passkeys[0].ID)
	if res, page := ts.post(b, remove, nil); res.StatusCode != 403 || !strings.Contains(page, "only way in") {
		t.Errorf("removing the only way in: got %d", res.StatusCode)
	}
	ts.advance(16 * time.Minute)
	res, page = ts.post(b, "/profile/password", url.Values{"new_password": {password}})
	if res.StatusCode != 403 || strings.Contains(page, "again_password") || !strings.Contains(page, "/profile/again") {
		t.Fatalf("asked again: got %d %s", res.StatusCode, page)
	}
	form := fields(page)
	asked = ts.ask(b, "/profile/again")
	form.Set("again_challenge", asked.Token)
	form.Set("again_answer", p.Get(asked.PublicKey))
	if res, page := ts.post(b, "/profile/password", form); res.StatusCode != 303 {
		t.Errorf("a password of their own: got %d %s", res.StatusCode, page)
	}
	if res, _ := ts.post(b, "/profile/password", url.Values{"new_password": {password + "!"}}); res.StatusCode != 400 {
		t.Errorf("another, without knowing it: got %d", res.StatusCode)
	}
	if res, _ := ts.post(b, remove, nil); res.StatusCode != 303 {
		t.Errorf("with a password, removing the passkey: got %d", res.StatusCode)
	}
	ts.signIn("cleo")
}

// Where no passkey can be, none is offered, and the profile says why.
func TestWherePasskeysCannotBe(t *testing.T) {
	t.Parallel()
	for public, possible := range map[string]bool{
		"http://192.0.2.1:PORT": false, "http://[2001:db8::1]:PORT": false, "https://192.0.2.1": false, "http://auth.home.example": false, "https://server": false, "http://server:PORT": false,
		"https://auth.home.example": true, "http://localhost:PORT": true,
	} {
		ts := newServer(t, "public-url="+public)
		b := ts.signIn("bob")
		res, _ := ts.post(nil, "/login/passkey", url.Values{})
		_, login := ts.get(nil, "/login", "Host", ts.app.Config.PublicURL.Host)
		_, elsewhere := ts.get(b, "/profile")
		if possible {
			if res.StatusCode != 200 || !strings.Contains(login, "data-passkey") || !strings.Contains(elsewhere, "Passkeys can be set up at") {
				t.Errorf("%s: got %d\n%s", public, res.StatusCode, login)
			}
			continue
		}
		if res.StatusCode != 404 || strings.Contains(login, "data-passkey") || !strings.Contains(elsewhere, "Passkeys cannot be had here") || strings.Contains(elsewhere, "/profile/passkey") {
			t.Errorf("%s: got %d\n%s", public, res.StatusCode, elsewhere)
		}
	}
}

// A passkey is for one host. When the public URL is another, it is good for nothing there,
// and page and doctor say so.
func TestPasskeysOfAnotherHost(t *testing.T) {
	t.Parallel()
	ts := newLocalServer(t)
	p := ts.withPasskey("bob")
	ts.app.Config.PublicURL.Host = "auth.home.example"
	ts.app.Config.PublicURL.Scheme = "https"
	if res := ts.bySignIn(p); res.StatusCode != 401 {
		t.Errorf("got %d", res.StatusCode)
	}
	found := ""
	for _, check := range ts.app.Doctor(t.Context()) {
		found += check.Found.String() + "\n"
	}
	if !strings.Contains(found, "1 for localhost") {
		t.Errorf("the doctor says %s", found)
	}
}

// Failures count as wrong passwords do.
func TestPasskeysAreThrottled(t *testing.T) {
	t.Parallel()
	ts := newLocalServer(t)
	p := ts.withPasskey("bob")
	forged := *p
	forged.Signer = webauthntest.New("", "", -7).Signer
	for i := range 10 {
		if res := ts.bySignIn(&forged); res.StatusCode != 401 {
			t.Fatalf("failure %d: got %d", i, res.StatusCode)
		}
	}
	if res := ts.bySignIn(p); res.StatusCode != 429 || res.Header.Get("Retry-After") == "" {
		t.Errorf("got %d", res.StatusCode)
	}
	if res, _ := ts.post(nil, "/login", url.Values{"username": {"bob"}, "password": {password}}); res.StatusCode != 429 {
		t.Errorf("the password: got %d", res.StatusCode)
	}
}
