package postgres

import (
	"context"
	"errors"
	"time"

	"lastseen/db"
)

// attemptLife is after how long an attempt is not under way any more, whatever became of
// the machine that it was on.
const attemptLife = time.Minute

// BeginAttempt notes that a sign-in is under way, on this machine, and says how many others
// are, on any. username is folded.
func (s *Store) BeginAttempt(ctx context.Context, username, network string, now time.Time) (id int64, before db.Attempts, err error) {
	err = s.inTx(ctx, func(ctx context.Context, q querier) error {
		// One after another where they would count each other; all in the same order.
		_, err := q.exec(ctx, `SELECT pg_advisory_xact_lock(n) FROM (VALUES (hashtextextended('account ' || $1, 0)), (hashtextextended('network ' || $2, 0))) AS locks (n) ORDER BY n`, username, network)
		if err != nil {
			return err
		}
		err = q.row(ctx, `SELECT count(*) FILTER (WHERE username = $1 AND network = $2), count(*) FILTER (WHERE network = $2), count(*) FILTER (WHERE username = $1)
			FROM login_attempts WHERE created > $3`, username, network, micros(now.Add(-attemptLife))).Scan(&before.Pair, &before.Network, &before.Account)
		if err != nil {
			return err
		}
		return q.row(ctx, `INSERT INTO login_attempts (created, username, network) VALUES ($1, $2, $3) RETURNING id`, micros(now), username, network).Scan(&id)
	})
	return id, before, err
}

// EndAttempt notes that a sign-in is under way no longer.
func (s *Store) EndAttempt(ctx context.Context, id int64) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		_, err := q.exec(ctx, `DELETE FROM login_attempts WHERE id = $1`, id)
		return err
	})
}

// LoginFailed stores a wrong password with its event, whose alert is stored when the
// account is locked by it. username is folded.
func (s *Store) LoginFailed(ctx context.Context, username, network string, event db.Event, l db.LoginLimits) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		event := event          // it may be tried again
		if event.Alert != nil { // one after another, or each would be the one that locks it
			if _, err := q.exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('account ' || $1, 0))`, username); err != nil {
				return err
			}
		}
		_, err := q.exec(ctx, `INSERT INTO login_failures (created, username, network) VALUES ($1, $2, $3)`, micros(event.Created), username, network)
		if err != nil {
			return err
		}
		if event.Alert != nil {
			// An alert since the first of these failures was of the same lock.
			var locks bool
			err := q.row(ctx, `SELECT n >= $4 AND NOT EXISTS (SELECT 1 FROM alerts WHERE user_id = $5 AND type = $6 AND created >= first)
				FROM (SELECT count(*) AS n, min(created) AS first FROM login_failures WHERE username = $1 AND created > $2 AND created <= $3) AS counted`,
				username, micros(event.Created.Add(-l.Lock)), micros(event.Created), l.Account, event.Alert.UserID, event.Alert.Type).Scan(&locks)
			if err != nil {
				return err
			}
			if !locks {
				event.Alert = nil
			}
		}
		return insertEvent(ctx, q, event)
	})
}

// LoginBlockedUntil says when a sign-in may be tried again, the zero time for
// at once. username is folded. A limit below one is reached without a failure,
// by attempts under way. known says that the account was signed in to from there.
func (s *Store) LoginBlockedUntil(ctx context.Context, username, network string, now time.Time, l db.LoginLimits) (until time.Time, known bool, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		until = time.Time{}
		err := q.row(ctx, `SELECT EXISTS (SELECT 1 FROM known_networks k JOIN users u ON u.id = k.user_id
			WHERE u.folded = $1 AND k.network = $2)`, username, network).Scan(&known)
		if err != nil {
			return err
		}
		for _, rule := range []struct {
			applies bool
			where   string
			limit   int
			window  time.Duration
		}{
			{true, `username = $3 AND network = $4`, l.Pair, l.Window},
			{true, `network = $4 AND $3 = $3`, l.Network, l.Window},
			{!known && username != "", `username = $3 AND $4 = $4`, l.Account, l.Lock}, // what names no account locks none
		} {
			if !rule.applies {
				continue
			}
			if rule.limit < 1 {
				until = later(until, now.Add(time.Second))
				continue
			}
			// What is from the future was noted while the clock was wrong. The limit-th failure from the newest has to leave its window.
			var nth time.Time
			err := q.row(ctx, `SELECT created FROM login_failures WHERE created > $1 AND created <= $5 AND `+rule.where+`
				ORDER BY created DESC LIMIT 1 OFFSET $2`, micros(now.Add(-rule.window)), rule.limit-1, username, network, micros(now)).Scan(timeColumn{&nth})
			if errors.Is(err, db.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			until = later(until, nth.Add(rule.window))
		}
		return nil
	})
	return until, known, err
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// LoginFailures are those of accounts, by their folded user names; those without any are
// left out.
func (s *Store) LoginFailures(ctx context.Context, usernames []string, now time.Time, l db.LoginLimits) (map[string]db.LoginFailures, error) {
	type row struct {
		username string
		db.LoginFailures
	}
	var all []row
	err := s.read(ctx, func(ctx context.Context, q querier) (err error) {
		all, err = rows(ctx, q, func(r *row) []any { return []any{&r.username, &r.Count, timeColumn{&r.Refused}} }, `SELECT username, count(*), max(CASE
				WHEN of_pair = $5 AND created > $3 THEN created + $7::bigint WHEN of_account = $6 THEN created + $8::bigint END)
			FROM (SELECT username, created, row_number() OVER (PARTITION BY username, network ORDER BY created DESC) AS of_pair,
					row_number() OVER (PARTITION BY username ORDER BY created DESC) AS of_account
				FROM login_failures WHERE username = ANY($1::text[]) AND created > $2 AND created <= $4) AS counted
			GROUP BY username`,
			usernames, micros(now.Add(-l.Lock)), micros(now.Add(-l.Window)), micros(now), l.Pair, l.Account, l.Window.Microseconds(), l.Lock.Microseconds())
		return err
	})
	found := map[string]db.LoginFailures{}
	for _, r := range all {
		found[r.username] = r.LoginFailures
	}
	return found, err
}

// UnlockUser lets an account try again from every network: also from one
// where its user has signed in before, and too many others failed. username is folded.
func (s *Store) UnlockUser(ctx context.Context, username string, event db.Event) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		if _, err := q.exec(ctx, `DELETE FROM login_failures WHERE username = $1 OR network IN
			(SELECT k.network FROM known_networks k JOIN users u ON u.id = k.user_id WHERE u.folded = $1)`, username); err != nil {
			return err
		}
		return insertEvent(ctx, q, event)
	})
}
