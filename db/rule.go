package db

import "time"

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

// A Reach is a host that a session reached through the gate.
type Reach struct {
	Host        string
	First, Last time.Time
}
