package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"lastseen/db"
	"lastseen/db/dbtest"
	"lastseen/schema"

	"github.com/golang-migrate/migrate/v4"
	driver "github.com/golang-migrate/migrate/v4/database/sqlite"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/google/uuid"
)

var start = dbtest.Start

func open(t testing.TB) *Store {
	t.Helper()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "lastseen.db"), true)
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

// TestStore is what every store must do.
func TestStore(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t testing.TB) dbtest.Store { return open(t) })
}

func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	s := open(t)
	dbtest.CreateUser(t, s, "ada", true)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(s.Path() + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("mode of %s: got %o, want 600", info.Name(), got)
		}
	}
}

// A link is refused with what to do, whether there is something where it leads or not.
func TestOpenLink(t *testing.T) {
	t.Parallel()
	for _, target := range []string{open(t).Path(), filepath.Join(t.TempDir(), "nothing")} {
		path := filepath.Join(t.TempDir(), "lastseen.db")
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), path, true); !errors.Is(err, db.ErrUnavailable) || !strings.Contains(err.Error(), "give --data the directory") {
			t.Errorf("got %v", err)
		}
	}
}

// A pool has a goroutine for as long as it is not closed.
func TestPoolsAreClosed(t *testing.T) {
	pools := func() int {
		var stacks strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 2)
		return strings.Count(stacks.String(), "connectionOpener(")
	}
	before := pools()
	s := open(t)
	if err := s.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	for try := 0; pools() > before+3; try++ { // the closed ones' may end a moment later
		if try == 500 {
			t.Fatalf("%d pools are open, want three", pools()-before)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestEveryConnectionHasForeignKeys(t *testing.T) {
	t.Parallel()
	s := open(t)
	var on int
	for range 5 {
		conn, err := s.read.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.QueryRowContext(t.Context(), `PRAGMA foreign_keys`).Scan(&on); err != nil || on != 1 {
			t.Errorf("foreign_keys: got %d, %v, want 1", on, err)
		}
		if _, err := conn.ExecContext(t.Context(), `DELETE FROM users`); err == nil {
			t.Error("a reading connection could write")
		}
		conn.Close()
	}
}

// dump is the whole schema, in the order of its names.
func dump(t *testing.T, s *Store) string {
	t.Helper()
	rows, err := s.write.QueryContext(t.Context(), `SELECT name, coalesce(sql, '') FROM sqlite_master WHERE name NOT LIKE 'schema_migrations' AND name NOT LIKE 'version_unique' AND name NOT LIKE 'sqlite_%' ORDER BY name`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var b strings.Builder
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&b, name, text)
	}
	return b.String()
}

// Keys whose names clash in the version before keep apart, and none gains rights.
func fillBeforeDown(t *testing.T, s *Store) {
	for _, key := range []struct{ user, identifier, scope string }{
		{"ada", "a", "all"}, {"otto", "a", "all"}, {"ada", "a-2", "all"}, {"otto", "a-2", "all"},
		{"erika", "a", "all"}, {"erika", "b", "gate"}, {"ada", "b", "all"},
	} {
		user, err := s.UserByName(t.Context(), key.user)
		if errors.Is(err, db.ErrNotFound) {
			user = dbtest.CreateUser(t, s, key.user, false)
		} else if err != nil {
			t.Fatal(err)
		}
		_, err = s.CreateToken(t.Context(), db.Token{UUID: uuid.New(), Identifier: key.identifier, Scope: db.Scope(key.scope), User: user, Created: time.Now()}, []byte(key.user+key.identifier), db.Event{Created: time.Now(), Action: db.ModelCreated})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestMigrationsDownAndUpAgain(t *testing.T) {
	t.Parallel()
	s := open(t)
	before := dump(t, s)
	fillBeforeDown(t, s)
	source, err := iofs.New(schema.SQLite, "sqlite")
	if err != nil {
		t.Fatal(err)
	}
	target, err := driver.WithInstance(s.write, &driver.Config{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := migrate.NewWithInstance("iofs", source, "sqlite", target)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Migrate(5); err != nil {
		t.Fatal(err)
	}
	var keys, named int
	if err := s.write.QueryRow(`SELECT count(*), count(*) FILTER (WHERE identifier IN ('a', 'a-2', 'b') OR identifier LIKE 'a-%') FROM tokens`).Scan(&keys, &named); err != nil || keys != 6 || named != 6 {
		t.Errorf("in the version before: %d keys of which %d have their names, %v; want 6", keys, named, err)
	}
	if err := m.Down(); err != nil {
		t.Fatal(err)
	}
	if left := dump(t, s); left != "" {
		t.Errorf("left after migrating down:\n%s", left)
	}
	if err := m.Up(); err != nil {
		t.Fatal(err)
	}
	if after := dump(t, s); after != before {
		t.Errorf("schema after down and up:\n%s\nwant:\n%s", after, before)
	}
}

func TestEveryMigrationHasItsPair(t *testing.T) {
	t.Parallel()
	ups, _ := fs.Glob(schema.SQLite, "sqlite/*.up.sql")
	downs, _ := fs.Glob(schema.SQLite, "sqlite/*.down.sql")
	if len(ups) == 0 || len(ups) != len(downs) {
		t.Fatalf("got %d up and %d down", len(ups), len(downs))
	}
	for i, up := range ups {
		if want := strings.TrimSuffix(up, ".up.sql") + ".down.sql"; downs[i] != want {
			t.Errorf("got %s, want %s", downs[i], want)
		}
	}
}

// broken is our migrations and one more that fails half way.
func broken(t *testing.T) fs.FS {
	files := fstest.MapFS{}
	names, _ := fs.Glob(schema.SQLite, "sqlite/*")
	for _, name := range names {
		content, err := fs.ReadFile(schema.SQLite, name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: content}
	}
	next := schema.Latest(schema.SQLite) + 1
	files[fmt.Sprintf("sqlite/%04d_broken.up.sql", next)] = &fstest.MapFile{Data: []byte("DROP TABLE events; SELECT nonsense FROM nowhere;")}
	files[fmt.Sprintf("sqlite/%04d_broken.down.sql", next)] = &fstest.MapFile{Data: []byte("SELECT 1;")}
	return files
}

func TestFailedMigrationPutsTheCopyBack(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lastseen.db")
	s, err := Open(t.Context(), path, true)
	if err != nil {
		t.Fatal(err)
	}
	dbtest.CreateUser(t, s, "ada", true)
	before := dump(t, s)
	err = s.migrate(t.Context(), broken(t), true)
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "as it was before") {
		t.Errorf("error: got %v, want one that names the file and says that nothing changed", err)
	}
	s.Close()

	s, err = Open(t.Context(), path, true)
	if err != nil {
		t.Fatal("open after a failed migration:", err)
	}
	defer s.Close()
	if after := dump(t, s); after != before {
		t.Errorf("schema after a failed migration:\n%s\nwant:\n%s", after, before)
	}
	if _, err := s.UserByName(t.Context(), "ada"); err != nil {
		t.Error("user after a failed migration:", err)
	}
}

func TestNewerDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lastseen.db")
	s, err := Open(t.Context(), path, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.write.Exec(`UPDATE schema_migrations SET version = version + 1`); err != nil {
		t.Fatal(err)
	}
	s.Close()
	var newer *NewerError
	if _, err := Open(t.Context(), path, true); !errors.As(err, &newer) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want a NewerError that names the file", err)
	}
}

func TestMayNotMigrate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lastseen.db")
	if _, err := Open(t.Context(), path, false); err == nil || !strings.Contains(err.Error(), "running server") {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestOpenNoDatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lastseen.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("this is no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), path, true)
	if !errors.Is(err, db.ErrUnavailable) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want db.ErrUnavailable naming the file", err)
	}
	content, _ := os.ReadFile(path)
	if !strings.HasPrefix(string(content), "this is no database") {
		t.Error("a file that is no database was written to")
	}
}

// While a file of the database is moved away nobody makes another one: beside a new
// database SQLite deletes the log, with what was written last.
func TestNoOtherFilesAreMade(t *testing.T) {
	t.Parallel()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		s := open(t)
		ada := dbtest.CreateUser(t, s, "ada", true)
		file := s.Path() + suffix
		rename := func(from, to string) {
			t.Helper()
			if err := os.Rename(from, to); err != nil {
				t.Fatal(err)
			}
		}
		start := func(mayMigrate bool) error {
			other, err := Open(t.Context(), s.Path(), mayMigrate)
			if err == nil {
				other.Close()
			}
			return err
		}
		opens := map[string]func() error{
			"a point read": func() error {
				for range 2 { // one may be there already
					conn, err := s.read.Conn(t.Context())
					if err != nil {
						return err
					}
					defer conn.Close()
				}
				return nil
			},
			"a list": func() error { _, err := s.list.Conn(t.Context()); return err },
		}
		if suffix == "" {
			opens["another process"] = func() error { return start(false) }
			opens["a start"] = func() error { return start(true) }
			opens["a copy of another"] = func() error {
				return Make(t.Context(), s.Path(), func(made *Store) error {
					dbtest.CreateUser(t, made, "eve", true)
					return nil
				})
			}
		}
		rename(file, file+".away")
		for name, open := range opens {
			if err := open(); !errors.Is(err, db.ErrUnavailable) {
				t.Errorf("without %s %s: got %v", file, name, err)
			}
			if _, err := os.Stat(file); err == nil {
				t.Errorf("%s makes another %s", name, file)
			}
			if log, err := os.Stat(s.Path() + "-wal"); suffix == "" && (err != nil || log.Size() == 0) {
				t.Errorf("%s empties the log", name)
			}
		}
		rename(file+".away", file)
		if found, err := s.User(t.Context(), ada.ID); err != nil || found.Username != "ada" {
			t.Errorf("%s moved back: got %+v, %v", file, found, err)
		}
	}
}

// A restored database of which a part was left in its log, as on a full disk,
// takes nobody's place.
func TestRestoreNeedsAllOfIt(t *testing.T) {
	t.Parallel()
	s := open(t)
	dbtest.CreateUser(t, s, "ada", true)
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := s.Backup(t.Context(), backup, ""); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "lastseen.db")
	if err := os.WriteFile(path, []byte("the old one"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Restore(t.Context(), backup, path, path+".old", func(fresh *Store) error {
		// While somebody reads, closing folds nothing in.
		other, err := sql.Open("sqlite", fileURL(fresh.Path(), ""))
		if err != nil {
			return err
		}
		t.Cleanup(func() { other.Close() })
		tx, err := other.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return err
		}
		var n int
		if err := tx.QueryRowContext(t.Context(), `SELECT count(*) FROM users`).Scan(&n); err != nil {
			return err
		}
		return fresh.SetSetting(t.Context(), "x", "y")
	})
	if err == nil || !strings.Contains(err.Error(), "could not all be written") {
		t.Errorf("got %v", err)
	}
	if content, err := os.ReadFile(path); string(content) != "the old one" {
		t.Errorf("the old database: got %q, %v", content, err)
	}
}

// A restore that gets no further leaves the database with its log, or the log to be missed.
func TestRestoreKeepsTheLog(t *testing.T) {
	t.Parallel()
	s := open(t)
	ada := dbtest.CreateUser(t, s, "ada", true)
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := s.Backup(t.Context(), backup, ""); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "lastseen.db")
	for _, suffix := range []string{"", "-wal"} { // as a process that is killed leaves them
		content, err := os.ReadFile(s.Path() + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+suffix, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(path+".old/in the way", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), backup, path, path+".old", func(*Store) error { return nil }); err == nil {
		t.Error("it took the place of what it cannot keep")
	}
	again, err := Open(t.Context(), path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if found, err := again.User(t.Context(), ada.ID); err != nil || found.Username != "ada" {
		t.Errorf("got %+v, %v", found, err)
	}
}

// A file whose schema is not ours, letter for letter, is not restored: a trigger in it
// would run with our next statement, and could add a superuser.
func TestRestoreTakesNoForeignSchema(t *testing.T) {
	t.Parallel()
	const ours = "ours"
	for name, foreign := range map[string]string{
		"a trigger":              `CREATE TRIGGER x AFTER DELETE ON sessions BEGIN UPDATE users SET superuser = 1; END`,
		"a view":                 `CREATE VIEW x AS SELECT * FROM users`,
		"a table":                `CREATE TABLE x (y)`,
		"an index":               `CREATE INDEX x ON users (email)`,
		"another trigger":        `DROP TRIGGER sessions_begun; CREATE TRIGGER sessions_begun AFTER INSERT ON sessions BEGIN UPDATE users SET superuser = 1; END`,
		"a column":               `ALTER TABLE users ADD COLUMN x TEXT`,
		"a trigger that is gone": `DROP TRIGGER sessions_ended`,
		ours:                     `SELECT 1`,
		ours + " by Litestream":  `CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER); CREATE TABLE _litestream_lock (id INTEGER)`,
		"a trigger of that name": `CREATE TRIGGER _litestream_seq AFTER DELETE ON sessions BEGIN UPDATE users SET superuser = 1; END`,

		"a trigger in its log": `PRAGMA journal_mode = WAL; CREATE TRIGGER x AFTER DELETE ON sessions BEGIN UPDATE users SET superuser = 1; END`,
	} {
		s := open(t)
		dbtest.CreateUser(t, s, "ada", true)
		backup := filepath.Join(t.TempDir(), "backup.db")
		if err := s.Backup(t.Context(), backup, ""); err != nil {
			t.Fatal(err)
		}
		conn, err := sql.Open("sqlite", fileURL(backup, ""))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.ExecContext(t.Context(), foreign); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "log") { // which closing would fold in
			t.Cleanup(func() { conn.Close() })
		} else if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "lastseen.db")
		_, err = Restore(t.Context(), backup, path, path+".old", func(*Store) error { return nil })
		if refused := err != nil && strings.Contains(err.Error(), backup); refused == strings.HasPrefix(name, ours) {
			t.Errorf("%s: got %v", name, err)
		}
		if _, statErr := os.Stat(path); (statErr == nil) != strings.HasPrefix(name, ours) {
			t.Errorf("%s: the database is there: %v", name, statErr)
		}
	}
}

// Only uses are written without waiting for the disk, whatever becomes of them.
func TestWritesWaitForTheDisk(t *testing.T) {
	t.Parallel()
	s := open(t)
	const full = 2
	synchronous := func(q interface {
		QueryRowContext(context.Context, string, ...any) *sql.Row
	}) (mode int) {
		if err := q.QueryRowContext(t.Context(), `PRAGMA synchronous`).Scan(&mode); err != nil {
			t.Fatal(err)
		}
		return mode
	}
	failed, stop := context.WithCancel(t.Context())
	for _, light := range []func() error{
		func() error { return s.inLightTx(t.Context(), func(*sql.Tx) (bool, error) { return false, nil }) },
		func() error {
			return s.inLightTx(t.Context(), func(*sql.Tx) (bool, error) { return false, errors.New("x") })
		},
		func() error {
			return s.inLightTx(failed, func(tx *sql.Tx) (bool, error) {
				if mode := synchronous(tx); mode == full {
					t.Error("a light transaction waits for the disk")
				}
				stop()
				return true, nil
			})
		},
	} {
		_ = light()
		if err := s.inTx(t.Context(), func(tx *sql.Tx) error { // in which it cannot be changed
			if mode := synchronous(tx); mode != full {
				t.Errorf("after a light transaction, synchronous is %d", mode)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// Whoever waits for uses to be written may leave at any moment: what is written then
// waits for the disk all the same, by the same connection.
func TestLeavingALightWrite(t *testing.T) {
	t.Parallel()
	s := open(t)
	connection := func() (raw any, mode int) {
		t.Helper()
		conn, err := s.write.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.Raw(func(c any) error { raw = c; return nil })
		if err := conn.QueryRowContext(t.Context(), `PRAGMA synchronous`).Scan(&mode); err != nil {
			t.Fatal(err)
		}
		return raw, mode
	}
	first, _ := connection()
	for i := range 2000 {
		ctx, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Duration(i%200)*time.Microsecond, leave)
		_ = s.inLightTx(ctx, func(tx *sql.Tx) (bool, error) {
			_, err := tx.ExecContext(ctx, `UPDATE settings SET value = value`)
			return false, err
		})
		leave()
		if now, mode := connection(); mode != 2 || now != first {
			t.Fatalf("after %d: synchronous is %d, the same connection: %v", i, mode, now == first)
		}
	}
}
