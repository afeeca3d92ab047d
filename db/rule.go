package db

import (
	"time"

	"github.com/google/uuid"
)

// A Rule of the gate says either which groups may reach a host, or which path
// of it is open to all. Host is exact or *.suffix, Path exact or a prefix that
// ends in *.
type Rule struct {
	ID      int64
	Host    string
	Groups  []string // by name; a rule without Path and Groups allows nobody
	Path    string   // "" for a rule that allows groups
	Created time.Time
}

// A SessionHost names a session and a host that it reached through the gate.
type SessionHost struct {
	Session uuid.UUID
	Host    string
}

// A Reach is when a session reached a host.
type Reach struct {
	Host        string
	First, Last time.Time
}
