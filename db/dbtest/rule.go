package dbtest

import (
	"errors"
	"fmt"
	"testing"

	"lastseen/db"
)

func (on suite) TestRules(t *testing.T) {
	s := on.open(t)
	record := func(r db.Rule) db.Event {
		e := Event(db.ModelCreated)
		e.Context = map[string]any{"rule": r.ID}
		return e
	}
	create := func(r db.Rule) db.Rule {
		t.Helper()
		r.Created = Start
		r, err := s.CreateRule(t.Context(), r, record)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	check := func(when string, want ...db.Rule) {
		t.Helper()
		if got, err := s.Rules(t.Context()); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, %v\nwant %v", when, got, err, want)
		}
	}
	check("at first")
	b := create(db.Rule{Host: "b.example", Groups: []string{"one", "two"}})
	a := create(db.Rule{Host: "*.a.example", Groups: []string{"one"}})
	open := create(db.Rule{Host: "b.example", Path: "/open/*"})
	check("three", a, b, open)
	if names, err := s.GroupNames(t.Context()); err != nil || fmt.Sprint(names) != "[one two]" {
		t.Errorf("groups: got %v, %v", names, err)
	}
	if _, err := s.CreateRule(t.Context(), db.Rule{Host: "b.example", Path: "/open/*", Created: Start}, record); !errors.Is(err, db.ErrConflict) {
		t.Errorf("a path that is open already: got %v, want db.ErrConflict", err)
	}
	check("after what failed", a, b, open)
	if got, err := s.DeleteRule(t.Context(), b.ID, record); err != nil || fmt.Sprint(got) != fmt.Sprint(b) {
		t.Errorf("delete: got %v, %v, want %v", got, err, b)
	}
	if _, err := s.DeleteRule(t.Context(), b.ID, record); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("delete again: got %v, want db.ErrNotFound", err)
	}
	check("two", a, open)
	if c := create(db.Rule{Host: "c.example", Path: "/"}); c.ID <= open.ID {
		t.Errorf("an ID is given anew: %d after %d", c.ID, open.ID)
	}
	events, total, err := s.Events(t.Context(), db.EventFilter{Limit: 10})
	if err != nil || total != 5 { // of what failed there is none
		t.Errorf("%d events %v, %v, want 5", total, events, err)
	}
}
