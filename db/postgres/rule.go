package postgres

import (
	"context"
	"strings"

	"lastseen/db"
)

const ruleQuery = `SELECT r.id, r.host, r.path, r.methods, r.challenge, r.created,
	coalesce((SELECT array_agg(g.name ORDER BY g.name) FROM rule_groups m JOIN groups g ON g.id = m.group_id WHERE m.rule_id = r.id), '{}') FROM rules r `

type ruleRow struct {
	db.Rule
	methods string
}

func ruleFields(r *ruleRow) []any {
	return []any{&r.ID, &r.Host, &r.Path, &r.methods, &r.Rule.Challenge, timeColumn{&r.Created}, &r.Groups}
}

func (r ruleRow) rule() db.Rule {
	if r.methods != "" {
		r.Methods = strings.Fields(r.methods)
	}
	if len(r.Groups) == 0 {
		r.Groups = nil
	}
	return r.Rule
}

// Rules are all rules of the gate, by host and path.
func (s *Store) Rules(ctx context.Context) (rules []db.Rule, err error) {
	var found []ruleRow
	err = s.read(ctx, func(ctx context.Context, q querier) (err error) {
		found, err = rows(ctx, q, ruleFields, ruleQuery+`ORDER BY r.host, r.path, r.id`)
		return err
	})
	for _, r := range found {
		rules = append(rules, r.rule())
	}
	return rules, err
}

// CreateRule stores a rule with its groups, which are made where they do not
// exist, and returns it with its ID. A path that is already open is db.ErrConflict.
func (s *Store) CreateRule(ctx context.Context, r db.Rule, event func(db.Rule) db.Event) (db.Rule, error) {
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		if len(r.Groups) > 0 {
			if err := makeGroups(ctx, q, r.Groups); err != nil {
				return err
			}
		}
		err := q.row(ctx, `INSERT INTO rules (host, path, methods, challenge, created) VALUES ($1, $2, $3, $4, $5) RETURNING id`,
			r.Host, r.Path, strings.Join(r.Methods, " "), r.Challenge, micros(r.Created)).Scan(&r.ID)
		if err != nil {
			return err
		}
		if len(r.Groups) > 0 {
			_, err := q.exec(ctx, `INSERT INTO rule_groups (rule_id, group_id) SELECT $1, id FROM groups WHERE name = ANY($2::text[]) ORDER BY id`, r.ID, r.Groups)
			if err != nil {
				return err
			}
		}
		return insertEvent(ctx, q, event(r))
	})
	return r, err
}

// DeleteRule removes a rule, and returns what it was.
func (s *Store) DeleteRule(ctx context.Context, id int64, event func(db.Rule) db.Event) (r db.Rule, err error) {
	err = s.inTx(ctx, func(ctx context.Context, q querier) error {
		var found ruleRow
		if err := q.row(ctx, ruleQuery+`WHERE r.id = $1`, id).Scan(ruleFields(&found)...); err != nil {
			return err
		}
		r = found.rule()
		if err := q.one(ctx, `DELETE FROM rules WHERE id = $1`, id); err != nil {
			return err
		}
		return insertEvent(ctx, q, event(r))
	})
	return r, err
}

// GroupNames are the names of all groups.
func (s *Store) GroupNames(ctx context.Context) (names []string, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) (err error) {
		names, err = rows(ctx, q, column[string], `SELECT name FROM groups ORDER BY name`)
		return err
	})
	return names, err
}
