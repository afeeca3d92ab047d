package db

import (
	"net/netip"
	"time"

	"github.com/google/uuid"
)

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
	Subject   string // their user name, where it is read; "" when the user is gone
	IP        netip.Addr
	Device    string // what the device of its session is called now, where that was looked up
	Context   map[string]any
	Alert     *Alert // that is stored with it; nil for none, and never read back
}

// An EventFilter chooses and orders events; its zero value chooses all of
// them, newest first. A nil pointer means any.
type EventFilter struct {
	Subject  int64 // 0: anybody's; with one, what it tells of other actors' requests is not looked at
	UUID     *uuid.UUID
	Actions  []Action
	Username *string // of who did it, or the name that was tried
	IP       *string
	IPs      []string // any of them; nil is any at all
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
