package sqlite

import (
	"strings"
	"testing"

	"lastseen/db"
	"lastseen/db/dbtest"
)

// However a page is found, it is the one that filtering and sorting everything gives.
func TestSessionsAgainstAll(t *testing.T) {
	t.Parallel()
	defer func(few, many int) { fewHits, scanned = few, many }(fewHits, scanned)
	dbtest.SessionsAgainstAll(t, open(t), 3000, func(i int) {
		fewHits, scanned = []int{0, 20, 4000}[i%3], []int{30, 5000}[i%2]
	})
}

// A list that nothing filters is read in the order of an index, without sorting
// more than the page.
func TestSessionsWalkIndexes(t *testing.T) {
	t.Parallel()
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
