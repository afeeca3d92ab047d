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
// before the given time, with the hosts that they reached, agents that no session has
// any more, networks unused since, devices without a session, and wrong passwords from
// before failures. A device with a name goes when it was signed in on before devices. It
// does so in steps.
func (s *Store) Purge(ctx context.Context, before, failures, devices time.Time) error {
	for _, old := range []struct {
		rows, of string
		until    time.Time
	}{
		{`ended_sessions`, `ended`, before},
		{`events`, `created`, before},
		{`alerts`, `created`, before},
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
			more, err := changed(tx.ExecContext(ctx, `DELETE FROM `+old.rows+` WHERE id IN (`+these+`)`, micros(old.until)))
			if more && old.rows == "ended_sessions" {
				err = freeNumbers(ctx, tx)
			}
			return more, err
		})
		if err != nil {
			return err
		}
	}
	for _, old := range []struct {
		rows, key, gone string // which no index finds
		until           time.Time
	}{
		// The newest agent stays, so that no other one is given a number that is still known.
		{`user_agents`, `id`, `sessions = 0 AND id < (SELECT max(id) FROM user_agents)
			AND NOT EXISTS (SELECT 1 FROM ended_sessions e WHERE e.agent_id = user_agents.id) AND $3 >= 0`, before},
		{`known_networks`, `user_id`, `last_used < $3`, before},
		{`devices`, `id`, `NOT EXISTS (SELECT 1 FROM sessions s WHERE s.device_id = devices.id)
			AND CASE name WHEN '' THEN NOT EXISTS (SELECT 1 FROM ended_sessions e WHERE e.device_id = devices.id) ELSE last_login < $3 END`, devices},
	} {
		var to sql.NullInt64
		err := s.inSteps(ctx, func(tx *sql.Tx) (bool, error) {
			from := to.Int64
			err := tx.QueryRowContext(ctx, fmt.Sprintf(`SELECT max(%[1]s) FROM (SELECT %[1]s FROM %[2]s WHERE %[1]s > $1 ORDER BY %[1]s LIMIT %[3]d)`,
				old.key, old.rows, stepRows), from).Scan(&to)
			if err != nil || !to.Valid {
				return false, err
			}
			_, err = tx.ExecContext(ctx, fmt.Sprintf(`DELETE FROM %[1]s WHERE %[2]s > $1 AND %[2]s <= $2 AND `, old.rows, old.key)+old.gone, from, to.Int64, micros(old.until))
			return true, err
		})
		if err != nil {
			return err
		}
	}
	return nil
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
