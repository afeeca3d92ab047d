// Package postgres is the store of many machines: users, sessions, tokens and events in
// one PostgreSQL database. As in package sqlite each method is one use case and one
// transaction, takes and returns the types of package db, and answers with its errors.
package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	readTimeout = 5 * time.Second // of what a request needs, waiting for a connection included
	listTimeout = 8 * time.Second // of what costs as much as was asked for, and of a transaction
)

// begin starts a transaction that the server ends by itself when this machine is no more:
// what it has locked others wait for. LOCAL, since a pooler gives a connection to others.
const begin = `BEGIN; SET LOCAL statement_timeout = '10s'; SET LOCAL idle_in_transaction_session_timeout = '15s'`

// readBegin is begin for what sees one moment.
const readBegin = `BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY`

// lightBegin is begin for what is written often and may be lost with the power.
const lightBegin = begin + `; SET LOCAL synchronous_commit = off`

// A Store is an open database. All its methods may be called concurrently, and by the
// stores of other machines.
type Store struct {
	pool  *pool
	name  string        // where the database is, without what is secret
	lists chan struct{} // held by slow reads, so that they never take all connections
	files chan struct{} // held by exports, each with a connection of its own

	health health
	server uuid.UUID // uuid.Nil of what is no server
	stop   context.CancelFunc
	done   sync.WaitGroup
}

// Options say what a store is opened for.
type Options struct {
	Serve   bool // by a server: it is known to others as one while it is open
	Migrate bool // a database that is empty or older is migrated, or else refused
}

// Open opens the database at a URL. Its errors name the database, never what is secret
// of the URL.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	p, err := newPool(url)
	if err != nil { // which quotes the URL
		return nil, fmt.Errorf("--database: is no URL of a PostgreSQL database, such as postgres://USER:PASSWORD@HOST:5432/NAME, or names a file that cannot be read")
	}
	p.config.ValidateConnect = writable
	s := &Store{pool: p, name: name(p.config), lists: make(chan struct{}, max(1, cap(p.slots)/2)), files: make(chan struct{}, 4)}
	if err := s.migrate(ctx, o); err != nil {
		s.pool.close()
		return nil, err
	}
	if o.Serve {
		s.server = uuid.New()
		if err := s.appear(ctx); err != nil {
			s.pool.close()
			return nil, s.err(err)
		}
	}
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.done.Go(func() { s.watch(watching) })
	return s, nil
}

// writable is an error for a connection to what is no primary. What a replica tells may be
// of long ago: it would let in whose session has ended.
func writable(ctx context.Context, c *pgconn.PgConn) error {
	shown, err := c.Exec(ctx, `SHOW transaction_read_only`).ReadAll()
	if err == nil && (len(shown) != 1 || len(shown[0].Rows) != 1 || string(shown[0].Rows[0][0]) != "off") {
		err = &pgconn.PgError{Severity: "FATAL", Code: "25006", Message: "it can only be read"}
	}
	return err
}

// name is how people know a database again.
func name(c *pgconn.Config) string {
	return fmt.Sprintf("postgres://%s/%s", net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))), c.Database)
}

// Path is the database's URL, without what is secret of it.
func (s *Store) Path() string { return s.name }

// Close closes the database.
func (s *Store) Close() error {
	s.stop()
	s.done.Wait()
	if s.server != uuid.Nil {
		_ = s.once(context.Background(), time.Now().Add(time.Second), func(ctx context.Context, q querier) error { // or it is not seen any more in a while
			_, err := q.exec(ctx, `DELETE FROM servers WHERE name = $1::uuid`, s.server)
			return err
		})
	}
	s.pool.close()
	return nil
}

// Epoch says that nothing that was read before may be believed: another machine may have
// written since.
func (s *Store) Epoch() (epoch uint64, believable bool) { return 0, false }

// exec says how many rows a statement was about.
func (q querier) exec(ctx context.Context, sql string, args ...any) (int64, error) {
	return q.each(ctx, sql, args, func(tuple) error { return nil })
}

// one is exec for a statement that must be about a row: else it is db.ErrNotFound.
func (q querier) one(ctx context.Context, sql string, args ...any) error {
	n, err := q.exec(ctx, sql, args...)
	if err == nil && n == 0 {
		err = db.ErrNotFound
	}
	return err
}

// An answer is the row that a query is to find.
type answer func(f func(tuple) error) error

// row is the first row of a query. It is asked for when it is scanned.
func (q querier) row(ctx context.Context, sql string, args ...any) answer {
	return func(f func(tuple) error) error {
		found, err := q.query(ctx, sql, args)
		if err != nil {
			return err
		}
		return first(found, f)
	}
}

// Scan copies the columns, or is db.ErrNotFound when there is no row.
func (a answer) Scan(to ...any) error { return a(func(t tuple) error { return t.scan(to) }) }

// rows reads all rows of a query; fields are where the columns of one go.
func rows[T any](ctx context.Context, q querier, fields func(*T) []any, sql string, args ...any) (all []T, err error) {
	_, err = q.each(ctx, sql, args, func(t tuple) error {
		var v T
		err := t.scan(fields(&v))
		all = append(all, v)
		return err
	})
	return all, err
}

// column are the fields of rows of one column.
func column[T any](v *T) []any { return []any{v} }

// once runs f on a connection, until then. Who waits for its answer may go away meanwhile:
// that would cost the connection, and making another one costs the server more than to answer.
func (s *Store) once(ctx context.Context, until time.Time, f func(ctx context.Context, q querier) error) error {
	c, err := s.pool.acquire(ctx, until)
	if err != nil {
		return err
	}
	defer s.pool.release(c)
	if err := ctx.Err(); err != nil { // who went away while waiting for a connection
		return err
	}
	return f(context.WithoutCancel(ctx), querier{conn: c})
}

// deadline is when ctx ends, or that long from now, whichever is sooner.
func deadline(ctx context.Context, most time.Duration) time.Time {
	until := time.Now().Add(most)
	if ends, ok := ctx.Deadline(); ok && ends.Before(until) {
		return ends
	}
	return until
}

// read runs f, which may read, and again on other connections as long as each was lost: of
// those that a server had which is no more, there may be as many as the pool holds.
func (s *Store) read(ctx context.Context, f func(ctx context.Context, q querier) error) error {
	if err := s.Usable(); err != nil {
		return err
	}
	until := deadline(ctx, readTimeout)
	err := s.once(ctx, until, f)
	for range cap(s.pool.slots) {
		if !wasLost(err) || ctx.Err() != nil || !time.Now().Before(until) {
			break
		}
		err = s.once(ctx, until, f)
	}
	return s.err(err)
}

// list is read for what may take a while, in a transaction that sees one moment. Nothing is
// compiled for it, which takes longer than it does.
func (s *Store) list(ctx context.Context, f func(ctx context.Context, q querier) error) error {
	if err := s.Usable(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	select {
	case s.lists <- struct{}{}:
		defer func() { <-s.lists }()
	case <-ctx.Done():
		return ctx.Err()
	}
	_, err := s.transact(ctx, begin+`; SET LOCAL jit = off; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY`, func(ctx context.Context, q querier) error {
		q.once = true // for a word that few have, another plan is good than for one that all have
		return f(ctx, q)
	})
	return s.err(err)
}

// inTx runs f in one transaction, committed when f returns nil. What it reports as done is
// on disk, as far as PostgreSQL's settings say. It runs f again where nothing was done.
func (s *Store) inTx(ctx context.Context, f func(ctx context.Context, q querier) error) error {
	return s.write(ctx, begin, f)
}

func (s *Store) write(ctx context.Context, begin string, f func(ctx context.Context, q querier) error) error {
	if err := s.Usable(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	committing, err := s.transact(ctx, begin, f)
	for range cap(s.pool.slots) {
		// PostgreSQL ended it to let another one go on, or the connection was lost before there
		// was anything to commit.
		if ctx.Err() != nil || !isCode(err, "40P01", "40001") && (committing || !wasLost(err)) {
			break
		}
		committing, err = s.transact(ctx, begin, f)
	}
	return s.err(err)
}

// transact also says whether it came as far as committing: then an error tells nothing of
// what was done.
func (s *Store) transact(ctx context.Context, begin string, f func(ctx context.Context, q querier) error) (committing bool, err error) {
	c, err := s.pool.acquire(ctx, deadline(ctx, migrateTimeout))
	if err != nil {
		return false, err
	}
	defer s.pool.release(c)               // which closes one that is in a transaction still
	_ = c.Conn().SetDeadline(time.Time{}) // ctx is watched instead, and a move has as long as it takes
	if _, err := c.do(ctx, begin); err != nil {
		return false, err
	}
	if err := f(ctx, querier{conn: c}); err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_, _ = c.do(ctx, `ROLLBACK`) // or the connection is closed, which does the same
		return false, err
	}
	did, err := c.do(ctx, `COMMIT`)
	if err == nil && did != "COMMIT" {
		err = fmt.Errorf("a transaction that had failed was to be committed: %s", did)
	}
	return true, err
}

// Locks that writers take for what they must not do at the same time, whichever machine
// they are on. They go with the transaction.
const (
	lockMigrate = 0x4C617374<<8 + iota // "Last"
	lockUsers                          // who is the first, who the last in charge
	lockPurge
	lockAlerts // what is to be sent: each is planned, summed up and claimed once
)

func lock(ctx context.Context, q querier, which int64) error {
	_, err := q.exec(ctx, `SELECT pg_advisory_xact_lock($1::bigint)`, which)
	return err
}

// Setting is a value that the program keeps for itself, "" when it never was set.
func (s *Store) Setting(ctx context.Context, name string) (value string, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		return q.row(ctx, `SELECT coalesce((SELECT value FROM settings WHERE name = $1), '')`, name).Scan(&value)
	})
	return value, err
}

// SetSetting keeps a value under name.
func (s *Store) SetSetting(ctx context.Context, name, value string) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		_, err := q.exec(ctx, `INSERT INTO settings (name, value) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
		return err
	})
}

// SettingOnce keeps a value under name where there is none, and says which there is then.
func (s *Store) SettingOnce(ctx context.Context, name, value string) (kept string, err error) {
	err = s.inTx(ctx, func(ctx context.Context, q querier) error {
		if _, err := q.exec(ctx, `INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, name, value); err != nil {
			return err
		}
		return q.row(ctx, `SELECT value FROM settings WHERE name = $1`, name).Scan(&kept)
	})
	return kept, err
}

// micros is how times are stored; the zero time is null.
func micros(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	at := t.UnixMicro()
	return &at
}

// A timeColumn scans microseconds, null as the zero time.
type timeColumn struct{ t *time.Time }

// An addrColumn scans an address, "" as the invalid one.
type addrColumn struct{ a *netip.Addr }

// addrText is how addresses are stored.
func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// orNull is the number of a row, 0 for none.
func orNull(id int64) *int64 {
	if id == 0 {
		return nil
	}
	return &id
}

// codes are what PostgreSQL's errors mean, by their codes or what these begin with
// (https://www.postgresql.org/docs/current/errcodes-appendix.html), for who runs this.
var codes = []struct{ code, problem, remedy string }{
	{"08", "cannot be reached", "see that PostgreSQL runs and that the network between is up; it goes on by itself"},
	{"57P", "is shutting down, or starting up", "wait for it; it goes on by itself"},
	{"57014", "takes too long to answer", "look at its load, its disks and its locks; it goes on by itself"},
	{"55P03", "is locked by another program", "end what holds locks on it; it goes on by itself"},
	{"25P03", "takes too long to answer", "look at its load, its disks and its locks; it goes on by itself"},
	{"25006", "cannot be written", "name the primary in --database, never a replica; it goes on by itself"},
	{"26000", "loses prepared statements, as poolers do", "add default_query_exec_mode=exec to --database"},
	{"42P05", "mixes up prepared statements, as poolers do", "add default_query_exec_mode=exec to --database"},
	{"28", "does not let the user of --database in", "look at user and password of --database, and at pg_hba.conf"},
	{"3D000", "does not exist", "make it, as `createdb` does, owned by the user of --database"},
	{"42501", "does not let the user of --database do what is needed", "make that user the owner of the database and all in it"},
	{"53300", "has no connection left", "raise max_connections, or lower pool_max_conns in --database"},
	{"53", "has no room left", "free some disk space or memory there; it goes on by itself"},
	{"58", "cannot be read or written, its disk reports an error", "look at its disk and its log"},
	{"XX", "is damaged", "look at its log, and restore it by its own means"},
}

// err gives PostgreSQL's errors the names of package db. One that is none of these is our own
// mistake, or the caller's context that ended.
func (s *Store) err(err error) error {
	var e *pgconn.PgError
	var connect *pgconn.ConnectError
	switch {
	case err == nil, errors.Is(err, db.ErrConflict), errors.Is(err, db.ErrUnavailable), errors.Is(err, db.ErrNotFound), errors.Is(err, db.ErrUsed):
		return err
	case errors.As(err, &e) && e.Code == "23505":
		return fmt.Errorf("%w: %w", db.ErrConflict, err)
	case errors.As(err, &e) && e.Code == "23503": // what a row was to belong to is gone
		return fmt.Errorf("%w: %w", db.ErrNotFound, err)
	case e != nil:
		for _, known := range codes {
			if strings.HasPrefix(e.Code, known.code) {
				return &db.UnavailableError{Path: s.name, Problem: known.problem, Remedy: known.remedy, Err: err}
			}
		}
		return err
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &connect), isLost(err), errors.Is(err, context.DeadlineExceeded):
		return &db.UnavailableError{Path: s.name, Problem: codes[0].problem, Remedy: codes[0].remedy, Err: plain(err)}
	}
	return err
}

// plain hides that a time of our own ran out, which is no fault of who asked, and is one line.
func plain(err error) error { return errors.New(strings.Join(strings.Fields(err.Error()), " ")) }

// isLost reports whether a connection failed, and not what was asked.
func isLost(err error) bool {
	if err == nil {
		return false
	}
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return strings.HasPrefix(e.Code, "08") || strings.HasPrefix(e.Code, "57P")
	}
	var network net.Error
	var record tls.RecordHeaderError
	return !errors.Is(err, context.Canceled) &&
		(pgconn.SafeToRetry(err) || errors.As(err, &network) || errors.As(err, &record) || isEnd(err))
}

// wasLost reports whether a connection that there was failed: another one may not.
func wasLost(err error) bool {
	var connect *pgconn.ConnectError
	return isLost(err) && !errors.As(err, &connect)
}

func isCode(err error, codes ...string) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && slices.Contains(codes, e.Code)
}
