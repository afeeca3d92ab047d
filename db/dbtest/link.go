package dbtest

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

func made(db.Link) db.Event { return Event(db.ModelCreated) }

// link stores one that is good for an hour, under its own name as token.
func link(t *testing.T, s Store, token string, l db.Link) {
	t.Helper()
	l.Created, l.Expires = Start, Start.Add(time.Hour)
	if _, err := s.CreateLink(t.Context(), l, []byte(token), made); err != nil {
		t.Fatalf("%s: %v", token, err)
	}
}

func newcomer(name string) db.User {
	return db.User{UUID: uuid.New(), Username: name, PasswordHash: "hash", Active: true, Created: Start, Groups: []db.Group{{Name: "family"}}}
}

func ofUser(db.User) db.Event { return Event(db.ModelCreated) }

func (on suite) TestLinks(t *testing.T) {
	s := on.open(t)
	ada := CreateUser(t, s, "ada", true)
	good := func(token string, at time.Time) bool {
		_, err := s.Link(t.Context(), []byte(token), at)
		if err != nil && !errors.Is(err, db.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	link(t, s, "open", db.Link{Kind: db.Invite, Superuser: true, Groups: []string{"b", "a"}, MadeBy: "ada"})
	link(t, s, "another", db.Link{Kind: db.Invite})
	link(t, s, "named", db.Link{Kind: db.Invite, Username: "Ünal"})
	link(t, s, "reset", db.Link{Kind: db.Reset, UserID: ada.ID, Username: "ada"})
	l, err := s.Link(t.Context(), []byte("open"), Start)
	if err != nil || l.ID == 0 || l.Kind != db.Invite || l.UserID != 0 || l.Username != "" || !l.Superuser || !slices.Equal(l.Groups, []string{"b", "a"}) || l.MadeBy != "ada" ||
		!l.Created.Equal(Start) || !l.Expires.Equal(Start.Add(time.Hour)) {
		t.Errorf("got %+v, %v", l, err)
	}
	if l, err := s.Link(t.Context(), []byte("reset"), Start); err != nil || l.Kind != db.Reset || l.UserID != ada.ID || l.Username != "ada" || len(l.Groups) != 0 {
		t.Errorf("got %+v, %v", l, err)
	}
	if good("none", Start) || good("open", Start.Add(time.Hour)) || !good("open", Start.Add(time.Hour-time.Microsecond)) {
		t.Error("one that is not there, or has run out, is good, or one is not until its end")
	}
	link(t, s, "named again", db.Link{Kind: db.Invite, Username: "ÜNAL"})
	link(t, s, "reset again", db.Link{Kind: db.Reset, UserID: ada.ID})
	for token, want := range map[string]bool{"open": true, "another": true, "named": false, "named again": true, "reset": false, "reset again": true} {
		if got := good(token, Start); got != want {
			t.Errorf("after replacing, %s: got %v", token, got)
		}
	}
	if _, err := s.CreateLink(t.Context(), db.Link{Kind: db.Invite, Username: "ADA", Created: Start, Expires: Start.Add(time.Hour)}, []byte("taken"), made); !errors.Is(err, db.ErrConflict) {
		t.Errorf("for a name that is taken: got %v", err)
	}
	if _, err := s.CreateLink(t.Context(), db.Link{Kind: db.Reset, UserID: 99, Created: Start, Expires: Start.Add(time.Hour)}, []byte("nobody"), made); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("for nobody: got %v", err)
	}
	if _, err := s.TakeInvitation(t.Context(), []byte("open"), newcomer("ada"), nil, ofUser); !errors.Is(err, db.ErrConflict) {
		t.Errorf("a name that is taken: got %v", err)
	}
	late := newcomer("bob")
	late.Created = Start.Add(time.Hour)
	if _, err := s.TakeInvitation(t.Context(), []byte("open"), late, nil, ofUser); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("too late: got %v", err)
	}
	var won atomic.Int32
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			_, err := s.TakeInvitation(t.Context(), []byte("open"), newcomer("bob"+string(rune('a'+i))), nil, ofUser)
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, db.ErrNotFound) {
				t.Error(err)
			}
		})
	}
	if wait.Wait(); won.Load() != 1 {
		t.Errorf("%d of 20 at once took it", won.Load())
	}
	if all, err := s.Links(t.Context(), Start); err != nil || len(all) != 3 || all[0].Username != "ada" || all[1].Username != "ÜNAL" || all[2].Username != "" || all[2].MadeBy != "" {
		t.Errorf("listed: %+v, %v", all, err)
	}
	if all, err := s.Links(t.Context(), Start.Add(time.Hour)); err != nil || len(all) != 0 {
		t.Errorf("listed when they have run out: %+v, %v", all, err)
	}
	l, err = s.Link(t.Context(), []byte("another"), Start)
	if err != nil {
		t.Fatal(err)
	}
	var told db.Link
	tell := func(l db.Link) db.Event { told = l; return Event(db.ModelDeleted) }
	if _, err := s.DeleteLink(t.Context(), l.ID, l.Expires, tell); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("one that has run out is taken back: %v", err)
	}
	if got, err := s.DeleteLink(t.Context(), l.ID, Start, tell); err != nil || got.ID != l.ID || told.ID != l.ID || good("another", Start) || !good("reset again", Start) {
		t.Errorf("taken back: %+v, %v, told of %+v", got, err, told)
	}
	if _, err := s.DeleteLink(t.Context(), l.ID, Start, tell); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("taken back again: %v", err)
	}
	link(t, s, "by passkey", db.Link{Kind: db.Invite})
	first := func(u db.User) *db.NewFactor {
		key := db.Passkey{UserID: u.ID, Name: "laptop", CredentialID: []byte("join"), RPID: "home.example", Credential: []byte("{}"), Created: Start}
		return &db.NewFactor{Passkey: &key, Recovery: [][]byte{[]byte("code")}, Event: added}
	}
	cleo, err := s.TakeInvitation(t.Context(), []byte("by passkey"), newcomer("cleo"), first, ofUser)
	if err != nil {
		t.Fatal(err)
	}
	if has, err := s.Factors(t.Context(), cleo.ID); err != nil || len(has.Passkeys) != 1 || has.Recovery != 1 {
		t.Errorf("who came by a passkey has %+v, %v", has, err)
	}
	link(t, s, "by the same", db.Link{Kind: db.Invite})
	if _, err := s.TakeInvitation(t.Context(), []byte("by the same"), newcomer("dora"), first, ofUser); !errors.Is(err, db.ErrConflict) || !good("by the same", Start) {
		t.Errorf("a passkey that is there: %v", err)
	}
	if _, err := s.UserByName(t.Context(), "dora"); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("half an account is there: %v", err)
	}
	if CreateUser(t, s, "ünal", false); good("named again", Start) {
		t.Error("an invitation outlives that its name is taken")
	}
	if err := s.TakeReset(t.Context(), []byte("reset again"), ada.ID, "new", Event(db.PasswordSet)); err != nil {
		t.Error(err)
	}
	if u, err := s.User(t.Context(), ada.ID); err != nil || u.PasswordHash != "new" {
		t.Errorf("got %+v, %v", u, err)
	}
	if err := s.TakeReset(t.Context(), []byte("reset again"), ada.ID, "newer", Event(db.PasswordSet)); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("again: got %v", err)
	}
}

// A link for a new password is for the user as they were, and an invitation from somebody
// who may still invite.
func (on suite) TestLinksEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		change        func(t *testing.T, s Store, u db.User) error
		reset, invite bool // good afterwards
	}{
		"signs in": {func(t *testing.T, s Store, u db.User) error {
			_, err := s.CreateSession(t.Context(), signIn(u, db.Proof{}))
			return err
		}, true, true},
		"is hashed anew": {func(t *testing.T, s Store, u db.User) error {
			return s.RehashPassword(t.Context(), u.ID, u.PasswordHash, "stronger")
		}, true, true},
		"password": {func(t *testing.T, s Store, u db.User) error {
			return s.SetPassword(t.Context(), db.PasswordChange{UserID: u.ID, Hash: "new", Event: Event(db.PasswordSet)})
		}, false, true},
		"profile": {func(t *testing.T, s Store, u db.User) error {
			return s.UpdateProfile(t.Context(), u.ID, "Ada", "", Event(db.ModelUpdated))
		}, false, true},
		"details": {func(t *testing.T, s Store, u db.User) error {
			return s.UpdateUser(t.Context(), u, Start, false, Event(db.ModelUpdated))
		}, false, true},
		"is a superuser no longer": {func(t *testing.T, s Store, u db.User) error {
			u.Superuser = false
			return s.UpdateUser(t.Context(), u, Start, false, Event(db.ModelUpdated))
		}, false, false},
		"a group more": {func(t *testing.T, s Store, u db.User) error {
			return s.AddToGroup(t.Context(), u.ID, "family", Event(db.ModelUpdated))
		}, false, true},
		"other groups": {func(t *testing.T, s Store, u db.User) error {
			return s.SetGroups(t.Context(), u.ID, []string{"family"}, func(string, bool) db.Event { return Event(db.ModelUpdated) })
		}, false, true},
		"a factor": {func(t *testing.T, s Store, u db.User) error { AddTOTP(t, s, u, 0); return nil }, false, true},
		"disabled, enabled": {func(t *testing.T, s Store, u db.User) error {
			return errors.Join(s.SetActive(t.Context(), u.ID, false, false, Event(db.ModelUpdated)), s.SetActive(t.Context(), u.ID, true, false, Event(db.ModelUpdated)))
		}, false, false},
		"deleted": {func(t *testing.T, s Store, u db.User) error {
			return s.DeleteUser(t.Context(), u.ID, false, Event(db.ModelDeleted))
		}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := on.open(t)
			ada := CreateUser(t, s, "ada", true)
			link(t, s, "reset", db.Link{Kind: db.Reset, UserID: ada.ID})
			link(t, s, "invite", db.Link{Kind: db.Invite, MadeBy: "ada"})
			if err := tt.change(t, s, ada); err != nil {
				t.Fatal(err)
			}
			for token, want := range map[string]bool{"reset": tt.reset, "invite": tt.invite} {
				if _, err := s.Link(t.Context(), []byte(token), Start); (err == nil) != want {
					t.Errorf("%s: got %v, want it good: %v", token, err, want)
				}
			}
		})
	}
	s := on.open(t)
	bob := CreateUser(t, s, "bob", false)
	if err := s.SetActive(t.Context(), bob.ID, false, false, Event(db.ModelUpdated)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateLink(t.Context(), db.Link{Kind: db.Reset, UserID: bob.ID, Created: Start, Expires: Start.Add(time.Hour)}, []byte("x"), made); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("for who is disabled: got %v", err)
	}
}
