package postgres

import (
	"context"
	"strings"

	"lastseen/db"
)

// sessionOrderings are the columns to sort by, by their names in the API. Those of
// sessions alone have an index that ends in uuid, which breaks ties, but for last_used: it is
// used_about that has one, as the schema says.
var sessionOrderings = map[string]string{
	"user__username": "u.username", "user": "s.user_id", "last_ip": "s.last_ip", "last_user_agent": "a.string",
	"last_used": "s.last_used", "used_about": "s.used_about", "expires": "s.expires", "uuid": "s.uuid", "ended": "s.ended",
}

// Sessions is one page of what the filter chooses, and how many there are in all. The
// numbers of the page are found first; then its rows are read.
func (s *Store) Sessions(ctx context.Context, f db.SessionFilter) (page []db.Session, total int, err error) {
	err = s.list(ctx, func(ctx context.Context, q querier) error {
		var c db.Conditions
		c.Add(`s.expires > ?`, f.Now.UnixMicro())
		fits, err := sessionConditions(ctx, q, &c, f)
		if err != nil || !fits {
			return err
		}
		if err := q.row(ctx, countSessions(c), c.Args...).Scan(&total); err != nil || f.Limit == 0 || f.Offset >= total {
			return err
		}
		order := sessionOrder(f.Ordering, false)
		walk, limit, offset := order, min(f.Limit, total-f.Offset), f.Offset
		if back := total - offset - limit; back < offset { // it is nearer to the end
			walk, offset = sessionOrder(f.Ordering, true), back
		}
		query := `SELECT ` + sessionColumns + ` FROM ` + sessionTables + ` WHERE s.id IN (SELECT s.id FROM ` + withJoins(`sessions s`, walk) +
			` WHERE ` + c.SQL() + c.Page(walk, limit, offset) + `) ORDER BY ` + order
		page, err = rows(ctx, q, sessionFields, query, c.Args...)
		return err
	})
	return page, total, err
}

// countSessions counts those that meet conditions, of which the first is that they have not
// expired. What asks for nothing else but agents is counted as they come and go, without the
// few that have expired and are not ended yet.
func countSessions(c db.Conditions) string {
	for _, condition := range c.Where[1:] {
		if strings.Contains(strings.ReplaceAll(condition, "s.agent_id", ""), "s.") {
			return `SELECT count(*) FROM sessions s WHERE ` + c.SQL()
		}
	}
	rest := db.Conditions{Where: c.Where[1:]}
	return `SELECT (SELECT coalesce(sum(s.sessions), 0) FROM session_counts s WHERE ` + rest.SQL() + `)::bigint
		- (SELECT count(*) FROM sessions s WHERE NOT (` + c.Where[0] + `) AND ` + rest.SQL() + `)`
}

// sessionConditions adds what a filter asks of sessions. What a word means is asked of the small
// tables, of users and agents, first. Nothing fits when it is false.
func sessionConditions(ctx context.Context, q querier, c *db.Conditions, f db.SessionFilter) (fits bool, err error) {
	numbers := func(query string, arg any) ([]int64, error) { return rows(ctx, q, column[int64], query, arg) }
	if f.User != nil {
		c.Add(`s.user_id = ?`, *f.User)
	}
	if f.IP != nil {
		c.Add(`s.last_ip = ?`, *f.IP)
	}
	if f.IPs != nil {
		c.Add(`s.last_ip = ANY(?::text[])`, f.IPs)
	}
	for _, part := range []struct {
		column, query string
		value         *string
	}{
		{`s.user_id`, `SELECT id FROM users WHERE username = $1`, f.Username},
		{`s.agent_id`, `SELECT id FROM user_agents WHERE string = $1`, f.Agent},
		{`s.agent_id`, `SELECT id FROM user_agents WHERE kind = $1`, f.Kind},
	} {
		if part.value == nil {
			continue
		}
		ids, err := numbers(part.query, *part.value)
		if err != nil || len(ids) == 0 {
			return false, err
		}
		if len(ids) == 1 {
			c.Add(part.column+` = ?`, ids[0])
		} else {
			c.Add(part.column+` = ANY(?::bigint[])`, ids)
		}
	}
	for _, word := range f.Search {
		if fits, err := wordCondition(ctx, q, c, db.Word{Text: word}, `strpos(folded, $1) > 0`, nil); err != nil || !fits {
			return false, err
		}
	}
	for _, word := range f.Words {
		devices, err := devicesNamed(ctx, q, word.Text)
		if err != nil {
			return false, err
		}
		if fits, err := wordCondition(ctx, q, c, word, `strpos(folded, $1) > 0 OR strpos(folded_name, $1) > 0`, devices); err != nil || !fits {
			return false, err
		}
	}
	return true, nil
}

// devicesNamed are the devices that are called so. They are few, and folded as Go does it.
func devicesNamed(ctx context.Context, q querier, word string) (found []int64, err error) {
	type device struct {
		id   int64
		name string
	}
	all, err := rows(ctx, q, func(d *device) []any { return []any{&d.id, &d.name} }, `SELECT id, name FROM devices WHERE name <> ''`)
	for _, d := range all {
		if strings.Contains(db.Fold(d.name), db.Fold(word)) {
			found = append(found, d.id)
		}
	}
	return found, err
}

// wordCondition adds what a word asks; person is what finds it in a user's row, and it fits
// these devices, too.
func wordCondition(ctx context.Context, q querier, c *db.Conditions, w db.Word, person string, devices []int64) (fits bool, err error) {
	text := db.Fold(w.Text)
	users, err := rows(ctx, q, column[int64], `SELECT id FROM users WHERE `+person, text)
	if err != nil {
		return false, err
	}
	agents, err := rows(ctx, q, column[int64], `SELECT id FROM user_agents WHERE strpos(lower(string), $1) > 0`, text)
	if err != nil {
		return false, err
	}
	var either []string
	if len(users) > 0 {
		either = append(either, `s.user_id = ANY(`+c.Arg(users)+`::bigint[])`)
	}
	if len(agents) > 0 {
		either = append(either, `s.agent_id = ANY(`+c.Arg(agents)+`::bigint[])`)
	}
	if len(devices) > 0 {
		either = append(either, `s.device_id = ANY(`+c.Arg(devices)+`::bigint[])`)
	}
	if len(w.IPs) > 0 {
		either = append(either, `s.last_ip = ANY(`+c.Arg(w.IPs)+`::text[])`)
	}
	if strings.Trim(text, "0123456789abcdef.:") == "" {
		either = append(either, `strpos(s.last_ip, `+c.Arg(text)+`) > 0`)
	}
	if len(either) == 0 {
		return false, nil
	}
	c.Where = append(c.Where, `(`+strings.Join(either, " OR ")+`)`)
	return true, nil
}

// withJoins adds the tables whose columns are used and that are not there yet.
func withJoins(tables, use string) string {
	if strings.Contains(use, "u.") {
		tables += ` JOIN users u ON u.id = s.user_id`
	}
	if strings.Contains(use, "a.") {
		tables += ` JOIN user_agents a ON a.id = s.agent_id`
	}
	return tables
}

// sessionOrder is an ordering in SQL, in which no two sessions are equal. What goes by last
// use goes by used_about first, which is in its order. Backwards, the last comes first.
func sessionOrder(ordering []db.Order, backwards bool) string {
	first, unique := db.Order{Column: "user__username"}, "uuid"
	var all []db.Order
	for _, o := range db.TotalOrder(ordering, first, unique) {
		o.Descending = o.Descending != backwards
		if o.Column == "last_used" {
			all = append(all, db.Order{Column: "used_about", Descending: o.Descending})
		}
		all = append(all, o)
	}
	return orderBy(all, sessionOrderings, first, unique)
}
