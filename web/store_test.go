package web

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"lastseen/app"
	"lastseen/app/config"
	"lastseen/db/pgtest"
	"lastseen/db/postgres"
	"lastseen/db/sqlite"
	"lastseen/geoip"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

type testStore interface {
	app.Store
	Close() error
}

// openStore opens a database in which there are ada and bob: SQLite's in a directory, or
// PostgreSQL's where the tests are to run on it, at the URL.
func openStore(t testing.TB, dir string) (store testStore, url string) {
	t.Helper()
	var err error
	if pgtest.Asked() {
		url = firstPostgres.New(t)
		store, err = postgres.Open(t.Context(), url, postgres.Options{})
	} else {
		if err := os.WriteFile(app.DatabasePath(dir), firstDatabase(), 0o600); err != nil {
			t.Fatal(err)
		}
		store, err = sqlite.Open(t.Context(), app.DatabasePath(dir), true)
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

// firstDatabase and firstPostgres are what every test begins with: making it and hashing
// the passwords take a while.
var (
	firstDatabase = sync.OnceValue(func() []byte {
		dir, err := os.MkdirTemp("", "lastseen-web-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		store, err := sqlite.Open(context.Background(), app.DatabasePath(dir), true)
		if err != nil {
			panic(err)
		}
		if err := fillFirst(store); err != nil {
			panic(err)
		}
		content, err := os.ReadFile(app.DatabasePath(dir))
		if err != nil {
			panic(err)
		}
		return content
	})
	firstPostgres = pgtest.NewTemplate(func(url string) error {
		store, err := postgres.Open(context.Background(), url, postgres.Options{Migrate: true})
		if err != nil {
			return err
		}
		return fillFirst(store)
	})
)

// fillFirst makes ada and bob, and closes the store.
func fillFirst(store testStore) error {
	log := slog.New(slog.DiscardHandler)
	a := app.New(store, geoip.Open("", "", log), agents(), config.Config{}, log)
	a.Now = func() time.Time { return now }
	for _, user := range []app.NewUser{{Username: "ada", Superuser: true}, {Username: "bob"}} {
		user.Password = password
		if _, err := a.CreateUser(context.Background(), app.Operator.Actor(), user); err != nil {
			return err
		}
	}
	return store.Close()
}
