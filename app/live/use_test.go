package live

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

// end ends a session as a server does that is told to.
func (f *fixture) end(t testing.TB, s signedIn) {
	t.Helper()
	err := f.End([]uuid.UUID{s.id}, func(last []db.Use) error { return f.db.EndSession(t.Context(), last[0], db.Revoked, f.event()) })
	if err != nil {
		t.Fatal(err)
	}
}

// A session that is first read by its token and by its UUID at once is one in
// memory: ending it leaves neither.
func TestFirstReadsAtOnce(t *testing.T) {
	t.Parallel()
	f := start(t)
	ada := f.createUser(t, "ada")
	client := from("192.0.2.7", "curl/8")
	for _, s := range f.signInMany(t, ada, 200) {
		var ready, wait sync.WaitGroup
		ready.Add(4)
		for i := range 4 {
			wait.Go(func() {
				ready.Done()
				ready.Wait()
				var err error
				if i%2 == 0 {
					_, _, err = f.Touch(t.Context(), &s.hash, client)
				} else {
					_, err = f.Session(t.Context(), s.id)
				}
				if err != nil {
					t.Errorf("a session that lives: %v", err)
				}
			})
		}
		wait.Wait()
		f.end(t, s)
		if _, _, err := f.Touch(t.Context(), &s.hash, client); !errors.Is(err, db.ErrNotFound) {
			t.Fatalf("a session that ended authenticates: %v", err)
		}
	}
}

// Whatever is read of last_used while a session is used, written and read at
// once, it never goes back, and is never behind a use that was answered.
func TestLastUsedNeverGoesBack(t *testing.T) {
	t.Parallel()
	var clock atomic.Int64 // each look at it is a microsecond later
	begin := time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)
	now := func() time.Time { return begin.Add(time.Duration(clock.Add(1)) * time.Microsecond) }
	f := start(t, func(o *Options) { o.Now = now })
	ada := f.createUser(t, "ada")
	all := make([]signedIn, 4)
	for i := range all {
		all[i] = f.signIn(t, ada)
	}
	var answered [4]atomic.Int64 // microseconds of the latest use that was answered
	var done atomic.Bool
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Go(func() {
			for i := worker; !done.Load(); i++ {
				n := i % 4
				used := now().UnixMicro()
				if _, _, err := f.Touch(t.Context(), &all[n].hash, from(fmt.Sprintf("192.0.2.%d", i%200), "curl/8")); err != nil {
					t.Errorf("a session that lives: %v", err)
					return
				}
				for last := answered[n].Load(); last < used && !answered[n].CompareAndSwap(last, used); last = answered[n].Load() {
				}
			}
		})
		wait.Go(func() {
			for i := worker; !done.Load(); i++ {
				n := i % 4
				want := answered[n].Load()
				var got db.Session
				var err error
				switch i % 4 {
				case 0: // past the memory
					f.Invalidate(WroteElsewhere)
					fallthrough
				case 1:
					got, err = f.Session(t.Context(), all[n].id)
				case 2:
					if err := f.Flush(t.Context()); err != nil {
						t.Errorf("flush: %v", err)
					}
					continue
				default:
					var page []db.Session
					page, _, err = f.Sessions(t.Context(), db.SessionFilter{Now: begin, Limit: 10})
					for _, sess := range page {
						if sess.UUID == all[n].id {
							got = sess
						}
					}
				}
				if err != nil {
					t.Errorf("read: %v", err)
					return
				}
				if got.LastUsed.UnixMicro() < want {
					t.Errorf("way %d: last used %d µs before what was answered", i%4, want-got.LastUsed.UnixMicro())
					done.Store(true)
				}
			}
		})
	}
	time.Sleep(time.Second)
	done.Store(true)
	wait.Wait()
	f.flush(t)
	for n, s := range all {
		if stored, err := f.db.SessionByUUID(s.id); err != nil || stored.LastUsed.UnixMicro() < answered[n].Load() {
			t.Errorf("stored: %v, %v, want %d or later", stored.LastUsed.UnixMicro(), err, answered[n].Load())
		}
	}
}

// What could not be written is kept, shown, and written when it can be.
func TestFlushKeepsWhatItCannotWrite(t *testing.T) {
	t.Parallel()
	f := start(t)
	s := f.signIn(t, f.createUser(t, "ada"))
	used := f.advance(time.Minute)
	f.reach(t, s, "app.home.example", from("192.0.2.9", "curl/8"))
	if err := f.Flush(cannotWrite(t)); err == nil {
		t.Fatal("a flush that was cancelled succeeded")
	}
	if sess, err := f.Session(t.Context(), s.id); err != nil || sess.IP.String() != "192.0.2.9" {
		t.Errorf("shown after a failed flush: %v, %v", sess.IP, err)
	}
	f.flush(t)
	if stored, err := f.db.SessionByUUID(s.id); err != nil || stored.IP.String() != "192.0.2.9" || !stored.LastUsed.Equal(used) {
		t.Errorf("stored: %v at %v, %v", stored.IP, stored.LastUsed, err)
	}
	if hosts, err := f.db.Reaches(t.Context(), s.id); err != nil || len(hosts) != 1 || !hosts[0].Last.Equal(used) {
		t.Errorf("stored: %v, %v", hosts, err)
	}
}

// The row's ID of a session that ended is given to the next one, which shows
// nothing of what was noted of the other.
func TestIDGivenAnew(t *testing.T) {
	t.Parallel()
	for _, failing := range []bool{false, true} {
		f := start(t)
		ada := f.createUser(t, "ada")
		use := func(s signedIn, ip string) db.Session {
			t.Helper()
			f.use(t, s, from(ip, "curl/8"))
			sess, err := f.SessionByToken(t.Context(), &s.hash)
			if err != nil {
				t.Fatal(err)
			}
			f.advance(time.Second)
			return sess
		}
		s := f.signIn(t, ada)
		one := use(s, "198.51.100.9")
		f.endElsewhere(t, s)
		if failing { // what is noted waits longer
			if err := f.Flush(cannotWrite(t)); err == nil {
				t.Fatal("nothing was to be written")
			}
		}
		s = f.signIn(t, ada)
		two := use(s, "192.0.2.1") // where it signed in
		if one.ID != two.ID {
			t.Fatalf("IDs %d and %d: this tests nothing", one.ID, two.ID)
		}
		f.flush(t)
		for name, read := range map[string]func() (db.Session, error){
			"stored":    func() (db.Session, error) { return f.db.SessionByUUID(s.id) },
			"in memory": func() (db.Session, error) { return f.Session(t.Context(), s.id) },
		} {
			if got, err := read(); err != nil || got.IP.String() != "192.0.2.1" || !got.LastUsed.Equal(two.LastUsed) {
				t.Errorf("%s: got %v at %v, %v, want 192.0.2.1 at %v", name, got.IP, got.LastUsed, err, two.LastUsed)
			}
		}
	}
}

// A session that began, by its own time, before another was used gets that one's ID,
// and nothing that is noted of the other.
func TestIDOfAnEarlierSignIn(t *testing.T) {
	t.Parallel()
	f := start(t)
	ada, grace := f.createUser(t, "ada"), f.createUser(t, "grace")
	s := f.signIn(t, ada)
	f.advance(time.Second)
	f.use(t, s, from("198.51.100.9", "curl/8"))
	f.endElsewhere(t, s)
	f.advance(-time.Second) // when it was asked for, before it waited for the writer
	later := f.signIn(t, grace)
	f.advance(time.Second)
	f.flush(t)
	if got, err := f.db.SessionByUUID(later.id); err != nil || got.ID != 1 || got.IP.String() != "192.0.2.1" {
		t.Errorf("session %d is stored as used from %v, %v; want session 1 from 192.0.2.1", got.ID, got.IP, err)
	}
}

// What a list shows is never behind a use that came before it.
func TestListsAreNotBehindUses(t *testing.T) {
	t.Parallel()
	f := start(t)
	all := f.signInMany(t, f.createUser(t, "ada"), 2500)
	lists, behind := 0, 0
	for range 8 {
		used := map[uuid.UUID]time.Time{}
		for _, s := range all {
			used[s.id] = f.advance(time.Millisecond)
			f.use(t, s, from("192.0.2.7", "curl/8"))
		}
		var wait sync.WaitGroup
		wait.Go(func() { _ = f.Flush(context.Background()) })
		page, _, err := f.Sessions(context.Background(), db.SessionFilter{Now: f.time(), Limit: 2500})
		wait.Wait()
		if err != nil || len(page) != len(all) {
			t.Fatal(len(page), err)
		}
		lists++
		for _, sess := range page {
			if sess.LastUsed.Before(used[sess.UUID]) {
				behind++
				break
			}
		}
	}
	if behind > 0 {
		t.Errorf("%d of %d lists showed a session behind a use that had been answered", behind, lists)
	}
}

// The ID of an agent that was purged is given to another one, which is shown and
// stored as itself.
func TestAgentIDGivenAnew(t *testing.T) {
	t.Parallel()
	const chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/140.0.0.0 Safari/537.36"
	const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	f := start(t)
	s := f.signIn(t, f.createUser(t, "ada")) // curl/8
	use := func(agent string) {
		f.use(t, s, from("192.0.2.1", agent))
		f.flush(t)
	}
	use(chrome)
	f.Invalidate(WroteElsewhere)
	use(chrome) // read by its number
	use("curl/8")
	if err := f.db.Purge(t.Context(), f.time(), f.time(), f.time()); err != nil {
		t.Fatal(err)
	}
	other := f.createUser(t, "grace")
	s = f.signIn(t, other)
	use(firefox)
	f.sessions = newTable(f.bounds) // read anew
	if got, err := f.Session(t.Context(), s.id); err != nil || got.Agent.String != firefox {
		t.Errorf("the new session's agent is shown as %q, want %q (%v)", got.Agent.String, firefox, err)
	}
	// A proxy that tells an address and no agent makes that stay.
	f.use(t, s, Client{IP: from("192.0.2.3", "").IP, Relayed: true})
	f.flush(t)
	stored, err := f.db.SessionByUUID(s.id)
	if err != nil {
		t.Fatal(err)
	}
	if agent, err := f.db.Agent(t.Context(), stored.AgentID); err != nil || strings.Contains(agent.String, "Chrome") || stored.IP.String() != "192.0.2.3" {
		t.Errorf("and stored as %v from %v (%v)", agent, stored.IP, err)
	}
}

// Hosts that cannot be written take no memory without end, and since when a session
// reaches one stays what it was.
func TestHostsThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	f := start(t, func(o *Options) { o.Bounds.Hosts = 100 })
	ada := f.createUser(t, "ada")
	s, same := f.signIn(t, ada), f.signIn(t, ada)
	begin := f.time()
	asked := false
	for i := range 1000 {
		f.reach(t, s, fmt.Sprintf("app%d.home.example", i), from("192.0.2.1", "curl/8"))
		f.reach(t, same, "app.home.example", from("192.0.2.1", "curl/8"))
		if i%50 == 0 && f.Flush(cannotWrite(t)) == nil {
			t.Fatal("written")
		}
		select {
		case <-f.FlushWanted():
			asked = true
		default:
		}
		f.advance(time.Second)
	}
	if n := len(f.reached.times); n > 2*f.bounds.Hosts || !asked {
		t.Errorf("%d hosts wait; a flush was wanted: %v", n, asked)
	}
	f.flush(t)
	if hosts, err := f.Hosts(t.Context(), s.id); err != nil || len(hosts) != maxHosts || hosts[0].Host != "app999.home.example" {
		t.Errorf("got %d hosts, the last %v, %v", len(hosts), hosts[0].Host, err)
	}
	if hosts, err := f.Hosts(t.Context(), same.id); err != nil || !hosts[0].First.Equal(begin) {
		t.Errorf("reached since %v, %v; want %v", hosts[0].First, err, begin)
	}
}

// A session may end, or be evicted, between the request that it authenticated and the host that
// this was for: its history has that too.
func TestReachedAfterTheEnd(t *testing.T) {
	t.Parallel()
	f := start(t)
	s := f.signIn(t, f.createUser(t, "ada"))
	f.use(t, s, from("192.0.2.1", "curl/8"))
	f.end(t, s)
	f.Reach(s.id, "app.home.example")
	f.flush(t)
	if hosts, err := f.Hosts(t.Context(), s.id); err != nil || len(hosts) != 1 || hosts[0].Host != "app.home.example" {
		t.Errorf("got %v, %v", hosts, err)
	}
}

// However often everything is read anew, sessions share what is said of one User-Agent.
func TestSessionsShareAgents(t *testing.T) {
	t.Parallel()
	f := start(t)
	ada := f.createUser(t, "ada")
	for range 20 {
		s := f.signIn(t, ada)
		f.Invalidate(WroteElsewhere)
		f.use(t, s, from("192.0.2.1", "curl/8"))
	}
	if n := len(f.sessions.agents.values); n != 1 {
		t.Errorf("%d agents in memory", n)
	}
}

// A session of a user that somebody took out of the database with another program
// is refused, at once.
func TestSessionOfNobody(t *testing.T) {
	t.Parallel()
	f := start(t)
	s := f.signIn(t, f.createUser(t, "ada"))
	pool, err := sql.Open("sqlite", "file:"+f.path)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Exec(`DELETE FROM users`); err != nil { // foreign keys are not looked at
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, _, err := f.Touch(ctx, &s.hash, from("192.0.2.1", "curl/8")); err == nil || ctx.Err() != nil {
		t.Errorf("got %v, %v", err, ctx.Err())
	}
}

// Sessions that have expired, by either limit, and those of users who are not active are
// not touched.
func TestNotTouched(t *testing.T) {
	t.Parallel()
	f := start(t, func(o *Options) { o.Idle = time.Hour })
	ada := f.createUser(t, "ada")
	s := f.signIn(t, ada)
	touch := func() error {
		_, _, err := f.Touch(t.Context(), &s.hash, from("192.0.2.1", "curl/8"))
		return err
	}
	for range 3 {
		f.advance(time.Hour - time.Second)
		if err := touch(); err != nil {
			t.Errorf("in use: %v", err)
		}
	}
	if f.advance(time.Hour); !errors.Is(touch(), db.ErrNotFound) {
		t.Error("a session is used that was idle for too long")
	}
	s = f.signIn(t, ada)
	ada.Active = false
	if err := errors.Join(touch(), f.db.SetActive(t.Context(), ada.ID, true, false, f.event())); err != nil {
		t.Fatal(err)
	}
	f.users[ada.ID] = user{&ada, 1}
	if !errors.Is(touch(), db.ErrNotFound) {
		t.Error("a session is used whose user is not active")
	}
	f.Invalidate(UserChanged, ada.ID)
	if err := touch(); err != nil {
		t.Error(err)
	}
	if f.advance(14 * 24 * time.Hour); !errors.Is(touch(), db.ErrNotFound) {
		t.Error("a session is used that has ended")
	}
}
