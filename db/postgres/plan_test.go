package postgres

import (
	"context"
	"fmt"
	"testing"
	"time"

	"lastseen/db"
	"lastseen/db/dbtest"
)

// What is asked at each request, list and page reads no whole table, however often it was
// asked before: from the sixth time on a prepared statement is planned without its values.
func TestPreparedReadsTheIndex(t *testing.T) {
	t.Parallel()
	s := open(t, template.New(t))
	ada := dbtest.CreateUser(t, s, "ada", true)
	sess := dbtest.CreateSession(t, s, ada, "192.0.2.1", dbtest.Start)
	run(t, s, `INSERT INTO sessions (uuid, token_hash, user_id, agent_id, last_ip, method, created, last_used, ends, expires)
		SELECT gen_random_uuid(), sha256(n::text::bytea), user_id, agent_id, last_ip, method, created, last_used + n * 1e9::bigint, ends, expires FROM sessions, generate_series(1, 5000) AS n;
		ANALYZE sessions`)
	asks := map[string]func() error{
		"what has expired": func() error { _, err := s.ExpireSessions(t.Context(), dbtest.Start, 100); return err },
		"a token":          func() error { _, err := s.SessionByToken(sess.UUID[:]); return err },
		"a session":        func() error { _, err := s.SessionByUUID(sess.UUID); return err },
		"revision":         func() error { _, err := s.Revision(t.Context(), ada.ID); return err },
		"a use": func() error {
			use := db.Use{Session: sess.ID, UUID: sess.UUID, At: dbtest.Start.Add(time.Second), IP: sess.IP}
			return s.RecordUses(t.Context(), func(yield func(db.Use) bool) { yield(use) }, 0)
		},
	}
	for column := range sessionOrderings {
		if column == "ended" {
			continue
		}
		for name, f := range map[string]db.SessionFilter{"of all": {}, "far in": {Offset: 2000}} {
			f.Now, f.Limit, f.Ordering = dbtest.Start, 20, []db.Order{{Column: column, Descending: true}}
			asks[fmt.Sprintf("%s by %s", name, column)] = func() error { _, _, err := s.Sessions(t.Context(), f); return err }
		}
	}
	for name, ask := range asks {
		before := scans(t, s)
		for range 10 {
			if err := ask(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if n := scans(t, s) - before; n != 0 {
			t.Errorf("%s: asked ten times, all sessions were read %d times", name, n)
		}
	}
}

// scans is how often the store's connection read all sessions so far.
func scans(t *testing.T, s *Store) (n int64) {
	t.Helper()
	run(t, s, `SELECT pg_stat_force_next_flush()`)
	err := s.read(t.Context(), func(ctx context.Context, q querier) error {
		return q.row(ctx, `SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'sessions'`).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
