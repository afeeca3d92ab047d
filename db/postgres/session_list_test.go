package postgres

import (
	"testing"

	"lastseen/db/dbtest"
)

// However a page is found, it is the one that filtering and sorting everything gives.
func TestSessionsAgainstAll(t *testing.T) {
	defer func(few, many, far int) { fewHits, scanned, farIn = few, many, far }(fewHits, scanned, farIn)
	dbtest.SessionsAgainstAll(t, open(t, template.New(t)), 1500, func(i int) {
		fewHits, scanned, farIn = []int{0, 20, 4000}[i%3], []int{30, 5000}[i%2], []int{1, 30}[i/2%2]
	})
}
