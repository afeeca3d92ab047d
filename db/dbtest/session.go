package dbtest

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

func (on suite) TestSessionRoundTrip(t *testing.T) {
	s := on.open(t)
	ada := CreateUser(t, s, "ada", true)
	want := CreateSession(t, s, ada, "2001:db8::1", Start)
	want.Username = "ada"
	got, err := stored(t, s, want.UUID)
	if err != nil {
		t.Fatal(err)
	}
	want.AgentID = got.AgentID
	if *got.Agent != *want.Agent {
		t.Errorf("got %+v\nwant %+v", got.Agent, want.Agent)
	}
	got.Agent = want.Agent
	if got != want || got.AgentID == 0 {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if agent, err := s.Agent(t.Context(), got.AgentID); err != nil || *agent != *want.Agent {
		t.Errorf("agent: got %+v, %v", agent, err)
	}
	lean := want
	lean.Username, lean.Agent = "", nil
	if got, err := s.SessionByToken(want.UUID[:]); err != nil || got != lean {
		t.Errorf("by token: got %+v, %v\nwant %+v", got, err, lean)
	}
	if got, err := s.SessionByUUID(want.UUID); err != nil || got != lean {
		t.Errorf("by uuid: got %+v, %v\nwant %+v", got, err, lean)
	}
	for _, err := range []error{second(s.SessionByToken([]byte("nobody's"))), second(s.SessionByUUID(uuid.New()))} {
		if !errors.Is(err, db.ErrNotFound) {
			t.Errorf("unknown session: got %v, want db.ErrNotFound", err)
		}
	}
	if _, err := s.SessionByUUID(uuid.New()); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("unknown session: got %v, want db.ErrNotFound", err)
	}
}

func second[T any](_ T, err error) error { return err }

func (on suite) TestCreateSessionNeedsTheVerifiedPassword(t *testing.T) {
	s := on.open(t)
	CreateUser(t, s, "root", true)
	for name, change := range map[string]func(db.User) error{
		"password": func(u db.User) error {
			return s.SetPassword(t.Context(), db.PasswordChange{UserID: u.ID, Hash: "other", Event: Event(db.PasswordSet)})
		},
		"disabled": func(u db.User) error { return s.SetActive(t.Context(), u.ID, false, true, Event(db.ModelUpdated)) },
		"deleted":  func(u db.User) error { return s.DeleteUser(t.Context(), u.ID, true, Event(db.ModelDeleted)) },
	} {
		u := CreateUser(t, s, name, false)
		if err := change(u); err != nil {
			t.Fatal(err)
		}
		sess := db.Session{UUID: uuid.New(), Agent: Agent("x"), IP: netip.MustParseAddr("192.0.2.1"), Created: Start, LastUsed: Start, Ends: Start.Add(1), Expires: Start.Add(1)}
		_, err := s.CreateSession(t.Context(), db.SignIn{User: u, Session: sess, TokenHash: []byte(name), Event: Event(db.Login)})
		if !errors.Is(err, db.ErrNotFound) {
			t.Errorf("%s after it was verified: got %v, want db.ErrNotFound", name, err)
		}
	}
}

func (on suite) TestRecordUses(t *testing.T) {
	s := on.open(t)
	ada := CreateUser(t, s, "ada", true)
	sess := CreateSession(t, s, ada, "192.0.2.1", Start)
	gone := CreateSession(t, s, ada, "192.0.2.1", Start)
	if err := s.EndSession(t.Context(), db.Use{UUID: gone.UUID}, db.Revoked, Event(db.ModelDeleted)); err != nil {
		t.Fatal(err)
	}
	newer := Agent("new")
	use := db.Use{Session: sess.ID, UUID: sess.UUID, At: Start.Add(time.Minute), IP: netip.MustParseAddr("192.0.2.9"), Via: netip.MustParseAddr("10.0.0.1"), Agent: newer}
	record := func(idle time.Duration, uses ...db.Use) {
		t.Helper()
		if err := s.RecordUses(t.Context(), slices.Values(uses), idle); err != nil {
			t.Fatal(err)
		}
	}
	stored := func() db.Session {
		t.Helper()
		got, err := stored(t, s, sess.UUID)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	endedUse, noUse := use, use
	endedUse.Session, noUse.Session = gone.ID, 12345
	record(10*time.Minute, use, endedUse, noUse)
	got := stored()
	if got.LastUsed != use.At || got.IP != use.IP || got.Via != use.Via || *got.Agent != *newer {
		t.Errorf("got %+v, want the use %+v", got, use)
	}
	if want := Start.Add(11 * time.Minute); got.Expires != want {
		t.Errorf("expires with an idle limit: got %v, want %v", got.Expires, want)
	}
	if _, err := s.SessionByUUID(gone.UUID); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("a use brought an ended session back: %v", err)
	}
	// From where it was, and an older one never turns the clock back.
	record(10*time.Minute, db.Use{Session: sess.ID, UUID: sess.UUID, At: Start.Add(2 * time.Minute)})
	record(10*time.Minute, db.Use{Session: sess.ID, UUID: sess.UUID, At: Start})
	if got := stored(); got.LastUsed != Start.Add(2*time.Minute) || got.Expires != Start.Add(12*time.Minute) || got.IP != use.IP || *got.Agent != *newer {
		t.Errorf("after an older use: got %+v", got)
	}
	// A row's ID is given anew: what was noted of the old session is not of the new one.
	record(0, db.Use{Session: sess.ID, UUID: uuid.New(), At: Start.Add(3 * time.Minute), IP: netip.MustParseAddr("192.0.2.66"), Agent: newer})
	if got := stored(); got.IP != use.IP {
		t.Errorf("a use of another session: got %v", got.IP)
	}
	// More than are written at once.
	many := make([]db.Use, 2000)
	for i := range many {
		many[i] = db.Use{Session: sess.ID, UUID: sess.UUID, At: Start.Add(time.Hour + time.Duration(i)*time.Second)}
	}
	record(0, many...)
	if got := stored(); got.LastUsed != many[len(many)-1].At {
		t.Errorf("the last of many uses: got %v, want %v", got.LastUsed, many[len(many)-1].At)
	}
}

func (on suite) TestSetIdle(t *testing.T) {
	s := on.open(t)
	sess := CreateSession(t, s, CreateUser(t, s, "ada", true), "192.0.2.1", Start)
	for _, tt := range []struct {
		idle time.Duration
		want time.Time
	}{{0, sess.Ends}, {time.Hour, Start.Add(time.Hour)}, {100 * time.Hour, sess.Ends}, {0, sess.Ends}} {
		if err := s.SetIdle(t.Context(), tt.idle); err != nil {
			t.Fatal(err)
		}
		if got, _ := s.SessionByUUID(sess.UUID); got.Expires != tt.want {
			t.Errorf("idle %v: expires %v, want %v", tt.idle, got.Expires, tt.want)
		}
	}
}

func (on suite) TestWhatEndsSessions(t *testing.T) {
	s := on.open(t)
	CreateUser(t, s, "root", true)
	ada := CreateUser(t, s, "ada", false)
	for _, tt := range []struct {
		name   string
		end    func(db.Session) error
		reason db.Reason
	}{
		{"revoked", func(x db.Session) error {
			return s.EndSession(t.Context(), db.Use{UUID: x.UUID}, db.Revoked, Event(db.ModelDeleted))
		}, db.Revoked},
		{"password", func(x db.Session) error {
			return s.SetPassword(t.Context(), db.PasswordChange{UserID: ada.ID, Hash: "new", Event: Event(db.PasswordSet)})
		}, db.PasswordChanged},
		{"all", func(x db.Session) error {
			_, err := s.EndSessions(t.Context(), []int64{ada.ID}, uuid.Nil, Start, db.Revoked, func(db.Session) db.Event { return Event(db.ModelDeleted) })
			return err
		}, db.Revoked},
		{"expired", func(x db.Session) error {
			_, err := s.ExpireSessions(t.Context(), x.Ends, 10)
			return err
		}, db.Expired},
		{"disabled", func(x db.Session) error {
			return s.SetActive(t.Context(), ada.ID, false, true, Event(db.ModelUpdated))
		}, db.UserDisabled},
	} {
		ada.PasswordHash = "hash of ada"
		if tt.name != "revoked" {
			ada, _ = s.User(t.Context(), ada.ID)
		}
		sess := CreateSession(t, s, ada, "192.0.2.1", Start)
		if err := tt.end(sess); err != nil {
			t.Fatal(tt.name, err)
		}
		if _, err := s.SessionByUUID(sess.UUID); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("%s: the session lives on: %v", tt.name, err)
		}
		ended, err := s.EndedSession(t.Context(), sess.UUID)
		if err != nil || ended.Reason != tt.reason || *ended.Agent != *sess.Agent {
			t.Errorf("%s: history has %+v, %v", tt.name, ended, err)
		}
	}
	if err := s.EndSession(t.Context(), db.Use{UUID: uuid.New()}, db.Revoked, Event(db.ModelDeleted)); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("ending what is not there: got %v, want db.ErrNotFound", err)
	}
	if err := s.DeleteUser(t.Context(), ada.ID, true, Event(db.ModelDeleted)); err != nil {
		t.Error("delete a user with history:", err)
	}
}

// The last use goes into history with the end of its session, and moves the idle limit
// as it would have.
func (on suite) TestEndSessionWithItsLastUse(t *testing.T) {
	s := on.open(t)
	ada := CreateUser(t, s, "ada", true)
	elsewhere := netip.MustParseAddr("192.0.2.9")
	for _, tt := range []struct {
		name      string
		use       db.Use
		used      time.Duration // after the Start, for the last use that history has
		ip, agent string
		expires   time.Duration
	}{
		{name: "nothing noted", used: 0, ip: "192.0.2.1", expires: time.Hour},
		{name: "used", use: db.Use{At: Start.Add(time.Minute)}, used: time.Minute, ip: "192.0.2.1", expires: time.Hour + time.Minute},
		{name: "an older use", use: db.Use{At: Start.Add(-time.Minute)}, used: 0, ip: "192.0.2.1", expires: time.Hour},
		{name: "moved", use: db.Use{At: Start.Add(2 * time.Minute), IP: elsewhere, Agent: Agent("new")}, used: 2 * time.Minute, ip: "192.0.2.9", agent: "new", expires: time.Hour + 2*time.Minute},
		{name: "moved before the last one", use: db.Use{At: Start.Add(-time.Minute), IP: elsewhere, Agent: Agent("new")}, used: 0, ip: "192.0.2.1", expires: time.Hour},
		{name: "up to the absolute limit", use: db.Use{At: Start.Add(23*time.Hour + 30*time.Minute)}, used: 23*time.Hour + 30*time.Minute, ip: "192.0.2.1", expires: 24 * time.Hour},
	} {
		sess := CreateSession(t, s, ada, "192.0.2.1", Start, func(sess *db.Session) { sess.Expires = Start.Add(time.Hour) })
		tt.use.UUID = sess.UUID
		if err := s.EndSession(t.Context(), tt.use, db.Revoked, Event(db.ModelDeleted)); err != nil {
			t.Fatal(err)
		}
		got, err := s.EndedSession(t.Context(), sess.UUID)
		if err != nil || !got.LastUsed.Equal(Start.Add(tt.used)) || got.IP.String() != tt.ip || !got.Expires.Equal(Start.Add(tt.expires)) ||
			tt.agent != "" && got.Agent.String != tt.agent {
			t.Errorf("%s: history has %+v, %v", tt.name, got, err)
		}
	}
}

func (on suite) TestEndSessionsSparesOne(t *testing.T) {
	s := on.open(t)
	ada := CreateUser(t, s, "ada", true)
	bob := CreateUser(t, s, "bob", false)
	here, there := CreateSession(t, s, ada, "192.0.2.1", Start), CreateSession(t, s, ada, "192.0.2.2", Start)
	other := CreateSession(t, s, bob, "192.0.2.3", Start)
	ended, err := s.EndSessions(t.Context(), []int64{ada.ID}, here.UUID, Start, db.Revoked, func(db.Session) db.Event { return Event(db.ModelDeleted) })
	if err != nil || !slices.Equal(ended, []uuid.UUID{there.UUID}) {
		t.Errorf("ended %v, %v, want %v", ended, err, there.UUID)
	}
	for _, sess := range []db.Session{here, other} {
		if _, err := s.SessionByUUID(sess.UUID); err != nil {
			t.Error(err)
		}
	}
}

// Of those that are chosen, what is gone is passed over, and has no event.
func (on suite) TestEndChosen(t *testing.T) {
	s := on.open(t)
	ada, bob := CreateUser(t, s, "ada", true), CreateUser(t, s, "bob", false)
	one, two, gone, stays := CreateSession(t, s, ada, "192.0.2.1", Start), CreateSession(t, s, bob, "192.0.2.2", Start),
		CreateSession(t, s, bob, "192.0.2.3", Start), CreateSession(t, s, bob, "192.0.2.4", Start)
	endSession(t, s, gone.UUID, Start)
	used := Start.Add(time.Minute)
	var last []db.Use
	var events []db.Event
	for _, sess := range []db.Session{one, gone, two, two} {
		last, events = append(last, db.Use{UUID: sess.UUID, At: used}), append(events, Event(db.SecretView))
	}
	ended, err := s.EndChosen(t.Context(), last, db.Revoked, events)
	if err != nil || !slices.Equal(ended, []uuid.UUID{one.UUID, two.UUID}) {
		t.Errorf("ended %v, %v, want %v and %v", ended, err, one.UUID, two.UUID)
	}
	for _, sess := range []db.Session{one, two} {
		if got, err := s.EndedSession(t.Context(), sess.UUID); err != nil || got.Reason != db.Revoked || !got.LastUsed.Equal(used) {
			t.Errorf("history has %+v, %v", got, err)
		}
	}
	if _, err := s.SessionByUUID(stays.UUID); err != nil {
		t.Errorf("the one that was not chosen: %v", err)
	}
	if _, total, err := s.Events(t.Context(), db.EventFilter{Actions: []db.Action{db.SecretView}}); err != nil || total != 2 {
		t.Errorf("%d events, %v, want 2", total, err)
	}
}

// Without an order, what ended last is first, and what still lives last; each says when it
// ended, why and by whom, and as it was found alone.
func (on suite) TestHistoryTellsTheEnd(t *testing.T) {
	s := on.open(t)
	all := fill(t, s, 6)
	for i, sess := range all[:5] {
		endSession(t, s, sess.UUID, Start.Add(time.Duration(i)*time.Minute))
	}
	found, total, err := s.History(t.Context(), db.SessionFilter{State: db.Any, Now: Start, Limit: 10})
	if err != nil || total != 6 || len(found) != 6 {
		t.Fatalf("got %d of %d, %v", len(found), total, err)
	}
	for i, e := range found[:5] {
		alone, err := s.EndedSession(t.Context(), e.UUID)
		if err != nil || !reflect.DeepEqual(alone, e) {
			t.Errorf("alone: got %+v, %v\nwant %+v", alone, err, e)
		}
		if e.UUID != all[4-i].UUID || !e.Ended.Equal(Start.Add(time.Duration(4-i)*time.Minute)) || e.Reason != db.Revoked || e.EndedBy != "test" || e.Username == "" {
			t.Errorf("%d: got %+v", i, e)
		}
	}
	if lives := found[5]; lives.UUID != all[5].UUID || !lives.Ended.IsZero() || lives.Reason != "" || lives.EndedBy != "" {
		t.Errorf("of one that lives: got %+v", lives)
	}
	if _, err := s.EndedSession(t.Context(), all[5].UUID); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("one that lives: got %v", err)
	}
}

func endSession(t testing.TB, s Store, id uuid.UUID, at time.Time) {
	t.Helper()
	event := Event(db.ModelDeleted)
	event.Created = at
	if err := s.EndSession(t.Context(), db.Use{UUID: id}, db.Revoked, event); err != nil {
		t.Fatal(err)
	}
}

// A part of a name finds up to two that begin with it.
func (on suite) TestFindSessions(t *testing.T) {
	s := on.open(t)
	sess := fill(t, s, 5)[1]
	for n := 4; n <= 16; n++ {
		from, to := sess.UUID, sess.UUID
		for i := n; i < 16; i++ {
			from[i], to[i] = 0, 0xff
		}
		if found, err := s.FindSessions(t.Context(), from, to); err != nil || len(found) != 1 || found[0] != sess.UUID {
			t.Errorf("%d bytes: got %v, %v", n, found, err)
		}
	}
	if found, err := s.FindSessions(t.Context(), uuid.UUID{}, uuid.Max); err != nil || len(found) != 2 {
		t.Errorf("all: got %v, %v", found, err)
	}
	endSession(t, s, sess.UUID, Start)
	if found, err := s.FindSessions(t.Context(), sess.UUID, sess.UUID); err != nil || len(found) != 0 {
		t.Errorf("ended: got %v, %v", found, err)
	}
}

// A revision is another one after each beginning and end, and no former one comes back,
// also when a user is deleted with all that was numbered last. What changes no list, such
// as a wrong password, changes no revision.
func (on suite) TestRevisionComesOnce(t *testing.T) {
	s := on.open(t)
	ada := CreateUser(t, s, "ada", true)
	came := map[int64]map[string]string{0: {}, ada.ID: {}}
	check := func(what string, of ...int64) {
		t.Helper()
		for _, user := range of {
			revision, err := s.Revision(t.Context(), user)
			if before, again := came[user][revision]; again || err != nil {
				t.Errorf("%s: of %d it is %s, as %s; %v", what, user, revision, before, err)
			}
			came[user][revision] = what
		}
	}
	check("at first", 0, ada.ID)
	sess := CreateSession(t, s, ada, "192.0.2.1", Start)
	check("ada's session", 0, ada.ID)
	for i := range 3 {
		guest := CreateUser(t, s, fmt.Sprint("guest", i), false)
		for range 2 {
			ends := CreateSession(t, s, guest, "192.0.2.1", Start)
			check("a guest's session", 0)
			endSession(t, s, ends.UUID, Start)
			check("its end", 0)
		}
		CreateSession(t, s, guest, "192.0.2.1", Start)
		check("a guest's last", 0)
		if err := s.DeleteUser(t.Context(), guest.ID, false, Event(db.ModelDeleted)); err != nil {
			t.Fatal(err)
		}
		check("a guest is deleted", 0)
		endSession(t, s, sess.UUID, Start)
		check("ada's end", 0, ada.ID)
		sess = CreateSession(t, s, ada, "192.0.2.1", Start)
		check("ada's next session", 0, ada.ID)
	}
	// All of history goes, and its numbers are given anew.
	for range 3 {
		if err := s.Purge(t.Context(), Start.Add(time.Hour), Start, Start); err != nil {
			t.Fatal(err)
		}
		check("a purge", 0, ada.ID)
		if err := s.Purge(t.Context(), Start.Add(time.Hour), Start, Start); err != nil {
			t.Fatal(err)
		}
		if revision, err := s.Revision(t.Context(), 0); err != nil || came[0][revision] != "a purge" {
			t.Errorf("a purge of nothing: it is %s, %v", revision, err)
		}
		endSession(t, s, sess.UUID, Start)
		check("ada's end", 0, ada.ID)
		sess = CreateSession(t, s, ada, "192.0.2.1", Start)
		check("ada's next session", 0, ada.ID)
	}
	for user, before := range came {
		if err := s.LoginFailed(t.Context(), "ada", "192.0.2.1/32", Event(db.LoginFailed), db.LoginLimits{}); err != nil {
			t.Fatal(err)
		}
		if revision, err := s.Revision(t.Context(), user); err != nil || before[revision] != "ada's next session" {
			t.Errorf("a wrong password: of %d it is %s, %v", user, revision, err)
		}
	}
}
