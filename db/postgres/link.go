package postgres

import (
	"context"
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
	err = s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := lock(ctx, q, lockUsers); err != nil { // nobody takes the name, or makes another link for it, meanwhile
			return err
		}
		if l.Kind == db.Reset {
			if err := q.one(ctx, `SELECT 1 FROM users WHERE id = $1 AND active FOR NO KEY UPDATE`, l.UserID); err != nil {
				return err
			}
		} else {
			var taken bool
			if err := q.row(ctx, `SELECT EXISTS (SELECT 1 FROM users WHERE folded = $1)`, db.Fold(l.Username)).Scan(&taken); err != nil {
				return err
			}
			if taken {
				return fmt.Errorf("an account: %w", db.ErrConflict)
			}
		}
		_, err := q.exec(ctx, `DELETE FROM links WHERE expires <= $1 OR kind = $2 AND (user_id = $3 OR folded <> '' AND folded = $4)`,
			micros(l.Created), string(l.Kind), l.UserID, db.Fold(l.Username))
		if err != nil {
			return err
		}
		user := orNull(l.UserID)
		if l.Kind != db.Reset {
			user = nil
		}
		err = q.row(ctx, `INSERT INTO links (token_hash, kind, user_id, username, folded, superuser, groups, made_by, created, expires)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id`,
			token, string(l.Kind), user, l.Username, db.Fold(l.Username), l.Superuser, string(groups), l.MadeBy, micros(l.Created), micros(l.Expires)).Scan(&l.ID)
		if err != nil {
			return err
		}
		return insertEvent(ctx, q, event(l))
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

// A namesColumn is a JSON array of names.
type namesColumn struct{ names *[]string }

// Link is the one of a token's hash, if it is good still.
func (s *Store) Link(ctx context.Context, token []byte, now time.Time) (l db.Link, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		return q.row(ctx, linkRows+` AND l.token_hash = $2`, micros(now), token).Scan(linkFields(&l)...)
	})
	return l, err
}

// Links are those that nobody has used yet, the newest first.
func (s *Store) Links(ctx context.Context, now time.Time) (all []db.Link, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) (err error) {
		all, err = rows(ctx, q, linkFields, linkRows+` ORDER BY l.id DESC`, micros(now))
		return err
	})
	return all, err
}

// DeleteLink refuses a link from now on, or is db.ErrNotFound.
func (s *Store) DeleteLink(ctx context.Context, id int64, now time.Time, event func(db.Link) db.Event) (l db.Link, err error) {
	err = s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := q.row(ctx, linkRows+` AND l.id = $2`, micros(now), id).Scan(linkFields(&l)...); err != nil {
			return err
		}
		if err := q.one(ctx, `DELETE FROM links WHERE id = $1`, id); err != nil {
			return err // of two at once one comes too late
		}
		return insertEvent(ctx, q, event(l))
	})
	return l, err
}

// TakeInvitation stores the user whom an invitation makes, with the factor that first gives
// them unless it is nil, and uses it up. It is db.ErrNotFound when it is good no longer, and
// db.ErrConflict for a name that is taken.
func (s *Store) TakeInvitation(ctx context.Context, token []byte, u db.User, first func(db.User) *db.NewFactor, event func(db.User) db.Event) (db.User, error) {
	err := s.inTx(ctx, func(ctx context.Context, q querier) (err error) {
		if err := lock(ctx, q, lockUsers); err != nil {
			return err
		}
		if err := useLink(ctx, q, token, u.Created); err != nil {
			return err
		}
		if u, err = createUser(ctx, q, u, event); err != nil || first == nil {
			return err
		}
		return addFactor(ctx, q, *first(u))
	})
	return u, err
}

// TakeReset stores a user's new hash, ends their sessions, and uses a link up, or is
// db.ErrNotFound when that is good no longer.
func (s *Store) TakeReset(ctx context.Context, token []byte, user int64, hash string, event db.Event) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := lockUser(ctx, q, user); err != nil {
			return err
		}
		if err := useLink(ctx, q, token, event.Created); err != nil {
			return err
		}
		return setPassword(ctx, q, db.PasswordChange{UserID: user, Hash: hash, Event: event})
	})
}

func useLink(ctx context.Context, q querier, token []byte, now time.Time) error {
	return q.one(ctx, `DELETE FROM links WHERE token_hash = $1 AND expires > $2`, token, micros(now))
}

// userChanged refuses the links of a user, who is no longer who they were made for, and
// stores the event.
func userChanged(ctx context.Context, q querier, user int64, event db.Event) error {
	if _, err := q.exec(ctx, `DELETE FROM links WHERE user_id = $1`, user); err != nil {
		return err
	}
	return insertEvent(ctx, q, event)
}

// dropLinksBy refuses what a user made who may make none any more.
func dropLinksBy(ctx context.Context, q querier, user int64) error {
	_, err := q.exec(ctx, `DELETE FROM links WHERE made_by = (SELECT username FROM users WHERE id = $1)`, user)
	return err
}
