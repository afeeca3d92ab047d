package sqlite

import (
	"crypto/rand"
	"errors"
	"sync"
	"testing"

	"lastseen/db"
	"lastseen/db/dbtest"
)

func anyToken() []byte {
	hash := make([]byte, 32)
	rand.Read(hash)
	return hash
}

// Many tokens that nobody was given cost no query, once some did, also when another
// process has written meanwhile.
func TestTokensOfNobody(t *testing.T) {
	t.Parallel()
	s := open(t)
	ada := dbtest.CreateUser(t, s, "ada", true)
	for range 50 {
		dbtest.CreateSession(t, s, ada, "192.0.2.1", start)
	}
	other, err := Open(t.Context(), s.Path(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for range 2 {
		settled(t, s)
		if s.lacksToken(anyToken()) {
			t.Error("it cannot know that")
		}
		for range vainLookups {
			if _, err := s.SessionByToken(anyToken()); !errors.Is(err, db.ErrNotFound) {
				t.Fatal(err)
			}
		}
		for s.tokens.making.Load() && !s.lacksToken(anyToken()) { // by itself
		}
		spared := 0
		for range 1000 {
			if s.lacksToken(anyToken()) {
				spared++
			}
			if _, err := s.AppSession(t.Context(), anyToken()); !errors.Is(err, db.ErrNotFound) {
				t.Fatal(err)
			}
		}
		if spared < 980 {
			t.Errorf("of 1,000 only %d were spared a query", spared)
		}
		dbtest.CreateSession(t, s, ada, "192.0.2.1", start)                               // ours changes nothing
		if one, two := s.lacksToken(anyToken()), s.lacksToken(anyToken()); !one && !two { // one may be taken for another
			t.Error("after a sign-in of ours nobody is spared")
		}
		dbtest.CreateSession(t, other, ada, "192.0.2.1", start)
		s.tokens.making.Store(false) // as it is some time later
	}
}

// No sign-in is missed, of this process or another, while the filter is made anew.
func TestTokensMissNobody(t *testing.T) {
	t.Parallel()
	s := open(t)
	ada := dbtest.CreateUser(t, s, "ada", true)
	bob := dbtest.CreateUser(t, s, "bob", false)
	other, err := Open(t.Context(), s.Path(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	const many = 150
	stop := make(chan struct{})
	var making, signing sync.WaitGroup
	spared := 0
	making.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := s.learnTokens(); err != nil {
					t.Error(err)
					return
				}
				if s.lacksToken(anyToken()) {
					spared++
				}
			}
		}
	})
	for _, in := range []struct {
		store *Store
		user  db.User
	}{{s, ada}, {other, bob}} {
		signing.Go(func() {
			for i := range many {
				sess := dbtest.CreateSession(t, in.store, in.user, "192.0.2.1", start)
				if found, err := s.SessionByToken(sess.UUID[:]); err != nil || found.UUID != sess.UUID {
					t.Errorf("sign-in %d of %s: %v", i, in.user.Username, err)
				}
			}
		})
	}
	signing.Wait()
	close(stop)
	making.Wait()
	if spared == 0 {
		t.Error("the filter was never in use: this tries nothing")
	}
	if err := s.learnTokens(); err != nil {
		t.Fatal(err)
	}
}
