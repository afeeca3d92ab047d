package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"lastseen/db"
	"lastseen/db/dbtest"
	"lastseen/db/pgtest"
)

// within waits for something that must become so.
func within(t *testing.T, limit time.Duration, what string, is func() bool) {
	t.Helper()
	start := time.Now()
	for !is() {
		if time.Since(start) > limit {
			t.Fatalf("after %v it is not so: %s", limit, what)
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Logf("%s after %v", what, time.Since(start).Round(10*time.Millisecond))
}

// What is asked while the database is gone, in whatever way, is answered soon, and by a
// refusal; when it is back all goes on by itself.
func TestGone(t *testing.T) {
	t.Parallel() // it waits most of the time, with a server of its own
	server := pgtest.NewServer(t)
	relay := pgtest.NewRelay(t, server.URL)
	s, err := Open(t.Context(), relay.URL, Options{Migrate: true, Serve: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ada := dbtest.CreateUser(t, s, "ada", true)
	sess := dbtest.CreateSession(t, s, ada, "192.0.2.1", dbtest.Start)
	ask := func() error {
		_, err := s.SessionByUUID(sess.UUID)
		return err
	}
	for _, tt := range []struct {
		name       string
		gone, back func()
	}{
		{"stopped", func() { server.Stop(syscall.SIGINT) }, func() { start(t, server) }},
		{"killed", func() { server.Stop(syscall.SIGQUIT) }, func() { start(t, server) }},
		{"frozen", relay.Freeze, relay.Thaw},
		{"frozen for good", relay.Freeze, relay.Forget},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.gone()
			for range 3 {
				for what, do := range map[string]func() error{
					"a request": ask,
					"a use":     func() error { return s.RecordKeyUses(t.Context(), nil) },
					"readiness": func() error { return s.Ready(t.Context(), dbtest.Start) },
					"a list":    func() error { _, _, err := s.Sessions(t.Context(), db.SessionFilter{}); return err },
				} {
					began := time.Now()
					if err := do(); !errors.Is(err, db.ErrUnavailable) {
						t.Errorf("%s: got %v", what, err)
					}
					if took := time.Since(began); took > 12*time.Second {
						t.Errorf("%s was answered after %v", what, took)
					}
				}
			}
			within(t, 12*time.Second, "nothing is asked any more", func() bool { return s.Usable() != nil })
			tt.back()
			within(t, 25*time.Second, "it is ready", func() bool { return s.Ready(t.Context(), time.Now()) == nil })
			if err := ask(); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func start(t *testing.T, server *pgtest.Server) {
	t.Helper()
	if err := server.Start(); err != nil {
		t.Error(err)
	}
}

// A server that is replaced by another costs no request that begins afterwards, whatever
// connections the pool holds.
func TestConnectionsAreLost(t *testing.T) {
	relay := pgtest.NewRelay(t, template.New(t))
	s := open(t, relay.URL)
	ada := dbtest.CreateUser(t, s, "ada", true)
	sess := dbtest.CreateSession(t, s, ada, "192.0.2.1", dbtest.Start)
	for range 20 {
		done := make(chan error)
		const many = 8
		for range many { // as many connections as they ask for at once
			go func() {
				_, err := s.SessionByUUID(sess.UUID)
				done <- err
			}()
		}
		for range many {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		relay.Cut()
		if _, err := s.SessionByUUID(sess.UUID); err != nil {
			t.Errorf("a question: %v", err)
		}
		relay.Cut()
		if err := s.SetSetting(t.Context(), "a", "b"); err != nil {
			t.Errorf("a change: %v", err)
		}
	}
}

// No error names the password.
func TestSecretsOfTheURL(t *testing.T) {
	for _, url := range []string{
		"postgres://ada:hunter2@127.0.0.1:1/lastseen?connect_timeout=1",
		"postgres://ada:hunter2@no.such.host.invalid/lastseen?connect_timeout=1",
		"postgres://ada:hunter2%@127.0.0.1:1/lastseen",
		"postgres://ada:hunter2@127.0.0.1:port/lastseen",
		"postgres://ada:hunter2@127.0.0.1:1/lastseen?sslmode=hunter2",
		"postgres://127.0.0.1:1/lastseen?password=hunter2&connect_timeout=1",
	} {
		s, err := Open(t.Context(), url, Options{})
		if err == nil {
			s.Close()
			t.Errorf("%s opens", url)
		} else if got := err.Error(); len(got) < 20 || strings.Contains(got, "hunter2") {
			t.Errorf("%s: %s", url, got)
		}
	}
}

// A copy whose connection is lost in the middle ends, whatever is being read for it.
func TestCopyIsCutOff(t *testing.T) {
	t.Parallel()
	relay := pgtest.NewRelay(t, template.New(t))
	s := open(t, relay.URL)
	_, err := s.Fill(t.Context(), func(_ context.Context, each func(db.Table) error) error {
		return each(db.Table{Name: "settings", Columns: []string{"name", "value"}, Rows: func(yield func([]any, error) bool) {
			for n := 0; yield([]any{fmt.Sprint(n), strings.Repeat("x", 1000)}, nil); n++ {
				if n == 1000 {
					relay.Cut()
				}
			}
		}})
	})
	if err == nil {
		t.Error("it says that all was copied")
	}
}
