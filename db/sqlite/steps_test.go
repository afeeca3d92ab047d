package sqlite

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"lastseen/db"
	"lastseen/db/dbtest"

	"github.com/google/uuid"
)

// signedIn stores n sessions of a user, each by an agent of its own.
func signedIn(t *testing.T, s *Store, user db.User, n int, at time.Time) []db.Session {
	t.Helper()
	var all []db.Session
	for i := range n {
		name := fmt.Sprint(user.Username, " ", i, at.UnixNano())
		hash := sha256.Sum256([]byte(name))
		sess := db.Session{UUID: uuid.New(), UserID: user.ID, Username: user.Username, Agent: &db.Agent{String: name}, IP: netip.MustParseAddr("192.0.2.1"),
			Method: "password", Created: at, LastUsed: at, Ends: at.Add(time.Hour), Expires: at.Add(time.Hour)}
		sess, err := s.CreateSession(t.Context(), db.SignIn{User: user, Session: sess, TokenHash: hash[:], Network: "n", Event: db.Event{UUID: uuid.New(), Created: at, Action: db.Login, SubjectID: user.ID, Context: map[string]any{}}})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, sess)
	}
	return all
}

func (s *Store) count(t *testing.T, rows string) (n int) {
	t.Helper()
	if err := s.read.QueryRowContext(t.Context(), `SELECT count(*) FROM `+rows).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Ending very many and forgetting what is old are done in steps, of which the whole is
// the same, also when the program ends between two of them.
func TestStepsMakeAWhole(t *testing.T) {
	t.Parallel()
	s := open(t)
	ada, bob := dbtest.CreateUser(t, s, "ada", true), dbtest.CreateUser(t, s, "bob", false)
	n := 2*stepRows + 3
	all := signedIn(t, s, ada, n, start)
	signedIn(t, s, bob, 5, start)
	describe := func(db.Session) db.Event {
		return db.Event{UUID: uuid.New(), Created: start, Action: db.ModelDeleted, Actor: "x", Context: map[string]any{}}
	}
	ctx, cancel := context.WithCancel(t.Context())
	described := 0
	_, err := s.EndSessions(ctx, []int64{ada.ID}, all[7].UUID, start, db.Revoked, func(sess db.Session) db.Event {
		if described++; described == stepRows+10 {
			cancel() // in the middle of the second step
		}
		return describe(sess)
	})
	if err == nil || s.count(t, "ended_sessions") != stepRows {
		t.Errorf("cut off: %v, and %d have ended, want %d", err, s.count(t, "ended_sessions"), stepRows)
	}
	ended, err := s.EndSessions(t.Context(), []int64{ada.ID}, all[7].UUID, start, db.Revoked, describe)
	if err != nil || len(ended) != n-1-stepRows || slices.Contains(ended, all[7].UUID) {
		t.Errorf("the rest: %d, %v", len(ended), err)
	}
	if living := s.count(t, "sessions"); living != 6 {
		t.Errorf("%d live, want bob's and the one spared", living)
	}
	for _, sess := range all[:3] {
		if err := reach(t, s, sess.UUID); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := s.Purge(t.Context(), start.Add(time.Second), start.Add(time.Second), start); err != nil {
			t.Fatal(err)
		}
		for rows, want := range map[string]int{"ended_sessions": 0, "events": 0, "known_networks": 0, "session_hosts": 0, "user_agents": 6, "sessions": 6} {
			if got := s.count(t, rows); got != want {
				t.Errorf("%s: %d are left, want %d", rows, got, want)
			}
		}
	}
}

// reach notes a host for a session, living or ended, as the gate does.
func reach(t *testing.T, s *Store, id uuid.UUID) error {
	_, err := s.write.ExecContext(t.Context(), `INSERT INTO session_hosts (session, host, first_used, last_used) VALUES ($1, 'app.home.example', 1, 1)`, id[:])
	return err
}

// A last use that is far ahead, from when the clock was, gives way to the next one; one
// that another program wrote a little later does not.
func TestTimesAhead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ stored, use, want time.Duration }{
		{0, time.Minute, time.Minute},
		{5 * time.Minute, time.Minute, 5 * time.Minute},
		{72 * time.Hour, time.Minute, time.Minute},
		{11 * time.Minute, 30 * time.Second, 30 * time.Second},
	} {
		s := open(t)
		sess := signedIn(t, s, dbtest.CreateUser(t, s, "ada", true), 1, start)[0]
		for _, at := range []time.Duration{tt.stored, tt.use} {
			if err := s.RecordUses(t.Context(), slices.Values([]db.Use{{Session: sess.ID, UUID: sess.UUID, At: start.Add(at)}}), time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		if last, err := s.LastUse(t.Context()); err != nil || !last.Equal(start.Add(tt.want)) {
			t.Errorf("%v after %v: got %v, %v, want %v", tt.use, tt.stored, last.Sub(start), err, tt.want)
		}
	}
}

// Nothing of a deleted user is left.
func TestNothingIsLeftOfADeletedUser(t *testing.T) {
	t.Parallel()
	s := open(t)
	ada, bob := dbtest.CreateUser(t, s, "ada", true), dbtest.CreateUser(t, s, "bob", false)
	ends, lives := signedIn(t, s, bob, 2, start), signedIn(t, s, ada, 1, start)
	if err := s.EndSession(t.Context(), db.Use{UUID: ends[0].UUID}, db.Revoked, dbtest.Event(db.ModelDeleted)); err != nil {
		t.Fatal(err)
	}
	for _, sess := range append(ends, lives...) {
		if err := reach(t, s, sess.UUID); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.DeleteUser(t.Context(), bob.ID, true, dbtest.Event(db.ModelDeleted)); err != nil {
		t.Fatal(err)
	}
	for rows, want := range map[string]int{"sessions": 1, "ended_sessions": 0, "session_hosts": 1, "known_networks": 1, "users": 1} {
		if got := s.count(t, rows); got != want {
			t.Errorf("%s: %d are left, want %d", rows, got, want)
		}
	}
}
