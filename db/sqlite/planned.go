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
	plans map[string]*sql.Stmt // by the query's text
}

// maxPlans bounds the plans, of some 20 KB on each connection. What is asked for most is
// asked for early; of the further filters and orderings that there may be, each query
// is planned as it comes.
const maxPlans = 64

// plan is the plan of a query, made if need be; nil when it is not to be kept, or cannot
// be made, as running the query will show.
func (p *planned) plan(ctx context.Context, query string) *sql.Stmt {
	p.mu.Lock()
	stmt, full := p.plans[query], len(p.plans) >= maxPlans
	p.mu.Unlock()
	if stmt != nil || full {
		return stmt
	}
	stmt, err := p.PrepareContext(ctx, query)
	if err != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.plans[query] != nil || len(p.plans) >= maxPlans { // others were quicker
		_ = stmt.Close()
		return p.plans[query]
	}
	p.plans[query] = stmt
	return stmt
}

// QueryContext is [sql.DB.QueryContext].
func (p *planned) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if stmt := p.plan(ctx, query); stmt != nil {
		return stmt.QueryContext(ctx, args...)
	}
	return p.DB.QueryContext(ctx, query, args...)
}

// QueryRowContext is [sql.DB.QueryRowContext].
func (p *planned) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if stmt := p.plan(ctx, query); stmt != nil {
		return stmt.QueryRowContext(ctx, args...)
	}
	return p.DB.QueryRowContext(ctx, query, args...)
}
