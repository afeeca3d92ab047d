package sqlite

import (
	"testing"
	"time"

	"lastseen/db"
	"lastseen/db/dbtest"

	"github.com/google/uuid"
)

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
