package app

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"lastseen/app/useragent"
	"lastseen/db"

	"github.com/google/uuid"
)

// maxKnown bounds the sessions in the cache: with the maps to them, that many
// take about 25 MB.
const maxKnown = 1 << 17

// A cache holds what was read of sessions, users, API tokens and rules, so that
// a request needs no query. It is guarded by App.mu.
//
// Keys are hashes of tokens and keys, and the rows' names; there are at most
// maxKnown sessions, and when it is full any one goes for a new one. What it
// holds is believed only while Store.Epoch says that no other process wrote.
// This process drops what it changes, by forget and forgetAll, after the change
// and before it is answered; and what was read before a drop is not kept after
// it, by the generation.
type cache struct {
	epoch      uint64
	generation uint64
	blocks     []*[blockSize]knownSession // the maps' values number what is in them
	size       uint32
	unused     []uint32
	tokens     map[tokenKey]uint32
	uuids      map[uuid.UUID]uint32
	keys       map[[32]byte]db.Token
	users      map[int64]*db.User // with groups
	rules      gateRules          // nil until they are read

	// What many sessions share.
	agents   table[*db.Agent]
	origins  table[netip.Addr] // via
	methods  table[string]
	hosts    table[string]
	agentIDs map[int64]*db.Agent
	agentsBy map[string]*db.Agent // by what they are of
}

const (
	blockSize = 1024 // a slice would be twice as large while it grows
	maxKeys   = 1024
	maxUsers  = 1 << 15
	maxShared = 1 << 13 // in each table
)

// A table numbers values.
type table[T comparable] struct {
	values  []T
	numbers map[T]uint32
}

func (t *table[T]) number(v T) uint32 {
	n, ok := t.numbers[v]
	if !ok {
		if t.numbers == nil {
			t.numbers = map[T]uint32{}
		}
		n = uint32(len(t.values))
		t.values = append(t.values, v)
		t.numbers[v] = n
	}
	return n
}

// A tokenKey is half of a token's hash: 128 bits that nobody can choose.
type tokenKey [16]byte

// A knownSession is a db.Session in little space, and without pointers, so that
// the garbage collector passes over all of them.
type knownSession struct {
	key                     tokenKey // zero when it is not known
	uuid                    uuid.UUID
	ip                      [16]byte // as an IPv6 address
	id, userID              int64
	created, lastUsed, ends int64  // microseconds
	agent, via, method      uint32 // in the tables
	remember                bool

	host    uint32 // that it reached last: its number in the table and one, or 0
	minute  uint32 // in which that was noted to be written
	reached int64  // microseconds
}

func (c *cache) clear() {
	*c = cache{
		epoch: c.epoch, generation: c.generation + 1,
		tokens: map[tokenKey]uint32{}, uuids: map[uuid.UUID]uint32{},
		keys: map[[32]byte]db.Token{}, users: map[int64]*db.User{},
		agentIDs: map[int64]*db.Agent{}, agentsBy: map[string]*db.Agent{},
	}
}

// believe prepares the cache for a request that found this epoch in force.
func (c *cache) believe(epoch uint64) {
	if c.tokens == nil || c.epoch != epoch {
		c.clear()
		c.epoch = epoch
	}
}

// keepAgent remembers an agent, also by its row when that is known.
func (c *cache) keepAgent(id int64, agent *db.Agent) {
	if c.tokens == nil || len(c.agentsBy) >= maxShared || len(c.agentIDs) >= maxShared {
		c.clear()
	}
	if id != 0 {
		c.agentIDs[id] = agent
	}
	c.agentsBy[agent.String] = agent
}

// sharedAgent is the one copy of an agent for many sessions.
func (c *cache) sharedAgent(agent *db.Agent) *db.Agent {
	if shared := c.agentsBy[agent.String]; shared != nil && *shared == *agent {
		return shared
	}
	own := *agent
	c.keepAgent(0, &own)
	return &own
}

// session is a known one in full. a.mu is held.
func (c *cache) session(k *knownSession, username string) db.Session {
	return db.Session{
		ID: k.id, UUID: k.uuid, UserID: k.userID, Username: username, Agent: *c.agents.values[k.agent],
		IP: netip.AddrFrom16(k.ip).Unmap(), Via: c.origins.values[k.via], Method: c.methods.values[k.method], Remember: k.remember,
		Created: time.UnixMicro(k.created).UTC(), LastUsed: time.UnixMicro(k.lastUsed).UTC(), Ends: time.UnixMicro(k.ends).UTC(),
	}
}

// byUUID is the known session with that name, or nil; good until it is dropped.
func (c *cache) byUUID(id uuid.UUID) *knownSession {
	if n, ok := c.uuids[id]; ok {
		return c.at(n)
	}
	return nil
}

func (c *cache) at(n uint32) *knownSession { return &c.blocks[n/blockSize][n%blockSize] }

// keep remembers a session that was read from the store, with its token when it
// was read by that. One that is known already, since two read it at once, stays
// the only one, or dropping it would leave the other.
func (c *cache) keep(sess *db.Session, agent *db.Agent, key tokenKey) {
	if len(c.agents.values) >= maxShared || len(c.origins.values) >= maxShared || len(c.methods.values) >= maxShared {
		c.clear()
	}
	n, ok := c.uuids[sess.UUID]
	if !ok {
		if len(c.uuids) >= maxKnown {
			for _, any := range c.uuids {
				c.remove(any)
				break
			}
		}
		if last := len(c.unused) - 1; last >= 0 {
			n, c.unused = c.unused[last], c.unused[:last]
		} else {
			if n = c.size; n%blockSize == 0 {
				c.blocks = append(c.blocks, new([blockSize]knownSession))
			}
			c.size++
		}
		*c.at(n) = knownSession{
			uuid: sess.UUID, id: sess.ID, userID: sess.UserID, method: c.methods.number(sess.Method), remember: sess.Remember,
			created: sess.Created.UnixMicro(), ends: sess.Ends.UnixMicro(),
		}
		c.use(c.at(n), sess.LastUsed.UnixMicro(), &origin{sess.IP, sess.Via, agent})
		c.uuids[sess.UUID] = n
	}
	if key != (tokenKey{}) {
		c.at(n).key = key
		c.tokens[key] = n
	}
}

// use shows a use in a known session, which came from where it was when from is nil.
func (c *cache) use(k *knownSession, at int64, from *origin) {
	k.lastUsed = at
	if from != nil {
		k.ip, k.via, k.agent = from.ip.As16(), c.origins.number(from.via), c.agents.number(from.agent)
	}
}

// again notes that a session reached a host now, in microseconds. It reports
// whether that was noted to be written in the same minute.
func (c *cache) again(id uuid.UUID, host string, now int64) bool {
	if len(c.hosts.values) >= maxShared {
		c.clear()
	}
	k := c.byUUID(id)
	if k == nil {
		return false
	}
	number, ok := c.hosts.numbers[host]
	if !ok {
		number = c.hosts.number(strings.Clone(host)) // it is part of a request
	}
	minute := uint32(now / time.Minute.Microseconds())
	same := k.host == number+1 && k.minute == minute
	k.host, k.minute, k.reached = number+1, minute, now
	return same
}

// lastReach is the host that a session reached last, if that is known, and when.
func (c *cache) lastReach(id uuid.UUID) (host string, at int64, ok bool) {
	k := c.byUUID(id)
	if k == nil || k.host == 0 {
		return "", 0, false
	}
	return c.hosts.values[k.host-1], k.reached, true
}

func (c *cache) remove(n uint32) {
	k := c.at(n)
	delete(c.uuids, k.uuid)
	delete(c.tokens, k.key)
	c.unused = append(c.unused, n)
}

// forget drops a session that this process has ended.
func (a *App) forget(id uuid.UUID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cache.generation++
	if n, ok := a.cache.uuids[id]; ok {
		a.cache.remove(n)
	}
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
	epoch, generation, flushes uint64
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
	return stamp{epoch, a.cache.generation, a.flushes, settled}
}

// current reports whether nothing was dropped since. a.mu is held.
func (a *App) current(s stamp) bool {
	return s.settled && a.cache.epoch == s.epoch && a.cache.generation == s.generation
}

// known is a cached session with its user. a.mu is held.
func (a *App) known(n uint32, ok bool) (sess db.Session, user *db.User, found bool) {
	if !ok {
		return sess, nil, false
	}
	k := a.cache.at(n)
	if user = a.cache.users[k.userID]; user == nil {
		return sess, nil, false
	}
	sess = a.cache.session(k, user.Username)
	sess.Expires = a.expires(sess.Ends, sess.LastUsed)
	return sess, user, true
}

// sessionByToken is the session of a token with the uses that are not written
// yet, and its user with groups; from the cache where it may be believed.
// Whether it has expired the caller judges.
func (a *App) sessionByToken(ctx context.Context, token string) (db.Session, db.User, error) {
	hash := secretHash(token)
	key := tokenKey(hash[:])
	s := a.look()
	if s.settled {
		n, ok := a.cache.tokens[key]
		if sess, user, ok := a.known(n, ok); ok {
			a.mu.Unlock()
			return sess, *user, nil
		}
	}
	a.mu.Unlock()
	return a.readSession(ctx, s, key, func() (db.Session, error) { return a.store.SessionByToken(hash[:]) })
}

// sessionByUUID is the session with that public name likewise.
func (a *App) sessionByUUID(ctx context.Context, id uuid.UUID) (db.Session, error) {
	s := a.look()
	if s.settled {
		n, ok := a.cache.uuids[id]
		if sess, _, ok := a.known(n, ok); ok {
			a.mu.Unlock()
			return sess, nil
		}
	}
	a.mu.Unlock()
	sess, _, err := a.readSession(ctx, s, tokenKey{}, func() (db.Session, error) { return a.store.SessionByUUID(id) })
	return sess, err
}

// readSession reads a session, and what the cache lacks of its user and agent.
// When a flush begins or ends meanwhile it reads again: what the flush wrote may
// be neither in the row that was read nor among what is noted any more.
func (a *App) readSession(ctx context.Context, s stamp, key tokenKey, read func() (db.Session, error)) (sess db.Session, user db.User, err error) {
	if sess, err = read(); err != nil {
		return sess, user, err
	}
	known, err := a.user(sess.UserID)
	if err != nil {
		return sess, user, err
	}
	agent, err := a.agentByID(ctx, sess.AgentID)
	if err != nil {
		return sess, user, err
	}
	sess.Username, sess.Agent = known.Username, *agent
	a.mu.Lock()
	if a.flushes != s.flushes {
		a.mu.Unlock()
		s = a.look()
		a.mu.Unlock()
		return a.readSession(ctx, s, key, read)
	}
	defer a.mu.Unlock()
	if noted, _ := a.merge(&sess); noted != nil {
		agent = noted
	}
	if a.current(s) {
		a.cache.keep(&sess, agent, key)
	}
	return sess, *known, nil
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
	agent := a.cache.agentIDs[id]
	a.mu.Unlock()
	if agent != nil {
		return agent, nil
	}
	stored, err := a.store.Agent(ctx, id)
	if err != nil {
		return nil, err
	}
	if stored.Definitions != a.agents.Version() {
		stored = a.parseAgent(stored.String)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cache.keepAgent(id, &stored)
	return &stored, nil
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
	a.cache.keepAgent(0, &parsed)
	return &parsed
}

// tokenByKey is Store.TokenByKey, from the cache where it may be believed.
func (a *App) tokenByKey(ctx context.Context, key string) (db.Token, error) {
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
		return token, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current(s) {
		if len(a.cache.keys) >= maxKeys {
			clear(a.cache.keys)
		}
		a.cache.keys[hash] = token
	}
	return token, nil
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
