package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

const totpColumns = `id, uuid, user_id, name, secret, step, created, last_used`

func totpFields(t *db.TOTP) []any {
	return []any{&t.ID, &t.UUID, &t.UserID, &t.Name, &t.Secret, &t.Step, timeColumn{&t.Created}, timeColumn{&t.LastUsed}}
}

const passkeyColumns = `id, user_id, name, credential_id, rp_id, discoverable, credential, created, last_used`

func passkeyFields(p *db.Passkey) []any {
	return []any{&p.ID, &p.UserID, &p.Name, &p.CredentialID, &p.RPID, &p.Discoverable, &p.Credential, timeColumn{&p.Created}, timeColumn{&p.LastUsed}}
}

// Factors are those of a user.
func (s *Store) Factors(ctx context.Context, user int64) (f db.Factors, err error) {
	if f.TOTPs, err = queryAll(ctx, s.read, totpFields, `SELECT `+totpColumns+` FROM totps WHERE user_id = $1 ORDER BY name, id`, user); err != nil {
		return db.Factors{}, s.err(err)
	}
	if f.Passkeys, err = queryAll(ctx, s.read, passkeyFields, `SELECT `+passkeyColumns+` FROM passkeys WHERE user_id = $1 ORDER BY name, id`, user); err != nil {
		return db.Factors{}, s.err(err)
	}
	err = s.read.QueryRowContext(ctx, `SELECT count(*), max(created) FROM recovery_codes WHERE user_id = $1`, user).Scan(&f.Recovery, timeColumn{&f.RecoveryMade})
	return f, s.err(err)
}

// TOTPs are everybody's.
func (s *Store) TOTPs(ctx context.Context) ([]db.TOTP, error) {
	all, err := queryAll(ctx, s.read, totpFields, `SELECT `+totpColumns+` FROM totps ORDER BY user_id, name, id`)
	return all, s.err(err)
}

// AddFactor stores a factor and its event. With a user's first one come recovery codes, and
// what was proven in their other sessions, without it, counts no more. Sign-ins of the user
// that were pending are refused from then on.
func (s *Store) AddFactor(ctx context.Context, n db.NewFactor) error {
	return s.inTx(ctx, func(tx *sql.Tx) error { return addFactor(ctx, tx, n) })
}

func addFactor(ctx context.Context, tx *sql.Tx, n db.NewFactor) error {
	user := n.UserID()
	has, err := enrolled(ctx, tx, user)
	if err != nil {
		return err
	}
	var res sql.Result
	if t := n.TOTP; t != nil {
		res, err = tx.ExecContext(ctx, `INSERT INTO totps (uuid, user_id, name, secret, step, created) VALUES ($1, $2, $3, $4, $5, $6)`,
			t.UUID[:], t.UserID, t.Name, t.Secret, t.Step, micros(t.Created))
	} else {
		p := n.Passkey
		res, err = tx.ExecContext(ctx, `INSERT INTO passkeys (user_id, name, credential_id, rp_id, discoverable, credential, created) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			p.UserID, p.Name, p.CredentialID, p.RPID, p.Discoverable, string(p.Credential), micros(p.Created))
	}
	if err != nil {
		return err
	}
	id, err := res.LastInsertId()
	if err != nil {
		return err
	}
	event := n.Event(id)
	if !has {
		if err := replaceRecovery(ctx, tx, user, n.Recovery, event.Created); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE sessions SET proven = 0 WHERE user_id = $1 AND uuid <> $2`, user, n.By[:]); err != nil {
			return err
		}
	}
	return factorsChanged(ctx, tx, user, event)
}

// enrolled reports whether a user has a second factor.
func enrolled(ctx context.Context, tx *sql.Tx, user int64) (has bool, err error) {
	err = tx.QueryRowContext(ctx, `SELECT `+hasFactor+` FROM users u WHERE u.id = $1`, user).Scan(&has)
	return has, err
}

// factorsChanged ends what was begun with the factors as they were, and stores the event.
func factorsChanged(ctx context.Context, tx *sql.Tx, user int64, event db.Event) error {
	if err := dropPending(ctx, tx, user); err != nil {
		return err
	}
	return userChanged(ctx, tx, user, event)
}

// dropPending refuses the sign-ins of a user that are pending, and trusts none of their
// devices any more: how they sign in has changed.
func dropPending(ctx context.Context, tx *sql.Tx, user int64) error {
	for _, begun := range []string{`DELETE FROM pending_signins WHERE user_id = $1`, `DELETE FROM passkey_challenges WHERE user_id = $1`,
		`UPDATE devices SET trusted_until = NULL WHERE user_id = $1 AND trusted_until IS NOT NULL`} {
		if _, err := tx.ExecContext(ctx, begun, user); err != nil {
			return err
		}
	}
	return nil
}

func replaceRecovery(ctx context.Context, tx *sql.Tx, user int64, hashes [][]byte, at time.Time) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM recovery_codes WHERE user_id = $1`, user); err != nil {
		return err
	}
	for _, hash := range hashes {
		if _, err := tx.ExecContext(ctx, `INSERT INTO recovery_codes (user_id, code_hash, created) VALUES ($1, $2, $3)`, user, hash, micros(at)); err != nil {
			return err
		}
	}
	return nil
}

// SetRecoveryCodes replaces a user's recovery codes by those of these hashes. It is
// db.ErrNotFound for a user without a factor, whom no code would help.
func (s *Store) SetRecoveryCodes(ctx context.Context, user int64, hashes [][]byte, event db.Event) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		has, err := enrolled(ctx, tx, user)
		if err == nil && !has {
			err = db.ErrNotFound
		}
		if err != nil {
			return err
		}
		if err := replaceRecovery(ctx, tx, user, hashes, event.Created); err != nil {
			return err
		}
		return factorsChanged(ctx, tx, user, event)
	})
}

// factorRows are where the factors of each kind are.
var factorRows = map[db.FactorKind]string{
	db.KindTOTP:     `totps WHERE id = $1`,
	db.KindPasskey:  `passkeys WHERE id = $1`,
	db.KindRecovery: `recovery_codes WHERE user_id = $1`,
}

// FactorOwner is the user whose factor that is.
func (s *Store) FactorOwner(ctx context.Context, kind db.FactorKind, id int64) (user int64, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT user_id FROM `+factorRows[kind]+` LIMIT 1`, id).Scan(&user)
	return user, s.err(err)
}

// DeleteFactor removes a factor of a user, or is db.ErrNotFound. With the last one the
// recovery codes go.
func (s *Store) DeleteFactor(ctx context.Context, user int64, kind db.FactorKind, id int64, event db.Event) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if err := oneRow(tx.ExecContext(ctx, `DELETE FROM `+factorRows[kind]+` AND user_id = $2`, id, user)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM recovery_codes WHERE user_id = $1 AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = $1 AND `+hasFactor+`)`, user)
		if err != nil {
			return err
		}
		return factorsChanged(ctx, tx, user, event)
	})
}

// NameFactor stores what a factor of a user is called, or is db.ErrNotFound.
func (s *Store) NameFactor(ctx context.Context, user int64, kind db.FactorKind, id int64, name string, event db.Event) error {
	table, ok := map[db.FactorKind]string{db.KindTOTP: "totps", db.KindPasskey: "passkeys"}[kind]
	if !ok {
		return db.ErrNotFound
	}
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if err := oneRow(tx.ExecContext(ctx, `UPDATE `+table+` SET name = $1 WHERE id = $2 AND user_id = $3`, name, id, user)); err != nil {
			return err
		}
		return insertEvent(ctx, tx, event)
	})
}

// ResetFactors removes all factors of a user, and their recovery codes.
func (s *Store) ResetFactors(ctx context.Context, user int64, event db.Event) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		for _, rows := range []string{`totps`, `passkeys`, `recovery_codes`} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+rows+` WHERE user_id = $1`, user); err != nil {
				return err
			}
		}
		return factorsChanged(ctx, tx, user, event)
	})
}

// CreatePending stores a sign-in of which something is still to be proven, by the hash of
// its token, uses up what was proven, and removes those from before expired. It is
// db.ErrNotFound when the user is gone or disabled, or no longer has the password's hash
// that was verified; its other errors are CreateSession's.
func (s *Store) CreatePending(ctx context.Context, user db.User, p db.PendingSignIn, proof db.Proof, token []byte, expired time.Time) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM pending_signins WHERE created <= $1`, micros(expired)); err != nil {
			return err
		}
		if err := useProof(ctx, tx, user.ID, proof, p.Created); err != nil {
			return err
		}
		return oneRow(tx.ExecContext(ctx, `INSERT INTO pending_signins (token_hash, user_id, proven, remember, trust, created)
			SELECT $1, id, $2, $3, $4, $5 FROM users WHERE id = $6 AND active AND password_hash = $7`,
			token, p.Proven, p.Remember, p.Trust, micros(p.Created), user.ID, user.PasswordHash))
	})
}

// Pending is the sign-in of a token's hash that was made after expired, with its user.
func (s *Store) Pending(ctx context.Context, token []byte, expired time.Time) (p db.PendingSignIn, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT user_id, proven, remember, trust, created FROM pending_signins WHERE token_hash = $1 AND created > $2`, token, micros(expired)).
		Scan(&p.UserID, &p.Proven, &p.Remember, &p.Trust, timeColumn{&p.Created})
	return p, s.err(err)
}

// useProof uses up what proved a user's sign-in at a time. It is db.ErrNotFound when the
// pending sign-in is no more, or the factor, the device is not trusted, or the user has a
// factor by now; and db.ErrUsed when a code was used.
func useProof(ctx context.Context, tx *sql.Tx, user int64, p db.Proof, at time.Time) error {
	if p.Pending != nil {
		err := oneRow(tx.ExecContext(ctx, `DELETE FROM pending_signins WHERE token_hash = $1 AND user_id = $2 AND created > $3`, p.Pending, user, micros(p.Since)))
		if err != nil {
			return err
		}
	}
	if t := p.TOTP; t != nil {
		err := oneRow(tx.ExecContext(ctx, `UPDATE totps SET step = $1, last_used = $2 WHERE id = $3 AND user_id = $4 AND step < $1`, t.Step, micros(at), t.ID, user))
		if errors.Is(err, db.ErrNotFound) {
			err = db.ErrUsed
		}
		if err != nil {
			return err
		}
	}
	if p.Recovery != nil {
		err := oneRow(tx.ExecContext(ctx, `DELETE FROM recovery_codes WHERE user_id = $1 AND code_hash = $2`, user, p.Recovery))
		if errors.Is(err, db.ErrNotFound) {
			err = db.ErrUsed
		}
		if err != nil {
			return err
		}
	}
	if k := p.Passkey; k != nil {
		err := oneRow(tx.ExecContext(ctx, `UPDATE passkeys SET credential = $1, last_used = $2 WHERE id = $3 AND user_id = $4 AND credential = $5`,
			string(k.Credential), micros(at), k.ID, user, string(p.Was)))
		if err != nil {
			return err
		}
	}
	if p.Device != nil {
		if trusted, err := trusts(ctx, tx, user, p.Device, at); err != nil {
			return err
		} else if !trusted {
			return db.ErrNotFound
		}
	}
	if p.Alone {
		if has, err := enrolled(ctx, tx, user); err != nil {
			return err
		} else if has {
			return db.ErrNotFound
		}
	}
	if p.New != nil {
		return addFactor(ctx, tx, *p.New)
	}
	if p.Password != nil {
		return setPassword(ctx, tx, *p.Password)
	}
	return nil
}

// LastProof is when the person of a session last proved who they are.
func (s *Store) LastProof(ctx context.Context, session uuid.UUID) (at time.Time, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT proven FROM sessions WHERE uuid = $1`, session[:]).Scan(timeColumn{&at})
	return at, s.err(err)
}

// ProveAgain notes that the person of a session has proven again who they are; p is used
// up with it.
func (s *Store) ProveAgain(ctx context.Context, session uuid.UUID, p db.Proof, at time.Time) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		var user int64
		if err := tx.QueryRowContext(ctx, `UPDATE sessions SET proven = $1 WHERE uuid = $2 RETURNING user_id`, micros(at), session[:]).Scan(&user); err != nil {
			return err
		}
		return useProof(ctx, tx, user, p, at)
	})
}
