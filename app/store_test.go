package app

import (
	"context"
	"os"
	"sync"
	"testing"

	"lastseen/db/pgtest"
	"lastseen/db/postgres"
	"lastseen/db/sqlite"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

var (
	emptyPostgres = pgtest.NewTemplate(func(url string) error {
		store, err := postgres.Open(context.Background(), url, postgres.Options{Migrate: true})
		if err != nil {
			return err
		}
		return store.Close()
	})
	postgresOf sync.Map // URLs, by the data directory
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
