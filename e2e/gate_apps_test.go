package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lastseen/web/browsertest"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

const (
	appHost  = "app.lastseen.test"
	wikiHost = "wiki.other.test"
)

// An appsProxy serves the printed texts of two apps on two domains.
type appsProxy struct {
	name  string
	serve func(t *testing.T, g *guard)
}

var appsProxies = []appsProxy{
	{"nginx", func(t *testing.T, g *guard) {
		program := program(t, "", "nginx", "/usr/sbin/nginx")
		_, second, _ := strings.Cut(g.snippetFor("nginx", wikiHost), "# Part 2, for each app.")
		text := g.snippet("nginx") + "\n" + second
		if g.scheme == "https" {
			cert, key := g.certificate()
			text = regexp.MustCompile(`/etc/letsencrypt/live/[a-z.]+/fullchain.pem`).ReplaceAllString(text, cert)
			text = regexp.MustCompile(`/etc/letsencrypt/live/[a-z.]+/privkey.pem`).ReplaceAllString(text, key)
		}
		g.nginx(program, text)
	}},
	{"caddy", func(t *testing.T, g *guard) {
		program := program(t, "", "caddy")
		_, second, _ := strings.Cut(g.snippetFor("caddy", wikiHost), "# Part 2, for each app.")
		text := g.snippet("caddy") + "\n#" + second
		if g.scheme == "https" {
			cert, key := g.certificate()
			text = regexp.MustCompile(`(?m)^https://.* \{$`).ReplaceAllString(text, "$0\n\ttls "+cert+" "+key)
		}
		g.caddy(program, text)
	}},
}

// npmApart serves both with Nginx Proxy Manager's text.
func npmApart(t *testing.T, g *guard) {
	g.nginx(program(t, "", "nginx", "/usr/sbin/nginx"), g.npm(appHost, wikiHost))
}

// certificate is a self-made one for all names.
func (g *guard) certificate() (cert, key string) {
	g.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		g.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lastseen.test"},
		DNSNames: []string{"*.lastseen.test", "*.other.test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		g.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		g.t.Fatal(err)
	}
	return g.write("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		g.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
}

// apart is a guard whose two apps have a cookie each.
func apart(t *testing.T, scheme string) *guard {
	return newGuardWith(t, scheme, "LASTSEEN_APPS="+appHost+","+wikiHost)
}

// cookieOf is a cookie that a browser has for a host.
func (g *guard) cookieOf(client *http.Client, host, name string) string {
	u, _ := url.Parse(g.url(host))
	for _, cookie := range client.Jar.Cookies(u) {
		if cookie.Name == name {
			return cookie.Value
		}
	}
	return ""
}

// One session opens two apps on two domains, each by a cookie that is good for nothing
// else, and its end shuts both.
func TestAppsApart(t *testing.T) {
	proxies := append(slices.Clone(appsProxies), appsProxy{"npm", npmApart})
	for _, proxy := range proxies {
		t.Run(proxy.name, func(t *testing.T) {
			t.Parallel()
			g := apart(t, "http")
			proxy.serve(t, g)
			const page = "/deep/page?x=1&y=a%20b&rd=http://evil.example/"
			zoe, saw := g.signIn("zoë", page)
			if saw.URI != page || saw.Header.Get("X-Authentik-Username") != "zoë" || strings.Contains(saw.Header.Get("Cookie"), "lastseen_app=") {
				t.Errorf("the app saw %+v", saw)
			}
			follow := *zoe
			follow.CheckRedirect = nil
			on := func(host, path string) (appSaw, int, string) {
				t.Helper()
				res, body := g.ask(&follow, "GET", g.url(host)+path, "")
				var saw appSaw
				_ = json.Unmarshal([]byte(body), &saw)
				return saw, res.StatusCode, res.Request.URL.String()
			}
			for _, path := range []string{"/", "/a?b=c&d=%2F", "//two"} {
				if saw, status, at := on(wikiHost, path); status != 200 || saw.Host != wikiHost+":"+g.port || saw.Header.Get("X-Authentik-Username") != "zoë" {
					t.Errorf("%s of the wiki: got %d at %s, and it saw %+v", path, status, at, saw)
				}
			}

			// What an app steals opens nothing else.
			stolen, other := g.cookieOf(zoe, appHost, "lastseen_app"), g.cookieOf(zoe, wikiHost, "lastseen_app")
			session := g.cookieOf(zoe, "auth.lastseen.test", "lastseen_session")
			if len(stolen) != 43 || len(other) != 43 || stolen == other || g.cookieOf(zoe, appHost, "lastseen_session") != "" {
				t.Fatalf("cookies: %q, %q", stolen, other)
			}
			nobody := g.browser(false)
			for _, try := range []struct {
				url, cookie string
				want        int
			}{
				{g.app + "/", "lastseen_app=" + stolen, 200},
				{g.url(wikiHost) + "/", "lastseen_app=" + stolen, 302},
				{g.url(wikiHost) + "/", "lastseen_session=" + stolen, 302},
				{g.url(wikiHost) + "/", "lastseen_session=" + session, 302},
				{g.url(wikiHost) + "/", "lastseen_app=" + session, 302},
				{g.url("auth.lastseen.test") + "/sessions", "lastseen_app=" + stolen, 303},
				{g.url("auth.lastseen.test") + "/sessions", "lastseen_session=" + stolen, 303},
				{g.url("auth.lastseen.test") + "/api/v3/core/users/me/", "lastseen_session=" + stolen, 403},
			} {
				before := g.hits.Load()
				if res, body := g.ask(nobody, "GET", try.url, "", "Cookie", try.cookie); res.StatusCode != try.want || (g.hits.Load() != before) != (try.want == 200) {
					t.Errorf("%s with %.20s…: got %d %s", try.url, try.cookie, res.StatusCode, body)
				}
			}

			g.tryCodes(zoe)

			// Ended on another machine's command line, both are shut on the next request.
			before := g.hits.Load()
			if _, errs, status := execute(t, g.data, "", "session", "revoke", g.sessions("zoë")[0].UUID); status != 0 {
				t.Fatal(errs)
			}
			for _, host := range []string{appHost, wikiHost} {
				if res, _ := g.ask(zoe, "GET", g.url(host)+"/", ""); res.StatusCode != 302 {
					t.Errorf("%s after the end: got %d", host, res.StatusCode)
				}
			}
			if g.hits.Load() != before {
				t.Error("after the end an app was asked")
			}
		})
	}
}

// tryCodes has others, and other hosts, use the codes of somebody who is signed in.
func (g *guard) tryCodes(zoe *http.Client) {
	t := g.t
	t.Helper()
	// code is where the sign-in leads to a browser that has no cookie of the app yet.
	code := func() (browser *http.Client, callback string) {
		t.Helper()
		browser = g.browser(false)
		at := g.app + "/x"
		for range 5 {
			header := []string(nil)
			if strings.HasPrefix(at, g.url("auth.lastseen.test")) {
				header = []string{"Cookie", "lastseen_session=" + g.cookieOf(zoe, "auth.lastseen.test", "lastseen_session")}
			}
			res, body := g.ask(browser, "GET", at, "", header...)
			at = res.Header.Get("Location")
			if at == "" {
				t.Fatalf("not led on: %d %s", res.StatusCode, body)
			}
			if strings.Contains(at, "/callback?code=") {
				return browser, at
			}
		}
		t.Fatalf("led to no code, but to %s", at)
		return nil, ""
	}
	refused := func(what string, client *http.Client, callback string) {
		t.Helper()
		before := g.hits.Load()
		res, body := g.ask(client, "GET", callback, "")
		if res.StatusCode != 403 || !strings.Contains(body, "This way in was used up") || len(res.Cookies()) != 0 || g.hits.Load() != before {
			t.Errorf("%s: got %d %v %s", what, res.StatusCode, res.Cookies(), body)
		}
	}
	browser, callback := code()
	thief := g.browser(false)
	refused("another browser", thief, callback)
	refused("another host", browser, strings.Replace(callback, appHost, wikiHost, 1))
	if res, _ := g.ask(browser, "GET", callback, ""); res.StatusCode != 303 || res.Header.Get("Location") != g.app+"/x" {
		t.Errorf("the code: got %d to %s", res.StatusCode, res.Header.Get("Location"))
	}
	refused("once more", browser, callback)

	browser, callback = code()
	var won, lost atomic.Int64
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			switch res, _ := g.ask(browser, "GET", callback, ""); res.StatusCode {
			case 303:
				won.Add(1)
			case 403:
				lost.Add(1)
			}
		})
	}
	if wait.Wait(); won.Load() != 1 || lost.Load() != 19 {
		t.Errorf("20 at once: %d won, %d lost", won.Load(), lost.Load())
	}
	// zoe's own cookie of the app was replaced by that browser's: it comes again by itself.
	follow := *zoe
	follow.CheckRedirect = nil
	if res, body := g.ask(&follow, "GET", g.app+"/", ""); res.StatusCode != 200 {
		t.Errorf("anew: got %d %s", res.StatusCode, body)
	}
}

// A person's browser takes the same way, over https, and one click shuts both.
func TestAppsApartInBrowser(t *testing.T) {
	for _, proxy := range appsProxies {
		t.Run(proxy.name, func(t *testing.T) {
			t.Parallel()
			g := apart(t, "https")
			proxy.serve(t, g)
			ctx := browsertest.Start(t, chromedp.Flag("host-resolver-rules", "MAP * 127.0.0.1"), chromedp.IgnoreCertErrors)
			do := func(what string, steps ...chromedp.Action[chromedp.Void]) {
				t.Helper()
				ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
				defer cancel()
				if err := chromedp.Do(ctx, steps...); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
			}
			at := func() string {
				t.Helper()
				where, err := chromedp.Run(ctx, chromedp.Location())
				if err != nil {
					t.Fatal(err)
				}
				return where
			}
			text := func() string {
				t.Helper()
				body, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
				if err != nil {
					t.Fatal(err)
				}
				return body
			}
			opens := func(host, path string) {
				t.Helper()
				if where := at(); where != g.url(host)+path || !strings.Contains(text(), `"X-Authentik-Username":["zoë"]`) {
					t.Fatalf("at %s: %s", where, text())
				}
			}
			do("the app", chromedp.Navigate(g.app+"/deep?x=1"), chromedp.WaitVisible(chromedp.CSS("#password")))
			do("sign in", chromedp.SendKeys(chromedp.CSS("#username"), "zoë"), chromedp.SendKeys(chromedp.CSS("#password"), "correct horse"),
				chromedp.Click(chromedp.CSS("form button.main")), chromedp.WaitVisible(chromedp.CSS("pre")))
			opens(appHost, "/deep?x=1")
			do("the wiki", chromedp.Navigate(g.url(wikiHost)+"/page"), chromedp.WaitVisible(chromedp.CSS("pre")))
			opens(wikiHost, "/page")
			for _, host := range []string{appHost, wikiHost} {
				var cookies []string
				do("cookies", chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
					got, err := cdp.Call(ctx, target, network.GetCookies, network.GetCookiesParams{URLs: []string{g.url(host) + "/"}})
					for _, cookie := range got.Cookies {
						if cookie.HTTPOnly && cookie.Secure && cookie.Domain == host && cookie.Path == "/" {
							cookies = append(cookies, strings.SplitAfter(cookie.Name, "lastseen_state_")[0])
						}
					}
					return err
				}))
				slices.Sort(cookies)
				if got := strings.Join(cookies, " "); got != "__Host-lastseen_app __Host-lastseen_state_" {
					t.Errorf("%s has the cookies %s", host, got)
				}
			}
			id := g.sessions("zoë")[0].UUID
			do("the session", chromedp.Navigate(g.url("auth.lastseen.test")+"/sessions/"+id), chromedp.WaitVisible(chromedp.CSS("form[action$=sign-out-app]")))
			if body := text(); !strings.Contains(body, appHost) || !strings.Contains(body, wikiHost) {
				t.Errorf("the session's page: %s", body)
			}
			do("one click", chromedp.Navigate(g.url("auth.lastseen.test")+"/sessions/"+id+"/revoke"), chromedp.Click(chromedp.CSS("main button.danger")), chromedp.WaitVisible(chromedp.CSS("#password")))
			for _, host := range []string{appHost, wikiHost} {
				do(host, chromedp.Navigate(g.url(host)+"/"), chromedp.WaitVisible(chromedp.CSS("#password")))
				if where := at(); !strings.HasPrefix(where, g.url("auth.lastseen.test")+"/login") {
					t.Errorf("%s after the end: at %s", host, where)
				}
			}
		})
	}
}
