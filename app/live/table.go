package live

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

// A table holds sessions by numbers, which are given anew when a session is removed:
// about 140 bytes each, with the indexes.
type table struct {
	bounds Bounds

	blocks  []*[blockSize]session
	size    uint32 // numbers below were given
	unused  []uint32
	byToken index
	byUUID  index

	evictions   uint64          // how many were evicted
	lastEvicted [1 << 12]uint64 // the latest of them, counted so, of those whose UUIDs share a bucket

	// What many sessions share.
	agents     interned[*db.Agent]
	proxies    interned[netip.Addr]
	methods    interned[string]
	hosts      interned[string]
	renumberAt int // how large one of them may grow before renumber
}

const blockSize = 1024 // a slice would be twice as large while it grows

// A session is a db.Session in little space, two lines of a processor's cache, and
// without pointers, so that the garbage collector passes over all of them. It also
// holds the latest use until that is written.
type session struct {
	token               tokenKey // zero when it is not known
	uuid                uuid.UUID
	id, userID          int64
	lastUsed, ends      int64    // microseconds
	ip                  [16]byte // as an IPv6 address
	created             int64    // microseconds
	hostFirst, hostLast int64    // when it reached host: first of what is not written, and last
	read                uint64   // the cache's generation when it was read; 0: it cannot be believed
	agent, proxy, host  uint32   // numbers in the table; host is that of the last one and one, or 0
	method              uint16   // a number in the table
	remember            bool
	unwritten           unwritten
}

// A tokenKey is half of a token's hash: 128 bits that nobody can choose.
type tokenKey [16]byte

// unwritten says what of a session is not written yet.
type unwritten uint8

const (
	newUse       unwritten = 1 << iota // when it was used last
	newOrigin                          // where from, too
	newHost                            // when it reached its host
	beingWritten                       // something that a flush took
)

// An origin is where a session was used from.
type origin struct {
	ip, proxy netip.Addr
	agent     *db.Agent
}

func newTable(bounds Bounds) *table {
	t := &table{bounds: bounds, renumberAt: bounds.Agents}
	t.byToken.key = func(n uint32) [16]byte { return t.at(n).token }
	t.byUUID.key = func(n uint32) [16]byte { return t.at(n).uuid }
	return t
}

func (t *table) at(n uint32) *session { return &t.blocks[n/blockSize][n%blockSize] }

// session is one in full.
func (t *table) session(n uint32, username string) db.Session {
	s := t.at(n)
	from := t.origin(n)
	return db.Session{
		ID: s.id, UUID: s.uuid, UserID: s.userID, Username: username, Agent: from.agent,
		IP: from.ip, Via: from.proxy, Method: t.methods.values[s.method], Remember: s.remember,
		Created: time.UnixMicro(s.created).UTC(), LastUsed: time.UnixMicro(s.lastUsed).UTC(), Ends: time.UnixMicro(s.ends).UTC(),
	}
}

// add adds a session that is not there.
func (t *table) add(sess *db.Session, agent *db.Agent) uint32 {
	if t.byUUID.count >= t.bounds.Sessions {
		t.makeRoom()
	}
	var n uint32
	if last := len(t.unused) - 1; last >= 0 {
		n, t.unused = t.unused[last], t.unused[:last]
	} else {
		if n = t.size; n%blockSize == 0 {
			t.blocks = append(t.blocks, new([blockSize]session))
		}
		t.size++
	}
	*t.at(n) = session{
		uuid: sess.UUID, id: sess.ID, userID: sess.UserID, method: uint16(t.methods.number(sess.Method)), remember: sess.Remember,
		created: sess.Created.UnixMicro(), ends: sess.Ends.UnixMicro(),
	}
	t.setUse(n, sess.LastUsed.UnixMicro(), origin{sess.IP, sess.Via, agent})
	t.byUUID.add(n)
	return n
}

// setToken says by which token a session is found, too.
func (t *table) setToken(n uint32, token tokenKey) {
	if s := t.at(n); s.token == (tokenKey{}) {
		s.token = token
		t.byToken.add(n)
	}
}

// setUse says when and from where a session was used last.
func (t *table) setUse(n uint32, at int64, from origin) {
	if max(len(t.agents.values), len(t.proxies.values)) >= t.renumberAt {
		t.renumber(n)
	}
	s := t.at(n)
	s.lastUsed = at
	s.ip, s.proxy, s.agent = from.ip.As16(), t.proxies.number(from.proxy), t.agents.number(from.agent)
}

// origin is where a session was used last.
func (t *table) origin(n uint32) origin {
	s := t.at(n)
	return origin{netip.AddrFrom16(s.ip).Unmap(), t.proxies.values[s.proxy], t.agents.values[s.agent]}
}

// host is the name of the host that a session reached last, if it did one.
func (t *table) host(n uint32) (name string, ok bool) {
	if s := t.at(n); s.host != 0 {
		return t.hosts.values[s.host-1], true
	}
	return "", false
}

// remove removes a session, and what is not written of it.
func (t *table) remove(n uint32) {
	s := t.at(n)
	t.byUUID.remove(s.uuid)
	if s.token != (tokenKey{}) {
		t.byToken.remove(s.token)
	}
	*s = session{}
	t.unused = append(t.unused, n)
}

// makeRoom evicts any session of which all is written, if it finds one soon, and at
// twice the bound any at all.
func (t *table) makeRoom() {
	for range 16 {
		n := rand.Uint32N(t.size)
		if s := t.at(n); s.uuid != uuid.Nil && (s.unwritten == 0 || t.byUUID.count >= 2*t.bounds.Sessions) {
			t.evict(n)
			return
		}
	}
}

// evict removes a session for want of room.
func (t *table) evict(n uint32) {
	t.evictions++
	t.lastEvicted[bucket(t.at(n).uuid)] = t.evictions
	t.remove(n)
}

// evictedSince reports whether a session may have been evicted since evictions was as
// given: what is read before that may be older than what was written of it.
func (t *table) evictedSince(id uuid.UUID, evictions uint64) bool {
	return t.lastEvicted[bucket(id)] > evictions
}

// bucket is where lastEvicted counts a session.
func bucket(id uuid.UUID) uint16 { return binary.LittleEndian.Uint16(id[14:]) % (1 << 12) }

// renumber numbers anew what sessions still have. Those whose agents are too many are
// evicted, unless something is not written of them or it is the one that is in use.
func (t *table) renumber(inUse uint32) {
	var agents interned[*db.Agent]
	var proxies interned[netip.Addr]
	var hosts interned[string]
	for n := range t.size {
		s := t.at(n)
		if s.uuid == uuid.Nil {
			continue
		}
		agent := t.agents.values[s.agent]
		if _, ok := agents.numbers[agent]; !ok && len(agents.values) >= 2*t.bounds.Agents && s.unwritten == 0 && n != inUse {
			t.evict(n)
			continue
		}
		s.agent, s.proxy = agents.number(agent), proxies.number(t.proxies.values[s.proxy])
		if host, ok := t.host(n); ok {
			s.host = hosts.number(host) + 1
		}
	}
	t.agents, t.proxies, t.hosts = agents, proxies, hosts
	t.renumberAt = max(t.bounds.Agents, 2*len(agents.values), 2*len(proxies.values), 2*len(hosts.values))
}

// interned values are held once, and named by numbers.
type interned[T comparable] struct {
	values  []T
	numbers map[T]uint32
}

func (i *interned[T]) number(v T) uint32 {
	n, ok := i.numbers[v]
	if !ok {
		if i.numbers == nil {
			i.numbers = map[T]uint32{}
		}
		n = uint32(len(i.values))
		i.values = append(i.values, v)
		i.numbers[v] = n
	}
	return n
}
