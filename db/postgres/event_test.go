package postgres

import (
	"testing"

	"lastseen/db"
	"lastseen/db/dbtest"
)

// What an event tells is found whatever is in it, and in others.
func TestEventModel(t *testing.T) {
	s := open(t, template.New(t))
	for _, name := range []string{"plain", "NUL \x00", `no NUL \u0000`, `nor this \\u0000`, "\x00\\", "\xff", "ä\U0001F600"} {
		e := dbtest.Event(db.ModelUpdated)
		e.Context = map[string]any{"model": map[string]any{"pk": "1", "name": name}}
		if err := s.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		page, _, err := s.Events(t.Context(), db.EventFilter{Limit: 1, Model: map[string]string{"pk": "1"}})
		if err != nil || len(page) != 1 {
			t.Errorf("%q: got %v, %v", name, page, err)
		}
	}
}
