// Package sqlite is the store: users, sessions, tokens and events in one SQLite
// file. Each method is one use case and one transaction, takes and returns the
// types of package db, and answers with its errors.
package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"time"

	"lastseen/db"
	"lastseen/schema"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

func init() { // SQLite's own lower knows ASCII alone
	sqlite.MustRegisterDeterministicScalarFunction("fold", 1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		text, _ := args[0].(string)
		return db.Fold(text), nil
	})
}

// listTimeout bounds the queries whose cost depends on what was asked for.
const listTimeout = 10 * time.Second

// listIdle is how long a connection for lists is kept that nobody uses: to open one takes
// less than a millisecond, and its cache of pages as much memory as all the rest.
const listIdle = 3 * time.Second

// busyTimeout is how long a connection waits for another program's lock.
const busyTimeout = 5 * time.Second

// A Store is an open database. All its methods may be called concurrently.
type Store struct {
	path  string
	write *sql.DB  // one connection: SQLite has one writer
	read  *sql.DB  // point reads, as many connections as cores
	list  *planned // lists and searches, so that slow ones never starve point reads

	points *planned // read, with the plans of what requests need

	changes changes
	tokens  tokens
	health  health
}

// Open opens the database file at path, creating and migrating it where needed,
// unless mayMigrate is false: then a database that would have to be is refused.
// Only one program at a time may migrate; the caller sees to that. The errors
// name the file and say what to do.
func Open(ctx context.Context, path string, mayMigrate bool) (*Store, error) {
	if err := checkLog(path); err != nil {
		return nil, err
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return nil, &db.UnavailableError{Path: path, Problem: "is a link, and SQLite would keep its log where that leads",
			Remedy: "put the database itself there, or give --data the directory that it is in"}
	}
	// SQLite gives its -wal and -shm files the mode of the database.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, &db.UnavailableError{Path: path, Problem: "cannot be opened for writing", Err: err,
			Remedy: "mount its file system read-write, and let the server's user write the file and its directory"}
	}
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
		return nil, fmt.Errorf("cannot keep the database %s private: %w", path, err)
	}
	s := &Store{path: path}
	if err := s.open(ctx, mayMigrate); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// checkLog refuses a log whose database is not there: SQLite would take it for that of
// whatever is put in its place.
func checkLog(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if log, err := os.Stat(path + "-wal"); err == nil && log.Size() > 0 {
		return &db.UnavailableError{Path: path, Problem: "is not there, but its log " + path + "-wal is, with what was written last",
			Remedy: "move the database back, or, to begin with another, remove the log"}
	}
	return nil
}

func (s *Store) open(ctx context.Context, mayMigrate bool) error {
	var err error
	if s.write, err = s.pool(1, "_txlock=immediate"); err != nil {
		return err
	}
	if err := s.write.PingContext(ctx); err != nil {
		return s.err(err)
	}
	if err := s.migrate(ctx, schema.SQLite, mayMigrate); err != nil {
		return err
	}
	if err := s.changes.index.open(s.path + "-shm"); err != nil {
		return fmt.Errorf("watch %s for changes: %w", s.path, err)
	}
	if err := s.watch(); err != nil {
		return err
	}
	cores := max(2, runtime.GOMAXPROCS(0))
	if s.read, err = s.pool(cores, "_pragma=query_only(1)&_pragma=cache_size(-512)"); err != nil {
		return err
	}
	s.points = &planned{DB: s.read, plans: map[string]*sql.Stmt{}}
	list, err := s.pool(2, "_pragma=query_only(1)")
	if err != nil {
		return err
	}
	list.SetConnMaxIdleTime(listIdle)
	s.list = &planned{DB: list, plans: map[string]*sql.Stmt{}}
	return nil
}

// pool opens connections that share the pragmas every connection must have;
// busy_timeout comes first, so that the others can wait for a lock. Nothing is
// mapped: what a disk cannot read would end the process, and it is no quicker. None
// makes the file, since SQLite takes the log beside a new one for no longer needed.
func (s *Store) pool(connections int, more string) (*sql.DB, error) {
	dsn := fileURL(s.path, fmt.Sprintf("mode=rw&_pragma=busy_timeout(%d)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)"+
		"&_pragma=synchronous(FULL)&_pragma=cache_size(-2048)&_pragma=mmap_size(0)&%s", busyTimeout.Milliseconds(), more))
	plain, err := sql.Open("sqlite", dsn) // for its driver: it opens nothing yet
	if err == nil {
		err = plain.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", s.path, err)
	}
	pool := sql.OpenDB(connector{s, plain.Driver(), dsn})
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	return pool, nil
}

// A connector opens connections to the files that were opened first, and no others: beside
// a part that was moved away SQLite makes a new one, and is told of another when it is
// moved back.
type connector struct {
	store  *Store
	driver driver.Driver
	dsn    string
}

func (c connector) Driver() driver.Driver { return c.driver }

func (c connector) Connect(context.Context) (driver.Conn, error) {
	if e := c.store.checkFiles(); e != nil {
		return nil, e
	}
	conn, err := c.driver.Open(c.dsn)
	if err != nil {
		return nil, err
	}
	if e := c.store.checkFiles(); e != nil {
		return nil, errors.Join(e, conn.Close())
	}
	return conn, nil
}

// Path is the database file.
func (s *Store) Path() string { return s.path }

// Describe says how large it is.
func (s *Store) Describe(context.Context) (string, error) {
	info, err := os.Stat(s.path)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%.1f MB", float64(info.Size())/1e6), nil
}

// Close closes the database; SQLite then folds the write-ahead log into it.
func (s *Store) Close() error {
	if s.health.cut.Load() { // closing would touch what is gone
		return s.Usable()
	}
	var errs []error
	if s.list != nil {
		errs = append(errs, s.list.Close())
	}
	for _, pool := range []*sql.DB{s.read, s.write} {
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	// Last: closing any descriptor of the file drops this process's locks on it.
	errs = append(errs, s.changes.index.close())
	return errors.Join(errs...)
}

// Ready reports whether the database can be read and written. It really writes,
// since a full disk shows in nothing less, but as long as all is well not more
// often than every ten seconds: SQLite passes over an update that changes nothing.
func (s *Store) Ready(ctx context.Context, now time.Time) error {
	if err := s.Usable(); err != nil {
		return err
	}
	value := strconv.FormatInt(now.Unix()/10, 10)
	failed := s.health.failed.Load()
	if failed {
		value = strconv.FormatInt(now.UnixNano(), 10)
	}
	err := s.SetSetting(ctx, "ready", value)
	if err == nil && failed {
		s.health.failed.Store(false)
	}
	return err
}

// Setting is a value that the program keeps for itself, "" when it never was set.
func (s *Store) Setting(ctx context.Context, name string) (string, error) {
	var value string
	err := s.read.QueryRowContext(ctx, `SELECT value FROM settings WHERE name = $1`, name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, s.err(err)
}

// SetSetting keeps a value under name.
func (s *Store) SetSetting(ctx context.Context, name, value string) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO settings (name, value) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
		return err
	})
}

// writerWait is how long a write waits for its turn, when others wait for a lock
// of another program.
const writerWait = 10 * time.Second

// inTx runs f in one write transaction, committed when f returns nil. What it
// reports as done is on disk: synchronous is FULL.
func (s *Store) inTx(ctx context.Context, f func(tx *sql.Tx) error) error {
	return s.withWriter(ctx, func(conn *sql.Conn) error {
		return s.transact(ctx, conn, func(tx *sql.Tx) (bool, error) { return false, f(tx) })
	})
}

// inLightTx is inTx for what is written often, while many read, and may be lost with
// the power: it does not wait for the disk. f reports whether it surely changed
// something, and Epoch stays believable meanwhile.
func (s *Store) inLightTx(ctx context.Context, f func(tx *sql.Tx) (changed bool, err error)) error {
	return s.withWriter(ctx, func(conn *sql.Conn) (err error) {
		// Whoever waits for it may leave at any moment: f sees that, but the transaction is
		// ended here, and only then can the mode be changed back.
		ctx := context.WithoutCancel(ctx)
		defer func() {
			if _, fullErr := conn.ExecContext(ctx, `PRAGMA synchronous = FULL`); fullErr != nil {
				_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // the next one is opened with it
				err = errors.Join(err, fullErr)
			}
		}()
		if _, err := conn.ExecContext(ctx, `PRAGMA synchronous = NORMAL`); err != nil {
			return err
		}
		return s.transact(ctx, conn, f)
	})
}

// withWriter runs f with the connection that writes.
func (s *Store) withWriter(ctx context.Context, f func(conn *sql.Conn) error) error {
	wait, cancel := context.WithTimeout(ctx, writerWait)
	defer cancel()
	conn, err := s.write.Conn(wait)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		busy := faults[sqlite3.SQLITE_BUSY]
		return &db.UnavailableError{Path: s.path, Problem: busy.problem, Remedy: busy.remedy, Err: err}
	}
	if err != nil {
		return s.err(err)
	}
	defer conn.Close()
	if e := s.checkFiles(); e != nil {
		return e
	}
	if err := f(conn); err != nil {
		err = s.err(err)
		if errors.Is(err, db.ErrUnavailable) {
			s.health.failed.Store(true)
			// Opened while it could not be written, a connection never writes.
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		}
		return err
	}
	return nil
}

func (s *Store) transact(ctx context.Context, conn *sql.Conn, f func(tx *sql.Tx) (changed bool, err error)) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	changed, err := f(tx)
	if err != nil {
		return err
	}
	if changed {
		s.changes.expect(conn)
	}
	err = tx.Commit()
	s.changes.committed(conn, err)
	return err
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// queryAll scans every row of a query, each into its fields.
func queryAll[T any](ctx context.Context, q querier, fields func(*T) []any, query string, args ...any) (all []T, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var row T
		if err := rows.Scan(fields(&row)...); err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

// whole is the field of a row of one column, which scans as it is.
func whole[T any](value *T) []any { return []any{value} }

// oneRow turns a statement that matched nothing into db.ErrNotFound.
func oneRow(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		err = db.ErrNotFound
	}
	return err
}

// micros is how times are stored; the zero time is null.
func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// A timeColumn scans microseconds, null as the zero time.
type timeColumn struct{ t *time.Time }

func (c timeColumn) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*c.t = time.Time{}
	case int64:
		*c.t = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("a time is a %T", src)
	}
	return nil
}

// An addrColumn scans an address, "" as the invalid one.
type addrColumn struct{ a *netip.Addr }

func (c addrColumn) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("an address is a %T", src)
	}
	if text == "" {
		*c.a = netip.Addr{}
		return nil
	}
	addr, err := netip.ParseAddr(text)
	*c.a = addr
	return err
}

func addrField(a *netip.Addr) []any { return []any{addrColumn{a}} }

// addrText is how addresses are stored.
func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
