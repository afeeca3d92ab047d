package live

import (
	"context"
	"iter"
	"sync"
	"time"

	"lastseen/app/useragent"
	"lastseen/db"

	"github.com/google/uuid"
)

// A Store is what a Cache reads from and writes to. Its errors are db's.
type Store interface {
	// Epoch says whether what was read before may still be believed: as long as it
	// answers the same number and believable, nobody wrote but this process. A store that
	// many processes write to never says so; then each request reads.
	Epoch() (epoch uint64, believable bool)

	SessionByToken(hash []byte) (db.Session, error)
	SessionByUUID(id uuid.UUID) (db.Session, error)
	AppSession(ctx context.Context, hash []byte) (db.AppSession, error)
	CachedUser(id int64) (db.User, error)
	Agent(ctx context.Context, id int64) (*db.Agent, error)
	TokenByKey(ctx context.Context, hash []byte) (db.Token, error)
	Rules(ctx context.Context) ([]db.Rule, error)

	Sessions(ctx context.Context, f db.SessionFilter) (page []db.Session, total int, err error)
	Reaches(ctx context.Context, session uuid.UUID) ([]db.Reach, error)
	RecordUses(ctx context.Context, uses iter.Seq[db.Use], idle time.Duration) error
	RecordReaches(ctx context.Context, reaches iter.Seq2[db.SessionHost, db.Reach], limit int) error
}

// Options are what a Cache is made with.
type Options struct {
	Now    func() time.Time  // the clock, in the precision that is stored
	Idle   time.Duration     // how long a session lives unused; 0: until it ends
	Agents *useragent.Parser // what a User-Agent header says
	Bounds Bounds
}

// Bounds are how much is kept. A thing more than that takes the place of any other.
type Bounds struct {
	Sessions int // twice as many until what is not written of them has been
	Users    int
	Keys     int
	Apps     int // cookies that sessions have on hosts of apps
	Agents   int // also how many agents, proxies and hosts sessions share before unused ones are looked for
	Hosts    int // reached by sessions before their last one, and not written: there is a flush then, and at twice as many they are lost
}

// DefaultBounds fit a machine with some hundred megabytes to spare.
var DefaultBounds = Bounds{Sessions: 1 << 20, Users: 1 << 16, Keys: 1 << 10, Apps: 1 << 16, Agents: 1 << 13, Hosts: 1 << 17}

// A Cache is all of it. Its methods may be called concurrently, and hold no lock when
// they return, nor while they ask the store. What they answer others share: nobody may
// change it.
type Cache struct {
	store  Store
	shared Shared // the same, where it is one
	now    func() time.Time
	idle   time.Duration
	parser *useragent.Parser
	bounds Bounds

	mu         sync.Mutex // guards all below, but flushMu
	epoch      uint64     // the store's, in which all was read
	generation uint64     // counts what was invalidated

	sessions       *table
	users          map[int64]user
	keys           map[[32]byte]*db.Token
	apps           map[[32]byte]db.AppSession
	rules          Rules // nil until they are read
	rulesNumber    int64 // of a Shared store's
	agentsByID     map[int64]*db.Agent
	agentsByHeader map[string]*db.Agent

	unwritten []uint32 // sessions of which something is to be written; some may have ended
	reached   *reaches // hosts that sessions reached before their last one, to be written
	flushing  int      // how much is being written
	flushMu   sync.Mutex
	full      chan struct{}
}

// A user is one with groups, nil when they are to be read anew. Of their sessions those
// may be believed that were read in the generation since or later.
type user struct {
	user  *db.User
	since uint64
}

// New makes one that is empty.
func New(store Store, o Options) *Cache {
	c := &Cache{
		store: store, now: o.Now, idle: o.Idle, parser: o.Agents, bounds: o.Bounds,
		sessions:       newTable(o.Bounds),
		agentsByHeader: map[string]*db.Agent{},
		reached:        newReaches(o.Bounds.Hosts),
		full:           make(chan struct{}, 1),
	}
	c.shared, _ = store.(Shared)
	c.drop(WroteElsewhere, nil)
	return c
}

// A stamp says what was in force when something was asked, so that what is read after
// it is kept only if that still is.
type stamp struct {
	epoch, generation, evictions uint64
	believable                   bool
}

// stamp drops what another process may have changed. What is left may be believed if the
// stamp says so. c.mu is held.
func (c *Cache) stamp() stamp {
	epoch, believable := c.store.Epoch()
	if believable && epoch != c.epoch {
		c.epoch = epoch
		c.drop(WroteElsewhere, nil)
	}
	return stamp{epoch, c.generation, c.sessions.evictions, believable}
}

// current reports whether nothing was invalidated since. c.mu is held.
func (c *Cache) current(s stamp) bool {
	return s.believable && c.epoch == s.epoch && c.generation == s.generation
}

// cached answers what is kept where that may be believed, and otherwise reads it, and
// keeps it unless something was invalidated meanwhile. kept and keep run with c.mu held.
func cached[T any](c *Cache, kept func() (T, bool), read func() (T, error), keep func(T)) (T, error) {
	c.mu.Lock()
	s := c.stamp()
	v, ok := kept()
	c.mu.Unlock()
	if ok && s.believable {
		return v, nil
	}
	v, err := read()
	if err != nil {
		return v, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current(s) {
		keep(v)
	}
	return v, nil
}

// makeRoom removes any entry of a map that is full.
func makeRoom[K comparable, V any](m map[K]V, bound int) {
	if len(m) < bound {
		return
	}
	for any := range m {
		delete(m, any)
		return
	}
}

// Key is the API token of a key's hash, with its user and their groups, or
// db.ErrNotFound. Whether it has expired and the user is active the caller judges.
func (c *Cache) Key(ctx context.Context, hash [32]byte) (*db.Token, error) {
	if c.shared != nil {
		a, err := c.ask(ctx, db.Question{Key: hash[:]})
		if err != nil {
			return nil, err
		}
		return a.Token, nil
	}
	return cached(c,
		func() (*db.Token, bool) { t, ok := c.keys[hash]; return t, ok },
		func() (*db.Token, error) {
			hash := hash // escapes here alone
			t, err := c.store.TokenByKey(ctx, hash[:])
			return &t, err
		},
		func(t *db.Token) {
			makeRoom(c.keys, c.bounds.Keys)
			c.keys[hash] = t
		})
}

// app is what a session has on an app's host, of its token's hash, or db.ErrNotFound.
// Whether the session lives the caller looks up.
func (c *Cache) app(ctx context.Context, hash *[32]byte) (db.AppSession, error) {
	return cached(c,
		func() (db.AppSession, bool) { a, ok := c.apps[*hash]; return a, ok },
		func() (db.AppSession, error) {
			hash := *hash // escapes here alone
			return c.store.AppSession(ctx, hash[:])
		},
		func(a db.AppSession) {
			makeRoom(c.apps, c.bounds.Apps)
			c.apps[*hash] = a
		})
}

// Rules are those of the gate.
func (c *Cache) Rules(ctx context.Context) (Rules, error) {
	if c.shared != nil {
		return c.numberedRules(ctx)
	}
	return cached(c,
		func() (Rules, bool) { return c.rules, c.rules != nil },
		func() (Rules, error) {
			all, err := c.store.Rules(ctx)
			return NewRules(all), err
		},
		func(r Rules) { c.rules = r })
}

// user is one with groups.
func (c *Cache) user(id int64) (*db.User, error) {
	return cached(c,
		func() (*db.User, bool) { u := c.users[id].user; return u, u != nil },
		func() (*db.User, error) {
			u, err := c.store.CachedUser(id) // who signs in is read with the hash
			return &u, err
		},
		func(u *db.User) {
			since := c.users[id].since
			if since == 0 { // what was dropped before is not known
				makeRoom(c.users, c.bounds.Users)
				since = c.generation
			}
			c.users[id] = user{u, since}
		})
}
