package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

// insertEvent stores an event in the transaction of what it tells.
func insertEvent(ctx context.Context, q querier, e db.Event) error {
	content, err := json.Marshal(e.Context)
	if err != nil {
		return fmt.Errorf("event context: %w", err)
	}
	_, err = q.exec(ctx, `INSERT INTO events (uuid, created, action, actor_id, actor, subject_id, client_ip, context)
		VALUES ($1::uuid, $2, $3, $4, $5, $6, $7, $8)`,
		uuid.New(), micros(e.Created), string(e.Action), orNull(e.ActorID), e.Actor, orNull(e.SubjectID), addrText(e.IP), string(content))
	if err == nil && e.Alert != nil {
		_, err = insertAlert(ctx, q, *e.Alert)
	}
	return err
}

// Record stores an event that tells of nothing else that is stored.
func (s *Store) Record(ctx context.Context, e db.Event) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error { return insertEvent(ctx, q, e) })
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
	c := eventConditions(f)
	type row struct {
		db.Event
		content string
	}
	var found []row
	err = s.list(ctx, func(ctx context.Context, q querier) (err error) {
		if err := q.row(ctx, `SELECT count(*) FROM events e WHERE `+c.SQL(), c.Args...).Scan(&total); err != nil || f.Limit == 0 {
			return err
		}
		query := `SELECT e.uuid, e.created, e.action, coalesce(e.actor_id, 0), e.actor, coalesce(u.email, ''),
			coalesce(e.subject_id, 0), coalesce(s.username, ''), e.client_ip, e.context
			FROM events e LEFT JOIN users u ON u.id = e.actor_id LEFT JOIN users s ON s.id = e.subject_id WHERE ` + c.SQL() +
			c.Page(orderBy(f.Ordering, eventOrderings, db.Order{Column: "created", Descending: true}, "id"), f.Limit, f.Offset)
		found, err = rows(ctx, q, func(r *row) []any {
			e := &r.Event
			return []any{&e.UUID, timeColumn{&e.Created}, &e.Action, &e.ActorID, &e.Actor, &e.Email, &e.SubjectID, &e.Subject, addrColumn{&e.IP}, &r.content}
		}, query, c.Args...)
		return err
	})
	for _, r := range found {
		if err := json.Unmarshal([]byte(r.content), &r.Event.Context); err != nil {
			return nil, 0, fmt.Errorf("event %s: %w", r.Event.UUID, err)
		}
		page = append(page, r.Event)
	}
	return page, total, err
}

// EventIPs are the distinct addresses of the events that the filter chooses.
func (s *Store) EventIPs(ctx context.Context, f db.EventFilter) (ips []netip.Addr, err error) {
	c := eventConditions(f)
	err = s.list(ctx, func(ctx context.Context, q querier) (err error) {
		ips, err = rows(ctx, q, func(ip *netip.Addr) []any { return []any{addrColumn{ip}} }, `SELECT DISTINCT e.client_ip FROM events e WHERE `+c.SQL(), c.Args...)
		return err
	})
	return ips, err
}

func eventConditions(f db.EventFilter) (c db.Conditions) {
	own := "" // what else must hold where an address, or what else a request told, is looked at
	if f.Subject != 0 {
		c.Add(`e.subject_id = ?`, f.Subject)
		own = ` AND (e.actor_id = e.subject_id OR e.action = 'login_failed')`
	}
	if f.UUID != nil {
		c.Add(`e.uuid = ?::uuid`, *f.UUID)
	}
	if f.Actions != nil {
		actions := make([]string, len(f.Actions))
		for i, a := range f.Actions {
			actions[i] = string(a)
		}
		c.Add(`e.action = ANY(?::text[])`, actions)
	}
	if f.Username != nil {
		c.Add(`e.actor = ?`, *f.Username)
	}
	if f.IP != nil {
		c.Add(`e.client_ip = ?`+own, *f.IP)
	}
	if f.IPs != nil {
		c.Add(`e.client_ip = ANY(?::text[])`+own, f.IPs)
	}
	if !f.Since.IsZero() {
		c.Add(`e.created >= ?`, f.Since.UnixMicro())
	}
	for _, key := range []string{"app", "model_name", "pk"} {
		if value, ok := f.Model[key]; ok {
			// PostgreSQL reads no JSON in which there is a NUL, which Go writes so.
			c.Add(`replace(e.context, '\u0000', '\ufffd')::json #>> '{model,`+key+`}' = ?`, value)
		}
	}
	for _, word := range f.Search { // the collation folds ASCII alone, as SQLite does
		c.Add(`(e.actor ILIKE ? OR e.action ILIKE ? OR (e.client_ip ILIKE ? OR e.context ILIKE ?)`+own+`)`, db.LikePattern(word))
	}
	return c
}

// CountEvents counts the events that the filter chooses, by action and span;
// spans are laid end to end, before and after origin.
func (s *Store) CountEvents(ctx context.Context, f db.EventFilter, span time.Duration, origin time.Time) (counts []db.EventCount, err error) {
	c := eventConditions(f)
	// Division rounds towards zero, so what it divides must not be negative.
	offset := (origin.UnixMicro()%span.Microseconds() + span.Microseconds()) % span.Microseconds()
	where, each, first := c.SQL(), c.Arg(span.Microseconds()), c.Arg(offset)
	err = s.list(ctx, func(ctx context.Context, q querier) (err error) {
		counts, err = rows(ctx, q, func(n *db.EventCount) []any { return []any{&n.Action, timeColumn{&n.Time}, &n.Count} },
			fmt.Sprintf(`SELECT e.action, (e.created - %[2]s::bigint) / %[1]s::bigint * %[1]s::bigint + %[2]s::bigint AS start, count(*) FROM events e
			WHERE %[3]s GROUP BY e.action, start ORDER BY start, e.action`, each, first, where), c.Args...)
		return err
	})
	return counts, err
}
