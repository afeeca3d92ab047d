package dbtest

import (
	"maps"
	"testing"

	"lastseen/db"
)

func (on suite) TestSettings(t *testing.T) {
	s := on.open(t)
	must := func(want string) {
		t.Helper()
		if got, err := s.Setting(t.Context(), "color"); err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	must("")
	for _, value := range []string{"green", "red", ""} {
		if err := s.SetSetting(t.Context(), "color", value); err != nil {
			t.Fatal(err)
		}
		must(value)
	}
}

// Reached is about all sessions, those that have ended too.
func (on suite) TestReached(t *testing.T) {
	s := on.open(t)
	sess := CreateSession(t, s, CreateUser(t, s, "ada", true), "192.0.2.1", Start)
	must := func(want bool, when string) {
		t.Helper()
		if got, err := s.Reached(t.Context()); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", when, got, err, want)
		}
	}
	must(false, "no host")
	reaches := maps.All(map[db.SessionHost]db.Reach{{Session: sess.UUID, Host: "app.home.example"}: {Host: "app.home.example", First: Start, Last: Start}})
	if err := s.RecordReaches(t.Context(), reaches, 10); err != nil {
		t.Fatal(err)
	}
	must(true, "one host")
	if err := s.EndSession(t.Context(), db.Use{UUID: sess.UUID}, db.SignedOut, Event(db.Logout)); err != nil {
		t.Fatal(err)
	}
	must(true, "after the end")
}
