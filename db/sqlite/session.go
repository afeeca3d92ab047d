package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

const sessionTables = `sessions s JOIN users u ON u.id = s.user_id JOIN user_agents a ON a.id = s.agent_id`

const sessionColumns = `s.id, s.uuid, s.user_id, s.agent_id, u.username, s.last_ip, s.via, s.method, s.remember,
	s.created, s.last_used, s.ends, s.expires, ` + agentColumns

func sessionFields(s *db.Session) []any {
	s.Agent = new(db.Agent)
	return append([]any{&s.ID, &s.UUID, &s.UserID, &s.AgentID, &s.Username, addrColumn{&s.IP}, addrColumn{&s.Via}, &s.Method, &s.Remember,
		timeColumn{&s.Created}, timeColumn{&s.LastUsed}, timeColumn{&s.Ends}, timeColumn{&s.Expires}}, agentFields(s.Agent)...)
}

// FindSessions are the public names of up to two living sessions that begin with so many
// hexadecimal digits, as from and to bound them.
func (s *Store) FindSessions(ctx context.Context, from, to uuid.UUID) (found []uuid.UUID, err error) {
	found, err = queryAll(ctx, s.read, whole[uuid.UUID], `SELECT uuid FROM sessions WHERE uuid BETWEEN $1 AND $2 LIMIT 2`, from[:], to[:])
	return found, s.err(err)
}

// CreateSession stores a sign-in: the session, its event and device, what its proof uses up, that its
// network is now known for the user, and the end of the sessions that it replaces. It fails
// with db.ErrNotFound when the user is gone or disabled, or no longer has the password hash
// that was verified, or what was to be proven has changed; with db.ErrUsed when a code was
// used before.
func (s *Store) CreateSession(ctx context.Context, in db.SignIn) (db.Session, error) {
	user, sess := in.User, in.Session
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		if err := useProof(ctx, tx, user.ID, in.Proof, sess.Created); err != nil {
			return err
		}
		err := oneRow(tx.ExecContext(ctx, `UPDATE users SET last_login = $1 WHERE id = $2 AND active AND password_hash = $3`,
			micros(sess.Created), user.ID, user.PasswordHash))
		if err != nil {
			return err
		}
		for _, last := range in.Replaces {
			if err := endSession(ctx, tx, last, db.Replaced, user.Username, sess.Created); err != nil && !errors.Is(err, db.ErrNotFound) {
				return err
			}
		}
		agent, err := agentID(ctx, tx, sess.Agent)
		if err != nil {
			return err
		}
		var device sql.NullInt64
		if in.Device != nil {
			if device.Int64, err = signedInOn(ctx, tx, user.ID, in.Device, sess.Agent.Client(), sess.Created); err != nil {
				return err
			}
			device.Valid = true
			if !in.Trust.IsZero() {
				if _, err := tx.ExecContext(ctx, `UPDATE devices SET trusted_until = $1 WHERE id = $2`, micros(in.Trust), device.Int64); err != nil {
					return err
				}
			}
		}
		proven := micros(sess.Created)
		if in.Proof.Device != nil { // nobody has proven who they are but by a password
			proven = 0
		}
		s.addToken(in.TokenHash)
		res, err := tx.ExecContext(ctx, `INSERT INTO sessions
			(uuid, token_hash, user_id, agent_id, last_ip, via, method, remember, created, last_used, ends, expires, proven, device_id)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
			sess.UUID[:], in.TokenHash, user.ID, agent, addrText(sess.IP), addrText(sess.Via), sess.Method, sess.Remember,
			micros(sess.Created), micros(sess.LastUsed), micros(sess.Ends), micros(sess.Expires), proven, device)
		if err != nil {
			return err
		}
		if sess.ID, err = res.LastInsertId(); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO known_networks (user_id, network, last_used) VALUES ($1, $2, $3)
			ON CONFLICT (user_id, network) DO UPDATE SET last_used = excluded.last_used`, user.ID, in.Network, micros(sess.Created))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM login_failures WHERE username = $1 AND network = $2`, db.Fold(user.Username), in.Network)
		if err != nil {
			return err
		}
		return insertEvent(ctx, tx, in.Event)
	})
	return sess, err
}

// endSessions moves the sessions that match where, a condition over the columns
// of sessions, to the ended ones, and says how many there are. Its conditions'
// parameters come first.
//
// It leans on there being one writer: what the insert finds is what the delete finds.
func endSessions(ctx context.Context, tx *sql.Tx, where string, args []any, reason db.Reason, by string, at time.Time) (ended int64, err error) {
	n := len(args)
	res, err := tx.ExecContext(ctx, fmt.Sprintf(`INSERT INTO ended_sessions
		(uuid, user_id, agent_id, last_ip, via, method, remember, created, last_used, ends, expires, device_id, ended, reason, ended_by)
		SELECT uuid, user_id, agent_id, last_ip, via, method, remember, created, last_used, ends, expires, device_id, $%d, $%d, $%d
		FROM sessions WHERE `, n+1, n+2, n+3)+where, append(slices.Clone(args), micros(at), reason, by)...)
	if err != nil {
		return 0, err
	}
	if ended, err = res.RowsAffected(); err != nil || ended == 0 {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM sessions WHERE `+where, args...)
	return ended, err
}

// endSession is endSessions for that of its last use, or db.ErrNotFound. The use is
// stored with it, unless its time is zero.
func endSession(ctx context.Context, tx *sql.Tx, last db.Use, reason db.Reason, by string, at time.Time) error {
	ended, err := endSessions(ctx, tx, `uuid = $1`, []any{last.UUID[:]}, reason, by, at)
	if err == nil && ended == 0 {
		err = db.ErrNotFound
	}
	if err != nil || last.At.IsZero() {
		return err
	}
	set, args := `last_used = $2, expires = min(ends, expires + $2 - last_used)`, []any{last.UUID[:], micros(last.At)}
	if last.Agent != nil {
		agent, err := agentID(ctx, tx, last.Agent)
		if err != nil {
			return err
		}
		set, args = set+`, agent_id = $3, last_ip = $4, via = $5`, append(args, agent, addrText(last.IP), addrText(last.Via))
	}
	// Unless a later one was written meanwhile, which has its own address.
	_, err = tx.ExecContext(ctx, `UPDATE ended_sessions SET `+set+` WHERE uuid = $1 AND last_used <= $2`, args...)
	return err
}

// EndSession ends the session of its last use, as endSession. Its event is stored with
// it; a session that is already gone is db.ErrNotFound and stores nothing.
func (s *Store) EndSession(ctx context.Context, last db.Use, reason db.Reason, event db.Event) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if err := endSession(ctx, tx, last, reason, event.Actor, event.Created); err != nil {
			return err
		}
		return insertEvent(ctx, tx, event)
	})
}

// EndChosen ends the sessions of their last uses, all or none, as endSession, and returns
// those that were there to be ended. Each has its event, which is stored with its end.
func (s *Store) EndChosen(ctx context.Context, last []db.Use, reason db.Reason, events []db.Event) (ended []uuid.UUID, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		for i, use := range last {
			err := endSession(ctx, tx, use, reason, events[i].Actor, events[i].Created)
			if errors.Is(err, db.ErrNotFound) {
				continue
			}
			if err == nil {
				err = insertEvent(ctx, tx, events[i])
			}
			if err != nil {
				return err
			}
			ended = append(ended, use.UUID)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ended, nil
}

// EndSessions ends the sessions of the given users (of everybody when users is
// nil) except one, and returns those it ended. Each ended session gets the
// event, completed with its own subject and uuid by describe. It does so in steps, so
// that a program that is ended meanwhile has ended some of them.
func (s *Store) EndSessions(ctx context.Context, users []int64, except uuid.UUID, now time.Time, reason db.Reason, describe func(db.Session) db.Event) (ended []uuid.UUID, err error) {
	where, args := `uuid <> $1`, []any{except[:]}
	if users != nil {
		list, err := json.Marshal(users)
		if err != nil {
			return nil, err
		}
		where, args = where+` AND user_id IN (SELECT value FROM json_each($2))`, append(args, string(list))
	}
	return s.endMany(ctx, where, args, now, reason, describe)
}

// EndSessionsOn is EndSessions for those on a device.
func (s *Store) EndSessionsOn(ctx context.Context, device uuid.UUID, now time.Time, reason db.Reason, describe func(db.Session) db.Event) (ended []uuid.UUID, err error) {
	return s.endMany(ctx, `device_id = (SELECT id FROM devices WHERE uuid = $1)`, []any{device[:]}, now, reason, describe)
}

// endMany is EndSessions for those that match where, a condition over the columns of
// sessions.
func (s *Store) endMany(ctx context.Context, where string, args []any, now time.Time, reason db.Reason, describe func(db.Session) db.Event) (ended []uuid.UUID, err error) {
	var last int64 // whoever signs in meanwhile stays
	if err := s.read.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) FROM sessions`).Scan(&last); err != nil {
		return nil, s.err(err)
	}
	where += fmt.Sprintf(` AND id <= $%d LIMIT %d`, len(args)+1, stepRows)
	args = append(args, last)
	err = s.inSteps(ctx, func(tx *sql.Tx) (bool, error) {
		found, err := queryAll(ctx, tx, sessionFields, `SELECT `+sessionColumns+` FROM `+sessionTables+` WHERE s.id IN (SELECT id FROM sessions WHERE `+where+`) ORDER BY s.id`, args...)
		if err != nil || len(found) == 0 {
			return false, err
		}
		step, err := endFound(ctx, tx, found, now, reason, describe)
		ended = append(ended, step...)
		return true, err
	})
	return ended, err
}

// endFound ends sessions, and returns those that had not expired: their events are stored.
func endFound(ctx context.Context, tx *sql.Tx, found []db.Session, now time.Time, reason db.Reason, describe func(db.Session) db.Event) (ended []uuid.UUID, err error) {
	by, ids := "", make([]int64, len(found))
	for i, sess := range found {
		ids[i] = sess.ID
		if !sess.Expires.After(now) {
			continue // ended by itself, and counted by nobody
		}
		event := describe(sess)
		by = event.Actor
		if err := insertEvent(ctx, tx, event); err != nil {
			return nil, err
		}
		ended = append(ended, sess.UUID)
	}
	list, _ := json.Marshal(ids) // numbers always marshal
	_, err = endSessions(ctx, tx, `id IN (SELECT value FROM json_each($1))`, []any{string(list)}, reason, by, now)
	return ended, err
}

// ExpireSessions ends what has expired by now, at most limit at once, and says how many.
func (s *Store) ExpireSessions(ctx context.Context, now time.Time, limit int) (int, error) {
	var due int
	err := s.read.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM sessions WHERE expires <= $1 LIMIT $2)`, micros(now), limit).Scan(&due)
	if err != nil || due == 0 {
		return 0, s.err(err)
	}
	return due, s.inTx(ctx, func(tx *sql.Tx) error {
		where := `id IN (SELECT id FROM sessions WHERE expires <= $1 ORDER BY expires LIMIT $2)`
		_, err := tx.ExecContext(ctx, `INSERT INTO ended_sessions
			(uuid, user_id, agent_id, last_ip, via, method, remember, created, last_used, ends, expires, device_id, ended, reason, ended_by)
			SELECT uuid, user_id, agent_id, last_ip, via, method, remember, created, last_used, ends, expires, device_id, expires,
				CASE WHEN expires < ends THEN $3 ELSE $4 END, ''
			FROM sessions WHERE `+where, micros(now), limit, db.Idle, db.Expired)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM sessions WHERE `+where, micros(now), limit)
		return err
	})
}

// IPs are the distinct addresses that sessions which live, or which ended, were last used
// from, and the ID of the newest row. After gives, instead of all, those of rows with a
// greater ID, and of living sessions also those used since a time: what may be new.
func (s *Store) IPs(ctx context.Context, ended bool, after int64, since time.Time) (ips []netip.Addr, newest int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	table, query, args := "sessions", `SELECT DISTINCT last_ip FROM sessions`, []any{}
	if ended {
		table, query = "ended_sessions", `SELECT DISTINCT last_ip FROM ended_sessions`
	}
	if after > 0 { // by the rows' IDs, and not along an index of all addresses
		query, args = query+` NOT INDEXED WHERE id > $1`, []any{after}
		if !ended {
			query, args = query+` UNION SELECT last_ip FROM sessions INDEXED BY sessions_last_used WHERE last_used >= $2`, append(args, micros(since))
		}
	}
	// The newest first: what comes between the two is found twice.
	if err := s.list.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) FROM `+table).Scan(&newest); err != nil {
		return nil, 0, s.err(err)
	}
	if ips, err = queryAll(ctx, s.list, addrField, query, args...); err != nil {
		return nil, 0, s.err(err)
	}
	return ips, newest, nil
}

// AccountIPs are the addresses that sessions of accounts were last used from, of those that
// live and those that ended. There are none of an account that has more than most of either.
func (s *Store) AccountIPs(ctx context.Context, users []int64, most int) ([]db.AccountIP, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	list, _ := json.Marshal(users) // numbers always marshal
	used, err := queryAll(ctx, s.list, func(u *db.AccountIP) []any { return []any{&u.UserID, addrColumn{&u.IP}, timeColumn{&u.First}} }, `WITH account AS (SELECT value AS id FROM json_each($1)),
		fitting AS MATERIALIZED (SELECT id FROM account WHERE
			(SELECT count(*) FROM (SELECT 1 FROM sessions WHERE user_id = account.id LIMIT $2 + 1)) <= $2 AND
			(SELECT count(*) FROM (SELECT 1 FROM ended_sessions WHERE user_id = account.id LIMIT $2 + 1)) <= $2)
		SELECT user_id, last_ip, min(created) FROM (
			SELECT s.user_id, s.last_ip, s.created FROM fitting CROSS JOIN sessions s INDEXED BY sessions_user ON s.user_id = fitting.id UNION ALL
			SELECT e.user_id, e.last_ip, e.created FROM fitting CROSS JOIN ended_sessions e INDEXED BY ended_sessions_user ON e.user_id = fitting.id)
		GROUP BY user_id, last_ip`, string(list), most)
	return used, s.err(err)
}

// Revision changes whenever a session of a user begins or ends, or of anybody for 0, and
// is never again what it was.
func (s *Store) Revision(ctx context.Context, user int64) (string, error) {
	statement, args := `SELECT coalesce((SELECT max(id) FROM sessions), 0), coalesce((SELECT max(id) FROM ended_sessions), 0),
		coalesce((SELECT value FROM settings WHERE name = 'numbers_freed'), 0)`, []any(nil)
	if user != 0 {
		statement, args = `SELECT coalesce((SELECT max(id) FROM sessions WHERE user_id = $1), 0),
			coalesce((SELECT max(id) FROM ended_sessions WHERE user_id = $1), 0),
			coalesce((SELECT value FROM settings WHERE name = 'numbers_freed'), 0)`, []any{user}
	}
	var begun, ended, freed int64
	err := s.read.QueryRowContext(ctx, statement, args...).Scan(&begun, &ended, &freed)
	return fmt.Sprintf("%d.%d.%d", begun, ended, freed), s.err(err)
}

// freeNumbers counts that sessions went without a trace, so that their numbers may be given
// anew: with their user, or as history is purged.
func freeNumbers(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO settings (name, value) VALUES ('numbers_freed', '1') ON CONFLICT (name) DO UPDATE SET value = value + 1`)
	return err
}
