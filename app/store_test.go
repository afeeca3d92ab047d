package app

import (
	"context"
	"os"
	"sync"
	"testing"

	"lastseen/app/useragent"
	"lastseen/db/pgtest"
	"lastseen/db/postgres"
	"lastseen/db/sqlite"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// What every test begins with is made once: it takes a while.
var (
	emptySQLite = sync.OnceValue(func() []byte {
		dir, err := os.MkdirTemp("", "lastseen-app-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		store, err := sqlite.Open(context.Background(), DatabasePath(dir), true)
		if err != nil {
			panic(err)
		}
		if err := store.Close(); err != nil {
			panic(err)
		}
		content, err := os.ReadFile(DatabasePath(dir))
		if err != nil {
			panic(err)
		}
		return content
	})
	emptyPostgres = pgtest.NewTemplate(func(url string) error {
		store, err := postgres.Open(context.Background(), url, postgres.Options{Migrate: true})
		if err != nil {
			return err
		}
		return store.Close()
	})
	postgresOf sync.Map // URLs, by the data directory

	agents = sync.OnceValue(func() *useragent.Parser {
		p, err := useragent.New()
		if err != nil {
			panic(err)
		}
		return p
	})
)

type testStore interface {
	Store
	Close() error
}

// openStore opens the database of a data directory: SQLite's, or one of PostgreSQL, at the
// URL, where the tests are to run on it.
func openStore(t testing.TB, dir string) (store testStore, url string) {
	t.Helper()
	var err error
	if pgtest.Asked() {
		known, ok := postgresOf.Load(dir)
		if !ok {
			known = emptyPostgres.New(t)
			postgresOf.Store(dir, known)
		}
		url = known.(string)
		store, err = postgres.Open(t.Context(), url, postgres.Options{})
	} else {
		if _, there := os.Stat(DatabasePath(dir)); there != nil {
			if err := os.WriteFile(DatabasePath(dir), emptySQLite(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		store, err = sqlite.Open(t.Context(), DatabasePath(dir), true)
	}
	if err != nil {
		t.Fatal(err)
	}
	return store, url
}

// onlySQLite skips a test of what SQLite alone has, such as its file and its backups, where
// the tests run on PostgreSQL. Without LASTSEEN_TEST_POSTGRES it skips none.
func onlySQLite(t testing.TB) {
	t.Helper()
	if pgtest.Asked() {
		t.Skip("of SQLite's file")
	}
}
