package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"sync"
	"time"

	"lastseen/db"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	connectTimeout = 4 * time.Second  // of one connection
	idleFor        = 30 * time.Minute // a connection is kept that nobody uses
	oldAfter       = time.Hour        // one is replaced, so that what a server keeps for it goes
)

// A pool holds the connections of a store. It leans on the lower half of pgx alone: the
// upper one would be a tenth of the program.
type pool struct {
	config *pgconn.Config
	named  bool          // statements are prepared once a connection
	slots  chan struct{} // held with each connection that is in use
	closed chan struct{}
	once   sync.Once // closes

	mu         sync.Mutex
	idle       []*conn // the last used is the last
	generation int     // connections of an earlier one are not used again
}

// A conn is a connection, of one caller at a time.
type conn struct {
	*pgconn.PgConn
	named      bool
	statements map[string]*pgconn.StatementDescription // by their text, which is one of few
	generation int
	made, used time.Time
}

// newPool reads a URL with the parameters that pgx documents, of its pool pool_max_conns.
func newPool(url string) (*pool, error) {
	c, err := pgconn.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	parameter := func(name, standard string) string {
		value, ok := c.RuntimeParams[name]
		if !ok {
			value = standard
		}
		delete(c.RuntimeParams, name) // it is nothing to the server
		return value
	}
	most, err := strconv.Atoi(parameter("pool_max_conns", strconv.Itoa(min(max(8, 4*runtime.GOMAXPROCS(0)), 32))))
	if err != nil || most < 1 {
		return nil, errors.New("pool_max_conns is no number of connections")
	}
	mode := parameter("default_query_exec_mode", "cache_statement")
	if c.ConnectTimeout == 0 || c.ConnectTimeout > connectTimeout {
		c.ConnectTimeout = connectTimeout
	}
	// They notice within seconds that nobody is at the other end.
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3}}
	c.DialFunc = dialer.DialContext
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "lastseen"
	}
	switch mode {
	case "cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol":
	default:
		return nil, errors.New("default_query_exec_mode is none that pgx knows")
	}
	return &pool{config: c, named: mode == "cache_statement", slots: make(chan struct{}, most), closed: make(chan struct{})}, nil
}

// connect makes a connection beside those of the pool.
func (p *pool) connect(ctx context.Context) (*conn, error) {
	p.mu.Lock()
	generation := p.generation
	p.mu.Unlock()
	c, err := pgconn.ConnectConfig(ctx, p.config)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &conn{PgConn: c, named: p.named, statements: map[string]*pgconn.StatementDescription{}, generation: generation, made: now, used: now}, nil
}

// acquire waits for a connection, which release takes back. Until then is also how long an
// answer on it is waited for: to watch a context would cost a third of a question.
func (p *pool) acquire(ctx context.Context, until time.Time) (*conn, error) {
	select {
	case p.slots <- struct{}{}:
	default:
		late := time.NewTimer(time.Until(until))
		defer late.Stop()
		select {
		case p.slots <- struct{}{}:
		case <-late.C:
			return nil, context.DeadlineExceeded
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-p.closed:
			return nil, errClosed
		}
	}
	c := p.last() // whoever finds it lost asks again on another one
	if c == nil {
		ctx, cancel := context.WithDeadline(ctx, until)
		defer cancel()
		var err error
		if c, err = p.connect(ctx); err != nil {
			<-p.slots
			return nil, err
		}
	}
	_ = c.Conn().SetDeadline(until) // of one that is closed, which shows
	return c, nil
}

// last is the connection that was used last, nil when there is none.
func (p *pool) last() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle) - 1
	if n < 0 {
		return nil
	}
	c := p.idle[n]
	p.idle = p.idle[:n]
	return c
}

func (p *pool) release(c *conn) {
	c.used = time.Now()
	p.mu.Lock()
	keep := !c.IsClosed() && !c.IsBusy() && c.TxStatus() == 'I' && c.generation == p.generation && c.used.Sub(c.made) < oldAfter
	if keep {
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if !keep {
		c.drop()
	}
	<-p.slots
}

// reset has no connection of now be used again.
func (p *pool) reset() {
	p.mu.Lock()
	p.generation++
	gone := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, c := range gone {
		c.drop()
	}
}

// prune drops the connections that were not used for long.
func (p *pool) prune() {
	p.mu.Lock()
	n := 0
	for n < len(p.idle) && time.Since(p.idle[n].used) > idleFor {
		n++
	}
	gone := p.idle[:n]
	p.idle = p.idle[n:]
	p.mu.Unlock()
	for _, c := range gone {
		c.drop()
	}
}

var errClosed = errors.New("the database is closed")

// close waits until no connection is in use. From then on none is.
func (p *pool) close() {
	p.once.Do(func() {
		close(p.closed)
		for range cap(p.slots) {
			p.slots <- struct{}{}
		}
		p.reset()
	})
}

// drop closes a connection without waiting for anything.
func (c *conn) drop() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = c.Close(ctx)
}

// do runs statements without parameters in one round trip, and says what the last did.
func (c *conn) do(ctx context.Context, statements string) (did string, err error) {
	results, err := c.Exec(ctx, statements).ReadAll()
	if err != nil || len(results) == 0 {
		return "", err
	}
	return results[len(results)-1].CommandTag.String(), nil
}

// prepare is the description of a statement, which the server keeps from the first time on.
func (c *conn) prepare(ctx context.Context, sql string) (*pgconn.StatementDescription, error) {
	if known := c.statements[sql]; known != nil {
		return known, nil
	}
	found, err := c.Prepare(ctx, "s"+strconv.Itoa(len(c.statements)), sql, nil)
	if err == nil {
		c.statements[sql] = found
	}
	return found, err
}

// A querier asks the database on a connection.
type querier struct {
	conn *conn
	once bool // statements are planned for what they are given, and not kept
}

// inBinary has all columns come in the form that they have in the server.
var inBinary = []int16{1}

// query sends a statement. Its rows are to be read and closed.
func (q querier) query(ctx context.Context, sql string, args []any) (*pgconn.ResultReader, error) {
	values, formats, err := encodeAll(args)
	if err != nil {
		return nil, err
	}
	if q.once || !q.conn.named {
		return q.conn.ExecParams(ctx, sql, values, nil, formats, inBinary), nil
	}
	statement, err := q.conn.prepare(ctx, sql)
	if err != nil {
		return nil, err
	}
	return q.conn.ExecStatement(ctx, statement, values, formats, inBinary), nil
}

// queue is query in a batch, whose statements are sent at once.
func (q querier) queue(ctx context.Context, batch *pgconn.Batch, sql string, args ...any) error {
	values, formats, err := encodeAll(args)
	if err != nil {
		return err
	}
	if !q.conn.named {
		batch.ExecParams(sql, values, nil, formats, inBinary)
		return nil
	}
	statement, err := q.conn.prepare(ctx, sql)
	if err == nil {
		batch.ExecStatement(statement, values, formats, inBinary)
	}
	return err
}

// each calls f for each row of a query, and says how many rows the statement was about.
func (q querier) each(ctx context.Context, sql string, args []any, f func(tuple) error) (int64, error) {
	found, err := q.query(ctx, sql, args)
	if err != nil {
		return 0, err
	}
	return each(found, f)
}

func each(found *pgconn.ResultReader, f func(tuple) error) (int64, error) {
	for found.NextRow() {
		if err := f(tuple{found.FieldDescriptions(), found.Values()}); err != nil {
			_, _ = found.Close() // err says more
			return 0, err
		}
	}
	tag, err := found.Close()
	return tag.RowsAffected(), err
}

// first calls f for the first row, or is db.ErrNotFound.
func first(found *pgconn.ResultReader, f func(tuple) error) error {
	there := false
	_, err := each(found, func(t tuple) error {
		if there {
			return nil
		}
		there = true
		return f(t)
	})
	if err == nil && !there {
		err = db.ErrNotFound
	}
	return err
}

// copyIn has the server read the rows of a table, as COPY reads text, and says how many
// there were.
func (q querier) copyIn(ctx context.Context, table, columns string, rows io.Reader) (int64, error) {
	tag, err := q.conn.CopyFrom(ctx, rows, fmt.Sprintf(`COPY %s (%s) FROM STDIN`, table, columns))
	return tag.RowsAffected(), err
}
