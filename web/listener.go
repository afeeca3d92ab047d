package web

import (
	"errors"
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

// A listener closes at once the connections that one address opens beyond
// maxConnections; those of the exempt do not count. It looks after the time limits
// of those that are open.
type listener struct {
	net.Listener
	exempt func(netip.Addr) bool
	log    *slog.Logger

	mu         sync.Mutex
	conns      map[*conn]struct{} // those that are open
	open       map[netip.Prefix]int
	complained time.Time
	closed     bool
}

// listen bounds the connections of a listener by address. This machine's own and
// the trusted proxies' are everybody's, and not bounded.
func (s *Server) listen(on net.Listener) *listener {
	return newListener(on, func(peer netip.Addr) bool { return peer.IsLoopback() || s.trusted(peer) }, s.log)
}

func newListener(on net.Listener, exempt func(netip.Addr) bool, log *slog.Logger) *listener {
	l := &listener{Listener: on, exempt: exempt, log: log, conns: map[*conn]struct{}{}, open: map[netip.Prefix]int{}}
	go l.cutLate()
	return l
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: accepted, listener: l}
		if peer, err := netip.ParseAddrPort(accepted.RemoteAddr().String()); err == nil { // otherwise no TCP, so no stranger
			if addr := canonicalAddr(peer.Addr()); !l.exempt(addr) {
				bits := 32
				if addr.Is6() {
					bits = 64
				}
				c.network, _ = addr.Prefix(bits) // never fails: the address has no zone and so many bits
			}
		}
		if l.enter(c) {
			return c, nil
		}
		accepted.Close()
	}
}

func (l *listener) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	return l.Listener.Close()
}

func (l *listener) enter(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.network.IsValid() {
		if l.open[c.network] >= maxConnections {
			l.complain(c.network)
			return false
		}
		l.open[c.network]++
	}
	l.conns[c] = struct{}{}
	return true
}

// complain logs that a network has too many, once a minute. l.mu is held.
func (l *listener) complain(network netip.Prefix) {
	if now := time.Now(); now.Sub(l.complained) > time.Minute {
		l.complained = now
		l.log.Warn("too many connections from one address; if it is your proxy's, name it in --trusted-proxies", "ip", network.Addr(), "open", maxConnections)
	}
}

func (l *listener) leave(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, open := l.conns[c]; !open {
		return
	}
	delete(l.conns, c)
	if c.network.IsValid() {
		if l.open[c.network]--; l.open[c.network] == 0 {
			delete(l.open, c.network)
		}
	}
}

// cutLate ends what is over its time limit, every second until the listener and all
// its connections are closed.
func (l *listener) cutLate() {
	for done := false; !done; {
		time.Sleep(time.Second)
		l.mu.Lock()
		for c := range l.conns {
			c.read.cut(time.Now(), c.Conn.SetReadDeadline)
			c.write.cut(time.Now(), c.Conn.SetWriteDeadline)
		}
		done = l.closed && len(l.conns) == 0
		l.mu.Unlock()
	}
}

// A conn remembers the time limits that net/http sets, four times in each request, and
// leaves it to the listener to look whether one is over: timers for them cost a
// twentieth of a small request.
type conn struct {
	net.Conn
	listener    *listener
	network     netip.Prefix // whose connections are counted; of the exempt it is invalid
	read, write limit
}

func (c *conn) SetReadDeadline(t time.Time) error  { return c.read.set(t, c.Conn.SetReadDeadline) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.write.set(t, c.Conn.SetWriteDeadline) }
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// A limit is when reading or writing is to end. The zero time is never.
type limit struct {
	mu   sync.Mutex
	at   time.Time
	over bool // it is set at the connection below, where others never are
}

var started = time.Now()

// set notes a limit. One that was over long ago, by which net/http ends a read that
// waits, holds at once.
func (l *limit) set(t time.Time, below func(time.Time) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	wasOver := l.over
	l.at, l.over = t, !t.IsZero() && t.Before(started)
	switch {
	case l.over:
		return below(t)
	case wasOver:
		return below(time.Time{})
	}
	return nil
}

// cut ends what is over its limit.
func (l *limit) cut(now time.Time, below func(time.Time) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over && !l.at.IsZero() && l.at.Before(now) {
		l.over = true
		_ = below(l.at) // fails only when it is closed
	}
}

// CloseWrite lets the other end read what was written before a connection is closed
// from which more came.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

func (c *conn) Close() error {
	defer c.listener.leave(c)
	return c.Conn.Close()
}
