package db

import (
	"time"

	"github.com/google/uuid"
)

// A Device is a browser that an account signed in on, as the cookie that it holds says.
// Another account in the same browser has another one.
type Device struct {
	ID        int64
	UUID      uuid.UUID
	UserID    int64
	Username  string
	Name      string // what its person calls it; "" until they do
	Client           // as it was at the latest sign-in
	Created   time.Time
	LastLogin time.Time

	TrustedUntil time.Time // zero when its person's second factor is asked for each time
}

// A Client is what an agent is, whatever its version.
type Client struct{ Browser, OS, Kind string }

// Client is what the agent is.
func (a *Agent) Client() Client { return Client{a.Browser, a.OS, a.Kind} }

// MaxDevices is how many devices of an account are kept. With one more the oldest goes of
// those that have no name and no living session, or else no name, or else no session.
const MaxDevices = 200

// MaxDeviceName is how many characters a device's name has at most.
const MaxDeviceName = 60

// A SignInHistory says what of a sign-in an account has seen before.
type SignInHistory struct {
	Device bool // the device
	Client bool // what it is
	Any    bool // any sign-in
}
