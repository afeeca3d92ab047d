package sqlite

import (
	"context"
	"database/sql"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

const tokenColumns = `t.id, t.uuid, t.identifier, t.description, t.created, t.expires, t.scope, t.last_used, ` + userColumns

func tokenFields(t *db.Token) []any {
	return append([]any{&t.ID, &t.UUID, &t.Identifier, &t.Description, timeColumn{&t.Created}, timeColumn{&t.Expires}, &t.Scope, timeColumn{&t.LastUsed}}, userFields(&t.User)...)
}

// TokenByKey finds an API token by the key's hash, its user with groups. It does
// not look at expiry or at whether the user is active: the caller judges.
func (s *Store) TokenByKey(ctx context.Context, hash []byte) (db.Token, error) {
	var t db.Token
	err := s.read.QueryRowContext(ctx, `SELECT `+tokenColumns+` FROM tokens t JOIN users u ON u.id = t.user_id WHERE t.key_hash = $1`, hash).Scan(tokenFields(&t)...)
	if err != nil {
		return t, s.err(err)
	}
	groups, err := groupsOf(ctx, s.read, []int64{t.User.ID})
	t.User.Groups = groups[t.User.ID]
	return t, s.err(err)
}

// CreateToken stores a token and returns it with its ID; an identifier that its user has
// already is db.ErrConflict.
func (s *Store) CreateToken(ctx context.Context, t db.Token, hash []byte, event db.Event) (db.Token, error) {
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO tokens (uuid, identifier, key_hash, user_id, description, created, expires, scope)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			t.UUID[:], t.Identifier, hash, t.User.ID, t.Description, micros(t.Created), micros(t.Expires), t.Scope)
		if err != nil {
			return err
		}
		if t.ID, err = res.LastInsertId(); err != nil {
			return err
		}
		return insertEvent(ctx, tx, event)
	})
	return t, err
}

var tokenOrderings = map[string]string{
	"identifier":     "t.identifier",
	"description":    "t.description",
	"user__username": "u.username",
	"expires":        "t.expires",
	"created":        "t.created",
	"id":             "t.id",
}

// Tokens is one page of what the filter chooses, their users with groups, and how
// many there are in all.
func (s *Store) Tokens(ctx context.Context, f db.TokenFilter) (page []db.Token, total int, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	var c db.Conditions
	if f.User != 0 {
		c.Add(`t.user_id = ?`, f.User)
	}
	if f.Username != nil {
		c.Add(`u.username = ?`, *f.Username)
	}
	if f.Identifier != nil {
		c.Add(`t.identifier = ?`, *f.Identifier)
	}
	if f.Description != nil {
		c.Add(`t.description = ?`, *f.Description)
	}
	if f.Expiring != nil {
		c.Add(`(t.expires IS NOT NULL) = ?`, *f.Expiring)
	}
	for _, word := range f.Search {
		c.Add(`(fold(t.identifier) LIKE ? ESCAPE '\' OR fold(t.description) LIKE ? ESCAPE '\' OR u.folded LIKE ? ESCAPE '\')`, db.LikePattern(word))
	}
	from := `tokens t JOIN users u ON u.id = t.user_id WHERE ` + c.SQL()
	if err := s.list.QueryRowContext(ctx, `SELECT count(*) FROM `+from, c.Args...).Scan(&total); err != nil || f.Limit == 0 {
		return nil, total, s.err(err)
	}
	query := `SELECT ` + tokenColumns + ` FROM ` + from +
		c.Page(orderBy(f.Ordering, tokenOrderings, db.Order{Column: "identifier"}, "id"), f.Limit, f.Offset)
	page, err = queryAll(ctx, s.list, tokenFields, query, c.Args...)
	if err != nil {
		return nil, 0, s.err(err)
	}
	users := make([]int64, len(page))
	for i, t := range page {
		users[i] = t.User.ID
	}
	groups, err := groupsOf(ctx, s.list, users)
	for i := range page {
		page[i].User.Groups = groups[page[i].User.ID]
	}
	return page, total, s.err(err)
}

// DeleteToken removes a token; its key is refused from then on.
func (s *Store) DeleteToken(ctx context.Context, id uuid.UUID, event db.Event) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if err := oneRow(tx.ExecContext(ctx, `DELETE FROM tokens WHERE uuid = $1`, id[:])); err != nil {
			return err
		}
		return insertEvent(ctx, tx, event)
	})
}

// RecordKeyUses stores when tokens, by their UUIDs, were used last. One that is gone is
// passed over, and none goes back in time.
func (s *Store) RecordKeyUses(ctx context.Context, uses map[uuid.UUID]time.Time) error {
	return s.inLightTx(ctx, func(tx *sql.Tx) (changed bool, err error) {
		for id, at := range uses {
			_, err := tx.ExecContext(ctx, `UPDATE tokens SET last_used = $2 WHERE uuid = $1 AND coalesce(last_used, 0) < $2`, id[:], micros(at))
			if err != nil {
				return false, err
			}
		}
		return false, nil
	})
}
