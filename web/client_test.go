package web

import (
	"net/netip"
	"strings"
	"testing"
)

func trust(prefixes ...string) func(netip.Addr) bool {
	return func(a netip.Addr) bool {
		for _, p := range prefixes {
			if netip.MustParsePrefix(p).Contains(a) {
				return true
			}
		}
		return false
	}
}

func TestForwardedFor(t *testing.T) {
	t.Parallel()
	proxies := trust("10.0.0.0/8", "fd00::/8")
	for _, tt := range []struct {
		name, peer string
		headers    []string
		want       string
		ok         bool
	}{
		{"nobody trusted", "192.0.2.1", []string{"198.51.100.1"}, "192.0.2.1", true},
		{"no header", "10.0.0.1", nil, "10.0.0.1", true},
		{"one", "10.0.0.1", []string{"198.51.100.1"}, "198.51.100.1", true},
		{"forged on the left", "10.0.0.1", []string{"1.2.3.4, 198.51.100.1"}, "198.51.100.1", true},
		{"two proxies", "10.0.0.1", []string{"198.51.100.1, 10.0.0.2"}, "198.51.100.1", true},
		{"two headers", "10.0.0.1", []string{"1.2.3.4", "198.51.100.1"}, "198.51.100.1", true},
		{"all trusted", "10.0.0.1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3", true},
		{"port", "10.0.0.1", []string{"198.51.100.1:1234"}, "198.51.100.1", true},
		{"mapped", "10.0.0.1", []string{"::ffff:198.51.100.1"}, "198.51.100.1", true},
		{"mapped proxy", "10.0.0.1", []string{"198.51.100.1, ::ffff:10.0.0.2"}, "198.51.100.1", true},
		{"IPv6", "fd00::1", []string{"2001:db8::1"}, "2001:db8::1", true},
		{"brackets", "fd00::1", []string{"[2001:db8::1]"}, "2001:db8::1", true},
		{"brackets and port", "fd00::1", []string{"[2001:db8::1]:443"}, "2001:db8::1", true},
		{"zone", "fd00::1", []string{"fe80::1%eth0"}, "fe80::1", true},
		{"nonsense decides", "10.0.0.1", []string{"198.51.100.1, unknown"}, "10.0.0.1", false},
		{"nonsense behind a proxy", "10.0.0.1", []string{"unknown, 10.0.0.2"}, "10.0.0.1", false},
		{"nonsense further left", "10.0.0.1", []string{"unknown, 198.51.100.1"}, "198.51.100.1", true},
		{"empty", "10.0.0.1", []string{""}, "10.0.0.1", false},
		{"trailing comma", "10.0.0.1", []string{"198.51.100.1,"}, "10.0.0.1", false},
	} {
		got, ok := forwardedFor(netip.MustParseAddr(tt.peer), tt.headers, proxies)
		if got.String() != tt.want || ok != tt.ok {
			t.Errorf("%s: got %v, %v, want %v, %v", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

func FuzzForwardedFor(f *testing.F) {
	for _, seed := range []string{"198.51.100.1", "a, ::ffff:10.0.0.1", "[::1]:1", "fe80::1%eth0", ",,", "10.0.0.1:99999"} {
		f.Add(seed)
	}
	proxies := trust("10.0.0.0/8")
	peer := netip.MustParseAddr("10.0.0.1")
	f.Fuzz(func(t *testing.T, header string) {
		for _, headers := range [][]string{{header}, strings.SplitN(header, "|", 2)} {
			got, ok := forwardedFor(peer, headers, proxies)
			if !got.IsValid() || got.Zone() != "" || got.Is4In6() {
				t.Fatalf("%q: got %v, no canonical address", headers, got)
			}
			if !ok && got != peer {
				t.Fatalf("%q: cannot be read, but gave %v", headers, got)
			}
		}
		if got, ok := forwardedFor(netip.MustParseAddr("192.0.2.1"), []string{header}, proxies); got.String() != "192.0.2.1" || !ok {
			t.Fatalf("%q from a stranger: got %v, %v", header, got, ok)
		}
	})
}
