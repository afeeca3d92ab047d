package db

import (
	"strings"
	"time"

	"github.com/google/uuid"
)

// A Rule of the gate says which groups may reach a host, which path of it is open to
// all, or, by Challenge, where clients that are no browsers are asked for a key. Host is
// exact or *.suffix, Path exact or a prefix that ends in *.
type Rule struct {
	ID        int64
	Host      string
	Groups    []string // by name; a rule without Path and Groups allows nobody
	Path      string   // "" for a rule that allows groups, and for a challenge on all of the host
	Methods   []string // of an open path, in upper case: those alone; nil for all
	Challenge bool
	Created   time.Time
}

// Fits reports whether a path is the rule's.
func (r Rule) Fits(path string) bool {
	prefix, isPrefix := strings.CutSuffix(r.Path, "*")
	return path == r.Path || isPrefix && strings.HasPrefix(path, prefix)
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
