package alert

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"mime"
	"net"
	"strings"
	"testing"
	"time"

	"lastseen/app/alert/smtptest"

	"github.com/google/uuid"
)

func mailer(t *testing.T, url string) *Mailer {
	t.Helper()
	m, err := NewMailer(url)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMailSettings(t *testing.T) {
	for _, tt := range []struct {
		url  string
		want Mailer // zero: refused
	}{
		{"smtp://ada:s%40crets@mail.example:587", Mailer{host: "mail.example", port: 587, user: "ada", password: "s@crets"}},
		{"smtp://mail.example", Mailer{host: "mail.example", port: 587}},
		{"smtps://ada:secrets@mail.example", Mailer{host: "mail.example", port: 465, implicit: true, user: "ada", password: "secrets"}},
		{"smtps://mail.example:4650/", Mailer{host: "mail.example", port: 4650, implicit: true}},
		{"smtp://127.0.0.1:25", Mailer{host: "127.0.0.1", port: 25, local: true}},
		{"smtp://[::1]:25", Mailer{host: "::1", port: 25, local: true}},
		{"smtps://localhost", Mailer{host: "localhost", port: 465, implicit: true, local: true}},
		{"mail.example:587", Mailer{}},
		{"http://secrets@mail.example", Mailer{}},
		{"smtp://ada:secrets@mail.example:70000", Mailer{}},
		{"smtp://ada:secrets@mail.example:0", Mailer{}},
		{"smtp://ada:secrets@", Mailer{}},
		{"smtp://ada:secrets@mail.example/path", Mailer{}},
		{"smtp://ada:secrets@mail.example?tls=no", Mailer{}},
		{"smtp://ada:secrets@mail\r\n.example", Mailer{}},
		{"smtp://ada:100%secrets@mail.example", Mailer{}},
	} {
		m, err := NewMailer(tt.url)
		switch {
		case err != nil && strings.Contains(err.Error(), "secrets"):
			t.Errorf("%q: the error has the password in it: %v", tt.url, err)
		case (err != nil) != (tt.want == Mailer{}):
			t.Errorf("%q: got %+v, %v", tt.url, m, err)
		case err == nil && *m != tt.want:
			t.Errorf("%q: got %+v, want %+v", tt.url, *m, tt.want)
		}
	}
}

func TestMail(t *testing.T) {
	config, pool := certificate(t)
	for _, tt := range []struct {
		name      string
		server    *smtptest.Server
		scheme    string
		as        string // before the host
		stranger  bool   // to the client, the server is on another machine
		encrypted bool
		err       string // a part of it; "" when the mail arrives
	}{
		{name: "STARTTLS", server: &smtptest.Server{TLS: config, Auth: "ada:s3cret"}, scheme: "smtp", as: "ada:s3cret@", stranger: true, encrypted: true},
		{name: "implicit TLS", server: &smtptest.Server{TLS: config, Implicit: true, Auth: "ada:s3cret"}, scheme: "smtps", as: "ada:s3cret@", stranger: true, encrypted: true},
		{name: "without a password", server: &smtptest.Server{TLS: config}, scheme: "smtp", stranger: true, encrypted: true},
		{name: "no TLS elsewhere", server: &smtptest.Server{Auth: "ada:s3cret"}, scheme: "smtp", as: "ada:s3cret@", stranger: true, err: "STARTTLS"},
		{name: "on this machine", server: &smtptest.Server{}, scheme: "smtp"},
		{name: "on this machine with a password", server: &smtptest.Server{Auth: "ada:s3cret"}, scheme: "smtp", as: "ada:s3cret@"},
		{name: "on this machine with TLS", server: &smtptest.Server{TLS: config, Auth: "ada:s3cret"}, scheme: "smtp", as: "ada:s3cret@", encrypted: true},
		{name: "on this machine with implicit TLS", server: &smtptest.Server{TLS: config, Implicit: true}, scheme: "smtps", encrypted: true},
		{name: "wrong password, which the server repeats", server: &smtptest.Server{TLS: config, Auth: "ada:other"}, scheme: "smtp", as: "ada:s3cret@", err: "535"},
		{name: "refused", server: &smtptest.Server{Refuse: "554 5.7.1 no\r\n"}, scheme: "smtp", err: "554"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := smtptest.Serve(t, tt.server)
			m := mailer(t, tt.scheme+"://"+tt.as+s.Addr)
			if tt.stranger {
				m.local, m.roots, m.name = false, pool, "mail.test"
			}
			sender := NewSender(m, "Lastseen <lastseen@home.example>")
			to, err := ParseTarget("mailto:ada@home.example")
			if err != nil {
				t.Fatal(err)
			}
			err = sender.Send(t.Context(), to, signIn)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), s.Addr) {
					t.Errorf("got %v, want an error with %q and the server's address", err, tt.err)
				}
				if err != nil && (strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "\n")) {
					t.Errorf("the error has the password in it, or several lines: %v", err)
				}
				receives(t, s, 0)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := receives(t, s, 1)[0]
			if got.Encrypted != tt.encrypted {
				t.Errorf("encrypted: got %v, want %v", got.Encrypted, tt.encrypted)
			}
			if !strings.Contains(got.To, "<ada@home.example>") || !strings.Contains(got.From, "<lastseen@home.example>") {
				t.Errorf("got %s, %s", got.From, got.To)
			}
			for name, want := range map[string]string{
				"Message-Id": "<" + signIn.ID.String() + "@home.example>", "Subject": signIn.Title, "To": "<ada@home.example>",
				"Date": "Mon, 03 Nov 2025 12:30:00 +0000", "Auto-Submitted": "auto-generated", "User-Agent": "", "X-Mailer": "",
			} {
				if v := got.Header.Get(name); v != want {
					t.Errorf("%s: got %q, want %q", name, v, want)
				}
			}
			text, page := got.Text, got.Page
			if text != signIn.Text+"\n" {
				t.Errorf("text: got %q, want %q", text, signIn.Text)
			}
			if !strings.Contains(page, `<a href="`+signIn.URL+`">`) || strings.Count(page, "://") != 2 || strings.Contains(page, "<img") {
				t.Errorf("the page has another link than the session's, or loads something: %s", page)
			}
		})
	}
}

func receives(t *testing.T, s *smtptest.Server, n int) []smtptest.Mail {
	t.Helper()
	got := s.Received()
	if len(got) != n {
		t.Fatalf("got %d mails, want %d", len(got), n)
	}
	return got
}

// A name from a stranger makes no header, and no tag on the page.
func TestMailNames(t *testing.T) {
	s := smtptest.Serve(t, &smtptest.Server{})
	m := NewMessage(uuid.New(), Facts{Type: SignIn, User: "ada\r\nBcc: eve@evil.example\r\n\r\n<b>", Device: "<script>\u202e"}, "https://id.example", 90)
	to, _ := ParseTarget("mailto:ada@home.example")
	if err := NewSender(mailer(t, "smtp://"+s.Addr), "lastseen@home.example").Send(t.Context(), to, m); err != nil {
		t.Fatal(err)
	}
	got := receives(t, s, 1)[0]
	text, page := got.Text, got.Page
	if got.Header.Get("Bcc") != "" || strings.Contains(got.To, "eve") || strings.Contains(page, "<b>") || strings.Contains(page, "<script") {
		t.Errorf("got headers %v, page %s", got.Header, page)
	}
	if strings.ContainsAny(text, "\r\u202e") {
		t.Errorf("got text %q", text)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject"))
	if err != nil || subject != m.Title {
		t.Errorf("got subject %q, %v; want %q", subject, err, m.Title)
	}
}

func TestMailToNobody(t *testing.T) {
	to, _ := ParseTarget("mailto:ada@home.example")
	if err := NewSender(nil, "lastseen@home.example").Send(t.Context(), to, signIn); err == nil {
		t.Error("mail without a server was sent")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := NewSender(mailer(t, "smtp://"+l.Addr().String()), "lastseen@home.example").Send(t.Context(), to, signIn); err == nil {
		t.Error("mail to a server that is not there was sent")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := smtptest.Serve(t, &smtptest.Server{})
	if err := NewSender(mailer(t, "smtp://"+s.Addr), "lastseen@home.example").Send(ctx, to, signIn); err == nil {
		t.Error("mail was sent after the end")
	}
	if err := CheckSender("Lastseen <lastseen@home.example>"); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "lastseen", "a@b\r\nBcc: c@d", "<a@b"} {
		if CheckSender(bad) == nil {
			t.Errorf("%q is a sender", bad)
		}
	}
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
