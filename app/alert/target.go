package alert

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A Target is where alerts go. Its URL may hold secrets: only String may be shown.
type Target struct {
	kind   string // webhook, ntfy, gotify or mailto
	url    string // of what is posted to, without credentials; "" for mail
	host   string // of that, with its port
	user   string // for HTTP Basic; "" with a password means that the password is a token or key
	secret string
	topic  string // of ntfy
	to     string // the address of mail
}

// schemes are what a target's URL may begin with, and what is spoken to it.
var schemes = map[string]struct{ kind, scheme string }{
	"webhook+https": {"webhook", "https"}, "webhook+http": {"webhook", "http"},
	"ntfy": {"ntfy", "https"}, "ntfy+https": {"ntfy", "https"}, "ntfy+http": {"ntfy", "http"},
	"gotify": {"gotify", "https"}, "gotify+https": {"gotify", "https"}, "gotify+http": {"gotify", "http"},
}

// errTarget is for what is no target at all. It repeats nothing of it, as there may be
// secrets in it.
var errTarget = errors.New("a target is webhook+https://HOST/PATH, ntfy://[USER:PASSWORD@|:TOKEN@]HOST/TOPIC, gotify://HOST/TOKEN, or mailto:ADDRESS; webhook+http, ntfy+http and gotify+http go without TLS")

// ParseTarget reads a target's URL. Its error holds nothing of it.
func ParseTarget(raw string) (Target, error) {
	raw = strings.TrimSpace(raw)
	if address, ok := strings.CutPrefix(raw, "mailto:"); ok {
		parsed, err := mail.ParseAddress(address)
		if err != nil || parsed.Address != address || strings.ContainsRune(address, '?') {
			return Target{}, errors.New("after mailto: stands a mail address alone, such as mailto:ada@home.example")
		}
		return Target{kind: "mailto", to: address}, nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.Opaque != "" || u.Fragment != "" || len(raw) > 2000 {
		return Target{}, errTarget
	}
	s, ok := schemes[u.Scheme]
	if port, err := strconv.ParseUint(cmp.Or(u.Port(), "443"), 10, 16); !ok || err != nil || port == 0 {
		return Target{}, errTarget
	}
	t := Target{kind: s.kind, host: u.Host}
	u.Scheme = s.scheme
	if u.User != nil {
		t.user = u.User.Username()
		var has bool
		if t.secret, has = u.User.Password(); !has || t.secret == "" {
			return Target{}, errors.New("before @ stands USER:PASSWORD, or a token or key behind a colon alone, as in :TOKEN@")
		}
		u.User = nil
	}
	if t.kind == "webhook" {
		t.url = u.String()
		return t, nil
	}
	path, last, _ := cutLast(strings.TrimSuffix(u.Path, "/"))
	switch {
	case last == "" && t.kind == "ntfy":
		return Target{}, errors.New("an ntfy target ends in the topic: ntfy://HOST/TOPIC")
	case last == "":
		return Target{}, errors.New("a Gotify target ends in the application's token: gotify://HOST/TOKEN")
	case u.RawQuery != "":
		return Target{}, errors.New("a target for ntfy or Gotify has no ? in it")
	}
	if t.kind == "gotify" {
		if t.secret != "" {
			return Target{}, errors.New("a Gotify target holds its token at the end, nothing before the host: gotify://HOST/TOKEN")
		}
		t.secret = last
		u.Path, u.RawPath = path+"/message", ""
	} else {
		t.topic = last
		u.Path, u.RawPath = path+"/"+last, ""
	}
	t.url = u.String()
	return t, nil
}

// cutLast cuts a path before its last element.
func cutLast(path string) (before, last string, found bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

// String is what may be shown of a target: its kind, and its host or address.
func (t Target) String() string {
	if t.kind == "mailto" {
		return "mailto:" + t.to
	}
	name := t.kind
	if strings.HasPrefix(t.url, "http:") {
		name += "+http"
	} else if t.kind == "webhook" {
		name += "+https"
	}
	return name + "://" + t.host
}

// Identity tells targets apart. It holds what is secret of them.
func (t Target) Identity() string {
	return fmt.Sprintf("%q", []string{t.kind, t.url, t.user, t.secret, t.topic, t.to})
}

// Mail reports whether a target needs a mail server.
func (t Target) Mail() bool { return t.kind == "mailto" }

// A Sender sends messages. It may be used concurrently.
type Sender struct {
	mail *Mailer
	from string
	http http.Client
}

// SendWithin is how long a target has to answer.
const SendWithin = 10 * time.Second

// NewSender makes one that sends mail by m, which may be nil, from an address.
func NewSender(m *Mailer, from string) *Sender {
	return &Sender{mail: m, from: from, http: http.Client{
		Timeout: SendWithin,
		// What a target is redirected to nobody named, and it might be in our own network.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{DisableKeepAlives: true, TLSHandshakeTimeout: SendWithin, ResponseHeaderTimeout: SendWithin, MaxResponseHeaderBytes: 16 << 10},
	}}
}

// Send sends a message to a target once. Its error is safe to be shown: it holds the
// target's host, and no secret or path.
func (s *Sender) Send(ctx context.Context, t Target, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, SendWithin)
	defer cancel()
	if t.kind == "mailto" {
		if s.mail == nil {
			return errors.New("no mail server is set (--smtp)")
		}
		return s.mail.send(ctx, s.from, t.to, m)
	}
	req, err := t.request(ctx, m)
	if err != nil {
		return fmt.Errorf("%s: the request cannot be made", t.String()) // err holds the URL
	}
	res, err := s.http.Do(req)
	if err != nil {
		var e *url.Error
		if errors.As(err, &e) {
			err = e.Err // without the URL
		}
		return fmt.Errorf("%s: %s", t.String(), t.hide(err.Error()))
	}
	res.Body.Close() // what it says is nobody's text to show, and might repeat the path
	switch {
	case res.StatusCode >= 200 && res.StatusCode <= 299:
		return nil
	case res.StatusCode >= 300 && res.StatusCode <= 399:
		return fmt.Errorf("%s answered %d: redirects are not followed, so name where it leads", t.String(), res.StatusCode)
	}
	return fmt.Errorf("%s answered %d %s", t.String(), res.StatusCode, http.StatusText(res.StatusCode))
}

// hide takes what is secret of a target out of a text, as a server may repeat what it was
// sent, and makes it one line.
func (t Target) hide(text string) string {
	var path string
	if u, err := url.Parse(t.url); err == nil {
		path = strings.Trim(u.RequestURI(), "/")
	}
	return hide(text, t.secret, path, t.topic)
}

func hide(text string, secrets ...string) string {
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "…")
		}
	}
	return line(text)
}

// priorities in ntfy's scale from 1 to 5, by which Gotify's from 0 to 10 goes too.
func (m Message) priority() int {
	switch m.Type {
	case Test, Summary:
		return 3
	}
	return 4
}

// request is what a target is sent.
func (t Target) request(ctx context.Context, m Message) (*http.Request, error) {
	var body []byte
	var err error
	header := http.Header{"User-Agent": {"Lastseen"}}
	switch t.kind {
	case "webhook":
		if body, err = json.Marshal(m); err != nil {
			return nil, err
		}
		header.Set("Content-Type", "application/json")
		if t.user == "" && t.secret != "" {
			mac := hmac.New(sha256.New, []byte(t.secret))
			mac.Write(body)
			header.Set("X-Lastseen-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
		}
	case "ntfy": // https://docs.ntfy.sh/publish/
		body = []byte(m.Text)
		header.Set("Content-Type", "text/plain; charset=utf-8")
		header.Set("Title", mime.QEncoding.Encode("utf-8", m.Title)) // which ntfy decodes
		header.Set("Priority", fmt.Sprint(m.priority()))
		header.Set("Click", m.URL)
		if t.user == "" && t.secret != "" {
			header.Set("Authorization", "Bearer "+t.secret)
		}
	case "gotify": // https://gotify.net/docs/pushmsg, https://gotify.net/docs/msgextras
		body, err = json.Marshal(map[string]any{
			"title": m.Title, "message": m.Text, "priority": 2 * m.priority(),
			"extras": map[string]any{"client::notification": map[string]any{"click": map[string]any{"url": m.URL}}},
		})
		if err != nil {
			return nil, err
		}
		header.Set("Content-Type", "application/json")
		header.Set("X-Gotify-Key", t.secret)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = header
	if t.user != "" {
		req.SetBasicAuth(t.user, t.secret)
	}
	return req, nil
}
