package dbtest

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

// A stronger hash takes the place of the one that was verified, and of no other.
func (on suite) TestRehashPassword(t *testing.T) {
	s := on.open(t)
	ada := CreateUser(t, s, "ada", true)
	for _, tt := range []struct {
		old, hash, want string
		err             error
	}{
		{ada.PasswordHash, "stronger", "stronger", nil},
		{ada.PasswordHash, "too late", "stronger", db.ErrNotFound},
		{"stronger", "strongest", "strongest", nil},
	} {
		if err := s.RehashPassword(t.Context(), ada.ID, tt.old, tt.hash); !errors.Is(err, tt.err) {
			t.Errorf("%s for %s: got %v, want %v", tt.hash, tt.old, err, tt.err)
		}
		if got, err := s.User(t.Context(), ada.ID); err != nil || got.PasswordHash != tt.want {
			t.Errorf("got %q, %v, want %q", got.PasswordHash, err, tt.want)
		}
	}
	if err := s.RehashPassword(t.Context(), ada.ID+1, "", "nobody's"); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("nobody's: got %v", err)
	}
}

// Whose password somebody else set has another before there is a session.
func (on suite) TestMustChangePassword(t *testing.T) {
	s := on.open(t)
	ada := CreateUser(t, s, "ada", true)
	must := func(what string, want bool) {
		t.Helper()
		if got, err := s.User(t.Context(), ada.ID); err != nil || got.MustChange != want {
			t.Errorf("%s: got %v, %v", what, got.MustChange, err)
		}
	}
	must("of their own", false)
	given := db.PasswordChange{UserID: ada.ID, Hash: "given", MustChange: true, Event: Event(db.PasswordSet)}
	if err := s.SetPassword(t.Context(), given); err != nil {
		t.Fatal(err)
	}
	must("given", true)
	ada.PasswordHash = "given"
	since := Start.Add(-time.Minute)
	if err := s.CreatePending(t.Context(), ada, db.PendingSignIn{UserID: ada.ID, Proven: "password", Created: Start}, db.Proof{}, []byte("one"), since); err != nil {
		t.Fatal(err)
	}
	proof := db.Proof{Pending: []byte("one"), Since: since, Password: &db.PasswordChange{UserID: ada.ID, Hash: "own", Event: Event(db.PasswordSet)}}
	ada.PasswordHash = "own"
	if _, err := s.CreateSession(t.Context(), signIn(ada, proof)); err != nil {
		t.Error(err)
	}
	must("chosen", false)
	if _, err := s.CreateSession(t.Context(), signIn(ada, proof)); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("the sign-in is good again: %v", err)
	}
	bob := ada
	bob.ID, bob.UUID, bob.Username, bob.MustChange = 0, uuid.New(), "bob", true
	bob, err := s.CreateUser(t.Context(), bob, false, ofUser)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.UserByName(t.Context(), "bob"); err != nil || !got.MustChange || got.ID != bob.ID {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Both ways to read a user say the same, but for the hash.
func (on suite) TestCachedUser(t *testing.T) {
	s := on.open(t)
	root := CreateUser(t, s, "root", true)
	ada, err := s.CreateUser(t.Context(), db.User{
		UUID: uuid.New(), Username: "ada", Name: "Ada É.", Email: "ada@home.example", PasswordHash: "x", Created: Start,
		Groups: []db.Group{{Name: "users"}, {Name: "admins"}},
	}, false, func(db.User) db.Event { return Event(db.ModelCreated) })
	if err != nil {
		t.Fatal(err)
	}
	CreateSession(t, s, root, "192.0.2.1", Start) // root has a last sign-in, ada none and is disabled
	for _, id := range []int64{root.ID, ada.ID} {
		want, err := s.User(t.Context(), id)
		want.PasswordHash = ""
		if got, knownErr := s.CachedUser(id); err != nil || knownErr != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v\nwant %+v, %v", got, knownErr, want, err)
		}
	}
	if _, err := s.CachedUser(ada.ID + 1); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("nobody: got %v, want db.ErrNotFound", err)
	}
}

func (on suite) TestLastSuperuser(t *testing.T) {
	s := on.open(t)
	root := CreateUser(t, s, "root", true)
	CreateUser(t, s, "bob", false)
	for name, change := range map[string]func(keep bool) error{
		"disable": func(keep bool) error {
			return s.SetActive(t.Context(), root.ID, false, keep, Event(db.ModelUpdated))
		},
		"demote": func(keep bool) error { return s.UpdateUser(t.Context(), root, Start, keep, Event(db.ModelUpdated)) },
		"delete": func(keep bool) error { return s.DeleteUser(t.Context(), root.ID, keep, Event(db.ModelDeleted)) },
	} {
		root.Superuser = false // what demote stores
		if err := change(true); !errors.Is(err, db.ErrLastSuperuser) {
			t.Errorf("%s: got %v, want db.ErrLastSuperuser", name, err)
		}
		if got, err := s.User(t.Context(), root.ID); err != nil || !got.Active || !got.Superuser {
			t.Errorf("%s that was refused left %+v, %v", name, got, err)
		}
	}
	eve := CreateUser(t, s, "eve", false)
	if err := s.DeleteUser(t.Context(), eve.ID, true, Event(db.ModelDeleted)); err != nil {
		t.Error("another user:", err)
	}
	if err := s.SetActive(t.Context(), root.ID, false, false, Event(db.ModelUpdated)); err != nil {
		t.Error("by force:", err)
	}
	if err := s.DeleteUser(t.Context(), root.ID, true, Event(db.ModelDeleted)); err != nil {
		t.Error("where nobody was in charge before:", err)
	}
}
