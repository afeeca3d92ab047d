package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"

	"lastseen/db"

	"github.com/google/uuid"
)

// made are the columns that are made of others: those that hold one in the form that is
// searched, and what the database writes by itself.
var made = map[string]string{
	"users.member_of": "", "sessions.used_about": "", "users.folded_name": "name", "users.folded_email": "email",
	"links.folded": "username", "tokens.folded_identifier": "identifier", "tokens.folded_description": "description",
}

// errEnough ends a query whose rows nobody wants any more.
var errEnough = errors.New("enough")

// tableColumn is one of a table.
type tableColumn struct{ name, kind string }

// tableColumns are those of a table, but for what is made of others.
func tableColumns(ctx context.Context, q querier, table string) ([]tableColumn, error) {
	all, err := rows(ctx, q, func(c *tableColumn) []any { return []any{&c.name, &c.kind} },
		`SELECT column_name::text, data_type::text FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position`, table)
	return slices.DeleteFunc(all, func(c tableColumn) bool { _, is := made[table+"."+c.name]; return is }), err
}

// Dump hands over all of the database, table by table, as it is at one moment.
func (s *Store) Dump(ctx context.Context, each func(db.Table) error) error {
	_, err := s.transact(ctx, readBegin, func(ctx context.Context, q querier) error {
		for _, name := range db.CopiedTables {
			columns, err := tableColumns(ctx, q, name)
			if err != nil {
				return err
			}
			t := db.Table{Name: name}
			for _, c := range columns {
				t.Columns = append(t.Columns, c.name)
			}
			if slices.Contains(t.Columns, "id") {
				err := q.row(ctx, `SELECT coalesce(last_value, 0) FROM pg_sequences WHERE pg_get_serial_sequence($1, 'id')::regclass = (schemaname || '.' || sequencename)::regclass`, name).Scan(&t.Last)
				if err != nil {
					return err
				}
			}
			t.Rows = func(yield func([]any, error) bool) {
				_, err := q.each(ctx, `SELECT `+strings.Join(t.Columns, ", ")+` FROM `+name, nil, func(found tuple) error {
					row, err := found.plain()
					if err == nil && !yield(row, nil) {
						err = errEnough
					}
					return err
				})
				if err != nil && !errors.Is(err, errEnough) {
					yield(nil, err)
				}
			}
			if err := each(t); err != nil {
				return err
			}
		}
		return nil
	})
	return s.err(err)
}

// Fill takes what dump hands over, all or nothing, into a database without users: else it
// is db.ErrConflict. It says how many rows each table got.
func (s *Store) Fill(ctx context.Context, dump func(ctx context.Context, each func(db.Table) error) error) (counts map[string]int64, err error) {
	counts = map[string]int64{}
	_, err = s.transact(ctx, `BEGIN`, func(ctx context.Context, q querier) error {
		if _, err := q.exec(ctx, `LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE`); err != nil { // nobody makes one meanwhile
			return err
		}
		var used bool
		if err := q.row(ctx, `SELECT EXISTS (SELECT 1 FROM users)`).Scan(&used); err != nil {
			return err
		}
		if used {
			return fmt.Errorf("%s is in use: %w", s.name, db.ErrConflict)
		}
		if _, err := q.exec(ctx, `DELETE FROM settings`); err != nil {
			return err
		}
		return dump(ctx, func(t db.Table) error {
			if err := copyIn(ctx, q, t, counts); err != nil {
				return fmt.Errorf("table %s: %w", t.Name, err)
			}
			return nil
		})
	})
	return counts, s.err(err)
}

// copyIn copies one table, and counts what is there then.
func copyIn(ctx context.Context, q querier, t db.Table, counts map[string]int64) error {
	columns, err := tableColumns(ctx, q, t.Name)
	if err != nil {
		return err
	}
	kinds := map[string]string{}
	for _, c := range columns {
		kinds[c.name] = c.kind
	}
	names := slices.Clone(t.Columns)
	var from []int // of each folded column, the one that it is made of
	for folded, of := range made {
		if table, name, _ := strings.Cut(folded, "."); table == t.Name && of != "" {
			names, from = append(names, name), append(from, slices.Index(t.Columns, of))
		}
	}
	next, stop := iter.Pull2(t.Rows)
	var pulling sync.Mutex // pgx may still read when it has failed
	defer func() {
		pulling.Lock()
		defer pulling.Unlock()
		stop()
	}()
	n, err := q.copyIn(ctx, t.Name, strings.Join(names, ", "), &copyText{next: func() ([]any, error) {
		pulling.Lock()
		defer pulling.Unlock()
		row, err, ok := next()
		if !ok {
			return nil, io.EOF
		}
		if err != nil {
			return nil, err
		}
		for i, v := range row {
			if row[i], err = stored(v, kinds[t.Columns[i]]); err != nil {
				return nil, fmt.Errorf("column %s: %w", t.Columns[i], err)
			}
		}
		for _, of := range from {
			row = append(row, db.Fold(row[of].(string)))
		}
		return row, nil
	}})
	if err != nil {
		return err
	}
	if slices.Contains(t.Columns, "id") {
		_, err := q.exec(ctx, `SELECT setval(pg_get_serial_sequence($1, 'id'), greatest(1, $2::bigint, (SELECT max(id) FROM `+t.Name+`)))`, t.Name, t.Last)
		if err != nil {
			return err
		}
	}
	var there int64
	if err := q.row(ctx, `SELECT count(*) FROM `+t.Name).Scan(&there); err != nil {
		return err
	}
	if there != n {
		return fmt.Errorf("%d rows are there, and %d were copied", there, n)
	}
	counts[t.Name] = n
	return nil
}

// stored is a value that is copied as a column of that kind takes it.
func stored(v any, kind string) (any, error) {
	switch v := v.(type) {
	case int64:
		if kind == "boolean" {
			return v != 0, nil
		}
	case string:
		return text(v), nil
	case []byte:
		if kind == "uuid" {
			return uuid.FromBytes(v)
		}
	}
	return v, nil
}
