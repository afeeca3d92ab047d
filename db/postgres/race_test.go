package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"lastseen/db"
	"lastseen/db/dbtest"

	"github.com/google/uuid"
)

// both runs something on each of two stores at once, and returns their errors, sorted.
func both(here, there *Store, do func(s *Store, i int) error) (errs [2]error) {
	var wait sync.WaitGroup
	ready := make(chan struct{})
	for i, s := range []*Store{here, there} {
		wait.Go(func() {
			<-ready
			errs[i] = do(s, i)
		})
	}
	close(ready)
	wait.Wait()
	return errs
}

// mayBeGone are the errors but that of who came too late.
func mayBeGone(errs [2]error) error {
	for i, err := range errs {
		if errors.Is(err, db.ErrNotFound) {
			errs[i] = nil
		}
	}
	return errors.Join(errs[0], errs[1])
}

// onlyOne says what is wrong unless exactly one succeeded, and the other one failed so.
func onlyOne(errs [2]error, other error) error {
	switch {
	case errs[0] == nil && errors.Is(errs[1], other), errs[1] == nil && errors.Is(errs[0], other):
		return nil
	}
	return fmt.Errorf("want one success and one %v, got %v and %v", other, errs[0], errs[1])
}

// Two machines that do what must be done once, or what excludes the other, at the same
// time. LASTSEEN_TEST_RACES says how often each is tried.
func TestRaces(t *testing.T) {
	t.Parallel()
	tries := 15
	if n, err := strconv.Atoi(os.Getenv("LASTSEEN_TEST_RACES")); err == nil {
		tries = n
	}
	url := template.New(t)
	here, there := open(t, url), open(t, url)
	ctx := t.Context()
	event := dbtest.Event(db.ModelUpdated)
	told := func(db.User) db.Event { return event }
	root := dbtest.CreateUser(t, here, "root", true)
	number := 0
	user := func(superuser bool) db.User {
		number++
		return dbtest.CreateUser(t, here, fmt.Sprintf("user-%d", number), superuser)
	}
	session := func(u db.User) db.Session { return dbtest.CreateSession(t, here, u, "192.0.2.1", dbtest.Start) }
	living := func(u db.User) int {
		_, total, err := there.Sessions(ctx, db.SessionFilter{User: &u.ID, Now: dbtest.Start})
		if err != nil {
			t.Error(err)
		}
		return total
	}
	totp := func(u db.User) db.TOTP {
		n := db.TOTP{UUID: uuid.New(), UserID: u.ID, Name: "phone", Secret: []byte("secret"), Step: 1, Created: dbtest.Start}
		hash := make([]byte, 32)
		err := here.AddFactor(ctx, db.NewFactor{TOTP: &n, Recovery: [][]byte{hash}, Event: func(int64) db.Event { return event }})
		if err != nil {
			t.Fatal(err)
		}
		factors, err := there.Factors(ctx, u.ID)
		if err != nil || len(factors.TOTPs) != 1 || factors.Recovery != 1 {
			t.Fatal(factors, err)
		}
		return factors.TOTPs[0]
	}
	signIn := func(s *Store, u db.User, p db.Proof) error {
		sess := db.Session{UUID: uuid.New(), UserID: u.ID, Agent: dbtest.Agent("a"), IP: netip.MustParseAddr("192.0.2.1"), Method: "password",
			Created: dbtest.Start, LastUsed: dbtest.Start, Ends: dbtest.Start.Add(time.Hour), Expires: dbtest.Start.Add(time.Hour)}
		_, err := s.CreateSession(ctx, db.SignIn{User: u, Session: sess, TokenHash: sess.UUID[:], Network: "192.0.2.1/32", Proof: p, Event: event})
		return err
	}
	races := map[string]func() error{
		"a name that is taken": func() error {
			number++
			return onlyOne(both(here, there, func(s *Store, i int) error {
				name := fmt.Sprintf("twin-%d", number)
				_, err := s.CreateUser(ctx, db.User{UUID: uuid.New(), Username: name, Created: dbtest.Start, Groups: []db.Group{{Name: "g2-" + name}, {Name: "g1-" + name}}}, false, told)
				return err
			}), db.ErrConflict)
		},
		"the last superuser": func() error {
			if err := here.UpdateUser(ctx, root, dbtest.Start, false, event); err != nil {
				return err
			}
			pair := [2]db.User{user(true), user(true)}
			plain := root
			plain.Superuser = false
			if err := here.UpdateUser(ctx, plain, dbtest.Start, true, event); err != nil {
				return err
			}
			err := onlyOne(both(here, there, func(s *Store, i int) error {
				switch (number/2 + i) % 3 {
				case 0:
					return s.SetActive(ctx, pair[i].ID, false, true, event)
				case 1:
					return s.DeleteUser(ctx, pair[i].ID, true, event)
				}
				pair[i].Superuser = false
				return s.UpdateUser(ctx, pair[i], dbtest.Start, true, event)
			}), db.ErrLastSuperuser)
			root.Superuser = true
			err = errors.Join(err, here.UpdateUser(ctx, root, dbtest.Start, false, event))
			for _, u := range pair {
				if e := here.UpdateUser(ctx, db.User{ID: u.ID}, dbtest.Start, false, event); !errors.Is(e, db.ErrNotFound) { // it was deleted
					err = errors.Join(err, e)
				}
			}
			return err
		},
		"groups": func() error {
			u := user(false)
			sets := [2][]string{{"a", "b"}, {"c", "b"}}
			errs := both(here, there, func(s *Store, i int) error {
				return s.SetGroups(ctx, u.ID, sets[i], func(string, bool) db.Event { return event })
			})
			u, err := here.User(ctx, u.ID)
			names := make([]string, len(u.Groups))
			for i, g := range u.Groups {
				names[i] = g.Name
			}
			if fmt.Sprint(names) != "[a b]" && fmt.Sprint(names) != "[b c]" {
				return fmt.Errorf("both sets in one: %v", names)
			}
			return errors.Join(errs[0], errs[1], err)
		},
		"the end of a session": func() error {
			u := user(false)
			sess := session(u)
			err := onlyOne(both(here, there, func(s *Store, i int) error {
				return s.EndSession(ctx, db.Use{UUID: sess.UUID}, db.Revoked, event)
			}), db.ErrNotFound)
			if _, total, e := here.History(ctx, db.SessionFilter{User: &u.ID}); total != 1 || living(u) != 0 {
				err = errors.Join(err, fmt.Errorf("it ended %d times, %v", total, e))
			}
			return err
		},
		"the end of all sessions": func() error {
			u := user(false)
			for range 5 {
				session(u)
			}
			var ended [2][]uuid.UUID
			errs := both(here, there, func(s *Store, i int) (err error) {
				ended[i], err = s.EndSessions(ctx, []int64{u.ID}, uuid.Nil, dbtest.Start, db.Revoked, func(db.Session) db.Event { return event })
				return err
			})
			if n := len(ended[0]) + len(ended[1]); n != 5 || living(u) != 0 {
				return fmt.Errorf("of 5 sessions %d are counted, and %d live", n, living(u))
			}
			return errors.Join(errs[0], errs[1])
		},
		"a sign-in beside who disables": func() error {
			u := user(false)
			errs := both(here, there, func(s *Store, i int) error {
				if i == 0 {
					return s.SetActive(ctx, u.ID, false, true, event)
				}
				return signIn(s, u, db.Proof{})
			})
			if errs[0] != nil || errs[1] != nil && !errors.Is(errs[1], db.ErrNotFound) || living(u) != 0 {
				return fmt.Errorf("%v, %v, and %d live", errs[0], errs[1], living(u))
			}
			return nil
		},
		"a sign-in beside a new password": func() error {
			u := user(false)
			errs := both(here, there, func(s *Store, i int) error {
				if i == 0 {
					return s.SetPassword(ctx, db.PasswordChange{UserID: u.ID, Hash: "another", Event: event})
				}
				return signIn(s, u, db.Proof{})
			})
			if errs[0] != nil || errs[1] != nil && !errors.Is(errs[1], db.ErrNotFound) || living(u) != 0 {
				return fmt.Errorf("%v, %v, and %d live", errs[0], errs[1], living(u))
			}
			return nil
		},
		"a code of an authenticator app": func() error {
			u := user(false)
			app := totp(u)
			app.Step = 2
			return onlyOne(both(here, there, func(s *Store, i int) error { return signIn(s, u, db.Proof{TOTP: &app}) }), db.ErrUsed)
		},
		"a recovery code": func() error {
			u := user(false)
			totp(u)
			return onlyOne(both(here, there, func(s *Store, i int) error { return signIn(s, u, db.Proof{Recovery: make([]byte, 32)}) }), db.ErrUsed)
		},
		"a code of an app's host": func() error {
			sess := session(user(false))
			code := db.AppCode{Hash: sess.UUID[:], State: []byte("state"), Host: "app.home.example", Session: sess.UUID, Target: "https://app.home.example/", Created: dbtest.Start}
			if err := here.CreateCode(ctx, code, time.Time{}.Add(time.Hour)); err != nil {
				return err
			}
			return onlyOne(both(here, there, func(s *Store, i int) error {
				_, _, err := s.RedeemCode(ctx, code, dbtest.Start.Add(-time.Minute), append([]byte{byte(i)}, sess.UUID[:]...))
				return err
			}), db.ErrNotFound)
		},
		"uses beside what ends": func() error {
			u := user(false)
			var uses []db.Use
			for i := range 20 {
				sess := session(u)
				uses = append(uses, db.Use{Session: sess.ID, UUID: sess.UUID, At: dbtest.Start.Add(time.Duration(i) * time.Second), Agent: dbtest.Agent(fmt.Sprint(i)), IP: sess.IP})
			}
			errs := both(here, there, func(s *Store, i int) error {
				mine := slices.Clone(uses)
				for n := range mine {
					mine[n].At = mine[n].At.Add(time.Duration(i) * time.Minute)
				}
				if i == 1 {
					slices.Reverse(mine)
				}
				err := s.RecordUses(ctx, slices.Values(mine), time.Hour)
				if i == 1 {
					_, e := s.EndSessions(ctx, []int64{u.ID}, uses[0].UUID, dbtest.Start, db.Revoked, func(db.Session) db.Event { return event })
					err = errors.Join(err, e)
				}
				return err
			})
			last, err := here.SessionByUUID(uses[0].UUID)
			if want := dbtest.Start.Add(time.Minute); err == nil && !last.LastUsed.Equal(want) {
				err = fmt.Errorf("last used %v, want %v", last.LastUsed, want)
			}
			return errors.Join(errs[0], errs[1], err)
		},
		"sign-ins under way": func() error {
			number++
			name, limits := fmt.Sprintf("guessed-%d", number), db.LoginLimits{Pair: 3, Network: 50, Window: time.Hour, Account: 100, Lock: time.Hour}
			var mu sync.Mutex
			looked := 0
			errs := both(here, there, func(s *Store, i int) error {
				var wait sync.WaitGroup
				for range 4 {
					wait.Go(func() {
						id, before, err := s.BeginAttempt(ctx, name, "n", dbtest.Start)
						lowered := limits.Lower(limits, before)
						var until time.Time
						if err == nil && lowered.Pair > 0 {
							until, _, err = s.LoginBlockedUntil(ctx, name, "n", dbtest.Start, lowered)
						}
						mu.Lock()
						defer mu.Unlock()
						if err != nil {
							t.Error(err)
						} else if lowered.Pair > 0 && until.IsZero() {
							looked++
							if err := s.LoginFailed(ctx, name, "n", event, limits); err != nil {
								t.Error(err)
							}
						}
						if err := s.EndAttempt(ctx, id); err != nil {
							t.Error(err)
						}
					})
				}
				wait.Wait()
				return nil
			})
			if looked > 3 || looked == 0 {
				return fmt.Errorf("%d passwords are looked at, want 3 or fewer", looked)
			}
			return errors.Join(errs[0], errs[1], here.UnlockUser(ctx, name, event))
		},
		"the end of a session beside the end of its user": func() error {
			u := user(false)
			uses := []db.Use{{UUID: session(u).UUID}, {UUID: session(u).UUID}}
			return mayBeGone(both(here, there, func(s *Store, i int) error {
				if i == 0 {
					return s.DeleteUser(ctx, u.ID, true, event)
				}
				_, err := s.EndChosen(ctx, uses, db.Revoked, []db.Event{event, event})
				return err
			}))
		},
		"a device forgotten beside a sign-in there": func() error {
			u := user(false)
			on := func(sess *db.Session) db.SignIn {
				return db.SignIn{User: u, Session: *sess, TokenHash: sess.UUID[:], Network: "n", Device: []byte("device"), Event: event}
			}
			sess := session(u)
			sess.UUID, sess.Agent = uuid.New(), dbtest.Agent("a")
			if _, err := here.CreateSession(ctx, on(&sess)); err != nil {
				return err
			}
			devices, err := here.Devices(ctx, u.ID)
			if err != nil {
				return err
			}
			return mayBeGone(both(here, there, func(s *Store, i int) error {
				if i == 0 {
					_, err := s.DeleteDevice(ctx, devices[0].UUID, db.Revoked, event, func(db.Session) db.Event { return event })
					return err
				}
				next := on(&sess)
				next.Replaces = []db.Use{{UUID: sess.UUID}}
				next.Session.UUID = uuid.New()
				next.TokenHash = next.Session.UUID[:]
				_, err := s.CreateSession(ctx, next)
				return err
			}))
		},
		"a code of an app's host beside the end": func() error {
			sess := session(user(false))
			code := db.AppCode{Hash: sess.UUID[:], State: []byte("state"), Host: "app.home.example", Session: sess.UUID, Target: "https://app.home.example/", Created: dbtest.Start}
			if err := here.CreateCode(ctx, code, time.Time{}.Add(time.Hour)); err != nil {
				return err
			}
			return mayBeGone(both(here, there, func(s *Store, i int) error {
				if i == 0 {
					return s.EndSession(ctx, db.Use{UUID: sess.UUID}, db.Revoked, event)
				}
				_, _, err := s.RedeemCode(ctx, code, dbtest.Start.Add(-time.Minute), sess.UUID[:])
				if err == nil {
					err = s.EndAppSession(ctx, sess.UUID, code.Host)
				}
				return err
			}))
		},
		"an end with an agent beside its uses": func() error {
			number++
			sess := session(user(false))
			use := db.Use{Session: sess.ID, UUID: sess.UUID, At: dbtest.Start.Add(time.Second), Agent: dbtest.Agent(fmt.Sprint("new ", number)), IP: sess.IP}
			return mayBeGone(both(here, there, func(s *Store, i int) error {
				if i == 0 {
					return s.EndSession(ctx, use, db.Revoked, event)
				}
				return s.RecordUses(ctx, slices.Values([]db.Use{use}), 0)
			}))
		},
		"what is delivered to one target": func() error {
			number++
			target := fmt.Sprint("target ", number)
			var waiting []db.Alert
			for range 8 {
				told := event
				told.Alert = &db.Alert{UUID: uuid.New(), Type: "sign_in", UserID: root.ID, Created: dbtest.Start, Content: []byte(`{}`)}
				if err := here.Record(ctx, told); err != nil {
					return err
				}
			}
			waiting, err := here.NewAlerts(ctx, 8)
			if err == nil {
				_, err = here.PlanAlerts(ctx, waiting, func(db.Alert, int) ([]string, bool) { return []string{target}, false })
			}
			if err != nil {
				return err
			}
			errs := both(here, there, func(s *Store, i int) error {
				var all error
				for n := range 4 {
					d := db.Delivery{Alert: waiting[n*2+i], Target: target, Due: dbtest.Start.Add(time.Hour)}
					if n == 0 {
						all = errors.Join(all, s.NotDelivered(ctx, []db.Delivery{d}, db.AlertProblem{Target: target, Created: dbtest.Start, Problem: "no"}))
						continue
					}
					all = errors.Join(all, s.Delivered(ctx, d, dbtest.Start.Add(-time.Hour)))
				}
				return all
			})
			return errors.Join(errs[0], errs[1])
		},
		"a purge of an agent that is taken up": func() error {
			number++
			agent := dbtest.Agent(fmt.Sprint("old ", number))
			if err := here.StoreAgents(ctx, []*db.Agent{agent}); err != nil {
				return err
			}
			u := user(false)
			errs := both(here, there, func(s *Store, i int) error {
				if i == 0 {
					return s.Purge(ctx, dbtest.Start, dbtest.Start, dbtest.Start)
				}
				dbtest.CreateSession(t, s, u, "192.0.2.1", dbtest.Start, func(sess *db.Session) { sess.Agent = agent })
				return nil
			})
			return errors.Join(errs[0], errs[1])
		},
		"a purge": func() error {
			u := user(false)
			sess := session(u)
			if err := here.EndSession(ctx, db.Use{UUID: sess.UUID}, db.Revoked, event); err != nil {
				return err
			}
			errs := both(here, there, func(s *Store, i int) error {
				return s.Purge(ctx, dbtest.Start.Add(time.Second), dbtest.Start, dbtest.Start)
			})
			_, total, err := here.History(ctx, db.SessionFilter{User: &u.ID})
			if total != 0 {
				err = fmt.Errorf("%d are kept", total)
			}
			return errors.Join(errs[0], errs[1], err)
		},
	}
	for _, name := range slices.Sorted(maps.Keys(races)) {
		t.Run(name, func(t *testing.T) {
			for range tries {
				if err := races[name](); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	// None waited for another that waited for it, until PostgreSQL ended one of them. Connections
	// tell what they did when they end: three are left, of two that watch and the one that asks.
	here.pool.reset()
	there.pool.reset()
	for left := 4; left > 3; time.Sleep(10 * time.Millisecond) {
		var deadlocks int
		err := here.once(ctx, time.Now().Add(time.Minute), func(ctx context.Context, q querier) error {
			return q.row(ctx, `SELECT deadlocks, numbackends::bigint FROM pg_stat_database WHERE datname = current_database()`).Scan(&deadlocks, &left)
		})
		if err != nil || deadlocks > 0 {
			t.Fatalf("%d deadlocks, %v", deadlocks, err)
		}
	}
	// What lists count is what there is.
	all, total, err := here.Sessions(ctx, db.SessionFilter{Limit: 1 << 20})
	if err != nil || len(all) != total {
		t.Errorf("%d sessions are counted, %d are there, %v", total, len(all), err)
	}
}

// Of two machines that make the first user at the same time one does, and no link to do so
// is good any more.
func TestFirstUser(t *testing.T) {
	for range 5 {
		url := template.New(t)
		here, there := open(t, url), open(t, url)
		for i, s := range []*Store{here, there} {
			if err := s.SetSetting(t.Context(), fmt.Sprint(db.SetupSetting, i), "now"); err != nil {
				t.Fatal(err)
			}
		}
		err := onlyOne(both(here, there, func(s *Store, i int) error {
			_, err := s.CreateUser(t.Context(), db.User{UUID: uuid.New(), Username: fmt.Sprint("u", i), Created: dbtest.Start}, true, func(db.User) db.Event { return dbtest.Event(db.ModelCreated) })
			return err
		}), db.ErrConflict)
		for i := range 2 {
			if kept, e := here.Setting(t.Context(), fmt.Sprint(db.SetupSetting, i)); kept != "" || e != nil {
				err = errors.Join(err, fmt.Errorf("link %d is kept: %q, %v", i, kept, e))
			}
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// Of several that start on an empty database at the same time one migrates it, and all serve.
func TestMigrateAtOnce(t *testing.T) {
	empty := nothing.New(t)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			s, err := Open(t.Context(), empty, Options{Migrate: true, Serve: true})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if _, err := s.HasUsers(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
}
