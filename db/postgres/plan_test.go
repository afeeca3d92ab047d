package postgres

import (
	"context"
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
		SELECT gen_random_uuid(), sha256(n::text::bytea), user_id, agent_id, last_ip, method, created, last_used, ends, expires FROM sessions, generate_series(1, 5000) AS n;
		ANALYZE sessions`)
	for name, ask := range map[string]func() error{
		"what has expired": func() error { _, err := s.ExpireSessions(t.Context(), dbtest.Start, 100); return err },
		"a token":          func() error { _, err := s.SessionByToken(sess.UUID[:]); return err },
		"a session":        func() error { _, err := s.SessionByUUID(sess.UUID); return err },
		"revision":         func() error { _, err := s.Revision(t.Context(), ada.ID); return err },
		"a use": func() error {
			use := db.Use{Session: sess.ID, UUID: sess.UUID, At: dbtest.Start.Add(time.Second), IP: sess.IP}
			return s.RecordUses(t.Context(), func(yield func(db.Use) bool) { yield(use) }, 0)
		},
	} {
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

// scans is how often all sessions were read so far, by connections that have ended.
func scans(t *testing.T, s *Store) (n int64) {
	t.Helper()
	for others := int64(1); others > 0; time.Sleep(5 * time.Millisecond) {
		s.pool.reset() // the store's own rounds may have taken one up meanwhile
		err := s.read(t.Context(), func(ctx context.Context, q querier) error {
			return q.row(ctx, `SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()), seq_scan
				FROM pg_stat_user_tables WHERE relname = 'sessions'`).Scan(&others, &n)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}
