package geoip

import "net/netip"

// A Scope is how far an address reaches, in words for a page.
type Scope string

const (
	Public    Scope = "Internet"
	Loopback  Scope = "This computer"
	Private   Scope = "Local network"
	LinkLocal Scope = "Local network (link-local address)"
	Carrier   Scope = "Carrier network (shared address)"
	Special   Scope = "Special address"
)

var (
	shared   = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598; also what overlay VPNs use
	thisNet  = netip.MustParsePrefix("0.0.0.0/8")     // RFC 791
	reserved = netip.MustParsePrefix("240.0.0.0/4")   // RFC 1112, with broadcast
)

// ScopeOf says how far ip reaches. IPv4-mapped addresses count as IPv4, zones
// are ignored, and the zero Addr is Special. Only of Public addresses can a
// database know anything.
func ScopeOf(ip netip.Addr) Scope {
	ip = ip.Unmap()
	switch {
	case ip.IsLoopback():
		return Loopback
	case ip.IsPrivate():
		return Private
	case ip.IsLinkLocalUnicast():
		return LinkLocal
	case shared.Contains(ip):
		return Carrier
	case !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() || thisNet.Contains(ip) || reserved.Contains(ip):
		return Special
	}
	return Public
}
