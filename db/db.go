// Package db holds the words that every part shares: what a user, a session, a
// token and an event are, and the errors a store answers with. It imports no driver.
package db

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"
)

// Errors of every store. They are wrapped with what was being done.
var (
	ErrNotFound    = errors.New("not found")
	ErrConflict    = errors.New("already exists")
	ErrUnavailable = errors.New("database unavailable") // full, read-only, locked, damaged or gone

	// ErrLastSuperuser says that a change would leave nobody in charge.
	ErrLastSuperuser = fmt.Errorf("%w: the last active superuser", ErrConflict)
)

// An UnavailableError is an ErrUnavailable that says why, and what to do, in
// words for who runs the server.
type UnavailableError struct {
	Path    string // of the file that is concerned
	Problem string // what it is or cannot, such as "is damaged"
	Remedy  string
	Err     error // the driver's or the system's, if any
}

func (e *UnavailableError) Error() string {
	text := fmt.Sprintf("the database %s %s: %s", e.Path, e.Problem, e.Remedy)
	if e.Err != nil {
		text += fmt.Sprintf(" (%v)", e.Err)
	}
	return text
}

// Is makes it an ErrUnavailable.
func (e *UnavailableError) Is(target error) bool { return target == ErrUnavailable }

func (e *UnavailableError) Unwrap() error { return e.Err }

// A User signs in. The zero LastLogin means never.
type User struct {
	ID              int64
	UUID            uuid.UUID
	Username        string
	Name            string
	Email           string
	PasswordHash    string
	Active          bool
	Superuser       bool
	Created         time.Time
	Updated         time.Time
	PasswordChanged time.Time
	LastLogin       time.Time
	Groups          []Group // by name; only where the method says so
}

// Normal is the one spelling, of those that Unicode has for the same text, in which
// names are stored and compared: an ö may come as one character or as two.
func Normal(text string) string { return norm.NFC.String(text) }

// Fold is the form of a name in which "Ada" and "ada" are one.
func Fold(name string) string { return Normal(strings.ToLower(name)) }

// A Group of users; rules name them.
type Group struct {
	UUID uuid.UUID
	Name string
}

// A UserFilter chooses and orders users; its zero value chooses all of them, by
// user name. A nil pointer means any.
type UserFilter struct {
	ID        int64 // 0: any
	Username  *string
	Name      *string
	Email     *string
	UUID      *uuid.UUID
	Active    *bool
	Superuser *bool
	Groups    []string // names; in one of them
	GroupIDs  []uuid.UUID
	Search    []string // every word in user name, name or email, whatever the case
	Ordering  []Order  // pk, username, name, email, is_active, is_superuser, last_login, date_joined, last_updated
	Limit     int
	Offset    int
}

// An Agent is one User-Agent header with its parsed parts: "" where there is no
// such part, family "Other" where it is unknown.
type Agent struct {
	String      string
	Definitions string // version of the definitions that parsed it
	AgentParts
}

// AgentParts are what definitions say of a User-Agent header.
type AgentParts struct {
	Kind                                              string
	Browser, BrowserMajor, BrowserMinor, BrowserPatch string
	OS, OSMajor, OSMinor, OSPatch, OSPatchMinor       string
	Device, DeviceBrand, DeviceModel                  string
}

// A Session is one sign-in that lives. Expires is the earlier of Ends, its
// absolute limit, and the idle limit.
type Session struct {
	ID       int64
	UUID     uuid.UUID
	UserID   int64
	AgentID  int64 // of the agent that is stored; Agent may be a newer one
	Username string
	Agent    *Agent // which others may share: nobody may change it
	IP       netip.Addr
	Via      netip.Addr // the trusted proxy that reported IP; invalid when it was the peer itself
	Method   string
	Remember bool
	Created  time.Time
	LastUsed time.Time
	Ends     time.Time
	Expires  time.Time
}

// An EndedSession is what history keeps of a session. In lists of both kinds Ended is
// zero for one that lives.
type EndedSession struct {
	Session
	Ended   time.Time
	Reason  Reason
	EndedBy string // a user name; "" for the program itself
}

// A Reason says why a session ended.
type Reason string

// Why sessions end.
const (
	SignedOut       Reason = "signed_out"       // its own browser signed out
	Revoked         Reason = "revoked"          // from elsewhere: the API, a page, the command line
	Replaced        Reason = "replaced"         // the browser signed in anew
	Expired         Reason = "expired"          // the absolute limit
	Idle            Reason = "idle"             // the idle limit
	PasswordChanged Reason = "password_changed" //
	UserDisabled    Reason = "user_disabled"    //
	Restored        Reason = "restored"         // a backup came back
)

// A Use is a request that a session authenticated. Without an Agent, that and
// IP and Via are as they were.
type Use struct {
	Session int64
	UUID    uuid.UUID // the session's: its ID may be given anew after it has ended
	At      time.Time
	IP      netip.Addr
	Via     netip.Addr
	Agent   *Agent
}

// Ahead is by how much a last use may be after a use that comes later: two programs
// write theirs in any order, a little apart. What is further ahead was noted while the
// clock was, and gives way.
const Ahead = 10 * time.Minute

// A State says whether sessions live.
type State int

// The states.
const (
	Living State = iota
	Ended
	Any
)

// A SessionFilter chooses and orders living sessions; its zero value chooses
// all of them, by user name. A nil pointer means any.
type SessionFilter struct {
	State    State
	Now      time.Time // living sessions that expire by then are left out
	User     *int64
	Username *string
	IP       *string
	IPs      []string // any of them; nil is any at all
	Agent    *string
	Kind     *string  // of the agent
	Search   []string // every word in user name, address or agent, whatever the case
	Ordering []Order  // user__username, user, last_ip, last_user_agent, last_used, expires, uuid
	Limit    int
	Offset   int
}

// An Order is one column to sort by.
type Order struct {
	Column     string
	Descending bool
}

// A Token is an API key's description; the key itself is kept nowhere. The zero
// Expires means never.
type Token struct {
	ID          int64
	UUID        uuid.UUID
	Identifier  string
	Description string
	User        User // with groups where the method says so
	Created     time.Time
	Expires     time.Time
	Scope       Scope
	LastUsed    time.Time // to the minute; zero for never
}

// A Scope is what a key is good for: all, read (the API's safe methods), gate (passing
// the gate and nothing else), or gate: and hosts, exact or *.suffix, separated by commas.
type Scope string

// The scopes without hosts.
const (
	ScopeAll  Scope = "all"
	ScopeRead Scope = "read"
	ScopeGate Scope = "gate"
)

// Hosts are those of a scope that names some, nil for one that does not.
func (s Scope) Hosts() []string {
	hosts, ok := strings.CutPrefix(string(s), "gate:")
	if !ok {
		return nil
	}
	return strings.Split(hosts, ",")
}

// Passes reports whether a key of the scope is good at the gate for a host.
func (s Scope) Passes(host string) bool {
	return s == ScopeAll || s == ScopeGate || slices.ContainsFunc(s.Hosts(), func(pattern string) bool {
		suffix, wild := strings.CutPrefix(pattern, "*")
		return host == pattern || wild && strings.HasSuffix(host, suffix)
	})
}

// A TokenFilter chooses and orders API tokens; its zero value chooses all of
// them, by identifier. A nil pointer means any.
type TokenFilter struct {
	User        int64 // 0: anybody's
	Username    *string
	Identifier  *string
	Description *string
	Expiring    *bool    // whether it will expire at all
	Search      []string // every word in identifier, description or user name, whatever the case
	Ordering    []Order  // identifier, description, user__username, expires, created
	Limit       int
	Offset      int
}

// An Action names what an event tells, in authentik's words.
type Action string

// What events tell.
const (
	Login        Action = "login"
	LoginFailed  Action = "login_failed"
	Logout       Action = "logout"
	PasswordSet  Action = "password_set"
	SecretView   Action = "secret_view" // a backup was downloaded
	ModelCreated Action = "model_created"
	ModelUpdated Action = "model_updated"
	ModelDeleted Action = "model_deleted"
)

// An Event is one line of the history of sign-ins and changes.
type Event struct {
	UUID      uuid.UUID
	Created   time.Time
	Action    Action
	ActorID   int64  // who did it; 0 when unknown, or on the command line
	Actor     string // their user name
	Email     string // of the actor, as it is now; "" when the user is gone
	SubjectID int64  // whose account it concerns; 0 for nobody's
	IP        netip.Addr
	Context   map[string]any
}

// An EventFilter chooses and orders events; its zero value chooses all of
// them, newest first. A nil pointer means any.
type EventFilter struct {
	Subject  int64 // 0: anybody's; with one, what it tells of other actors' requests is not looked at
	UUID     *uuid.UUID
	Actions  []Action
	Username *string // of who did it, or the name that was tried
	IP       *string
	Since    time.Time
	Model    map[string]string // of the thing it tells of: app, model_name, pk
	Search   []string          // every word in actor, address, action or context, whatever the case
	Ordering []Order           // created, action, client_ip, user
	Limit    int
	Offset   int
}

// An EventCount is how many events of an action began in the span that starts at Time.
type EventCount struct {
	Action Action
	Time   time.Time
	Count  int
}

// LoginLimits are how many wrong passwords are borne before signing in is refused.
type LoginLimits struct {
	Pair    int // of one account from one network, within Window
	Network int // from one network, within Window
	Window  time.Duration
	Account int // of one account, within Lock; for networks that never signed in to it
	Lock    time.Duration
}
