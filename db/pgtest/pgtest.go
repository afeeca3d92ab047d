// Package pgtest starts a PostgreSQL for the tests of one package: its own, in a temporary
// folder, on a free port, and gone with them.
package pgtest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// Asked reports whether the tests of every package are to run on PostgreSQL.
func Asked() bool { return os.Getenv("LASTSEEN_TEST_POSTGRES") != "" }

// Main runs tests, and then stops the server, if one of them started it. It returns the
// exit status.
func Main(m *testing.M) int {
	defer stop()
	return m.Run()
}

// A Template is a database that others are made from.
type Template struct {
	prepare func(url string) error
	once    sync.Once
	name    string
	err     error
}

// NewTemplate is one that prepare fills when the first of the others is made.
func NewTemplate(prepare func(url string) error) *Template { return &Template{prepare: prepare} }

var number atomic.Int64

// New makes a database, and returns its URL. Without PostgreSQL the test is skipped, or
// fails when LASTSEEN_TEST_REQUIRE is 1.
func (p *Template) New(t testing.TB) (url string) {
	t.Helper()
	s, err := server()
	if err != nil {
		missing(t, err)
	}
	p.once.Do(func() {
		p.name = fmt.Sprintf("template_%d", number.Add(1))
		if p.err = s.run(`CREATE DATABASE ` + p.name); p.err == nil {
			p.err = p.prepare(s.url(p.name))
		}
	})
	if p.err != nil {
		t.Fatalf("the template: %v", p.err)
	}
	name := fmt.Sprintf("test_%d", number.Add(1))
	if err := s.run(`CREATE DATABASE ` + name + ` TEMPLATE ` + p.name + ` STRATEGY file_copy`); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.run(`DROP DATABASE IF EXISTS ` + name + ` WITH (FORCE)`); err != nil {
			t.Error(err)
		}
	})
	return s.url(name)
}

// missing skips a test of what is not there, or fails it when LASTSEEN_TEST_REQUIRE is 1.
func missing(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("LASTSEEN_TEST_REQUIRE") == "1" {
		t.Fatal(err)
	}
	t.Skip(err)
}

// A postgres is a server that runs.
type postgres struct {
	address string
	mu      sync.Mutex // two databases at once are not made from one template
	stop    func()
}

// url is that of one of its databases.
func (s *postgres) url(name string) string {
	return fmt.Sprintf("postgres://lastseen:secret@%s/%s?sslmode=disable", s.address, name)
}

func (s *postgres) run(statement string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx := context.Background()
	conn, err := pgconn.Connect(ctx, s.url("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if err := conn.Exec(ctx, statement).Close(); err != nil {
		return fmt.Errorf("%s: %w", strings.Fields(statement)[0], err)
	}
	return nil
}

var (
	running *postgres
	server  = sync.OnceValues(func() (*postgres, error) {
		s, err := start()
		running = s
		return s, err
	})
)

func stop() {
	if running != nil {
		running.stop()
	}
}
