package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lastseen/app/live"
	"lastseen/db"

	"github.com/google/uuid"
)

// A command beside the server ends no session by the idle limit whose use the
// server has yet to write, and no use brings back one that has expired.
func TestIdleLimitBesideAServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, advance := clocked(t, dir)
	beside := openApp(t, dir)
	beside.Now = server.Now
	for _, a := range []*App{server, beside} {
		a.Config.SessionIdle = time.Minute
		a.live = live.New(a.store, live.Options{Now: a.now, Idle: time.Minute, Agents: a.agents, Bounds: live.DefaultBounds})
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

// The operator finds and ends a session whose idle limit has passed as far as is stored,
// since the server beside has yet to write its last use, by its name or a part of it;
// nobody else does.
func TestOperatorEndsWhatLooksExpired(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, advance := clocked(t, dir)
	beside := openApp(t, dir)
	beside.Now = server.Now
	for _, a := range []*App{server, beside} {
		a.Config.SessionIdle = time.Minute
		a.live = live.New(a.store, live.Options{Now: a.now, Idle: time.Minute, Agents: a.agents, Bounds: live.DefaultBounds})
	}
	root := create(t, server, NewUser{Username: "root", Superuser: true})
	token, id := insertSession(t, server, root)
	use := func() error {
		_, err := server.Authenticate(t.Context(), []string{token}, from("192.0.2.7"))
		return err
	}
	if err := errors.Join(use(), server.live.Flush(t.Context())); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		advance(50 * time.Second)
		if err := use(); err != nil { // which is not written
			t.Fatal(err)
		}
	}
	if _, err := beside.Session(t.Context(), Caller{User: &root}, id); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("to a superuser beside the server: got %v", err)
	}
	for _, part := range []string{"", "no uuid", id.String()[:7], id.String() + "0"} {
		var input *db.InputError
		if _, err := beside.FindSession(t.Context(), part); !errors.As(err, &input) {
			t.Errorf("%q: got %v, want it refused", part, err)
		}
	}
	for _, part := range []string{id.String(), strings.ToUpper(id.String()), id.String()[:8], id.String()[:9], id.String()[:20]} {
		if found, err := beside.FindSession(t.Context(), part); err != nil || found != id {
			t.Errorf("%q: got %v, %v", part, found, err)
		}
	}
	if err := beside.RevokeSession(t.Context(), Operator, id); err != nil {
		t.Error(err)
	}
	if err := use(); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("it was ended, and then: %v", err)
	}
	if e, err := beside.EndedSession(t.Context(), Operator, id); err != nil || e.Reason != db.Revoked {
		t.Errorf("got %+v, %v", e, err)
	}
}

// A clock that was ahead for a while leaves a last use of then: the next use says when it
// is, and the idle limit begins there. Until then the doctor tells of it.
func TestClockWasAhead(t *testing.T) {
	t.Parallel()
	a, advance := clocked(t, t.TempDir())
	advance(newest.Sub(a.Now()) + 24*time.Hour)
	a.Config.SessionIdle = time.Hour
	a.live = live.New(a.store, live.Options{Now: a.now, Idle: time.Hour, Agents: a.agents, Bounds: live.DefaultBounds})
	root := create(t, a, NewUser{Username: "root", Superuser: true})
	token, id := insertSession(t, a, root)
	use := func() {
		t.Helper()
		_, err := a.Authenticate(t.Context(), []string{token}, from("192.0.2.7"))
		if err := errors.Join(err, a.live.Flush(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	check := func(want string) {
		t.Helper()
		if got := a.checkClock(t.Context()); got.State != want {
			t.Errorf("the doctor says %+v", got)
		}
	}
	use()
	check(Good)
	for range 72 * 2 { // used all the time, or the idle limit would end it
		advance(30 * time.Minute)
		if _, err := a.Authenticate(t.Context(), []string{token}, from("192.0.2.7")); err != nil {
			t.Fatal(err)
		}
	}
	use()
	advance(-72 * time.Hour)
	check(Warning)
	use()
	check(Good)
	if sess, err := a.Session(t.Context(), Operator, id); err != nil || !sess.LastUsed.Equal(a.now()) || !sess.Expires.Equal(a.now().Add(time.Hour)) {
		t.Errorf("used now, %v: got %v, until %v, %v", a.now(), sess.LastUsed, sess.Expires, err)
	}
	advance(time.Hour)
	if _, err := a.Authenticate(t.Context(), []string{token}, from("192.0.2.7")); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("unused for an hour: got %v", err)
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
	t.Parallel()
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
		"signed out": func(a, _ *App, user db.User, _ string, id uuid.UUID) error {
			return a.SignOut(t.Context(), Caller{User: &user, Session: id})
		},
		"theirs revoked": func(a, _ *App, user db.User, _ string, _ uuid.UUID) error {
			_, err := a.RevokeSessions(t.Context(), Operator.Actor(), []int64{user.ID}, uuid.Nil)
			return err
		},
		"disabled": func(a, _ *App, user db.User, _ string, _ uuid.UUID) error {
			return a.SetUserActive(t.Context(), Operator.Actor(), user, false)
		},
		"password set": func(a, _ *App, user db.User, _ string, _ uuid.UUID) error {
			return a.SetPassword(t.Context(), Operator.Actor(), user, NewPassword{Password: "another horse"})
		},
		"revoked by another process": func(a, there *App, _ db.User, token string, id uuid.UUID) error {
			if err := a.live.FlushUsers(t.Context(), nil); err != nil { // which sees only what is written
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
			create(t, a, NewUser{Username: "another", Superuser: true})
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

// Signing out that fails, as on a full disk, ends nothing and loses nothing.
func TestSignOutFails(t *testing.T) {
	t.Parallel()
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
	if got, err := a.store.SessionByUUID(id); err != nil || !got.LastUsed.Equal(a.now()) || got.IP.String() != "198.51.100.9" {
		t.Errorf("stored a use at %v from %v, %v; want %v from 198.51.100.9", got.LastUsed, got.IP, err, a.now())
	}
	if hosts, err := a.SessionHosts(t.Context(), id); err != nil || len(hosts) != 1 {
		t.Errorf("got hosts %v, %v", hosts, err)
	}
}

// A key that cannot be looked up is an error, and no panic.
func TestKeyCannotBeLookedUp(t *testing.T) {
	t.Parallel()
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

// Who signs in elsewhere is shown with that everywhere, at once.
func TestLastLogin(t *testing.T) {
	t.Parallel()
	a, advance := clocked(t, t.TempDir())
	create(t, a, NewUser{Username: "ada"})
	client := from("192.0.2.1")
	var tokens []string
	for range 3 {
		advance(time.Minute)
		token, _, err := a.SignIn(t.Context(), Credentials{Username: "ada", Password: "correct horse"}, client, nil)
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token)
		for i, token := range tokens {
			if caller, err := a.Authenticate(t.Context(), []string{token}, client); err != nil || !caller.User.LastLogin.Equal(a.now()) {
				t.Errorf("after %d sign-ins session %d shows the last one at %v, %v, want %v", len(tokens), i, caller.User.LastLogin, err, a.now())
			}
		}
	}
}

// However many uses wait to be written, whoever lists or exports living sessions sees
// each as it was used last.
func TestHistoryShowsUsesThatWait(t *testing.T) {
	t.Parallel()
	a := openApp(t, t.TempDir())
	ada := create(t, a, NewUser{Username: "ada", Superuser: true})
	const many = 2100 // more than are written for every list
	start := a.now()
	a.Now = func() time.Time { return start }
	var tokens []string
	for range many {
		token, _ := insertSession(t, a, ada)
		tokens = append(tokens, token)
	}
	used := start.Add(time.Hour)
	a.Now = func() time.Time { return used }
	for _, token := range tokens {
		if _, err := a.Authenticate(t.Context(), []string{token}, from("192.0.2.9")); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, found []Record) {
		t.Helper()
		if len(found) != many {
			t.Errorf("%s: %d sessions, want %d", what, len(found), many)
		}
		for _, r := range found {
			if !r.LastUsed.Equal(used) || r.IP.String() != "192.0.2.9" {
				t.Fatalf("%s: used at %v from %s, want %v from 192.0.2.9", what, r.LastUsed, r.IP, used)
			}
		}
	}
	listed, _, err := a.History(t.Context(), Operator, db.SessionFilter{State: db.Any, Limit: 2 * many})
	if err != nil {
		t.Fatal(err)
	}
	check("listed", listed)
	var exported []Record
	err = a.Export(t.Context(), Operator, db.SessionFilter{State: db.Any}, func(some []Record) error {
		exported = append(exported, some...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	check("exported", exported)
}

// What happens now is of today, the last of the days.
func TestEventsPerDayHaveToday(t *testing.T) {
	t.Parallel()
	a, advance := clocked(t, t.TempDir())
	create(t, a, NewUser{Username: "ada"})
	for _, day := range []int{0, 1, 29} {
		if err := signIn(a, "ada", "correct horse", "192.0.2.1"); err != nil {
			t.Fatal(err)
		}
		counts, err := a.EventsPerDay(t.Context(), Operator, db.Login, 30)
		if err != nil || len(counts) != 30 || counts[29].Count != 1 {
			t.Errorf("day %d: got %v, %v", day, counts, err)
		}
		advance(25 * time.Hour)
	}
}
