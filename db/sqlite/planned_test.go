package sqlite

import (
	"fmt"
	"sync"
	"testing"

	"lastseen/db/dbtest"
)

// However many different queries there are, each is answered, and few plans are kept.
func TestPlansAreBounded(t *testing.T) {
	t.Parallel()
	s := open(t)
	var wait sync.WaitGroup
	for worker := range 8 {
		wait.Go(func() {
			for i := range 10 * maxPlans {
				var got int
				if err := s.list.QueryRowContext(t.Context(), fmt.Sprintf(`SELECT $1 + %d`, (i+worker)%(2*maxPlans)), 1000).Scan(&got); err != nil || got != 1000+(i+worker)%(2*maxPlans) {
					t.Errorf("got %d, %v", got, err)
				}
			}
		})
	}
	wait.Wait()
	if n := len(s.list.plans); n == 0 || n > maxPlans {
		t.Errorf("%d plans are kept, want 1 to %d", n, maxPlans)
	}
}

// A plan that is kept stays no reader of what was committed when it ran: the log could
// never begin anew.
func TestPlansHoldNoLock(t *testing.T) {
	t.Parallel()
	s := open(t)
	dbtest.CreateUser(t, s, "ada", true)
	var n int
	for range 2 {
		if err := s.list.QueryRowContext(t.Context(), `SELECT count(*) FROM users`).Scan(&n); err != nil || n != 1 {
			t.Fatalf("%d users, %v", n, err)
		}
	}
	dbtest.CreateUser(t, s, "bob", true)
	var busy, frames, copied int
	if err := s.write.QueryRowContext(t.Context(), `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &frames, &copied); err != nil || busy != 0 {
		t.Errorf("the log cannot begin anew: busy %d, %v", busy, err)
	}
}
