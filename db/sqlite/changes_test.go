package sqlite

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"testing"
	"time"

	"lastseen/db"
	"lastseen/db/dbtest"

	"github.com/google/uuid"
)

// settled waits until what was written is told apart.
func settled(t *testing.T, s *Store) uint64 {
	t.Helper()
	for range 1000 {
		if epoch, ok := s.Epoch(); ok {
			return epoch
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("it never settles")
	return 0
}

func TestEpoch(t *testing.T) {
	t.Parallel()
	s := open(t)
	ada := dbtest.CreateUser(t, s, "ada", true)
	before := settled(t, s)

	// Our own commits settle at once and change nothing.
	sess := dbtest.CreateSession(t, s, ada, "192.0.2.1", start)
	if epoch, ok := s.Epoch(); !ok || epoch != before {
		t.Errorf("after our own commit: got %d, %v, want %d, true", epoch, ok, before)
	}

	// Another connection stands for another process.
	other, err := Open(t.Context(), s.Path(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	before = settled(t, s)
	for i := range 20 {
		if err := other.SetSetting(t.Context(), "x", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		if epoch, ok := s.Epoch(); ok && epoch == before {
			t.Fatal("somebody else has written, and it was not seen")
		}
		after := settled(t, s)
		if after <= before {
			t.Fatalf("somebody else's commit was taken for ours: %d, then %d", before, after)
		}
		before = after
	}
	// Theirs and ours together are not ours.
	if err := other.SetSetting(t.Context(), "x", "z"); err != nil {
		t.Fatal(err)
	}
	if err := s.EndSession(t.Context(), db.Use{UUID: sess.UUID}, db.Revoked, dbtest.Event(db.ModelDeleted)); err != nil {
		t.Fatal(err)
	}
	if after := settled(t, s); after <= before {
		t.Errorf("our commit hid somebody else's: %d, then %d", before, after)
	}
	// Nor does a writer's connection that was replaced hide it: each counts anew.
	for range 3 {
		before = settled(t, s)
		conn, err := s.write.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		if err := other.SetSetting(t.Context(), "x", uuid.NewString()); err != nil {
			t.Fatal(err)
		}
		if err := s.SetSetting(t.Context(), "y", uuid.NewString()); err != nil {
			t.Fatal(err)
		}
		if after := settled(t, s); after <= before {
			t.Errorf("a new connection hid somebody else's commit: %d, then %d", before, after)
		}
	}
	// Reading changes nothing.
	before = settled(t, s)
	if _, err := other.UserByName(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	if epoch, ok := s.Epoch(); !ok || epoch != before {
		t.Errorf("after reads: got %d, %v, want %d, true", epoch, ok, before)
	}
}

// While a transaction of ours that is larger than the page cache begins the log
// anew, what was read before may be believed.
func TestEpochWhileTheLogBeginsAnew(t *testing.T) {
	t.Parallel()
	s := open(t)
	dbtest.CreateUser(t, s, "ada", true)
	for range 3 {
		if _, err := s.write.ExecContext(t.Context(), `PRAGMA wal_checkpoint(PASSIVE)`); err != nil {
			t.Fatal(err)
		}
		before := settled(t, s)
		known, _ := s.changes.index.header()
		err := s.inLightTx(t.Context(), func(tx *sql.Tx) (bool, error) {
			_, err := tx.ExecContext(t.Context(), `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
				INSERT INTO settings (name, value) SELECT hex(randomblob(16)), hex(zeroblob(2000)) FROM n`)
			if err != nil {
				return false, err
			}
			if h, _ := s.changes.index.header(); h == known {
				t.Error("the log did not begin anew: this tests nothing")
			}
			if epoch, ok := s.Epoch(); !ok || epoch != before {
				t.Errorf("in the transaction: got %d, %v, want %d, true", epoch, ok, before)
			}
			return true, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if epoch, ok := s.Epoch(); !ok || epoch != before {
			t.Errorf("after it: got %d, %v, want %d, true", epoch, ok, before)
		}
	}
}

func BenchmarkEpoch(b *testing.B) {
	s := open(b)
	dbtest.CreateUser(b, s, "ada", true)
	for b.Loop() {
		s.Epoch()
	}
}
