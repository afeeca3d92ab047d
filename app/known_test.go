package app

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

// An index finds what was added and not removed, also where many names should be
// in one place.
func TestIndex(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	names := make([][16]byte, 3000)
	for n := range names {
		binary.LittleEndian.PutUint64(names[n][:8], uint64(n))
		if n%3 > 0 { // any
			binary.LittleEndian.PutUint64(names[n][8:], random.Uint64())
		}
	}
	x := index{key: func(n uint32) [16]byte { return names[n] }}
	there := map[uint32]bool{}
	for step := range 60_000 {
		n := random.Uint32N(uint32(len(names)))
		if got, ok := x.find(names[n]); ok != there[n] || ok && got != n {
			t.Fatalf("step %d: found %d, %v; want %d, %v", step, got, ok, n, there[n])
		}
		grows := step/10_000%2 == 0 // and shrinks again
		switch {
		case !there[n] && (grows || step%4 == 0):
			x.add(n)
			there[n] = true
		case there[n] && (!grows || step%4 == 0):
			x.remove(names[n])
			delete(there, n)
		}
		if x.count != len(there) {
			t.Fatalf("step %d: counts %d, want %d", step, x.count, len(there))
		}
	}
	for n := range names {
		if _, ok := x.find(names[n]); ok != there[uint32(n)] {
			t.Errorf("at the end %d is found: %v, want %v", n, ok, there[uint32(n)])
		}
	}
}

// bound has an app keep no more than that in memory.
func bound(a *App, bounds Bounds) {
	a.live = NewCache(a.store, Options{Now: a.now, Idle: a.Config.SessionIdle, Agents: a.agents, Bounds: bounds})
}

// With room for few sessions, agents and hosts, nothing that was noted is lost, and
// no session shows what is another's.
func TestLittleRoom(t *testing.T) {
	a, advance := clocked(t, t.TempDir())
	bounds := DefaultBounds
	bounds.Sessions, bounds.Agents = 32, 8
	bound(a, bounds)
	root := create(t, a, NewUser{Username: "root", Superuser: true})
	const n = 60
	tokens, ids := make([]string, n), make([]uuid.UUID, n)
	for i := range tokens {
		tokens[i], ids[i] = insertSession(t, a, root)
	}
	type use struct {
		at             time.Time
		address, agent string
		hosts          map[string]time.Time
	}
	uses := make([]use, n)
	random := rand.New(rand.NewPCG(3, 4))
	a.Config.CookieDomain = "home.example"
	for step := range 1500 {
		advance(time.Second)
		i := random.IntN(n)
		u := &uses[i]
		if u.hosts == nil {
			u.hosts = map[string]time.Time{}
		}
		client := from(fmt.Sprintf("192.0.2.%d", random.IntN(3)))
		client.Agent = fmt.Sprintf("curl/8.%d", random.IntN(25))
		host := fmt.Sprintf("app%d.home.example", random.IntN(25))
		d, err := a.Authorize(t.Context(), ForwardRequest{Host: host, Path: "/", Tokens: tokens[i : i+1], Client: client})
		if err != nil || d.Verdict != Allow {
			t.Fatalf("step %d: %v, %v", step, d.Verdict, err)
		}
		u.at, u.address, u.agent = a.now(), client.IP.String(), client.Agent
		u.hosts[host] = a.now()
		if step%40 == 0 {
			if err := a.live.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if step%100 == 0 {
			a.live.Invalidate(WroteElsewhere)
		}
	}
	check := func(how string, i int, sess db.Session, err error) {
		t.Helper()
		if u := uses[i]; err != nil || !sess.LastUsed.Equal(u.at) || sess.IP.String() != u.address || sess.Agent.String != u.agent {
			t.Errorf("%s, session %d: got %v from %v with %s, %v; want %v from %s with %s", how, i, sess.LastUsed, sess.IP, sess.Agent.String, err, u.at, u.address, u.agent)
		}
	}
	for i, id := range ids {
		sess, err := a.Session(t.Context(), Operator, id)
		check("shown", i, sess.Session, err)
	}
	page, _, err := a.Sessions(t.Context(), Operator, db.SessionFilter{Limit: n})
	for _, sess := range page {
		check("listed", slices.Index(ids, sess.UUID), sess.Session, err)
	}
	if err := a.live.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		sess, err := a.store.Session(t.Context(), id)
		check("stored", i, sess, err)
		hosts, err := a.SessionHosts(t.Context(), id)
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
	a.live.sessions.renumber(0)
	// Now that all is written, there are no more than there is room for, or nearly so.
	if k := a.live.sessions; k.byUUID.count > bounds.Sessions+2 || len(k.agents.values) > 2*bounds.Agents+1 || len(k.hosts.values) > n {
		t.Errorf("%d sessions are known with %d agents and %d hosts", k.byUUID.count, len(k.agents.values), len(k.hosts.values))
	}
}

// However many sessions are used while nothing can be written, memory holds twice as
// many as there is room for, and each goes on authenticating.
func TestNoRoom(t *testing.T) {
	a, advance := clocked(t, t.TempDir())
	bounds := DefaultBounds
	bounds.Sessions = 16
	bound(a, bounds)
	root := create(t, a, NewUser{Username: "root", Superuser: true})
	tokens, used := make([]string, 100), make([]time.Time, 100)
	for i := range tokens {
		tokens[i], _ = insertSession(t, a, root)
	}
	for range 2 {
		for i, token := range tokens {
			advance(time.Second)
			if _, err := a.Authenticate(t.Context(), []string{token}, from("192.0.2.1")); err != nil {
				t.Fatal(err)
			}
			used[i] = a.now()
			if n := a.live.sessions.byUUID.count; n > 2*bounds.Sessions {
				t.Fatalf("%d sessions are known", n)
			}
		}
	}
	if err := a.live.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The last one was noted last, and nothing came after it.
	hash := secretHash(tokens[99])
	if sess, err := a.store.SessionByToken(hash[:]); err != nil || !sess.LastUsed.Equal(used[99]) {
		t.Errorf("stored as used at %v, %v, want %v", sess.LastUsed, err, used[99])
	}
}
