package app

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

// A session that is first read by its token and by its uuid at once is one in
// the cache: ending it leaves neither.
func TestFirstReadsAtOnce(t *testing.T) {
	a := openApp(t, t.TempDir())
	root := create(t, a, NewUser{Username: "root", Superuser: true})
	client := from("192.0.2.7")
	for range 200 {
		token, id := insertSession(t, a, root)
		var ready, wait sync.WaitGroup
		ready.Add(4)
		for i := range 4 {
			wait.Go(func() {
				ready.Done()
				ready.Wait()
				var err error
				if i%2 == 0 {
					_, err = a.Authenticate(t.Context(), []string{token}, client)
				} else {
					_, err = a.Session(t.Context(), Operator, id)
				}
				if err != nil {
					t.Errorf("a session that lives: %v", err)
				}
			})
		}
		wait.Wait()
		if err := a.RevokeSession(t.Context(), Operator, id); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Authenticate(t.Context(), []string{token}, client); !errors.Is(err, ErrUnauthenticated) {
			t.Fatalf("a revoked session authenticates: %v", err)
		}
	}
}

// Whatever is read of last_used while a session is used, written and read at
// once, it never goes back, and is never behind a use that was answered.
func TestLastUsedNeverGoesBack(t *testing.T) {
	dir := t.TempDir()
	a := openApp(t, dir)
	var clock atomic.Int64 // each look at it is a microsecond later
	start := time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)
	a.Now = func() time.Time { return start.Add(time.Duration(clock.Add(1)) * time.Microsecond) }
	root := create(t, a, NewUser{Username: "root", Superuser: true})
	tokens, ids := make([]string, 4), make([]uuid.UUID, 4)
	for i := range tokens {
		tokens[i], ids[i] = insertSession(t, a, root)
	}
	var answered [4]atomic.Int64 // microseconds of the latest use that was answered
	var done atomic.Bool
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Go(func() {
			for i := worker; !done.Load(); i++ {
				n := i % 4
				used := a.now().UnixMicro()
				if _, err := a.Authenticate(t.Context(), tokens[n:n+1], from(fmt.Sprintf("192.0.2.%d", i%200))); err != nil {
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
				switch i % 3 {
				case 0: // past the cache
					a.live.Invalidate(WroteElsewhere)
					fallthrough
				case 1:
					var s Session
					s, err = a.Session(t.Context(), Operator, ids[n])
					got = s.Session
				default:
					var page []Session
					page, _, err = a.Sessions(t.Context(), Operator, db.SessionFilter{Limit: 10})
					for _, s := range page {
						if s.UUID == ids[n] {
							got = s.Session
						}
					}
				}
				if err != nil {
					t.Errorf("read: %v", err)
					return
				}
				if got.LastUsed.UnixMicro() < want {
					t.Errorf("way %d: last used %d µs before what was answered", i%3, want-got.LastUsed.UnixMicro())
					done.Store(true)
				}
			}
		})
	}
	time.Sleep(time.Second)
	done.Store(true)
	wait.Wait()
	if err := a.live.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n, id := range ids {
		if stored, err := a.store.Session(t.Context(), id); err != nil || stored.LastUsed.UnixMicro() < answered[n].Load() {
			t.Errorf("stored: %v, %v, want %d or later", stored.LastUsed.UnixMicro(), err, answered[n].Load())
		}
	}
}

// A command beside the server ends no session by the idle limit whose use the
// server has yet to write, and no use brings back one that has expired.
func TestIdleLimitBesideAServer(t *testing.T) {
	dir := t.TempDir()
	server, advance := clocked(t, dir)
	beside := openApp(t, dir)
	beside.Now = server.Now
	for _, a := range []*App{server, beside} {
		a.Config.SessionIdle = time.Minute
		bound(a, DefaultBounds)
	}
	root := create(t, server, NewUser{Username: "root", Superuser: true})
	token, id := insertSession(t, server, root)
	client := from("192.0.2.7")
	use := func() error {
		_, err := server.Authenticate(t.Context(), []string{token}, client)
		return err
	}
	if err := errors.Join(use(), server.live.Flush(t.Context())); err != nil { // the idle limit is in the row now
		t.Fatal(err)
	}
	advance(time.Minute - time.Second)
	if err := use(); err != nil { // which is not written yet
		t.Fatal(err)
	}
	advance(2 * time.Second)
	if _, _, err := beside.Sessions(t.Context(), Operator, db.SessionFilter{Limit: 10}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(server.live.Flush(t.Context()), use()); err != nil {
		t.Errorf("a session in use, after a list beside the server: %v", err)
	}

	advance(2*time.Minute + 2*idleFlushAtMost)
	if err := use(); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("a session was used that has expired: %v", err)
	}
	if err := errors.Join(server.live.Flush(t.Context()), server.expire(t.Context(), server.now())); err != nil {
		t.Fatal(err)
	}
	if e, err := server.EndedSession(t.Context(), Operator, id); err != nil || e.Reason != db.Idle {
		t.Errorf("got %+v, %v, want it ended by the idle limit", e, err)
	}
}

// The row's ID of a session that ended is given to the next one, which shows
// nothing of what was noted of the other.
func TestIDGivenAnew(t *testing.T) {
	for _, failing := range []bool{false, true} {
		a, advance := clocked(t, t.TempDir())
		root := create(t, a, NewUser{Username: "root", Superuser: true})
		use := func(token, ip string) db.Session {
			t.Helper()
			_, err := a.Authenticate(t.Context(), []string{token}, from(ip))
			sess, wrong := a.SessionByToken(t.Context(), token)
			if err := errors.Join(err, wrong); err != nil {
				t.Fatal(err)
			}
			advance(time.Second)
			return sess
		}
		token, id := insertSession(t, a, root)
		first := use(token, "198.51.100.9")
		if err := a.store.EndSession(t.Context(), db.Use{UUID: id}, db.Revoked, a.event(Operator.Actor(), db.Logout, root.ID, nil)); err != nil { // as another process would
			t.Fatal(err)
		}
		if failing { // what is noted waits longer
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := a.live.Flush(ctx); err == nil {
				t.Fatal("nothing was to be written")
			}
		}
		token, id = insertSession(t, a, root)
		second := use(token, "192.0.2.1") // where it signed in
		if first.ID != second.ID {
			t.Fatalf("IDs %d and %d: this tests nothing", first.ID, second.ID)
		}
		if err := a.live.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		for name, read := range map[string]func() (db.Session, error){
			"stored": func() (db.Session, error) { return a.store.Session(t.Context(), id) },
			"known":  func() (db.Session, error) { return a.live.Session(t.Context(), id) },
		} {
			if got, err := read(); err != nil || got.IP.String() != "192.0.2.1" || !got.LastUsed.Equal(second.LastUsed) {
				t.Errorf("%s: got %v at %v, %v, want 192.0.2.1 at %v", name, got.IP, got.LastUsed, err, second.LastUsed)
			}
		}
	}
}

// What a list shows is never behind a use that came before it.
func TestListsAreNotBehindUses(t *testing.T) {
	a := openApp(t, t.TempDir())
	root := create(t, a, NewUser{Username: "root", Superuser: true})
	var tokens []string
	for range 2500 {
		token, _ := insertSession(t, a, root)
		tokens = append(tokens, token)
	}
	lists, behind := 0, 0
	for range 20 {
		used := map[uuid.UUID]time.Time{}
		for _, token := range tokens {
			now := a.now()
			caller, err := a.Authenticate(t.Context(), []string{token}, from("192.0.2.7"))
			if err != nil {
				t.Fatal(err)
			}
			used[caller.Session] = now
		}
		var wait sync.WaitGroup
		wait.Go(func() { _ = a.live.Flush(context.Background()) })
		page, _, err := a.Sessions(context.Background(), Operator, db.SessionFilter{Limit: 2500})
		wait.Wait()
		if err != nil {
			t.Fatal(err)
		}
		lists++
		for _, s := range page {
			if s.LastUsed.Before(used[s.UUID]) {
				behind++
				break
			}
		}
	}
	if behind > 0 {
		t.Errorf("%d of %d lists showed a session behind a use that had been answered", behind, lists)
	}
}

// The ID of an agent that was forgotten is given to another one, which is shown and
// stored as itself.
func TestAgentIDGivenAnew(t *testing.T) {
	a := openApp(t, t.TempDir())
	user := create(t, a, NewUser{Username: "ada"})
	token, _ := insertSession(t, a, user) // curl/8
	use := func(agent string) {
		c := from("192.0.2.1")
		c.Agent = agent
		if _, err := a.Authenticate(t.Context(), []string{token}, c); err != nil {
			t.Fatal(err)
		}
		if err := a.live.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	const chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/140.0.0.0 Safari/537.36"
	use(chrome)
	a.live.Invalidate(WroteElsewhere)
	use(chrome) // read by its number
	use("curl/8")
	if err := a.purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := from("192.0.2.2")
	c.Agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	token, sess, err := a.SignIn(t.Context(), Credentials{Username: "ada", Password: "correct horse"}, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := a.Session(t.Context(), Operator, sess.UUID)
	if err != nil || got.Agent.String != c.Agent {
		t.Errorf("the new session's agent is shown as %q, want %q (%v)", got.Agent.String, c.Agent, err)
	}
	// A proxy that tells an address and no agent makes that stay.
	c = Client{IP: from("192.0.2.3").IP, Relayed: true}
	if _, err := a.Authenticate(t.Context(), []string{token}, c); err != nil {
		t.Fatal(err)
	}
	if err := a.live.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if stored, err := a.store.Session(t.Context(), sess.UUID); err != nil || strings.Contains(stored.Agent.String, "Chrome") {
		t.Errorf("and stored as %q (%v)", stored.Agent.String, err)
	}
}

// reachHost has a session pass the gate.
func reachHost(t *testing.T, a *App, token, host, ip string) {
	t.Helper()
	d, err := a.Authorize(t.Context(), ForwardRequest{Host: host, Path: "/", Tokens: []string{token}, Client: from(ip)})
	if err != nil || d.Verdict != Allow {
		t.Fatalf("got %v, %v", d.Verdict, err)
	}
}

// However a session ends, its history has the use and the host that it was answered last.
func TestHistoryIsWhole(t *testing.T) {
	for how, end := range map[string]func(a, there *App, user db.User, token string, id uuid.UUID) error{
		"replaced": func(a, _ *App, _ db.User, token string, _ uuid.UUID) error {
			_, _, err := a.SignIn(t.Context(), Credentials{Username: "root", Password: "correct horse"}, from("192.0.2.1"), []string{token})
			return err
		},
		"revoked": func(a, _ *App, _ db.User, _ string, id uuid.UUID) error {
			return a.RevokeSession(t.Context(), Operator, id)
		},
		"all revoked": func(a, _ *App, _ db.User, _ string, _ uuid.UUID) error {
			_, err := a.RevokeSessions(t.Context(), Operator.Actor(), nil, uuid.Nil)
			return err
		},
		"password set": func(a, _ *App, user db.User, _ string, _ uuid.UUID) error {
			return a.SetPassword(t.Context(), Operator.Actor(), user, "another horse", uuid.Nil)
		},
		"revoked by another process": func(a, there *App, _ db.User, token string, id uuid.UUID) error {
			if err := a.flushUsesNow(t); err != nil { // which sees only what is written
				return err
			}
			if err := there.RevokeSession(t.Context(), Operator, id); err != nil {
				return err
			}
			if _, err := a.Authenticate(t.Context(), []string{token}, from("192.0.2.9")); !errors.Is(err, ErrUnauthenticated) {
				return fmt.Errorf("it authenticates: %w", err)
			}
			return nil
		},
	} {
		t.Run(how, func(t *testing.T) {
			dir := t.TempDir()
			a, advance := clocked(t, dir)
			there := openApp(t, dir)
			there.Now = a.Now
			a.Config.CookieDomain = "home.example"
			user := create(t, a, NewUser{Username: "root", Superuser: true})
			token, id := insertSession(t, a, user)
			advance(time.Minute)
			reachHost(t, a, token, "app.home.example", "198.51.100.9")
			used := a.now()
			advance(time.Second)
			if err := errors.Join(end(a, there, user, token, id), a.live.Flush(t.Context())); err != nil {
				t.Fatal(err)
			}
			if e, err := a.EndedSession(t.Context(), Operator, id); err != nil || !e.LastUsed.Equal(used) || e.IP.String() != "198.51.100.9" {
				t.Errorf("got a use at %v from %v, %v; want %v from 198.51.100.9", e.LastUsed, e.IP, err, used)
			}
			if hosts, err := a.SessionHosts(t.Context(), id); err != nil || len(hosts) != 1 || !hosts[0].Last.Equal(used) {
				t.Errorf("got hosts %v, %v; want one at %v", hosts, err, used)
			}
		})
	}
}

// flushUsesNow writes uses, but no hosts.
func (a *App) flushUsesNow(t *testing.T) error {
	c := a.live
	c.mu.Lock()
	var all []write
	for _, n := range c.unwritten {
		s := c.sessions.at(n)
		all = append(all, write{s.uuid, s.id, n, s.unwritten})
	}
	c.mu.Unlock()
	return c.writeUses(t.Context(), all)
}

// Signing out that fails, as on a full disk, ends nothing and loses nothing.
func TestSignOutFails(t *testing.T) {
	a, advance := clocked(t, t.TempDir())
	a.Config.CookieDomain = "home.example"
	user := create(t, a, NewUser{Username: "root", Superuser: true})
	token, id := insertSession(t, a, user)
	advance(time.Minute)
	reachHost(t, a, token, "app.home.example", "198.51.100.9")
	caller, err := a.Authenticate(t.Context(), []string{token}, from("198.51.100.9"))
	if err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.SignOut(cancelled, caller); err == nil {
		t.Fatal("signed out")
	}
	if err := a.live.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := a.store.Session(t.Context(), id); err != nil || !got.LastUsed.Equal(a.now()) || got.IP.String() != "198.51.100.9" {
		t.Errorf("stored a use at %v from %v, %v; want %v from 198.51.100.9", got.LastUsed, got.IP, err, a.now())
	}
	if hosts, err := a.SessionHosts(t.Context(), id); err != nil || len(hosts) != 1 {
		t.Errorf("got hosts %v, %v", hosts, err)
	}
}

// A session that began, by its own time, before another was used gets that one's ID,
// and nothing that is noted of the other.
func TestIDOfAnEarlierSignIn(t *testing.T) {
	a, advance := clocked(t, t.TempDir())
	root := create(t, a, NewUser{Username: "root", Superuser: true})
	other := create(t, a, NewUser{Username: "other"})
	token, id := insertSession(t, a, root)
	signsIn := a.now() // and then waits for the writer
	advance(time.Second)
	if _, err := a.Authenticate(t.Context(), []string{token}, from("198.51.100.9")); err != nil {
		t.Fatal(err)
	}
	if err := a.store.EndSession(t.Context(), db.Use{UUID: id}, db.Revoked, a.event(Operator.Actor(), db.Logout, root.ID, nil)); err != nil { // as another process would
		t.Fatal(err)
	}
	used := a.Now
	a.Now = func() time.Time { return signsIn }
	_, later := insertSession(t, a, other)
	a.Now = used
	if err := a.live.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := a.store.Session(t.Context(), later); err != nil || got.ID != 1 || got.IP.String() != "192.0.2.1" {
		t.Errorf("session %d is stored as used from %v, %v; want session 1 from 192.0.2.1", got.ID, got.IP, err)
	}
}

// Hosts that cannot be written take no memory without end, and since when a session
// reaches one stays what it was.
func TestHostsThatCannotBeWritten(t *testing.T) {
	a, advance := clocked(t, t.TempDir())
	bounds := DefaultBounds
	bounds.Hosts = 100
	bound(a, bounds)
	a.Config.CookieDomain = "home.example"
	user := create(t, a, NewUser{Username: "root", Superuser: true})
	token, id := insertSession(t, a, user)
	same, sameID := insertSession(t, a, user)
	first := a.now()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 1000 {
		reachHost(t, a, token, fmt.Sprintf("app%d.home.example", i), "192.0.2.1")
		reachHost(t, a, same, "app.home.example", "192.0.2.1")
		if i%50 == 0 && a.live.Flush(cancelled) == nil {
			t.Fatal("written")
		}
		advance(time.Second)
	}
	if n := len(a.live.reached.times); n > 2*bounds.Hosts {
		t.Errorf("%d hosts wait", n)
	}
	if err := a.live.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if hosts, err := a.SessionHosts(t.Context(), id); err != nil || len(hosts) != maxHosts || hosts[0].Host != "app999.home.example" {
		t.Errorf("got %d hosts, the last %v, %v", len(hosts), hosts[0].Host, err)
	}
	if hosts, err := a.SessionHosts(t.Context(), sameID); err != nil || !hosts[0].First.Equal(first) {
		t.Errorf("reached since %v, %v; want %v", hosts[0].First, err, first)
	}
}

// A key that cannot be looked up is an error, and no panic.
func TestKeyCannotBeLookedUp(t *testing.T) {
	a, _ := clocked(t, t.TempDir())
	a.Config.CookieDomain = "home.example"
	r := ForwardRequest{Host: "app.home.example", Path: "/", Client: from("192.0.2.1")}
	if d, err := a.Authorize(t.Context(), r); err != nil || d.Verdict != Login {
		t.Fatalf("got %v, %v", d.Verdict, err)
	}
	r.Keys = []ForwardKey{{Key: "whatever"}}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if d, err := a.Authorize(cancelled, r); err == nil || d.Verdict != Deny {
		t.Errorf("got %v, %v", d.Verdict, err)
	}
}

// However often everything is read anew, sessions share what is said of one User-Agent.
func TestSessionsShareAgents(t *testing.T) {
	a, _ := clocked(t, t.TempDir())
	user := create(t, a, NewUser{Username: "root", Superuser: true})
	for range 20 {
		token, _ := insertSession(t, a, user)
		a.live.Invalidate(WroteElsewhere)
		if _, err := a.Authenticate(t.Context(), []string{token}, from("192.0.2.1")); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(a.live.sessions.agents.values); n != 1 {
		t.Errorf("%d agents in memory", n)
	}
}

// A session of a user that somebody took out of the database with another program
// is refused, at once.
func TestSessionOfNobody(t *testing.T) {
	dir := t.TempDir()
	a := openApp(t, dir)
	user := create(t, a, NewUser{Username: "ada"})
	token, _ := insertSession(t, a, user)
	pool, err := sql.Open("sqlite", "file:"+DatabasePath(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Exec(`DELETE FROM users`); err != nil { // foreign keys are not looked at
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := a.Authenticate(ctx, []string{token}, from("192.0.2.1")); err == nil || ctx.Err() != nil {
		t.Errorf("got %v, %v", err, ctx.Err())
	}
}
