package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

// serve runs the server as serve does, on a listener that wrap may change.
func (ts *testServer) serve(wrap func(net.Listener) net.Listener) (address string) {
	ts.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		ts.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- ts.Server.Serve(ctx, wrap(listener)) }()
	ts.t.Cleanup(func() {
		stop()
		<-done // what is half open is cut
	})
	return listener.Addr().String()
}

func dial(t testing.TB, address, send string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, send); err != nil {
		t.Fatal(err)
	}
	return conn
}

const liveRequest = "GET /-/health/live/ HTTP/1.1\r\nHost: localhost\r\n\r\n"

// One address gets no more than its share of connections, and again as many when
// it closes them; others are served meanwhile.
func TestConnectionsOfOneAddressAreBounded(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := &lockedBuffer{}
	other := netip.MustParseAddr("127.0.0.9")
	fair := newListener(listener, func(a netip.Addr) bool { return a == other }, slog.New(slog.NewTextHandler(log, nil)))
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	go server.Serve(fair)
	defer server.Close()

	served := func(from string) (net.Conn, bool) {
		conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(30 * time.Second))
		io.WriteString(conn, liveRequest)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		return conn, err == nil && res.StatusCode == 200
	}
	var conns []net.Conn
	for i := range maxConnections {
		conn, ok := served("127.0.0.1")
		if !ok {
			t.Fatalf("connection %d was refused", i+1)
		}
		conns = append(conns, conn)
	}
	for range 3 {
		if _, ok := served("127.0.0.1"); ok {
			t.Error("one connection too many is served")
		}
	}
	if _, ok := served("127.0.0.2"); !ok {
		t.Error("another address is not served")
	}
	for range maxConnections + 1 {
		if _, ok := served(other.String()); !ok {
			t.Fatal("an exempt address is not served")
		}
	}
	if got := strings.Count(log.String(), "--trusted-proxies"); got != 1 {
		t.Errorf("the log says so %d times, want once: %s", got, log)
	}
	for _, conn := range conns[:3] {
		conn.Close()
	}
	for try := 0; ; try++ {
		if _, ok := served("127.0.0.1"); ok {
			break
		}
		if try > 500 {
			t.Fatal("after some were closed, no other is served")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Hundreds of requests that never end, in their head or body, stop nobody else,
// and are cut.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ts.readWithin = time.Second
	address := ts.serve(func(l net.Listener) net.Listener { return l })
	var slow []net.Conn
	for i := range 500 {
		send := "GET /login HTTP/1.1\r\nHost: localhost\r\nX-" // in the middle of a header
		switch i % 3 {
		case 1:
			send = "" // a connection alone
		case 2:
			send = "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\nusername="
		}
		slow = append(slow, dial(t, address, send))
	}
	for range 20 {
		conn := dial(t, address, "GET /login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("somebody else: %v, %v", res, err)
		}
	}
	for i, conn := range slow {
		if _, err := io.ReadAll(conn); err != nil {
			t.Fatalf("connection %d is not cut: %v", i, err)
		}
	}
}

// What is too large is refused, and says so.
func TestLargeRequests(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	address := ts.serve(func(l net.Listener) net.Listener { return l })
	for _, tt := range []struct {
		name, send string
		want       int
	}{
		{"a header", "GET /login HTTP/1.1\r\nHost: localhost\r\nX-Large: " + strings.Repeat("x", 2*maxHeaders) + "\r\n\r\n", 431},
		{"many headers", "GET /login HTTP/1.1\r\nHost: localhost\r\n" + strings.Repeat("X-Many: "+strings.Repeat("x", 100)+"\r\n", 2*maxHeaders/110) + "\r\n", 431},
		{"a path", "GET /" + strings.Repeat("x", 2*maxHeaders) + " HTTP/1.1\r\nHost: localhost\r\n\r\n", 431},
		{"a form", fmt.Sprintf("POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\nusername=%s", maxBody+10, strings.Repeat("x", maxBody+1)), 413},
		{"a form in chunks", "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n", maxBody+1, strings.Repeat("x", maxBody+1)), 413},
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(30 * time.Second))
		go io.WriteString(conn, tt.send)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		} else if res.StatusCode != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, res.StatusCode, tt.want)
		}
		conn.Close()
	}
}

// Time limits of connections hold: those in the future, those that were over long ago,
// and none that was taken back.
func TestTimeLimits(t *testing.T) {
	t.Parallel()
	below, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := newListener(below, func(netip.Addr) bool { return true }, slog.New(slog.DiscardHandler))
	defer l.Close()
	client := dial(t, below.Addr().String(), "")
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	read := func() error {
		_, err := c.Read(make([]byte, 1))
		return err
	}
	for _, limit := range []time.Duration{50 * time.Millisecond, -time.Hour} {
		c.SetReadDeadline(time.Now().Add(limit))
		if err := read(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("reading with a limit %s from now: %v", limit, err)
		}
		c.SetReadDeadline(time.Now().Add(time.Hour))
		io.WriteString(client, "x")
		if err := read(); err != nil {
			t.Fatalf("reading after the limit was moved: %v", err)
		}
	}
	waits := make(chan error)
	go func() { waits <- read() }()
	time.Sleep(10 * time.Millisecond)
	c.SetReadDeadline(time.Unix(1, 0)) // as net/http ends it
	if err := <-waits; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a read that waits: %v", err)
	}
	c.SetDeadline(time.Time{})
	io.WriteString(client, "x")
	if err := read(); err != nil {
		t.Fatalf("reading without a limit: %v", err)
	}

	c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	for err = nil; err == nil; { // until nobody takes it any more
		_, err = c.Write(make([]byte, 1<<20))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("writing what nobody reads: %v", err)
	}
}

// Somebody slow is cut by their time limit while the server shuts down, too.
func TestSlowClientAtShutdown(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ts.readWithin = time.Second
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- ts.Server.Serve(ctx, listener) }()
	dial(t, listener.Addr().String(), "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\nusername=")
	time.Sleep(100 * time.Millisecond)
	stop()
	if err := <-done; err != nil {
		t.Errorf("the server did not end well: %v", err)
	}
}
