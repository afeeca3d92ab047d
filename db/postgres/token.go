package postgres

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

const tokenColumns = `t.id, t.uuid, t.identifier, t.description, t.created, t.expires, t.scope, t.last_used, ` + userColumns + `, u.member_of`

type tokenRow struct {
	db.Token
	memberOf []string
}

func tokenFields(r *tokenRow) []any {
	t := &r.Token
	return append(append([]any{&t.ID, &t.UUID, &t.Identifier, &t.Description, timeColumn{&t.Created}, timeColumn{&t.Expires}, &t.Scope, timeColumn{&t.LastUsed}},
		userFields(&t.User)...), &r.memberOf)
}

func (r tokenRow) token() (t db.Token, err error) {
	r.User.Groups, err = groups(r.memberOf)
	return r.Token, err
}

// TokenByKey finds an API token by the key's hash, its user with groups. It does
// not look at expiry or at whether the user is active: the caller judges.
func (s *Store) TokenByKey(ctx context.Context, hash []byte) (db.Token, error) {
	a, err := s.point(ctx, db.Question{Key: hash})
	if err != nil {
		return db.Token{}, err
	}
	return *a.Token, nil
}

// CreateToken stores a token and returns it with its ID; an identifier that its user has
// already is db.ErrConflict.
func (s *Store) CreateToken(ctx context.Context, t db.Token, hash []byte, event db.Event) (db.Token, error) {
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		err := q.row(ctx, `INSERT INTO tokens (uuid, identifier, folded_identifier, key_hash, user_id, description, folded_description, created, expires, scope)
			VALUES ($1::uuid, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id`,
			t.UUID, t.Identifier, db.Fold(t.Identifier), hash, t.User.ID, t.Description, db.Fold(t.Description), micros(t.Created), micros(t.Expires), string(t.Scope)).Scan(&t.ID)
		if err != nil {
			return err
		}
		return insertEvent(ctx, q, event)
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
		c.Add(`(strpos(t.folded_identifier, ?) > 0 OR strpos(t.folded_description, ?) > 0 OR strpos(u.folded, ?) > 0)`, db.Fold(word))
	}
	from := `tokens t JOIN users u ON u.id = t.user_id WHERE ` + c.SQL()
	var found []tokenRow
	err = s.list(ctx, func(ctx context.Context, q querier) (err error) {
		if err := q.row(ctx, `SELECT count(*) FROM `+from, c.Args...).Scan(&total); err != nil || f.Limit == 0 {
			return err
		}
		query := `SELECT ` + tokenColumns + ` FROM ` + from +
			c.Page(orderBy(f.Ordering, tokenOrderings, db.Order{Column: "identifier"}, "id"), f.Limit, f.Offset)
		found, err = rows(ctx, q, tokenFields, query, c.Args...)
		return err
	})
	for _, r := range found {
		t, err := r.token()
		if err != nil {
			return nil, 0, err
		}
		page = append(page, t)
	}
	return page, total, err
}

// DeleteToken removes a token; its key is refused from then on.
func (s *Store) DeleteToken(ctx context.Context, id uuid.UUID, event db.Event) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := q.one(ctx, `DELETE FROM tokens WHERE uuid = $1::uuid`, id); err != nil {
			return err
		}
		return insertEvent(ctx, q, event)
	})
}

// RecordKeyUses stores when tokens, by their UUIDs, were used last. One that is gone is
// passed over, and none goes back in time.
func (s *Store) RecordKeyUses(ctx context.Context, uses map[uuid.UUID]time.Time) error {
	ids := slices.SortedFunc(maps.Keys(uses), func(x, y uuid.UUID) int { return bytes.Compare(x[:], y[:]) })
	times := make([]int64, len(ids))
	for i, id := range ids {
		times[i] = uses[id].UnixMicro()
	}
	return s.write(ctx, lightBegin, func(ctx context.Context, q querier) error {
		_, err := q.exec(ctx, `WITH used AS MATERIALIZED (
				SELECT t.id, n.at FROM unnest($1::uuid[], $2::bigint[]) AS n (uuid, at) JOIN tokens t ON t.uuid = n.uuid ORDER BY t.uuid FOR NO KEY UPDATE OF t)
			UPDATE tokens t SET last_used = used.at FROM used WHERE t.id = used.id AND coalesce(t.last_used, 0) < used.at`, uuidTexts(ids), times)
		return err
	})
}
