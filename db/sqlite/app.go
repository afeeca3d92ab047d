package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

// CreateCode stores a code of a session, and removes those from before expired. A
// session that has ended is db.ErrNotFound.
func (s *Store) CreateCode(ctx context.Context, code db.AppCode, expired time.Time) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM app_codes WHERE created <= $1`, micros(expired)); err != nil {
			return err
		}
		return oneRow(tx.ExecContext(ctx, `INSERT INTO app_codes (code_hash, state, secure, session_id, host, target, created)
			SELECT $1, $2, $3, id, $4, $5, $6 FROM sessions WHERE uuid = $7`,
			code.Hash, code.State, code.Secure, code.Host, code.Target, micros(code.Created), code.Session[:]))
	})
}

// RedeemCode uses up the code of that hash, state, scheme and host, if it was made after expired,
// and stores the token's hash of its session's cookie on that host, in the place of the
// one that was there. It returns the session, and the page that was asked for. A code
// that is none, in this browser and on this host, is db.ErrNotFound, and not used up.
func (s *Store) RedeemCode(ctx context.Context, code db.AppCode, expired time.Time, token []byte) (sess db.Session, target string, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		var id int64
		err := tx.QueryRowContext(ctx, `DELETE FROM app_codes WHERE code_hash = $1 AND state = $2 AND secure = $3 AND host = $4 AND created > $5
			RETURNING session_id, target`, code.Hash, code.State, code.Secure, code.Host, micros(expired)).Scan(&id, &target)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM app_sessions WHERE session_id = $1 AND host = $2`, id, code.Host); err != nil {
			return err
		}
		s.addToken(token)
		_, err = tx.ExecContext(ctx, `INSERT INTO app_sessions (token_hash, session_id, host, created) VALUES ($1, $2, $3, $4)`,
			token, id, code.Host, micros(code.Created))
		if err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT `+sessionColumns+` FROM `+sessionTables+` WHERE s.id = $1`, id).Scan(sessionFields(&sess)...)
	})
	return sess, target, err
}

// AppSession is that of a token's hash.
func (s *Store) AppSession(ctx context.Context, hash []byte) (a db.AppSession, err error) {
	if s.lacksToken(hash) {
		return a, db.ErrNotFound
	}
	err = s.read.QueryRowContext(ctx, `SELECT s.uuid, a.host, a.created FROM app_sessions a JOIN sessions s ON s.id = a.session_id WHERE a.token_hash = $1`, hash).
		Scan(&a.Session, &a.Host, timeColumn{&a.Created})
	if err = s.err(err); errors.Is(err, db.ErrNotFound) {
		s.lookedInVain()
	}
	return a, err
}

// AppSessions are those of a session, by host.
func (s *Store) AppSessions(ctx context.Context, session uuid.UUID) ([]db.AppSession, error) {
	all, err := queryAll(ctx, s.read, func(a *db.AppSession) []any { return []any{&a.Session, &a.Host, timeColumn{&a.Created}} },
		`SELECT s.uuid, a.host, a.created FROM sessions s JOIN app_sessions a ON a.session_id = s.id WHERE s.uuid = $1 ORDER BY a.host`, session[:])
	return all, s.err(err)
}

// EndAppSession ends that of a session on a host, with its codes there that are not
// used up, or is db.ErrNotFound.
func (s *Store) EndAppSession(ctx context.Context, session uuid.UUID, host string) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM app_codes WHERE host = $1 AND session_id = (SELECT id FROM sessions WHERE uuid = $2)`, host, session[:])
		if err != nil {
			return err
		}
		return oneRow(tx.ExecContext(ctx, `DELETE FROM app_sessions WHERE host = $1 AND session_id = (SELECT id FROM sessions WHERE uuid = $2)`, host, session[:]))
	})
}
