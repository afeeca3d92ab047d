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
