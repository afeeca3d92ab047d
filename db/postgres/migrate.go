package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"lastseen/db"
	"lastseen/schema"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	"github.com/golang-migrate/migrate/v4/source/iofs"
)

// migrateTimeout is how long a migration may take, waiting for another machine's included.
const migrateTimeout = 10 * time.Minute

// migrate brings the schema to the latest version. Of several that start at once one does
// it, and the others wait.
func (s *Store) migrate(ctx context.Context, o Options) error {
	var from int
	err := s.once(ctx, deadline(ctx, listTimeout), func(ctx context.Context, q querier) error {
		var server int
		var encoding string
		err := q.row(ctx, `SELECT current_setting('server_version_num')::bigint, current_setting('server_encoding')`).Scan(&server, &encoding)
		if err == nil {
			err = s.suits(server, encoding)
		}
		if err == nil {
			from, err = version(ctx, q)
		}
		return err
	})
	if err != nil {
		return s.err(err)
	}
	latest := schema.Latest(schema.Postgres)
	if from == latest {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	// All is one transaction: a migration that is cut off has done nothing. The lock is the
	// transaction's, and so behind a pooler too.
	_, err = s.transact(ctx, `BEGIN`, func(ctx context.Context, q querier) error {
		if err := lock(ctx, q, lockMigrate); err != nil {
			return err
		}
		from, err := version(ctx, q) // as it is by now
		if err != nil || from == latest {
			return err
		}
		if from > latest {
			return fmt.Errorf("the database %s has schema %d, this program knows up to %d: run the newer lastseen that wrote it", s.name, from, latest)
		}
		if !o.Migrate {
			return fmt.Errorf("the database %s has schema %d, this program needs %d: start a server with this program first", s.name, from, latest)
		}
		if from == 0 {
			var tables int
			if err := q.row(ctx, `SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()`).Scan(&tables); err != nil {
				return err
			}
			if tables > 0 {
				return fmt.Errorf("%s is the database of another program: give --database one of its own", s.name)
			}
		}
		if err := migrateTo(ctx, q, latest); err != nil {
			return fmt.Errorf("cannot migrate %s from schema %d to %d: %w", s.name, from, latest, err)
		}
		return nil
	})
	return s.err(err)
}

// oldest is the version of PostgreSQL that is the oldest one supported.
const oldest = 15

// suits is an error for a server of a version, as server_version_num, that is too old, and
// for a database that does not hold all text.
func (s *Store) suits(version int, encoding string) error {
	switch {
	case version < oldest*10000:
		return fmt.Errorf("%s is on PostgreSQL %d, this program needs %d or newer: move it to one, as pg_upgrade or pg_dump does", s.name, version/10000, oldest)
	case encoding != "UTF8":
		return fmt.Errorf("the database %s has the encoding %s, this program needs UTF8: make one with `createdb --encoding UTF8 --template template0`", s.name, encoding)
	}
	return nil
}

// version is the schema version of a database, 0 for an empty one.
func version(ctx context.Context, q querier) (v int, err error) {
	var there bool
	err = q.row(ctx, `SELECT to_regclass('schema_migrations') IS NOT NULL`).Scan(&there)
	if err != nil || !there {
		return 0, err
	}
	err = q.row(ctx, `SELECT version FROM schema_migrations`).Scan(&v)
	if errors.Is(err, db.ErrNotFound) {
		err = nil
	}
	return v, err
}

// migrateTo brings the schema to a version.
func migrateTo(ctx context.Context, q querier, version int) error {
	source, err := iofs.New(schema.Postgres, "postgres")
	if err != nil {
		return err
	}
	m, err := migrate.NewWithInstance("iofs", source, "postgres", &driver{ctx, q})
	if err != nil {
		return err
	}
	if err = m.Migrate(uint(version)); errors.Is(err, migrate.ErrNoChange) {
		err = nil
	}
	sourceErr, _ := m.Close()
	return errors.Join(err, sourceErr)
}

// A driver has golang-migrate do its work in a transaction that holds lockMigrate.
type driver struct {
	ctx context.Context
	q   querier
}

// Run runs a migration.
func (d *driver) Run(migration io.Reader) error {
	sql, err := io.ReadAll(migration)
	if err == nil {
		_, err = d.q.conn.do(d.ctx, string(sql))
	}
	return err
}

// SetVersion notes which migration there was last.
func (d *driver) SetVersion(version int, dirty bool) error {
	_, err := d.q.conn.do(d.ctx, fmt.Sprintf(`CREATE TABLE IF NOT EXISTS schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL);
		TRUNCATE schema_migrations; INSERT INTO schema_migrations VALUES (%d, %t)`, version, dirty))
	return err
}

// Version is which migration there was last, or database.NilVersion.
func (d *driver) Version() (v int, dirty bool, err error) {
	v, err = version(d.ctx, d.q)
	if v == 0 {
		v = database.NilVersion
	}
	return v, false, err
}

// What else a database.Driver is to do.
func (d *driver) Open(string) (database.Driver, error) { return d, nil }
func (d *driver) Close() error                         { return nil }
func (d *driver) Lock() error                          { return nil }
func (d *driver) Unlock() error                        { return nil }
func (d *driver) Drop() error                          { return errors.ErrUnsupported }

// transactLong is a transaction that may take as long as a migration.
func (s *Store) transactLong(ctx context.Context, f func(ctx context.Context, q querier) error) error {
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	_, err := s.transact(ctx, `BEGIN`, f)
	return s.err(err)
}
