package app

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

// What it costs to find the session of a cookie in memory, also while people save their
// profiles, so many times a second.
func BenchmarkAuthenticate(b *testing.B) {
	for _, bench := range []struct{ sessions, users, saves int }{
		{1, 1, 0}, {1000, 1, 0}, {20_000, 1, 0}, {3000, 300, 0}, {3000, 300, 17}, {3000, 300, 100},
	} {
		b.Run(fmt.Sprintf("sessions=%d,users=%d,saves=%d", bench.sessions, bench.users, bench.saves), func(b *testing.B) {
			a := openApp(b, b.TempDir())
			users := make([]db.User, bench.users)
			for i := range users {
				u := db.User{UUID: uuid.New(), Username: fmt.Sprint("u", i), PasswordHash: "x", Active: true, Created: a.now()}
				u, err := a.store.CreateUser(b.Context(), u, false, func(db.User) db.Event { return a.event(Operator.Actor(), db.ModelCreated, 0, nil) })
				if err != nil {
					b.Fatal(err)
				}
				users[i] = u
			}
			client := Client{IP: netip.MustParseAddr("192.0.2.7"), Agent: "curl/8"}
			tokens := make([]string, bench.sessions)
			for i := range tokens {
				tokens[i], _ = insertSession(b, a, users[i%len(users)])
				if _, err := a.Authenticate(b.Context(), tokens[i:i+1], client); err != nil {
					b.Fatal(err)
				}
			}
			done := make(chan struct{})
			var saving sync.WaitGroup
			if bench.saves > 0 {
				saving.Go(func() {
					tick := time.NewTicker(time.Second / time.Duration(bench.saves))
					defer tick.Stop()
					for i := 0; ; i++ {
						select {
						case <-done:
							return
						case <-tick.C:
						}
						if err := a.UpdateProfile(context.Background(), Caller{User: &users[i%len(users)]}, fmt.Sprint("Name ", i), ""); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				n := i % len(tokens)
				if _, err := a.Authenticate(b.Context(), tokens[n:n+1], client); err != nil {
					b.Fatal(err)
				}
			}
			close(done)
			saving.Wait()
		})
	}
}
