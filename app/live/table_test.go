package live

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

// An index finds what was added and not removed, also where many keys should be
// in one slot.
func TestIndex(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	keys := make([][16]byte, 3000)
	for n := range keys {
		binary.LittleEndian.PutUint64(keys[n][:8], uint64(n))
		if n%3 > 0 { // any
			binary.LittleEndian.PutUint64(keys[n][8:], random.Uint64())
		}
	}
	x := index{key: func(n uint32) [16]byte { return keys[n] }}
	there := map[uint32]bool{}
	for step := range 60_000 {
		n := random.Uint32N(uint32(len(keys)))
		if got, ok := x.find(keys[n]); ok != there[n] || ok && got != n {
			t.Fatalf("step %d: found %d, %v; want %d, %v", step, got, ok, n, there[n])
		}
		grows := step/10_000%2 == 0 // and shrinks again
		switch {
		case !there[n] && (grows || step%4 == 0):
			x.add(n)
			there[n] = true
		case there[n] && (!grows || step%4 == 0):
			x.remove(keys[n])
			delete(there, n)
		}
		if x.count != len(there) {
			t.Fatalf("step %d: counts %d, want %d", step, x.count, len(there))
		}
	}
	for n := range keys {
		if _, ok := x.find(keys[n]); ok != there[uint32(n)] {
			t.Errorf("at the end %d is found: %v, want %v", n, ok, there[uint32(n)])
		}
	}
}

// With room for few sessions, agents and hosts, nothing that was noted is lost, and
// no session shows what is another's.
func TestLittleRoom(t *testing.T) {
	t.Parallel()
	f := start(t, func(o *Options) { o.Bounds.Sessions, o.Bounds.Agents, o.Bounds.Users = 32, 8, 2 })
	users := []db.User{f.createUser(t, "ada"), f.createUser(t, "grace"), f.createUser(t, "erika")}
	const n = 60
	signedIn, ids := make([]signedIn, n), make([]uuid.UUID, n)
	for i := range ids {
		signedIn[i] = f.signIn(t, users[i%3])
		ids[i] = signedIn[i].id
	}
	type use struct {
		at             time.Time
		address, agent string
		hosts          map[string]time.Time
	}
	uses := make([]use, n)
	random := rand.New(rand.NewPCG(3, 4))
	for step := range 1500 {
		now := f.advance(time.Second)
		i := random.IntN(n)
		u := &uses[i]
		if u.hosts == nil {
			u.hosts = map[string]time.Time{}
		}
		client := from(fmt.Sprintf("192.0.2.%d", random.IntN(3)), fmt.Sprintf("curl/8.%d", random.IntN(25)))
		host := fmt.Sprintf("app%d.home.example", random.IntN(25))
		f.reach(t, signedIn[i], host, client)
		u.at, u.address, u.agent = now, client.IP.String(), client.Agent
		u.hosts[host] = now
		if step%40 == 0 {
			f.flush(t)
		}
		if step%100 == 0 {
			f.Invalidate(WroteElsewhere)
		}
	}
	check := func(how string, i int, sess db.Session, err error) {
		t.Helper()
		if u := uses[i]; err != nil || !sess.LastUsed.Equal(u.at) || sess.IP.String() != u.address || sess.Agent.String != u.agent || sess.Username != users[i%3].Username {
			t.Errorf("%s, session %d of %s: got %v from %v with %s, %v; want %v from %s with %s", how, i, sess.Username, sess.LastUsed, sess.IP, sess.Agent.String, err, u.at, u.address, u.agent)
		}
	}
	for i, id := range ids {
		sess, err := f.Session(t.Context(), id)
		check("shown", i, sess, err)
	}
	page, _, err := f.Sessions(t.Context(), db.SessionFilter{Now: f.time(), Limit: n})
	if len(page) != n {
		t.Errorf("%d sessions are listed", len(page))
	}
	for _, sess := range page {
		check("listed", slices.Index(ids, sess.UUID), sess, err)
	}
	f.flush(t)
	for i, id := range ids {
		sess, err := f.db.SessionByUUID(id)
		if err == nil {
			sess.Username = users[i%3].Username // which is the cache's to add
			sess.Agent, err = f.db.Agent(t.Context(), sess.AgentID)
		}
		check("stored", i, sess, err)
		hosts, err := f.Hosts(t.Context(), id)
		if err != nil || len(hosts) != len(uses[i].hosts) {
			t.Errorf("session %d reached %d hosts, %v, want %d", i, len(hosts), err, len(uses[i].hosts))
		}
		for _, h := range hosts {
			// A host that a session goes on reaching is written once a minute.
			if last := uses[i].hosts[h.Host]; h.Last.After(last) || last.Sub(h.Last) >= time.Minute {
				t.Errorf("session %d reached %s at %v, want %v", i, h.Host, h.Last, last)
			}
		}
	}
	// Now that all is written, there are no more than there is room for, or nearly so.
	if n := f.sessions.byUUID.count; n > f.bounds.Sessions+2 || len(f.users) > f.bounds.Users {
		t.Errorf("%d sessions of %d users are in memory", n, len(f.users))
	}
}

// However many sessions are used while nothing can be written, memory holds twice as
// many as there is room for, and each goes on authenticating.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	f := start(t, func(o *Options) { o.Bounds.Sessions = 16 })
	ada := f.createUser(t, "ada")
	all, used := make([]signedIn, 100), make([]time.Time, 100)
	for i := range all {
		all[i] = f.signIn(t, ada)
	}
	for range 2 {
		for i, s := range all {
			used[i] = f.advance(time.Second)
			f.use(t, s, from("192.0.2.1", "curl/8"))
			if n := f.sessions.byUUID.count; n > 2*f.bounds.Sessions {
				t.Fatalf("%d sessions are in memory", n)
			}
		}
	}
	f.flush(t)
	if n := f.sessions.byUUID.count; n > f.bounds.Sessions {
		t.Errorf("%d sessions are in memory once they are written", n)
	}
	// The last one was noted last, and nothing came after it.
	if sess, err := f.db.SessionByUUID(all[99].id); err != nil || !sess.LastUsed.Equal(used[99]) {
		t.Errorf("stored as used at %v, %v, want %v", sess.LastUsed, err, used[99])
	}
}

// Sessions whose agents, proxies and hosts are all different take no memory without end: those
// of which all is written go, and come back as they were.
func TestBoundOfAgents(t *testing.T) {
	t.Parallel()
	f := start(t, func(o *Options) { o.Bounds.Agents = 4 })
	ada := f.createUser(t, "ada")
	var all []signedIn
	agent := func(i int) string { return fmt.Sprintf("agent%d/1", i) }
	for i := range 100 {
		s := f.signIn(t, ada)
		all = append(all, s)
		client := from("192.0.2.1", agent(i))
		client.Via = client.IP
		for range i {
			client.Via = client.Via.Next()
		}
		f.reach(t, s, fmt.Sprintf("app%d.home.example", i), client)
		f.flush(t)
		// Those in use after renumber, twice as many until the next, and the one that is used.
		if k := f.sessions; len(k.agents.values) > 4*f.bounds.Agents+2 || len(k.proxies.values) > 4*f.bounds.Agents+2 || len(k.hosts.values) > 4*f.bounds.Agents+2 {
			t.Fatalf("after %d sessions there are %d agents, %d proxies and %d hosts", i+1, len(k.agents.values), len(k.proxies.values), len(k.hosts.values))
		}
		if len(f.agentsByHeader) > f.bounds.Agents || len(f.agentsByID) > f.bounds.Agents {
			t.Fatalf("%d and %d agents are kept by header and number", len(f.agentsByHeader), len(f.agentsByID))
		}
	}
	for i, s := range all {
		if sess, err := f.Session(t.Context(), s.id); err != nil || sess.Agent.String != agent(i) {
			t.Errorf("session %d is shown with %q, %v", i, sess.Agent.String, err)
		}
	}
}

// A row that was read before its session was evicted is not shown for what was written of
// it meanwhile.
func TestEvictedWhileItIsRead(t *testing.T) {
	t.Parallel()
	var store *tellingStore
	f := start(t, func(o *Options) { o.Bounds.Sessions = 1 })
	store = &tellingStore{Store: f.db}
	f.store = store
	ada := f.createUser(t, "ada")
	s, other := f.signIn(t, ada), f.signIn(t, ada)
	for name, read := range map[string]func() (db.Session, error){
		"session": func() (db.Session, error) { return f.Session(t.Context(), s.id) },
		"list": func() (db.Session, error) {
			page, _, err := f.Sessions(t.Context(), db.SessionFilter{Now: f.time(), Limit: 10})
			i := slices.IndexFunc(page, func(sess db.Session) bool { return sess.UUID == s.id })
			return page[i], err
		},
	} {
		t.Run(name, func(t *testing.T) {
			f.use(t, other, from("192.0.2.1", "curl/8"))
			f.flush(t)
			f.use(t, other, from("192.0.2.1", "curl/8")) // in memory in the place of s
			if _, ok := f.sessions.byUUID.find(s.id); ok {
				t.Fatal("it is in memory: this tests nothing")
			}
			var used time.Time
			store.after = func(what string) {
				if what != name {
					return
				}
				store.after = nil
				used = f.advance(time.Second)
				f.use(t, s, from("198.51.100.9", "curl/8"))
				f.flush(t)
				f.use(t, other, from("192.0.2.1", "curl/8"))
				f.flush(t)
				if _, ok := f.sessions.byUUID.find(s.id); ok {
					f.sessions.evict(first(f.sessions.byUUID.find(s.id)))
				}
			}
			if sess, err := read(); err != nil || used.IsZero() || !sess.LastUsed.Equal(used) || sess.IP.String() != "198.51.100.9" {
				t.Errorf("shown as used at %v from %v, %v, want %v", sess.LastUsed, sess.IP, err, used)
			}
		})
	}
}

func first[T any](v T, _ bool) T { return v }
