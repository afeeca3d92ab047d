package web

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// shapes are requests for what nobody may have without signing in, most of them
// wrong in a way that servers were known to stumble over.
var shapes = []string{
	"GET /sessions HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET /api/v3/core/users/me/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\n\r\n",
	"GET /outpost.goauthentik.io/auth/nginx HTTP/1.1\r\nHost: localhost\r\nX-Original-URL: http://app.example/\r\n\r\n",
	// Two lengths, two encodings, none: what is smuggled is protected too.
	"POST /profile HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /users HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"POST /profile HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 50\r\n\r\nabcGET /users HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"POST /profile HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\nGET /users HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"POST /profile HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
	"POST /profile HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding : chunked\r\nContent-Length: 4\r\n\r\n5\r\nGET /users HTTP/1.1\r\n\r\n",
	"POST /profile HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
	"POST /profile HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
	"POST /profile HTTP/1.1\r\nHost: localhost\r\nContent-Length: +5\r\n\r\nabcde",
	"POST /profile HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
	"POST /profile HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nname=x",
	// Chunks.
	"POST /profile HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
	"POST /profile HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc\r\n",
	"POST /profile HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3;" + strings.Repeat("x", 5000) + "\r\nabc\r\n0\r\n\r\n",
	"POST /profile HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
	"POST /profile HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: Cookie\r\n\r\n0\r\nCookie: lastseen_session=x\r\n\r\n",
	// The request line.
	"GET http://localhost/sessions HTTP/1.1\r\nHost: evil.example\r\n\r\n",
	"GET http://evil.example/sessions HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET http://user:password@localhost/sessions HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET //sessions HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET /%73essions HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET /static/../sessions HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET /static/%2e%2e%2fsessions HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET /-/health/../../users HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET /login/..;/sessions HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET /sessions%00.css HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET /sessions\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET /sessions?\xff%zz=%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET /sessions\r\n\r\n",
	"GET /sessions",
	"GET sessions HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc",
	"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"TRACE /sessions HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET /sessions HTTP/9.9\r\nHost: localhost\r\n\r\n",
	"GET /sessions HTTP/1.0\r\n\r\n",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
	"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", // TLS
	strings.Repeat("A", 10000) + " /sessions HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET /" + strings.Repeat("a/", 20000) + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
	// Headers.
	"GET /sessions HTTP/1.1\r\n\r\n",
	"GET /sessions HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
	"GET /sessions HTTP/1.1\r\nHost: 127.0.0.1:9000@evil.example\r\n\r\n",
	"GET /sessions HTTP/1.1\r\nHost: local\x00host\r\n\r\n",
	"GET /sessions HTTP/1.1\r\nHost: localhost\r\n folded: x\r\n\r\n",
	"GET /sessions HTTP/1.1\r\nHost: localhost\r\nCookie: lastseen_session=\x00\x01\xff; lastseen_session\r\n\r\n",
	"GET /sessions HTTP/1.1\r\nHost: localhost\r\nCookie: " + strings.Repeat("lastseen_session=x; ", 3000) + "\r\n\r\n",
	"GET /sessions HTTP/1.1\r\nHost: localhost\r\nUser-Agent: \xff\xfe\x1b[2J\u202e\r\n\r\n",
	"GET /sessions HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: ::1, 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\n\r\n",
	"GET /sessions HTTP/1.1\r\nHost: localhost\r\n: x\r\n\r\n",
	"GET /sessions HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n",
	"GET /sessions HTTP/1.1\nHost: localhost\n\n",
	"GET /sessions HTTP/1.1\rHost: localhost\r\r",
	"GET /sessions HTTP/1.1\r\nHost: localhost\r\n" + strings.Repeat("X: y\r\n", 5000) + "\r\n",
	"GET /sessions HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
	"GET /sessions HTTP/1.1\r\nHost: localhost\r\nExpect: x\r\n\r\n",
	"GET /sessions HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAAA\r\n\r\n",
	"GET /sessions HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-,0-,0-\r\n\r\n",
	"\r\n\r\n\r\n", "\x00", "",
	strings.Repeat("GET /sessions HTTP/1.1\r\nHost: localhost\r\n\r\n", 50), // pipelined
}

// mangled is a shape, or several, as they come or changed at random.
func mangled(r *rand.Rand) string {
	s := []byte(shapes[r.IntN(len(shapes))])
	for range r.IntN(4) {
		at := r.IntN(len(s) + 1)
		switch r.IntN(5) {
		case 0:
			if at < len(s) {
				s[at] = byte(r.IntN(256))
			}
		case 1:
			strange := []string{"\x00", "\r", "\n", "\t", " ", ":", "\x80", "\x0b", "%", "\r\n", "\r\n\r\n"}
			s = append(s[:at:at], append([]byte(strange[r.IntN(len(strange))]), s[at:]...)...)
		case 2:
			s = s[:at]
		case 3:
			s = append(s[:at:at], s[at/2:]...)
		case 4:
			s = append(s, shapes[r.IntN(len(shapes))]...)
		}
	}
	return string(s)
}

// Whatever comes over a connection, the server goes on, nothing of it is answered
// with what needs a sign-in, and none makes our code fail.
// LASTSEEN_TEST_EXCHANGES is how many there are.
func TestMalformedExchanges(t *testing.T) {
	t.Parallel()
	exchanges := 3000
	if s := os.Getenv("LASTSEEN_TEST_EXCHANGES"); s != "" {
		var err error
		if exchanges, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	ts := newServer(t)
	address := ts.serve(func(l net.Listener) net.Listener { return l })
	status := regexp.MustCompile(`(?m)^HTTP/1\.[01] (\d{3})`)
	var wait sync.WaitGroup
	var next, answers atomic.Int64
	for range 8 {
		wait.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(exchanges) || t.Failed() {
					return
				}
				r := rand.New(rand.NewPCG(7, uint64(n)))
				send := mangled(r)
				if n <= int64(len(shapes)) {
					send = shapes[n-1]
				}
				conn, err := net.Dial("tcp", address)
				if err != nil {
					t.Error(err)
					return
				}
				conn.SetDeadline(time.Now().Add(time.Minute))
				half := len(send)
				if r.IntN(3) == 0 {
					half = r.IntN(len(send) + 1) // in two packets
				}
				_, _ = io.WriteString(conn, send[:half]) // it may have been refused by now
				_, _ = io.WriteString(conn, send[half:])
				if r.IntN(10) == 0 {
					conn.Close() // without waiting for an answer
					continue
				}
				_ = conn.(*net.TCPConn).CloseWrite()
				got, _ := io.ReadAll(conn)
				conn.Close()
				for _, m := range status.FindAllStringSubmatch(string(got), -1) {
					answers.Add(1)
					code, _ := strconv.Atoi(m[1])
					// 501 and 505 are the HTTP library's; OPTIONS * is its own too.
					if code >= 500 && code != 501 && code != 505 || code >= 200 && code < 300 && !strings.HasPrefix(send, "OPTIONS *") && !strings.Contains(send, "\nOPTIONS *") {
						t.Errorf("exchange %d: %.300q got %s: %.300q", n, send, m[0], got)
					}
				}
				if n%100 == 0 {
					if err := lives(address); err != nil {
						t.Errorf("after exchange %d: %v", n, err)
					}
				}
			}
		})
	}
	wait.Wait()
	if err := lives(address); err != nil {
		t.Error(err)
	}
	if answers.Load() < int64(exchanges)/3 {
		t.Errorf("only %d answers to %d exchanges", answers.Load(), exchanges)
	}
	if log := ts.log.String(); strings.Contains(log, "level=ERROR") {
		_, after, _ := strings.Cut(log, "level=ERROR")
		t.Errorf("the log has errors: %.500s", after)
	}
	t.Logf("%d malformed exchanges, %d answers", exchanges, answers.Load())
}

func lives(address string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(conn, liveRequest)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil && res.StatusCode != 200 {
		err = fmt.Errorf("the health path answers %d", res.StatusCode)
	}
	return err
}
