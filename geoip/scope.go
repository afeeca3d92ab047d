package geoip

import "net/netip"

// A Scope is how far an address reaches. Files are asked only about public ones.
type Scope string

// The scopes that pages tell apart.
const (
	Public   Scope = "public"
	Loopback Scope = "loopback"
	Private  Scope = "private" // RFC 1918 and RFC 4193
	LinkOnly Scope = "link"    // RFC 3927 and RFC 4291
	Carrier  Scope = "carrier" // RFC 6598: shared by a carrier's customers, or a VPN
	Other    Scope = "other"   // multicast, unspecified, broadcast, or no address
)

var (
	carrierNAT = netip.MustParsePrefix("100.64.0.0/10")
	thisHost   = netip.MustParsePrefix("0.0.0.0/8")
	reserved   = netip.MustParsePrefix("240.0.0.0/4")
)

// ScopeOf is the scope of an address.
func ScopeOf(ip netip.Addr) Scope {
	ip = ip.Unmap().WithZone("")
	switch {
	case !ip.IsValid(), ip.IsUnspecified(), ip.IsMulticast(), thisHost.Contains(ip), reserved.Contains(ip):
		return Other
	case ip.IsLoopback():
		return Loopback
	case ip.IsPrivate():
		return Private
	case ip.IsLinkLocalUnicast():
		return LinkOnly
	case carrierNAT.Contains(ip):
		return Carrier
	}
	return Public
}
