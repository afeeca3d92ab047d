package sqlite

import (
	"context"
	"database/sql"
	"time"

	"lastseen/db"
)

// CreateChallenge stores one by the hash of its token, and removes those from before
// expired. It is db.ErrConflict when there are most of them already.
func (s *Store) CreateChallenge(ctx context.Context, token []byte, c db.Challenge, expired time.Time, most int) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM passkey_challenges WHERE created <= $1`, micros(expired)); err != nil {
			return err
		}
		var there int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM passkey_challenges`).Scan(&there); err != nil {
			return err
		}
		if there >= most {
			return db.ErrConflict
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO passkey_challenges (token_hash, user_id, purpose, data, created) VALUES ($1, $2, $3, $4, $5)`,
			token, sql.NullInt64{Int64: c.UserID, Valid: c.UserID != 0}, c.Purpose, string(c.Data), micros(c.Created))
		return err
	})
}

// TakeChallenge is the one of a token's hash that was made after expired; it is there no
// more, whatever becomes of the answer.
func (s *Store) TakeChallenge(ctx context.Context, token []byte, expired time.Time) (c db.Challenge, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		var user sql.NullInt64
		err := tx.QueryRowContext(ctx, `DELETE FROM passkey_challenges WHERE token_hash = $1 RETURNING user_id, purpose, data, created`, token).
			Scan(&user, &c.Purpose, &c.Data, timeColumn{&c.Created})
		c.UserID = user.Int64
		return err
	})
	if err == nil && !c.Created.After(expired) {
		return db.Challenge{}, db.ErrNotFound
	}
	return c, err
}

// Passkey is the one with a credential's id, whosever it is.
func (s *Store) Passkey(ctx context.Context, credential []byte) (p db.Passkey, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT `+passkeyColumns+` FROM passkeys WHERE credential_id = $1`, credential).Scan(passkeyFields(&p)...)
	return p, s.err(err)
}

// PasskeyHosts counts the passkeys by the host that they are good for.
func (s *Store) PasskeyHosts(ctx context.Context) (map[string]int, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT rp_id, count(*) FROM passkeys GROUP BY rp_id`)
	if err != nil {
		return nil, s.err(err)
	}
	defer rows.Close()
	hosts := map[string]int{}
	for rows.Next() {
		var host string
		var n int
		if err := rows.Scan(&host, &n); err != nil {
			return nil, s.err(err)
		}
		hosts[host] = n
	}
	return hosts, s.err(rows.Err())
}
