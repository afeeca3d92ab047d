package postgres

import (
	"context"
	"fmt"
	"iter"
	"time"

	"lastseen/db"
)

// usesChunk bounds the uses written at once, so that nobody waits for their rows long.
const usesChunk = 2000

// RecordUses writes the latest use of each session, unless it has ended. The
// idle limit, 0 for none, moves expires along. Sessions in the order of their
// IDs take the least time; what was written before an error stays.
func (s *Store) RecordUses(ctx context.Context, uses iter.Seq[db.Use], idle time.Duration) error {
	next, stop := iter.Pull(uses)
	defer stop()
	for more := true; more; {
		var some []db.Use
		place := map[int64]int{} // of a session in some
		for range usesChunk {
			var use db.Use
			if use, more = next(); !more {
				break
			}
			if i, ok := place[use.Session]; ok && some[i].UUID == use.UUID {
				some[i] = after(some[i], use)
				continue
			}
			place[use.Session] = len(some)
			some = append(some, use)
		}
		if len(some) == 0 {
			return nil
		}
		if err := s.recordUses(ctx, some, idle); err != nil {
			return err
		}
	}
	return nil
}

// after is one use of a session after another, as one.
func after(first, then db.Use) db.Use {
	if then.Agent == nil {
		then.Agent, then.IP, then.Via = first.Agent, first.IP, first.Via
	}
	if then.At.Before(first.At) && !then.At.Before(first.At.Add(-db.Ahead)) {
		then.At = first.At
	}
	return then
}

func (s *Store) recordUses(ctx context.Context, some []db.Use, idle time.Duration) error {
	return s.write(ctx, lightBegin, func(ctx context.Context, q querier) error { return writeUses(ctx, q, some, idle) })
}

func writeUses(ctx context.Context, q querier, some []db.Use, idle time.Duration) error {
	// What several machines write they lock in one order, agents first: none waits for another
	// that waits for it.
	agents := map[string]*db.Agent{}
	for _, use := range some {
		if use.Agent != nil {
			agents[use.Agent.String] = use.Agent
		}
	}
	numbers, err := agentIDs(ctx, q, agents)
	if err != nil {
		return err
	}
	var ids, at, agent []int64 // no agent, 0, is as it was, and so is where it came from
	var uuids, ips, via []string
	for _, use := range some {
		number := int64(0)
		if use.Agent != nil {
			number = numbers[use.Agent.String]
		}
		ids, at, uuids = append(ids, use.Session), append(at, use.At.UnixMicro()), append(uuids, use.UUID.String())
		agent, ips, via = append(agent, number), append(ips, addrText(use.IP)), append(via, addrText(use.Via))
	}
	// What is far ahead was noted while the clock was: it gives way.
	ahead := db.Ahead.Microseconds()
	last := fmt.Sprintf(`CASE WHEN s.last_used > n.at + %d THEN n.at ELSE greatest(s.last_used, n.at) END`, ahead)
	set := `last_used = ` + last
	if idle > 0 {
		set += fmt.Sprintf(`, expires = least(s.ends, %s + %d)`, last, idle.Microseconds())
	}
	// One that has a later use already is not written again.
	_, err = q.exec(ctx, `WITH n AS MATERIALIZED (
			SELECT s.id, n.at, n.agent, n.ip, n.via FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::bigint[], $5::text[], $6::text[]) AS n (id, uuid, at, agent, ip, via)
			JOIN sessions s ON s.id = n.id AND s.uuid = n.uuid ORDER BY s.id FOR NO KEY UPDATE OF s)
		UPDATE sessions s SET `+set+fmt.Sprintf(`, agent_id = CASE n.agent WHEN 0 THEN s.agent_id ELSE n.agent END,
			last_ip = CASE n.agent WHEN 0 THEN s.last_ip ELSE n.ip END, via = CASE n.agent WHEN 0 THEN s.via ELSE n.via END
		FROM n WHERE s.id = n.id AND (s.last_used < n.at OR s.last_used = n.at AND n.agent <> 0 OR s.last_used > n.at + %d)`, ahead),
		ids, uuids, at, agent, ips, via)
	return err
}

// LastUse is the latest last use of all sessions, the zero time when there is none. It
// looks through all of them.
func (s *Store) LastUse(ctx context.Context) (last time.Time, err error) {
	err = s.list(ctx, func(ctx context.Context, q querier) error {
		return q.row(ctx, `SELECT max(last_used) FROM sessions`).Scan(timeColumn{&last})
	})
	return last, err
}

// SetIdle recomputes every expires for an idle limit, 0 for none, unless it was
// the one already in force.
func (s *Store) SetIdle(ctx context.Context, idle time.Duration) error {
	last, err := s.Setting(ctx, "session_idle")
	if err != nil || last == idle.String() {
		return err
	}
	return s.transactLong(ctx, func(ctx context.Context, q querier) error {
		_, err := q.exec(ctx, `WITH these AS MATERIALIZED (SELECT id FROM sessions ORDER BY id FOR NO KEY UPDATE)
			UPDATE sessions SET expires = CASE WHEN $1::bigint > 0 THEN least(ends, last_used + $1) ELSE ends END FROM these WHERE sessions.id = these.id`, idle.Microseconds())
		if err != nil {
			return err
		}
		_, err = q.exec(ctx, `INSERT INTO settings (name, value) VALUES ('session_idle', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, idle.String())
		return err
	})
}
