package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"lastseen/schema"

	"github.com/golang-migrate/migrate/v4"
	driver "github.com/golang-migrate/migrate/v4/database/sqlite"
	"github.com/golang-migrate/migrate/v4/source/iofs"
)

// NewerError says that another, newer version of the program wrote the database.
type NewerError struct {
	Path      string
	Got, Want int
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("the database %s has schema %d, this program knows up to %d: run the newer lastseen that wrote it, or restore a backup",
		e.Path, e.Got, e.Want)
}

// version is the schema version of an open database file, 0 for an empty one.
func version(ctx context.Context, conn *sql.DB) (v int, dirty bool, err error) {
	var tables int
	err = conn.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master WHERE name = 'schema_migrations'`).Scan(&tables)
	if err != nil || tables == 0 {
		return 0, false, err
	}
	err = conn.QueryRowContext(ctx, `SELECT version, dirty FROM schema_migrations`).Scan(&v, &dirty)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return v, dirty, err
}

// migrate brings the schema to the latest version. It first copies a database
// that holds something, and puts the copy back if a migration fails.
func (s *Store) migrate(ctx context.Context, files fs.FS, mayMigrate bool) error {
	from, dirty, err := version(ctx, s.write)
	if err != nil {
		return s.err(err)
	}
	to := schema.Latest(files)
	if from == 0 {
		var tables int
		if err := s.write.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master`).Scan(&tables); err != nil {
			return s.err(err)
		}
		if tables > 0 {
			return fmt.Errorf("%s is the database of another program: give --data another directory", s.path)
		}
	}
	switch {
	case dirty:
		return fmt.Errorf("a migration of %s to schema %d was cut off: put the copy %s back in its place, or restore a backup, and start again",
			s.path, from, beforePath(s.path, from-1))
	case from > to:
		return &NewerError{s.path, from, to}
	case from == to:
		return nil
	case !mayMigrate:
		return fmt.Errorf("the database %s has schema %d and a running server uses it, this program needs %d: start the server anew with this program first",
			s.path, from, to)
	}

	before := ""
	if from > 0 {
		before = beforePath(s.path, from)
		os.Remove(before)
		if _, err := s.write.ExecContext(ctx, `VACUUM INTO $1`, before); err != nil {
			return fmt.Errorf("cannot copy the database to %s before migrating it (free some disk space?): %w", before, err)
		}
		if err := os.Chmod(before, 0o600); err != nil {
			return fmt.Errorf("cannot keep the copy %s private: %w", before, err)
		}
	}
	if err := migrateUp(s.write, files); err != nil {
		if before == "" {
			return fmt.Errorf("cannot set up the database %s: %w", s.path, err)
		}
		if restoreErr := s.putBack(before); restoreErr != nil {
			return fmt.Errorf("cannot migrate %s from schema %d to %d: %w; nor put the copy %s back: %w", s.path, from, to, err, before, restoreErr)
		}
		return fmt.Errorf("cannot migrate %s from schema %d to %d; it is as it was before: run the previous lastseen, and report this: %w",
			s.path, from, to, err)
	}
	return nil
}

// objects are the statements that made everything in a database, by kind and name.
// What SQLite makes for itself is left out.
func objects(ctx context.Context, conn *sql.DB) (map[string]string, error) {
	rows, err := conn.QueryContext(ctx, `SELECT type || ' ' || name, coalesce(sql, '') FROM sqlite_master WHERE name NOT LIKE 'sqlite\_%' ESCAPE '\'`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[string]string{}
	for rows.Next() {
		var name, statement string
		if err := rows.Scan(&name, &statement); err != nil {
			return nil, err
		}
		found[name] = statement
	}
	return found, rows.Err()
}

// litestreams are the tables that Litestream makes in what it copies.
var litestreams = []string{"table _litestream_seq", "table _litestream_lock"}

// checkObjects says what in a database is not as our migrations to its schema version make
// it: a trigger or a view of somebody else's would run with our next statement.
func checkObjects(ctx context.Context, path string) error {
	conn, err := sql.Open("sqlite", fileURL(path, "mode=ro&immutable=1"))
	if err != nil {
		return err
	}
	defer conn.Close()
	got, err := objects(ctx, conn)
	if err != nil {
		return err
	}
	number, _, err := version(ctx, conn)
	if err != nil {
		return err
	}
	ours, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return err
	}
	defer ours.Close()
	ours.SetMaxOpenConns(1) // each connection has a memory of its own
	if err := migrateTo(ours, schema.SQLite, number); err != nil {
		return err
	}
	want, err := objects(ctx, ours)
	if err != nil {
		return err
	}
	for name, statement := range got {
		if want[name] != statement && !slices.Contains(litestreams, name) {
			return fmt.Errorf("holds a %s that Lastseen did not make: it is not restored", name)
		}
	}
	for name := range want {
		if _, ok := got[name]; !ok {
			return fmt.Errorf("lacks the %s: it is damaged, or no backup of Lastseen's", name)
		}
	}
	return nil
}

// beforePath is where the copy made before migrating from a version is kept.
func beforePath(path string, from int) string {
	return fmt.Sprintf("%s.before-schema-%d", path, from+1)
}

func migrateUp(conn *sql.DB, files fs.FS) error { return migrateTo(conn, files, schema.Latest(files)) }

// migrateTo brings an older schema to a version.
func migrateTo(conn *sql.DB, files fs.FS, version int) error {
	source, err := iofs.New(files, "sqlite")
	if err != nil {
		return err
	}
	target, err := driver.WithInstance(conn, &driver.Config{})
	if err != nil {
		return err
	}
	m, err := migrate.NewWithInstance("iofs", source, "sqlite", target)
	if err != nil {
		return err
	}
	if err := m.Migrate(uint(version)); err != nil && !errors.Is(err, migrate.ErrNoChange) {
		return err
	}
	return nil // not m.Close: it would close the *sql.DB that we go on using
}

// putBack closes the database and puts the copy in its place.
func (s *Store) putBack(copy string) error {
	err := s.write.Close()
	for _, suffix := range []string{"-wal", "-shm"} {
		if e := os.Remove(s.path + suffix); e != nil && !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return errors.Join(err, os.Rename(copy, s.path))
}
