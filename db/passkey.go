package db

import "time"

// A Challenge is what a passkey was asked to sign, until the answer comes.
type Challenge struct {
	UserID  int64  // whose passkey is to answer; 0 for whoever has one
	Purpose string // what the answer is good for, and nothing else
	Data    []byte // all that is needed to check it, a JSON object
	Created time.Time
}
