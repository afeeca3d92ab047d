package postgres

import (
	"context"
	"time"

	"lastseen/db"
)

// CreateChallenge stores one by the hash of its token, and removes those from before
// expired. It is db.ErrConflict when there are most of them already; those that are stored
// at the same moment may be a few more.
func (s *Store) CreateChallenge(ctx context.Context, token []byte, c db.Challenge, expired time.Time, most int) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		_, err := q.exec(ctx, `DELETE FROM passkey_challenges WHERE token_hash IN (SELECT token_hash FROM passkey_challenges WHERE created <= $1 FOR UPDATE SKIP LOCKED)`, micros(expired))
		if err != nil {
			return err
		}
		var there int
		if err := q.row(ctx, `SELECT count(*) FROM passkey_challenges`).Scan(&there); err != nil {
			return err
		}
		if there >= most {
			return db.ErrConflict
		}
		_, err = q.exec(ctx, `INSERT INTO passkey_challenges (token_hash, user_id, purpose, data, created) VALUES ($1, $2, $3, $4, $5)`,
			token, orNull(c.UserID), c.Purpose, string(c.Data), micros(c.Created))
		return err
	})
}

// TakeChallenge is the one of a token's hash that was made after expired; it is there no
// more, whatever becomes of the answer.
func (s *Store) TakeChallenge(ctx context.Context, token []byte, expired time.Time) (c db.Challenge, err error) {
	err = s.inTx(ctx, func(ctx context.Context, q querier) error {
		return q.row(ctx, `DELETE FROM passkey_challenges WHERE token_hash = $1 RETURNING coalesce(user_id, 0), purpose, data, created`, token).
			Scan(&c.UserID, &c.Purpose, &c.Data, timeColumn{&c.Created})
	})
	if err == nil && !c.Created.After(expired) {
		return db.Challenge{}, db.ErrNotFound
	}
	return c, err
}

// Passkey is the one with a credential's id, whosever it is.
func (s *Store) Passkey(ctx context.Context, credential []byte) (p db.Passkey, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		return q.row(ctx, `SELECT `+passkeyColumns+` FROM passkeys WHERE credential_id = $1`, credential).Scan(passkeyFields(&p)...)
	})
	return p, err
}

// PasskeyHosts counts the passkeys by the host that they are good for.
func (s *Store) PasskeyHosts(ctx context.Context) (map[string]int, error) {
	type host struct {
		name     string
		passkeys int
	}
	var all []host
	err := s.list(ctx, func(ctx context.Context, q querier) (err error) {
		all, err = rows(ctx, q, func(h *host) []any { return []any{&h.name, &h.passkeys} }, `SELECT rp_id, count(*) FROM passkeys GROUP BY rp_id`)
		return err
	})
	hosts := map[string]int{}
	for _, h := range all {
		hosts[h.name] = h.passkeys
	}
	return hosts, err
}
