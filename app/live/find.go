package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

// A query names a session: by the hash of its token, or of the one that it has on the host
// of an app, or without one by its UUID.
type query struct {
	token *[32]byte
	app   *[32]byte // of a Shared store
	host  string    // of app
	uuid  uuid.UUID
}

func (q query) find(t *table) (n uint32, ok bool) {
	if q.token != nil {
		return t.byToken.find(tokenKey(q.token[:16]))
	}
	return t.byUUID.find(q.uuid)
}

func (q query) read(s Store) (db.Session, error) {
	if q.token != nil {
		hash := *q.token // escapes here alone
		return s.SessionByToken(hash[:])
	}
	return s.SessionByUUID(q.uuid)
}

// with runs do, with c.mu held, on a session and its user: those in memory where they may
// be believed, and otherwise as the store has them. One that the store does not have is
// db.ErrNotFound. Whether it has expired and the user is active do judges.
func (c *Cache) with(ctx context.Context, q query, do func(n uint32, user *db.User)) error {
	c.mu.Lock()
	s := c.stamp()
	n, found := q.find(c.sessions)
	if found && s.believable {
		if user := c.believedUser(n); user != nil {
			do(n, user)
			c.mu.Unlock()
			return nil
		}
	}
	c.mu.Unlock()
	err := c.read(ctx, s, q, do)
	if found && errors.Is(err, db.ErrNotFound) { // it has ended
		c.mu.Lock()
		defer c.mu.Unlock()
		if n, ok := q.find(c.sessions); ok {
			c.remove(n)
		}
	}
	return err
}

// believedUser is the user of a session, if both may be believed. c.mu is held.
func (c *Cache) believedUser(n uint32) *db.User {
	s := c.sessions.at(n)
	if u := c.users[s.userID]; s.read >= u.since {
		return u.user
	}
	return nil
}

// read is with, from the store. A row that was read before its session was evicted may
// be older than what was written of it; one whose user or agent is gone has ended since,
// or has another agent: then it is read again.
func (c *Cache) read(ctx context.Context, s stamp, q query, do func(n uint32, user *db.User)) error {
	for missing := 0; ; {
		sess, user, err := c.sessionAndUser(ctx, q)
		if err != nil && sess.UUID == uuid.Nil {
			return err
		}
		var agent *db.Agent
		if err == nil {
			agent, err = c.agentByID(ctx, sess.AgentID)
		}
		if err != nil && !errors.Is(err, db.ErrNotFound) {
			return err
		}
		if err == nil && c.keep(&sess, agent, s, q, func(n uint32) { do(n, user) }) {
			return nil
		}
		if err != nil {
			if missing++; missing == 3 {
				return fmt.Errorf("session %s names user %d and agent %d, of which one is not there", sess.UUID, sess.UserID, sess.AgentID)
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		c.mu.Lock()
		s = c.stamp()
		c.mu.Unlock()
	}
}

// sessionAndUser reads a session, and then its user, who may be gone by then; from a Shared
// store both at once.
func (c *Cache) sessionAndUser(ctx context.Context, q query) (db.Session, *db.User, error) {
	if c.shared != nil {
		return c.askSession(ctx, q)
	}
	sess, err := q.read(c.store)
	if err != nil {
		return db.Session{}, nil, err
	}
	user, err := c.user(sess.UserID)
	return sess, user, err
}

// keep keeps a session as it was read since the stamp, and runs do on its number, unless
// it was evicted meanwhile. One that is in memory already, since two read it at once or
// it was not believed, stays the only one, or removing it would leave the other; of both
// uses the later one counts.
func (c *Cache) keep(sess *db.Session, agent *db.Agent, s stamp, q query, do func(n uint32)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.sessions
	n, ok := t.byUUID.find(sess.UUID)
	if !ok && t.evictedSince(sess.UUID, s.evictions) {
		return false
	}
	if !ok {
		n = t.add(sess, agent)
	} else if at := sess.LastUsed.UnixMicro(); at > t.at(n).lastUsed { // another process wrote it
		t.setUse(n, at, origin{sess.IP, sess.Via, agent})
	}
	if q.token != nil {
		t.setToken(n, tokenKey(q.token[:16]))
	}
	if c.current(s) {
		t.at(n).read = c.generation
	}
	do(n)
	return true
}

// remove removes a session that has ended. The host that it reached last is kept for its
// history. c.mu is held.
func (c *Cache) remove(n uint32) {
	c.keepHost(n, false)
	c.sessions.remove(n)
}

// Session is the one with that UUID, or db.ErrNotFound. As all sessions that a Cache
// answers it has the latest use, whether that is written or not. Whether it has expired
// the caller judges.
func (c *Cache) Session(ctx context.Context, id uuid.UUID) (db.Session, error) {
	return c.session(ctx, query{uuid: id})
}

// SessionByToken is the session whose token has that hash.
func (c *Cache) SessionByToken(ctx context.Context, hash *[32]byte) (db.Session, error) {
	return c.session(ctx, query{token: hash})
}

func (c *Cache) session(ctx context.Context, q query) (sess db.Session, err error) {
	err = c.with(ctx, q, func(n uint32, user *db.User) {
		sess = c.sessions.session(n, user.Username)
		sess.Expires = c.Expires(sess.Ends, sess.LastUsed)
	})
	return sess, err
}

// Expires is the earlier of the absolute and the idle limit.
func (c *Cache) Expires(ends, lastUsed time.Time) time.Time {
	if c.idle > 0 && lastUsed.Add(c.idle).Before(ends) {
		return lastUsed.Add(c.idle)
	}
	return ends
}

// Sessions are what a filter chooses and how many there are in all. The filter itself
// looks at what is written.
func (c *Cache) Sessions(ctx context.Context, f db.SessionFilter) (page []db.Session, total int, err error) {
	for range 3 { // few are evicted, and lists do not wait for a quiet moment for ever
		c.mu.Lock()
		evictions := c.sessions.evictions
		c.mu.Unlock()
		if page, total, err = c.store.Sessions(ctx, f); err != nil {
			return nil, 0, err
		}
		if c.mergeAll(page, evictions) {
			break
		}
	}
	return page, total, nil
}

// mergeAll merges what memory holds into sessions that were read. It reports whether that
// is all there was: of one that was evicted since evictions was as given the latest use
// may be in neither.
func (c *Cache) mergeAll(page []db.Session, evictions uint64) (all bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all = true
	for i := range page {
		if !c.merge(&page[i]) && c.sessions.evictedSince(page[i].UUID, evictions) {
			all = false
		}
	}
	return all
}

// Show shows in a session that was read its latest use, which may not be written yet.
func (c *Cache) Show(sess *db.Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.merge(sess)
}

// merge shows in sess its latest use. It reports whether it is in memory. c.mu is held.
func (c *Cache) merge(sess *db.Session) bool {
	n, ok := c.sessions.byUUID.find(sess.UUID)
	if !ok || c.sessions.at(n).lastUsed < sess.LastUsed.UnixMicro() {
		return ok
	}
	from := c.sessions.origin(n)
	sess.LastUsed = time.UnixMicro(c.sessions.at(n).lastUsed).UTC()
	sess.IP, sess.Via, sess.Agent = from.ip, from.proxy, from.agent
	sess.Expires = c.Expires(sess.Ends, sess.LastUsed)
	return true
}

// Hosts are those that a session, living or ended, reached through the gate and that are
// written, the last first.
func (c *Cache) Hosts(ctx context.Context, id uuid.UUID) ([]db.Reach, error) {
	hosts, err := c.store.Reaches(ctx, id)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n, ok := c.sessions.byUUID.find(id)
	if !ok {
		return hosts, nil
	}
	name, ok := c.sessions.host(n)
	if i := slices.IndexFunc(hosts, func(r db.Reach) bool { return r.Host == name }); ok && i >= 0 {
		if last := time.UnixMicro(c.sessions.at(n).hostLast).UTC(); last.After(hosts[i].Last) {
			hosts[i].Last = last
		}
		slices.SortStableFunc(hosts, func(x, y db.Reach) int { return y.Last.Compare(x.Last) })
	}
	return hosts, nil
}
