package db

import (
	"errors"
	"time"

	"github.com/google/uuid"
)

// ErrUsed says that a code was good once, and was used.
var ErrUsed = errors.New("used already")

// A TOTP is an authenticator app of a user.
type TOTP struct {
	ID       int64
	UUID     uuid.UUID // what Secret is bound to, beside the user
	UserID   int64
	Name     string
	Secret   []byte // encrypted
	Step     int64  // the latest 30 seconds, since 1970, whose code was used
	Created  time.Time
	LastUsed time.Time // zero for never
}

// A Passkey is a WebAuthn credential of a user.
type Passkey struct {
	ID           int64
	UserID       int64
	Name         string
	CredentialID []byte
	RPID         string // the host that it is good for
	Discoverable *bool  // whether it signs in without a name; nil when the browser did not say
	Credential   []byte // all that is known of it, a JSON object
	Created      time.Time
	LastUsed     time.Time // zero for never
}

// Factors are what a user can prove besides the password.
type Factors struct {
	TOTPs        []TOTP    // by name
	Passkeys     []Passkey // by name
	Recovery     int       // how many recovery codes are left
	RecoveryMade time.Time // zero when there are none
}

// Any reports whether there is a factor. Recovery codes stand in for one, and are none.
func (f Factors) Any() bool { return len(f.TOTPs)+len(f.Passkeys) > 0 }

// A FactorKind is one of those that a user can have.
type FactorKind string

// The kinds of factors.
const (
	KindTOTP     FactorKind = "totp"
	KindPasskey  FactorKind = "passkey"
	KindRecovery FactorKind = "recovery" // all codes of a user, whose ID is the user's
)

// A NewFactor is one that is added: a TOTP or a Passkey.
type NewFactor struct {
	TOTP    *TOTP
	Passkey *Passkey
	// Recovery are the hashes of the recovery codes that come with a user's first factor.
	Recovery [][]byte
	By       uuid.UUID            // the session that adds it, if one does
	Event    func(id int64) Event // of the number that it got
}

// UserID is whose it is to be.
func (n NewFactor) UserID() int64 {
	if n.TOTP != nil {
		return n.TOTP.UserID
	}
	return n.Passkey.UserID
}

// A PendingSignIn is one of which something is still to be proven.
type PendingSignIn struct {
	UserID   int64
	Proven   string // how, so far, as a session's method
	Remember bool
	Trust    bool // the device, from when the rest is proven
	Created  time.Time
}

// A Proof is what proved who signs in, beside the password, and is used up with it. The
// zero value is none.
type Proof struct {
	Pending  []byte    // the hash of the pending sign-in's token
	Since    time.Time // when that was made at the earliest
	TOTP     *TOTP     // with the step of its code, which must be later than that which is stored
	Recovery []byte    // the hash of a recovery code
	Passkey  *Passkey  // as it is from now on
	Was      []byte    // Passkey's Credential when its answer was checked, and still
	Device   []byte    // the hash of the token of a device that is trusted still
	Alone    bool      // the first factor is all that is proven: only while the user has no second
	New      *NewFactor
	Password *PasswordChange
}

// A SignIn is all that is stored of one.
type SignIn struct {
	User      User // as verified: only if they are active still, with that password's hash
	Session   Session
	TokenHash []byte
	Device    []byte    // the hash of its device's token; nil when there is none
	Trust     time.Time // until when the device is trusted from now on; zero leaves that as it is
	Replaces  []Use     // the last uses of the sessions that it ends
	Network   string
	Proof     Proof
	Event     Event
}
