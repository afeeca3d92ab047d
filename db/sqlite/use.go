package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"time"

	"lastseen/db"
)

// usesChunk bounds the uses written at once, so that nobody waits for the writer
// much longer than a tenth of a second. More at once have more pages in common.
var usesChunk = 2000

// RecordUses writes the latest use of each session, unless it has ended. The
// idle limit, 0 for none, moves expires along. Sessions in the order of their
// IDs take the least time; what was written before an error stays.
func (s *Store) RecordUses(ctx context.Context, uses iter.Seq[db.Use], idle time.Duration) error {
	next, stop := iter.Pull(uses)
	defer stop()
	for more := true; more; {
		err := s.inLightTx(ctx, func(tx *sql.Tx) (changed bool, err error) {
			// The driver wants to find each parameter named.
			const still = ` WHERE id = $1 AND uuid = $4 AND $3 >= 0`
			// What is far ahead was noted while the clock was: it gives way.
			last := fmt.Sprintf(`iif(last_used > $2 + %d, $2, max(last_used, $2))`, db.Ahead.Microseconds())
			used := `UPDATE sessions SET last_used = ` + last
			if idle > 0 {
				used += `, expires = min(ends, ` + last + ` + $3)`
			}
			// SQLite passes over an update that changes nothing; this one always does.
			again, err := tx.PrepareContext(ctx, used+still+fmt.Sprintf(` AND (last_used < $2 OR last_used > $2 + %d)`, db.Ahead.Microseconds()))
			if err != nil {
				return false, err
			}
			defer again.Close()
			// Only what has changed, or each of its indexes is written for nothing.
			moved, err := tx.PrepareContext(ctx, used+`, agent_id = $5, last_ip = $6, via = $7`+still)
			if err != nil {
				return false, err
			}
			defer moved.Close()
			agents := map[string]int64{}
			for range usesChunk {
				var use db.Use
				if use, more = next(); !more {
					break
				}
				stmt, args := again, []any{use.Session, micros(use.At), idle.Microseconds(), use.UUID[:]}
				if use.Agent != nil {
					agent, ok := agents[use.Agent.String]
					if !ok {
						if agent, err = agentID(ctx, tx, use.Agent); err != nil {
							return false, err
						}
						agents[use.Agent.String] = agent
					}
					stmt, args = moved, append(args, agent, addrText(use.IP), addrText(use.Via))
				}
				err := oneRow(stmt.ExecContext(ctx, args...))
				if err != nil && !errors.Is(err, db.ErrNotFound) {
					return false, err
				}
				changed = changed || err == nil && stmt == again
			}
			return changed, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// LastUse is the latest last use of all sessions, the zero time when there is none.
func (s *Store) LastUse(ctx context.Context) (last time.Time, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT max(last_used) FROM sessions`).Scan(timeColumn{&last})
	return last, s.err(err)
}

// SetIdle recomputes every expires for an idle limit, 0 for none, unless it was
// the one already in force.
func (s *Store) SetIdle(ctx context.Context, idle time.Duration) error {
	last, err := s.Setting(ctx, "session_idle")
	if err != nil || last == idle.String() {
		return err
	}
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE sessions SET expires = CASE WHEN $1 > 0 THEN min(ends, last_used + $1) ELSE ends END`, idle.Microseconds())
		return err
	})
	if err != nil {
		return err
	}
	return s.SetSetting(ctx, "session_idle", idle.String())
}
