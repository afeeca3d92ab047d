package live

import (
	"cmp"
	"context"
	"net/netip"
	"strings"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

// A Client is where a request comes from.
type Client struct {
	IP    netip.Addr
	Via   netip.Addr // the trusted proxy that reported IP; invalid when it was the peer itself
	Agent string     // the User-Agent header as it came
	// Relayed says that a proxy described the request to the gate: an IP or
	// Agent that is missing was not told, and stays what it was.
	Relayed bool
	Device  string // the token of the device's cookie, of who signs in
	Brought bool   // that the browser brought, or else it was made for it
	Trust   bool   // they want no second factor to be asked for on the device, for a time
}

// Touch finds the session whose token has that hash, and notes that a client used it now.
// One that has expired, or whose user is not active, is db.ErrNotFound too.
func (c *Cache) Touch(ctx context.Context, hash *[32]byte, client Client) (*db.User, uuid.UUID, error) {
	return c.touchBy(ctx, query{token: hash}, client)
}

// TouchApp is Touch for the token that a session has on this host, and no other one.
func (c *Cache) TouchApp(ctx context.Context, hash *[32]byte, host string, client Client) (*db.User, uuid.UUID, error) {
	if c.shared != nil {
		return c.touchBy(ctx, query{app: hash, host: host}, client)
	}
	on, err := c.app(ctx, hash)
	if err == nil && on.Host != host {
		err = db.ErrNotFound
	}
	if err != nil {
		return nil, uuid.Nil, err
	}
	return c.touchBy(ctx, query{uuid: on.Session}, client)
}

func (c *Cache) touchBy(ctx context.Context, q query, client Client) (*db.User, uuid.UUID, error) {
	var agent *db.Agent // the client's, where it is not the session's last one
	for {
		var found *db.User
		var id uuid.UUID
		parse := false
		now := c.now() // before c.mu, for which all wait
		err := c.with(ctx, q, func(n uint32, user *db.User) {
			s := c.sessions.at(n)
			told := !client.Relayed || client.Agent != ""
			parse = agent == nil && told && client.Agent != c.sessions.agents.values[s.agent].String
			if !parse && user.Active && c.touch(n, now, &client, agent) {
				found, id = user, s.uuid
			}
		})
		switch {
		case err != nil:
			return nil, uuid.Nil, err
		case parse: // which may take a while, and c.mu
			agent = c.Agent(client.Agent)
		case found == nil:
			return nil, uuid.Nil, db.ErrNotFound
		default:
			return found, id, nil
		}
	}
}

// touch notes that a session was used now, with this agent if it is not the one that it
// has, unless it has expired: then it reports false. c.mu is held.
func (c *Cache) touch(n uint32, now time.Time, client *Client, agent *db.Agent) bool {
	s := c.sessions.at(n)
	if !c.Expires(time.UnixMicro(s.ends), time.UnixMicro(s.lastUsed)).After(now) {
		return false
	}
	at := now.UnixMicro()
	if s.lastUsed <= now.Add(db.Ahead).UnixMicro() {
		at = max(at, s.lastUsed)
	}
	last := c.sessions.origin(n)
	from := origin{client.IP, client.Via, cmp.Or(agent, last.agent)}
	if client.Relayed && !from.ip.IsValid() {
		from.ip, from.proxy = last.ip, last.proxy
	}
	if from == last {
		s.lastUsed = at
		c.note(n, newUse)
		return true
	}
	c.sessions.setUse(n, at, from)
	c.note(n, newUse|newOrigin)
	return true
}

// note says that something of a session is to be written. c.mu is held.
func (c *Cache) note(n uint32, what unwritten) {
	s := c.sessions.at(n)
	if s.unwritten&(newUse|newHost) == 0 {
		if c.unwritten = append(c.unwritten, n); len(c.unwritten) == c.bounds.Sessions {
			c.askForFlush()
		}
	}
	s.unwritten |= what
}

// reaches are hosts that sessions reached, without pointers to each.
type reaches struct {
	hosts interned[string]
	times map[sessionHost]reach
	bound int // twice as many are kept at most
}

// A sessionHost is a host, by its number, of a session.
type sessionHost struct {
	session uuid.UUID
	host    uint32
}

// A reach is when a session reached a host, in microseconds.
type reach struct{ first, last int64 }

func newReaches(bound int) *reaches { return &reaches{times: map[sessionHost]reach{}, bound: bound} }

// add adds a reach, if there is room, and reports whether the bound is now reached.
func (r *reaches) add(session uuid.UUID, host string, at reach) (full bool) {
	room := len(r.times) < 2*r.bound // else they cannot be written
	number, ok := r.hosts.numbers[host]
	if !ok && !room {
		return false
	} else if !ok {
		number = r.hosts.number(strings.Clone(host)) // it may be part of a request
	}
	key := sessionHost{session, number}
	if before, ok := r.times[key]; ok {
		r.times[key] = reach{min(before.first, at.first), max(before.last, at.last)}
		return false
	}
	if room {
		r.times[key] = at
	}
	return len(r.times) == r.bound
}

// Reach notes that a session, of which a use was just noted, reached a host. What goes on
// reaching the same host is written once in a minute.
func (c *Cache) Reach(id uuid.UUID, host string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, ok := c.sessions.byUUID.find(id)
	if !ok { // it has just ended, and its history has the host, or it was evicted
		now := c.now().UnixMicro()
		c.addReach(id, host, reach{now, now})
		return
	}
	t := c.sessions
	now := t.at(n).lastUsed
	if len(t.hosts.values) >= t.renumberAt {
		t.renumber(n)
	}
	number, ok := t.hosts.numbers[host]
	if !ok {
		number = t.hosts.number(strings.Clone(host)) // it is part of a request
	}
	s := t.at(n)
	same := s.host == number+1
	if !same {
		c.keepHost(n, false)
	}
	if !same || s.unwritten&(newHost|beingWritten) == 0 {
		s.hostFirst = now
	}
	if !same || s.unwritten&newHost == 0 && now/minute != s.hostLast/minute {
		s.host = number + 1
		c.note(n, newHost)
	}
	s.hostLast = now
}

var minute = time.Minute.Microseconds()

// keepHost keeps the host that a session reached last for good, since another one takes
// its place or the session ends: if it is not written yet, or, as it is once a minute, not
// for the last time. c.mu is held.
func (c *Cache) keepHost(n uint32, last bool) {
	s := c.sessions.at(n)
	if host, ok := c.sessions.host(n); ok && (last || s.unwritten&(newHost|beingWritten) != 0) {
		c.addReach(s.uuid, host, reach{s.hostFirst, s.hostLast})
	}
}

// addReach keeps a reach until the next flush. c.mu is held.
func (c *Cache) addReach(id uuid.UUID, host string, at reach) {
	if c.reached.add(id, host, at) {
		c.askForFlush()
	}
}
