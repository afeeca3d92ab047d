package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lastseen/app/config"
	"lastseen/db"
	"lastseen/geoip"

	"github.com/google/uuid"
)

// openApp is an app on a data directory, as another process would open it.
func openApp(t testing.TB, dir string) *App {
	t.Helper()
	store, url := openStore(t, dir)
	log := slog.New(slog.DiscardHandler)
	settings := map[string]string{"data": dir, "database": url}
	cfg, err := config.Parse(func(name string) (string, bool) { v, ok := settings[name]; return v, ok }, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	a := New(store, geoip.Open("", "", log), agents(), cfg, log)
	t.Cleanup(func() { store.Close() })
	return a
}

// insertSession stores a session directly, since signing in costs a hash.
func insertSession(t testing.TB, a *App, user db.User) (token string, id uuid.UUID) {
	t.Helper()
	token, id = newSecret(), uuid.New()
	now := a.now()
	sess := db.Session{
		UUID: id, UserID: user.ID, Agent: a.live.Agent("curl/8"), IP: netip.MustParseAddr("192.0.2.1"), Method: "password",
		Created: now, LastUsed: now, Ends: now.Add(a.Config.SessionDuration), Expires: now.Add(a.Config.SessionDuration),
	}
	hash := secretHash(token)
	if _, err := a.store.CreateSession(context.Background(), db.SignIn{User: user, Session: sess, TokenHash: hash[:], Event: a.event(Operator.Actor(), db.Login, user.ID, nil)}); err != nil {
		t.Fatal(err)
	}
	return token, id
}

// TestRevokedIsRefusedNext ends sessions in every way there is, here and as another
// process or machine would, while many readers keep the cache warm, and asks for each on
// both at once afterwards. LASTSEEN_TEST_REVOCATIONS says how many.
func TestRevokedIsRefusedNext(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		onlySQLite(t)
		dir := t.TempDir()
		revokedIsRefused(t, openApp(t, dir), openApp(t, dir))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		here, there, _ := onPostgres(t, func(*App) {})
		revokedIsRefused(t, here, there)
	})
}

func revokedIsRefused(t *testing.T, here, there *App) {
	revocations := 240
	if n, err := strconv.Atoi(os.Getenv("LASTSEEN_TEST_REVOCATIONS")); err == nil {
		revocations = n
	}
	root, err := here.CreateUser(t.Context(), Operator.Actor(), NewUser{Username: "root", Password: "correct horse", Superuser: true})
	if err != nil {
		t.Fatal(err)
	}
	client := Client{IP: netip.MustParseAddr("192.0.2.7"), Agent: "curl/8"}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()

	// Sessions that live on, which readers use and must never be refused.
	var steady []string
	for range 20 {
		token, _ := insertSession(t, here, root)
		steady = append(steady, token)
	}
	var wait sync.WaitGroup
	var reads atomic.Int64
	for range 4 {
		wait.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				_, err := here.Authenticate(ctx, []string{steady[rand.IntN(len(steady))]}, client)
				if err != nil && ctx.Err() == nil {
					t.Errorf("a session that lives was refused: %v", err)
					return
				}
				reads.Add(1)
				if n%16 == 0 { // leaves room for those who end sessions
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	for _, a := range []*App{here, there} {
		wait.Go(func() { // flushes, as the loop does
			for ctx.Err() == nil {
				if err := a.live.Flush(ctx); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}

	type session struct {
		token string
		id    uuid.UUID
	}
	var ended, misses atomic.Int64
	var enders sync.WaitGroup
	for worker := range 4 {
		enders.Go(func() {
			for turn := 0; ended.Load() < int64(revocations); turn++ {
				user, count := root, 1
				way := (turn + worker) % 6
				if way >= 4 { // ends all sessions of a user of its own
					var err error
					name := fmt.Sprintf("u%d-%d", worker, turn)
					user, err = here.store.CreateUser(ctx, db.User{UUID: uuid.New(), Username: name, PasswordHash: "x", Active: true, Created: here.now()}, false, func(db.User) db.Event { return here.event(Operator.Actor(), db.ModelCreated, 0, nil) })
					if err != nil {
						t.Error(err)
						return
					}
					count = 50
				}
				sessions := make([]session, count)
				for i := range sessions {
					token, id := insertSession(t, here, user)
					sessions[i] = session{token, id}
					for _, a := range []*App{here, here, there} { // into the cache, and out of it
						if _, err := a.Authenticate(ctx, []string{token}, client); err != nil {
							t.Errorf("a new session was refused: %v", err)
							return
						}
					}
				}
				id := sessions[0].id
				var err error
				switch way {
				case 0:
					err = here.RevokeSession(ctx, Operator, id)
				case 1:
					err = there.RevokeSession(ctx, Operator, id)
				case 2:
					err = here.SignOut(ctx, Caller{User: &user, Session: id})
				case 3:
					err = there.SignOut(ctx, Caller{User: &user, Session: id})
				case 4:
					err = here.SetUserActive(ctx, Operator.Actor(), user, false)
				case 5:
					_, err = there.RevokeSessions(ctx, Operator.Actor(), []int64{user.ID}, uuid.Nil)
				}
				if err != nil {
					t.Errorf("way %d: %v", way, err)
					return
				}
				for _, session := range sessions {
					for i, a := range []*App{here, there} {
						if _, err := a.Authenticate(ctx, []string{session.token}, client); !errors.Is(err, ErrUnauthenticated) {
							misses.Add(1)
							t.Errorf("ended in way %d, but on machine %d answered %v", way, i, err)
						}
						if _, err := a.Session(ctx, Operator, session.id); !errors.Is(err, db.ErrNotFound) {
							misses.Add(1)
							t.Errorf("ended in way %d, but on machine %d shown: %v", way, i, err)
						}
					}
				}
				ended.Add(int64(count))
			}
		})
	}
	enders.Wait()
	stop()
	wait.Wait()
	t.Logf("%d revocations, %d misses, %d reads beside", ended.Load(), misses.Load(), reads.Load())
}
