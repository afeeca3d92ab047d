package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"lastseen/db"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// faults are what SQLite's error codes mean for who runs this.
var faults = map[int]struct{ problem, remedy string }{
	sqlite3.SQLITE_FULL:     {"cannot grow, the disk is full", "free some space; it goes on by itself"},
	sqlite3.SQLITE_READONLY: {"cannot be written", "mount its file system read-write, and let the server's user write the file and its directory; it goes on by itself"},
	sqlite3.SQLITE_BUSY:     {"is locked by another program", "end what has it open, such as a sqlite3 shell; it goes on by itself"},
	sqlite3.SQLITE_LOCKED:   {"is locked by another program", "end what has it open, such as a sqlite3 shell; it goes on by itself"},
	sqlite3.SQLITE_IOERR:    {"cannot be read or written, the disk reports an error", "look at the disk, how it is mounted, its quotas, and the system's log; it goes on by itself when the disk does"},
	sqlite3.SQLITE_CORRUPT:  {"is damaged", "stop the server, look at the disk, and run `lastseen restore` with a backup"},
	sqlite3.SQLITE_NOTADB:   {"is no database, or a damaged one", "stop the server, look at the disk, and run `lastseen restore` with a backup"},
	sqlite3.SQLITE_CANTOPEN: {"cannot be opened", "see that it is there, and that the server's user may read and write it and its directory"},
	sqlite3.SQLITE_PERM:     {"cannot be opened", "see that it is there, and that the server's user may read and write it and its directory"},
	sqlite3.SQLITE_PROTOCOL: {"is locked by another program", "end what has it open, such as a sqlite3 shell; it goes on by itself"},
	sqlite3.SQLITE_NOMEM:    {"does not fit into memory", "give the server more memory"},
}

// storeError gives the driver's errors the names of package db. path is the
// database's. Its one that is none of these is our own mistake, or the caller's
// context that ended.
func storeError(path string, err error) error {
	code := errorCode(err)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return db.ErrNotFound
	case errors.Is(err, db.ErrConflict), errors.Is(err, db.ErrUnavailable):
		return err
	case code == sqlite3.SQLITE_CONSTRAINT_UNIQUE, code == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return fmt.Errorf("%w: %w", db.ErrConflict, err)
	}
	if f, ok := faults[code&0xff]; ok {
		return &db.UnavailableError{Path: path, Problem: f.problem, Remedy: f.remedy, Err: err}
	}
	return err
}

// errorCode is SQLite's code of an error, and SQLITE_ERROR for one that is not SQLite's.
func errorCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return sqlite3.SQLITE_ERROR
}

// err is storeError for this database. Damage it remembers: a page that is
// wrong says nothing good of those beside it.
func (s *Store) err(err error) error {
	if err == nil {
		return nil
	}
	err = storeError(s.path, err)
	var e *db.UnavailableError
	if errors.As(err, &e) && isDamage(e.Err) {
		s.health.damaged.CompareAndSwap(nil, e)
	}
	return err
}

func isDamage(err error) bool {
	code := errorCode(err) & 0xff
	return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB
}

// health is what is known of the files of an open database.
type health struct {
	files   map[string]os.FileInfo // by path, as they were opened; fixed then
	opened  time.Time
	checked atomic.Int64                        // how long after that, in nanoseconds, the files were looked at
	moved   atomic.Pointer[db.UnavailableError] // what was seen then
	damaged atomic.Pointer[db.UnavailableError] // for good
	cut     atomic.Bool                         // the -shm file was
	failed  atomic.Bool                         // a write did, and none that was sure to reach the disk has succeeded since
}

// checkEvery is how often Usable checks the files at most.
const checkEvery = 100 * time.Millisecond

// watch takes note of the files, which all exist once the database is open.
func (s *Store) watch() error {
	s.health.opened, s.health.files = time.Now(), map[string]os.FileInfo{}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(s.path + suffix)
		if err != nil {
			return fmt.Errorf("watch %s: %w", s.path+suffix, err)
		}
		s.health.files[s.path+suffix] = info
	}
	return nil
}

// Usable is nil as long as what is read and written may be relied on: the
// database was not found damaged, and its files are those that were opened. With
// others in their place, other programs, among them our own commands, would
// change one database and this process ask another. It costs next to nothing.
func (s *Store) Usable() error {
	h := &s.health
	if e := h.damaged.Load(); e != nil {
		return e
	}
	last, now := h.checked.Load(), int64(time.Since(h.opened))
	if now-last >= int64(checkEvery) && h.checked.CompareAndSwap(last, now) {
		h.moved.Store(s.checkFiles())
	}
	if e := h.moved.Load(); e != nil {
		return e
	}
	return nil
}

// checkFiles finds a file that is gone, or another one. One that is gone may be moved back.
func (s *Store) checkFiles() *db.UnavailableError {
	for path, opened := range s.health.files {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, os.ErrNotExist):
			return &db.UnavailableError{Path: path, Problem: "was deleted or moved while in use", Err: err,
				Remedy: "move it back, or stop the server, put the database or a backup in its place, and start again"}
		case err != nil:
			return &db.UnavailableError{Path: path, Problem: "cannot be looked at", Err: err,
				Remedy: "see that its disk is mounted and that the server's user may enter its directory; it goes on by itself"}
		case !os.SameFile(info, opened):
			e := &db.UnavailableError{Path: path, Problem: "was replaced while in use",
				Remedy: "start the server anew; to put a backup in place, use `lastseen restore`"}
			s.health.damaged.CompareAndSwap(nil, e)
			return e
		case info.Size() < opened.Size() && strings.HasSuffix(path, "-shm"):
			return s.cutShort(path)
		}
	}
	return nil
}

// cutShort remembers that the file that all processes share memory through was cut: to
// touch what is gone of it faults, in SQLite too, so nothing may use the database again.
func (s *Store) cutShort(path string) *db.UnavailableError {
	e := &db.UnavailableError{Path: path, Problem: "was cut short by another program while in use", Remedy: "start the server anew, and find out what did it"}
	s.health.damaged.CompareAndSwap(nil, e)
	s.health.cut.Store(true)
	return e
}

// Verify reads the whole database and finds damage, which Usable then reports.
func (s *Store) Verify(ctx context.Context) error {
	// Each page is looked at once: a cache of them would only stay.
	pool, err := s.pool(1, "_pragma=query_only(1)&_pragma=cache_size(-64)")
	if err != nil {
		return err
	}
	defer pool.Close()
	var verdict string
	err = pool.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&verdict)
	if err == nil && verdict != "ok" {
		f := faults[sqlite3.SQLITE_CORRUPT]
		e := &db.UnavailableError{Path: s.path, Problem: f.problem, Remedy: f.remedy, Err: errors.New(oneLine(verdict))}
		s.health.damaged.CompareAndSwap(nil, e)
		return e
	}
	return s.err(err)
}
