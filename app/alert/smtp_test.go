package alert

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"math/big"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"
)

// An smtpServer takes mail, as far as RFC 5321 asks for it.
type smtpServer struct {
	addr     string
	tls      *tls.Config // nil: it offers no STARTTLS
	implicit bool
	auth     string // "NAME:PASSWORD" that it demands; "" for nobody's
	refuse   string // what it says to DATA; "" when it takes it

	mu   sync.Mutex
	mail []received
}

type received struct {
	from, to  string
	encrypted bool
	auth      string
	*mail.Message
	body string
}

func serveSMTP(t *testing.T, s *smtpServer) *smtpServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s.addr = l.Addr().String()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

func (s *smtpServer) serve(conn net.Conn) {
	defer func() { conn.Close() }()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	encrypted := s.implicit
	if s.implicit {
		conn = tls.Server(conn, s.tls)
	}
	in := bufio.NewReader(conn)
	say := func(line string) { io.WriteString(conn, line+"\r\n") }
	say("220 test ESMTP")
	var got received
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, rest, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			say("250-test")
			if s.tls != nil && !encrypted {
				say("250-STARTTLS")
			}
			if s.auth != "" {
				say("250-AUTH PLAIN LOGIN")
			}
			say("250 8BITMIME")
		case "STARTTLS":
			say("220 go on")
			conn = tls.Server(conn, s.tls)
			in, encrypted = bufio.NewReader(conn), true
		case "AUTH":
			_, secret, _ := strings.Cut(rest, " ")
			raw, _ := base64.StdEncoding.DecodeString(secret)
			got.auth = strings.Replace(strings.TrimPrefix(string(raw), "\x00"), "\x00", ":", 1)
			if got.auth != s.auth {
				say("535 5.7.8 no: " + got.auth) // as no server should
				continue
			}
			say("235 2.7.0 welcome")
		case "MAIL":
			if s.auth != "" && got.auth != s.auth {
				say("530 5.7.0 who are you?")
				continue
			}
			got.from = rest
			say("250 ok")
		case "RCPT":
			got.to = rest
			say("250 ok")
		case "DATA":
			if s.refuse != "" {
				say(s.refuse)
				continue
			}
			say("354 go on")
			var text bytes.Buffer
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				text.WriteString(strings.TrimPrefix(line, "."))
			}
			got.encrypted = encrypted
			got.Message, err = mail.ReadMessage(&text)
			if err != nil {
				say("554 " + err.Error())
				continue
			}
			body, _ := io.ReadAll(got.Body)
			got.body = string(body)
			s.mu.Lock()
			s.mail = append(s.mail, got)
			s.mu.Unlock()
			say("250 ok")
		case "QUIT":
			say("221 bye")
			return
		default: // NOOP, RSET
			say("250 ok")
		}
	}
}

func (s *smtpServer) received(t *testing.T, n int) []received {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mail) != n {
		t.Fatalf("got %d mails, want %d", len(s.mail), n)
	}
	return s.mail
}

// certificate is one for localhost that signs itself, and who believes it.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"mail.test"}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}
