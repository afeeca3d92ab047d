package web

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// maxConnections is how many an address, or a /64, may have open at once: more
// than the browsers of a large household behind one address, and few enough that
// it takes thousands of addresses to fill a small machine.
const maxConnections = 256

// A fairListener closes at once the connections that one address opens beyond
// maxConnections. Those of the exempt do not count.
type fairListener struct {
	net.Listener
	exempt func(netip.Addr) bool
	log    *slog.Logger

	mu         sync.Mutex
	open       map[netip.Prefix]int
	complained time.Time
}

// fair bounds the connections of a listener by address. This machine's own and
// the trusted proxies' are everybody's, and not bounded.
func (s *Server) fair(listener net.Listener) net.Listener {
	return &fairListener{Listener: listener, log: s.log, open: map[netip.Prefix]int{},
		exempt: func(peer netip.Addr) bool { return peer.IsLoopback() || s.trusted(peer) }}
}

func (l *fairListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer, err := netip.ParseAddrPort(conn.RemoteAddr().String())
		if err != nil {
			return conn, nil // no TCP, so no stranger
		}
		addr := canonicalAddr(peer.Addr())
		if l.exempt(addr) {
			return conn, nil
		}
		bits := 32
		if addr.Is6() {
			bits = 64
		}
		network, _ := addr.Prefix(bits) // never fails: the address has no zone and so many bits
		if l.enter(network) {
			return &fairConn{Conn: conn, leave: sync.OnceFunc(func() { l.leave(network) })}, nil
		}
		conn.Close()
	}
}

func (l *fairListener) enter(network netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[network] < maxConnections {
		l.open[network]++
		return true
	}
	if now := time.Now(); now.Sub(l.complained) > time.Minute {
		l.complained = now
		l.log.Warn("too many connections from one address; if it is your proxy's, name it in --trusted-proxies", "ip", network.Addr(), "open", maxConnections)
	}
	return false
}

func (l *fairListener) leave(network netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[network]--; l.open[network] == 0 {
		delete(l.open, network)
	}
}

type fairConn struct {
	net.Conn
	leave func()
}

func (c *fairConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
