package postgres

import (
	"context"
	"errors"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"lastseen/db"
	"lastseen/db/dbtest"
	"lastseen/db/pgtest"
	"lastseen/schema"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// template is a database whose schema is the latest.
var template = pgtest.NewTemplate(func(url string) error {
	s, err := Open(context.Background(), url, Options{Migrate: true})
	if err != nil {
		return err
	}
	return s.Close()
})

// open is a store on a database, as each machine opens it.
func open(t testing.TB, url string) *Store {
	t.Helper()
	s, err := Open(t.Context(), url, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// run runs a statement, or without args several.
func run(t testing.TB, s *Store, sql string, args ...any) {
	t.Helper()
	err := s.once(t.Context(), time.Now().Add(time.Minute), func(ctx context.Context, q querier) (err error) {
		if args == nil {
			_, err = q.conn.do(ctx, sql)
		} else {
			_, err = q.exec(ctx, sql, args...)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestStore is what every store must do.
func TestStore(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t testing.TB) dbtest.Store { return open(t, template.New(t)) })
}

// Who goes away while they wait for an answer takes no connection with them.
func TestConnectionOfWhoGoesAway(t *testing.T) {
	s := open(t, template.New(t))
	ask := func(ctx context.Context, sql string) (pid int) {
		t.Helper()
		err := s.read(ctx, func(ctx context.Context, q querier) error { return q.row(ctx, sql).Scan(&pid) })
		if err != nil {
			t.Error(err)
		}
		return pid
	}
	before := ask(t.Context(), `SELECT pg_backend_pid()`)
	going, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	ask(going, `SELECT 1 FROM pg_sleep(0.1)`)
	if after := ask(t.Context(), `SELECT pg_backend_pid()`); after != before {
		t.Error("another connection was made")
	}
}

// nothing is a database without anything.
var nothing = pgtest.NewTemplate(func(string) error { return nil })

// What is not ours, or newer, or older beside servers, is refused, and left as it is.
func TestRefusedDatabases(t *testing.T) {
	for _, tt := range []struct {
		name, url string
		change    string
		may       bool
		want      string
	}{
		{"another program's", nothing.New(t), `CREATE TABLE theirs (id int)`, true, "another program"},
		{"newer", template.New(t), `UPDATE schema_migrations SET version = version + 1`, true, "newer lastseen"},
		{"empty, for a command", nothing.New(t), `SELECT 1`, false, "start a server"},
	} {
		conn, err := pgconn.Connect(t.Context(), tt.url)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Exec(t.Context(), tt.change).Close(); err != nil {
			t.Fatal(err)
		}
		conn.Close(t.Context())
		s, err := Open(t.Context(), tt.url, Options{Migrate: tt.may})
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

// A server that is too old is refused, and a database that does not hold all text.
func TestServersThatDoNotSuit(t *testing.T) {
	s := &Store{name: "postgres://here/lastseen"}
	for _, tt := range []struct {
		version        int
		encoding, want string
	}{
		{90624, "UTF8", "PostgreSQL 9, this program needs 15"},
		{149999, "UTF8", "PostgreSQL 14, this program needs 15"},
		{150000, "UTF8", ""},
		{180001, "UTF8", ""},
		{170002, "SQL_ASCII", "encoding SQL_ASCII, this program needs UTF8"},
		{170002, "LATIN1", "createdb --encoding UTF8"},
	} {
		if err := s.suits(tt.version, tt.encoding); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%d, %s: got %v, want %q", tt.version, tt.encoding, err, tt.want)
		}
	}
	there, err := url.Parse(nothing.New(t))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgconn.Connect(t.Context(), there.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.Exec(t.Context(), `CREATE DATABASE bytes ENCODING 'SQL_ASCII' TEMPLATE template0`).Close(); err != nil {
		t.Fatal(err)
	}
	there.Path = "/bytes"
	if opened, err := Open(t.Context(), there.String(), Options{Migrate: true}); err == nil {
		opened.Close()
		t.Error("a database of bytes is taken")
	} else if !strings.Contains(err.Error(), "SQL_ASCII") {
		t.Error(err)
	}
	if err := conn.Exec(t.Context(), `DROP DATABASE bytes WITH (FORCE)`).Close(); err != nil {
		t.Error(err)
	}
}

// The schema goes down and up again, to the same.
func TestDownAndUp(t *testing.T) {
	s := open(t, template.New(t))
	objects := func() []string {
		var all []string
		err := s.read(t.Context(), func(ctx context.Context, q querier) (err error) {
			all, err = rows(ctx, q, column[string], `SELECT table_name || ' ' || column_name || ' ' || data_type || ' ' || is_nullable FROM information_schema.columns WHERE table_schema = 'public'
				UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := objects()
	down, err := schema.Postgres.ReadFile("postgres/0001_all.down.sql")
	if err != nil {
		t.Fatal(err)
	}
	up, err := schema.Postgres.ReadFile("postgres/0001_all.up.sql")
	if err != nil {
		t.Fatal(err)
	}
	run(t, s, string(down))
	if left := objects(); len(left) > 3 { // migrate's own
		t.Errorf("left: %q", left)
	}
	run(t, s, string(up))
	if after := objects(); !slices.Equal(before, after) {
		t.Errorf("got %q, want %q", after, before)
	}
}

// No text is one that PostgreSQL could not take.
func TestTextThatIsNone(t *testing.T) {
	s := open(t, template.New(t))
	ada := dbtest.CreateUser(t, s, "ada", true)
	dbtest.CreateSession(t, s, ada, "192.0.2.1", dbtest.Start, func(sess *db.Session) { sess.Agent = dbtest.Agent("a\x00b\xff") })
	for _, text := range []string{"\x00", "\xff", "a\x00b\xff", `\`, "%", "ｆ"} {
		f := db.SessionFilter{Username: &text, Agent: &text, IP: &text, Kind: &text, IPs: []string{text}, Search: []string{text}, Words: []db.Word{{Text: text, IPs: []string{text}}}, Limit: 10}
		_, _, err := s.Sessions(t.Context(), f)
		_, _, history := s.History(t.Context(), f)
		_, _, users := s.Users(t.Context(), db.UserFilter{Username: &text, Groups: []string{text}, Search: []string{text}, Limit: 10})
		_, _, tokens := s.Tokens(t.Context(), db.TokenFilter{Identifier: &text, Search: []string{text}, Limit: 10})
		_, _, events := s.Events(t.Context(), db.EventFilter{Username: &text, IP: &text, Model: map[string]string{"pk": text}, Search: []string{text}, Limit: 10})
		if err := errors.Join(err, history, users, tokens, events); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}
