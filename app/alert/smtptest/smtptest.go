// Package smtptest is a mail server that keeps what it gets, for tests.
package smtptest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Server takes mail, as far as RFC 5321 asks for it.
type Server struct {
	Addr     string      // which Serve sets
	TLS      *tls.Config // nil: it offers no STARTTLS
	Implicit bool        // TLS from the first byte
	Auth     string      // "NAME:PASSWORD" that it demands; "" for nobody's
	Refuse   string      // what it says to DATA; "" when it takes it

	mu   sync.Mutex
	mail []Mail
}

// A Mail is what arrived, with its sender and recipient as they were said before it.
type Mail struct {
	From, To   string
	Encrypted  bool
	Header     mail.Header
	Text, Page string // its two forms
}

// Received are the mails so far, the oldest first.
func (s *Server) Received() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mail)
}

// Serve starts a server on a free port, until the test ends.
func Serve(t testing.TB, s *Server) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s.Addr = l.Addr().String()
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

func (s *Server) serve(conn net.Conn) {
	defer func() { conn.Close() }()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	encrypted := s.Implicit
	if s.Implicit {
		conn = tls.Server(conn, s.TLS)
	}
	in := bufio.NewReader(conn)
	say := func(line string) { io.WriteString(conn, line+"\r\n") }
	say("220 test ESMTP")
	var got Mail
	var auth string
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
			if s.TLS != nil && !encrypted {
				say("250-STARTTLS")
			}
			if s.Auth != "" {
				say("250-AUTH PLAIN LOGIN")
			}
			say("250 8BITMIME")
		case "STARTTLS":
			say("220 go on")
			conn = tls.Server(conn, s.TLS)
			in, encrypted = bufio.NewReader(conn), true
		case "AUTH":
			_, secret, _ := strings.Cut(rest, " ")
			raw, _ := base64.StdEncoding.DecodeString(secret)
			auth = strings.Replace(strings.TrimPrefix(string(raw), "\x00"), "\x00", ":", 1)
			if auth != s.Auth {
				say("535 5.7.8 no: " + auth) // as no server should
				continue
			}
			say("235 2.7.0 welcome")
		case "MAIL":
			if s.Auth != "" && auth != s.Auth {
				say("530 5.7.0 who are you?")
				continue
			}
			got.From = rest
			say("250 ok")
		case "RCPT":
			got.To = rest
			say("250 ok")
		case "DATA":
			if s.Refuse != "" {
				say(s.Refuse)
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
			got.Encrypted = encrypted
			if err := got.read(&text); err != nil {
				say("554 " + err.Error())
				continue
			}
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

// read reads a message of text and page.
func (m *Mail) read(r io.Reader) error {
	message, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	m.Header = message.Header
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	for parts := multipart.NewReader(message.Body, params["boundary"]); ; {
		p, err := parts.NextPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		content, err := io.ReadAll(p)
		if err != nil {
			return err
		}
		if strings.HasPrefix(p.Header.Get("Content-Type"), "text/plain") {
			m.Text = strings.ReplaceAll(string(content), "\r\n", "\n")
		} else {
			m.Page = string(content)
		}
	}
}
