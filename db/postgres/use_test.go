package postgres

import (
	"context"
	"fmt"
	"testing"
	"time"

	"lastseen/db"
	"lastseen/db/dbtest"
)

// Two machines that write the uses of the same sessions, from new agents, never wait for
// each other in turn: no deadlock need be found, and nothing be tried again.
func TestUsesDoNotDeadlock(t *testing.T) {
	url := template.New(t)
	here, there := open(t, url), open(t, url)
	ada := dbtest.CreateUser(t, here, "ada", true)
	first, second := dbtest.CreateSession(t, here, ada, "192.0.2.1", dbtest.Start), dbtest.CreateSession(t, here, ada, "192.0.2.2", dbtest.Start)
	for n := range 30 {
		at := dbtest.Start.Add(time.Duration(n) * time.Second)
		use := func(sess db.Session, agent string) db.Use {
			use := db.Use{Session: sess.ID, UUID: sess.UUID, At: at}
			if agent != "" {
				use.Agent, use.IP = dbtest.Agent(fmt.Sprint(agent, n)), sess.IP
			}
			return use
		}
		uses := [][]db.Use{{use(first, "a"), use(second, "")}, {use(first, ""), use(second, "b")}}
		if n%2 == 1 {
			uses = [][]db.Use{{use(first, "a"), use(second, "b")}, {use(first, "b"), use(second, "a")}}
		}
		errs := both(here, there, func(s *Store, i int) error {
			_, err := s.transact(t.Context(), lightBegin, func(ctx context.Context, q querier) error { return writeUses(ctx, q, uses[i], time.Hour) })
			return err
		})
		if errs != [2]error{} {
			t.Fatal(errs)
		}
	}
}

// A use that another machine writes late moves neither the time nor the place of a later one.
func TestLateUse(t *testing.T) {
	s := open(t, template.New(t))
	sess := dbtest.CreateSession(t, s, dbtest.CreateUser(t, s, "ada", true), "192.0.2.1", dbtest.Start)
	write := func(use db.Use) {
		t.Helper()
		use.Session, use.UUID = sess.ID, sess.UUID
		if err := s.recordUses(t.Context(), []db.Use{use}, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	later := dbtest.Start.Add(2 * time.Second)
	write(db.Use{At: later, Agent: dbtest.Agent("later"), IP: sess.IP.Next()})
	write(db.Use{At: later.Add(-time.Second), Agent: dbtest.Agent("earlier"), IP: sess.IP})
	got, err := s.SessionByUUID(sess.UUID)
	if err != nil {
		t.Fatal(err)
	}
	if agent, err := s.Agent(t.Context(), got.AgentID); err != nil || !got.LastUsed.Equal(later) || got.IP != sess.IP.Next() || agent.String != "later" {
		t.Errorf("got %+v, %+v, %v", got, agent, err)
	}
}
