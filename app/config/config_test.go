package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// parse reads settings from flags and variables.
func parse(flags, variables map[string]string) (Config, error) {
	from := func(m map[string]string) func(string) (string, bool) {
		return func(name string) (string, bool) { v, ok := m[name]; return v, ok }
	}
	return Parse(from(flags), from(variables))
}

func TestConfigDefaults(t *testing.T) {
	c, err := parse(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.DataDir != "./data" || c.Listen != "127.0.0.1:9000" || c.SessionDuration != 14*24*time.Hour || c.SessionIdle != 0 ||
		c.History != 90*24*time.Hour || c.GeoIPCity != filepath.Join("data", "geoip", "GeoLite2-City.mmdb") || c.PublicURL != nil || c.TrustedProxies != nil {
		t.Errorf("got %+v", c)
	}
}

func TestConfigPrecedence(t *testing.T) {
	c, err := parse(map[string]string{"listen": ":1"}, map[string]string{"LASTSEEN_LISTEN": ":2", "LASTSEEN_HISTORY": "7d", "LASTSEEN_DATA": ""})
	if err != nil || c.Listen != ":1" || c.History != 7*24*time.Hour || c.DataDir != "./data" {
		t.Errorf("got %+v, %v; want the flag, then the variable, then the default", c, err)
	}
}

func TestConfigMistakes(t *testing.T) {
	for _, tt := range []struct {
		flag, value, want string // want is part of the error, "" for none
	}{
		{"data", "", "--data: needs a directory"},
		{"listen", "9000", "--listen: must be HOST:PORT"},
		{"listen", "localhost:http", "--listen: the port must be a number"},
		{"listen", "[::1]:0", ""},
		{"public-url", "auth.home.example", "--public-url: must begin with"},
		{"public-url", "ftp://x", "--public-url: must begin with"},
		{"public-url", "https://u:p@x", "--public-url: must be scheme and host alone"},
		{"public-url", "https://x/path", "--public-url: must be scheme and host alone"},
		{"public-url", "https://Auth.Home.Example:443/", ""},
		{"trusted-proxies", "10.0.0.0/8, ::1, 192.168.1.1", ""},
		{"trusted-proxies", "::ffff:10.0.0.0/104", ""},
		{"identity-headers", "authelia", ""},
		{"identity-headers", "remote", "--identity-headers: must be authentik or authelia"},
		{"trusted-proxies", "proxy", `--trusted-proxies: "proxy" is neither`},
		{"trusted-proxies", "0.0.0.0/0", "would believe everybody"},
		{"trusted-proxies", "::/0", "would believe everybody"},
		{"trusted-proxies", "::ffff:0:0/96", "would believe everybody"},
		{"session-duration", "14", "--session-duration: "},
		{"session-duration", "0", "--session-duration: must be at least 1s"},
		{"session-duration", "-1h", "--session-duration: "},
		{"session-duration", "1d12h", ""},
		{"session-idle", "0", ""},
		{"backup-every", "0", ""},
		{"backup-every", "12h", ""},
		{"backup-every", "daily", "--backup-every: "},
		{"backup-keep", "0", "--backup-keep: must be a whole number"},
		{"backup-keep", "-1", "--backup-keep: must be a whole number"},
		{"session-idle", "10ms", "--session-idle: must be at least 1s"},
		{"history", "99999999d", "--history: "},
		{"log-format", "xml", "--log-format: must be text or json"},
		{"log-level", "loud", "--log-level: must be info or debug"},
		{"metrics-listen", "x", "--metrics-listen: "},
	} {
		_, err := parse(map[string]string{tt.flag: tt.value}, nil)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("--%s %q: got %v, want %q", tt.flag, tt.value, err, tt.want)
		}
	}
}

// What makes browsers drop the cookie, or loop, is refused at start.
func TestCookieDomain(t *testing.T) {
	for _, tt := range []struct{ domain, url, want string }{
		{"home.example", "https://auth.home.example", ""},
		{".Home.Example.", "https://auth.home.example", ""},
		{"home.example", "https://home.example", ""},
		{"home.example", "", "needs --public-url"},
		{"home.example", "https://auth.other.example", "is not under home.example"},
		{"home.example", "https://evilhome.example", "is not under home.example"},
		{"co.uk", "https://auth.co.uk", "public suffix"},
		{"duckdns.org", "https://me.duckdns.org", "public suffix"},
		{"localhost", "http://localhost", "public suffix"},
		{"192.168.1.2", "http://192.168.1.2", "is an address"},
		{"home.example:8080", "https://auth.home.example", "bare domain"},
		{"https://home.example", "https://auth.home.example", "bare domain"},
	} {
		flags := map[string]string{"cookie-domain": tt.domain}
		if tt.url != "" {
			flags["public-url"] = tt.url
		}
		c, err := parse(flags, nil)
		if tt.want == "" && (err != nil || c.CookieDomain != "home.example") || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s with %s: got %q, %v, want %q", tt.domain, tt.url, c.CookieDomain, err, tt.want)
		}
	}
}

// What an app is, and which cookie opens it.
func TestApps(t *testing.T) {
	const apps, auth = "App.Home.example, wiki.other.example,*.media.example,  ,*.lan", "https://auth.home.example"
	for _, tt := range []struct {
		apps, domain, url, host string
		guards, own, leads      bool
	}{
		{"", "", auth, "auth.home.example", true, false, true}, // on another port
		{"", "", auth, "app.home.example", false, false, false},
		{"", "home.example", auth, "app.home.example", true, false, true},
		{"", "home.example", auth, "app.other.example", false, false, false},
		{apps, "", auth, "app.home.example", true, true, true},
		{apps, "", auth, "wiki.other.example", true, true, true},
		{apps, "", auth, "other.example", false, false, false},
		{apps, "", auth, "a.wiki.other.example", false, false, false},
		{apps, "", auth, "a.b.media.example", true, true, true},
		{apps, "", auth, "media.example", false, false, false},
		{apps, "", auth, "evilmedia.example", false, false, false},
		{apps, "", auth, "nas.lan", true, true, true},
		{apps, "", auth, "auth.home.example", false, false, true},
		{apps, "", auth, "", false, false, false},
		{apps, "home.example", auth, "app.home.example", true, false, true},
		{apps, "home.example", auth, "not-named.home.example", false, false, false},
		{apps, "home.example", auth, "wiki.other.example", true, true, true},
		{"*.home.example", "", auth, "auth.home.example", true, false, true},
		{"192.168.1.2,[fd00::1]", "", auth, "fd00::1", true, true, true},
	} {
		c, err := parse(map[string]string{"apps": tt.apps, "cookie-domain": tt.domain, "public-url": tt.url}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if guards, own, leads := c.Guards(tt.host), c.OwnCookie(tt.host), c.LeadsTo(tt.host); guards != tt.guards || own != tt.own || leads != tt.leads {
			t.Errorf("apps %q, domain %q: %q is guarded %v, own cookie %v, led to %v, want %v, %v, %v", tt.apps, tt.domain, tt.host, guards, own, leads, tt.guards, tt.own, tt.leads)
		}
		if own := c.OwnCookie(tt.host); own && c.AnswersTo(tt.host) {
			t.Errorf("apps %q: our pages are shown under the app's name %s", tt.apps, tt.host)
		}
	}
	// All that is wrong is told at once.
	_, err := parse(map[string]string{"apps": "ok.example,https://a.example,b.example:80,*.com,*.duckdns.org,c.*.example,d.example/x", "cookie-name": "a b", "gate-default": "maybe"}, nil)
	for _, want := range []string{`"https://a.example" must be`, `"b.example:80" must be`, `"*.com": anybody`, `"*.duckdns.org": anybody`, `"c.*.example" must be`, `"d.example/x" must be`, "--cookie-name: must be", "--gate-default: must be"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for name, good := range map[string]bool{"lastseen_two": true, "Two.a-b": true, "lastseen_app": false, "__Host-lastseen_app": false, "__secure-x": false, "lastseen_state_a": false,
		"theme": false, "a=b": false, "a;b": false, "é": false} {
		if _, err := parse(map[string]string{"cookie-name": name}, nil); (err == nil) != good {
			t.Errorf("--cookie-name %q: got %v", name, err)
		}
	}
}

func TestSecrets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("correct horse\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := parse(nil, map[string]string{"LASTSEEN_BOOTSTRAP_PASSWORD_FILE": file})
	if err != nil || c.BootstrapPassword != "correct horse" {
		t.Errorf("got %q, %v", c.BootstrapPassword, err)
	}
	for name, variables := range map[string]map[string]string{
		"LASTSEEN_BOOTSTRAP_PASSWORD_FILE: give either": {"LASTSEEN_BOOTSTRAP_PASSWORD_FILE": file, "LASTSEEN_BOOTSTRAP_PASSWORD": "correct horse"},
		"LASTSEEN_BOOTSTRAP_PASSWORD_FILE: open":        {"LASTSEEN_BOOTSTRAP_PASSWORD_FILE": file + "x"},
		"LASTSEEN_BOOTSTRAP_PASSWORD: password: A":      {"LASTSEEN_BOOTSTRAP_PASSWORD": "short"},
		"LASTSEEN_BOOTSTRAP_TOKEN: must be 20":          {"LASTSEEN_BOOTSTRAP_PASSWORD": "correct horse", "LASTSEEN_BOOTSTRAP_TOKEN": "short"},
		"LASTSEEN_BOOTSTRAP_TOKEN: needs":               {"LASTSEEN_BOOTSTRAP_TOKEN": "0123456789abcdefghij"},
		"LASTSEEN_BOOTSTRAP_USERNAME: username: A user": {"LASTSEEN_BOOTSTRAP_USERNAME": "a b"},
	} {
		_, err := parse(nil, variables)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v: got %v, want %q", variables, err, name)
		}
		if err != nil && (strings.Contains(err.Error(), "short") || strings.Contains(err.Error(), "horse")) {
			t.Errorf("a secret is in the error: %v", err)
		}
	}
}

func TestUnknownVariables(t *testing.T) {
	for name, want := range map[string]string{
		"LASTSEEN_LISTN": "LASTSEEN_LISTEN", "LASTSEEN_BOOTSTRAP_PASWORD_FILE": "LASTSEEN_BOOTSTRAP_PASSWORD_FILE", "LASTSEEN_PUBLICURL": "LASTSEEN_PUBLIC_URL",
		"LASTSEEN_FROBNICATION_FACTOR": "", "LASTSEEN_FOO": "", "LASTSEEN_PORT": "", "LASTSEEN_HOST": "", "LASTSEEN_": "",
	} {
		got := UnknownVariables([]string{"LASTSEEN_DATA=x", name + "=x", "LASTSEEN_BOOTSTRAP_PASSWORD_FILE=x", "LASTSEEN_TEST_X=x", "HOME=x"})
		if len(got) != 1 || got[0] != [2]string{name, want} {
			t.Errorf("%s: got %v, want %q", name, got, want)
		}
	}
}

// Where alerts go. No error repeats what was given, as it holds secrets.
func TestAlerts(t *testing.T) {
	for _, tt := range []struct{ alerts, smtp, from, want string }{
		{"", "", "", ""},
		{"ntfy://:s3cret@ntfy.example/home, webhook+https://hook.example/s3cret,", "", "", ""},
		{"mailto:ada@home.example", "smtp://ada:s3cret@mail.example", "Lastseen <lastseen@home.example>", ""},
		{"mailto:ada@home.example", "", "", "--smtp"},
		{"ntfy://ntfy.example/home,https://hook.example/s3cret", "", "", "number 2"},
		{"", "smtp://ada:s3cret@mail.example/x", "", "--smtp"},
		{"", "", "lastseen", "--mail-from"},
	} {
		c, err := parse(map[string]string{"alerts": tt.alerts, "smtp": tt.smtp, "mail-from": tt.from}, nil)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("%+v: got %v", tt, err)
		}
		if tt.want == "" && (c.Mail != nil) != (tt.smtp != "") || strings.Contains(fmt.Sprintf("%v", c.Alerts), "s3cret") {
			t.Errorf("%+v: got %v, %v", tt, c.Alerts, c.Mail)
		}
	}
}
