package live

import (
	"errors"
	"slices"
	"testing"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

// Each change has what it makes untrue read anew, and nothing else.
func TestInvalidate(t *testing.T) {
	t.Parallel()
	f := start(t)
	ada, grace := f.createUser(t, "ada"), f.createUser(t, "grace")
	adas, graces := f.signIn(t, ada), f.signIn(t, grace)
	adasKey, gracesKey := f.createKey(t, ada, "ada-1"), f.createKey(t, grace, "grace-1")
	var read []string
	now := ""
	f.store = &tellingStore{Store: f.db, before: func(what string) { read = append(read, now+what) }}
	ask := func() {
		t.Helper()
		read = nil
		var err [6]error
		now = "ada's "
		_, _, err[0] = f.Touch(t.Context(), &adas.hash, from("192.0.2.1", "curl/8"))
		_, err[1] = f.Key(t.Context(), adasKey)
		now = "grace's "
		_, _, err[2] = f.Touch(t.Context(), &graces.hash, from("192.0.2.1", "curl/8"))
		_, err[3] = f.Key(t.Context(), gracesKey)
		now = "the "
		_, err[4] = f.Rules(t.Context())
		_, err[5] = f.agentByID(t.Context(), 1)
		if err := errors.Join(err[:]...); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		ask()
	}
	if len(read) > 0 {
		t.Fatalf("%v are read anew though nothing changed", read)
	}
	for _, tt := range []struct {
		name   string
		change func()
		want   []string
	}{
		{"ada signs in", func() { f.Invalidate(SignedIn, ada.ID) }, []string{"ada's session", "ada's user"}},
		{"ada's sessions end", func() { f.Invalidate(SessionsEnded, ada.ID) }, []string{"ada's session"}},
		{"everybody's sessions end", func() { f.Invalidate(SessionsEnded) }, []string{"ada's session", "ada's user", "grace's session", "grace's user"}},
		{"ada changes", func() { f.Invalidate(UserChanged, ada.ID) }, []string{"ada's session", "ada's user", "ada's key"}},
		{"both change", func() { f.Invalidate(UserChanged, grace.ID, ada.ID) }, []string{"ada's session", "ada's user", "ada's key", "grace's session", "grace's user", "grace's key"}},
		{"a key of grace's goes", func() { f.Invalidate(KeysChanged, grace.ID) }, []string{"grace's key"}},
		{"the rules change", func() { f.Invalidate(RulesChanged) }, []string{"the rules"}},
		{"another process writes", func() { f.Invalidate(WroteElsewhere) },
			[]string{"ada's session", "ada's user", "ada's agent", "ada's key", "grace's session", "grace's user", "grace's key", "the rules"}},
		{"one session may have ended", func() {
			_ = f.End([]uuid.UUID{graces.id}, func([]db.Use) error { return errors.New("or not") })
		}, []string{"grace's session"}},
		{"what nobody has changes", func() { f.Invalidate(UserChanged, 12345) }, nil},
	} {
		tt.change()
		ask()
		if !slices.Equal(read, tt.want) {
			t.Errorf("%s: read are %q, want %q", tt.name, read, tt.want)
		}
		if ask(); len(read) > 0 {
			t.Errorf("%s: %q are read twice", tt.name, read)
		}
	}
}

// All sessions of a user are read anew after they changed, not only the one that is asked
// for first.
func TestAllSessionsOfAUser(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]Change{"ended": SessionsEnded, "user changed": UserChanged} {
		t.Run(name, func(t *testing.T) {
			f := start(t)
			ada := f.createUser(t, "ada")
			var all []signedIn
			for range 10 {
				all = append(all, f.signIn(t, ada))
				f.use(t, all[len(all)-1], from("192.0.2.1", "curl/8"))
			}
			spared := all[9]
			for _, s := range all[:9] {
				f.endElsewhere(t, s)
			}
			f.Invalidate(change, ada.ID)
			f.use(t, spared, from("192.0.2.1", "curl/8"))
			for i, s := range all[:9] {
				if _, _, err := f.Touch(t.Context(), &s.hash, from("192.0.2.1", "curl/8")); !errors.Is(err, db.ErrNotFound) {
					t.Errorf("session %d authenticates: %v", i, err)
				}
			}
		})
	}
}

// What was read before a change is not kept after it, whatever it is.
func TestChangedWhileItIsRead(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"session", "user", "key", "rules", "agent"} {
		t.Run(what, func(t *testing.T) {
			f := start(t)
			ada := f.createUser(t, "ada")
			s, key := f.signIn(t, ada), f.createKey(t, ada, "ada-1")
			read := 0
			store := &tellingStore{Store: f.db, before: func(read_ string) {
				if read_ == what {
					read++
				}
			}}
			store.after = func(read string) {
				if read == what {
					f.Invalidate(WroteElsewhere)
					store.after = nil
				}
			}
			f.store = store
			for range 3 {
				f.use(t, s, from("192.0.2.1", "curl/8"))
				_, err := f.Key(t.Context(), key)
				_, rulesErr := f.Rules(t.Context())
				if err := errors.Join(err, rulesErr); err != nil {
					t.Fatal(err)
				}
			}
			if read != 2 {
				t.Errorf("it is read %d times, want 2: what was read before the change is kept", read)
			}
		})
	}
}

// Another process's change is believed by nobody once it is committed, and its later use is
// the one that is shown.
func TestWrittenElsewhere(t *testing.T) {
	t.Parallel()
	f := start(t)
	ada := f.createUser(t, "ada")
	s, ends := f.signIn(t, ada), f.signIn(t, ada)
	there := f.open(t)
	f.use(t, s, from("192.0.2.1", "curl/8"))
	f.use(t, ends, from("192.0.2.1", "curl/8"))
	if err := there.EndSession(t.Context(), db.Use{UUID: ends.id}, db.Revoked, f.event()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Touch(t.Context(), &ends.hash, from("192.0.2.1", "curl/8")); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("a session that ended elsewhere authenticates: %v", err)
	}
	ada.Name = "Ada"
	if err := there.UpdateUser(t.Context(), ada, f.time(), false, f.event()); err != nil {
		t.Fatal(err)
	}
	if user := f.use(t, s, from("192.0.2.1", "curl/8")); user.Name != "Ada" {
		t.Errorf("a user who changed elsewhere has the name %q", user.Name)
	}
	later := f.time().Add(time.Hour)
	err := there.RecordUses(t.Context(), slices.Values([]db.Use{{Session: 1, UUID: s.id, At: later}}), 0)
	if err != nil {
		t.Fatal(err)
	}
	if sess, err := f.Session(t.Context(), s.id); err != nil || !sess.LastUsed.Equal(later) {
		t.Errorf("used elsewhere at %v, but shown %v, %v", later, sess.LastUsed, err)
	}
}

// A neverStore cannot tell what other processes write.
type neverStore struct{ Store }

func (neverStore) Epoch() (uint64, bool) { return 0, false }

// Before a store that cannot tell what others write, each request reads, and uses are
// gathered as before.
func TestNothingIsBelieved(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.store = neverStore{f.db}
	ada := f.createUser(t, "ada")
	s, key := f.signIn(t, ada), f.createKey(t, ada, "ada-1")
	used := f.advance(time.Minute)
	f.use(t, s, from("198.51.100.9", "curl/8"))
	if sess, err := f.Session(t.Context(), s.id); err != nil || !sess.LastUsed.Equal(used) {
		t.Errorf("shown as used at %v, %v, want %v", sess.LastUsed, err, used)
	}
	ada.Name = "Ada"
	if err := f.db.UpdateUser(t.Context(), ada, used, false, f.event()); err != nil { // on another machine, say
		t.Fatal(err)
	}
	if user := f.use(t, s, from("198.51.100.9", "curl/8")); user.Name != "Ada" {
		t.Errorf("the user's name is %q", user.Name)
	}
	if token, err := f.Key(t.Context(), key); err != nil || token.User.Name != "Ada" {
		t.Errorf("the key's user is %q, %v", token.User.Name, err)
	}
	f.flush(t)
	f.endElsewhere(t, s)
	if _, _, err := f.Touch(t.Context(), &s.hash, from("192.0.2.1", "curl/8")); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("a session that ended authenticates: %v", err)
	}
}
