package sqlite

import (
	"time"

	"lastseen/db"

	"github.com/google/uuid"
	zombiezen "zombiezen.com/go/sqlite"
)

// A request of a session that is not in memory looks it and its user up, so these
// reads go past database/sql: zombiezen's interface to the same engine takes half
// the time and a twentieth of the allocations.
const (
	pointColumns        = `SELECT id, uuid, user_id, agent_id, last_ip, via, method, remember, created, last_used, ends, expires FROM sessions `
	sessionByTokenQuery = pointColumns + `WHERE token_hash = $1`
	sessionByUUIDQuery  = pointColumns + `WHERE uuid = $1`
	knownUserQuery      = `SELECT uuid, username, name, email, active, superuser, created, updated, password_changed, last_login FROM users WHERE id = $1`
	knownGroupsQuery    = `SELECT g.uuid, g.name FROM user_groups m JOIN groups g ON g.id = m.group_id WHERE m.user_id = $1 ORDER BY g.name`
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
		for _, query := range []string{sessionByTokenQuery, sessionByUUIDQuery, knownUserQuery, knownGroupsQuery} {
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

// user reads a user and their groups.
func (p *points) user(id int64) (u db.User, err error) {
	conn := <-p.free
	defer func() { p.free <- conn }()
	stmt, err := conn.Prepare(knownUserQuery)
	if err != nil {
		return u, err
	}
	defer stmt.Reset() // its error is Step's
	stmt.BindInt64(1, id)
	found, err := stmt.Step()
	if err != nil {
		return u, err
	}
	if !found {
		return u, db.ErrNotFound
	}
	u = db.User{
		ID: id, Username: stmt.ColumnText(1), Name: stmt.ColumnText(2), Email: stmt.ColumnText(3),
		Active: stmt.ColumnBool(4), Superuser: stmt.ColumnBool(5),
		Created: pointTime(stmt, 6), Updated: pointTime(stmt, 7), PasswordChanged: pointTime(stmt, 8), LastLogin: pointTime(stmt, 9),
	}
	stmt.ColumnBytes(0, u.UUID[:])
	// The user's statement stays open, so that both see the same commit.
	groups, err := conn.Prepare(knownGroupsQuery)
	if err != nil {
		return u, err
	}
	defer groups.Reset()
	groups.BindInt64(1, id)
	for {
		more, err := groups.Step()
		if err != nil || !more {
			return u, err
		}
		g := db.Group{Name: groups.ColumnText(1)}
		groups.ColumnBytes(0, g.UUID[:])
		u.Groups = append(u.Groups, g)
	}
}

// pointTime is a timeColumn.
func pointTime(stmt *zombiezen.Stmt, column int) time.Time {
	if stmt.ColumnIsNull(column) {
		return time.Time{}
	}
	return time.UnixMicro(stmt.ColumnInt64(column)).UTC()
}

// SessionByToken finds a living session by its token's hash, without Username
// and Agent: see User and Agent. It does not look at expiry or at whether the
// user is active: the caller judges.
func (s *Store) SessionByToken(hash []byte) (db.Session, error) {
	sess, err := s.points.session(sessionByTokenQuery, hash)
	return sess, s.err(err)
}

// SessionByUUID finds one by its public name.
func (s *Store) SessionByUUID(id uuid.UUID) (db.Session, error) {
	sess, err := s.points.session(sessionByUUIDQuery, id[:])
	return sess, s.err(err)
}

// KnownUser is User, but for the password's hash.
func (s *Store) KnownUser(id int64) (db.User, error) {
	u, err := s.points.user(id)
	return u, s.err(err)
}
