package pgtest

import (
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// A Relay is a network between a program and PostgreSQL that counts, stalls and cuts.
type Relay struct {
	URL string // what it leads to, through it

	to       string
	listener net.Listener
	trips    atomic.Int64

	mu    sync.Mutex
	conns []net.Conn
	flows chan struct{} // closed while bytes do
}

// NewRelay leads to the database at a URL.
func NewRelay(t testing.TB, to string) *Relay {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Relay{to: u.Host, listener: listener, flows: make(chan struct{})}
	close(r.flows)
	u.Host = listener.Addr().String()
	r.URL = u.String()
	go r.accept()
	t.Cleanup(func() {
		listener.Close()
		r.Thaw()
		r.Cut()
	})
	return r
}

// RoundTrips is how often the database was ready for the next thing to do, so far.
func (r *Relay) RoundTrips() int64 { return r.trips.Load() }

// Cut ends all connections.
func (r *Relay) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range r.conns {
		conn.Close()
	}
	r.conns = nil
}

// Freeze has no byte pass, though all connections seem to be there, and new ones too.
func (r *Relay) Freeze() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flows = make(chan struct{})
}

// Forget leaves what is frozen so for good, and lets new connections through.
func (r *Relay) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flows = make(chan struct{})
	close(r.flows)
}

// Thaw has bytes pass again.
func (r *Relay) Thaw() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.flows:
	default:
		close(r.flows)
	}
}

func (r *Relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", r.to)
		if err != nil {
			client.Close()
			continue
		}
		r.mu.Lock()
		r.conns = append(r.conns, client, server)
		r.mu.Unlock()
		go r.relay(server, client, nil)
		go r.relay(client, server, &r.trips)
	}
}

// relay copies what from sends, and counts in it what says that the server is ready
// (https://www.postgresql.org/docs/current/protocol-message-formats.html, ReadyForQuery).
func (r *Relay) relay(to, from net.Conn, trips *atomic.Int64) {
	defer to.Close()
	defer from.Close()
	r.mu.Lock()
	flows := r.flows
	r.mu.Unlock()
	wait := func() {
		r.mu.Lock()
		if r.flows != flows {
			select {
			case <-flows: // it is not one that was forgotten
				flows = r.flows
			default:
			}
		}
		r.mu.Unlock()
		<-flows
	}
	if trips == nil {
		buffer := make([]byte, 32<<10)
		for {
			n, err := from.Read(buffer)
			wait()
			if n > 0 {
				if _, err := to.Write(buffer[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
	header := make([]byte, 5)
	for {
		if _, err := io.ReadFull(from, header); err != nil {
			return
		}
		body := make([]byte, int(binary.BigEndian.Uint32(header[1:]))-4)
		if _, err := io.ReadFull(from, body); err != nil {
			return
		}
		wait()
		if header[0] == 'Z' {
			trips.Add(1)
		}
		if _, err := to.Write(append(header, body...)); err != nil {
			return
		}
		header = header[:5:5]
	}
}
