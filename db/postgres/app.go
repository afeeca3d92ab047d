package postgres

import (
	"context"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

// CreateCode stores a code of a session, and removes those from before expired. A
// session that has ended is db.ErrNotFound.
func (s *Store) CreateCode(ctx context.Context, code db.AppCode, expired time.Time) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		_, err := q.exec(ctx, `DELETE FROM app_codes WHERE code_hash IN (SELECT code_hash FROM app_codes WHERE created <= $1 FOR UPDATE SKIP LOCKED)`, micros(expired))
		if err != nil {
			return err
		}
		return q.one(ctx, `INSERT INTO app_codes (code_hash, state, secure, session_id, host, target, created)
			SELECT $1, $2, $3, id, $4, $5, $6 FROM sessions WHERE uuid = $7::uuid`,
			code.Hash, code.State, code.Secure, code.Host, code.Target, micros(code.Created), code.Session)
	})
}

// RedeemCode uses up the code of that hash, state, scheme and host, if it was made after expired,
// and stores the token's hash of its session's cookie on that host, in the place of the
// one that was there. It returns the session, and the page that was asked for. A code
// that is none, in this browser and on this host, is db.ErrNotFound, and not used up.
func (s *Store) RedeemCode(ctx context.Context, code db.AppCode, expired time.Time, token []byte) (sess db.Session, target string, err error) {
	err = s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := lockSession(ctx, q, `id = (SELECT session_id FROM app_codes WHERE code_hash = $1)`, code.Hash); err != nil {
			return err
		}
		var id int64
		err := q.row(ctx, `DELETE FROM app_codes WHERE code_hash = $1 AND state = $2 AND secure = $3 AND host = $4 AND created > $5
			RETURNING session_id, target`, code.Hash, code.State, code.Secure, code.Host, micros(expired)).Scan(&id, &target)
		if err != nil {
			return err
		}
		_, err = q.exec(ctx, `INSERT INTO app_sessions (token_hash, session_id, host, created) VALUES ($1, $2, $3, $4)
			ON CONFLICT (session_id, host) DO UPDATE SET token_hash = excluded.token_hash, created = excluded.created`,
			token, id, code.Host, micros(code.Created))
		if err != nil {
			return err
		}
		return q.row(ctx, `SELECT `+sessionColumns+` FROM `+sessionTables+` WHERE s.id = $1`, id).Scan(sessionFields(&sess)...)
	})
	return sess, target, err
}

// lockSession has others wait who end a session, or change what it has on hosts of apps. It
// is db.ErrNotFound when there is none.
func lockSession(ctx context.Context, q querier, where string, arg any) error {
	return q.one(ctx, `SELECT 1 FROM sessions WHERE `+where+` FOR NO KEY UPDATE`, arg)
}

func appFields(a *db.AppSession) []any { return []any{&a.Session, &a.Host, timeColumn{&a.Created}} }

// AppSession is that of a token's hash.
func (s *Store) AppSession(ctx context.Context, hash []byte) (a db.AppSession, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		return q.row(ctx, `SELECT s.uuid, a.host, a.created FROM app_sessions a JOIN sessions s ON s.id = a.session_id WHERE a.token_hash = $1`, hash).Scan(appFields(&a)...)
	})
	return a, err
}

// AppSessions are those of a session, by host.
func (s *Store) AppSessions(ctx context.Context, session uuid.UUID) (all []db.AppSession, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) (err error) {
		all, err = rows(ctx, q, appFields, `SELECT s.uuid, a.host, a.created FROM sessions s JOIN app_sessions a ON a.session_id = s.id
			WHERE s.uuid = $1::uuid ORDER BY a.host`, session)
		return err
	})
	return all, err
}

// EndAppSession ends that of a session on a host, with its codes there that are not
// used up, or is db.ErrNotFound.
func (s *Store) EndAppSession(ctx context.Context, session uuid.UUID, host string) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := lockSession(ctx, q, `uuid = $1::uuid`, session); err != nil {
			return err
		}
		_, err := q.exec(ctx, `DELETE FROM app_codes WHERE host = $1 AND session_id = (SELECT id FROM sessions WHERE uuid = $2::uuid)`, host, session)
		if err != nil {
			return err
		}
		return q.one(ctx, `DELETE FROM app_sessions WHERE host = $1 AND session_id = (SELECT id FROM sessions WHERE uuid = $2::uuid)`, host, session)
	})
}
