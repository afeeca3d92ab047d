package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

const sessionTables = `sessions s JOIN users u ON u.id = s.user_id JOIN user_agents a ON a.id = s.agent_id`

const sessionColumns = `s.id, s.uuid, s.user_id, s.agent_id, u.username, s.last_ip, s.via, s.method, s.remember,
	s.created, s.last_used, s.ends, s.expires, ` + agentColumns

func sessionFields(s *db.Session) []any {
	s.Agent = new(db.Agent)
	return append([]any{&s.ID, &s.UUID, &s.UserID, &s.AgentID, &s.Username, addrColumn{&s.IP}, addrColumn{&s.Via}, &s.Method, &s.Remember,
		timeColumn{&s.Created}, timeColumn{&s.LastUsed}, timeColumn{&s.Ends}, timeColumn{&s.Expires}}, agentFields(s.Agent)...)
}

// FindSessions are the public names of up to two living sessions that begin with so many
// hexadecimal digits, as from and to bound them.
func (s *Store) FindSessions(ctx context.Context, from, to uuid.UUID) (found []uuid.UUID, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) (err error) {
		found, err = rows(ctx, q, column[uuid.UUID], `SELECT uuid FROM sessions WHERE uuid BETWEEN $1::uuid AND $2::uuid LIMIT 2`, from, to)
		return err
	})
	return found, err
}

// CreateSession stores a sign-in: the session, its event and device, what its proof uses up, that its
// network is now known for the user, and the end of the sessions that it replaces. It fails
// with db.ErrNotFound when the user is gone or disabled, or no longer has the password hash
// that was verified, or what was to be proven has changed; with db.ErrUsed when a code was
// used before.
func (s *Store) CreateSession(ctx context.Context, in db.SignIn) (db.Session, error) {
	user, sess := in.User, in.Session
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		// Whoever changes the user, or ends their sessions because they did, comes before or after.
		if err := lockUser(ctx, q, user.ID); err != nil {
			return err
		}
		if err := useProof(ctx, q, user.ID, in.Proof, sess.Created); err != nil {
			return err
		}
		err := q.one(ctx, `UPDATE users SET last_login = $1 WHERE id = $2 AND active AND password_hash = $3`,
			micros(sess.Created), user.ID, user.PasswordHash)
		if err != nil {
			return err
		}
		if err := lockEnds(ctx, q, in.Replaces, sess.Agent); err != nil {
			return err
		}
		for _, last := range in.Replaces {
			if err := endSession(ctx, q, last, db.Replaced, user.Username, sess.Created); err != nil && !errors.Is(err, db.ErrNotFound) {
				return err
			}
		}
		agent, err := agentID(ctx, q, sess.Agent)
		if err != nil {
			return err
		}
		var device int64
		if in.Device != nil {
			if device, err = signedInOn(ctx, q, user.ID, in.Device, sess.Agent.Client(), sess.Created); err != nil {
				return err
			}
			if !in.Trust.IsZero() {
				if _, err := q.exec(ctx, `UPDATE devices SET trusted_until = $1 WHERE id = $2`, micros(in.Trust), device); err != nil {
					return err
				}
			}
		}
		proven := sess.Created.UnixMicro()
		if in.Proof.Device != nil { // nobody has proven who they are but by a password
			proven = 0
		}
		err = q.row(ctx, `INSERT INTO sessions
			(uuid, token_hash, user_id, agent_id, last_ip, via, method, remember, created, last_used, ends, expires, proven, device_id)
			VALUES ($1::uuid, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING id`,
			sess.UUID, in.TokenHash, user.ID, agent, addrText(sess.IP), addrText(sess.Via), sess.Method, sess.Remember,
			micros(sess.Created), micros(sess.LastUsed), micros(sess.Ends), micros(sess.Expires), proven, orNull(device)).Scan(&sess.ID)
		if err != nil {
			return err
		}
		_, err = q.exec(ctx, `INSERT INTO known_networks (user_id, network, last_used) VALUES ($1, $2, $3)
			ON CONFLICT (user_id, network) DO UPDATE SET last_used = greatest(known_networks.last_used, excluded.last_used)`, user.ID, in.Network, micros(sess.Created))
		if err != nil {
			return err
		}
		if _, err = q.exec(ctx, `DELETE FROM login_failures WHERE username = $1 AND network = $2`, db.Fold(user.Username), in.Network); err != nil {
			return err
		}
		return insertEvent(ctx, q, in.Event)
	})
	return sess, err
}

// endedColumns are what of a session is kept when it has ended.
const endedColumns = `uuid, user_id, agent_id, last_ip, via, method, remember, created, last_used, ends, expires, device_id`

// endSessions moves the sessions that match where, a condition over the columns
// of sessions, to the ended ones, and says how many there are. Its conditions'
// parameters come first. Whoever else ends or uses them at the time does it in the same
// order, so that none waits for another that waits for it.
func endSessions(ctx context.Context, q querier, where string, args []any, reason db.Reason, by string, at time.Time) (ended int64, err error) {
	n := len(args)
	return q.exec(ctx, fmt.Sprintf(`WITH these AS MATERIALIZED (SELECT id FROM sessions WHERE %s ORDER BY id FOR UPDATE),
		gone AS (DELETE FROM sessions WHERE id IN (SELECT id FROM these) RETURNING *)
		INSERT INTO ended_sessions (`+endedColumns+`, ended, reason, ended_by) SELECT `+endedColumns+`, $%d::bigint, $%d, $%d FROM gone ORDER BY id`,
		where, n+1, n+2, n+3), append(slices.Clone(args), micros(at), string(reason), by)...)
}

// endSession is endSessions for that of its last use, or db.ErrNotFound. The use is
// stored with it, unless its time is zero.
func endSession(ctx context.Context, q querier, last db.Use, reason db.Reason, by string, at time.Time) error {
	set, args := `last_used = $2, expires = least(ends, expires + $2 - last_used)`, []any{last.UUID, last.At.UnixMicro()}
	if last.Agent != nil && !last.At.IsZero() { // before the session, as whoever writes uses does it
		agent, err := agentID(ctx, q, last.Agent)
		if err != nil {
			return err
		}
		set, args = set+`, agent_id = $3, last_ip = $4, via = $5`, append(args, agent, addrText(last.IP), addrText(last.Via))
	}
	ended, err := endSessions(ctx, q, `uuid = $1::uuid`, []any{last.UUID}, reason, by, at)
	if err == nil && ended == 0 {
		err = db.ErrNotFound
	}
	if err != nil || last.At.IsZero() {
		return err
	}
	// Unless a later one was written meanwhile, which has its own address.
	_, err = q.exec(ctx, `UPDATE ended_sessions SET `+set+` WHERE uuid = $1::uuid AND last_used <= $2`, args...)
	return err
}

// lockEnds locks what it needs to end several sessions by endSession, and agents besides, in
// the order of all who do: agents first, then sessions.
func lockEnds(ctx context.Context, q querier, last []db.Use, more ...*db.Agent) error {
	agents, names := map[string]*db.Agent{}, make([]uuid.UUID, len(last))
	for i, use := range last {
		if names[i] = use.UUID; use.Agent != nil && !use.At.IsZero() {
			more = append(more, use.Agent)
		}
	}
	if len(last) == 0 || len(last) == 1 && len(more) == 0 { // one at a time is in order
		return nil
	}
	for _, a := range more {
		agents[a.String] = a
	}
	if _, err := agentIDs(ctx, q, agents); err != nil {
		return err
	}
	_, err := q.exec(ctx, `SELECT id FROM sessions WHERE uuid = ANY($1::uuid[]) ORDER BY id FOR UPDATE`, uuidTexts(names))
	return err
}

// EndSession ends the session of its last use, as endSession. Its event is stored with
// it; a session that is already gone is db.ErrNotFound and stores nothing.
func (s *Store) EndSession(ctx context.Context, last db.Use, reason db.Reason, event db.Event) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := endSession(ctx, q, last, reason, event.Actor, event.Created); err != nil {
			return err
		}
		return insertEvent(ctx, q, event)
	})
}

// EndChosen ends the sessions of their last uses, all or none, as endSession, and returns
// those that were there to be ended. Each has its event, which is stored with its end.
func (s *Store) EndChosen(ctx context.Context, last []db.Use, reason db.Reason, events []db.Event) (ended []uuid.UUID, err error) {
	err = s.inTx(ctx, func(ctx context.Context, q querier) error {
		ended = nil
		if err := lockEnds(ctx, q, last); err != nil {
			return err
		}
		for i, use := range last {
			err := endSession(ctx, q, use, reason, events[i].Actor, events[i].Created)
			if errors.Is(err, db.ErrNotFound) {
				continue
			}
			if err == nil {
				err = insertEvent(ctx, q, events[i])
			}
			if err != nil {
				return err
			}
			ended = append(ended, use.UUID)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ended, nil
}

// EndSessions ends the sessions of the given users (of everybody when users is
// nil) except one, and returns those it ended. Each ended session gets the
// event, completed with its own subject and uuid by describe. It does so in steps, so
// that a program that is ended meanwhile has ended some of them.
func (s *Store) EndSessions(ctx context.Context, users []int64, except uuid.UUID, now time.Time, reason db.Reason, describe func(db.Session) db.Event) (ended []uuid.UUID, err error) {
	where, args := `uuid <> $1::uuid`, []any{except}
	if users != nil {
		where, args = where+` AND user_id = ANY($2::bigint[])`, append(args, users)
	}
	return s.endMany(ctx, where, args, now, reason, describe)
}

// EndSessionsOn is EndSessions for those on a device.
func (s *Store) EndSessionsOn(ctx context.Context, device uuid.UUID, now time.Time, reason db.Reason, describe func(db.Session) db.Event) (ended []uuid.UUID, err error) {
	return s.endMany(ctx, `device_id = (SELECT id FROM devices WHERE uuid = $1::uuid)`, []any{device}, now, reason, describe)
}

// endMany is EndSessions for those that match where, a condition over the columns of
// sessions.
func (s *Store) endMany(ctx context.Context, where string, args []any, now time.Time, reason db.Reason, describe func(db.Session) db.Event) (ended []uuid.UUID, err error) {
	var last int64 // whoever signs in meanwhile stays
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		return q.row(ctx, `SELECT coalesce(max(id), 0) FROM sessions`).Scan(&last)
	})
	if err != nil {
		return nil, err
	}
	where += fmt.Sprintf(` AND id <= $%d`, len(args)+1)
	args = append(args, last)
	for {
		var step []uuid.UUID
		var ids []int64
		err := s.inTx(ctx, func(ctx context.Context, q querier) (err error) {
			// They are locked before they are read: what they were last is what is told.
			ids, err = rows(ctx, q, column[int64], `SELECT id FROM sessions WHERE `+where+fmt.Sprintf(` ORDER BY id LIMIT %d FOR UPDATE`, stepRows), args...)
			if err == nil {
				step, err = endLocked(ctx, q, ids, now, reason, describe)
			}
			return err
		})
		if err != nil || len(ids) == 0 {
			return ended, err
		}
		ended = append(ended, step...)
	}
}

// endLocked ends sessions that are locked, and returns those that had not expired: their
// events are stored.
func endLocked(ctx context.Context, q querier, ids []int64, now time.Time, reason db.Reason, describe func(db.Session) db.Event) (ended []uuid.UUID, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	found, err := rows(ctx, q, sessionFields, `SELECT `+sessionColumns+` FROM `+sessionTables+` WHERE s.id = ANY($1::bigint[]) ORDER BY s.id`, ids)
	if err != nil {
		return nil, err
	}
	by := ""
	for _, sess := range found {
		if !sess.Expires.After(now) {
			continue // ended by itself, and counted by nobody
		}
		event := describe(sess)
		by = event.Actor
		if err := insertEvent(ctx, q, event); err != nil {
			return nil, err
		}
		ended = append(ended, sess.UUID)
	}
	_, err = endSessions(ctx, q, `id = ANY($1::bigint[])`, []any{ids}, reason, by, now)
	return ended, err
}

// ExpireSessions ends what has expired by now, at most limit at once, and says how many.
// What another machine is ending, or has just used, it leaves.
func (s *Store) ExpireSessions(ctx context.Context, now time.Time, limit int) (int, error) {
	var due bool
	err := s.read(ctx, func(ctx context.Context, q querier) error {
		// Not by EXISTS: once prepared, that is planned as if a third of all had expired, and reads them all.
		return q.row(ctx, `SELECT coalesce((SELECT min(expires) FROM sessions) <= $1, false)`, micros(now)).Scan(&due)
	})
	if err != nil || !due {
		return 0, err
	}
	var ended int64
	err = s.inTx(ctx, func(ctx context.Context, q querier) (err error) {
		ended, err = q.exec(ctx, `WITH these AS MATERIALIZED (SELECT id FROM sessions WHERE expires <= $1 ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED),
			gone AS (DELETE FROM sessions WHERE id IN (SELECT id FROM these) RETURNING *)
			INSERT INTO ended_sessions (`+endedColumns+`, ended, reason, ended_by)
			SELECT `+endedColumns+`, expires, CASE WHEN expires < ends THEN $3 ELSE $4 END, '' FROM gone ORDER BY id`,
			micros(now), limit, string(db.Idle), string(db.Expired))
		return err
	})
	return int(ended), err
}

// IPs are the distinct addresses that sessions which live, or which ended, were last used
// from, and the ID of the newest row after which all come that are being written. After
// gives, instead of all, those of rows with a greater ID, and of living sessions also those
// used since a time: what may be new.
func (s *Store) IPs(ctx context.Context, ended bool, after int64, since time.Time) (ips []netip.Addr, newest int64, err error) {
	table, query, args := "sessions", `SELECT DISTINCT last_ip FROM sessions`, []any{}
	if ended {
		table, query = "ended_sessions", `SELECT DISTINCT last_ip FROM ended_sessions`
	}
	if after > 0 {
		query, args = query+` WHERE id > $1`, []any{after}
		if !ended {
			query, args = query+` OR last_used >= $2`, append(args, micros(since))
		}
	}
	err = s.list(ctx, func(ctx context.Context, q querier) (err error) {
		// Numbers are given before they are committed: those count that no transaction under way is older than.
		if err := q.row(ctx, `SELECT coalesce((SELECT id FROM `+table+` WHERE age(xmin) > age(xid(pg_snapshot_xmin(pg_current_snapshot()))) ORDER BY id DESC LIMIT 1), 0)`).Scan(&newest); err != nil {
			return err
		}
		ips, err = rows(ctx, q, func(ip *netip.Addr) []any { return []any{addrColumn{ip}} }, query, args...)
		return err
	})
	return ips, newest, err
}

// AccountIPs are the addresses that sessions of accounts were last used from, of those that
// live and those that ended. There are none of an account that has more than most of either.
func (s *Store) AccountIPs(ctx context.Context, users []int64, most int) (used []db.AccountIP, err error) {
	err = s.list(ctx, func(ctx context.Context, q querier) (err error) {
		used, err = rows(ctx, q, func(u *db.AccountIP) []any { return []any{&u.UserID, addrColumn{&u.IP}, timeColumn{&u.First}} },
			`WITH fitting AS MATERIALIZED (SELECT id FROM unnest($1::bigint[]) AS account (id) WHERE
				(SELECT count(*) FROM (SELECT 1 FROM sessions WHERE user_id = account.id LIMIT $2::bigint + 1) AS few) <= $2 AND
				(SELECT count(*) FROM (SELECT 1 FROM ended_sessions WHERE user_id = account.id LIMIT $2::bigint + 1) AS few) <= $2)
			SELECT user_id, last_ip, min(created) FROM (
				SELECT user_id, last_ip, created FROM sessions WHERE user_id IN (SELECT id FROM fitting) UNION ALL
				SELECT user_id, last_ip, created FROM ended_sessions WHERE user_id IN (SELECT id FROM fitting)) AS theirs
			GROUP BY user_id, last_ip`, users, most)
		return err
	})
	return used, err
}

// Revision changes whenever a session of a user begins or ends, or of anybody for 0, and
// is never again what it was. Numbers are given before they are committed: the largest
// alone would miss who commits late, so those beside it count too.
func (s *Store) Revision(ctx context.Context, user int64) (revision string, err error) {
	of, args := "", []any(nil)
	if user != 0 {
		of, args = `WHERE user_id = $1`, []any{user}
	}
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		return q.row(ctx, `SELECT concat_ws('.', max(b.id), sum(b.id), max(e.id), sum(e.id), (SELECT value FROM settings WHERE name = 'sessions_gone'))
			FROM (SELECT id FROM sessions `+of+` ORDER BY id DESC LIMIT 1000) b
			FULL JOIN (SELECT id FROM ended_sessions `+of+` ORDER BY id DESC LIMIT 1000) e ON false`, args...).Scan(&revision)
	})
	return revision, err
}

// countGone counts that sessions went without a trace: with their user, or as history is
// purged.
func countGone(ctx context.Context, q querier) error {
	_, err := q.exec(ctx, `INSERT INTO settings (name, value) VALUES ('sessions_gone', '1') ON CONFLICT (name) DO UPDATE SET value = settings.value::bigint + 1`)
	return err
}
