package db

import (
	"time"
)

// LoginFailures are the wrong passwords for an account that limits still count, and until
// when some network is refused for them; the zero time when none is.
type LoginFailures struct {
	Count   int
	Refused time.Time
}

// LoginLimits are how many wrong passwords are allowed before signing in is refused.
type LoginLimits struct {
	Pair    int // of one account from one network, within Window
	Network int // from one network, within Window
	Window  time.Duration
	Account int // of one account, within Lock; for networks that never signed in to it
	Lock    time.Duration
}

// Attempts are the sign-ins under way: of one account from one network, from one network,
// and of one account.
type Attempts struct{ Pair, Network, Account int }

// Lower are the limits, or lower ones: those of whole without what is under way.
func (l LoginLimits) Lower(whole LoginLimits, a Attempts) LoginLimits {
	l.Pair, l.Network, l.Account = min(l.Pair, whole.Pair-a.Pair), min(l.Network, whole.Network-a.Network), min(l.Account, whole.Account-a.Account)
	return l
}
