package app

import (
	"context"
	"net/netip"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

// maxKnown bounds the cache: with the maps around them, that many sessions take
// about 40 MB.
const maxKnown = 1 << 17

// A cache holds what was read of sessions and API tokens, so that a request
// that says who it is needs no query. It is guarded by App.mu.
//
// Keys are hashes of tokens and keys, and uuids; there are at most maxKnown
// sessions, and when it is full it begins anew. What it holds is believed only
// while Store.Epoch says that no other process wrote. This process drops what it
// changes, by forget and forgetAll, after the change and before it is answered;
// and what was read before a drop is not kept after it, by the generation.
type cache struct {
	epoch      uint64
	generation uint64
	tokens     map[[32]byte]*knownSession
	uuids      map[uuid.UUID]*knownSession
	keys       map[[32]byte]db.Token
	users      map[int64]*db.User   // shared by their sessions
	agents     map[string]*db.Agent // likewise
}

// A knownSession is a db.Session in little space.
type knownSession struct {
	hash                    [32]byte // of the token; zero when it is not known
	uuid                    uuid.UUID
	id                      int64
	userID                  int64
	username                string
	user                    *db.User // nil when it was read by uuid alone
	agent                   *db.Agent
	ip, via                 netip.Addr
	method                  string
	remember                bool
	created, lastUsed, ends int64 // microseconds
}

func (c *cache) clear() {
	c.generation++
	c.tokens = map[[32]byte]*knownSession{}
	c.uuids = map[uuid.UUID]*knownSession{}
	c.keys = map[[32]byte]db.Token{}
	c.users = map[int64]*db.User{}
	c.agents = map[string]*db.Agent{}
}

// at prepares the cache for a request that found this epoch in force.
func (c *cache) at(epoch uint64) {
	if c.tokens == nil || c.epoch != epoch {
		c.clear()
		c.epoch = epoch
	}
}

// agent is the one copy of an agent that its sessions share.
func (c *cache) agent(a *db.Agent) *db.Agent {
	if shared := c.agents[a.String]; shared != nil && *shared == *a {
		return shared
	}
	own := *a
	c.agents[a.String] = &own
	return &own
}

func (c *cache) user(u *db.User) *db.User {
	if shared := c.users[u.ID]; shared != nil {
		return shared
	}
	own := *u
	c.users[u.ID] = &own
	return &own
}

func (k *knownSession) session() db.Session {
	return db.Session{
		ID: k.id, UUID: k.uuid, UserID: k.userID, Username: k.username, Agent: *k.agent, IP: k.ip, Via: k.via,
		Method: k.method, Remember: k.remember, Created: time.UnixMicro(k.created).UTC(),
		LastUsed: time.UnixMicro(k.lastUsed).UTC(), Ends: time.UnixMicro(k.ends).UTC(),
	}
}

// keep remembers a session that was read from the store. user and hash are
// given when it was read by its token. One that is known already, since two
// read it at once, stays the only one, or dropping it would leave the other.
func (c *cache) keep(sess *db.Session, user *db.User, hash [32]byte) {
	if len(c.uuids) >= maxKnown || len(c.agents) >= maxKnown {
		c.clear()
	}
	k := c.uuids[sess.UUID]
	if k == nil {
		k = &knownSession{
			uuid: sess.UUID, id: sess.ID, userID: sess.UserID, username: sess.Username, agent: c.agent(&sess.Agent),
			ip: sess.IP, via: sess.Via, method: sess.Method, remember: sess.Remember,
			created: sess.Created.UnixMicro(), lastUsed: sess.LastUsed.UnixMicro(), ends: sess.Ends.UnixMicro(),
		}
		c.uuids[sess.UUID] = k
	}
	if user != nil {
		k.hash, k.user = hash, c.user(user)
		k.username = k.user.Username
		c.tokens[hash] = k
	}
}

func (c *cache) drop(id uuid.UUID) {
	c.generation++
	if k := c.uuids[id]; k != nil {
		delete(c.uuids, id)
		delete(c.tokens, k.hash)
	}
}

// forget drops a session that this process has ended.
func (a *App) forget(id uuid.UUID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cache.drop(id)
}

// forgetAll drops everything: users or tokens have changed.
func (a *App) forgetAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cache.clear()
}

// sessionByToken is Store.SessionByToken with the uses that are not written yet,
// from the cache where it may be believed. Expires is not yet looked at.
//
// When a flush begins while the row is read, the row is read again: what the
// flush before it wrote may be neither in the row nor among the flushed any more.
func (a *App) sessionByToken(ctx context.Context, token string) (sess db.Session, user db.User, err error) {
	hash := secretHash(token)
	epoch, settled := a.store.Epoch()
	a.mu.Lock()
	if settled {
		a.cache.at(epoch)
		if k := a.cache.tokens[hash]; k != nil {
			sess, user = k.session(), *k.user
			a.mu.Unlock()
			sess.Expires = a.expires(sess.Ends, sess.LastUsed)
			return sess, user, nil
		}
	}
	generation, flushes := a.cache.generation, a.flushes
	a.mu.Unlock()
	sess, user, err = a.store.SessionByToken(ctx, hash[:])
	if err != nil {
		return sess, user, err
	}
	a.mu.Lock()
	if a.flushes != flushes {
		a.mu.Unlock()
		return a.sessionByToken(ctx, token)
	}
	defer a.mu.Unlock()
	a.merge(&sess)
	if settled && a.cache.epoch == epoch && a.cache.generation == generation {
		a.cache.keep(&sess, &user, hash)
	}
	return sess, user, nil
}

// sessionByUUID is Store.Session likewise.
func (a *App) sessionByUUID(ctx context.Context, id uuid.UUID) (sess db.Session, err error) {
	epoch, settled := a.store.Epoch()
	a.mu.Lock()
	if settled {
		a.cache.at(epoch)
		if k := a.cache.uuids[id]; k != nil {
			sess = k.session()
			a.mu.Unlock()
			sess.Expires = a.expires(sess.Ends, sess.LastUsed)
			return sess, nil
		}
	}
	generation, flushes := a.cache.generation, a.flushes
	a.mu.Unlock()
	sess, err = a.store.Session(ctx, id)
	if err != nil {
		return sess, err
	}
	a.mu.Lock()
	if a.flushes != flushes {
		a.mu.Unlock()
		return a.sessionByUUID(ctx, id)
	}
	defer a.mu.Unlock()
	a.merge(&sess)
	if settled && a.cache.epoch == epoch && a.cache.generation == generation {
		a.cache.keep(&sess, nil, [32]byte{})
	}
	return sess, nil
}

// tokenByKey is Store.TokenByKey, from the cache where it may be believed.
func (a *App) tokenByKey(ctx context.Context, key string) (token db.Token, err error) {
	hash := secretHash(key)
	epoch, settled := a.store.Epoch()
	var generation uint64
	if settled {
		a.mu.Lock()
		a.cache.at(epoch)
		token, ok := a.cache.keys[hash]
		generation = a.cache.generation
		a.mu.Unlock()
		if ok {
			return token, nil
		}
	}
	token, err = a.store.TokenByKey(ctx, hash[:])
	if err != nil {
		return token, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if settled && a.cache.epoch == epoch && a.cache.generation == generation {
		if len(a.cache.keys) >= 1024 {
			clear(a.cache.keys)
		}
		a.cache.keys[hash] = token
	}
	return token, nil
}
