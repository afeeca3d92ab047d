package db

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// A Token is an API key's description; the key itself is kept nowhere. The zero
// Expires means never.
type Token struct {
	ID          int64
	UUID        uuid.UUID
	Identifier  string
	Description string
	User        User // with groups where the method says so
	Created     time.Time
	Expires     time.Time
	Scope       Scope
	LastUsed    time.Time // to the minute; zero for never
}

// A Scope is what a key is good for: all, read (the API's safe methods), gate (passing
// the gate and nothing else), or gate: and hosts, exact or *.suffix, separated by commas.
type Scope string

// The scopes without hosts.
const (
	ScopeAll  Scope = "all"
	ScopeRead Scope = "read"
	ScopeGate Scope = "gate"
)

// Hosts are those of a scope that names some, nil for one that does not.
func (s Scope) Hosts() []string {
	hosts, ok := strings.CutPrefix(string(s), "gate:")
	if !ok {
		return nil
	}
	return strings.Split(hosts, ",")
}

// Passes reports whether a key of the scope is good at the gate for a host.
func (s Scope) Passes(host string) bool {
	return s == ScopeAll || s == ScopeGate || slices.ContainsFunc(s.Hosts(), func(pattern string) bool {
		suffix, wild := strings.CutPrefix(pattern, "*")
		return host == pattern || wild && strings.HasSuffix(host, suffix)
	})
}

// A TokenFilter chooses and orders API tokens; its zero value chooses all of
// them, by identifier. A nil pointer means any.
type TokenFilter struct {
	User        int64 // 0: anybody's
	Username    *string
	Identifier  *string
	Description *string
	Expiring    *bool    // whether it will expire at all
	Search      []string // every word in identifier, description or user name, whatever the case
	Ordering    []Order  // identifier, description, user__username, expires, created
	Limit       int
	Offset      int
}
