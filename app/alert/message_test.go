package alert

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// signIn is a message as they are.
var signIn = NewMessage(uuid.MustParse("6b1f8a53-3f0d-4c5e-9a52-0b6d7c1e2f3a"), Facts{
	Type: SignIn, Time: time.Date(2025, 11, 3, 12, 30, 0, 0, time.UTC), User: "ada", Reasons: []Reason{NewDevice, NewCountry},
	Session: "f2b1d9c4-5c1e-4d7a-8f35-9f1f0a6d2b11", Device: "Firefox 140 on Linux", Country: "Sweden", Place: "Linköping, Sweden",
	Network: "Bredband2 AB", Address: "89.160.20.112",
}, "https://id.example", 90)

func TestMessages(t *testing.T) {
	at := time.Date(2025, 11, 3, 12, 30, 0, 0, time.UTC)
	const session = "f2b1d9c4-5c1e-4d7a-8f35-9f1f0a6d2b11"
	where := Facts{Time: at, User: "ada", Session: session, Address: "89.160.20.112", Network: "Bredband2 AB"}
	with := func(change func(*Facts)) Facts { f := where; change(&f); return f }
	for _, tt := range []struct {
		name  string
		facts Facts
		title string
		text  []string // lines, but for the last
	}{
		{"a sign-in", signIn.Facts, "New sign-in of ada", []string{
			"ada signed in on Firefox 140 on Linux, in Linköping, Sweden, through Bredband2 AB, from 89.160.20.112. It is the first sign-in from this device. It is the first in 90 days from Sweden.",
			"Time: 3 Nov 2025, 12:30 UTC.",
			"If that was not you, open the page below: a button there, “This was not me”, signs that session and its device out, and leads on to a new password."}},
		{"a factor", with(func(f *Facts) { f.Type, f.What = FactorAdded, "The passkey “phone”" }), "A way to sign in was added for ada", []string{
			"The passkey “phone” was added to the account ada.",
			"It was done through Bredband2 AB, from 89.160.20.112.",
			"Time: 3 Nov 2025, 12:30 UTC.",
			"If that was not you, open the page below: a button there, “This was not me”, signs that session and its device out, and leads on to a new password."}},
		{"a password, by another", Facts{Type: PasswordChanged, Time: at, User: "ada", By: "command line"}, "Password of ada changed", []string{
			"The password of ada was changed on the command line.",
			"Time: 3 Nov 2025, 12:30 UTC.",
			"If you know nothing of it, sign in at the page below, see who is signed in, and change your password."}},
		{"a key, which is called like a place to go to", with(func(f *Facts) { f.Type, f.What, f.By = KeyCreated, "http://evil.example/a.b", "eve" }), "API key made for ada", []string{
			"The key “http://evil[.]example/a[.]b” was made for ada by eve; it signs in without a password.",
			"It was done through Bredband2 AB, from 89.160.20.112.",
			"Time: 3 Nov 2025, 12:30 UTC.",
			"If that was not you, open the page below: a button there, “This was not me”, signs that session and its device out, and leads on to a new password."}},
		{"a lock, by a client that is called so", Facts{Type: AccountLocked, Time: at, User: "ada.l", Device: "Unlock at evil.example 1.5 on Linux", Address: "192.0.2.1"}, "Account ada.l locked", []string{
			"So many wrong passwords were tried on ada.l that only networks that it has signed in from may try more.",
			"The last one was tried on Unlock at evil[.]example 1.5 on Linux, from 192.0.2.1.",
			"Time: 3 Nov 2025, 12:30 UTC.",
			"Whoever has the right password gets in again within an hour; `lastseen user unlock` lifts the lock at once."}},
		{"a summary", Facts{Type: Summary, Time: at, User: "ada", Count: 7}, "7 more alerts of ada", []string{
			"7 more alerts of ada within the hour were held back. The page Events shows what they tell of.",
			"Time: 3 Nov 2025, 12:30 UTC."}},
		{"a summary of many", Facts{Type: Summary, Time: at, Count: 101}, "101 more alerts", []string{
			"101 alerts could not be sent here for so long that they are only counted. The page Events shows what they told of.",
			"Time: 3 Nov 2025, 12:30 UTC."}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := NewMessage(uuid.New(), tt.facts, "https://id.example", 90)
			page := "https://id.example/sessions"
			if tt.facts.Session != "" {
				page += "/" + session
			}
			if m.URL != page {
				t.Errorf("got %s, want %s", m.URL, page)
			}
			if want := strings.Join(append(tt.text, page), "\n"); m.Title != tt.title || m.Text != want {
				t.Errorf("got\n%s\n%s\nwant\n%s\n%s", m.Title, m.Text, tt.title, want)
			}
		})
	}
}

// Every type has words, which name the person, the time and the page.
func TestMessagesSayAll(t *testing.T) {
	for _, typ := range append([]Type{Summary, Test}, Types...) {
		m := NewMessage(uuid.New(), Facts{Type: typ, Time: time.Date(2025, 11, 3, 12, 30, 0, 0, time.UTC), User: "ada", What: "homepage", Count: 2}, "https://id.example", 90)
		if m.Title == "" || !strings.Contains(m.Text, "12:30") || !strings.HasSuffix(m.Text, "\nhttps://id.example/sessions") || strings.HasPrefix(m.Text, ".") {
			t.Errorf("%s: got %q, %q", typ, m.Title, m.Text)
		}
		if typ != Test && typ != BackupTaken && !strings.Contains(m.Text, "ada") {
			t.Errorf("%s: does not name the person: %q", typ, m.Text)
		}
	}
}

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"":                    "",
		"Ada Lovelace":        "Ada Lovelace",
		"a\r\nb":              "a��b",
		"a\u2028b\u0085c\x7f": "a�b�c�",
		"a\u202eb\u2066c":     "a�b�c",
		"a\u200cb\u200dc":     "a\u200cb\u200dc",
		"a\xffb":              "a�b",
	} {
		if got := line(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if got := line(strings.Repeat("ö", 1000)); utf8.RuneCountInString(got) != maxLine || !strings.HasSuffix(got, "…") {
		t.Errorf("a long line: got %d characters", utf8.RuneCountInString(got))
	}
}
