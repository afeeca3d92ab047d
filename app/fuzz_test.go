package app

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"lastseen/app/config"
	"lastseen/app/live"
	"lastseen/db"
)

// FuzzParseHost: what is a host has one form, which is the form of itself.
func FuzzParseHost(f *testing.F) {
	for _, seed := range []string{"home.example", "HOME.example.:443", "[::1]:80", "[::ffff:192.0.2.1]", "192.0.2.1", "bücher.example", "xn--bcher-kva.example",
		"a@b", "a:b", "[::1", "a..b", "a%2eb", "", ".", "a:", "a:99999", "ß.example", "\u3002", "a_b", "[fe80::1%eth0]", "xn--a.example", "ａ.example"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, hostport string) {
		host, port, ok := config.ParseHost(hostport)
		if !ok {
			return
		}
		if host == "" || strings.ContainsAny(host, "@/\\?#% \t\r\n[]\x00") || host != strings.ToLower(host) || strings.HasSuffix(host, ".") {
			t.Errorf("%q: got %q", hostport, host)
		}
		for i := range len(host) {
			if host[i] <= ' ' || host[i] >= 0x7f {
				t.Errorf("%q: got %q", hostport, host)
			}
		}
		if strings.Trim(port, "0123456789") != "" {
			t.Errorf("%q: got port %q", hostport, port)
		}
		again := host
		if strings.Contains(host, ":") {
			again = "[" + host + "]"
		}
		if twice, _, ok := config.ParseHost(again); !ok || twice != host {
			t.Errorf("%q: got %q, and then %q, %v", hostport, host, twice, ok)
		}
	})
}

// FuzzParseDuration: no text is a negative duration, or one that wrapped around.
func FuzzParseDuration(f *testing.F) {
	for _, seed := range []string{"90s", "15m", "12h", "30d", "1d12h", "", "0", "-1s", "65535d", "65535d2540000h", "9223372036s", "1.5h", "1e9h", "d", "1dd", "1d-1s", "+1h"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := config.ParseDuration(text)
		if err != nil {
			return
		}
		days, rest, ok := strings.Cut(text, "d")
		if d < 0 || ok && days != "" && rest == "" && d%(24*time.Hour) != 0 {
			t.Errorf("%q: got %v", text, d)
		}
	})
}

// FuzzSettings: whatever is accepted can be used.
func FuzzSettings(f *testing.F) {
	f.Add("https://auth.home.example:443/", "home.example", "10.0.0.0/8, ::1", "127.0.0.1:9000", "1d")
	f.Add("http://[::1]:9000", "", "::ffff:10.0.0.0/104", ":0", "0")
	f.Add("http://a@b", "co.uk", "0.0.0.0/0", "x", "-1d")
	f.Fuzz(func(t *testing.T, publicURL, domain, proxies, listen, duration string) {
		values := map[string]string{"public-url": publicURL, "cookie-domain": domain, "trusted-proxies": proxies, "listen": listen, "session-idle": duration}
		c, err := config.Parse(func(name string) (string, bool) { v, ok := values[name]; return v, ok }, func(string) (string, bool) { return "", false })
		if err != nil {
			return
		}
		if c.PublicURL != nil {
			again, err := url.Parse(c.PublicURL.String())
			host, _, ok := config.ParseHost(c.PublicURL.Host)
			if err != nil || again.Host != c.PublicURL.Host || !ok || !c.Reaches(host) {
				t.Errorf("%q: got %q, %v", publicURL, c.PublicURL, err)
			}
		}
		for _, p := range c.TrustedProxies {
			if !p.IsValid() || p.Bits() == 0 || p.Masked() != p || p.Addr().Is4In6() {
				t.Errorf("%q: got %v", proxies, p)
			}
		}
		if c.CookieDomain != "" && !c.Reaches("app."+c.CookieDomain) {
			t.Errorf("%q: it does not reach below itself", domain)
		}
		if c.SessionIdle < 0 {
			t.Errorf("%q: got %v", duration, c.SessionIdle)
		}
	})
}

// FuzzRule: a rule's host fits itself or what is below it alone, and an open path
// is plain.
func FuzzRule(f *testing.F) {
	f.Add("*.home.example", "/hooks/*", "a.home.example", "/hooks/../admin")
	f.Add("Grafana.Home.Example.", "/", "grafana.home.example", "/x")
	f.Add("*.*.example", "/a%2fb*", "*", "//")
	f.Fuzz(func(t *testing.T, typed, path, host, asked string) {
		rule, err := ruleHost(typed)
		if err != nil || checkRulePath(path) != nil {
			return
		}
		host, _, ok := config.ParseHost(host)
		if !ok || !plainPath(asked) {
			return
		}
		suffix, wild := strings.CutPrefix(rule, "*.")
		fits := host == rule || wild && strings.HasSuffix(host, "."+suffix)
		prefix, below := strings.CutSuffix(path, "*")
		open := fits && (asked == path || below && strings.HasPrefix(asked, prefix))
		if _, got := live.NewRules([]db.Rule{{Host: rule, Path: path}}).Open(host, asked, "GET"); got != open {
			t.Errorf("rule %q %q: open for %q %q is %v", rule, path, host, asked, got)
		}
		if open && (strings.Contains(asked, "..") && strings.Contains(asked, "/../") || strings.Contains(asked, "//")) {
			t.Errorf("rule %q %q opens %q", rule, path, asked)
		}
	})
}
