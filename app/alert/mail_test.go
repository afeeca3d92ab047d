package alert

import (
	"context"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"strings"
	"testing"

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
		server    *smtpServer
		scheme    string
		as        string // before the host
		stranger  bool   // to the client, the server is on another machine
		encrypted bool
		err       string // a part of it; "" when the mail arrives
	}{
		{name: "STARTTLS", server: &smtpServer{tls: config, auth: "ada:s3cret"}, scheme: "smtp", as: "ada:s3cret@", stranger: true, encrypted: true},
		{name: "implicit TLS", server: &smtpServer{tls: config, implicit: true, auth: "ada:s3cret"}, scheme: "smtps", as: "ada:s3cret@", stranger: true, encrypted: true},
		{name: "without a password", server: &smtpServer{tls: config}, scheme: "smtp", stranger: true, encrypted: true},
		{name: "no TLS elsewhere", server: &smtpServer{auth: "ada:s3cret"}, scheme: "smtp", as: "ada:s3cret@", stranger: true, err: "STARTTLS"},
		{name: "on this machine", server: &smtpServer{}, scheme: "smtp"},
		{name: "on this machine with a password", server: &smtpServer{auth: "ada:s3cret"}, scheme: "smtp", as: "ada:s3cret@"},
		{name: "on this machine with TLS", server: &smtpServer{tls: config, auth: "ada:s3cret"}, scheme: "smtp", as: "ada:s3cret@", encrypted: true},
		{name: "on this machine with implicit TLS", server: &smtpServer{tls: config, implicit: true}, scheme: "smtps", encrypted: true},
		{name: "wrong password, which the server repeats", server: &smtpServer{tls: config, auth: "ada:other"}, scheme: "smtp", as: "ada:s3cret@", err: "535"},
		{name: "refused", server: &smtpServer{refuse: "554 5.7.1 no\r\n"}, scheme: "smtp", err: "554"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serveSMTP(t, tt.server)
			m := mailer(t, tt.scheme+"://"+tt.as+s.addr)
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
				if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), s.addr) {
					t.Errorf("got %v, want an error with %q and the server's address", err, tt.err)
				}
				if err != nil && (strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "\n")) {
					t.Errorf("the error has the password in it, or several lines: %v", err)
				}
				s.received(t, 0)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := s.received(t, 1)[0]
			if got.encrypted != tt.encrypted {
				t.Errorf("encrypted: got %v, want %v", got.encrypted, tt.encrypted)
			}
			if !strings.Contains(got.to, "<ada@home.example>") || !strings.Contains(got.from, "<lastseen@home.example>") {
				t.Errorf("got %s, %s", got.from, got.to)
			}
			for name, want := range map[string]string{
				"Message-Id": "<" + signIn.ID.String() + "@home.example>", "Subject": signIn.Title, "To": "<ada@home.example>",
				"Date": "Mon, 03 Nov 2025 12:30:00 +0000", "Auto-Submitted": "auto-generated", "User-Agent": "", "X-Mailer": "",
			} {
				if v := got.Header.Get(name); v != want {
					t.Errorf("%s: got %q, want %q", name, v, want)
				}
			}
			text, page := parts(t, got)
			if text != signIn.Text+"\n" {
				t.Errorf("text: got %q, want %q", text, signIn.Text)
			}
			if !strings.Contains(page, `<a href="`+signIn.URL+`">`) || strings.Count(page, "://") != 2 || strings.Contains(page, "<img") {
				t.Errorf("the page has another link than the session's, or loads something: %s", page)
			}
		})
	}
}

// parts are the text and the page of a mail.
func parts(t *testing.T, m received) (text, page string) {
	t.Helper()
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	r := multipart.NewReader(strings.NewReader(m.body), params["boundary"])
	for {
		p, err := r.NextPart()
		if err == io.EOF {
			return strings.ReplaceAll(text, "\r\n", "\n"), page
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(p.Header.Get("Content-Type"), "text/plain") {
			text = string(content)
		} else {
			page = string(content)
		}
	}
}

// A name from a stranger makes no header, and no tag on the page.
func TestMailNames(t *testing.T) {
	s := serveSMTP(t, &smtpServer{})
	m := NewMessage(uuid.New(), Facts{Type: SignIn, User: "ada\r\nBcc: eve@evil.example\r\n\r\n<b>", Device: "<script>\u202e"}, "https://id.example", 90)
	to, _ := ParseTarget("mailto:ada@home.example")
	if err := NewSender(mailer(t, "smtp://"+s.addr), "lastseen@home.example").Send(t.Context(), to, m); err != nil {
		t.Fatal(err)
	}
	got := s.received(t, 1)[0]
	text, page := parts(t, got)
	if got.Header.Get("Bcc") != "" || strings.Contains(got.to, "eve") || strings.Contains(page, "<b>") || strings.Contains(page, "<script") {
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
	s := serveSMTP(t, &smtpServer{})
	if err := NewSender(mailer(t, "smtp://"+s.addr), "lastseen@home.example").Send(ctx, to, signIn); err == nil {
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
