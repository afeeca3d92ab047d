package sqlite

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"lastseen/db"
	"lastseen/db/dbtest"

	"github.com/google/uuid"
)

func TestReaches(t *testing.T) {
	t.Parallel()
	s := open(t)
	ada := dbtest.CreateUser(t, s, "ada", true)
	lives, ended := dbtest.CreateSession(t, s, ada, "192.0.2.1", start), dbtest.CreateSession(t, s, ada, "192.0.2.1", start)
	if err := s.EndSession(t.Context(), db.Use{UUID: ended.UUID}, db.Revoked, dbtest.Event(db.ModelDeleted)); err != nil {
		t.Fatal(err)
	}
	record := func(limit int, reaches map[db.SessionHost]db.Reach) {
		t.Helper()
		if err := s.RecordReaches(t.Context(), maps.All(reaches), limit); err != nil {
			t.Fatal(err)
		}
	}
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }
	check := func(id uuid.UUID, want ...db.Reach) {
		t.Helper()
		if got, err := s.Reaches(t.Context(), id); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, %v\nwant %v", got, err, want)
		}
	}
	nobody := uuid.New()
	record(9, map[db.SessionHost]db.Reach{
		{Session: lives.UUID, Host: "a"}: {First: at(1), Last: at(2)},
		{Session: lives.UUID, Host: "b"}: {First: at(3), Last: at(3)},
		{Session: ended.UUID, Host: "a"}: {First: at(1), Last: at(1)},
		{Session: nobody, Host: "a"}:     {First: at(1), Last: at(1)},
	})
	check(lives.UUID, db.Reach{Host: "b", First: at(3), Last: at(3)}, db.Reach{Host: "a", First: at(1), Last: at(2)})
	check(ended.UUID, db.Reach{Host: "a", First: at(1), Last: at(1)})
	check(nobody)
	// Later ones move the last, not the first; older ones nothing.
	record(9, map[db.SessionHost]db.Reach{{Session: lives.UUID, Host: "a"}: {First: at(5), Last: at(6)}, {Session: lives.UUID, Host: "b"}: {First: at(1), Last: at(1)}})
	check(lives.UUID, db.Reach{Host: "a", First: at(1), Last: at(6)}, db.Reach{Host: "b", First: at(3), Last: at(3)})
	// Of too many, those reached last are kept.
	record(2, map[db.SessionHost]db.Reach{{Session: lives.UUID, Host: "c"}: {First: at(7), Last: at(7)}})
	check(lives.UUID, db.Reach{Host: "c", First: at(7), Last: at(7)}, db.Reach{Host: "a", First: at(1), Last: at(6)})
	defer func(n int) { usesChunk = n }(usesChunk)
	usesChunk = 50 // each of a session's hosts is compared with all of them
	many := map[db.SessionHost]db.Reach{}
	for i := range 2 * usesChunk {
		many[db.SessionHost{Session: ended.UUID, Host: fmt.Sprint(i)}] = db.Reach{First: at(i), Last: at(i)}
	}
	record(3*usesChunk, many)
	if got, err := s.Reaches(t.Context(), ended.UUID); err != nil || len(got) != 2*usesChunk+1 {
		t.Errorf("many: got %d, %v", len(got), err)
	}
}

// The gate's rules, read after every change of a user, wait for no slow list.
func TestRulesWaitForNoList(t *testing.T) {
	t.Parallel()
	s := open(t)
	for range 2 { // two searches that take long
		conn, err := s.list.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := s.Rules(ctx); err != nil {
		t.Errorf("the gate's rules: %v", err)
	}
}
