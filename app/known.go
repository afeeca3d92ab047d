package app

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

var ( // a test makes them smaller
	// maxKnown bounds the known sessions. Up to twice as many are kept until what is
	// noted of them has been written; beyond, what is noted of some is lost.
	maxKnown = 1 << 20
	// maxShared is from how many distinct values on a table is looked through for
	// those that no session has any more. Beyond twice as many agents, which take up to
	// a kilobyte each, sessions with further ones are dropped.
	maxShared = 1 << 13
)

// known are the sessions in memory: those that were asked for since the start,
// about 140 bytes each. Their numbers are given anew when they are dropped.
type known struct {
	blocks  []*[blockSize]knownSession
	size    uint32 // numbers below were given
	unused  []uint32
	byKey   index
	byUUID  index
	evicted uint64          // how many were dropped for want of room
	dropped [1 << 12]uint64 // the latest of them, counted so, of those whose names hash to this

	// What many sessions share.
	agents  table[*db.Agent]
	origins table[netip.Addr] // via
	methods table[string]
	hosts   table[string]
	tidyAt  int // how large a table may grow before tidy
}

const blockSize = 1024 // a slice would be twice as large while it grows

// A knownSession is a db.Session in little space, two lines of a processor's
// cache, and without pointers, so that the garbage collector passes over all of
// them. It also holds the latest use until that is written.
type knownSession struct {
	key              tokenKey // zero when it is not known
	uuid             uuid.UUID
	id, userID       int64
	lastUsed, ends   int64    // microseconds
	ip               [16]byte // as an IPv6 address
	created          int64    // microseconds
	reached, since   int64    // when it reached host last, and first of what is not written
	agent, via, host uint32   // in the tables; host is the one that it reached last, and one, or 0
	read             uint32   // in which reading of the cache; 0: it cannot be believed
	method           uint16   // in the table
	remember         bool
	state            state
}

// A tokenKey is half of a token's hash: 128 bits that nobody can choose.
type tokenKey [16]byte

// A state says what of a known session is not written yet.
type state uint8

const (
	used    state = 1 << iota // the last use
	moved                     // where that came from, too
	went                      // when it reached host
	writing                   // something is being written
)

func newKnown() *known {
	k := &known{tidyAt: maxShared}
	k.byKey.name = func(n uint32) [16]byte { return k.at(n).key }
	k.byUUID.name = func(n uint32) [16]byte { return k.at(n).uuid }
	return k
}

func (k *known) at(n uint32) *knownSession { return &k.blocks[n/blockSize][n%blockSize] }

// session is a known one in full.
func (k *known) session(n uint32, username string) db.Session {
	s := k.at(n)
	return db.Session{
		ID: s.id, UUID: s.uuid, UserID: s.userID, Username: username, Agent: k.agents.values[s.agent],
		IP: netip.AddrFrom16(s.ip).Unmap(), Via: k.origins.values[s.via], Method: k.methods.values[s.method], Remember: s.remember,
		Created: time.UnixMicro(s.created).UTC(), LastUsed: time.UnixMicro(s.lastUsed).UTC(), Ends: time.UnixMicro(s.ends).UTC(),
	}
}

// add makes a session known that is not.
func (k *known) add(sess *db.Session, agent *db.Agent) uint32 {
	if k.byUUID.count >= maxKnown {
		k.evict()
	}
	var n uint32
	if last := len(k.unused) - 1; last >= 0 {
		n, k.unused = k.unused[last], k.unused[:last]
	} else {
		if n = k.size; n%blockSize == 0 {
			k.blocks = append(k.blocks, new([blockSize]knownSession))
		}
		k.size++
	}
	*k.at(n) = knownSession{
		uuid: sess.UUID, id: sess.ID, userID: sess.UserID, method: uint16(k.methods.number(sess.Method)), remember: sess.Remember,
		created: sess.Created.UnixMicro(), ends: sess.Ends.UnixMicro(),
	}
	k.use(n, sess.LastUsed.UnixMicro(), origin{sess.IP, sess.Via, agent})
	k.byUUID.add(n)
	return n
}

// name says by which token a known session is found, too.
func (k *known) name(n uint32, key tokenKey) {
	if s := k.at(n); s.key == (tokenKey{}) {
		s.key = key
		k.byKey.add(n)
	}
}

// use shows when and from where a session was used last.
func (k *known) use(n uint32, at int64, from origin) {
	if max(len(k.agents.values), len(k.origins.values)) >= k.tidyAt {
		k.tidy(n)
	}
	s := k.at(n)
	s.lastUsed = at
	s.ip, s.via, s.agent = from.ip.As16(), k.origins.number(from.via), k.agents.number(from.agent)
}

// origin is where a session was used last.
func (k *known) origin(n uint32) origin {
	s := k.at(n)
	return origin{netip.AddrFrom16(s.ip).Unmap(), k.origins.values[s.via], k.agents.values[s.agent]}
}

// remove drops a session, and what is not written of it.
func (k *known) remove(n uint32) {
	s := k.at(n)
	k.byUUID.remove(s.uuid)
	if s.key != (tokenKey{}) {
		k.byKey.remove(s.key)
	}
	*s = knownSession{}
	k.unused = append(k.unused, n)
}

// evict drops any session of which all is written, if it finds one soon, and at twice
// the bound any at all.
func (k *known) evict() {
	for range 16 {
		n := rand.Uint32N(k.size)
		if s := k.at(n); s.uuid != uuid.Nil && (s.state == 0 || k.byUUID.count >= 2*maxKnown) {
			k.dismiss(n)
			return
		}
	}
}

// dismiss drops a session for want of room.
func (k *known) dismiss(n uint32) {
	k.evicted++
	k.dropped[place(k.at(n).uuid)] = k.evicted
	k.remove(n)
}

// evictedSince reports whether a session may have been dropped for want of room since
// evicted was as given.
func (k *known) evictedSince(id uuid.UUID, evicted uint64) bool {
	return k.dropped[place(id)] > evicted
}

// place is where dropped counts a session.
func place(id uuid.UUID) uint16 { return binary.LittleEndian.Uint16(id[14:]) % (1 << 12) }

// tidy numbers anew what sessions still have. Those whose agents are too many are
// dropped, unless something is not written of them or it is the one that is in use.
func (k *known) tidy(inUse uint32) {
	var agents table[*db.Agent]
	var origins table[netip.Addr]
	var hosts table[string]
	for n := range k.size {
		s := k.at(n)
		if s.uuid == uuid.Nil {
			continue
		}
		agent := k.agents.values[s.agent]
		if _, ok := agents.numbers[agent]; !ok && len(agents.values) >= 2*maxShared && s.state == 0 && n != inUse {
			k.dismiss(n)
			continue
		}
		s.agent, s.via = agents.number(agent), origins.number(k.origins.values[s.via])
		if s.host != 0 {
			s.host = hosts.number(k.hosts.values[s.host-1]) + 1
		}
	}
	k.agents, k.origins, k.hosts = agents, origins, hosts
	k.tidyAt = max(maxShared, 2*len(agents.values), 2*len(origins.values), 2*len(hosts.values))
}

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

// An index finds numbers by a name of 16 bytes, each of which it can ask for: a
// hash table with open addressing, at most half full. A map would hold the names a
// second time.
type index struct {
	slots []uint32 // a number and one, or 0; as many as a power of two
	count int
	name  func(n uint32) [16]byte
}

// home is where a name should be. Names are random, but for those of tests.
func (x *index) home(name [16]byte) int {
	h := binary.LittleEndian.Uint64(name[:8]) ^ binary.LittleEndian.Uint64(name[8:])*0x9E3779B97F4A7C15
	h *= 0x9E3779B97F4A7C15
	return int(h>>32) & (len(x.slots) - 1)
}

// look is the slot of a name, or the free one where it would be.
func (x *index) look(name [16]byte) int {
	i := x.home(name)
	for x.slots[i] != 0 && x.name(x.slots[i]-1) != name {
		i = (i + 1) & (len(x.slots) - 1)
	}
	return i
}

func (x *index) find(name [16]byte) (n uint32, ok bool) {
	if x.count == 0 {
		return 0, false
	}
	n = x.slots[x.look(name)]
	return n - 1, n != 0
}

// add adds a number whose name is not there.
func (x *index) add(n uint32) {
	if 2*(x.count+1) > len(x.slots) {
		old := x.slots
		x.slots = make([]uint32, max(64, 2*len(old)))
		for _, n := range old {
			if n != 0 {
				x.slots[x.look(x.name(n-1))] = n
			}
		}
	}
	x.slots[x.look(x.name(n))] = n + 1
	x.count++
}

// remove frees the slot of a name that is there, and moves up what would not be
// found any more behind it.
func (x *index) remove(name [16]byte) {
	mask := len(x.slots) - 1
	free := x.look(name)
	for i := (free + 1) & mask; x.slots[i] != 0; i = (i + 1) & mask {
		if home := x.home(x.name(x.slots[i] - 1)); (i-home)&mask >= (i-free)&mask {
			x.slots[free], free = x.slots[i], i
		}
	}
	x.slots[free] = 0
	x.count--
}
