package sqlite

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lastseen/db"
	"lastseen/db/dbtest"

	"github.com/google/uuid"
)

// A copy beside the log of another database would not be what was copied.
func TestNoBackupBesideALog(t *testing.T) {
	t.Parallel()
	for _, older := range []bool{false, true} {
		s := open(t)
		dbtest.CreateUser(t, s, "ada", true)
		path := filepath.Join(t.TempDir(), "backup.db")
		if older {
			if err := s.Backup(t.Context(), path, ""); err != nil {
				t.Fatal(err)
			}
		}
		log, err := os.ReadFile(s.Path() + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+"-wal", log, 0o600); err != nil {
			t.Fatal(err)
		}
		dbtest.CreateUser(t, s, "bob", true)
		if err := s.Backup(t.Context(), path, ""); err == nil || !strings.Contains(err.Error(), path+"-wal") {
			t.Errorf("with an older one %v: got %v", older, err)
		}
		if _, err := os.Stat(path); (err == nil) != older {
			t.Errorf("with an older one %v there is: %v", older, err)
		}
	}
}

// What waits in a backup to be told may have been told since.
func TestRestoredAlerts(t *testing.T) {
	t.Parallel()
	s := open(t)
	ada := dbtest.CreateUser(t, s, "ada", true)
	tell := func() {
		t.Helper()
		e := dbtest.Event(db.Login)
		e.Alert = &db.Alert{UUID: uuid.New(), Type: "sign_in", UserID: ada.ID, Created: dbtest.Start, Number: 1, Content: []byte(`{}`)}
		if err := s.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	plan := func(hold bool) {
		t.Helper()
		found, err := s.NewAlerts(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.PlanAlerts(t.Context(), found, func(db.Alert, int) ([]string, bool) { return []string{"1"}, hold }); err != nil {
			t.Fatal(err)
		}
	}
	tell()
	plan(false)
	tell()
	plan(true)
	tell()
	if err := s.DropBegun(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w, err := s.AlertWork(t.Context(), dbtest.Start.Add(time.Hour)); err != nil || w != (db.AlertWork{}) {
		t.Errorf("got %+v, %v, want nothing that waits", w, err)
	}
}
