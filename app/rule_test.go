package app

import (
	"strings"
	"testing"

	"lastseen/app/config"
	"lastseen/db"
)

func TestParseHost(t *testing.T) {
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

// The most specific host with a rule decides.
func TestGateRules(t *testing.T) {
	rules := NewRules([]db.Rule{
		{ID: 1, Host: "*.example", Groups: []string{"all"}},
		{ID: 2, Host: "*.home.example", Groups: []string{"family"}},
		{ID: 3, Host: "a.home.example", Groups: []string{"a"}},
		{ID: 4, Host: "a.home.example", Groups: []string{"also"}},
		{ID: 5, Host: "b.home.example", Path: "/open"},
		{ID: 6, Host: "nobody.example"},
		{ID: 7, Host: "*.b.home.example", Path: "/hooks/*"},
	})
	for _, tt := range []struct {
		host, group string
		want        bool
	}{
		{"a.home.example", "a", true}, {"a.home.example", "also", true}, {"a.home.example", "family", false},
		{"x.a.home.example", "family", true}, {"x.a.home.example", "a", false},
		{"b.home.example", "family", true}, {"b.home.example", "all", false},
		{"home.example", "all", true}, {"home.example", "family", false},
		{"nobody.example", "all", false},
		{"example", "", true}, {"elsewhere.test", "", true},
	} {
		if got := rules.Allow(tt.host, []db.Group{{Name: "other"}, {Name: tt.group}}); got != tt.want {
			t.Errorf("%s to %q: got %v, want %v", tt.host, tt.group, got, tt.want)
		}
	}
	for _, tt := range []struct {
		host, path string
		want       int64
	}{
		{"b.home.example", "/open", 5}, {"b.home.example", "/open/", 0}, {"b.home.example", "/", 0}, {"c.home.example", "/open", 0},
		{"x.b.home.example", "/hooks/1", 7}, {"x.b.home.example", "/hooks", 0}, {"b.home.example", "/hooks/1", 0},
	} {
		if got, _ := rules.Open(tt.host, tt.path); got.ID != tt.want {
			t.Errorf("%s%s: got rule %d, want %d", tt.host, tt.path, got.ID, tt.want)
		}
	}
	if !NewRules(nil).Allow("a.home.example", nil) {
		t.Error("without rules a host is refused")
	}
}
