package db

import "time"

// A LinkKind says what a link lets its holder do.
type LinkKind string

// The kinds of links.
const (
	Invite LinkKind = "invite" // make an account
	Reset  LinkKind = "reset"  // set a new password of a user
)

// A Link lets whoever holds it do one thing, once.
type Link struct {
	ID        int64
	Kind      LinkKind
	UserID    int64  // of a reset
	Username  string // whose password it sets, or what the account is called; "" lets its person choose
	Superuser bool   // what an invitation makes
	Groups    []string
	MadeBy    string // a user name
	Created   time.Time
	Expires   time.Time
}
