package db

import (
	"net/netip"
	"time"

	"github.com/google/uuid"
)

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

// An AccountIP is an address that sessions of an account were last used from, and when the
// first of them was signed in.
type AccountIP struct {
	UserID int64
	IP     netip.Addr
	First  time.Time
}

// A Word is what a page is searched for. Where an address is the store does not know.
type Word struct {
	Text string
	IPs  []string // at which sessions fit the word, too
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
	Words    []Word   // every one there, in the person's or the device's name, or at one of its addresses
	Ordering []Order  // user__username, user, last_ip, last_user_agent, last_used, expires, uuid
	Limit    int
	Offset   int
}
