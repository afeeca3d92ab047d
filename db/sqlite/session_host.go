package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"iter"

	"lastseen/db"

	"github.com/google/uuid"
)

// RecordReaches writes which hosts sessions reached. Of each session it keeps
// the limit hosts that were reached last; sessions that nobody knows it passes
// over. Those in the order of their sessions take the least time; what was written
// before an error stays.
func (s *Store) RecordReaches(ctx context.Context, reaches iter.Seq2[db.SessionHost, db.Reach], limit int) error {
	next, stop := iter.Pull2(reaches)
	defer stop()
	for more := true; more; {
		err := s.inLightTx(ctx, func(tx *sql.Tx) (changed bool, err error) {
			again, err := tx.PrepareContext(ctx, `UPDATE session_hosts SET last_used = $3 WHERE session = $1 AND host = $2 AND last_used < $3`)
			if err != nil {
				return false, err
			}
			defer again.Close()
			for range usesChunk {
				var sh db.SessionHost
				var r db.Reach
				if sh, r, more = next(); !more {
					break
				}
				err := oneRow(again.ExecContext(ctx, sh.Session[:], sh.Host, micros(r.Last)))
				changed = changed || err == nil
				if errors.Is(err, db.ErrNotFound) {
					err = firstReach(ctx, tx, sh, r, limit)
				}
				if err != nil {
					return false, err
				}
			}
			return changed, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func firstReach(ctx context.Context, tx *sql.Tx, sh db.SessionHost, r db.Reach, limit int) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO session_hosts (session, host, first_used, last_used)
		SELECT $1, $2, $3, $4 WHERE EXISTS (SELECT 1 FROM sessions WHERE uuid = $1) OR EXISTS (SELECT 1 FROM ended_sessions WHERE uuid = $1)
		ON CONFLICT DO NOTHING`,
		sh.Session[:], sh.Host, micros(r.First), micros(r.Last))
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM session_hosts WHERE session = $1 AND host IN
		(SELECT host FROM session_hosts WHERE session = $1 ORDER BY last_used DESC, host LIMIT -1 OFFSET $2)`, sh.Session[:], limit)
	return err
}

// Reaches are the hosts that a session, living or ended, reached; the last first.
func (s *Store) Reaches(ctx context.Context, session uuid.UUID) ([]db.Reach, error) {
	all, err := queryAll(ctx, s.read, func(r *db.Reach) []any { return []any{&r.Host, timeColumn{&r.First}, timeColumn{&r.Last}} },
		`SELECT host, first_used, last_used FROM session_hosts WHERE session = $1 ORDER BY last_used DESC, host`, session[:])
	return all, s.err(err)
}

// Reached reports whether any session reached a host.
func (s *Store) Reached(ctx context.Context) (any bool, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM session_hosts)`).Scan(&any)
	return any, s.err(err)
}
