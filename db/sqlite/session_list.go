package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lastseen/db"
)

// A list of sessions is quick at a million of them as long as it reads no more
// rows than it shows. So it first asks the small tables, of users and agents,
// what the filter's words mean, counts in indexes that hold all it compares, and
// finds the page in one of two ways: few hits are all fetched and sorted, many are
// come across soon enough by walking along the ordering's index.

var ( // a test makes them smaller
	// fewHits is up to how many hits are fetched and sorted.
	fewHits = 4000
	// scanned is up to how many hits are fetched when to find them takes looking
	// through much of an index: they are then counted, and not looked for again.
	scanned = 50_000
)

// sessionOrderings are the columns to sort by, by their names in the API. The
// index of each ends in uuid, which breaks ties.
var sessionOrderings = map[string]struct {
	column string
	walk   string // the tables, in the order of the index that gives this ordering
}{
	"user__username":  {"u.username", `users u CROSS JOIN sessions s INDEXED BY sessions_user ON s.user_id = u.id`},
	"user":            {"s.user_id", `sessions s INDEXED BY sessions_user`},
	"last_ip":         {"s.last_ip", `sessions s INDEXED BY sessions_last_ip`},
	"last_user_agent": {"a.string", `user_agents a CROSS JOIN sessions s INDEXED BY sessions_agent ON s.agent_id = a.id`},
	"last_used":       {"s.last_used", `sessions s INDEXED BY sessions_last_used`},
	"expires":         {"s.expires", `sessions s INDEXED BY sessions_expires`},
	"uuid":            {"s.uuid", `sessions s INDEXED BY sqlite_autoindex_sessions_1`},
}

// Sessions is one page of what the filter chooses, and how many there are in all.
func (s *Store) Sessions(ctx context.Context, f db.SessionFilter) (page []db.Session, total int, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	q := sessionQuery{args: []any{micros(f.Now)}}
	if err := q.read(ctx, s, f); err != nil {
		return nil, 0, s.err(err)
	}
	if q.nothing {
		return nil, 0, nil
	}
	total, hits, err := q.count(ctx, s)
	if err != nil || f.Limit == 0 || f.Offset >= total {
		return nil, total, s.err(err)
	}
	page, err = queryAll(ctx, s.list, sessionFields, q.page(f, total, hits), q.args...)
	return page, total, s.err(err)
}

// A sessionQuery is a filter in SQL: sessions that fit all of its terms.
type sessionQuery struct {
	terms   []sessionTerm
	args    []any // $1 is the time at which sessions must live; a query need not use all
	all     int   // how many sessions there are
	expired int   // how many of them have expired
	nothing bool  // no session can fit
}

// A sessionTerm fits a session whose user, agent, address or device does. Each is a
// condition in SQL, "" when none fits: on the column of sessions, for which %s
// stands, or for agent on the columns of user_agents.
type sessionTerm struct {
	user, agent, ip, device string

	oneUser bool // user names one
	owns    int  // how many sessions the one user has
	agents  int  // how many sessions have a fitting agent
	ips     int  // how many addresses fit, where they are listed
	scans   bool // ip is a part of an address
	cost    int  // a guess at how many have to be looked at
}

// sql is the condition, with columns named so that SQLite looks for no index.
func (t sessionTerm) sql() string { return t.on("+s.user_id", "+s.agent_id") }

// on is the condition on these columns.
func (t sessionTerm) on(user, agent string) string {
	var either []string
	for _, part := range []string{t.byIP("+s.last_ip"), t.byDevice("+s.device_id"), t.byUser(user), t.byAgent(agent)} { // the cheapest first
		if part != "" {
			either = append(either, part)
		}
	}
	return "(" + strings.Join(either, " OR ") + ")"
}

func (t sessionTerm) byUser(column string) string {
	if t.user == "" {
		return ""
	}
	return fmt.Sprintf(t.user, column)
}

func (t sessionTerm) byAgent(column string) string {
	if t.agent == "" {
		return ""
	}
	return column + ` IN (SELECT id FROM user_agents WHERE ` + t.agent + `)`
}

func (t sessionTerm) byDevice(column string) string {
	if t.device == "" {
		return ""
	}
	return fmt.Sprintf(t.device, column)
}

func (t sessionTerm) byIP(column string) string {
	if t.ip == "" {
		return ""
	}
	return fmt.Sprintf(t.ip, column)
}

// Guesses: a user and an address have few sessions, and a part of an address has
// to be looked for among all.
const rare, scan = 10, 500_000

// arg adds a parameter and returns its name.
func (q *sessionQuery) arg(value any) string {
	q.args = append(q.args, value)
	return fmt.Sprintf("$%d", len(q.args))
}

// number is arg for a number in a clause that has a limit: one that SQLite can tell to be a
// parameter has it plan the query a second time, with the value.
func (q *sessionQuery) number(n int) string { return "(" + q.arg(n) + " + 0)" }

// read finds out what the filter's parts mean.
func (q *sessionQuery) read(ctx context.Context, s *Store, f db.SessionFilter) error {
	// Ended as they expire, the expired are few; to know that there are none saves asking at each row.
	err := s.list.QueryRowContext(ctx, `SELECT sessions, (SELECT count(*) FROM sessions WHERE expires <= $1) FROM session_total`, q.args[0]).Scan(&q.all, &q.expired)
	if err != nil {
		return err
	}
	user := func(where string, name any) error {
		t := sessionTerm{oneUser: true}
		var id int64
		err := s.list.QueryRowContext(ctx, `SELECT id, sessions FROM users WHERE `+where, name).Scan(&id, &t.owns)
		if errors.Is(err, sql.ErrNoRows) {
			q.nothing = true
			return nil
		}
		t.user, t.cost = `%s = `+q.arg(id), t.owns
		q.terms = append(q.terms, t)
		return err
	}
	if f.User != nil {
		if err := user(`id = $1`, *f.User); err != nil {
			return err
		}
	}
	if f.Username != nil {
		if err := user(`username = $1`, *f.Username); err != nil {
			return err
		}
	}
	if f.IP != nil {
		q.terms = append(q.terms, sessionTerm{ip: `%s = ` + q.arg(*f.IP), cost: rare})
	}
	if f.IPs != nil {
		list, _ := json.Marshal(f.IPs) // strings always marshal
		q.terms = append(q.terms, sessionTerm{ip: `%s IN (SELECT value FROM json_each(` + q.arg(string(list)) + `))`, cost: rare * len(f.IPs)})
	}
	agents := func(where string) error {
		t := sessionTerm{agent: where}
		err := s.list.QueryRowContext(ctx, `SELECT coalesce(sum(sessions), 0) FROM user_agents WHERE `+where, q.args...).Scan(&t.agents)
		t.cost = t.agents
		q.terms = append(q.terms, t)
		return err
	}
	if f.Agent != nil {
		if err := agents(`string = ` + q.arg(*f.Agent)); err != nil {
			return err
		}
	}
	if f.Kind != nil {
		if err := agents(`kind = ` + q.arg(*f.Kind)); err != nil {
			return err
		}
	}
	for _, word := range f.Search {
		if err := q.word(ctx, s, db.Word{Text: word}, `instr(folded, %[1]s)`); err != nil {
			return err
		}
	}
	for _, word := range f.Words {
		if err := q.word(ctx, s, word, personFits); err != nil {
			return err
		}
		if err := q.named(ctx, s, word); err != nil {
			return err
		}
	}
	for _, t := range q.terms {
		q.nothing = q.nothing || t.user == "" && t.agent == "" && t.ip == "" && t.device == ""
	}
	return nil
}

// personFits finds a folded word in a user's row, in their full name too, which is folded
// for it where it is more than ASCII.
const personFits = `(instr(folded, %[1]s) OR instr(lower(name), %[1]s) OR octet_length(name) > length(name) AND instr(fold(name), %[1]s))`

// word adds the term of a word; person is what finds it in a user's row.
func (q *sessionQuery) word(ctx context.Context, s *Store, w db.Word, person string) error {
	text := db.Fold(w.Text)
	arg := q.arg(text)
	var people, sessions int
	err := s.list.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM users WHERE `+fmt.Sprintf(person, "$1")+`),
		(SELECT coalesce(sum(sessions), 0) FROM user_agents WHERE instr(lower(string), $1))`, text).Scan(&people, &sessions)
	if err != nil {
		return err
	}
	t := sessionTerm{agents: sessions, ips: len(w.IPs), cost: sessions + rare*len(w.IPs)}
	if people > 0 {
		t.user = `%s IN (SELECT id FROM users WHERE ` + fmt.Sprintf(person, arg) + `)`
		t.cost += rare * people
	}
	if people > 0 && people <= fewHits { // not to be looked for again in each query
		var few string
		err := s.list.QueryRowContext(ctx, `SELECT json_group_array(id) FROM users WHERE `+fmt.Sprintf(person, "$1"), text).Scan(&few)
		if err != nil {
			return err
		}
		t.user = `%s IN (SELECT value FROM json_each(` + q.arg(few) + `))`
	}
	if sessions > 0 {
		t.agent = `instr(lower(string), ` + arg + `)`
	}
	if len(w.IPs) > 0 {
		list, _ := json.Marshal(w.IPs) // strings always marshal
		t.ip = `%[1]s IN (SELECT value FROM json_each(` + q.arg(string(list)) + `))`
	}
	if strings.Trim(text, "0123456789abcdef.:") == "" {
		t.scans = true
		t.cost += scan
		if t.ip != "" {
			t.ip = ` OR ` + t.ip
		}
		t.ip = `(instr(%[1]s, ` + arg + `)` + t.ip + `)`
	}
	q.terms = append(q.terms, t)
	return nil
}

// deviceFits finds a folded word in what a device is called.
const deviceFits = `name <> '' AND instr(fold(name), %s)`

// named adds to the term of a word, the last one, the devices that are called so.
func (q *sessionQuery) named(ctx context.Context, s *Store, w db.Word) error {
	var n int
	var few string
	err := s.list.QueryRowContext(ctx, `SELECT count(*), json_group_array(id) FROM devices WHERE `+fmt.Sprintf(deviceFits, "$1"), db.Fold(w.Text)).Scan(&n, &few)
	if err != nil || n == 0 {
		return err
	}
	t := &q.terms[len(q.terms)-1]
	t.device = `(%[1]s IS NOT NULL AND %[1]s IN (SELECT value FROM json_each(` + q.arg(few) + `)))` // or what has none would fit neither this nor its negation
	t.cost += rare * n
	return nil
}

// living are the conditions beside the terms, if there are any.
func (q *sessionQuery) living() []string {
	if q.expired == 0 {
		return nil
	}
	return []string{`s.id NOT IN (SELECT id FROM sessions WHERE expires <= $1)`}
}

// hits says in SQL the ids of what fits.
func (q *sessionQuery) hits() string { return strings.Join(q.parts(), " UNION ALL ") }

// parts are the hits in parts. They start from the term that fits the fewest, in the index
// of each column that the term names, the agent's first; a session is in one part only.
func (q *sessionQuery) parts() []string {
	terms := slices.Clone(q.terms)
	slices.SortStableFunc(terms, func(a, b sessionTerm) int { return a.cost - b.cost })
	first, where := terms[0], q.living()
	for _, t := range terms[1:] {
		where = append(where, t.sql())
	}
	var parts, but []string
	for _, part := range []struct {
		index, column string
		condition     func(column string) string
	}{
		{"sessions_agent", "s.agent_id", first.byAgent},
		{"sessions_user", "s.user_id", first.byUser},
		{"sessions_last_ip", "s.last_ip", first.byIP},
		{"sessions_device", "s.device_id", first.byDevice},
	} {
		if part.condition(part.column) == "" {
			continue
		}
		conditions := append([]string{part.condition(part.column)}, but...)
		parts = append(parts, `SELECT s.id FROM sessions s INDEXED BY `+part.index+` WHERE `+strings.Join(append(conditions, where...), " AND "))
		but = append(but, "NOT "+part.condition("+"+part.column))
	}
	return parts
}

// count says how many fit and, when they are not too many, which: a list in JSON, or "".
func (q *sessionQuery) count(ctx context.Context, s *Store) (total int, few string, err error) {
	switch {
	case len(q.terms) == 0:
		return q.all - q.expired, "", nil
	case q.ofOneUser() && q.expired == 0:
		return q.terms[0].owns, "", nil
	case q.ofOneUser():
		err = s.list.QueryRowContext(ctx, `SELECT count(*) FROM (`+q.hits()+`)`, q.args...).Scan(&total)
		return total, "", err
	}
	limit, hits := fewHits, fmt.Sprintf(`%s LIMIT %d`, q.hits(), fewHits+1)
	scans := slices.ContainsFunc(q.terms, func(t sessionTerm) bool { return t.scans })
	if scans { // once, and so to the end
		limit, hits = max(fewHits, scanned), q.hits()
	}
	if len(q.terms) > 1 || max(q.terms[0].agents, q.terms[0].ips) <= limit {
		err := s.list.QueryRowContext(ctx, `SELECT count(*), json_group_array(id) FROM (`+hits+`)`, q.args...).Scan(&total, &few)
		if err != nil || total <= limit {
			return total, few, err
		}
		if scans {
			return total, "", nil
		}
	}
	query := `SELECT count(*) FROM (` + q.hits() + `)`
	if t := q.terms[0]; len(q.terms) == 1 && t.agent != "" {
		// The agents' counters know of theirs, but for those that have just expired.
		query = fmt.Sprintf(`SELECT %s - (SELECT count(*) FROM sessions s INDEXED BY sessions_expires WHERE s.expires <= $1 AND %s)`,
			q.arg(t.agents), t.byAgent("+s.agent_id"))
		switch others := (sessionTerm{agent: "NOT " + t.agent}); {
		case t.scans:
			where := append(q.living(), others.byAgent("s.agent_id"), sessionTerm{user: t.user, ip: t.ip, device: t.device}.sql())
			query += ` + (SELECT count(*) FROM sessions s INDEXED BY sessions_agent WHERE ` + strings.Join(where, " AND ") + `)`
		case t.user != "" || t.ip != "" || t.device != "":
			query += ` + (SELECT count(*) FROM (` + strings.Join(q.parts()[1:], " UNION ALL ") + `))`
		}
	}
	err = s.list.QueryRowContext(ctx, query, q.args...).Scan(&total)
	return total, "", err
}

// page is the query for the rows of the page. Its ids are found first, if possible
// in an index alone; then these rows are read.
func (q *sessionQuery) page(f db.SessionFilter, total int, few string) string {
	ordering := db.TotalOrder(f.Ordering, db.Order{Column: "user__username"}, "uuid")
	walk := sessionOrderings[ordering[0].Column].walk
	var ids string
	switch {
	// By user or uuid it is in their index. Otherwise all of theirs are sorted, unless that is
	// more than has to be walked along: every so many of all sessions is one of theirs.
	case q.ofOneUser() && (slices.Contains([]string{"user__username", "user", "uuid"}, ordering[0].Column) ||
		int64(total) < int64(f.Offset+f.Limit)*int64(q.all)/int64(total)):
		ids = q.ofUser(f, ordering)
	// Along users or agents, the hits may all be at the far end.
	case few != "" && (total <= fewHits || strings.Contains(walk, "JOIN")):
		ids = q.sorted(f, ordering, few)
	default:
		ids = q.walked(f, ordering, walk, total)
	}
	return `SELECT ` + sessionColumns + ` FROM ` + withJoins(`sessions s`, "u. a.") + ` WHERE s.id IN (` + ids + `) ORDER BY ` + orderSQL(ordering, false)
}

// ofOneUser reports whether all sessions of one user fit.
func (q *sessionQuery) ofOneUser() bool { return len(q.terms) == 1 && q.terms[0].oneUser }

// ofUser finds the page among the sessions of the one user, which their index has by uuid.
func (q *sessionQuery) ofUser(f db.SessionFilter, ordering []db.Order) string {
	ordering = slices.DeleteFunc(slices.Clone(ordering), func(o db.Order) bool { return strings.HasPrefix(o.Column, "user") })
	order := orderSQL(ordering, false)
	where := append(q.living(), q.terms[0].byUser("s.user_id"))
	return fmt.Sprintf(`SELECT s.id FROM %s WHERE %s ORDER BY %s LIMIT %s OFFSET %s`, withJoins(`sessions s INDEXED BY sessions_user`, order),
		strings.Join(where, " AND "), order, q.number(f.Limit), q.number(f.Offset))
}

// sorted finds the page among hits that are known.
func (q *sessionQuery) sorted(f db.SessionFilter, ordering []db.Order, hits string) string {
	q.args = []any{hits}
	order := orderSQL(ordering, false)
	return `SELECT s.id FROM ` + withJoins(`sessions s`, order) + ` WHERE s.id IN (SELECT value FROM json_each($1)) ORDER BY ` + order +
		` LIMIT ` + q.number(f.Limit) + ` OFFSET ` + q.number(f.Offset)
}

// walked finds the page along the tables that walk names, in the order of an
// index. A page past the middle is nearer to the other end.
func (q *sessionQuery) walked(f db.SessionFilter, ordering []db.Order, walk string, total int) string {
	limit, offset := min(f.Limit, total-f.Offset), f.Offset
	backwards := offset > total/2
	if backwards {
		offset = total - offset - limit
	}
	// What the first table decides passes over all its sessions at once.
	user, agent := "+s.user_id", "+s.agent_id"
	switch {
	case strings.HasPrefix(walk, "users u"):
		user = "+u.id"
	case strings.HasPrefix(walk, "user_agents a"):
		agent = "+a.id"
	}
	where := append([]string{"1"}, q.living()...)
	for _, t := range q.terms {
		where = append(where, t.on(user, agent))
	}
	order := orderSQL(ordering, backwards)
	start, skip := "", q.number(offset)
	if user == "+u.id" && len(where) == 1 { // all of a user's sessions are passed over at once
		direction, from := "", ">="
		if ordering[0].Descending != backwards {
			direction, from = " DESC", "<="
		}
		start = fmt.Sprintf(`WITH start AS MATERIALIZED (SELECT username, upto - sessions AS before
			FROM (SELECT username, sessions, sum(sessions) OVER (ORDER BY username%s ROWS UNBOUNDED PRECEDING) AS upto FROM users)
			WHERE upto > %s LIMIT 1) `, direction, skip)
		where = []string{`u.username ` + from + ` (SELECT username FROM start)`}
		skip += ` - (SELECT before FROM start)`
	}
	return start + fmt.Sprintf(`SELECT s.id FROM %s WHERE %s ORDER BY %s LIMIT %s OFFSET %s`,
		withJoins(walk, order), strings.Join(where, " AND "), order, q.number(limit), skip)
}

// withJoins adds the tables whose columns are used and that are not there yet.
// CROSS JOIN keeps SQLite from starting with another table.
func withJoins(tables, use string) string {
	for _, join := range []struct{ column, table, on string }{
		{"u.", "users u", "u.id = s.user_id"},
		{"a.", "user_agents a", "a.id = s.agent_id"},
	} {
		if strings.Contains(use, join.column) && !strings.Contains(tables, join.table) {
			tables += ` CROSS JOIN ` + join.table + ` ON ` + join.on
		}
	}
	return tables
}

func orderSQL(ordering []db.Order, backwards bool) string {
	terms := make([]string, len(ordering))
	for i, o := range ordering {
		terms[i] = sessionOrderings[o.Column].column
		if o.Descending != backwards {
			terms[i] += " DESC"
		}
	}
	return strings.Join(terms, ", ")
}
