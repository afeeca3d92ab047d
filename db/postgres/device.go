package postgres

import (
	"context"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

const deviceColumns = `d.id, d.uuid, d.user_id, u.username, d.name, d.browser, d.os, d.kind, d.created, d.last_login, d.trusted_until`

func deviceFields(d *db.Device) []any {
	return []any{&d.ID, &d.UUID, &d.UserID, &d.Username, &d.Name, &d.Browser, &d.OS, &d.Kind, timeColumn{&d.Created}, timeColumn{&d.LastLogin}, timeColumn{&d.TrustedUntil}}
}

// signedInOn stores that a user, whose row is locked, signed in on the device of a token's
// hash, and returns its number. Where that makes one more than an account may have another
// one goes.
func signedInOn(ctx context.Context, q querier, user int64, token []byte, c db.Client, at time.Time) (device int64, err error) {
	err = q.row(ctx, `INSERT INTO devices (uuid, user_id, token_hash, browser, os, kind, created, last_login)
		VALUES ($1::uuid, $2, $3, $4, $5, $6, $7, $7)
		ON CONFLICT (user_id, token_hash) DO UPDATE SET browser = excluded.browser, os = excluded.os, kind = excluded.kind,
			last_login = greatest(devices.last_login, excluded.last_login)
		RETURNING id`, uuid.New(), user, token, c.Browser, c.OS, c.Kind, micros(at)).Scan(&device)
	if err != nil {
		return 0, err
	}
	_, err = q.exec(ctx, `DELETE FROM devices WHERE id IN (SELECT id FROM devices d WHERE user_id = $1 AND id <> $2
		ORDER BY name <> '', EXISTS (SELECT 1 FROM sessions s WHERE s.device_id = d.id), last_login, id
		LIMIT greatest(0, (SELECT count(*) FROM devices WHERE user_id = $1) - $3::bigint))`, user, device, db.MaxDevices)
	return device, err
}

// SetSessionDevice makes the device of a token's hash that of a session which has none. It
// is db.ErrNotFound for any other session.
func (s *Store) SetSessionDevice(ctx context.Context, session uuid.UUID, token []byte, c db.Client) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		var user int64
		var begun time.Time
		err := q.row(ctx, `SELECT user_id, created FROM sessions WHERE uuid = $1::uuid AND device_id IS NULL`, session).Scan(&user, timeColumn{&begun})
		if err != nil {
			return err
		}
		if err := lockUser(ctx, q, user); err != nil {
			return err
		}
		device, err := signedInOn(ctx, q, user, token, c, begun)
		if err != nil {
			return err
		}
		return q.one(ctx, `UPDATE sessions SET device_id = $1 WHERE uuid = $2::uuid AND device_id IS NULL`, device, session)
	})
}

// historyLooked is how many sessions of an account that ended are looked through, the last
// ones, for one like a new one.
const historyLooked = 10_000

// SignInHistory says what of a sign-in a user has seen before: the device of a token's
// hash, what it is, or any at all.
func (s *Store) SignInHistory(ctx context.Context, user int64, token []byte, c db.Client) (h db.SignInHistory, err error) {
	const like = `(SELECT 1 FROM user_agents a WHERE a.id = s.agent_id AND a.browser = $3 AND a.os = $4 AND a.kind = $5)`
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		return q.row(ctx, `SELECT
			EXISTS (SELECT 1 FROM devices WHERE user_id = $1 AND token_hash = $2),
			EXISTS (SELECT 1 FROM devices WHERE user_id = $1 AND browser = $3 AND os = $4 AND kind = $5)
				OR EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = $1 AND EXISTS `+like+`)
				OR EXISTS (SELECT 1 FROM (SELECT agent_id FROM ended_sessions WHERE user_id = $1 ORDER BY ended DESC LIMIT $6::bigint) s WHERE EXISTS `+like+`),
			EXISTS (SELECT 1 FROM users WHERE id = $1 AND last_login IS NOT NULL)`,
			user, token, c.Browser, c.OS, c.Kind, historyLooked).Scan(&h.Device, &h.Client, &h.Any)
	})
	return h, err
}

// Devices are those of a user, the last signed in on first.
func (s *Store) Devices(ctx context.Context, user int64) (all []db.Device, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) (err error) {
		all, err = rows(ctx, q, deviceFields, `SELECT `+deviceColumns+` FROM devices d JOIN users u ON u.id = d.user_id
			WHERE d.user_id = $1 ORDER BY d.last_login DESC, d.id DESC`, user)
		return err
	})
	return all, err
}

// Device is the one with that public name.
func (s *Store) Device(ctx context.Context, id uuid.UUID) (d db.Device, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		return q.row(ctx, `SELECT `+deviceColumns+` FROM devices d JOIN users u ON u.id = d.user_id WHERE d.uuid = $1::uuid`, id).Scan(deviceFields(&d)...)
	})
	return d, err
}

// SessionDevices are the devices of sessions, living or ended, that have one.
func (s *Store) SessionDevices(ctx context.Context, sessions []uuid.UUID) (map[uuid.UUID]db.Device, error) {
	type row struct {
		session uuid.UUID
		db.Device
	}
	var all []row
	err := s.read(ctx, func(ctx context.Context, q querier) (err error) {
		all, err = rows(ctx, q, func(r *row) []any { return append([]any{&r.session}, deviceFields(&r.Device)...) }, `SELECT s.uuid, `+deviceColumns+` FROM
			(SELECT uuid, device_id FROM sessions WHERE uuid = ANY($1::uuid[]) UNION ALL SELECT uuid, device_id FROM ended_sessions WHERE uuid = ANY($1::uuid[])) s
			JOIN devices d ON d.id = s.device_id JOIN users u ON u.id = d.user_id`, uuidTexts(sessions))
		return err
	})
	found := make(map[uuid.UUID]db.Device, len(all))
	for _, r := range all {
		found[r.session] = r.Device
	}
	return found, err
}

// NameDevice stores what a device is called, and the event.
func (s *Store) NameDevice(ctx context.Context, id uuid.UUID, name string, event db.Event) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := q.one(ctx, `UPDATE devices SET name = $1 WHERE uuid = $2::uuid`, name, id); err != nil {
			return err
		}
		return insertEvent(ctx, q, event)
	})
}

// DeleteDevice removes a device, and stores the event. The sessions on it end with it, each
// with its own event. Where there may be many EndSessionsOn goes first, in steps.
func (s *Store) DeleteDevice(ctx context.Context, id uuid.UUID, reason db.Reason, event db.Event, describe func(db.Session) db.Event) (ended []uuid.UUID, err error) {
	err = s.inTx(ctx, func(ctx context.Context, q querier) error {
		ended = nil
		if err := lockDevice(ctx, q, id); err != nil {
			return err
		}
		ids, err := rows(ctx, q, column[int64], `SELECT id FROM sessions WHERE device_id = (SELECT id FROM devices WHERE uuid = $1::uuid) ORDER BY id FOR UPDATE`, id)
		if err != nil {
			return err
		}
		if ended, err = endLocked(ctx, q, ids, event.Created, reason, describe); err != nil {
			return err
		}
		if err := q.one(ctx, `DELETE FROM devices WHERE uuid = $1::uuid`, id); err != nil {
			return err
		}
		return insertEvent(ctx, q, event)
	})
	if err != nil {
		return nil, err
	}
	return ended, nil
}

// lockDevice is lockUser for whose device it is: nobody signs in on it meanwhile.
func lockDevice(ctx context.Context, q querier, id uuid.UUID) error {
	return q.one(ctx, `SELECT 1 FROM users WHERE id = (SELECT user_id FROM devices WHERE uuid = $1::uuid) FOR NO KEY UPDATE`, id)
}

// Trusts reports whether the device of a token's hash is trusted by a user at a time.
func (s *Store) Trusts(ctx context.Context, user int64, token []byte, at time.Time) (trusted bool, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) (err error) {
		trusted, err = trusts(ctx, q, user, token, at)
		return err
	})
	return trusted, err
}

func trusts(ctx context.Context, q querier, user int64, token []byte, at time.Time) (trusted bool, err error) {
	err = q.row(ctx, `SELECT EXISTS (SELECT 1 FROM devices WHERE user_id = $1 AND token_hash = $2 AND trusted_until > $3)`, user, token, micros(at)).Scan(&trusted)
	return trusted, err
}

// Distrust makes a device one where its person's second factor is asked for, and stores the
// event. It is db.ErrNotFound for one that was not trusted.
func (s *Store) Distrust(ctx context.Context, id uuid.UUID, event db.Event) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := lockDevice(ctx, q, id); err != nil {
			return err
		}
		if err := q.one(ctx, `UPDATE devices SET trusted_until = NULL WHERE uuid = $1::uuid AND trusted_until IS NOT NULL`, id); err != nil {
			return err
		}
		return insertEvent(ctx, q, event)
	})
}
