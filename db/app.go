package db

import (
	"time"

	"github.com/google/uuid"
)

// An AppSession is a session's cookie on the host of an app that the session's own does
// not reach.
type AppSession struct {
	Session uuid.UUID
	Host    string
	Created time.Time
}

// An AppCode is what a browser takes from the sign-in to an app's host, to get that
// cookie. It is good once.
type AppCode struct {
	Hash    []byte // of the code
	State   []byte // the hash of what the browser that asked holds
	Secure  bool   // the page is on https, where no other host can plant what is held
	Session uuid.UUID
	Host    string
	Target  string // the URL of the page that was asked for
	Created time.Time
}
