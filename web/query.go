package web

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"lastseen/db"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
)

// A query reads the filters of a list. One that is given but empty or malformed
// ends up in errs: it must never come to mean everybody. Of one that is given
// several times the last counts, as in authentik.
type query struct {
	c    *gin.Context
	errs []error
}

// err is everything that is wrong.
func (q *query) err() error { return errors.Join(q.errs...) }

func (q *query) wrong(name, problem string) { q.errs = append(q.errs, invalid(name, problem)) }

// text is a value in its normal form, or nil when it is not given.
func (q *query) text(name string) *string {
	value := q.header(name)
	if value != nil {
		*value = db.Normal(*value)
	}
	return value
}

// header is a value that is compared with what a client sent: as it is.
func (q *query) header(name string) *string {
	values := q.raw(name)
	if values == nil {
		return nil
	}
	return &values[len(values)-1]
}

// list are all values of a filter that may be repeated, in their normal form; nil
// when it is not given.
func (q *query) list(name string) []string {
	var values []string
	for _, value := range q.raw(name) {
		values = append(values, db.Normal(value))
	}
	return values
}

func (q *query) raw(name string) []string {
	values := q.c.QueryArray(name)
	if len(values) == 0 {
		return nil
	}
	if slices.Contains(values, "") {
		q.wrong(name, "This field may not be blank.")
	}
	return values
}

// parsed is a value that parse understands, or nil.
func parsed[T any](q *query, name, problem string, parse func(string) (T, error)) *T {
	text := q.text(name)
	if text == nil || *text == "" {
		return nil
	}
	value, err := parse(*text)
	if err != nil {
		q.wrong(name, problem)
		return nil
	}
	return &value
}

func (q *query) boolean(name string) *bool {
	return parsed(q, name, "Enter true or false.", strconv.ParseBool)
}

func (q *query) number(name string) *int64 {
	return parsed(q, name, "Enter a number.", func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) })
}

func (q *query) uuid(name string) *uuid.UUID {
	return parsed(q, name, "Enter a valid UUID.", uuid.Parse)
}

// addr is an address in its canonical form.
func (q *query) addr(name string) *string {
	return parsed(q, name, "Enter a valid IPv4 or IPv6 address.", func(s string) (string, error) {
		addr, err := netip.ParseAddr(s)
		return canonicalAddr(addr).String(), err
	})
}

// among is a value that has to be one of those known.
func (q *query) among(name string, known ...string) []string {
	values := q.list(name)
	for _, v := range values {
		if v != "" && !slices.Contains(known, v) {
			q.wrong(name, fmt.Sprintf("Select a valid choice. %s is not one of the available choices.", v))
		}
	}
	return values
}

// none reports whether one of the filters, which tell apart what Lastseen does
// not have, is given: nothing fits it.
func (q *query) none(names ...string) (given bool) {
	for _, name := range names {
		given = q.list(name) != nil || given
	}
	return given
}

// unsupported refuses filters of authentik's that are not ours: passing over one
// would show everything to somebody who asked for little.
func (q *query) unsupported(names ...string) {
	for _, name := range names {
		if _, given := q.c.GetQuery(name); given {
			q.wrong(name, "Lastseen has no such filter.")
		}
	}
}

// maxWords bounds the words of a search: each is looked for in every row.
const maxWords = 20

// maxWord bounds a word of a search, in bytes: the longest agent is longer, but nobody
// types that much, and SQLite takes no pattern of 50,000.
const maxWord = 256

// search splits a search as authentik does.
func (q *query) search() []string {
	words := distinct(strings.FieldsFunc(q.c.Query("search"), func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\x00' }))
	if len(words) > maxWords {
		q.wrong("search", fmt.Sprintf("Enter at most %d words.", maxWords))
	}
	if slices.ContainsFunc(words, func(w string) bool { return len(w) > maxWord }) {
		q.wrong("search", fmt.Sprintf("Enter words of at most %d bytes.", maxWord))
	}
	return words
}

// pageWords are the first words of a page's search, as far as they are looked for.
func pageWords(search string) []string {
	words := strings.Fields(search)
	for i, word := range words {
		words[i] = strings.ToValidUTF8(word[:min(len(word), maxWord)], "")
	}
	words = distinct(words)
	return words[:min(len(words), maxWords)]
}

func distinct(words []string) []string {
	slices.Sort(words)
	return slices.Compact(words)
}

// parseOrdering reads ordering; names that are not known are passed over.
func parseOrdering(c *gin.Context, known ...string) []db.Order {
	var ordering []db.Order
	for name := range strings.SplitSeq(c.Query("ordering"), ",") {
		column, descending := strings.CutPrefix(strings.TrimSpace(name), "-")
		again := slices.ContainsFunc(ordering, func(o db.Order) bool { return o.Column == column })
		if slices.Contains(known, column) && !again {
			ordering = append(ordering, db.Order{Column: column, Descending: descending})
		}
	}
	return ordering
}

// invalid is a 400 about one field.
func invalid(field, problem string) error { return &db.InputError{Field: field, Problem: problem} }
