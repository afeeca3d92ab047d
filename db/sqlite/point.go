package sqlite

import (
	"time"

	"lastseen/db"

	"github.com/google/uuid"
	zombiezen "zombiezen.com/go/sqlite"
)

// Sessions are looked up on every request, so these two reads go past
// database/sql: zombiezen's interface to the same engine takes half the time
// and a twentieth of the allocations.
const (
	pointColumns        = `SELECT id, uuid, user_id, agent_id, last_ip, via, method, remember, created, last_used, ends, expires FROM sessions `
	sessionByTokenQuery = pointColumns + `WHERE token_hash = $1`
	sessionByUUIDQuery  = pointColumns + `WHERE uuid = $1`
)

// points are the connections for those reads, each for one at a time.
type points struct{ free chan *zombiezen.Conn }

func (p *points) open(path string, connections int) error {
	p.free = make(chan *zombiezen.Conn, connections)
	for range connections {
		conn, err := zombiezen.OpenConn(path, zombiezen.OpenReadWrite) // SQLite's own locks need write access
		if err != nil {
			return err
		}
		p.free <- conn
		conn.SetBusyTimeout(busyTimeout)
		for _, pragma := range []string{`PRAGMA query_only = 1`, `PRAGMA cache_size = -1024`, `PRAGMA mmap_size = 0`} {
			stmt, _, err := conn.PrepareTransient(pragma)
			if err != nil {
				return err
			}
			for more := true; more && err == nil; {
				more, err = stmt.Step()
			}
			if finalErr := stmt.Finalize(); err == nil {
				err = finalErr
			}
			if err != nil {
				return err
			}
		}
		for _, query := range []string{sessionByTokenQuery, sessionByUUIDQuery} {
			if _, err := conn.Prepare(query); err != nil { // conn keeps it
				return err
			}
		}
	}
	return nil
}

func (p *points) close() error {
	var first error
	for range len(p.free) { // the callers are gone
		if err := (<-p.free).Close(); first == nil {
			first = err
		}
	}
	return first
}

// session runs one of the queries.
func (p *points) session(query string, key []byte) (sess db.Session, err error) {
	conn := <-p.free
	defer func() { p.free <- conn }()
	stmt, err := conn.Prepare(query)
	if err != nil {
		return sess, err
	}
	defer stmt.Reset() // its error is Step's
	stmt.BindBytes(1, key)
	found, err := stmt.Step()
	if err != nil {
		return sess, err
	}
	if !found {
		return sess, db.ErrNotFound
	}
	sess = db.Session{
		ID: stmt.ColumnInt64(0), UserID: stmt.ColumnInt64(2), AgentID: stmt.ColumnInt64(3),
		Method: stmt.ColumnText(6), Remember: stmt.ColumnBool(7),
		Created: pointTime(stmt, 8), LastUsed: pointTime(stmt, 9), Ends: pointTime(stmt, 10), Expires: pointTime(stmt, 11),
	}
	stmt.ColumnBytes(1, sess.UUID[:])
	if err := (addrColumn{&sess.IP}).Scan(stmt.ColumnText(4)); err != nil {
		return sess, err
	}
	return sess, addrColumn{&sess.Via}.Scan(stmt.ColumnText(5))
}

func pointTime(stmt *zombiezen.Stmt, column int) time.Time {
	return time.UnixMicro(stmt.ColumnInt64(column)).UTC()
}

// SessionByToken finds a living session by its token's hash, without Username
// and Agent: see User and Agent. It does not look at expiry or at whether the
// user is active: the caller judges.
func (s *Store) SessionByToken(hash []byte) (db.Session, error) {
	sess, err := s.points.session(sessionByTokenQuery, hash)
	return sess, s.err(err)
}

// SessionByUUID finds one likewise by its public name.
func (s *Store) SessionByUUID(id uuid.UUID) (db.Session, error) {
	sess, err := s.points.session(sessionByUUIDQuery, id[:])
	return sess, s.err(err)
}
