package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"lastseen/db"
)

// LoginFailed stores a wrong password with its event, whose alert is stored when the
// account is locked by it. username is folded.
func (s *Store) LoginFailed(ctx context.Context, username, network string, event db.Event, l db.LoginLimits) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO login_failures (created, username, network) VALUES ($1, $2, $3)`,
			micros(event.Created), username, network)
		if err != nil {
			return err
		}
		if event.Alert != nil {
			// An alert since the first of these failures was of the same lock.
			var locks bool
			err := tx.QueryRowContext(ctx, `SELECT n >= $4 AND NOT EXISTS (SELECT 1 FROM alerts WHERE user_id = $5 AND type = $6 AND created >= first)
				FROM (SELECT count(*) AS n, min(created) AS first FROM login_failures WHERE username = $1 AND created > $2 AND created <= $3)`,
				username, micros(event.Created.Add(-l.Lock)), micros(event.Created), l.Account, event.Alert.UserID, event.Alert.Type).Scan(&locks)
			if err != nil {
				return err
			}
			if !locks {
				event.Alert = nil
			}
		}
		return insertEvent(ctx, tx, event)
	})
}

// LoginBlockedUntil says when a sign-in may be tried again, the zero time for
// at once. username is folded. A limit below one is reached without a failure,
// by attempts under way. known says that the account was signed in to from there.
func (s *Store) LoginBlockedUntil(ctx context.Context, username, network string, now time.Time, l db.LoginLimits) (until time.Time, known bool, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM known_networks k JOIN users u ON u.id = k.user_id
		WHERE u.folded = $1 AND k.network = $2)`, username, network).Scan(&known)
	if err != nil {
		return time.Time{}, false, s.err(err)
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
		err := s.read.QueryRowContext(ctx, `SELECT created FROM login_failures WHERE created > $1 AND created <= $5 AND `+rule.where+`
			ORDER BY created DESC LIMIT 1 OFFSET $2`, micros(now.Add(-rule.window)), rule.limit-1, username, network, micros(now)).Scan(timeColumn{&nth})
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return time.Time{}, false, s.err(err)
		}
		until = later(until, nth.Add(rule.window))
	}
	return until, known, nil
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
	list, _ := json.Marshal(usernames) // strings always marshal
	rows, err := s.read.QueryContext(ctx, `SELECT username, count(*), max(CASE
			WHEN of_pair = $5 AND created > $3 THEN created + $7 WHEN of_account = $6 THEN created + $8 END)
		FROM (SELECT username, created, row_number() OVER (PARTITION BY username, network ORDER BY created DESC) AS of_pair,
				row_number() OVER (PARTITION BY username ORDER BY created DESC) AS of_account
			FROM login_failures WHERE username IN (SELECT value FROM json_each($1)) AND created > $2 AND created <= $4)
		GROUP BY username`,
		string(list), micros(now.Add(-l.Lock)), micros(now.Add(-l.Window)), micros(now), l.Pair, l.Account, l.Window.Microseconds(), l.Lock.Microseconds())
	if err != nil {
		return nil, s.err(err)
	}
	defer rows.Close()
	found := map[string]db.LoginFailures{}
	for rows.Next() {
		var username string
		var f db.LoginFailures
		if err := rows.Scan(&username, &f.Count, timeColumn{&f.Refused}); err != nil {
			return nil, s.err(err)
		}
		found[username] = f
	}
	return found, s.err(rows.Err())
}

// UnlockUser lets an account try again from every network: also from one
// where its user has signed in before, and too many others failed. username is folded.
func (s *Store) UnlockUser(ctx context.Context, username string, event db.Event) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM login_failures WHERE username = $1 OR network IN
			(SELECT k.network FROM known_networks k JOIN users u ON u.id = k.user_id WHERE u.folded = $1)`, username); err != nil {
			return err
		}
		return insertEvent(ctx, tx, event)
	})
}
