package sqlite

import (
	"context"
	"errors"

	"lastseen/db"

	"github.com/google/uuid"
)

// A request of a session that is not in memory reads it and its user by these.
const (
	pointColumns        = `SELECT id, uuid, user_id, agent_id, last_ip, via, method, remember, created, last_used, ends, expires FROM sessions `
	sessionByTokenQuery = pointColumns + `WHERE token_hash = $1`
	sessionByUUIDQuery  = pointColumns + `WHERE uuid = $1`
	cachedUserQuery     = `SELECT u.uuid, u.username, u.name, u.email, u.active, u.superuser, u.created, u.updated, u.password_changed, u.last_login, g.uuid, g.name
		FROM users u LEFT JOIN user_groups m ON m.user_id = u.id LEFT JOIN groups g ON g.id = m.group_id WHERE u.id = $1 ORDER BY g.name`
)

// SessionByToken finds a living session by its token's hash, without Username
// and Agent: see User and Agent. It does not look at expiry or at whether the
// user is active: the caller judges.
func (s *Store) SessionByToken(hash []byte) (db.Session, error) {
	if s.lacksToken(hash) {
		return db.Session{}, db.ErrNotFound
	}
	sess, err := s.point(sessionByTokenQuery, hash)
	if errors.Is(err, db.ErrNotFound) {
		s.lookedInVain()
	}
	return sess, err
}

// SessionByUUID finds one by its public name.
func (s *Store) SessionByUUID(id uuid.UUID) (db.Session, error) {
	return s.point(sessionByUUIDQuery, id[:])
}

func (s *Store) point(query string, key []byte) (sess db.Session, err error) {
	err = s.points.QueryRowContext(context.Background(), query, key).Scan(&sess.ID, &sess.UUID, &sess.UserID, &sess.AgentID,
		addrColumn{&sess.IP}, addrColumn{&sess.Via}, &sess.Method, &sess.Remember,
		timeColumn{&sess.Created}, timeColumn{&sess.LastUsed}, timeColumn{&sess.Ends}, timeColumn{&sess.Expires})
	return sess, s.err(err)
}

// CachedUser is User, but for the password's hash. User and groups are of one moment.
func (s *Store) CachedUser(id int64) (u db.User, err error) {
	rows, err := s.points.QueryContext(context.Background(), cachedUserQuery, id)
	if err != nil {
		return u, s.err(err)
	}
	defer rows.Close()
	for rows.Next() {
		var group uuid.NullUUID
		var name *string
		err := rows.Scan(&u.UUID, &u.Username, &u.Name, &u.Email, &u.Active, &u.Superuser,
			timeColumn{&u.Created}, timeColumn{&u.Updated}, timeColumn{&u.PasswordChanged}, timeColumn{&u.LastLogin}, &group, &name)
		if err != nil {
			return u, s.err(err)
		}
		if u.ID = id; name != nil {
			u.Groups = append(u.Groups, db.Group{UUID: group.UUID, Name: *name})
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return db.User{}, s.err(err)
	}
	if u.ID == 0 {
		return u, db.ErrNotFound
	}
	return u, nil
}
