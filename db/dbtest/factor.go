package dbtest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

func added(int64) db.Event { return Event(db.ModelCreated) }

// AddTOTP gives a user an authenticator app, with ten recovery codes if it is the first
// factor: their hashes are "code 0" and on.
func AddTOTP(t testing.TB, s Store, u db.User, step int64) db.TOTP {
	t.Helper()
	totp := db.TOTP{UUID: uuid.New(), UserID: u.ID, Name: "phone", Secret: []byte("sealed"), Step: step, Created: Start}
	codes := make([][]byte, 10)
	for i := range codes {
		codes[i] = fmt.Appendf(nil, "code %d", i)
	}
	if err := s.AddFactor(t.Context(), db.NewFactor{TOTP: &totp, Recovery: codes, Event: added}); err != nil {
		t.Fatal(err)
	}
	has, err := s.Factors(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, stored := range has.TOTPs {
		if stored.UUID == totp.UUID {
			return stored
		}
	}
	t.Fatalf("it is not among %+v", has)
	return totp
}

// signIn is one of a user's by a proof.
func signIn(u db.User, proof db.Proof) db.SignIn {
	id := uuid.New()
	return db.SignIn{User: u, TokenHash: id[:], Proof: proof, Event: Event(db.Login), Session: db.Session{
		UUID: id, UserID: u.ID, Agent: Agent("x"), Method: "password+totp", Created: Start, LastUsed: Start, Ends: Start.Add(time.Hour), Expires: Start.Add(time.Hour),
	}}
}

// Who is made with a second factor is never there without it.
func (on suite) TestCreateUserWithTOTP(t *testing.T) {
	s := on.open(t)
	totp := db.TOTP{UUID: uuid.New(), Name: "phone", Secret: []byte("sealed"), Created: Start}
	create := func(name string) (db.User, error) {
		return s.CreateUserWithTOTP(t.Context(), db.User{UUID: uuid.New(), Username: name, Active: true, Created: Start, Groups: []db.Group{{Name: "a"}}}, totp,
			func(db.User) db.Event { return Event(db.ModelCreated) }, func(u db.User, id int64) db.Event {
				if u.ID == 0 || id == 0 {
					t.Errorf("the event is of user %d and factor %d", u.ID, id)
				}
				return Event(db.ModelCreated)
			})
	}
	ada, err := create("ada")
	if err != nil {
		t.Fatal(err)
	}
	if has, err := s.Factors(t.Context(), ada.ID); err != nil || len(has.TOTPs) != 1 || has.TOTPs[0].UUID != totp.UUID || has.Recovery != 0 {
		t.Errorf("got %+v, %v", has, err)
	}
	if _, err := create("ADA"); !errors.Is(err, db.ErrConflict) {
		t.Errorf("a name that is taken: %v", err)
	}
	if _, err := create("bob"); err == nil { // the factor's UUID is taken
		t.Error("a factor was stored twice")
	}
	if _, err := s.UserByName(t.Context(), "bob"); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("without the factor the user was made: %v", err)
	}
}

func (on suite) TestFactors(t *testing.T) {
	s := on.open(t)
	ada, bob := CreateUser(t, s, "ada", true), CreateUser(t, s, "bob", false)
	discoverable := true
	key := db.Passkey{UserID: ada.ID, Name: "laptop", CredentialID: []byte{1}, RPID: "auth.home.example", Discoverable: &discoverable, Credential: []byte(`{"a":1}`), Created: Start}
	first := AddTOTP(t, s, ada, 7)
	if err := s.AddFactor(t.Context(), db.NewFactor{Passkey: &key, Recovery: [][]byte{[]byte("not these")}, Event: added}); err != nil {
		t.Fatal(err)
	}
	for kind, id := range map[db.FactorKind]int64{db.KindTOTP: first.ID, db.KindRecovery: ada.ID, "none": first.ID} {
		want := db.ErrNotFound
		if kind == db.KindTOTP {
			want = nil
		}
		if err := s.NameFactor(t.Context(), ada.ID, kind, id, "old phone", Event(db.ModelUpdated)); !errors.Is(err, want) {
			t.Errorf("naming a %s: %v", kind, err)
		}
		if err := s.NameFactor(t.Context(), bob.ID, kind, id, "bob's", Event(db.ModelUpdated)); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("naming another's %s: %v", kind, err)
		}
	}
	if named, err := s.Factors(t.Context(), ada.ID); err != nil || named.TOTPs[0].Name != "old phone" {
		t.Errorf("got %+v, %v", named, err)
	}
	if err := s.NameFactor(t.Context(), ada.ID, db.KindTOTP, first.ID, first.Name, Event(db.ModelUpdated)); err != nil {
		t.Error(err)
	}
	has, err := s.Factors(t.Context(), ada.ID)
	if err != nil || len(has.TOTPs) != 1 || len(has.Passkeys) != 1 || has.Recovery != 10 || !has.RecoveryMade.Equal(Start) || !has.Any() {
		t.Fatalf("got %+v, %v", has, err)
	}
	if k := has.Passkeys[0]; k.RPID != key.RPID || !*k.Discoverable || string(k.Credential) != `{"a":1}` || !k.LastUsed.IsZero() {
		t.Errorf("got %+v", k)
	}
	if err := s.AddFactor(t.Context(), db.NewFactor{TOTP: &first, Event: added}); !errors.Is(err, db.ErrConflict) {
		t.Errorf("the same once more: got %v", err)
	}
	if err := s.SetRecoveryCodes(t.Context(), ada.ID, [][]byte{[]byte("x"), []byte("y")}, Event(db.ModelUpdated)); err != nil {
		t.Error(err)
	}
	if err := s.SetRecoveryCodes(t.Context(), bob.ID, [][]byte{[]byte("x")}, Event(db.ModelUpdated)); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("of who has no factor: got %v", err)
	}
	yes, no := true, false
	for _, tt := range []struct {
		f    db.UserFilter
		want string
	}{
		{db.UserFilter{Factor: &yes}, "[ada]"},
		{db.UserFilter{Factor: &no}, "[bob]"},
		{db.UserFilter{Factor: &no, Superuser: &yes}, "[]"},
	} {
		tt.f.Limit = 10
		users, _, err := s.Users(t.Context(), tt.f)
		names := []string{}
		for _, u := range users {
			names = append(names, u.Username)
		}
		if got := fmt.Sprint(names); err != nil || got != tt.want {
			t.Errorf("%+v: got %s, %v", tt.f, got, err)
		}
	}
	for kind, id := range map[db.FactorKind]int64{db.KindTOTP: first.ID, db.KindPasskey: has.Passkeys[0].ID, db.KindRecovery: ada.ID} {
		if owner, err := s.FactorOwner(t.Context(), kind, id); err != nil || owner != ada.ID {
			t.Errorf("%s: got %d, %v", kind, owner, err)
		}
		if _, err := s.FactorOwner(t.Context(), kind, 99); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("of no %s: got %v", kind, err)
		}
	}
	if err := s.DeleteFactor(t.Context(), bob.ID, db.KindTOTP, first.ID, Event(db.ModelDeleted)); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("somebody else's: got %v", err)
	}
	if err := s.DeleteFactor(t.Context(), ada.ID, db.KindTOTP, first.ID, Event(db.ModelDeleted)); err != nil {
		t.Error(err)
	}
	if has, err = s.Factors(t.Context(), ada.ID); err != nil || has.Recovery != 2 || len(has.Passkeys) != 1 {
		t.Errorf("with one left: got %+v, %v", has, err)
	}
	if err := s.DeleteFactor(t.Context(), ada.ID, db.KindPasskey, has.Passkeys[0].ID, Event(db.ModelDeleted)); err != nil {
		t.Error(err)
	}
	if has, err = s.Factors(t.Context(), ada.ID); err != nil || has.Recovery != 0 || has.Any() {
		t.Errorf("with none left: got %+v, %v", has, err)
	}
	again := AddTOTP(t, s, ada, 0)
	if again.ID <= first.ID {
		t.Errorf("number %d is given twice", again.ID)
	}
	if err := s.DeleteFactor(t.Context(), ada.ID, db.KindRecovery, ada.ID, Event(db.ModelDeleted)); err != nil {
		t.Error(err)
	}
	AddTOTP(t, s, bob, 0)
	if err := s.ResetFactors(t.Context(), bob.ID, Event(db.ModelDeleted)); err != nil {
		t.Error(err)
	}
	if has, err = s.Factors(t.Context(), bob.ID); err != nil || has.Any() || has.Recovery != 0 {
		t.Errorf("after a reset: got %+v, %v", has, err)
	}
	if all, err := s.TOTPs(t.Context()); err != nil || len(all) != 1 || all[0].UserID != ada.ID {
		t.Errorf("got %+v, %v", all, err)
	}
	if err := s.DeleteUser(t.Context(), ada.ID, false, Event(db.ModelDeleted)); err != nil {
		t.Error(err)
	}
	if all, err := s.TOTPs(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("after their user: got %+v, %v", all, err)
	}
}

// Of twenty sign-ins by one code, one makes a session. So of one pending sign-in, and of
// one recovery code.
func (on suite) TestProofsAreGoodOnce(t *testing.T) {
	s := on.open(t)
	ada := CreateUser(t, s, "ada", true)
	totp := AddTOTP(t, s, ada, 7)
	pend := func(token string) {
		t.Helper()
		if err := s.CreatePending(t.Context(), ada, db.PendingSignIn{UserID: ada.ID, Proven: "password", Created: Start}, db.Proof{}, []byte(token), Start.Add(-time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	step := func(n int64) *db.TOTP { t := totp; t.Step = n; return &t }
	for name, proof := range map[string]db.Proof{
		"a code": {TOTP: step(9)}, "a recovery code": {Recovery: []byte("code 3")}, "a pending sign-in": {Pending: []byte("a pending sign-in"), Since: Start.Add(-time.Minute)},
	} {
		pend(name)
		var won atomic.Int32
		var wait sync.WaitGroup
		for range 20 {
			wait.Go(func() {
				_, err := s.CreateSession(t.Context(), signIn(ada, proof))
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, db.ErrUsed) && !errors.Is(err, db.ErrNotFound):
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		if wait.Wait(); won.Load() != 1 {
			t.Errorf("%s: %d of 20 at once signed in, want one", name, won.Load())
		}
	}
	again := db.PendingSignIn{UserID: ada.ID, Proven: "password+totp", Created: Start}
	if err := s.CreatePending(t.Context(), ada, again, db.Proof{TOTP: step(9)}, []byte("again"), Start.Add(-time.Minute)); !errors.Is(err, db.ErrUsed) {
		t.Errorf("a code that signed in is good for the next step: %v", err)
	}
	has, err := s.Factors(t.Context(), ada.ID)
	if err != nil || has.Recovery != 9 || has.TOTPs[0].Step != 9 || !has.TOTPs[0].LastUsed.Equal(Start) {
		t.Errorf("got %+v, %v", has, err)
	}
	pend("two")
	for name, try := range map[string]struct {
		proof db.Proof
		want  error
	}{
		"an earlier step":        {db.Proof{TOTP: step(8)}, db.ErrUsed},
		"no such code":           {db.Proof{Recovery: []byte("none")}, db.ErrUsed},
		"a pending one too old":  {db.Proof{Pending: []byte("two"), Since: Start}, db.ErrNotFound},
		"a pending one, no such": {db.Proof{Pending: []byte("three"), Since: Start.Add(-time.Hour)}, db.ErrNotFound},
		"good but for its code":  {db.Proof{Pending: []byte("two"), Since: Start.Add(-time.Hour), TOTP: step(9)}, db.ErrUsed},
	} {
		if _, err := s.CreateSession(t.Context(), signIn(ada, try.proof)); !errors.Is(err, try.want) {
			t.Errorf("%s: got %v, want %v", name, err, try.want)
		}
	}
	if _, err := s.Pending(t.Context(), []byte("two"), Start.Add(-time.Minute)); err != nil {
		t.Errorf("what failed used up the pending one: %v", err)
	}
}

// What changes how a user signs in ends the sign-ins of theirs that are pending.
func (on suite) TestPendingSignInsEnd(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, s Store, u db.User) error{
		"a factor is added": func(t *testing.T, s Store, u db.User) error { AddTOTP(t, s, u, 0); return nil },
		"the factors are reset": func(t *testing.T, s Store, u db.User) error {
			return s.ResetFactors(t.Context(), u.ID, Event(db.ModelDeleted))
		},
		"the password is set": func(t *testing.T, s Store, u db.User) error {
			return s.SetPassword(t.Context(), db.PasswordChange{UserID: u.ID, Hash: "new", Event: Event(db.PasswordSet)})
		},
		"they are disabled": func(t *testing.T, s Store, u db.User) error {
			return errors.Join(s.SetActive(t.Context(), u.ID, false, false, Event(db.ModelUpdated)), s.SetActive(t.Context(), u.ID, true, false, Event(db.ModelUpdated)))
		},
		"they are deleted": func(t *testing.T, s Store, u db.User) error {
			return s.DeleteUser(t.Context(), u.ID, false, Event(db.ModelDeleted))
		},
		"five minutes": func(t *testing.T, s Store, u db.User) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			s := on.open(t)
			ada := CreateUser(t, s, "ada", true)
			want := db.PendingSignIn{UserID: ada.ID, Proven: "password", Remember: true, Trust: true, Created: Start}
			if err := s.CreatePending(t.Context(), ada, want, db.Proof{}, []byte("one"), Start.Add(-time.Minute)); err != nil {
				t.Fatal(err)
			}
			expired := Start.Add(-time.Minute)
			if got, err := s.Pending(t.Context(), []byte("one"), expired); err != nil || got != want {
				t.Fatalf("got %+v, %v", got, err)
			}
			if name == "five minutes" {
				expired = Start
			}
			if err := change(t, s, ada); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Pending(t.Context(), []byte("one"), expired); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("got %+v, %v", got, err)
			}
			ada.PasswordHash = "another"
			if err := s.CreatePending(t.Context(), ada, want, db.Proof{}, []byte("two"), Start.Add(-time.Minute)); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("with a password that is another one: got %v", err)
			}
		})
	}
}

func (on suite) TestProofOfASession(t *testing.T) {
	s := on.open(t)
	ada := CreateUser(t, s, "ada", true)
	sess := CreateSession(t, s, ada, "192.0.2.1", Start)
	if at, err := s.LastProof(t.Context(), sess.UUID); err != nil || !at.Equal(Start) {
		t.Errorf("got %v, %v", at, err)
	}
	later := Start.Add(time.Hour)
	if err := s.ProveAgain(t.Context(), sess.UUID, db.Proof{}, later); err != nil {
		t.Error(err)
	}
	if at, err := s.LastProof(t.Context(), sess.UUID); err != nil || !at.Equal(later) {
		t.Errorf("got %v, %v", at, err)
	}
	if err := s.ProveAgain(t.Context(), uuid.New(), db.Proof{}, later); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("of no session: got %v", err)
	}
	own, bobs := CreateSession(t, s, ada, "192.0.2.1", Start), CreateSession(t, s, CreateUser(t, s, "bob", false), "192.0.2.1", Start)
	alone := db.Proof{Alone: true}
	if err := s.ProveAgain(t.Context(), sess.UUID, alone, later); err != nil {
		t.Errorf("without a factor: %v", err)
	}
	for i, name := range []string{"the first factor", "the second"} {
		if err := s.AddFactor(t.Context(), db.NewFactor{TOTP: &db.TOTP{UUID: uuid.New(), UserID: ada.ID, Name: name, Secret: []byte("sealed"), Created: later}, By: own.UUID, Event: added}); err != nil {
			t.Fatal(err)
		}
		counts := []time.Time{{}, later}[i]
		for id, want := range map[uuid.UUID]time.Time{sess.UUID: counts, own.UUID: Start, bobs.UUID: Start} {
			if at, err := s.LastProof(t.Context(), id); err != nil || !at.Equal(want) && !(want.IsZero() && at.Unix() == 0) {
				t.Errorf("%s is added: proven %v, want %v, %v", name, at, want, err)
			}
		}
		if err := s.ProveAgain(t.Context(), sess.UUID, alone, later); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("%s is there, and the first factor alone was proven: got %v", name, err)
		}
		if _, err := s.CreateSession(t.Context(), signIn(ada, alone)); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("%s is there, and a sign-in proved the first factor alone: got %v", name, err)
		}
		if err := s.ProveAgain(t.Context(), sess.UUID, db.Proof{}, later); err != nil {
			t.Error(err)
		}
	}
}

// A challenge is there once, and for as long as it is good.
func (on suite) TestChallenges(t *testing.T) {
	s := on.open(t)
	ada := CreateUser(t, s, "ada", true)
	make := func(token string, user int64, at time.Time, most int) error {
		return s.CreateChallenge(t.Context(), []byte(token), db.Challenge{UserID: user, Purpose: "sign-in", Data: []byte(`{"a":1}`), Created: at}, at.Add(-time.Minute), most)
	}
	for token, user := range map[string]int64{"anybody's": 0, "ada's": ada.ID, "late": 0, "dropped": ada.ID} {
		if err := make(token, user, Start, 10); err != nil {
			t.Fatal(err)
		}
	}
	if err := make("too many", 0, Start, 4); !errors.Is(err, db.ErrConflict) {
		t.Errorf("too many: got %v", err)
	}
	for token, user := range map[string]int64{"anybody's": 0, "ada's": ada.ID} {
		c, err := s.TakeChallenge(t.Context(), []byte(token), Start.Add(-time.Minute))
		if err != nil || c.UserID != user || c.Purpose != "sign-in" || string(c.Data) != `{"a":1}` || !c.Created.Equal(Start) {
			t.Errorf("%s: got %+v, %v", token, c, err)
		}
		if _, err := s.TakeChallenge(t.Context(), []byte(token), Start.Add(-time.Minute)); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("%s again: got %v", token, err)
		}
	}
	for range 2 {
		if _, err := s.TakeChallenge(t.Context(), []byte("late"), Start); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("one that is too old: got %v", err)
		}
	}
	AddTOTP(t, s, ada, 0)
	if _, err := s.TakeChallenge(t.Context(), []byte("dropped"), Start.Add(-time.Minute)); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("after a change of the factors: got %v", err)
	}
	if err := make("old", 0, Start, 10); err != nil {
		t.Fatal(err)
	}
	if err := make("new", 0, Start.Add(time.Minute), 1); err != nil {
		t.Errorf("old ones are in the way: %v", err)
	}
}

// A passkey signs in as it was when its answer was checked: of two answers at once, one.
func (on suite) TestPasskeys(t *testing.T) {
	s := on.open(t)
	ada := CreateUser(t, s, "ada", true)
	for i, host := range []string{"auth.home.example", "old.home.example", "auth.home.example"} {
		key := db.Passkey{UserID: ada.ID, Name: "laptop", CredentialID: []byte{byte(i)}, RPID: host, Credential: []byte(`{"count":0}`), Created: Start}
		if err := s.AddFactor(t.Context(), db.NewFactor{Passkey: &key, Event: added}); err != nil {
			t.Fatal(err)
		}
	}
	again := db.Passkey{UserID: ada.ID, Name: "again", CredentialID: []byte{1}, RPID: "auth.home.example", Credential: []byte(`{}`), Created: Start}
	if err := s.AddFactor(t.Context(), db.NewFactor{Passkey: &again, Event: added}); !errors.Is(err, db.ErrConflict) {
		t.Errorf("the same again: got %v", err)
	}
	if hosts, err := s.PasskeyHosts(t.Context()); err != nil || len(hosts) != 2 || hosts["auth.home.example"] != 2 || hosts["old.home.example"] != 1 {
		t.Errorf("got %v, %v", hosts, err)
	}
	key, err := s.Passkey(t.Context(), []byte{1})
	if err != nil || key.UserID != ada.ID || key.RPID != "old.home.example" || key.Discoverable != nil {
		t.Fatalf("got %+v, %v", key, err)
	}
	if _, err := s.Passkey(t.Context(), []byte{9}); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("none: got %v", err)
	}
	was := key.Credential
	key.Credential = []byte(`{"count":7}`)
	for _, want := range []error{nil, db.ErrNotFound} {
		if _, err := s.CreateSession(t.Context(), signIn(ada, db.Proof{Passkey: &key, Was: was})); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	if key, err = s.Passkey(t.Context(), []byte{1}); err != nil || string(key.Credential) != `{"count":7}` || !key.LastUsed.Equal(Start) {
		t.Errorf("got %+v, %v", key, err)
	}
}
