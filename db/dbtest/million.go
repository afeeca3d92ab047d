package dbtest

import (
	"fmt"
	"testing"
	"time"

	"lastseen/db"
)

// BenchmarkSessions lists a million sessions, at a time when a few have just expired: by
// what and of how many is said in the names. What they are is in db/sqlite's million_test.go.
func BenchmarkSessions(b *testing.B, s Store, many int, now time.Time) {
	text := func(s string) *string { return &s }
	id := int64(1)
	agent := "Mozilla/5.0 (X11; Linux x86_64; rv:0.0) Gecko/20100101 Firefox/0.0"
	username := func(id int64) string {
		user, err := s.User(b.Context(), id)
		if err != nil {
			b.Fatal(err)
		}
		return user.Username
	}
	var filters = []struct {
		name   string
		filter db.SessionFilter
	}{
		{"all", db.SessionFilter{}},
		{"user", db.SessionFilter{User: &id}},
		{"username", db.SessionFilter{Username: text(username(777))}},
		{"ip", db.SessionFilter{IP: text("27.0.0.7")}},
		{"agent", db.SessionFilter{Agent: &agent}},
		{"kind", db.SessionFilter{Kind: text("phone")}},
		{"search=many", db.SessionFilter{Search: []string{"mozilla"}}},
		{"search=some", db.SessionFilter{Search: []string{"firefox/16.3"}}},
		{"search=few", db.SessionFilter{Search: []string{username(77777)}}},
		{"search=ip", db.SessionFilter{Search: []string{"27.1"}}},
		{"search=none", db.SessionFilter{Search: []string{"nothing"}}},
		{"search=two", db.SessionFilter{Search: []string{"ada", "iphone"}}},
		{"search=digit", db.SessionFilter{Search: []string{"7"}}},
		{"deep", db.SessionFilter{Offset: 5000 * 20}},
		{"expired", db.SessionFilter{Now: now}},
		{"expired deep", db.SessionFilter{Now: now, Offset: 5000 * 20}},
		{"deepest", db.SessionFilter{Offset: many - 1000}},
	}
	for _, f := range filters {
		for _, column := range []string{"user__username", "user", "last_ip", "last_user_agent", "last_used", "expires", "uuid"} {
			for _, descending := range []bool{false, true} {
				order := db.Order{Column: column, Descending: descending}
				b.Run(fmt.Sprintf("%s/%s/descending=%t", f.name, column, descending), func(b *testing.B) {
					f := f.filter
					if f.Limit, f.Ordering = 20, []db.Order{order}; f.Now.IsZero() {
						f.Now = now.Add(-time.Hour) // nothing has: "expired" says what it takes when some have, and are not ended yet
					}
					total := 0
					for b.Loop() {
						var err error
						if _, total, err = s.Sessions(b.Context(), f); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(total), "hits")
				})
			}
		}
	}
}
