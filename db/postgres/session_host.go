package postgres

import (
	"context"
	"iter"

	"lastseen/db"

	"github.com/google/uuid"
)

// RecordReaches writes which hosts sessions reached. Of each session it keeps
// the limit hosts that were reached last; sessions that nobody knows it passes
// over. What was written before an error stays.
func (s *Store) RecordReaches(ctx context.Context, reaches iter.Seq2[db.SessionHost, db.Reach], limit int) error {
	next, stop := iter.Pull2(reaches)
	defer stop()
	for more := true; more; {
		var sessions, hosts []string
		var first, last []int64
		for range usesChunk {
			var sh db.SessionHost
			var r db.Reach
			if sh, r, more = next(); !more {
				break
			}
			sessions, hosts = append(sessions, sh.Session.String()), append(hosts, sh.Host)
			first, last = append(first, r.First.UnixMicro()), append(last, r.Last.UnixMicro())
		}
		if len(sessions) == 0 {
			return nil
		}
		err := s.write(ctx, lightBegin, func(ctx context.Context, q querier) error {
			// Two of one session and host, as a flush that failed leaves them, count as one.
			_, err := q.exec(ctx, `INSERT INTO session_hosts (session, host, first_used, last_used)
				SELECT n.session, n.host, min(n.first), max(n.last)
				FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[]) AS n (session, host, first, last)
				WHERE EXISTS (SELECT 1 FROM sessions WHERE uuid = n.session) OR EXISTS (SELECT 1 FROM ended_sessions WHERE uuid = n.session)
				GROUP BY n.session, n.host ORDER BY n.session, n.host
				ON CONFLICT (session, host) DO UPDATE SET last_used = greatest(session_hosts.last_used, excluded.last_used)`, sessions, hosts, first, last)
			if err != nil {
				return err
			}
			_, err = q.exec(ctx, `DELETE FROM session_hosts h USING (
					SELECT session, host, row_number() OVER (PARTITION BY session ORDER BY last_used DESC, host) AS place
					FROM session_hosts WHERE session = ANY($1::uuid[])) AS o
				WHERE o.place > $2 AND h.session = o.session AND h.host = o.host`, sessions, limit)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Reaches are the hosts that a session, living or ended, reached; the last first.
func (s *Store) Reaches(ctx context.Context, session uuid.UUID) (all []db.Reach, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) (err error) {
		all, err = rows(ctx, q, func(r *db.Reach) []any { return []any{&r.Host, timeColumn{&r.First}, timeColumn{&r.Last}} },
			`SELECT host, first_used, last_used FROM session_hosts WHERE session = $1::uuid ORDER BY last_used DESC, host`, session)
		return err
	})
	return all, err
}

// Reached reports whether any session reached a host.
func (s *Store) Reached(ctx context.Context) (any bool, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		return q.row(ctx, `SELECT EXISTS (SELECT 1 FROM session_hosts)`).Scan(&any)
	})
	return any, err
}
