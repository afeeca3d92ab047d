package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lastseen/db"
)

// counted are the columns that triggers keep.
var counted = []string{"users.sessions", "user_agents.sessions"}

// Dump hands over all of the database, table by table, as it is at one moment.
func (s *Store) Dump(ctx context.Context, each func(db.Table) error) error {
	tx, err := s.list.BeginTx(ctx, nil)
	if err != nil {
		return s.err(err)
	}
	defer tx.Rollback()
	for _, name := range db.CopiedTables {
		t := db.Table{Name: name}
		if t.Columns, err = copiedColumns(ctx, tx, name); err != nil {
			return s.err(err)
		}
		err := tx.QueryRowContext(ctx, `SELECT seq FROM sqlite_sequence WHERE name = $1`, name).Scan(&t.Last)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return s.err(err)
		}
		t.Rows = func(yield func([]any, error) bool) {
			rows, err := tx.QueryContext(ctx, `SELECT `+strings.Join(t.Columns, ", ")+` FROM `+name)
			if err != nil {
				yield(nil, s.err(err))
				return
			}
			defer rows.Close()
			for rows.Next() {
				row := make([]any, len(t.Columns))
				to := make([]any, len(row))
				for i := range row {
					to[i] = &row[i]
				}
				if err := rows.Scan(to...); !yield(row, s.err(err)) || err != nil {
					return
				}
			}
			if err := rows.Err(); err != nil {
				yield(nil, s.err(err))
			}
		}
		if err := each(t); err != nil {
			return err
		}
	}
	return nil
}

func copiedColumns(ctx context.Context, tx *sql.Tx, table string) ([]string, error) {
	columns, err := queryAll(ctx, tx, whole[string], `SELECT name FROM pragma_table_info($1) ORDER BY cid`, table)
	return slices.DeleteFunc(columns, func(name string) bool { return slices.Contains(counted, table+"."+name) }), err
}

// Fill takes what dump hands over, all or nothing, into a database without users: else it
// is db.ErrConflict. It says how many rows each table got.
func (s *Store) Fill(ctx context.Context, dump func(ctx context.Context, each func(db.Table) error) error) (counts map[string]int64, err error) {
	counts = map[string]int64{}
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		var used bool
		if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM users)`).Scan(&used); err != nil {
			return err
		}
		if used {
			return fmt.Errorf("%s is in use: %w", s.path, db.ErrConflict)
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM settings`); err != nil {
			return err
		}
		return dump(ctx, func(t db.Table) error {
			places := make([]string, len(t.Columns))
			for i := range places {
				places[i] = fmt.Sprintf("$%d", i+1)
			}
			insert, err := tx.PrepareContext(ctx, `INSERT INTO `+t.Name+` (`+strings.Join(t.Columns, ", ")+`) VALUES (`+strings.Join(places, ", ")+`)`)
			if err != nil {
				return err
			}
			defer insert.Close()
			for row, err := range t.Rows {
				if err != nil {
					return err
				}
				if _, err := insert.ExecContext(ctx, row...); err != nil {
					return fmt.Errorf("table %s: %w", t.Name, err)
				}
				counts[t.Name]++
			}
			if t.Last > 0 {
				// SQLite has counted for no table that is still empty.
				if _, err := tx.ExecContext(ctx, `DELETE FROM sqlite_sequence WHERE name = $1`, t.Name); err != nil {
					return err
				}
				_, err := tx.ExecContext(ctx, `INSERT INTO sqlite_sequence (name, seq) SELECT name, $2 FROM sqlite_schema WHERE name = $1 AND sql LIKE '%AUTOINCREMENT%'`, t.Name, t.Last)
				if err != nil {
					return err
				}
			}
			var there int64
			err = tx.QueryRowContext(ctx, `SELECT count(*) FROM `+t.Name).Scan(&there)
			if err == nil && there != counts[t.Name] {
				err = fmt.Errorf("table %s has %d rows, and %d were copied", t.Name, there, counts[t.Name])
			}
			return err
		})
	})
	return counts, err
}
