// Package alert tells people of what happened to an account: what a message says, and
// how it is sent to a webhook, ntfy, Gotify or by mail. It knows no database and decides
// nothing: who is told what is the matter of package app.
package alert

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// A Type is what a message is about. Receivers rely on these words.
type Type string

// The types. Each is said in words by Message.
const (
	SignIn          Type = "sign_in"          // from a device or country that the account did not know
	FactorAdded     Type = "factor_added"     // a code generator, passkey or set of recovery codes
	FactorRemoved   Type = "factor_removed"   // any of those
	PasswordChanged Type = "password_changed" // by the person or for them
	SuperuserAdded  Type = "superuser_added"
	AccountLocked   Type = "account_locked"
	BackupTaken     Type = "backup_downloaded"
	KeyCreated      Type = "key_created"
	Summary         Type = "summary" // how many were held back
	Test            Type = "test"
)

// Types are those that a target may choose among.
var Types = []Type{SignIn, FactorAdded, FactorRemoved, PasswordChanged, SuperuserAdded, AccountLocked, BackupTaken, KeyCreated}

// CommandLine is who did what was done there.
const CommandLine = "command line"

// A Reason is why a sign-in is told of.
type Reason string

// The reasons.
const (
	NewDevice  Reason = "new_device"
	NewCountry Reason = "new_country"
)

// Facts are what a message is made of. They are kept until it is sent, and name nothing
// secret. What they hold may come from strangers.
type Facts struct {
	Type    Type      `json:"type"`
	Time    time.Time `json:"time"`
	User    string    `json:"user"`              // the account's user name
	By      string    `json:"by,omitempty"`      // who did it, if that was somebody else
	What    string    `json:"what,omitempty"`    // such as the name of a key or factor
	Reasons []Reason  `json:"reasons,omitempty"` // of a sign-in
	Session string    `json:"session,omitempty"` // the uuid of one of the account's own, in which it happened
	Device  string    `json:"device,omitempty"`
	Country string    `json:"country,omitempty"` // its English name
	Place   string    `json:"place,omitempty"`   // with the country
	Network string    `json:"network,omitempty"`
	Address string    `json:"address,omitempty"`
	Count   int       `json:"count,omitempty"` // of a summary
}

// A Message is ready to be sent. It is also the object that a webhook gets.
type Message struct {
	ID    uuid.UUID `json:"id"`
	Title string    `json:"title"`
	Text  string    `json:"text"` // lines, the last of which is the URL
	URL   string    `json:"url"`  // of the session's page, or of the person's sessions
	Facts
}

// NewMessage says facts in words. origin is the public URL, without a slash at its end;
// history is for how many days sessions are remembered.
func NewMessage(id uuid.UUID, f Facts, origin string, history int) Message {
	f = f.clean()
	m := Message{ID: id, URL: origin + "/sessions", Facts: f}
	if f.Session != "" {
		m.URL += "/" + f.Session
	}
	by := ""
	if f.By != "" {
		by = " by " + f.By
		if f.By == CommandLine {
			by = " on the command line"
		}
	}
	var what, do string
	ifNotYou := "If that was not you, open the page below: a button there, “This was not me”, signs that session and its device out, and leads on to a new password."
	if f.Session == "" {
		ifNotYou = "If you know nothing of it, sign in at the page below, see who is signed in, and change your password."
	}
	switch f.Type {
	case SignIn:
		m.Title = "New sign-in of " + f.User
		what = f.User + " signed in " + f.where()
		for _, reason := range f.Reasons {
			switch reason {
			case NewDevice:
				what += ". It is the first sign-in from this device"
			case NewCountry:
				what += ". It is the first in " + strconv.Itoa(history) + " days from " + f.Country
			}
		}
		do = ifNotYou
	case FactorAdded:
		m.Title = "A way to sign in was added for " + f.User
		what, do = unlinked(f.What)+" was added to the account "+f.User+by, ifNotYou
	case FactorRemoved:
		m.Title = "A way to sign in was removed for " + f.User
		what, do = unlinked(f.What)+" was removed from the account "+f.User+by, ifNotYou
	case PasswordChanged:
		m.Title = "Password of " + f.User + " changed"
		what, do = "The password of "+f.User+" was changed"+by, ifNotYou
	case SuperuserAdded:
		m.Title = f.User + " is a superuser now"
		what, do = f.User+" may do everything now: made a superuser"+by, "If nobody should have done that, sign in at the page below, and look at Events and Users."
	case AccountLocked:
		m.Title = "Account " + f.User + " locked"
		what, do = "So many wrong passwords were tried on "+f.User+" that only networks that it has signed in from may try more", "Whoever has the right password gets in again within an hour; `lastseen user unlock` lifts the lock at once."
	case BackupTaken:
		m.Title = "Backup downloaded"
		what, do = "A backup of everything was downloaded"+by, "If nobody should have done that, sign in at the page below, and look at Events and Users."
	case KeyCreated:
		m.Title = "API key made for " + f.User
		what, do = "The key "+quote(unlinked(f.What))+" was made for "+f.User+by+"; it signs in without a password", ifNotYou
	case Summary:
		m.Title = strconv.Itoa(f.Count) + " more alerts"
		what = strconv.Itoa(f.Count) + " alerts could not be sent here for so long that they are only counted. The page Events shows what they told of"
		if f.User != "" {
			m.Title += " of " + f.User
			what = strconv.Itoa(f.Count) + " more alerts of " + f.User + " within the hour were held back. The page Events shows what they tell of"
		}
	case Test:
		m.Title = "A test of Lastseen's alerts"
		what = "This is a test, which somebody asked for. Alerts arrive here"
	}
	lines := []string{what + "."}
	switch where := f.where(); {
	case where == "" || f.Type == SignIn:
	case f.Type == AccountLocked:
		lines = append(lines, "The last one was tried "+where+".")
	default:
		lines = append(lines, "It was done "+where+".")
	}
	lines = append(lines, "Time: "+f.Time.UTC().Format("2 Jan 2006, 15:04 UTC")+".")
	if do != "" {
		lines = append(lines, do)
	}
	m.Text = strings.Join(append(lines, m.URL), "\n")
	return m
}

// where says device, place, network and address, as far as they are known.
func (f Facts) where() string {
	var parts []string
	if f.Device != "" {
		parts = append(parts, "on "+unlinked(f.Device))
	}
	if f.Place != "" {
		parts = append(parts, "in "+f.Place)
	}
	if f.Network != "" {
		parts = append(parts, "through "+f.Network)
	}
	if f.Address != "" {
		parts = append(parts, "from "+f.Address)
	}
	return strings.Join(parts, ", ")
}

// unlinked is a stranger's text in which no app finds an address to be tapped: anybody
// can call their client "Unlock at evil.example", and have an account locked with it.
func unlinked(s string) string { return host.ReplaceAllString(s, "[.]$1") }

var host = regexp.MustCompile(`[.](\pL)`)

func quote(s string) string { return "“" + s + "”" }

// clean makes text from strangers one line each, of a bounded length, without characters
// that cannot be seen or turn the order of what follows.
func (f Facts) clean() Facts {
	for _, s := range []*string{&f.User, &f.By, &f.What, &f.Session, &f.Device, &f.Country, &f.Place, &f.Network, &f.Address} {
		*s = line(*s)
	}
	return f
}
