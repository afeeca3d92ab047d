package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

// insertEvent stores an event in the transaction of what it tells.
func insertEvent(ctx context.Context, tx *sql.Tx, e db.Event) error {
	content, err := json.Marshal(e.Context)
	if err != nil {
		return fmt.Errorf("event context: %w", err)
	}
	id := uuid.New()
	_, err = tx.ExecContext(ctx, `INSERT INTO events (uuid, created, action, actor_id, actor, subject_id, client_ip, context)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		id[:], micros(e.Created), e.Action, orNull(e.ActorID), e.Actor, orNull(e.SubjectID), addrText(e.IP), string(content))
	return err
}

// Record stores an event that tells of nothing else that is stored.
func (s *Store) Record(ctx context.Context, e db.Event) error {
	return s.inTx(ctx, func(tx *sql.Tx) error { return insertEvent(ctx, tx, e) })
}

func orNull(id int64) any {
	if id == 0 {
		return nil
	}
	return id
}

var eventOrderings = map[string]string{
	"id":        "e.id", // breaks ties
	"created":   "e.created",
	"action":    "e.action",
	"client_ip": "e.client_ip",
	"user":      "e.actor",
}

// Events is one page of what the filter chooses, and how many there are in all.
func (s *Store) Events(ctx context.Context, f db.EventFilter) (page []db.Event, total int, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	where, args := eventConditions(f)
	if err := s.list.QueryRowContext(ctx, `SELECT count(*) FROM events e WHERE `+where, args...).Scan(&total); err != nil || f.Limit == 0 {
		return nil, total, s.err(err)
	}
	order := orderBy(f.Ordering, eventOrderings, db.Order{Column: "created", Descending: true}, "id")
	args = append(args, f.Limit, f.Offset)
	rows, err := s.list.QueryContext(ctx, fmt.Sprintf(`SELECT e.uuid, e.created, e.action, coalesce(e.actor_id, 0), e.actor, coalesce(u.email, ''),
		coalesce(e.subject_id, 0), e.client_ip, e.context
		FROM events e LEFT JOIN users u ON u.id = e.actor_id WHERE %s ORDER BY %s LIMIT $%d OFFSET $%d`, where, order, len(args)-1, len(args)), args...)
	if err != nil {
		return nil, 0, s.err(err)
	}
	defer rows.Close()
	for rows.Next() {
		var e db.Event
		var content []byte
		err := rows.Scan(&e.UUID, timeColumn{&e.Created}, &e.Action, &e.ActorID, &e.Actor, &e.Email, &e.SubjectID, addrColumn{&e.IP}, &content)
		if err != nil {
			return nil, 0, s.err(err)
		}
		if err := json.Unmarshal(content, &e.Context); err != nil {
			return nil, 0, fmt.Errorf("event %s: %w", e.UUID, err)
		}
		page = append(page, e)
	}
	return page, total, s.err(rows.Err())
}

func eventConditions(f db.EventFilter) (string, []any) {
	where, args := []string{"1"}, []any{}
	add := func(condition string, arg any) {
		args = append(args, arg)
		where = append(where, strings.ReplaceAll(condition, "?", fmt.Sprintf("$%d", len(args))))
	}
	own := "" // what else must hold where an address, or what else a request told, is looked at
	if f.Subject != 0 {
		add(`e.subject_id = ?`, f.Subject)
		own = ` AND (e.actor_id = e.subject_id OR e.action = 'login_failed')`
	}
	if f.UUID != nil {
		add(`e.uuid = ?`, f.UUID[:])
	}
	if f.Actions != nil {
		list, _ := json.Marshal(f.Actions) // strings always marshal
		add(`e.action IN (SELECT value FROM json_each(?))`, string(list))
	}
	if f.Username != nil {
		add(`e.actor = ?`, *f.Username)
	}
	if f.IP != nil {
		add(`e.client_ip = ?`+own, *f.IP)
	}
	if !f.Since.IsZero() {
		add(`e.created >= ?`, micros(f.Since))
	}
	for _, key := range []string{"app", "model_name", "pk"} {
		if value, ok := f.Model[key]; ok {
			add(`CAST(json_extract(e.context, '$.model.`+key+`') AS TEXT) = ?`, value)
		}
	}
	for _, word := range f.Search {
		add(`(e.actor LIKE ? ESCAPE '\' OR e.action LIKE ? ESCAPE '\' OR (e.client_ip LIKE ? ESCAPE '\' OR e.context LIKE ? ESCAPE '\')`+own+`)`, likePattern(word))
	}
	return strings.Join(where, " AND "), args
}

// CountEvents counts the events that the filter chooses, by action and span;
// spans are laid end to end, before and after origin.
func (s *Store) CountEvents(ctx context.Context, f db.EventFilter, span time.Duration, origin time.Time) ([]db.EventCount, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	where, args := eventConditions(f)
	// Division rounds towards zero, so what it divides must not be negative.
	offset := (origin.UnixMicro()%span.Microseconds() + span.Microseconds()) % span.Microseconds()
	args = append(args, span.Microseconds(), offset)
	rows, err := s.list.QueryContext(ctx, fmt.Sprintf(`SELECT e.action, (e.created - $%[2]d) / $%[1]d * $%[1]d + $%[2]d AS start, count(*) FROM events e
		WHERE %[3]s GROUP BY e.action, start ORDER BY start, e.action`, len(args)-1, len(args), where), args...)
	if err != nil {
		return nil, s.err(err)
	}
	defer rows.Close()
	var counts []db.EventCount
	for rows.Next() {
		var c db.EventCount
		if err := rows.Scan(&c.Action, timeColumn{&c.Time}, &c.Count); err != nil {
			return nil, s.err(err)
		}
		counts = append(counts, c)
	}
	return counts, s.err(rows.Err())
}

// LoginFailed stores a wrong password with its event.
func (s *Store) LoginFailed(ctx context.Context, username, network string, event db.Event) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO login_failures (created, username, network) VALUES ($1, $2, $3)`,
			micros(event.Created), username, network)
		if err != nil {
			return err
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
		{!known, `username = $3 AND $4 = $4`, l.Account, l.Lock},
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

// LoginFailures counts the wrong passwords for an account that limits still
// count, and says whether some network is refused for them. username is folded.
func (s *Store) LoginFailures(ctx context.Context, username string, now time.Time, l db.LoginLimits) (count int, refused bool, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT coalesce(sum(n), 0), coalesce(max(recent) >= $4, 0) OR coalesce(sum(n), 0) >= $5
		FROM (SELECT count(*) AS n, count(*) FILTER (WHERE created > $3) AS recent FROM login_failures
			WHERE username = $1 AND created > $2 AND created <= $6 GROUP BY network)`,
		username, micros(now.Add(-l.Lock)), micros(now.Add(-l.Window)), l.Pair, l.Account, micros(now)).Scan(&count, &refused)
	return count, refused, s.err(err)
}

// ForgetLoginFailures lets an account try again from every network: also from one
// where its user has signed in before, and too many others failed. username is folded.
func (s *Store) ForgetLoginFailures(ctx context.Context, username string, event db.Event) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM login_failures WHERE username = $1 OR network IN
			(SELECT k.network FROM known_networks k JOIN users u ON u.id = k.user_id WHERE u.folded = $1)`, username); err != nil {
			return err
		}
		return insertEvent(ctx, tx, event)
	})
}
