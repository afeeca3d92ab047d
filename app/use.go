package app

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

// An origin is where a session was used from.
type origin struct {
	ip, via netip.Addr
	agent   *db.Agent
}

// enter finds the session of the first token that lives, of a user that is
// active, and notes that it was used now: otherwise it is ErrUnauthenticated.
// Without an error it returns the number of the known session, and holds a.mu, for
// as long as that is good.
func (a *App) enter(ctx context.Context, tokens []string, client Client) (n uint32, user *db.User, err error) {
	for _, token := range tokens {
		hash := secretHash(token)
		var agent *db.Agent
		for {
			n, user, err = a.findByToken(ctx, &hash)
			if errors.Is(err, db.ErrNotFound) {
				break
			}
			if err != nil {
				return 0, nil, err
			}
			told := !client.Relayed || client.Agent != ""
			if agent == nil && told && client.Agent != a.cache.sessions.origin(n).agent.String {
				a.mu.Unlock()
				agent = a.agent(client.Agent) // which may take a while, and a.mu
				continue
			}
			if user.Active && a.touch(n, client, agent) {
				return n, user, nil
			}
			a.mu.Unlock()
			break
		}
	}
	return 0, nil, ErrUnauthenticated
}

// touch notes that a known session was used now, with this agent if it is not the
// one that it has, unless it has expired: then it reports false. a.mu is held.
func (a *App) touch(n uint32, client Client, agent *db.Agent) bool {
	k := a.cache.sessions
	s := k.at(n)
	now := a.now()
	if !a.expires(time.UnixMicro(s.ends), time.UnixMicro(s.lastUsed)).After(now) {
		return false
	}
	at := max(now.UnixMicro(), s.lastUsed)
	last := k.origin(n)
	from := origin{client.IP, client.Via, cmp.Or(agent, last.agent)}
	if client.Relayed && !from.ip.IsValid() {
		from.ip, from.via = last.ip, last.via
	}
	if from == last {
		s.lastUsed = at
		a.note(n, used)
		return true
	}
	k.use(n, at, from)
	a.note(n, used|moved)
	return true
}

// note says that something of a known session is to be written. a.mu is held.
func (a *App) note(n uint32, what state) {
	s := a.cache.sessions.at(n)
	if s.state&(used|went) == 0 {
		if a.noted = append(a.noted, n); len(a.noted) == maxKnown {
			a.flushSoon()
		}
	}
	s.state |= what
}

// merge shows in sess what is known of its last use, and may not be written yet. It
// reports whether the session is known. a.mu is held.
func (a *App) merge(sess *db.Session) bool {
	k := a.cache.sessions
	n, ok := k.byUUID.find(sess.UUID)
	if !ok || k.at(n).lastUsed < sess.LastUsed.UnixMicro() {
		return ok
	}
	from := k.origin(n)
	sess.LastUsed = time.UnixMicro(k.at(n).lastUsed).UTC()
	sess.IP, sess.Via, sess.Agent = from.ip, from.via, from.agent
	sess.Expires = a.expires(sess.Ends, sess.LastUsed)
	return true
}

// maxReaches is how many hosts may wait to be written, beside those that the known
// sessions reached last, until there is a flush; twice as many are noted at most.
var maxReaches = 1 << 17 // a test makes it smaller

// reaches are hosts that sessions reached, without pointers to each.
type reaches struct {
	hosts table[string]
	times map[sessionHost]reach
}

// A sessionHost is a host, by its number, of a session.
type sessionHost struct {
	session uuid.UUID
	host    uint32
}

// A reach is when a session reached a host, in microseconds.
type reach struct{ first, last int64 }

func newReaches() *reaches { return &reaches{times: map[sessionHost]reach{}} }

// add notes a reach, if there is room.
func (r *reaches) add(session uuid.UUID, host string, at reach) {
	number, ok := r.hosts.numbers[host]
	if !ok && len(r.times) >= 2*maxReaches {
		return
	} else if !ok {
		number = r.hosts.number(host)
	}
	key := sessionHost{session, number}
	if noted, ok := r.times[key]; ok {
		at = reach{min(noted.first, at.first), max(noted.last, at.last)}
	} else if len(r.times) >= 2*maxReaches { // they cannot be written
		return
	}
	r.times[key] = at
}

// reach notes that a known session reached a host now. What goes on reaching the
// same host is written once in a minute. a.mu is held.
func (a *App) reach(n uint32, host string) {
	k, now := a.cache.sessions, a.now().UnixMicro()
	if len(k.hosts.values) >= k.tidyAt {
		k.tidy(n)
	}
	number, ok := k.hosts.numbers[host]
	if !ok {
		number = k.hosts.number(strings.Clone(host)) // it is part of a request
	}
	s := k.at(n)
	same := s.host == number+1
	if !same {
		a.keepReach(n, false)
	}
	if !same || s.state&(went|writing) == 0 {
		s.since = now
	}
	if !same || s.state&went == 0 && now/minute != s.reached/minute {
		s.host = number + 1
		a.note(n, went)
	}
	s.reached = now
}

var minute = time.Minute.Microseconds()

// keepReach notes the host that a known session reached last for good, since another
// one takes its place or the session ends: if it is not written yet, or, as it is once
// a minute, not for the last time. a.mu is held.
func (a *App) keepReach(n uint32, last bool) {
	k := a.cache.sessions
	s := k.at(n)
	if s.host == 0 || !last && s.state&(went|writing) == 0 {
		return
	}
	before := len(a.reached.times)
	a.reached.add(s.uuid, k.hosts.values[s.host-1], reach{s.since, s.reached})
	if before < maxReaches && len(a.reached.times) >= maxReaches {
		a.flushSoon()
	}
}

// flushSoon asks the loop for a flush.
func (a *App) flushSoon() {
	select {
	case a.full <- struct{}{}:
	default: // it was asked
	}
}

// A pending is what a flush writes of a known session.
type pending struct {
	uuid  uuid.UUID
	id    int64
	n     uint32
	state state
}

// flush writes the noted uses and hosts. What it could not write it keeps for
// the next time.
func (a *App) flush(ctx context.Context) error {
	a.flushMu.Lock()
	defer a.flushMu.Unlock()
	all, reached := a.takeNoted()
	if len(all) == 0 && len(reached.times) == 0 { // what was noted has ended, if anything was
		a.mu.Lock()
		defer a.mu.Unlock()
		a.flushing = 0
		return nil
	}
	// In the order of the tables: what lies together is written together.
	slices.SortFunc(all, func(x, y pending) int { return cmp.Compare(x.id, y.id) })
	usesErr := a.flushUses(ctx, all)
	slices.SortFunc(all, func(x, y pending) int { return bytes.Compare(x.uuid[:], y.uuid[:]) })
	reachesErr := a.flushReaches(ctx, all, reached)

	again := state(0)
	if usesErr != nil {
		again |= used | moved
	}
	if reachesErr != nil {
		again |= went
	}
	for chunk := range slices.Chunk(all, 1000) { // others want a.mu, too
		a.mu.Lock()
		for _, p := range chunk {
			if s := a.cache.sessions.at(p.n); s.uuid == p.uuid {
				s.state &^= writing
				if what := p.state & again; what != 0 {
					a.note(p.n, what)
				}
			}
		}
		a.mu.Unlock()
	}
	for more := true; more; {
		a.mu.Lock()
		surplus := a.cache.sessions.byUUID.count - maxKnown
		for range min(surplus, 1000) {
			a.cache.sessions.evict()
		}
		more = surplus > 1000 && a.cache.sessions.byUUID.count < maxKnown+surplus // or none can go
		a.mu.Unlock()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.flushing = 0
	if reachesErr != nil {
		for at, r := range a.reached.times { // which are fewer
			reached.add(at.session, a.reached.hosts.values[at.host], r)
		}
		a.reached = reached
	}
	return errors.Join(usesErr, reachesErr)
}

// takeNoted takes what is noted. From here it is noted anew, and what is being
// written keeps its place in memory.
func (a *App) takeNoted() ([]pending, *reaches) {
	a.mu.Lock()
	noted, reached := a.noted, a.reached
	a.noted, a.reached = nil, newReaches()
	a.flushing = len(noted) + len(reached.times)
	a.mu.Unlock()
	all := make([]pending, 0, len(noted))
	for chunk := range slices.Chunk(noted, 1000) {
		a.mu.Lock()
		for _, n := range chunk {
			// A session that ended is no more, and its number may be another's.
			if s := a.cache.sessions.at(n); s.state&(used|went) != 0 {
				all = append(all, pending{s.uuid, s.id, n, s.state})
				s.state = writing
			}
		}
		a.mu.Unlock()
	}
	return all, reached
}

func (a *App) flushUses(ctx context.Context, all []pending) error {
	return a.store.RecordUses(ctx, func(yield func(db.Use) bool) {
		for _, p := range all {
			a.mu.Lock()
			use, ok := a.notedUse(p)
			a.mu.Unlock()
			if ok && !yield(use) {
				return
			}
		}
	}, a.Config.SessionIdle)
}

// notedUse is a use as the store writes it, unless there is none or the session has
// ended. a.mu is held.
func (a *App) notedUse(p pending) (use db.Use, ok bool) {
	k := a.cache.sessions
	s := k.at(p.n)
	if p.state&used == 0 || s.uuid != p.uuid {
		return use, false
	}
	use = db.Use{Session: p.id, UUID: p.uuid, At: time.UnixMicro(s.lastUsed).UTC()}
	if p.state&moved != 0 {
		from := k.origin(p.n)
		use.IP, use.Via, use.Agent = from.ip, from.via, from.agent
	}
	return use, true
}

// maxHosts is how many hosts are kept of a session: those that it reached last.
const maxHosts = 50

func (a *App) flushReaches(ctx context.Context, all []pending, reached *reaches) error {
	return a.store.RecordReaches(ctx, func(yield func(db.SessionHost, db.Reach) bool) {
		write := func(session uuid.UUID, host string, at reach) bool {
			return yield(db.SessionHost{Session: session, Host: host},
				db.Reach{Host: host, First: time.UnixMicro(at.first).UTC(), Last: time.UnixMicro(at.last).UTC()})
		}
		for _, at := range slices.SortedFunc(maps.Keys(reached.times), func(x, y sessionHost) int { return bytes.Compare(x.session[:], y.session[:]) }) {
			if !write(at.session, reached.hosts.values[at.host], reached.times[at]) {
				return
			}
		}
		for _, p := range all {
			if host, at, ok := a.notedReach(p); ok && !write(p.uuid, host, at) {
				return
			}
		}
	}, maxHosts)
}

// notedReach is a session's last reach, unless the session has ended.
func (a *App) notedReach(p pending) (host string, at reach, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.cache.sessions.at(p.n)
	if p.state&went == 0 || s.uuid != p.uuid {
		return "", at, false
	}
	return a.cache.sessions.hosts.values[s.host-1], reach{s.since, s.reached}, true
}

// lastUse is what is noted of a session that is about to end, for what history keeps of
// it; without a time when nothing is.
func (a *App) lastUse(id uuid.UUID) db.Use {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n, ok := a.cache.sessions.byUUID.find(id); ok {
		a.keepReach(n, true)
		if use, ok := a.notedUse(a.endsSoon(n)); ok {
			return use
		}
	}
	return db.Use{UUID: id}
}

// flushUsers writes what is noted of the sessions of users, of everybody when users is
// nil, before they end.
func (a *App) flushUsers(ctx context.Context, users []int64) {
	theirs := map[int64]bool{}
	for _, id := range users {
		theirs[id] = true
	}
	var all []pending
	for n, size := uint32(0), uint32(1); n < size; {
		a.mu.Lock()
		size = a.cache.sessions.size
		for end := min(n+1000, size); n < end; n++ { // others want a.mu, too
			if users == nil || theirs[a.cache.sessions.at(n).userID] {
				a.keepReach(n, users != nil)
				if p := a.endsSoon(n); p.state&used != 0 {
					all = append(all, p)
				}
			}
		}
		a.mu.Unlock()
	}
	if len(all) == 0 {
		return
	}
	slices.SortFunc(all, func(x, y pending) int { return cmp.Compare(x.id, y.id) })
	if err := a.flushUses(ctx, all); err != nil {
		a.Log.Error("write session uses", "err", err)
	}
}

// endsSoon is what is to be written of a known session before it ends; what is being
// written may or may not be. Hosts are written of one that has ended, too. a.mu is held.
func (a *App) endsSoon(n uint32) pending {
	s := a.cache.sessions.at(n)
	p := pending{s.uuid, s.id, n, s.state}
	if p.state&writing != 0 {
		p.state |= used | moved
	}
	return p
}

// flushIfQuick is a flush unless that would take long. Then filters and
// orderings see what was written last, and whoever reads shows each session as
// it is all the same.
func (a *App) flushIfQuick(ctx context.Context) (flushed bool) {
	a.mu.Lock()
	waiting := len(a.noted) + len(a.reached.times) + a.flushing
	a.mu.Unlock()
	if waiting > 2000 {
		return false
	}
	if err := a.flush(ctx); err != nil {
		a.Log.Error("write session uses", "err", err)
		return false
	}
	return true
}
