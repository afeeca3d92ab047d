package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
	"time"

	"lastseen/db"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	askEvery  = 2 * time.Second // the database, whether it is there
	askAgain  = time.Second     // while it is not
	askWithin = 2 * time.Second
	seeEvery  = 10 * time.Second // how often a server says that it runs
	seenFor   = "45 seconds"     // for how long it is believed to
)

// health is what the last question whether the database is there told.
type health struct {
	gone  atomic.Pointer[db.UnavailableError]
	ready atomic.Int64 // the last ten seconds in which it was written to
}

// Usable is nil unless the database was found to be gone: then nothing is asked until it
// is back, and everything is refused at once.
func (s *Store) Usable() error {
	if e := s.health.gone.Load(); e != nil {
		return e
	}
	return nil
}

// watch asks all the time whether the database is there, on a connection of its own, which
// it need not wait for. One that only looks alive shows: after it all are made anew.
func (s *Store) watch(ctx context.Context) {
	seen := time.Now()
	var own watcher
	defer own.close()
	for pause := askEvery; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		err := own.ping(ctx, s.pool)
		if err != nil {
			s.pool.reset()
		}
		// One connection that is cut as it is made says nothing yet; that nobody answers does.
		for tries := 4; err != nil && tries > 0 && ctx.Err() == nil; tries-- {
			if err = own.ping(ctx, s.pool); errors.Is(err, context.DeadlineExceeded) {
				break
			}
		}
		if ctx.Err() != nil {
			return
		}
		pause = askEvery
		var gone *db.UnavailableError
		if err = s.err(err); errors.As(err, &gone) {
			pause = askAgain
		}
		s.health.gone.Store(gone)
		s.pool.prune()
		if err == nil && time.Since(seen) >= seeEvery {
			if seen = time.Now(); s.appear(ctx) != nil {
				seen = seen.Add(-seeEvery) // soon again
			}
		}
	}
}

// A watcher is the connection that asks whether the database is there.
type watcher struct{ conn *conn }

func (w *watcher) ping(ctx context.Context, p *pool) (err error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	if w.conn == nil {
		w.conn, err = p.connect(ctx)
		return err
	}
	// Behind a pooler another server may be there by now.
	if err = writable(ctx, w.conn.PgConn); err != nil {
		w.close()
	}
	return err
}

func (w *watcher) close() {
	if w.conn != nil {
		w.conn.drop()
		w.conn = nil
	}
}

// Ping is an error unless the database answers now.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.Usable(); err != nil {
		return err
	}
	return s.read(ctx, func(ctx context.Context, q querier) error { return q.conn.Ping(ctx) })
}

// Ready reports whether the database can be read and written. It really writes, but as
// long as all is well not more often than every ten seconds.
func (s *Store) Ready(ctx context.Context, now time.Time) error {
	if err := s.Usable(); err != nil {
		return err
	}
	at := now.Unix() / 10
	if s.health.ready.Load() == at {
		return s.Ping(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if err := s.SetSetting(ctx, "ready", strconv.FormatInt(now.Unix(), 10)); err != nil {
		return err
	}
	s.health.ready.Store(at)
	return nil
}

// Verify looks for nothing: that is PostgreSQL's own business.
func (s *Store) Verify(context.Context) error { return nil }

// appear says that this server runs.
func (s *Store) appear(ctx context.Context) error {
	if s.server == [16]byte{} {
		return nil
	}
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		_, err := q.exec(ctx, `INSERT INTO servers (name, seen) VALUES ($1::uuid, now()) ON CONFLICT (name) DO UPDATE SET seen = excluded.seen`, s.server)
		if err == nil {
			_, err = q.exec(ctx, `DELETE FROM servers WHERE seen < now() - interval '1 hour'`)
		}
		if err == nil { // what another server is doing this to, or has not committed, stays
			_, err = q.exec(ctx, `WITH gone AS (DELETE FROM session_counts WHERE ctid = ANY(ARRAY(
				SELECT ctid FROM session_counts WHERE agent_id IN (SELECT agent_id FROM session_counts GROUP BY agent_id HAVING count(*) > 1) LIMIT 10000 FOR UPDATE SKIP LOCKED)) RETURNING *)
				INSERT INTO session_counts SELECT agent_id, sum(sessions) FROM gone GROUP BY agent_id HAVING sum(sessions) <> 0`)
		}
		return err
	})
}

// Servers is how many servers run on the database, as far as they were seen lately.
func (s *Store) Servers(ctx context.Context) (n int, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		return q.row(ctx, `SELECT count(*) FROM servers WHERE seen > now() - interval '`+seenFor+`'`).Scan(&n)
	})
	return n, err
}

// Describe says how large it is, which PostgreSQL keeps it, and how many servers use it.
func (s *Store) Describe(ctx context.Context) (string, error) {
	var version string
	var size float64
	var servers int
	err := s.read(ctx, func(ctx context.Context, q querier) error {
		return q.row(ctx, `SELECT split_part(current_setting('server_version'), ' ', 1), pg_database_size(current_database()) / 1e6::float8,
			(SELECT count(*) FROM servers WHERE seen > now() - interval '`+seenFor+`')`).Scan(&version, &size, &servers)
	})
	return fmt.Sprintf("%.1f MB in PostgreSQL %s; servers that use it: %d", size, version, servers), err
}

// isEnd reports whether a connection ended where it should not.
func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, pgconn.ErrConnClosed)
}
