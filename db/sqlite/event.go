package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/netip"
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
	if err == nil && e.Alert != nil {
		_, err = insertAlert(ctx, tx, *e.Alert)
	}
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
		coalesce(e.subject_id, 0), coalesce(s.username, ''), e.client_ip, e.context
		FROM events e LEFT JOIN users u ON u.id = e.actor_id LEFT JOIN users s ON s.id = e.subject_id WHERE %s ORDER BY %s LIMIT $%d OFFSET $%d`, where, order, len(args)-1, len(args)), args...)
	if err != nil {
		return nil, 0, s.err(err)
	}
	defer rows.Close()
	for rows.Next() {
		var e db.Event
		var content []byte
		err := rows.Scan(&e.UUID, timeColumn{&e.Created}, &e.Action, &e.ActorID, &e.Actor, &e.Email, &e.SubjectID, &e.Subject, addrColumn{&e.IP}, &content)
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
	if f.IPs != nil {
		list, _ := json.Marshal(f.IPs) // strings always marshal
		add(`e.client_ip IN (SELECT value FROM json_each(?))`+own, string(list))
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

// EventIPs are the distinct addresses of the events that the filter chooses.
func (s *Store) EventIPs(ctx context.Context, f db.EventFilter) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	where, args := eventConditions(f)
	ips, err := queryAll(ctx, s.list, addrField, `SELECT DISTINCT e.client_ip FROM events e WHERE `+where, args...)
	return ips, s.err(err)
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
	fields := func(c *db.EventCount) []any { return []any{&c.Action, timeColumn{&c.Time}, &c.Count} }
	counts, err := queryAll(ctx, s.list, fields, fmt.Sprintf(`SELECT e.action, (e.created - $%[2]d) / $%[1]d * $%[1]d + $%[2]d AS start, count(*) FROM events e
		WHERE %[3]s GROUP BY e.action, start ORDER BY start, e.action`, len(args)-1, len(args), where), args...)
	return counts, s.err(err)
}
