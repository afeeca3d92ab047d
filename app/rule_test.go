package app

import (
	"strings"
	"testing"

	"lastseen/app/config"
)

func TestParseHost(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 63)
	for hostport, want := range map[string][2]string{
		"grafana.home.example":       {"grafana.home.example", ""},
		"Grafana.HOME.example.":      {"grafana.home.example", ""},
		"grafana.home.example:3000":  {"grafana.home.example", "3000"},
		"grafana.home.example.:3000": {"grafana.home.example", "3000"},
		"bücher.home.example":        {"xn--bcher-kva.home.example", ""},
		"BÜCHER.home.example":        {"xn--bcher-kva.home.example", ""},
		"xn--bcher-kva.home.example": {"xn--bcher-kva.home.example", ""},
		"nas":                        {"nas", ""},
		"my_nas.lan":                 {"my_nas.lan", ""},
		"192.0.2.1:80":               {"192.0.2.1", "80"},
		"[2001:DB8::1]":              {"2001:db8::1", ""},
		"[2001:db8:0::1]:443":        {"2001:db8::1", "443"},
		"[::ffff:192.0.2.1]":         {"192.0.2.1", ""},
		long + ".example":            {long + ".example", ""},
	} {
		host, port, ok := config.ParseHost(hostport)
		if !ok || host != want[0] || port != want[1] {
			t.Errorf("%q: got %q, %q, %v, want %q", hostport, host, port, ok, want)
		}
	}
	for _, hostport := range []string{
		"", ".", "a..b", ".a", "a b", "a/b", `a\b`, "a@b", "user:pw@a", "a:", "a:x", "a:123456", "a:65536", "a:0", "a:+1", "a:-1", "a:1:2", "a,b", "a\x00", "a\n", "%61", "a%2eb",
		"::1", "[::1", "[::1]x", "[::1]:", "[::1%eth0]", "[192.0.2.1]", "[a]", "xn--a", "a\u200db\u2060", "\xff", long + "a.example", strings.Repeat("a.", 127) + "aa",
	} {
		if host, port, ok := config.ParseHost(hostport); ok {
			t.Errorf("%q: got %q, %q", hostport, host, port)
		}
	}
}
