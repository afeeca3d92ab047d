package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// stepRows is how many rows one transaction of a long change writes: others wait for no
// longer than that takes.
const stepRows = 500

// Purge removes what history no longer keeps: ended sessions and events from
// before the given time, hosts and agents that nothing names any more, and
// wrong passwords from before failures. It does so in steps.
func (s *Store) Purge(ctx context.Context, before, failures time.Time) error {
	for _, old := range []struct {
		rows, of string
		until    time.Time
	}{
		{`ended_sessions`, `ended`, before},
		{`events`, `created`, before},
		{`login_failures`, `created`, failures},
	} {
		these := fmt.Sprintf(`SELECT id FROM %s WHERE %s < $1 ORDER BY %s LIMIT %d`, old.rows, old.of, old.of, stepRows)
		err := s.inSteps(ctx, func(tx *sql.Tx) (bool, error) {
			if old.rows == "ended_sessions" {
				_, err := tx.ExecContext(ctx, `DELETE FROM session_hosts WHERE session IN (SELECT uuid FROM ended_sessions WHERE id IN (`+these+`))`, micros(old.until))
				if err != nil {
					return false, err
				}
			}
			return changed(tx.ExecContext(ctx, `DELETE FROM `+old.rows+` WHERE id IN (`+these+`)`, micros(old.until)))
		})
		if err != nil {
			return err
		}
	}
	// What a deleted user leaves, and agents that no session has any more.
	var host []byte
	err := s.inSteps(ctx, func(tx *sql.Tx) (bool, error) {
		from := host
		err := tx.QueryRowContext(ctx, `SELECT max(session) FROM (SELECT session FROM session_hosts WHERE session > $1 ORDER BY session LIMIT $2)`, blob(from), stepRows).Scan(&host)
		if err != nil || host == nil {
			return false, err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM session_hosts WHERE session > $1 AND session <= $2 AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.uuid = session)
			AND NOT EXISTS (SELECT 1 FROM ended_sessions e WHERE e.uuid = session)`, blob(from), host)
		return true, err
	})
	if err != nil {
		return err
	}
	var agent sql.NullInt64
	err = s.inSteps(ctx, func(tx *sql.Tx) (bool, error) {
		from := agent.Int64
		err := tx.QueryRowContext(ctx, `SELECT max(id) FROM (SELECT id FROM user_agents WHERE id > $1 ORDER BY id LIMIT $2)`, from, stepRows).Scan(&agent)
		if err != nil || !agent.Valid {
			return false, err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM user_agents WHERE id > $1 AND id <= $2 AND sessions = 0
			AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.agent_id = user_agents.id) AND NOT EXISTS (SELECT 1 FROM ended_sessions e WHERE e.agent_id = user_agents.id)`, from, agent.Int64)
		return true, err
	})
	if err != nil {
		return err
	}
	return s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM known_networks WHERE last_used < $1`, micros(before))
		return err
	})
}

// blob is a key to look from, which must not be NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// inSteps runs a step in a transaction of its own, again and again as long as there is more.
func (s *Store) inSteps(ctx context.Context, step func(tx *sql.Tx) (more bool, err error)) error {
	for more := true; more; {
		err := s.inTx(ctx, func(tx *sql.Tx) (err error) {
			more, err = step(tx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// changed reports whether a statement changed a row.
func changed(res sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}
