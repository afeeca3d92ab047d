package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"lastseen/db"
)

// CreateLink stores a link by the hash of its token, in the place of one that was there
// for the same user or name, and removes those that have expired. It is db.ErrNotFound for
// a user who is gone or disabled, and db.ErrConflict for a name that is taken.
func (s *Store) CreateLink(ctx context.Context, l db.Link, token []byte, event func(db.Link) db.Event) (db.Link, error) {
	groups, err := json.Marshal(append([]string{}, l.Groups...))
	if err != nil {
		return l, err
	}
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM links WHERE expires <= $1 OR kind = $2 AND (user_id = $3 OR username <> '' AND fold(username) = $4)`,
			micros(l.Created), l.Kind, l.UserID, db.Fold(l.Username))
		if err != nil {
			return err
		}
		from, user := `WHERE TRUE`, any(nil)
		if l.Kind == db.Reset {
			from, user = `FROM users WHERE id = $3 AND active`, l.UserID
		} else {
			var taken bool
			if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM users WHERE folded = $1)`, db.Fold(l.Username)).Scan(&taken); err != nil {
				return err
			}
			if taken {
				return fmt.Errorf("an account: %w", db.ErrConflict)
			}
		}
		res, err := tx.ExecContext(ctx, `INSERT INTO links (token_hash, kind, user_id, username, superuser, groups, made_by, created, expires)
			SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 `+from,
			token, l.Kind, user, l.Username, l.Superuser, string(groups), l.MadeBy, micros(l.Created), micros(l.Expires))
		if err := oneRow(res, err); err != nil {
			return err
		}
		if l.ID, err = res.LastInsertId(); err != nil {
			return err
		}
		return insertEvent(ctx, tx, event(l))
	})
	return l, err
}

// linkRows are those with the name that their user has now, and without what no longer is
// good at $1.
const linkRows = `SELECT l.id, l.kind, coalesce(l.user_id, 0), coalesce(u.username, l.username), l.superuser, l.groups, l.made_by, l.created, l.expires
	FROM links l LEFT JOIN users u ON u.id = l.user_id WHERE l.expires > $1 AND coalesce(u.active, TRUE)`

func linkFields(l *db.Link) []any {
	return []any{&l.ID, &l.Kind, &l.UserID, &l.Username, &l.Superuser, namesColumn{&l.Groups}, &l.MadeBy, timeColumn{&l.Created}, timeColumn{&l.Expires}}
}

// A namesColumn scans a JSON array of names.
type namesColumn struct{ names *[]string }

func (c namesColumn) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("names are a %T", src)
	}
	return json.Unmarshal([]byte(text), c.names)
}

// Link is the one of a token's hash, if it is good still.
func (s *Store) Link(ctx context.Context, token []byte, now time.Time) (l db.Link, err error) {
	err = s.read.QueryRowContext(ctx, linkRows+` AND l.token_hash = $2`, micros(now), token).Scan(linkFields(&l)...)
	return l, s.err(err)
}

// Links are those that nobody has used yet, the newest first.
func (s *Store) Links(ctx context.Context, now time.Time) ([]db.Link, error) {
	all, err := queryAll(ctx, s.read, linkFields, linkRows+` ORDER BY l.id DESC`, micros(now))
	return all, s.err(err)
}

// DeleteLink refuses a link from now on, or is db.ErrNotFound.
func (s *Store) DeleteLink(ctx context.Context, id int64, now time.Time, event func(db.Link) db.Event) (l db.Link, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, linkRows+` AND l.id = $2`, micros(now), id).Scan(linkFields(&l)...); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM links WHERE id = $1`, id); err != nil {
			return err
		}
		return insertEvent(ctx, tx, event(l))
	})
	return l, err
}

// TakeInvitation stores the user whom an invitation makes, with the factor that first gives
// them unless it is nil, and uses it up. It is db.ErrNotFound when it is good no longer, and
// db.ErrConflict for a name that is taken.
func (s *Store) TakeInvitation(ctx context.Context, token []byte, u db.User, first func(db.User) *db.NewFactor, event func(db.User) db.Event) (db.User, error) {
	err := s.inTx(ctx, func(tx *sql.Tx) (err error) {
		if err := useLink(ctx, tx, token, u.Created); err != nil {
			return err
		}
		if u, err = createUser(ctx, tx, u, event); err != nil || first == nil {
			return err
		}
		return addFactor(ctx, tx, *first(u))
	})
	return u, err
}

// TakeReset stores a user's new hash, ends their sessions, and uses a link up, or is
// db.ErrNotFound when that is good no longer.
func (s *Store) TakeReset(ctx context.Context, token []byte, user int64, hash string, event db.Event) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if err := useLink(ctx, tx, token, event.Created); err != nil {
			return err
		}
		return setPassword(ctx, tx, db.PasswordChange{UserID: user, Hash: hash, Event: event})
	})
}

func useLink(ctx context.Context, tx *sql.Tx, token []byte, now time.Time) error {
	return oneRow(tx.ExecContext(ctx, `DELETE FROM links WHERE token_hash = $1 AND expires > $2`, token, micros(now)))
}

// userChanged refuses the links of a user, who is no longer who they were made for, and
// stores the event.
func userChanged(ctx context.Context, tx *sql.Tx, user int64, event db.Event) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM links WHERE user_id = $1`, user); err != nil {
		return err
	}
	return insertEvent(ctx, tx, event)
}

// dropLinksBy refuses what a user made who may make none any more.
func dropLinksBy(ctx context.Context, tx *sql.Tx, user int64) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM links WHERE made_by = (SELECT username FROM users WHERE id = $1)`, user)
	return err
}
