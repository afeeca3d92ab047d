package postgres

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"lastseen/db"
	"lastseen/db/dbtest"

	"github.com/google/uuid"
)

// How many sessions live, of all agents and of one, is known whoever begins, uses and ends
// them, while servers make one row of what was counted.
func TestSessionsAreCounted(t *testing.T) {
	url := template.New(t)
	here, there := open(t, url), open(t, url)
	here.server, there.server = uuid.New(), uuid.New()
	ada := dbtest.CreateUser(t, here, "ada", true)
	var wait sync.WaitGroup
	for i, s := range []*Store{here, there, here, there} {
		wait.Go(func() {
			for n := range 20 {
				sess := dbtest.CreateSession(t, s, ada, "192.0.2.1", dbtest.Start)
				use := db.Use{Session: sess.ID, UUID: sess.UUID, At: dbtest.Start.Add(time.Second), Agent: dbtest.Agent("another"), IP: sess.IP}
				if err := s.RecordUses(t.Context(), slices.Values([]db.Use{use}), 0); err != nil {
					t.Error(err)
				}
				if (n+i)%2 == 0 {
					if err := there.EndSession(t.Context(), db.Use{UUID: sess.UUID}, db.Revoked, dbtest.Event(db.Logout)); err != nil {
						t.Error(err)
					}
				}
				if n%5 == 0 {
					if err := s.appear(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wait.Wait()
	if err := here.appear(t.Context()); err != nil {
		t.Fatal(err)
	}
	for agent, want := range map[string]int{"": 40, "agent of ada": 0, "another": 40} {
		f := db.SessionFilter{Now: dbtest.Start}
		if agent != "" {
			f.Agent = &agent
		}
		if _, total, err := here.Sessions(t.Context(), f); err != nil || total != want {
			t.Errorf("of agent %q: got %d sessions, want %d, %v", agent, total, want, err)
		}
	}
	var counts []int64
	err := here.read(t.Context(), func(ctx context.Context, q querier) (err error) {
		counts, err = rows(ctx, q, column[int64], `SELECT sessions FROM session_counts`)
		return err
	})
	if err != nil || !slices.Equal(counts, []int64{40}) {
		t.Errorf("got rows of %v sessions, want one of 40: %v", counts, err)
	}
}
