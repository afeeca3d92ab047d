package alert

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/url"
	"strconv"
	"strings"

	gomail "github.com/wneessen/go-mail"
)

// A Mailer sends mail through one server. It may be used concurrently.
type Mailer struct {
	host     string
	port     int
	implicit bool // TLS from the first byte, else STARTTLS
	local    bool // on this machine: TLS is no must there, and its certificate anybody's
	user     string
	password string

	name  string         // on the server's certificate; "" for host
	roots *x509.CertPool // that sign it; nil for the system's
}

// NewMailer reads smtp://USER:PASSWORD@HOST:587, which must offer STARTTLS unless it is
// on this machine, or smtps://…:465. Its error holds nothing secret.
func NewMailer(server string) (*Mailer, error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("give smtp://USER:PASSWORD@HOST:587 or smtps://USER:PASSWORD@HOST:465, with % escapes for what has a meaning in addresses")
	}
	m := &Mailer{host: u.Hostname(), port: 587, implicit: u.Scheme == "smtps"}
	if m.implicit {
		m.port = 465
	}
	if p := u.Port(); p != "" {
		if m.port, err = strconv.Atoi(p); err != nil || m.port < 1 || m.port > 65535 {
			return nil, errors.New("the port is between 1 and 65535")
		}
	}
	if u.User != nil {
		m.user = u.User.Username()
		m.password, _ = u.User.Password()
	}
	ip := net.ParseIP(m.host)
	m.local = m.host == "localhost" || ip != nil && ip.IsLoopback()
	return m, nil
}

// CheckSender says what is wrong with an address that mail is to come from.
func CheckSender(address string) error {
	if err := gomail.NewMsg().From(address); err != nil {
		return errors.New("give a mail address, such as lastseen@home.example or Lastseen <lastseen@home.example>")
	}
	return nil
}

// send sends a message to one address.
func (m *Mailer) send(ctx context.Context, from, to string, message Message) error {
	if err := m.try(ctx, from, to, message); err != nil {
		return fmt.Errorf("mail by %s: %s", net.JoinHostPort(m.host, strconv.Itoa(m.port)), hide(err.Error(), m.password))
	}
	return nil
}

func (m *Mailer) try(ctx context.Context, from, to string, message Message) error {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := msg.From(from); err != nil {
		return fmt.Errorf("the sender (--mail-from): %w", err)
	}
	if err := msg.To(to); err != nil {
		return fmt.Errorf("the recipient: %w", err)
	}
	domain := "lastseen"
	if at := strings.LastIndexByte(from, '@'); at >= 0 {
		domain = strings.TrimSuffix(from[at+1:], ">")
	}
	msg.SetMessageIDWithValue(message.ID.String() + "@" + domain) // the same when it is sent again
	msg.SetDateWithValue(message.Time)
	msg.Subject(message.Title)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no answer is wanted
	msg.SetBodyString(gomail.TypeTextPlain, message.Text+"\n")
	if err := msg.AddAlternativeHTMLTemplate(mailPage, struct {
		Message
		Lines []string
	}{message, strings.Split(message.Text, "\n")}); err != nil {
		return err
	}
	policy := gomail.TLSMandatory
	if m.local {
		policy = gomail.TLSOpportunistic
	}
	options := []gomail.Option{
		gomail.WithPort(m.port), gomail.WithTimeout(SendWithin), gomail.WithTLSPolicy(policy),
		gomail.WithTLSConfig(&tls.Config{ServerName: cmp.Or(m.name, m.host), RootCAs: m.roots, MinVersion: tls.VersionTLS12, InsecureSkipVerify: m.local}),
	}
	if m.implicit {
		options = append(options, gomail.WithSSL())
	}
	if m.user != "" {
		auth := gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover)
		if m.local {
			auth = gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthPlainNoEnc, gomail.SMTPAuthLoginNoEnc)
		}
		options = append(options, gomail.WithUsername(m.user), gomail.WithPassword(m.password), auth)
	}
	client, err := gomail.NewClient(m.host, options...)
	if err != nil {
		return err
	}
	return client.DialAndSendWithContext(ctx, msg)
}

// mailPage is the message once more, with its link to click. Nothing in it is loaded
// from anywhere.
var mailPage = template.Must(template.New("mail").Parse(`<!doctype html><html><body style="font-family:sans-serif;line-height:1.5">
<h1 style="font-size:18px">{{.Title}}</h1>
{{range .Lines}}<p>{{if eq . $.URL}}<a href="{{.}}">{{.}}</a>{{else}}{{.}}{{end}}</p>
{{end}}</body></html>
`))
