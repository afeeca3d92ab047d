package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lastseen/db"
)

// A list of sessions is quick at a million of them as long as it reads no more rows than it
// shows. So it first counts, by counters where they know; that says whether to fetch all hits
// and sort them, or to walk along an index in the order of the page. Keys of a page are found
// in indexes alone, which end in uuid, but by last use; then its rows are read.

var ( // a test makes them smaller
	// fewHits is up to how many hits are fetched and sorted.
	fewHits = 4000
	// scanned is up to how many are fetched when to find them takes looking into each session,
	// and are not looked for again along users or agents.
	scanned = 50_000
	// farIn is from how many rows before a page on it is asked first where to begin.
	farIn = 1000
)

// sessionOrderings are the columns to sort by, by their names in the API, and used_about.
// Those of sessions alone have an index, which ends in uuid, but for last_used: it is
// used_about that has one, as the schema says.
var sessionOrderings = map[string]string{
	"user__username": "u.username", "user": "s.user_id", "last_ip": "s.last_ip", "last_user_agent": "a.string",
	"last_used": "s.last_used", "used_about": "s.used_about", "expires": "s.expires", "uuid": "s.uuid", "ended": "s.ended",
}

// Sessions is one page of what the filter chooses, and how many there are in all.
func (s *Store) Sessions(ctx context.Context, f db.SessionFilter) (page []db.Session, total int, err error) {
	err = s.list(ctx, func(ctx context.Context, q querier) error {
		terms, err := readTerms(ctx, q, f)
		if err != nil || terms.nothing {
			return err
		}
		if total, err = terms.count(ctx, q, f); err != nil || f.Limit == 0 || f.Offset >= total {
			return err
		}
		keys, err := terms.keys(ctx, q, f, total)
		if err != nil {
			return err
		}
		query := `SELECT ` + sessionColumns + ` FROM ` + sessionTables + ` WHERE s.uuid IN (` + keys + `) ORDER BY ` + orderSQL(sessionOrder(f), false)
		page, err = rows(ctx, q, sessionFields, query, terms.Args...)
		return err
	})
	return page, total, err
}

// sessionTerms are what a filter asks of sessions.
type sessionTerms struct {
	db.Conditions
	nothing  bool    // no session can fit
	others   bool    // something else is asked than which agent
	searches bool    // words are searched for
	scans    bool    // in each address
	found    []int64 // what fits, when count found it
	all      bool    // nothing is asked but not to have expired
	expired  int     // how many of those that fit
}

// count says how many fit and have not expired, and makes the terms say the latter. Those of
// agents are counted as they come and go. What is searched for, and is not too much, is found
// at once.
func (t *sessionTerms) count(ctx context.Context, q querier, f db.SessionFilter) (total int, err error) {
	t.all = len(t.Where) == 0
	asked, with := t.SQL(), db.Conditions{Args: slices.Clip(t.Args)}
	now := with.Arg(f.Now.UnixMicro())
	living := `s.expires > ` + now
	if t.searches && t.others {
		limit := fewHits
		if t.scans {
			limit = max(fewHits, scanned)
		}
		found, err := rows(ctx, q, column[int64], `SELECT s.id FROM sessions s WHERE `+asked+` AND `+living+fmt.Sprintf(` LIMIT %d`, limit+1), with.Args...)
		if err != nil || len(found) <= limit {
			t.found, t.Where, t.Args = found, append(t.Where, living), with.Args
			return len(found), err
		}
	}
	counted := `SELECT count(*) FROM sessions s WHERE `
	if !t.others {
		counted = `SELECT coalesce(sum(s.sessions), 0) FROM session_counts s WHERE `
	}
	err = q.row(ctx, `SELECT counted::bigint - expired, expired FROM (`+counted+asked+`) c (counted),
		(SELECT count(*) FROM sessions s WHERE s.expires <= `+now+` AND `+asked+`) e (expired)`, with.Args...).Scan(&total, &t.expired)
	if t.expired > 0 {
		if t.all && t.expired <= fewHits { // without a look into each row; of more PostgreSQL would make no hash
			living = `s.uuid NOT IN (SELECT uuid FROM sessions WHERE expires <= ` + now + `)`
		}
		t.Where, t.Args = append(t.Where, living), with.Args
	}
	return total, err
}

// keys is the query for the public names of the page.
func (t *sessionTerms) keys(ctx context.Context, q querier, f db.SessionFilter, total int) (string, error) {
	ordering, limit, offset := sessionOrder(f), min(f.Limit, total-f.Offset), f.Offset
	back := total - offset - limit
	backwards := back < offset // it is nearer to the end
	if backwards {
		offset = back
	}
	few := fewHits
	if t.others { // they may all be far along the way
		few *= 5
	}
	// The sessions of one user, agent or address are in their index by uuid.
	inOrder := ordering[0].Column == "uuid" && f.Kind == nil && f.IPs == nil && !t.searches
	if total <= few && !inOrder || t.found != nil && withJoins("", orderSQL(ordering[:1], false)) != "" {
		return t.sorted(orderSQL(ordering, backwards), limit, offset), nil
	}
	return t.walked(ctx, q, f, ordering, backwards, limit, offset)
}

// sorted sorts all that fit. With ORDER BY and LIMIT they might be waited for, along an index
// of all.
func (t *sessionTerms) sorted(order string, limit, offset int) string {
	if t.found != nil {
		t.Conditions = db.Conditions{}
		t.Add(`s.id IN (SELECT unnest(?::bigint[]))`, t.found)
	}
	return `SELECT uuid FROM (SELECT s.uuid, row_number() OVER (ORDER BY ` + order + `) AS place FROM ` + withJoins(`sessions s`, order) + ` WHERE ` + t.SQL() +
		fmt.Sprintf(`) sorted WHERE place > %d AND place <= %d`, offset, offset+limit)
}

// walked walks along an index until the page is full.
func (t *sessionTerms) walked(ctx context.Context, q querier, f db.SessionFilter, ordering []db.Order, backwards bool, limit, offset int) (string, error) {
	first, order, rest := ordering[0], orderSQL(ordering, backwards), orderSQL(ordering[1:], backwards)
	column, from := sessionOrderings[first.Column], "TRUE"
	if start := sessionStarts[first.Column]; start != "" && t.all && offset >= farIn {
		descending, before, after := "", "<", ">="
		if first.Descending != backwards {
			descending, before, after = " DESC", ">", "<="
		}
		var value string
		var passed int
		if err := q.row(ctx, fmt.Sprintf(start, descending, before), offset).Scan(&value, &passed); err != nil {
			return "", err
		}
		if t.expired > 0 {
			var expired int
			query := `SELECT count(*) FROM ` + withJoins(`sessions s`, column) + ` WHERE s.expires <= $1 AND ` + column + before + `$2`
			if err := q.row(ctx, query, f.Now.UnixMicro(), value).Scan(&expired); err != nil {
				return "", err
			}
			passed -= expired
		}
		from, offset = column+after+t.Arg(value), offset-passed
	}
	for _, j := range joinedTables {
		if strings.HasPrefix(column, j.alias) && withJoins("", rest) == "" { // of each user, or agent, no more than the page needs
			return `SELECT s.uuid FROM ` + j.table + ` CROSS JOIN LATERAL (SELECT s.* FROM sessions s WHERE ` + j.theirs + ` = ` + j.id +
				` AND ` + strings.ReplaceAll(t.SQL(), j.theirs, j.id) + ` ORDER BY ` + rest + fmt.Sprintf(` LIMIT %d) s WHERE `, offset+limit) +
				from + t.Page(order, limit, offset), nil
		}
	}
	return `SELECT s.uuid FROM ` + withJoins(`sessions s`, order) + ` WHERE ` + t.SQL() + ` AND ` + from + t.Page(order, limit, offset), nil
}

// sessionStarts are the queries for where a page of all sessions begins that has $1 before
// it, expired or not, by what is first in its order: a value, and how many sessions come before all that
// have it. They are told the direction, and what compares as before.
var sessionStarts = map[string]string{
	"used_about": `SELECT value::text, (SELECT count(*) FROM sessions WHERE used_about %[2]s value)
		FROM (SELECT used_about AS value FROM sessions ORDER BY used_about%[1]s LIMIT 1 OFFSET $1) start`,
	"last_user_agent": `SELECT string, (upto - sessions)::bigint FROM (SELECT a.string, c.sessions, sum(c.sessions) OVER (ORDER BY a.string%[1]s ROWS UNBOUNDED PRECEDING) AS upto
		FROM user_agents a JOIN (SELECT agent_id, sum(sessions) AS sessions FROM session_counts GROUP BY agent_id) c ON c.agent_id = a.id) passed
		WHERE upto > $1 ORDER BY string%[1]s LIMIT 1`,
}

// readTerms finds out what a filter's parts mean. What names one user or agent, and what a
// word means, is asked of the small tables first.
func readTerms(ctx context.Context, q querier, f db.SessionFilter) (t sessionTerms, err error) {
	if f.Kind != nil {
		t.Add(`s.agent_id IN (SELECT id FROM user_agents WHERE kind = ?)`, *f.Kind)
	}
	if f.Agent != nil {
		if err := t.one(ctx, q, `s.agent_id = ?`, `SELECT id FROM user_agents WHERE string = $1`, *f.Agent); err != nil {
			return t, err
		}
	}
	t.others = f.User != nil || f.Username != nil || f.IP != nil || f.IPs != nil
	if f.User != nil {
		t.Add(`s.user_id = ?`, *f.User)
	}
	if f.Username != nil {
		if err := t.one(ctx, q, `s.user_id = ?`, `SELECT id FROM users WHERE username = $1`, *f.Username); err != nil {
			return t, err
		}
	}
	if f.IP != nil {
		t.Add(`s.last_ip = ?`, *f.IP)
	}
	if f.IPs != nil {
		t.Add(`s.last_ip = ANY(?::text[])`, f.IPs)
	}
	for _, word := range f.Search {
		if err := t.word(ctx, q, db.Word{Text: word}, `strpos(folded, $1) > 0`, nil); err != nil {
			return t, err
		}
	}
	for _, word := range f.Words {
		devices, err := devicesNamed(ctx, q, word.Text)
		if err != nil {
			return t, err
		}
		if err := t.word(ctx, q, word, `strpos(folded, $1) > 0 OR strpos(folded_name, $1) > 0`, devices); err != nil {
			return t, err
		}
	}
	return t, nil
}

// one adds a condition on the number that a query gives for a name, if it does.
func (t *sessionTerms) one(ctx context.Context, q querier, condition, query, name string) error {
	var id int64
	err := q.row(ctx, query, name).Scan(&id)
	if errors.Is(err, db.ErrNotFound) {
		t.nothing = true
		return nil
	}
	t.Add(condition, id)
	return err
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

// word adds what a word asks; person is what finds it in a user's row, and it fits these
// devices, too.
func (t *sessionTerms) word(ctx context.Context, q querier, w db.Word, person string, devices []int64) error {
	text := db.Fold(w.Text)
	users, err := rows(ctx, q, column[int64], `SELECT id FROM users WHERE `+person, text)
	if err != nil {
		return err
	}
	agents, err := rows(ctx, q, column[int64], `SELECT id FROM user_agents WHERE strpos(lower(string), $1) > 0`, text)
	if err != nil {
		return err
	}
	var either []string
	if len(users) > 0 {
		either = append(either, `s.user_id = ANY(`+t.Arg(users)+`::bigint[])`)
	}
	if len(devices) > 0 {
		either = append(either, `s.device_id = ANY(`+t.Arg(devices)+`::bigint[])`)
	}
	if len(w.IPs) > 0 {
		either = append(either, `s.last_ip = ANY(`+t.Arg(w.IPs)+`::text[])`)
	}
	if strings.Trim(text, "0123456789abcdef.:") == "" {
		either = append(either, `strpos(s.last_ip, `+t.Arg(text)+`) > 0`)
		t.scans = true
	}
	t.others = t.others || len(either) > 0
	if len(agents) > 0 {
		either = append(either, `s.agent_id = ANY(`+t.Arg(agents)+`::bigint[])`)
	}
	t.searches, t.nothing = true, t.nothing || len(either) == 0
	t.Where = append(t.Where, `(`+strings.Join(either, " OR ")+`)`)
	return nil
}

// joinedTables are those by which sessions may be sorted, too.
var joinedTables = []struct{ alias, table, id, theirs string }{
	{"u.", "users u", "u.id", "s.user_id"},
	{"a.", "user_agents a", "a.id", "s.agent_id"},
}

// withJoins adds the tables whose columns are used.
func withJoins(tables, use string) string {
	for _, j := range joinedTables {
		if strings.Contains(use, j.alias) {
			tables += ` JOIN ` + j.table + ` ON ` + j.id + ` = ` + j.theirs
		}
	}
	return tables
}

// sessionOrder is the ordering of a list, in which no two sessions are equal. What the filter
// fixes orders nothing; what goes by last use goes by used_about first, which is in its order.
func sessionOrder(f db.SessionFilter) (ordering []db.Order) {
	user := f.User != nil || f.Username != nil
	fixed := map[string]bool{"user": user, "user__username": user, "last_ip": f.IP != nil, "last_user_agent": f.Agent != nil}
	for _, o := range db.TotalOrder(f.Ordering, db.Order{Column: "user__username"}, "uuid") {
		if fixed[o.Column] {
			continue
		}
		if o.Column == "last_used" {
			ordering = append(ordering, db.Order{Column: "used_about", Descending: o.Descending})
		}
		ordering = append(ordering, o)
	}
	return ordering
}

// orderSQL is an ordering in SQL, from its end when it is backwards.
func orderSQL(ordering []db.Order, backwards bool) string {
	terms := make([]string, len(ordering))
	for i, o := range ordering {
		column := sessionOrderings[o.Column]
		terms[i] = column + direction(o.Descending != backwards, mayBeNull[column])
	}
	return strings.Join(terms, ", ")
}
