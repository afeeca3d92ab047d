package sqlite

import (
	"context"
	"database/sql"
	"strings"

	"lastseen/db"

	"github.com/google/uuid"
)

// The groups come with their rules, one row for each.
const ruleQuery = `SELECT r.id, r.host, r.path, r.methods, r.challenge, r.created, coalesce(g.name, '') FROM rules r
	LEFT JOIN rule_groups m ON m.rule_id = r.id LEFT JOIN groups g ON g.id = m.group_id `

// Rules are all rules of the gate, by host and path.
func (s *Store) Rules(ctx context.Context) ([]db.Rule, error) {
	rows, err := s.read.QueryContext(ctx, ruleQuery+`ORDER BY r.host, r.path, r.id, g.name`)
	if err != nil {
		return nil, s.err(err)
	}
	return s.rules(rows)
}

func (s *Store) rules(rows *sql.Rows) ([]db.Rule, error) {
	defer rows.Close()
	var rules []db.Rule
	for rows.Next() {
		var r db.Rule
		var group, methods string
		if err := rows.Scan(&r.ID, &r.Host, &r.Path, &methods, &r.Challenge, timeColumn{&r.Created}, &group); err != nil {
			return nil, s.err(err)
		}
		if methods != "" {
			r.Methods = strings.Fields(methods)
		}
		if n := len(rules); n == 0 || rules[n-1].ID != r.ID {
			rules = append(rules, r)
		}
		if last := &rules[len(rules)-1]; group != "" {
			last.Groups = append(last.Groups, group)
		}
	}
	return rules, s.err(rows.Err())
}

// CreateRule stores a rule with its groups, which are made where they do not
// exist, and returns it with its ID. A path that is already open is db.ErrConflict.
func (s *Store) CreateRule(ctx context.Context, r db.Rule, event func(db.Rule) db.Event) (db.Rule, error) {
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO rules (host, path, methods, challenge, created) VALUES ($1, $2, $3, $4, $5)`,
			r.Host, r.Path, strings.Join(r.Methods, " "), r.Challenge, micros(r.Created))
		if err != nil {
			return err
		}
		if r.ID, err = res.LastInsertId(); err != nil {
			return err
		}
		for _, group := range r.Groups {
			id := uuid.New()
			if _, err := tx.ExecContext(ctx, `INSERT INTO groups (uuid, name) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, id[:], group); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO rule_groups (rule_id, group_id) SELECT $1, id FROM groups WHERE name = $2
				ON CONFLICT DO NOTHING`, r.ID, group)
			if err != nil {
				return err
			}
		}
		return insertEvent(ctx, tx, event(r))
	})
	return r, err
}

// DeleteRule removes a rule, and returns what it was.
func (s *Store) DeleteRule(ctx context.Context, id int64, event func(db.Rule) db.Event) (r db.Rule, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, ruleQuery+`WHERE r.id = $1`, id)
		if err != nil {
			return err
		}
		found, err := s.rules(rows)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return db.ErrNotFound
		}
		r = found[0]
		if err := oneRow(tx.ExecContext(ctx, `DELETE FROM rules WHERE id = $1`, id)); err != nil {
			return err
		}
		return insertEvent(ctx, tx, event(r))
	})
	return r, err
}

// GroupNames are the names of all groups.
func (s *Store) GroupNames(ctx context.Context) ([]string, error) {
	names, err := queryAll(ctx, s.list, whole[string], `SELECT name FROM groups ORDER BY name`)
	return names, s.err(err)
}
