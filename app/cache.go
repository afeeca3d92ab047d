package app

import (
	"context"
	"errors"
	"fmt"

	"lastseen/app/useragent"
	"lastseen/db"

	"github.com/google/uuid"
)

// A cache holds what was read of sessions, users, API tokens and rules, so that
// a request needs no query. It is guarded by App.mu.
//
// Keys are hashes of tokens and keys, and the rows' names; bounds are maxKnown,
// maxUsers and maxKeys, and when one is full any entry goes for a new one. What it
// holds is believed only while Store.Epoch says that no other process wrote.
// This process drops what it changes, by forget and forgetAll, after the change
// and before it is answered; and what was read before a drop is not kept after
// it, by the generation. Sessions that are not believed stay, since they hold
// uses that are not written yet, and are read anew.
type cache struct {
	epoch      uint64
	generation uint64
	reading    uint32 // sessions that were read in it are believed
	sessions   *known
	keys       map[[32]byte]*db.Token
	users      map[int64]*db.User // with groups
	rules      gateRules          // nil until they are read

	agentIDs map[int64]*db.Agent
	agentsBy map[string]*db.Agent // by what they are of
}

const (
	maxKeys   = 1024
	maxUsers  = 1 << 16
	maxAgents = 1 << 13 // by either name
)

func newCache() cache {
	c := cache{sessions: newKnown(), agentsBy: map[string]*db.Agent{}}
	c.clear()
	return c
}

// clear makes nothing be believed any more.
func (c *cache) clear() {
	c.generation++
	c.reading++
	c.keys, c.users, c.rules = map[[32]byte]*db.Token{}, map[int64]*db.User{}, nil
	c.agentIDs = map[int64]*db.Agent{} // they may be given anew
}

// believe prepares the cache for a request that found this epoch in force.
func (c *cache) believe(epoch uint64) {
	if c.epoch != epoch {
		c.clear()
		c.epoch = epoch
	}
}

// keepAgent remembers an agent, also by its row when that is known, and returns the
// one that all sessions share.
func (c *cache) keepAgent(id int64, agent *db.Agent) *db.Agent {
	if shared := c.agentsBy[agent.String]; shared != nil && *shared == *agent {
		agent = shared
	} else {
		agent = compact(*agent)
	}
	if len(c.agentsBy) >= maxAgents {
		clear(c.agentsBy)
	}
	if len(c.agentIDs) >= maxAgents {
		clear(c.agentIDs)
	}
	if id != 0 {
		c.agentIDs[id] = agent
	}
	c.agentsBy[agent.String] = agent
	return agent
}

// compact is an agent whose parts are in one place, in the order in which they are shown:
// one object for the garbage collector, and quicker to read.
func compact(a db.Agent) *db.Agent {
	parts := [...]*string{&a.DeviceBrand, &a.Device, &a.DeviceModel, &a.OS, &a.OSMajor, &a.OSMinor, &a.OSPatch, &a.OSPatchMinor,
		&a.Browser, &a.BrowserMajor, &a.BrowserMinor, &a.BrowserPatch, &a.String, &a.Kind}
	var all []byte
	for _, part := range parts {
		all = append(all, *part...)
	}
	rest := string(all)
	for _, part := range parts {
		*part, rest = rest[:len(*part)], rest[len(*part):]
	}
	return &a
}

// user is the user of a known session, if both may be believed.
func (c *cache) user(n uint32) *db.User {
	if s := c.sessions.at(n); s.read == c.reading {
		return c.users[s.userID]
	}
	return nil
}

// keep remembers a session that was read from the store, by its token too when it
// was read by that, and returns its number. One that is known already, since two
// read it at once or it was not believed, stays the only one, or dropping it
// would leave the other; of both uses the later one counts.
func (c *cache) keep(sess *db.Session, agent *db.Agent, key tokenKey, current bool) uint32 {
	n, ok := c.sessions.byUUID.find(sess.UUID)
	if !ok {
		n = c.sessions.add(sess, agent)
	} else if at := sess.LastUsed.UnixMicro(); at > c.sessions.at(n).lastUsed { // another process wrote it
		c.sessions.use(n, at, origin{sess.IP, sess.Via, agent})
	}
	if key != (tokenKey{}) {
		c.sessions.name(n, key)
	}
	if current {
		c.sessions.at(n).read = c.reading
	}
	return n
}

// forget drops a session that this process has ended, or has tried to: then it is
// read anew, and holds what is not written of it.
func (a *App) forget(id uuid.UUID, ended bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cache.generation++
	if n, ok := a.cache.sessions.byUUID.find(id); ok {
		if a.cache.sessions.at(n).read = 0; ended {
			a.drop(n)
		}
	}
}

// drop makes a session that has ended unknown. The host that it reached last is kept
// for its history. a.mu is held.
func (a *App) drop(n uint32) {
	a.keepReach(n, false)
	a.cache.sessions.remove(n)
}

// forgetAll drops everything: users, tokens or rules have changed.
func (a *App) forgetAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cache.clear()
}

// forgetUser drops a user whose row has changed in what no decision rests on.
func (a *App) forgetUser(id int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cache.generation++
	delete(a.cache.users, id)
}

// A stamp says what was in force when something was asked of the cache, so
// that what is read then is kept only if it still is. a.mu is held.
type stamp struct {
	epoch, generation, evicted uint64
	settled                    bool
}

// look takes a.mu and prepares the cache for reading. Its entries may be
// believed only if the stamp is settled.
func (a *App) look() stamp {
	epoch, settled := a.store.Epoch()
	a.mu.Lock()
	if settled {
		a.cache.believe(epoch)
	}
	return stamp{epoch, a.cache.generation, a.cache.sessions.evicted, settled}
}

// current reports whether nothing was dropped since. a.mu is held.
func (a *App) current(s stamp) bool {
	return s.settled && a.cache.epoch == s.epoch && a.cache.generation == s.generation
}

// findByToken finds the session of a token's hash, with its user and their groups;
// in the cache where that may be believed. Without an error it returns the number
// of the known session and holds a.mu, for as long as that is good. Whether the
// session has expired and the user is active the caller judges.
func (a *App) findByToken(ctx context.Context, hash *[32]byte) (n uint32, user *db.User, err error) {
	key := tokenKey(hash[:])
	s := a.look()
	n, ok := a.cache.sessions.byKey.find(key)
	if ok && s.settled {
		if user = a.cache.user(n); user != nil {
			return n, user, nil
		}
	}
	a.mu.Unlock()
	n, user, err = a.readSession(ctx, s, key, func() (db.Session, error) { return a.store.SessionByToken(hash[:]) })
	if ok && errors.Is(err, db.ErrNotFound) { // it has ended
		a.mu.Lock()
		defer a.mu.Unlock()
		if n, ok := a.cache.sessions.byKey.find(key); ok {
			a.drop(n)
		}
	}
	return n, user, err
}

// SessionByToken is the session of a token with the uses that are not written yet.
// Whether it has expired the caller judges.
func (a *App) SessionByToken(ctx context.Context, token string) (db.Session, error) {
	hash := secretHash(token)
	n, user, err := a.findByToken(ctx, &hash)
	if err != nil {
		return db.Session{}, err
	}
	defer a.mu.Unlock()
	return a.session(n, user), nil
}

// sessionByUUID is the session with that public name likewise.
func (a *App) sessionByUUID(ctx context.Context, id uuid.UUID) (db.Session, error) {
	s := a.look()
	if n, ok := a.cache.sessions.byUUID.find(id); ok && s.settled {
		if user := a.cache.user(n); user != nil {
			defer a.mu.Unlock()
			return a.session(n, user), nil
		}
	}
	a.mu.Unlock()
	n, user, err := a.readSession(ctx, s, tokenKey{}, func() (db.Session, error) { return a.store.SessionByUUID(id) })
	if err != nil {
		return db.Session{}, err
	}
	defer a.mu.Unlock()
	return a.session(n, user), nil
}

// session is a known one in full. a.mu is held.
func (a *App) session(n uint32, user *db.User) db.Session {
	sess := a.cache.sessions.session(n, user.Username)
	sess.Expires = a.expires(sess.Ends, sess.LastUsed)
	return sess
}

// readSession reads a session, and what the cache lacks of its user and agent,
// and makes it known; without an error it holds a.mu. It reads again when the session
// was dropped for want of room meanwhile, since the row may be older than what was
// written of it, and when its user or agent was gone, since it has ended then, or has
// another agent.
func (a *App) readSession(ctx context.Context, s stamp, key tokenKey, read func() (db.Session, error)) (n uint32, user *db.User, err error) {
	for gone := 0; ; {
		sess, err := read()
		if err != nil {
			return 0, nil, err
		}
		user, err := a.user(sess.UserID)
		var agent *db.Agent
		if err == nil {
			agent, err = a.agentByID(ctx, sess.AgentID)
		}
		if err != nil && !errors.Is(err, db.ErrNotFound) {
			return 0, nil, err
		}
		a.mu.Lock()
		_, known := a.cache.sessions.byUUID.find(sess.UUID)
		if err == nil && (known || !a.cache.sessions.evictedSince(sess.UUID, s.evicted)) {
			return a.cache.keep(&sess, agent, key, a.current(s)), user, nil
		}
		a.mu.Unlock()
		if err != nil {
			if gone++; gone == 3 {
				return 0, nil, fmt.Errorf("session %s names user %d and agent %d, of which one is not there", sess.UUID, sess.UserID, sess.AgentID)
			}
		}
		if err := ctx.Err(); err != nil {
			return 0, nil, err
		}
		s = a.look()
		a.mu.Unlock()
	}
}

// user is Store.KnownUser, from the cache where it may be believed. Nobody may
// change it.
func (a *App) user(id int64) (*db.User, error) {
	s := a.look()
	if s.settled {
		if user := a.cache.users[id]; user != nil {
			a.mu.Unlock()
			return user, nil
		}
	}
	a.mu.Unlock()
	user, err := a.store.KnownUser(id) // who signs in is read with the hash
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current(s) {
		if len(a.cache.users) >= maxUsers {
			for any := range a.cache.users {
				delete(a.cache.users, any)
				break
			}
		}
		a.cache.users[id] = &user
	}
	return &user, nil
}

// agentByID is Store.Agent, from the cache. Nobody may change it.
func (a *App) agentByID(ctx context.Context, id int64) (*db.Agent, error) {
	a.mu.Lock()
	agent, generation := a.cache.agentIDs[id], a.cache.generation
	a.mu.Unlock()
	if agent != nil {
		return agent, nil
	}
	stored, err := a.store.Agent(ctx, id)
	if err != nil {
		return nil, err
	}
	if stored.Definitions == a.agents.Version() {
		stored.Definitions = a.agents.Version() // the one string that all share
	} else {
		stored = a.parseAgent(stored.String)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cache.generation != generation { // the ID may be another's by now
		id = 0
	}
	return a.cache.keepAgent(id, stored), nil
}

// agent is what the definitions say of a User-Agent header, parsed once for
// many requests. Nobody may change it.
func (a *App) agent(header string) *db.Agent {
	clean := useragent.Clean(header)
	a.mu.Lock()
	agent := a.cache.agentsBy[clean]
	a.mu.Unlock()
	if agent != nil {
		return agent
	}
	parsed := a.parseAgent(clean)
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cache.keepAgent(0, parsed)
}

// tokenByKey is Store.TokenByKey, from the cache where it may be believed. Nobody may
// change it.
func (a *App) tokenByKey(ctx context.Context, key string) (*db.Token, error) {
	hash := secretHash(key)
	s := a.look()
	if s.settled {
		if token, ok := a.cache.keys[hash]; ok {
			a.mu.Unlock()
			return token, nil
		}
	}
	a.mu.Unlock()
	token, err := a.store.TokenByKey(ctx, hash[:])
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current(s) {
		if len(a.cache.keys) >= maxKeys {
			clear(a.cache.keys)
		}
		a.cache.keys[hash] = &token
	}
	return &token, nil
}

// gateRules is Store.Rules, from the cache where it may be believed.
func (a *App) gateRules(ctx context.Context) (gateRules, error) {
	s := a.look()
	if s.settled && a.cache.rules != nil {
		rules := a.cache.rules
		a.mu.Unlock()
		return rules, nil
	}
	a.mu.Unlock()
	all, err := a.store.Rules(ctx)
	if err != nil {
		return nil, err
	}
	rules := newGateRules(all)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current(s) {
		a.cache.rules = rules
	}
	return rules, nil
}
