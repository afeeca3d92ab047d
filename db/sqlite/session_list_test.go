package sqlite

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"lastseen/db"
	"lastseen/db/dbtest"

	"github.com/google/uuid"
)

// fits says of one session what the filter's SQL says of all.
func fits(f db.SessionFilter, s db.Session) bool {
	is := func(want *string, got string) bool { return want == nil || *want == got }
	for _, word := range f.Search {
		word = strings.ToLower(word)
		if !strings.Contains(strings.ToLower(s.Username), word) && !strings.Contains(s.IP.String(), word) && !strings.Contains(strings.ToLower(s.Agent.String), word) {
			return false
		}
	}
	return s.Expires.After(f.Now) && (f.User == nil || *f.User == s.UserID) && is(f.Username, s.Username) && is(f.IP, s.IP.String()) &&
		(f.IPs == nil || slices.Contains(f.IPs, s.IP.String())) && is(f.Agent, s.Agent.String) && is(f.Kind, s.Agent.Kind)
}

// compareSessions orders as the filter's SQL does.
func compareSessions(ordering []db.Order) func(a, b db.Session) int {
	return func(a, b db.Session) int {
		for _, o := range sessionOrder(ordering) {
			c := map[string]int{
				"user__username": cmp.Compare(a.Username, b.Username), "user": cmp.Compare(a.UserID, b.UserID),
				"last_ip": cmp.Compare(a.IP.String(), b.IP.String()), "last_user_agent": cmp.Compare(a.Agent.String, b.Agent.String),
				"last_used": a.LastUsed.Compare(b.LastUsed), "expires": a.Expires.Compare(b.Expires), "uuid": bytes.Compare(a.UUID[:], b.UUID[:]),
			}[o.Column]
			if o.Descending {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return 0
	}
}

// However a page is found, it is the one that filtering and sorting everything gives.
func TestSessionsAgainstAll(t *testing.T) {
	s := open(t)
	random := rand.New(rand.NewPCG(1, 2))
	var users []db.User
	for i := range 12 {
		users = append(users, dbtest.CreateUser(t, s, fmt.Sprintf("%s%d", []string{"Ada", "bob", "7up", "éva"}[i%4], i), i == 0))
	}
	var all []db.Session
	for range 200 {
		u := users[random.IntN(random.IntN(len(users))+1)]
		a := dbtest.Agent(fmt.Sprintf("Fire%%_Fox/%d ada", random.IntN(9)))
		a.Kind = []string{"desktop", "phone"}[random.IntN(2)]
		a.String += a.Kind
		used := start.Add(-time.Duration(random.IntN(30)) * time.Minute)
		sess := db.Session{
			UUID: uuid.New(), UserID: u.ID, Username: u.Username, Agent: a, IP: netip.AddrFrom4([4]byte{10, 0, byte(random.IntN(3)), byte(random.IntN(5))}),
			Method: "password", Created: used, LastUsed: used, Ends: used.Add(time.Hour), Expires: used.Add(40 * time.Minute),
		}
		sess, err := s.CreateSession(t.Context(), u, sess, sess.UUID[:], nil, "", dbtest.Event(db.Login))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, sess)
	}
	// Sessions change agents and end, and the counters with them.
	for i, sess := range all[:40] {
		all[i].Agent = all[100+i].Agent
		use := db.Use{Session: sess.ID, UUID: sess.UUID, At: sess.LastUsed, IP: sess.IP, Agent: all[i].Agent}
		if err := s.RecordUses(t.Context(), slices.Values([]db.Use{use}), 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, sess := range all[190:] {
		if err := s.EndSession(t.Context(), db.Use{UUID: sess.UUID}, db.Revoked, dbtest.Event(db.ModelDeleted)); err != nil {
			t.Fatal(err)
		}
	}
	all = all[:190]

	pick := func(texts ...string) *string { return &texts[random.IntN(len(texts))] }
	defer func(few, many int) { fewHits, scanned = few, many }(fewHits, scanned)
	for i := range 3000 {
		fewHits, scanned = []int{0, 20, 4000}[i%3], []int{30, 5000}[i%2]
		f := db.SessionFilter{Now: start.Add([]time.Duration{-time.Hour, 0, 15 * time.Minute}[random.IntN(3)]), Limit: 1 + random.IntN(30), Offset: random.IntN(60) * random.IntN(4)}
		switch random.IntN(9) {
		case 0:
			f.User = &users[random.IntN(len(users))].ID
		case 1:
			f.Username = pick("Ada0", "bob1", "nobody")
		case 2:
			f.IP = pick("10.0.1.2", "10.0.9.9")
		case 3:
			f.IPs = [][]string{{}, {"10.0.1.2", "10.0.0.0"}}[random.IntN(2)]
		case 4:
			f.Agent = pick(all[0].Agent.String, "none")
		case 5:
			f.Kind = pick("phone", "tv")
		}
		for range random.IntN(3) {
			f.Search = append(f.Search, *pick("ada", "BOB", "7", "fire%", "_fox/1", "10.0.1", "0.2", "phone", "éva", "none", "o"))
		}
		columns := []string{"user__username", "user", "last_ip", "last_user_agent", "last_used", "expires", "uuid"}
		for range random.IntN(3) {
			f.Ordering = append(f.Ordering, db.Order{Column: columns[random.IntN(len(columns))], Descending: random.IntN(2) == 0})
		}

		var want []db.Session
		for _, sess := range all {
			if fits(f, sess) {
				want = append(want, sess)
			}
		}
		slices.SortFunc(want, compareSessions(f.Ordering))
		count := len(want)
		want = want[min(f.Offset, count):min(f.Offset+f.Limit, count)]
		got, total, err := s.Sessions(t.Context(), f)
		if err != nil || total != count || !slices.EqualFunc(got, want, func(a, b db.Session) bool { return a.UUID == b.UUID }) {
			t.Fatalf("%+v with few=%d, scanned=%d:\ngot %d of %d, %v\nwant %d of %d", f, fewHits, scanned, len(got), total, err, len(want), count)
		}
	}
}

// A list that nothing filters is read in the order of an index, without sorting
// more than the page.
func TestSessionsWalkIndexes(t *testing.T) {
	s := open(t)
	for column := range sessionOrderings {
		q := sessionQuery{args: []any{micros(start)}, expired: 1}
		query := q.page(db.SessionFilter{Ordering: []db.Order{{Column: column, Descending: true}}, Limit: 20, Offset: 40}, 100, "")
		rows, err := s.list.QueryContext(t.Context(), `EXPLAIN QUERY PLAN `+query, q.args...)
		if err != nil {
			t.Fatal(err)
		}
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var step string
			if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, step)
		}
		text := strings.Join(plan, "\n")
		if err := rows.Err(); err != nil || strings.Count(text, "TEMP B-TREE") != 1 || !strings.Contains(text, "USING COVERING INDEX") {
			t.Errorf("%s: %v, the plan is\n%s", column, err, text)
		}
	}
}
