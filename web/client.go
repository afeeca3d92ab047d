package web

import (
	"net/http"
	"net/netip"
	"strings"

	"lastseen/app"
)

// client is where a request comes from: the one place that decides on it.
// Without a trusted proxy it is the peer; from one it is the rightmost address
// of X-Forwarded-For that is not trusted, or the leftmost if all are. When the
// element that decides cannot be read, ok is false and the address the peer's own.
func (s *Server) client(r *http.Request) (client app.Client, ok bool) {
	return s.clientOf(r, peerAddr(r))
}

// clientOf is client of a request whose peer is known.
func (s *Server) clientOf(r *http.Request, peer netip.Addr) (client app.Client, ok bool) {
	ip, ok := forwardedFor(peer, r.Header["X-Forwarded-For"], s.trusted)
	client = app.Client{IP: ip, Agent: first(r.Header, "User-Agent")}
	if ip != peer {
		client.Via = peer
	}
	return client, ok
}

// first is h.Get of a name in canonical form, which Get would have to look at.
func first(h http.Header, name string) string {
	if values := h[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// trusted reports whether we believe what a peer says of the client.
func (s *Server) trusted(peer netip.Addr) bool {
	for _, prefix := range s.app.Config.TrustedProxies {
		if prefix.Contains(peer) {
			return true
		}
	}
	return false
}

// peerAddr is the other end of the connection.
func peerAddr(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.IPv4Unspecified() // no TCP connection, as in a test: trusted by nobody
	}
	return canonicalAddr(peer.Addr())
}

// canonicalAddr is an address in the one form that is compared and stored.
func canonicalAddr(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// forwardedFor walks X-Forwarded-For from the right, as far as it is trusted.
func forwardedFor(peer netip.Addr, headers []string, trusted func(netip.Addr) bool) (ip netip.Addr, ok bool) {
	if len(headers) == 0 || !trusted(peer) {
		return peer, true
	}
	rest := strings.Join(headers, ",")
	for more := true; more; {
		var element string
		if i := strings.LastIndexByte(rest, ','); i >= 0 {
			rest, element = rest[:i], rest[i+1:]
		} else {
			element, more = rest, false
		}
		if ip, ok = parseForwarded(strings.Trim(element, " \t")); !ok {
			return peer, false
		}
		if !trusted(ip) {
			return ip, true
		}
	}
	return ip, true
}

// parseForwarded reads an address as proxies write it: bare, or with a port.
func parseForwarded(element string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(element); err == nil {
		return canonicalAddr(addr), true
	}
	if addr, err := netip.ParseAddrPort(element); err == nil {
		return canonicalAddr(addr.Addr()), true
	}
	if inner, ok := strings.CutPrefix(element, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok {
			if addr, err := netip.ParseAddr(inner); err == nil && addr.Is6() {
				return canonicalAddr(addr), true
			}
		}
	}
	return netip.Addr{}, false
}
