package postgres

import (
	"context"
	"fmt"
	"time"

	"lastseen/db"
)

// stepRows is how many rows one transaction of a long change writes: others wait for no
// longer than that takes.
const stepRows = 500

// Purge removes what history no longer keeps: ended sessions and events from
// before the given time, with the hosts that they reached, agents that no session has
// any more, networks unused since, devices without a session, and wrong passwords from
// before failures. A device with a name goes when it was signed in on before devices. It
// does so in steps. While another machine does it, it leaves it to that one.
func (s *Store) Purge(ctx context.Context, before, failures, devices time.Time) error {
	for _, old := range []struct {
		rows, of string
		until    time.Time
	}{
		{`ended_sessions`, `ended`, before},
		{`events`, `created`, before},
		{`alerts`, `created`, before},
		{`login_failures`, `created`, failures},
		{`login_attempts`, `created`, failures},
	} {
		err := s.purgeSteps(ctx, func(ctx context.Context, q querier) (bool, error) {
			these, err := rows(ctx, q, column[int64], fmt.Sprintf(`SELECT id FROM %s WHERE %s < $1 ORDER BY %[2]s LIMIT %d`, old.rows, old.of, stepRows), micros(old.until))
			if err != nil || len(these) == 0 {
				return false, err
			}
			if old.rows == "ended_sessions" {
				_, err := q.exec(ctx, `DELETE FROM session_hosts WHERE session IN (SELECT uuid FROM ended_sessions WHERE id = ANY($1::bigint[]))`, these)
				if err == nil {
					err = countGone(ctx, q)
				}
				if err != nil {
					return false, err
				}
			}
			_, err = q.exec(ctx, `DELETE FROM `+old.rows+` WHERE id = ANY($1::bigint[])`, these)
			return true, err
		})
		if err != nil {
			return err
		}
	}
	for _, old := range []struct {
		rows, key, gone string // which no index finds
		until           time.Time
	}{
		{`user_agents`, `id`, `$1::bigint IS NOT NULL AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.agent_id = user_agents.id)
			AND NOT EXISTS (SELECT 1 FROM ended_sessions e WHERE e.agent_id = user_agents.id)`, before},
		{`known_networks`, `user_id`, `last_used < $1`, before},
		{`devices`, `id`, `NOT EXISTS (SELECT 1 FROM sessions s WHERE s.device_id = devices.id)
			AND CASE name WHEN '' THEN $1::bigint IS NOT NULL AND NOT EXISTS (SELECT 1 FROM ended_sessions e WHERE e.device_id = devices.id) ELSE last_login < $1 END`, devices},
	} {
		var to *int64
		err := s.purgeSteps(ctx, func(ctx context.Context, q querier) (bool, error) {
			from := int64(0)
			if to != nil {
				from = *to
			}
			var next *int64
			err := q.row(ctx, fmt.Sprintf(`SELECT max(%[1]s) FROM (SELECT %[1]s FROM %[2]s WHERE %[1]s > $1 ORDER BY %[1]s LIMIT %[3]d) AS step`,
				old.key, old.rows, stepRows), from).Scan(&next)
			if err != nil || next == nil {
				return false, err
			}
			// Who takes one up again locks it first. Those that nobody has locked are looked at once
			// more: by a statement that sees who has just done so, while nobody else can.
			these, err := rows(ctx, q, column[string], fmt.Sprintf(`SELECT ctid::text FROM %[1]s WHERE %[3]s AND %[2]s > $2 AND %[2]s <= $3 FOR UPDATE SKIP LOCKED`, old.rows, old.key, old.gone),
				micros(old.until), from, *next)
			if err == nil && len(these) > 0 {
				_, err = q.exec(ctx, fmt.Sprintf(`DELETE FROM %s WHERE %s AND ctid = ANY($2::text[]::tid[])`, old.rows, old.gone), micros(old.until), these)
			}
			if err == nil {
				to = next
			}
			return true, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// purgeSteps runs a step in a transaction of its own, again and again as long as there is
// more and no other machine is at it.
func (s *Store) purgeSteps(ctx context.Context, step func(ctx context.Context, q querier) (more bool, err error)) error {
	for more := true; more; {
		err := s.inTx(ctx, func(ctx context.Context, q querier) error {
			var ours bool
			err := q.row(ctx, `SELECT pg_try_advisory_xact_lock($1::bigint)`, int64(lockPurge)).Scan(&ours)
			if more = false; err != nil || !ours {
				return err
			}
			more, err = step(ctx, q)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Backup says that PostgreSQL has its own.
func (s *Store) Backup(context.Context, string, string) error { return db.ErrOwnBackup }
