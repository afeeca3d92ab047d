package dbtest

import (
	"errors"
	"testing"
	"time"

	"lastseen/db"
)

func (on suite) TestPurge(t *testing.T) {
	s := on.open(t)
	ada := CreateUser(t, s, "ada", true)
	numbers := map[int64]bool{}
	sessionBy := func(agent string) db.Session {
		t.Helper()
		sess := CreateSession(t, s, ada, "192.0.2.1", Start, func(sess *db.Session) { sess.Agent = Agent(agent) })
		named, err := s.SessionByUUID(sess.UUID)
		if err != nil || numbers[named.AgentID] {
			t.Errorf("%s: got %+v, %v, want an agent of another number", agent, named, err)
		}
		numbers[named.AgentID] = true
		return named
	}
	first := sessionBy("first/1")
	endSession(t, s, first.UUID, Start)
	endSession(t, s, sessionBy("second/1").UUID, Start)
	if err := s.Purge(t.Context(), Start, Start, Start); err != nil {
		t.Fatal(err)
	}
	if _, n, _ := s.History(t.Context(), db.SessionFilter{User: &ada.ID, State: db.Ended, Limit: 10}); n != 2 {
		t.Errorf("within history: got %d, want 2", n)
	}
	if agent, err := s.Agent(t.Context(), first.AgentID); err != nil || agent.String != "first/1" {
		t.Errorf("an agent within history: got %v, %v", agent, err)
	}
	for range 2 {
		if err := s.Purge(t.Context(), Start.Add(time.Second), Start, Start); err != nil {
			t.Fatal(err)
		}
	}
	if _, n, _ := s.History(t.Context(), db.SessionFilter{User: &ada.ID, State: db.Ended, Limit: 10}); n != 0 {
		t.Errorf("after history: got %d, want 0", n)
	}
	if _, n, _ := s.Events(t.Context(), db.EventFilter{Limit: 10}); n != 0 {
		t.Errorf("events after history: got %d, want 0", n)
	}
	if agent, err := s.Agent(t.Context(), first.AgentID); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("an agent that nothing names: got %v, %v", agent, err)
	}
	sessionBy("third/1")
	lives := sessionBy("fourth/1")
	if err := s.Purge(t.Context(), Start.Add(time.Hour), Start, Start); err != nil {
		t.Fatal(err)
	}
	if got, err := stored(t, s, lives.UUID); err != nil || got.Agent.String != "fourth/1" {
		t.Errorf("what lives: got %+v, %v", got, err)
	}
}
