package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"lastseen/db"
)

const tokenColumns = `t.id, t.uuid, t.identifier, t.description, t.created, t.expires, ` + userColumns

func tokenFields(t *db.Token) []any {
	return append([]any{&t.ID, &t.UUID, &t.Identifier, &t.Description, timeColumn{&t.Created}, timeColumn{&t.Expires}}, userFields(&t.User)...)
}

// TokenByKey finds an API token and its user by the key's hash. It does not look
// at expiry or at whether the user is active: the caller judges.
func (s *Store) TokenByKey(ctx context.Context, hash []byte) (db.Token, error) {
	var t db.Token
	err := s.userByKey.QueryRowContext(ctx, hash).Scan(tokenFields(&t)...)
	return t, storeError(err)
}

// CreateToken stores a token; an identifier that is taken is db.ErrConflict.
func (s *Store) CreateToken(ctx context.Context, t db.Token, hash []byte, event db.Event) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO tokens (uuid, identifier, key_hash, user_id, description, created, expires)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			t.UUID[:], t.Identifier, hash, t.User.ID, t.Description, micros(t.Created), micros(t.Expires))
		if err != nil {
			return err
		}
		return insertEvent(ctx, tx, event)
	})
}

// Tokens is one page of a user's tokens (of everybody's for 0) by identifier,
// and how many there are in all.
func (s *Store) Tokens(ctx context.Context, user int64, limit, offset int) (page []db.Token, total int, err error) {
	where, args := `1`, []any{}
	if user != 0 {
		where, args = `t.user_id = $1`, []any{user}
	}
	if err := s.list.QueryRowContext(ctx, `SELECT count(*) FROM tokens t WHERE `+where, args...).Scan(&total); err != nil {
		return nil, 0, storeError(err)
	}
	args = append(args, limit, offset)
	rows, err := s.list.QueryContext(ctx, fmt.Sprintf(`SELECT %s FROM tokens t JOIN users u ON u.id = t.user_id
		WHERE %s ORDER BY t.identifier LIMIT $%d OFFSET $%d`, tokenColumns, where, len(args)-1, len(args)), args...)
	if err != nil {
		return nil, 0, storeError(err)
	}
	defer rows.Close()
	for rows.Next() {
		var t db.Token
		if err := rows.Scan(tokenFields(&t)...); err != nil {
			return nil, 0, storeError(err)
		}
		page = append(page, t)
	}
	return page, total, storeError(rows.Err())
}

// Token is the token with that identifier.
func (s *Store) Token(ctx context.Context, identifier string) (db.Token, error) {
	var t db.Token
	err := s.read.QueryRowContext(ctx, `SELECT `+tokenColumns+` FROM tokens t JOIN users u ON u.id = t.user_id WHERE t.identifier = $1`,
		identifier).Scan(tokenFields(&t)...)
	return t, storeError(err)
}

// DeleteToken removes a token; its key is refused from then on.
func (s *Store) DeleteToken(ctx context.Context, identifier string, event db.Event) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if err := oneRow(tx.ExecContext(ctx, `DELETE FROM tokens WHERE identifier = $1`, identifier)); err != nil {
			return err
		}
		return insertEvent(ctx, tx, event)
	})
}
