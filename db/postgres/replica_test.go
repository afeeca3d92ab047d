package postgres

import (
	"errors"
	"strings"
	"testing"

	"lastseen/db"
	"lastseen/db/dbtest"
)

// What a server that can only be read tells is believed of nobody: it may be a replica on
// which a session goes on that has ended.
func TestReplicaIsNotBelieved(t *testing.T) {
	url := template.New(t)
	s := open(t, url)
	ada := dbtest.CreateUser(t, s, "ada", true)
	sess := dbtest.CreateSession(t, s, ada, "192.0.2.1", dbtest.Start)
	run(t, s, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$`)
	s.pool.reset() // as when the primary stops, and a replica has its address
	_, err := s.SessionByUUID(sess.UUID)
	_, opening := Open(t.Context(), url, Options{})
	var watch watcher
	defer watch.close()
	watching := watch.ping(t.Context(), s.pool)
	for name, err := range map[string]error{"a session": err, "at the start": opening, "the watch": s.err(watching)} {
		if !errors.Is(err, db.ErrUnavailable) || !strings.Contains(err.Error(), "name the primary") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
