package db

import (
	"time"

	"github.com/google/uuid"
)

// SetupSetting is what the names of settings begin with that are good until there is a user.
const SetupSetting = "setup-token "

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
	MustChange      bool // somebody else set the password: they choose another at the next sign-in
	LastLogin       time.Time
	Groups          []Group // by name; only where the method says so
}

// A PasswordChange is a new password of a user.
type PasswordChange struct {
	UserID     int64
	Was        string // only where this is the hash still, they are active, and Spare lives; "" for always
	Hash       string
	MustChange bool
	Spare      uuid.UUID // the one session that it does not end; the zero uuid for none
	Event      Event
}

// A UserUse is how an account is used: its sessions that live, and the last use of any
// that is known of or the last sign-in, whichever was later; the zero time is never.
type UserUse struct {
	Sessions int
	LastSeen time.Time
	Factor   bool // they have a second factor
}

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
	Factor    *bool    // whether they have a second factor
	Groups    []string // names; in one of them
	GroupIDs  []uuid.UUID
	Search    []string // every word in user name, name or email, whatever the case
	Ordering  []Order  // pk, username, name, email, is_active, is_superuser, last_login, date_joined, last_updated, last_seen, sessions
	Limit     int
	Offset    int
}
