package view

import (
	"html/template"
	"time"
)

type LoginPage struct {
	Layout
	App        string // the host one is going to; "" for Lastseen itself
	RD         string
	State      string // with what binds the way back to this browser
	Username   string
	Remember   bool
	Days       int // for which a session lasts; 0 when those are hours
	Hours      int
	Failed     bool // user name or password wrong, or the account disabled: always the same text
	RetryAfter time.Duration
	NoUsers    bool   // there is nobody yet who could sign in
	Ended      bool   // the browser holds a session that is no more
	Error      string // an English key: why a passkey was refused
	Passkeys   bool   // can be used on this page
}

// Minutes is RetryAfter, rounded up.
func (p LoginPage) Minutes() int { return minutes(p.RetryAfter) }

func minutes(d time.Duration) int { return int((d + time.Minute - 1) / time.Minute) }

// CodePage asks who has given the password for the second factor.
type CodePage struct {
	Layout
	App, RD, State string // as the sign-in page's
	Username       string
	Codes          bool   // they have an authenticator app
	Recovery       bool   // they have recovery codes left
	Trust          Span   // for how long the device may be trusted; zero: it may not
	HasPasskey     bool   // that is for this host
	Passkeys       bool   // can be used on this page
	Error          string // an English key
	RetryAfter     time.Duration
}

// A Span is a length of time in words, in days or else in hours; zero is none.
type Span struct{ Days, Hours int }

// NewSpan is a duration in whole days, or hours where it is shorter than two days.
func NewSpan(d time.Duration) Span {
	switch {
	case d <= 0:
		return Span{}
	case d >= 48*time.Hour:
		return Span{Days: int(d / (24 * time.Hour))}
	}
	return Span{Hours: max(1, int(d/time.Hour))}
}

// Minutes is RetryAfter, rounded up.
func (p CodePage) Minutes() int { return minutes(p.RetryAfter) }

// TOTPPage sets up an authenticator app: from the profile, or at a sign-in that has an RD.
type TOTPPage struct {
	Layout
	App, RD, State string
	Username       string
	QR             template.HTML
	Key            string       // as people type it
	URI            template.URL // as an app on this device takes it
	Factor, Sealed string       // what the form sends back
	Name           string
	Passkeys       bool   // one can be set up instead
	Error          string // an English key
}

// PasskeyPage sets up a passkey.
type PasskeyPage struct {
	Layout
	Name  string
	Error string // an English key
}

// RecoveryPage shows new recovery codes, this once.
type RecoveryPage struct {
	Layout
	Codes []string
	Next  string // where it leads on
}

// AgainPage asks for the password of who is signed in, before it goes on with what was sent.
type AgainPage struct {
	Layout
	Password   bool // they have one
	Code       bool // a code is asked for beside the password
	Username   string
	Way        string   // get or post: what the page was asked for
	Sent       []Choice // the form's fields
	Passkeys   bool     // they have one, for this page
	Failed     bool
	Refused    string // why a passkey failed, an English key
	RetryAfter time.Duration
	Back       string
}

// Minutes is RetryAfter, rounded up.
func (p AgainPage) Minutes() int { return minutes(p.RetryAfter) }

type SetupPage struct {
	Layout
	Token, Username string
	MinLength       int
	Error           string // an English key; "" when nothing is wrong yet
}

// OwnPasswordPage asks who signs in for a password in the place of what somebody else set.
type OwnPasswordPage struct {
	Layout
	App, RD, State string // as the sign-in page's
	Username       string
	MinLength      int
	Error          string // an English key
}

// LinkPage makes an account, or sets a new password, for who holds a link.
type LinkPage struct {
	Layout
	Reset     bool
	Username  string
	Choose    bool // the person chooses it
	MinLength int
	// PasskeyURL says what to ask the browser for a passkey in the place of a password; ""
	// where none can be.
	PasskeyURL string
	Error      string // an English key
}

// LinkMadePage shows a new link, this once.
type LinkMadePage struct {
	Layout
	Reset     bool
	Username  string // "" where an invitation leaves it open
	Superuser bool
	Link      string
	Expires   time.Time
	Back      string
}

type LogoutPage struct {
	Layout
	Action string // where the form posts to: /logout, or the gate's sign_out
	App    string // the host whose sign-out was asked for
	Next   string
}
