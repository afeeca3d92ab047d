package web

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"
)

// HeldSocket is the one that systemd holds for us, or nil: connections wait in it while a
// server is started anew. It comes before --listen.
func HeldSocket() (net.Listener, error) {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	if n := os.Getenv("LISTEN_FDS"); n != "1" {
		return nil, fmt.Errorf("LISTEN_FDS is %q, not 1", n)
	}
	file := os.NewFile(3, "socket") // the first, as sd_listen_fds(3) says
	defer file.Close()
	listener, err := net.FileListener(file)
	if err == nil && listener.Addr().Network() != "tcp" {
		err = errors.Join(fmt.Errorf("%s is no TCP address", listener.Addr()), listener.Close())
	}
	return listener, err
}

// Listen listens on IPv4 alone where the address is one of IPv4: left to itself, Go
// takes 0.0.0.0 for every address of IPv6 too.
func Listen(address string) (net.Listener, error) {
	network := "tcp"
	if at, err := netip.ParseAddrPort(address); err == nil && at.Addr().Is4() {
		network = "tcp4"
	}
	return net.Listen(network, address)
}

// maxConnections is how many an address, or a /64, may have open at once: more
// than the browsers of a large household behind one address, and few enough that
// it takes thousands of addresses to fill a small machine.
const maxConnections = 256

// A listener closes at once the connections that one address opens beyond
// maxConnections; those of the exempt do not count.
type listener struct {
	net.Listener
	exempt func(netip.Addr) bool
	log    *slog.Logger

	mu         sync.Mutex
	open       map[netip.Prefix]int
	complained time.Time
}

// listen bounds the connections of a listener by address. This machine's own and
// the trusted proxies' are everybody's, and not bounded.
func (s *Server) listen(on net.Listener) *listener {
	return newListener(on, func(peer netip.Addr) bool { return peer.IsLoopback() || s.trusted(peer) }, s.log)
}

func newListener(on net.Listener, exempt func(netip.Addr) bool, log *slog.Logger) *listener {
	return &listener{Listener: on, exempt: exempt, log: log, open: map[netip.Prefix]int{}}
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

func (l *listener) enter(c *conn) bool {
	if !c.network.IsValid() {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[c.network] >= maxConnections {
		l.complain(c.network)
		return false
	}
	l.open[c.network]++
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
	if !c.network.IsValid() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[c.network]--; l.open[c.network] == 0 {
		delete(l.open, c.network)
	}
}

// A conn has the time limits that net/http sets, four times in each request. The
// connection below is told of one only when something waits there, and not while it has
// one that comes no later: a timer for each costs a twentieth of a small request.
type conn struct {
	net.Conn
	listener    *listener
	network     netip.Prefix // whose connections are counted; of the exempt it is invalid
	read, write limit
	closed      sync.Once
}

func (c *conn) Read(b []byte) (int, error) {
	for {
		if err := c.read.begin(c.Conn.SetReadDeadline); err != nil {
			return 0, err
		}
		n, err := c.Conn.Read(b)
		if again := c.read.end(err, c.Conn.SetReadDeadline); n > 0 || !again {
			return n, err
		}
	}
}

func (c *conn) Write(b []byte) (written int, err error) {
	for {
		if err := c.write.begin(c.Conn.SetWriteDeadline); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(b[written:])
		written += n
		if !c.write.end(err, c.Conn.SetWriteDeadline) {
			return written, err
		}
	}
}

func (c *conn) SetReadDeadline(t time.Time) error  { return c.read.set(t, c.Conn.SetReadDeadline) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.write.set(t, c.Conn.SetWriteDeadline) }
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// A limit is when reading or writing is to end: at is what was asked for last, and below
// what the connection below has, which is never later while something waits there. The
// zero time is never.
type limit struct {
	mu        sync.Mutex
	at, below time.Time
	waiting   int // how many read or write below
}

func (l *limit) set(t time.Time, below func(time.Time) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = t
	if l.waiting > 0 && l.late() {
		l.below = t
		return below(t)
	}
	return nil // begin or end sees to it
}

// late reports whether the limit below comes later than what was asked for. l.mu is held.
func (l *limit) late() bool { return !l.at.IsZero() && (l.below.IsZero() || l.at.Before(l.below)) }

// begin is called before something waits below. Where the limit has passed, that is an error.
func (l *limit) begin(below func(time.Time) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.late() {
		if !time.Now().Before(l.at) {
			return os.ErrDeadlineExceeded
		}
		l.below = l.at
		if err := below(l.at); err != nil {
			return err
		}
	}
	l.waiting++
	return nil
}

// end is called after that, and reports whether err comes of a limit that was moved
// since: then it is moved below too.
func (l *limit) end(err error, below func(time.Time) error) (again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting--
	if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || !l.at.IsZero() && !time.Now().Before(l.at) {
		return false
	}
	l.below = l.at
	return below(l.at) == nil
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
	defer c.closed.Do(func() { c.listener.leave(c) })
	return c.Conn.Close()
}
