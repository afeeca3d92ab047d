package dbtest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

// names are what some of the users are called.
var names = map[string]string{"Ada0": "Ada Lovelace", "bob1": "Ömer Şahin", "7up2": "Seven O\u0308zil"}

// fits says of one session what the filter's SQL says of all.
func fits(f db.SessionFilter, s db.EndedSession) bool {
	is := func(want *string, got string) bool { return want == nil || *want == got }
	for _, word := range f.Search {
		word = strings.ToLower(word)
		if !strings.Contains(strings.ToLower(s.Username), word) && !strings.Contains(s.IP.String(), word) && !strings.Contains(strings.ToLower(s.Agent.String), word) {
			return false
		}
	}
	for _, w := range f.Words {
		word := db.Fold(w.Text)
		if !strings.Contains(db.Fold(s.Username), word) && !strings.Contains(s.IP.String(), word) && !strings.Contains(strings.ToLower(s.Agent.String), word) &&
			!strings.Contains(db.Fold(names[s.Username]), word) && !slices.Contains(w.IPs, s.IP.String()) {
			return false
		}
	}
	if s.Ended.IsZero() && (f.State == db.Ended || !s.Expires.After(f.Now)) || !s.Ended.IsZero() && f.State == db.Living {
		return false
	}
	return (f.User == nil || *f.User == s.UserID) && is(f.Username, s.Username) && is(f.IP, s.IP.String()) &&
		(f.IPs == nil || slices.Contains(f.IPs, s.IP.String())) && is(f.Agent, s.Agent.String) && is(f.Kind, s.Agent.Kind)
}

// compareSessions orders as the filter's SQL does.
func compareSessions(ordering []db.Order) func(a, b db.EndedSession) int {
	if len(ordering) == 0 {
		ordering = []db.Order{{Column: "user__username"}}
	}
	ordering = append(slices.Clone(ordering), db.Order{Column: "uuid", Descending: ordering[0].Descending})
	return func(a, b db.EndedSession) int {
		for _, o := range ordering {
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

func (on suite) TestSessionsAgainstAll(t *testing.T) {
	SessionsAgainstAll(t, on.open(t), 300, func(int) {})
}

// SessionsAgainstAll compares pages of an empty store's sessions, of those that live, that
// ended, and of both, with what filtering and sorting everything gives. It calls vary with
// a growing number before each of so many rounds.
func SessionsAgainstAll(t *testing.T, s Store, rounds int, vary func(int)) {
	random := rand.New(rand.NewPCG(1, 2))
	var users []db.User
	for i := range 12 {
		u := CreateUser(t, s, fmt.Sprintf("%s%d", []string{"Ada", "bob", "7up", "éva"}[i%4], i), i == 0)
		if err := s.UpdateProfile(t.Context(), u.ID, db.Normal(names[u.Username]), "", Event(db.ModelUpdated)); err != nil {
			t.Fatal(err)
		}
		users = append(users, u)
	}
	var all []db.EndedSession
	for range 200 {
		u := users[random.IntN(random.IntN(len(users))+1)]
		a := Agent(fmt.Sprintf("Fire%%_Fox/%d ada", random.IntN(9)))
		a.Kind = []string{"desktop", "phone"}[random.IntN(2)]
		a.String += a.Kind
		used := Start.Add(-time.Duration(random.IntN(30)) * time.Minute)
		sess := db.Session{
			UUID: uuid.New(), UserID: u.ID, Username: u.Username, Agent: a, IP: netip.AddrFrom4([4]byte{10, 0, byte(random.IntN(3)), byte(random.IntN(5))}),
			Method: "password", Created: used, LastUsed: used, Ends: used.Add(time.Hour), Expires: used.Add(40 * time.Minute),
		}
		sess, err := s.CreateSession(t.Context(), db.SignIn{User: u, Session: sess, TokenHash: sess.UUID[:], Event: Event(db.Login)})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, db.EndedSession{Session: sess})
	}
	// Sessions change agents and end, and the counters with them.
	for i, sess := range all[:40] {
		all[i].Agent = all[100+i].Agent
		use := db.Use{Session: sess.ID, UUID: sess.UUID, At: sess.LastUsed, IP: sess.IP, Agent: all[i].Agent}
		if err := s.RecordUses(t.Context(), slices.Values([]db.Use{use}), 0); err != nil {
			t.Fatal(err)
		}
	}
	for i, sess := range all[150:] {
		if err := s.EndSession(t.Context(), db.Use{UUID: sess.UUID}, db.Revoked, Event(db.ModelDeleted)); err != nil {
			t.Fatal(err)
		}
		all[150+i].Ended = Start
	}

	pick := func(texts ...string) *string { return &texts[random.IntN(len(texts))] }
	for i := range rounds {
		vary(i)
		f := db.SessionFilter{State: []db.State{db.Living, db.Living, db.Ended, db.Any}[random.IntN(4)], Now: Start.Add([]time.Duration{-time.Hour, 0, 15 * time.Minute}[random.IntN(3)]), Limit: 1 + random.IntN(30), Offset: random.IntN(60) * random.IntN(4)}
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
		for range random.IntN(3) * random.IntN(2) {
			word := db.Word{Text: *pick("ada", "LACE", "ömer", "ÖZIL", "7", "phone", "0.2", "london", "o")}
			if random.IntN(2) == 0 {
				word.IPs = [][]string{{"10.0.1.2", "10.0.0.0"}, {"10.0.2.1", "10.0.9.9"}, {"10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.1.0", "10.0.1.1", "10.0.2.2"}}[random.IntN(3)]
			}
			f.Words = append(f.Words, word)
		}
		columns := []string{"user__username", "user", "last_ip", "last_user_agent", "last_used", "expires", "uuid"}
		for range random.IntN(3) {
			f.Ordering = append(f.Ordering, db.Order{Column: columns[random.IntN(len(columns))], Descending: random.IntN(2) == 0})
		}

		if f.State != db.Living && len(f.Ordering) == 0 {
			f.Ordering = []db.Order{{Column: "user__username"}} // its own is by what is the same here
		}

		var want []db.EndedSession
		for _, sess := range all {
			if fits(f, sess) {
				want = append(want, sess)
			}
		}
		slices.SortFunc(want, compareSessions(f.Ordering))
		count := len(want)
		want = want[min(f.Offset, count):min(f.Offset+f.Limit, count)]
		got, total, err := listed(t.Context(), s, f)
		if err != nil || total != count || !slices.EqualFunc(got, want, func(a, b db.EndedSession) bool { return a.UUID == b.UUID && a.Ended.Equal(b.Ended) }) {
			t.Fatalf("%+v, number %d:\ngot %d of %d, %v\nwant %d of %d", f, i, len(got), total, err, len(want), count)
		}
	}
}

// listed is a page of the sessions of the filter's state.
func listed(ctx context.Context, s Store, f db.SessionFilter) (page []db.EndedSession, total int, err error) {
	if f.State != db.Living {
		return s.History(ctx, f)
	}
	living, total, err := s.Sessions(ctx, f)
	for _, sess := range living {
		page = append(page, db.EndedSession{Session: sess})
	}
	return page, total, err
}

// IPs are all addresses at first, and then those of rows that are new or were used.
func (on suite) TestIPs(t *testing.T) {
	s := on.open(t)
	ada := CreateUser(t, s, "ada", true)
	var sessions []db.Session
	for i, ip := range []string{"10.0.0.1", "2001:db8::1", "10.0.0.1", "10.0.0.3"} {
		sessions = append(sessions, CreateSession(t, s, ada, ip, Start.Add(time.Duration(i)*time.Minute)))
	}
	ips := func(ended bool, after int64, since time.Duration, want ...string) int64 {
		t.Helper()
		found, newest, err := s.IPs(t.Context(), ended, after, Start.Add(since))
		var got []string
		for _, ip := range found {
			got = append(got, ip.String())
		}
		if slices.Sort(got); err != nil || !slices.Equal(got, want) {
			t.Errorf("ended %t, after %d and %s: got %v, %v, want %v", ended, after, since, got, err, want)
		}
		return newest
	}
	// PostgreSQL says a row is the newest when nobody writes who began before it, in any database.
	settled := func(ended bool, last int64, want ...string) (newest int64) {
		t.Helper()
		for newest = ips(ended, 0, 0, want...); newest < last; newest = ips(ended, 0, 0, want...) {
			time.Sleep(time.Millisecond)
		}
		return newest
	}
	newest := settled(false, sessions[len(sessions)-1].ID, "10.0.0.1", "10.0.0.3", "2001:db8::1")
	ips(false, newest, time.Hour)
	ips(false, newest, 3*time.Minute, "10.0.0.3")
	ips(false, sessions[1].ID, time.Hour, "10.0.0.1", "10.0.0.3")
	use := db.Use{Session: sessions[0].ID, UUID: sessions[0].UUID, At: Start.Add(time.Hour), IP: netip.MustParseAddr("10.0.0.9"), Agent: sessions[0].Agent}
	if err := s.RecordUses(t.Context(), slices.Values([]db.Use{use}), 0); err != nil {
		t.Fatal(err)
	}
	ips(false, newest, time.Hour, "10.0.0.9")
	if newest := ips(true, 0, 0); newest != 0 {
		t.Errorf("the newest of none: got %d", newest)
	}
	for i, want := range [][]string{{"10.0.0.9"}, {"10.0.0.9", "2001:db8::1"}} {
		if err := s.EndSession(t.Context(), db.Use{UUID: sessions[i].UUID}, db.Revoked, Event(db.ModelDeleted)); err != nil {
			t.Fatal(err)
		}
		newest = settled(true, int64(i)+1, want...)
	}
	ips(true, newest-1, 0, "2001:db8::1")
	ips(true, newest, 0)
}

// AccountIPs knows of sessions that live and of those that ended, and of no account that has
// too many of either.
func (on suite) TestAccountIPs(t *testing.T) {
	s := on.open(t)
	ada, bob, eve := CreateUser(t, s, "ada", true), CreateUser(t, s, "bob", false), CreateUser(t, s, "eve", false)
	for i, u := range []db.User{ada, ada, bob, ada, eve, ada} {
		sess := CreateSession(t, s, u, []string{"10.0.0.1", "10.0.0.2"}[i%2], Start.Add(time.Duration(i)*time.Minute))
		if i == 1 || i == 3 {
			if err := s.EndSession(t.Context(), db.Use{UUID: sess.UUID}, db.Revoked, Event(db.ModelDeleted)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		users []int64
		most  int
		want  string
	}{
		{nil, 9, ""},
		{[]int64{bob.ID}, 9, "bob 10.0.0.1 2m0s"},
		{[]int64{ada.ID, bob.ID, 99}, 9, "ada 10.0.0.1 0s, ada 10.0.0.2 1m0s, bob 10.0.0.1 2m0s"},
		{[]int64{ada.ID, bob.ID}, 2, "ada 10.0.0.1 0s, ada 10.0.0.2 1m0s, bob 10.0.0.1 2m0s"},
		{[]int64{ada.ID, bob.ID}, 1, "bob 10.0.0.1 2m0s"},
	} {
		found, err := s.AccountIPs(t.Context(), tt.users, tt.most)
		var got []string
		for _, f := range found {
			got = append(got, fmt.Sprint(map[int64]string{ada.ID: "ada", bob.ID: "bob"}[f.UserID], " ", f.IP, " ", f.First.Sub(Start)))
		}
		slices.Sort(got)
		if err != nil || strings.Join(got, ", ") != tt.want {
			t.Errorf("%v, most %d: got %q, %v, want %q", tt.users, tt.most, got, err, tt.want)
		}
	}
}

// fill stores n sessions of several users, addresses and agents.
func fill(t testing.TB, s Store, n int) []db.Session {
	var all []db.Session
	var users []db.User
	for i := range 5 {
		users = append(users, CreateUser(t, s, fmt.Sprintf("user%d", i), i == 0))
	}
	for i := range n {
		all = append(all, CreateSession(t, s, users[i%5], fmt.Sprintf("192.0.2.%d", i%7), Start.Add(time.Duration(i%11)*time.Minute)))
	}
	return all
}

func (on suite) TestSessionsPagesNeverOverlap(t *testing.T) {
	s := on.open(t)
	all := fill(t, s, 60)
	pagesNeverOverlap(t, len(all), db.SessionFilter{}, s.Sessions)
	for i, sess := range all {
		if i%3 == 0 {
			endSession(t, s, sess.UUID, Start.Add(time.Duration(i%7)*time.Minute))
		}
	}
	history := func(ctx context.Context, f db.SessionFilter) (page []db.Session, total int, err error) {
		found, total, err := s.History(ctx, f)
		for _, e := range found {
			page = append(page, e.Session)
		}
		return page, total, err
	}
	pagesNeverOverlap(t, 40, db.SessionFilter{}, s.Sessions)
	pagesNeverOverlap(t, 20, db.SessionFilter{State: db.Ended}, history)
	pagesNeverOverlap(t, 60, db.SessionFilter{State: db.Any}, history)
}

// pagesNeverOverlap looks at all pages of a list, in each order.
func pagesNeverOverlap(t *testing.T, want int, f db.SessionFilter, list func(context.Context, db.SessionFilter) ([]db.Session, int, error)) {
	t.Helper()
	for _, column := range []string{"user__username", "user", "last_ip", "last_user_agent", "last_used", "expires", "uuid"} {
		for _, descending := range []bool{false, true} {
			seen := map[uuid.UUID]bool{}
			var keys []string
			for offset := 0; offset < want; offset += 7 {
				f.Now, f.Ordering, f.Limit, f.Offset = Start, []db.Order{{Column: column, Descending: descending}}, 7, offset
				page, total, err := list(t.Context(), f)
				if err != nil || total != want {
					t.Fatalf("%s: %d in all, %v, want %d", column, total, err, want)
				}
				for _, sess := range page {
					if seen[sess.UUID] {
						t.Errorf("%s, descending %v: %s is on two pages", column, descending, sess.UUID)
					}
					seen[sess.UUID] = true
					keys = append(keys, map[string]string{
						"user__username": sess.Username, "user": fmt.Sprintf("%05d", sess.UserID), "last_ip": sess.IP.String(),
						"last_user_agent": sess.Agent.String, "last_used": sess.LastUsed.String(), "expires": sess.Expires.String(),
						"uuid": sess.UUID.String(),
					}[column])
				}
			}
			if len(seen) != want {
				t.Errorf("%s, descending %v: %d on all pages, want %d", column, descending, len(seen), want)
			}
			if descending {
				slices.Reverse(keys)
			}
			if !slices.IsSorted(keys) {
				t.Errorf("%s, descending %v: not in order", column, descending)
			}
		}
	}
}

func (on suite) TestSessionFilters(t *testing.T) {
	s := on.open(t)
	all := fill(t, s, 35)
	ptr := func(s string) *string { return &s }
	id := int64(2)
	tests := []struct {
		name   string
		filter db.SessionFilter
		want   int
	}{
		{"all", db.SessionFilter{}, 35},
		{"user", db.SessionFilter{User: &id}, 7},
		{"user name", db.SessionFilter{Username: ptr("user3")}, 7},
		{"user name in another case", db.SessionFilter{Username: ptr("User3")}, 0},
		{"unknown user name", db.SessionFilter{Username: ptr("nobody")}, 0},
		{"address", db.SessionFilter{IP: ptr("192.0.2.3")}, 5},
		{"addresses", db.SessionFilter{IPs: []string{"192.0.2.3", "192.0.2.4"}}, 10},
		{"no addresses", db.SessionFilter{IPs: []string{}}, 0},
		{"agent", db.SessionFilter{Agent: ptr("agent of user1")}, 7},
		{"kind", db.SessionFilter{Kind: ptr("desktop")}, 35},
		{"other kind", db.SessionFilter{Kind: ptr("phone")}, 0},
		{"search in agents", db.SessionFilter{Search: []string{"AGENT OF USER4"}}, 7},
		{"search in addresses", db.SessionFilter{Search: []string{"0.2.5"}}, 5},
		{"every word", db.SessionFilter{Search: []string{"user4", "0.2.5"}}, 1},
		{"wildcards are letters", db.SessionFilter{Search: []string{"%"}}, 0},
		{"so are underscores", db.SessionFilter{Search: []string{"user_"}}, 0},
	}
	check := func(state db.State) {
		t.Helper()
		for _, tt := range tests {
			f := tt.filter
			f.State, f.Now, f.Limit = state, Start, 100
			var found, total int
			var err error
			if state == db.Living {
				var page []db.Session
				page, total, err = s.Sessions(t.Context(), f)
				found = len(page)
			} else {
				var page []db.EndedSession
				page, total, err = s.History(t.Context(), f)
				found = len(page)
			}
			if err != nil || total != tt.want || found != tt.want {
				t.Errorf("%s, state %d: got %d of %d, %v, want %d", tt.name, state, found, total, err, tt.want)
			}
			seen := map[uuid.UUID]bool{}
			err = s.ExportSessions(t.Context(), f, func(some []db.EndedSession) error {
				for _, e := range some {
					seen[e.UUID] = true
					found--
				}
				return nil
			})
			if err != nil || len(seen) != tt.want || found != 0 {
				t.Errorf("%s, state %d: exported %d, %v, want %d", tt.name, state, len(seen), err, tt.want)
			}
		}
	}
	check(db.Living)
	check(db.Any)
	for i, sess := range all {
		if i == 20 {
			check(db.Any)
		}
		endSession(t, s, sess.UUID, Start)
	}
	check(db.Ended)
	check(db.Any)
}

func (on suite) TestExpiredAreNotListed(t *testing.T) {
	s := on.open(t)
	all := fill(t, s, 22)
	now := Start.Add(24*time.Hour + 3*time.Minute) // those of the minutes 0 to 3 have expired
	page, total, err := s.Sessions(t.Context(), db.SessionFilter{Now: now, Limit: 100})
	if err != nil || total != 14 || len(page) != 14 {
		t.Errorf("got %d of %d, %v, want 14", len(page), total, err)
	}
	name := "user1"
	_, filtered, err := s.Sessions(t.Context(), db.SessionFilter{Now: now, Username: &name, Limit: 100})
	want := 0
	for _, sess := range all {
		if sess.UserID == 2 && sess.Expires.After(now) {
			want++
		}
	}
	if err != nil || filtered != want {
		t.Errorf("of one user: got %d, %v, want %d", filtered, err, want)
	}
}
