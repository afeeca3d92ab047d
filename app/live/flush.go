package live

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

// maxHosts is how many hosts are kept of a session: those that it reached last.
const maxHosts = 50

// chunk is how many sessions are looked at in one go, since others want c.mu too.
const chunk = 1000

// FlushWanted receives when so much waits that there should be a flush at once.
func (c *Cache) FlushWanted() <-chan struct{} { return c.full }

func (c *Cache) askForFlush() {
	select {
	case c.full <- struct{}{}:
	default: // it was asked for
	}
}

// A write is what a flush writes of a session.
type write struct {
	uuid uuid.UUID
	id   int64
	n    uint32
	what unwritten
}

// Flush writes the uses and hosts that are not written. What it cannot write it keeps for
// the next time. One runs at a time.
func (c *Cache) Flush(ctx context.Context) error {
	c.flushMu.Lock()
	defer c.flushMu.Unlock()
	all, reached := c.takeUnwritten()
	if len(all) == 0 && len(reached.times) == 0 { // what there was has ended, if there was anything
		c.flushed(nil)
		return nil
	}
	// In the order of the tables: what lies together is written together.
	slices.SortFunc(all, func(x, y write) int { return cmp.Compare(x.id, y.id) })
	usesErr := c.writeUses(ctx, all)
	slices.SortFunc(all, func(x, y write) int { return bytes.Compare(x.uuid[:], y.uuid[:]) })
	reachesErr := c.writeReaches(ctx, all, reached)

	failed := unwritten(0)
	if usesErr != nil {
		failed |= newUse | newOrigin
	}
	if reachesErr != nil {
		failed |= newHost
	} else {
		reached = nil
	}
	c.written(all, failed)
	c.evictSurplus()
	c.flushed(reached)
	return errors.Join(usesErr, reachesErr)
}

// takeUnwritten takes what is to be written. From here on it is noted anew, and what is
// being written keeps its place in memory.
func (c *Cache) takeUnwritten() ([]write, *reaches) {
	c.mu.Lock()
	taken, reached := c.unwritten, c.reached
	c.unwritten, c.reached = nil, newReaches(c.bounds.Hosts)
	c.flushing = len(taken) + len(reached.times)
	c.mu.Unlock()
	all := make([]write, 0, len(taken))
	for some := range slices.Chunk(taken, chunk) {
		c.mu.Lock()
		for _, n := range some {
			// A session that ended is no more, and its number may be another's.
			if s := c.sessions.at(n); s.unwritten&(newUse|newHost) != 0 {
				all = append(all, write{s.uuid, s.id, n, s.unwritten})
				s.unwritten = beingWritten
			}
		}
		c.mu.Unlock()
	}
	return all, reached
}

// written takes note that all were written but what failed, which it notes again.
func (c *Cache) written(all []write, failed unwritten) {
	for some := range slices.Chunk(all, chunk) {
		c.mu.Lock()
		for _, w := range some {
			if s := c.sessions.at(w.n); s.uuid == w.uuid {
				s.unwritten &^= beingWritten
				if what := w.what & failed; what != 0 {
					c.note(w.n, what)
				}
			}
		}
		c.mu.Unlock()
	}
}

// evictSurplus evicts what was kept beyond the bound until it was written.
func (c *Cache) evictSurplus() {
	for more := true; more; {
		c.mu.Lock()
		surplus := c.sessions.byUUID.count - c.bounds.Sessions
		for range min(surplus, chunk) {
			c.sessions.makeRoom()
		}
		more = surplus > chunk && c.sessions.byUUID.count < c.bounds.Sessions+surplus // or none can go
		c.mu.Unlock()
	}
}

// flushed ends a flush that could not write some reaches, or nil.
func (c *Cache) flushed(failed *reaches) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flushing = 0
	if failed == nil {
		return
	}
	for at, r := range c.reached.times { // which are fewer
		failed.add(at.session, c.reached.hosts.values[at.host], r)
	}
	c.reached = failed
}

func (c *Cache) writeUses(ctx context.Context, all []write) error {
	return c.store.RecordUses(ctx, func(yield func(db.Use) bool) {
		for _, w := range all {
			c.mu.Lock()
			use, ok := c.useOf(w)
			c.mu.Unlock()
			if ok && !yield(use) {
				return
			}
		}
	}, c.idle)
}

// useOf is a use as the store writes it, unless there is none or the session has ended.
// c.mu is held.
func (c *Cache) useOf(w write) (use db.Use, ok bool) {
	s := c.sessions.at(w.n)
	if w.what&newUse == 0 || s.uuid != w.uuid {
		return use, false
	}
	use = db.Use{Session: w.id, UUID: w.uuid, At: time.UnixMicro(s.lastUsed).UTC()}
	if w.what&newOrigin != 0 {
		from := c.sessions.origin(w.n)
		use.IP, use.Via, use.Agent = from.ip, from.proxy, from.agent
	}
	return use, true
}

func (c *Cache) writeReaches(ctx context.Context, all []write, reached *reaches) error {
	return c.store.RecordReaches(ctx, func(yield func(db.SessionHost, db.Reach) bool) {
		one := func(session uuid.UUID, host string, at reach) bool {
			return yield(db.SessionHost{Session: session, Host: host},
				db.Reach{Host: host, First: time.UnixMicro(at.first).UTC(), Last: time.UnixMicro(at.last).UTC()})
		}
		for _, at := range slices.SortedFunc(maps.Keys(reached.times), func(x, y sessionHost) int { return bytes.Compare(x.session[:], y.session[:]) }) {
			if !one(at.session, reached.hosts.values[at.host], reached.times[at]) {
				return
			}
		}
		for _, w := range all {
			if host, at, ok := c.reachOf(w); ok && !one(w.uuid, host, at) {
				return
			}
		}
	}, maxHosts)
}

// reachOf is when a session reached its last host, unless that is not to be written or
// the session has ended.
func (c *Cache) reachOf(w write) (host string, at reach, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.sessions.at(w.n)
	if w.what&newHost == 0 || s.uuid != w.uuid {
		return "", at, false
	}
	host, ok = c.sessions.host(w.n)
	return host, reach{s.hostFirst, s.hostLast}, ok
}

// lastUse is what is not written of a session that is about to end, for its history;
// without a time when that is nothing.
func (c *Cache) lastUse(id uuid.UUID) db.Use {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n, ok := c.sessions.byUUID.find(id); ok {
		c.keepHost(n, true)
		if use, ok := c.useOf(c.beforeEnd(n)); ok {
			return use
		}
	}
	return db.Use{UUID: id}
}

// beforeEnd is what is to be written of a session before it ends; what is being written
// may or may not be. c.mu is held.
func (c *Cache) beforeEnd(n uint32) write {
	s := c.sessions.at(n)
	w := write{s.uuid, s.id, n, s.unwritten}
	if w.what&beingWritten != 0 {
		w.what |= newUse | newOrigin
	}
	return w
}

// FlushUsers writes the uses of the sessions of users, of everybody when users is nil,
// before they end. Hosts are written of sessions that have ended, too.
func (c *Cache) FlushUsers(ctx context.Context, users []int64) error {
	theirs := map[int64]bool{}
	for _, id := range users {
		theirs[id] = true
	}
	var all []write
	for n, size := uint32(0), uint32(1); n < size; {
		c.mu.Lock()
		size = c.sessions.size
		for end := min(n+chunk, size); n < end; n++ {
			if users == nil || theirs[c.sessions.at(n).userID] {
				c.keepHost(n, users != nil)
				if w := c.beforeEnd(n); w.what&newUse != 0 {
					all = append(all, w)
				}
			}
		}
		c.mu.Unlock()
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(x, y write) int { return cmp.Compare(x.id, y.id) })
	return c.writeUses(ctx, all)
}

// FlushIfQuick is a flush unless that would take long. Then filters and orderings see what
// was written last; whoever reads shows each session as it is all the same.
func (c *Cache) FlushIfQuick(ctx context.Context) (flushed bool, err error) {
	c.mu.Lock()
	waiting := len(c.unwritten) + len(c.reached.times) + c.flushing
	c.mu.Unlock()
	if waiting > 2000 {
		return false, nil
	}
	err = c.Flush(ctx)
	return err == nil, err
}
