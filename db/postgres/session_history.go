package postgres

import (
	"context"
	"slices"

	"lastseen/db"

	"github.com/google/uuid"
)

const recordColumns = `id, uuid, user_id, agent_id, last_ip, via, method, remember, created, last_used, last_used >> 28 AS used_about, ends, expires, device_id`

// endedRows and livingRows are the tables of both kinds of sessions in one shape. What
// lives has not ended.
const (
	endedRows  = `SELECT ` + recordColumns + `, ended, reason, ended_by FROM ended_sessions`
	livingRows = `SELECT ` + recordColumns + `, NULL::bigint AS ended, '' AS reason, '' AS ended_by FROM sessions`
)

func recordFields(e *db.EndedSession) []any {
	return append(sessionFields(&e.Session), timeColumn{&e.Ended}, &e.Reason, &e.EndedBy)
}

// records are sessions of the rows of from, of which rest says which and in what order.
func records(ctx context.Context, q querier, from, rest string, args ...any) ([]db.EndedSession, error) {
	return rows(ctx, q, recordFields, `SELECT `+sessionColumns+`, s.ended, s.reason, s.ended_by FROM (`+from+`) s
		JOIN users u ON u.id = s.user_id JOIN user_agents a ON a.id = s.agent_id `+rest, args...)
}

// History is one page of the ended sessions that the filter chooses, with the living
// ones too where it says so, and how many there are in all; without an ordering those
// that ended last come first. Its keys are found and sorted first, without what their
// users and agents say unless that is sorted by; then these rows are read.
func (s *Store) History(ctx context.Context, f db.SessionFilter) (page []db.EndedSession, total int, err error) {
	err = s.list(ctx, func(ctx context.Context, q querier) error {
		c, err := readTerms(ctx, q, f)
		if err != nil || c.nothing {
			return err
		}
		from := endedRows
		if f.State == db.Any {
			from += ` UNION ALL ` + livingRows + ` WHERE expires > ` + c.Arg(f.Now.UnixMicro())
		}
		if err := q.row(ctx, `SELECT count(*) FROM (`+from+`) s WHERE `+c.SQL(), c.Args...).Scan(&total); err != nil || f.Limit == 0 || f.Offset >= total {
			return err
		}
		order := `s.ended DESC NULLS LAST, s.id DESC`
		if len(f.Ordering) > 0 {
			order = orderSQL(sessionOrder(f), false)
		}
		// A public name is never that of two, whether one lives or not.
		keys := `SELECT s.uuid FROM ` + withJoins(`(`+from+`) s`, order) + ` WHERE ` + c.SQL() + c.Page(order, f.Limit, f.Offset)
		page, err = records(ctx, q, from, `WHERE s.uuid IN (`+keys+`) ORDER BY `+order, c.Args...)
		return err
	})
	return page, total, err
}

// EndedSession is one that ended, by its public name.
func (s *Store) EndedSession(ctx context.Context, id uuid.UUID) (e db.EndedSession, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		found, err := records(ctx, q, endedRows, `WHERE s.uuid = $1::uuid`, id)
		if err == nil && len(found) == 0 {
			err = db.ErrNotFound
		}
		if err == nil {
			e = found[0]
		}
		return err
	})
	return e, err
}

// exportChunk is how many sessions an export reads at a time.
const exportChunk = 500

// ExportSessions hands all sessions that the filter chooses to each, some at a time, as
// they were at one moment: each once, in the order in which they began, those that have
// ended after the living. It takes as long as each does, on a connection of its own, and
// the memory of a chunk; a few at a time do.
func (s *Store) ExportSessions(ctx context.Context, f db.SessionFilter, each func([]db.EndedSession) error) error {
	select {
	case s.files <- struct{}{}:
		defer func() { <-s.files }()
	case <-ctx.Done():
		return ctx.Err()
	}
	conn, err := s.pool.connect(ctx)
	if err != nil {
		return s.err(err)
	}
	defer conn.drop()
	if _, err := conn.do(ctx, readBegin); err != nil {
		return s.err(err)
	}
	q := querier{conn: conn, once: true}
	c, err := readTerms(ctx, q, f)
	if err != nil || c.nothing {
		return s.err(err)
	}
	for _, state := range []db.State{db.Living, db.Ended} {
		if f.State != state && f.State != db.Any {
			continue
		}
		after := int64(0)
		for {
			next, from := db.Conditions{Args: slices.Clip(c.Args)}, endedRows
			if state == db.Living {
				from = livingRows + ` WHERE expires > ` + next.Arg(f.Now.UnixMicro())
			}
			rest := `WHERE ` + c.SQL() + ` AND s.id > ` + next.Arg(after) + ` ORDER BY s.id LIMIT ` + next.Arg(exportChunk)
			found, err := records(ctx, q, from, rest, next.Args...)
			if err != nil {
				return s.err(err)
			}
			if len(found) == 0 {
				break
			}
			after = found[len(found)-1].ID
			if err := each(found); err != nil {
				return err
			}
		}
	}
	return nil
}
