package web

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"lastseen/db"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
)

const apiPrefix = "/api/v3"

// An apiRoute is one path of the API and what its methods do. HEAD comes with
// GET, OPTIONS with everything, and every other method is 405.
type apiRoute struct {
	path   string // below apiPrefix
	name   string // for OPTIONS
	open   bool   // needs no sign-in
	picks  bool   // the handler itself looks at what is accepted
	get    handler
	delete handler
}

func (s *Server) apiRoutes() []apiRoute {
	return []apiRoute{
		{path: "/core/authenticated_sessions/", name: "Authenticated Session List", get: s.listSessions},
		{path: "/core/authenticated_sessions/bulk_delete/", name: "Authenticated Session Bulk Delete", delete: s.deleteSessions},
		{path: "/core/authenticated_sessions/:uuid/", name: "Authenticated Session Instance", get: s.getSession, delete: s.deleteSession},
		{path: "/core/authenticated_sessions/:uuid/used_by/", name: "Used by", get: s.sessionUsedBy},
		{path: "/core/users/", name: "User List", get: s.listUsers},
		{path: "/core/users/me/", name: "Me", get: s.getMe},
		{path: "/core/users/:id/", name: "User Instance", get: s.getUser},
		{path: "/core/tokens/", name: "Token List", get: s.listTokens},
		{path: "/core/tokens/:identifier/", name: "Token Instance", get: s.getToken},
		{path: "/events/events/", name: "Event List", get: s.listEvents},
		{path: "/events/events/per_month/", name: "Events Per Month", get: s.eventsPerMonth},
		{path: "/events/events/volume/", name: "Event Volume", get: s.eventVolume},
		{path: "/events/events/:uuid/", name: "Event Instance", get: s.getEvent},
		{path: "/root/config/", name: "Config", open: true, get: s.getConfig},
		{path: "/schema/", name: "Schema", open: true, picks: true, get: s.getSchema},
	}
}

func (s *Server) addAPI(r *gin.Engine, route apiRoute) {
	var allowed []string
	methods := map[string]handler{}
	if route.get != nil {
		allowed = append(allowed, "GET")
		methods["GET"], methods["HEAD"] = route.get, route.get
	}
	if route.delete != nil {
		allowed = append(allowed, "DELETE")
		methods["DELETE"] = route.delete
	}
	if route.get != nil {
		allowed = append(allowed, "HEAD")
	}
	allow := []string{strings.Join(append(allowed, "OPTIONS"), ", ")} // for all answers
	methods["OPTIONS"] = func(c *gin.Context) error {
		writeJSON(c, http.StatusOK, map[string]any{"name": route.name, "description": "",
			"renders": []string{"application/json"}, "parses": []string{"application/json"}})
		return nil
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		h, ok := methods[method]
		if !ok {
			h = func(*gin.Context) error { return errNoMethod }
		}
		r.Handle(method, apiPrefix+route.path, s.handle(func(c *gin.Context) error {
			// In authentik's order: what is accepted, who asks, which method, what for.
			if !route.picks && !acceptsJSON(c.Request.Header["Accept"]) {
				return errNotAcceptable
			}
			if !route.open {
				if _, err := s.byBearerOrCookie(c); err != nil {
					return err
				}
			}
			c.Writer.Header()["Allow"] = allow
			return h(c)
		}))
	}
}

// maxAccept bounds an Accept header that is read, in bytes; browsers send some 150.
const maxAccept = 1 << 10

// acceptsJSON reads an Accept header far enough to tell whether JSON will do. So it
// does where the header is too long to be read.
func acceptsJSON(headers []string) bool {
	accept := strings.Join(headers, ",")
	if strings.TrimSpace(accept) == "" || len(accept) > maxAccept {
		return true
	}
	for part := range strings.SplitSeq(accept, ",") {
		mediaType, params, err := mime.ParseMediaType(part)
		if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
			continue
		}
		if q, err := strconv.ParseFloat(params["q"], 64); err == nil && q == 0 {
			continue
		}
		if slices.Contains([]string{"application/json", "application/*", "*/*"}, mediaType) {
			return true
		}
	}
	return false
}

// maxPath bounds a path that is compared with our routes, in bytes.
const maxPath = 1 << 10

// noRoute answers for every path that is none of ours.
func (s *Server) noRoute(c *gin.Context) error {
	path := c.Request.URL.Path
	if len(path) <= maxPath && isAPI(path) && !strings.HasSuffix(path, "/") {
		for _, route := range s.engine.Routes() {
			if samePattern(route.Path, path+"/") {
				return &detailError{errNoPage, fmt.Sprintf("Not found. Did you mean %s/ with a slash at its end?", path)}
			}
		}
	}
	return errNoPage
}

// samePattern reports whether a path fits a route's pattern.
func samePattern(pattern, path string) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, got, func(w, g string) bool { return w == g || strings.HasPrefix(w, ":") && g != "" })
}

func (s *Server) noMethod(c *gin.Context) error {
	if isGateAuth(c.Request.URL.Path) {
		c.Writer.Header().Del("Allow")
		return s.gate(c)
	}
	if isAPI(c.Request.URL.Path) {
		if _, err := s.byBearerOrCookie(c); err != nil {
			return err
		}
	}
	return errNoMethod
}

// apiTime writes times as authentik does, but always with six digits.
type apiTime time.Time

func (t apiTime) MarshalJSON() ([]byte, error) {
	return appendTime(nil, time.Time(t)), nil
}

// orNone is the time, or null for the zero time.
func orNone(t time.Time) *apiTime {
	if t.IsZero() {
		return nil
	}
	return (*apiTime)(&t)
}

// A listPage is the part of a list that was asked for.
type listPage struct{ number, size int }

const (
	standardPageSize = 100
	maxPageSize      = 1000
	lastPage         = -1
)

// parsePage reads page and page_size. A bad size is the standard one.
func parsePage(c *gin.Context) (listPage, error) {
	p := listPage{number: 1, size: standardPageSize}
	if size, err := strconv.ParseUint(c.Query("page_size"), 10, 64); err == nil && size > 0 || errors.Is(err, strconv.ErrRange) {
		p.size = int(min(size, maxPageSize))
	}
	switch text := c.Query("page"); text {
	case "":
		if _, given := c.GetQuery("page"); given {
			return p, errInvalidPage
		}
	case "last":
		p.number = lastPage
	default:
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil || n == 0 {
			return p, errInvalidPage
		}
		p.number = int(n)
	}
	return p, nil
}

// fetch gets the page through list, which takes limit and offset and says how
// many there are in all, and makes the envelope of it.
func fetch[Row, Shape any](p listPage, shape func(Row) Shape, list func(limit, offset int) ([]Row, int, error)) (any, error) {
	if p.number == lastPage {
		_, total, err := list(0, 0)
		if err != nil {
			return nil, err
		}
		p.number = max(1, (total+p.size-1)/p.size)
	}
	rows, total, err := list(p.size, (p.number-1)*p.size)
	if err != nil {
		return nil, err
	}
	pages := max(1, (total+p.size-1)/p.size)
	if p.number > pages {
		return nil, errInvalidPage
	}
	env := envelope[Shape]{Results: make([]Shape, len(rows))}
	for i, row := range rows {
		env.Results[i] = shape(row)
	}
	env.Pagination = pagination{Count: total, Current: p.number, TotalPages: pages}
	if len(rows) > 0 {
		env.Pagination.StartIndex = (p.number-1)*p.size + 1
		env.Pagination.EndIndex = env.Pagination.StartIndex + len(rows) - 1
	}
	if p.number < pages {
		env.Pagination.Next = p.number + 1
	}
	env.Pagination.Previous = p.number - 1
	return env, nil
}

// An envelope is a page of a list.
type envelope[Shape any] struct {
	Pagination pagination
	Results    []Shape
}

// MarshalJSON writes the results one by one, so that those that marshal themselves are
// not read once more.
func (e envelope[Shape]) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 256+1024*len(e.Results))
	b = append(b, `{"pagination":`...)
	b = append(b, mustMarshal(e.Pagination)...)
	b = append(b, `,"results":[`...)
	for i, result := range e.Results {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, mustMarshal(result)...)
	}
	return append(b, `],"autocomplete":{}}`...), nil
}

type pagination struct {
	Next       int `json:"next"`
	Previous   int `json:"previous"`
	Count      int `json:"count"`
	Current    int `json:"current"`
	TotalPages int `json:"total_pages"`
	StartIndex int `json:"start_index"`
	EndIndex   int `json:"end_index"`
}

// answerList answers with the page of a list that c asks for.
func answerList[Row, Shape any](c *gin.Context, shape func(Row) Shape, list func(limit, offset int) ([]Row, int, error)) error {
	page, err := parsePage(c)
	if err != nil {
		return err
	}
	env, err := fetch(page, shape, list)
	if err != nil {
		return err
	}
	writeJSON(c, http.StatusOK, env)
	return nil
}

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

// search splits a search as authentik does.
func (q *query) search() []string {
	words := distinct(strings.FieldsFunc(q.c.Query("search"), func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\x00' }))
	if len(words) > maxWords {
		q.wrong("search", fmt.Sprintf("Enter at most %d words.", maxWords))
	}
	return words
}

// pageWords are the first words of a page's search.
func pageWords(search string) []string {
	words := distinct(strings.Fields(search))
	return words[:min(len(words), maxWords)]
}

func distinct(words []string) []string {
	slices.Sort(words)
	return slices.Compact(words)
}

// pageNumber is which page of a list a page of ours shows.
func pageNumber(c *gin.Context) int {
	n, err := strconv.Atoi(c.Query("page"))
	if err != nil || n < 1 || n > 1<<24 { // there are no more
		return 1
	}
	return n
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
