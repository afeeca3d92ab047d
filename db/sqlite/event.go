package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/netip"
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
	c := eventConditions(f)
	if err := s.list.QueryRowContext(ctx, `SELECT count(*) FROM events e WHERE `+c.SQL(), c.Args...).Scan(&total); err != nil || f.Limit == 0 {
		return nil, total, s.err(err)
	}
	query := `SELECT e.uuid, e.created, e.action, coalesce(e.actor_id, 0), e.actor, coalesce(u.email, ''),
		coalesce(e.subject_id, 0), coalesce(s.username, ''), e.client_ip, e.context
		FROM events e LEFT JOIN users u ON u.id = e.actor_id LEFT JOIN users s ON s.id = e.subject_id WHERE ` + c.SQL() +
		c.Page(orderBy(f.Ordering, eventOrderings, db.Order{Column: "created", Descending: true}, "id"), f.Limit, f.Offset)
	rows, err := s.list.QueryContext(ctx, query, c.Args...)
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

func eventConditions(f db.EventFilter) (c db.Conditions) {
	own := "" // what else must hold where an address, or what else a request told, is looked at
	if f.Subject != 0 {
		c.Add(`e.subject_id = ?`, f.Subject)
		own = ` AND (e.actor_id = e.subject_id OR e.action = 'login_failed')`
	}
	if f.UUID != nil {
		c.Add(`e.uuid = ?`, f.UUID[:])
	}
	if f.Actions != nil {
		list, _ := json.Marshal(f.Actions) // strings always marshal
		c.Add(`e.action IN (SELECT value FROM json_each(?))`, string(list))
	}
	if f.Username != nil {
		c.Add(`e.actor = ?`, *f.Username)
	}
	if f.IP != nil {
		c.Add(`e.client_ip = ?`+own, *f.IP)
	}
	if f.IPs != nil {
		list, _ := json.Marshal(f.IPs) // strings always marshal
		c.Add(`e.client_ip IN (SELECT value FROM json_each(?))`+own, string(list))
	}
	if !f.Since.IsZero() {
		c.Add(`e.created >= ?`, micros(f.Since))
	}
	for _, key := range []string{"app", "model_name", "pk"} {
		if value, ok := f.Model[key]; ok {
			c.Add(`CAST(json_extract(e.context, '$.model.`+key+`') AS TEXT) = ?`, value)
		}
	}
	for _, word := range f.Search {
		c.Add(`(e.actor LIKE ? ESCAPE '\' OR e.action LIKE ? ESCAPE '\' OR (e.client_ip LIKE ? ESCAPE '\' OR e.context LIKE ? ESCAPE '\')`+own+`)`, db.LikePattern(word))
	}
	return c
}

// EventIPs are the distinct addresses of the events that the filter chooses.
func (s *Store) EventIPs(ctx context.Context, f db.EventFilter) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	c := eventConditions(f)
	ips, err := queryAll(ctx, s.list, addrField, `SELECT DISTINCT e.client_ip FROM events e WHERE `+c.SQL(), c.Args...)
	return ips, s.err(err)
}

// CountEvents counts the events that the filter chooses, by action and span;
// spans are laid end to end, before and after origin.
func (s *Store) CountEvents(ctx context.Context, f db.EventFilter, span time.Duration, origin time.Time) ([]db.EventCount, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	c := eventConditions(f)
	// Division rounds towards zero, so what it divides must not be negative.
	offset := (origin.UnixMicro()%span.Microseconds() + span.Microseconds()) % span.Microseconds()
	where, each, first := c.SQL(), c.Arg(span.Microseconds()), c.Arg(offset)
	fields := func(n *db.EventCount) []any { return []any{&n.Action, timeColumn{&n.Time}, &n.Count} }
	counts, err := queryAll(ctx, s.list, fields, fmt.Sprintf(`SELECT e.action, (e.created - %[2]s) / %[1]s * %[1]s + %[2]s AS start, count(*) FROM events e
		WHERE %[3]s GROUP BY e.action, start ORDER BY start, e.action`, each, first, where), c.Args...)
	return counts, s.err(err)
}
