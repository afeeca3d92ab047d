package config

import (
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
	got := UnknownVariables([]string{"LASTSEEN_DATA=x", "LASTSEEN_LISTN=x", "LASTSEEN_BOOTSTRAP_PASSWORD_FILE=x", "LASTSEEN_FROBNICATION_FACTOR=x", "HOME=x"})
	want := [][2]string{{"LASTSEEN_FROBNICATION_FACTOR", ""}, {"LASTSEEN_LISTN", "LASTSEEN_LISTEN"}}
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %v, want %v", got, want)
	}
}
