package live

import (
	"maps"
	"slices"

	"lastseen/db"

	"github.com/google/uuid"
)

// A Change is something that makes what is kept untrue.
type Change int

// The changes. Whoever makes one calls Invalidate after it and before it is answered,
// also when it failed: it may have happened all the same. That single sessions end is
// not among them: see End.
const (
	SignedIn       Change = iota // users, who are shown with when they did last
	SessionsEnded                // those of users, of which some may go on
	UserChanged                  // anything of users or their groups, or that they are gone
	KeysChanged                  // an API key of users is gone
	AppsChanged                  // what a session has on an app's host is gone, though the session is not
	RulesChanged                 // the gate's
	WroteElsewhere               // another process, whatever it was
)

// A part is what is kept of some kind.
type part int

const (
	users    part = 1 << iota // of those that changed: the row and its groups
	sessions                  // theirs
	keys                      // theirs
	apps                      // all
	rules                     // all
	agents                    // all, by number
)

// drops says what is dropped by which change. It is the one place that does.
var drops = [...]part{
	SignedIn:       users,
	SessionsEnded:  sessions,
	UserChanged:    users | sessions | keys,
	KeysChanged:    keys,
	AppsChanged:    apps,
	RulesChanged:   rules,
	WroteElsewhere: users | sessions | keys | apps | rules | agents,
}

// Invalidate drops what a change to these users, to everybody when there are none, makes
// untrue. Sessions stay in memory, since they hold uses that are not written yet, but
// are read anew before they are believed.
func (c *Cache) Invalidate(change Change, users ...int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(change, users)
}

// drop is Invalidate. c.mu is held.
func (c *Cache) drop(change Change, whose []int64) {
	c.generation++ // what is being read now is not kept
	dropped := drops[change]
	switch {
	case dropped&(users|sessions) == 0:
	case len(whose) == 0:
		c.users = map[int64]user{} // and no session is believed without its user
	default:
		for _, id := range whose {
			u, ok := c.users[id]
			if !ok {
				continue // and none of their sessions is believed
			}
			if dropped&users != 0 {
				u.user = nil
			}
			if dropped&sessions != 0 {
				u.since = c.generation
			}
			c.users[id] = u
		}
	}
	if dropped&keys != 0 {
		if len(whose) == 0 {
			c.keys = map[[32]byte]*db.Token{}
		}
		maps.DeleteFunc(c.keys, func(_ [32]byte, t *db.Token) bool { return slices.Contains(whose, t.User.ID) })
	}
	if dropped&apps != 0 {
		c.apps = map[[32]byte]db.AppSession{}
	}
	if dropped&rules != 0 {
		c.rules = nil
	}
	if dropped&agents != 0 {
		c.agentsByID = map[int64]*db.Agent{}
	}
}

// End has end, which must be told the last uses of sessions, end them in the store, all
// or none. Then they are removed; when it failed they are read anew, and what is not
// written of them stays.
func (c *Cache) End(ids []uuid.UUID, end func(last []db.Use) error) error {
	last := make([]db.Use, len(ids))
	for i, id := range ids {
		last[i] = c.lastUse(id)
	}
	err := end(last)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	for _, id := range ids {
		if n, ok := c.sessions.byUUID.find(id); ok && err == nil {
			c.remove(n)
		} else if ok {
			c.sessions.at(n).read = 0
		}
	}
	return err
}
