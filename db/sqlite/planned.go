package sqlite

import (
	"context"
	"database/sql"
	"sync"
)

// A planned pool keeps the plans of its queries, since to make one takes as long as to
// read a page of a list: of those by [planned.QueryContext] and [planned.QueryRowContext].
type planned struct {
	*sql.DB

	mu    sync.Mutex
	plans map[string]*sql.Stmt // by the query's text; at most maxPlans
}

// maxPlans bounds the plans, of some 20 KB on each connection. There may be more
// filters and orderings than that: when it is reached, any plan goes for a new one.
const maxPlans = 32

// plan is the plan of a query, made if need be. Another caller may close it.
func (p *planned) plan(ctx context.Context, query string) (*sql.Stmt, error) {
	p.mu.Lock()
	stmt := p.plans[query]
	p.mu.Unlock()
	if stmt != nil {
		return stmt, nil
	}
	stmt, err := p.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	old := p.plans[query] // of two who made it at once
	for text, any := range p.plans {
		if old != nil || len(p.plans) < maxPlans {
			break
		}
		old = any
		delete(p.plans, text)
	}
	p.plans[query] = stmt
	p.mu.Unlock()
	if old != nil {
		go old.Close() // which waits for those who run it
	}
	return stmt, nil
}

// QueryContext is [sql.DB.QueryContext].
func (p *planned) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := p.plan(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil && !p.keeps(query, stmt) { // perhaps since it was closed
		return p.DB.QueryContext(ctx, query, args...)
	}
	return rows, err
}

func (p *planned) keeps(query string, stmt *sql.Stmt) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.plans[query] == stmt
}

// QueryRowContext is [sql.DB.QueryRowContext].
func (p *planned) QueryRowContext(ctx context.Context, query string, args ...any) *plannedRow {
	rows, err := p.QueryContext(ctx, query, args...)
	return &plannedRow{rows, err}
}

type plannedRow struct {
	rows *sql.Rows
	err  error
}

// Scan is [sql.Row.Scan].
func (r *plannedRow) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return sql.ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	return r.rows.Close()
}
