package postgres

import (
	"net/url"
	"sync"
	"testing"

	"lastseen/db/dbtest"
	"lastseen/db/pgtest"
)

// Behind a pooler that gives each transaction another connection all is as it is without.
func TestBehindPgBouncer(t *testing.T) {
	through, err := url.Parse(pgtest.NewBouncer(t, template.New(t)))
	if err != nil {
		t.Fatal(err)
	}
	behind := func(to string) string {
		u, err := url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		u.Host = through.Host
		return u.String() + "&default_query_exec_mode=exec"
	}
	dbtest.Run(t, func(t testing.TB) dbtest.Store { return open(t, behind(template.New(t))) })

	// A start migrates through it too: that is one transaction, with a lock that ends with it.
	fresh, err := Open(t.Context(), behind(nothing.New(t)), Options{Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	dbtest.CreateUser(t, fresh, "ada", true)
	fresh.Close()

	var wait sync.WaitGroup
	s, other := open(t, through.String()), open(t, through.String())
	sess := dbtest.CreateSession(t, s, dbtest.CreateUser(t, s, "ada", true), "192.0.2.1", dbtest.Start)
	for range 20 { // more than there are connections
		wait.Go(func() {
			for range 20 {
				if _, err := other.SessionByUUID(sess.UUID); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
}
