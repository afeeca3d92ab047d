package web

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"lastseen/app"
	"lastseen/db"
	"lastseen/geoip"
	"lastseen/web/view"

	"github.com/gin-gonic/gin"
)

const (
	viewPageSize = 100
	// maxSorted is how many sessions are sorted and grouped by what is looked up
	// when they are read, such as their place. Beyond it the database sorts, and
	// knows no places.
	maxSorted = 2000
)

// sessionsPage is one's own sessions, or, for a superuser who asks, everybody's.
func (s *Server) sessionsPage(c *gin.Context) error {
	if c.Query("view") != "everybody" {
		return s.ownSessions(c)
	}
	if !caller(c).User.Superuser {
		return app.ErrForbidden
	}
	filter := parseViewFilter(c)
	found, total, err := s.everybody(c, filter)
	if err != nil {
		return err
	}
	page := view.SessionsPage{
		Layout: s.layout(c, "sessions"), Everybody: true, Filter: filter,
		History: s.historyDays(), NoPlaces: s.noPlaces(), Pages: newPager(filter.Page, viewPageSize, total, filter.Link),
	}
	page.Flash = s.flash(c)
	if page.Revision, err = s.app.Revision(c.Request.Context(), caller(c)); err != nil {
		return err
	}
	shown := found
	if len(found) > viewPageSize { // all of them, of which a page is shown
		first := min(len(found), (filter.Page-1)*viewPageSize)
		shown = found[first:min(len(found), first+viewPageSize)]
	}
	people := map[int64]bool{}
	for _, l := range found {
		people[l.UserID] = true
	}
	if total == len(found) {
		page.People = len(people)
	}
	page.Groups = s.groups(c, shown, filter.Group)
	page.Countries, page.Networks = choices(found, filter)
	sessions := make([]app.Session, len(found))
	for i, l := range found {
		sessions[i] = l.Session
	}
	page.Map = newMap(sessions, func(p *geoip.Place) string {
		narrowed := filter
		narrowed.Country = p.Country
		return narrowed.Link(1)
	})
	if page.Chart, err = s.signIns(c, db.EventFilter{}); err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "sessions", &page)
}

// parseViewFilter reads the address of everybody's view.
func parseViewFilter(c *gin.Context) view.SessionFilter {
	f := view.SessionFilter{
		Search: c.Query("search"), User: db.Normal(strings.TrimSpace(c.Query("user"))), Country: c.Query("country"), Network: c.Query("network"),
		Kind: c.Query("kind"), State: c.Query("state"), Group: c.Query("group"), Sort: c.Query("sort"), Page: pageNumber(c),
	}
	return f
}

// A listed session lives, or has ended.
type listed struct {
	app.Session
	ended *db.EndedSession
}

// everybody finds what the filter chooses, and how many there are. It returns
// all of them when they are few enough to be sorted here, or else the page.
func (s *Server) everybody(c *gin.Context, f view.SessionFilter) (found []listed, total int, err error) {
	ctx, asks := c.Request.Context(), caller(c)
	if f.State != "ended" {
		stored := db.SessionFilter{Search: pageWords(f.Search), Ordering: viewOrder(f)}
		if f.User != "" {
			stored.Username = &f.User
		}
		if f.Kind != "" {
			stored.Kind = &f.Kind
		}
		if f.Country != "" || f.Network != "" {
			if stored.IPs, err = s.app.Addresses(ctx, func(l geoip.Location) bool { return fitsLocation(f, l) }); err != nil {
				return nil, 0, err
			}
		}
		stored.Limit = maxSorted
		sessions, n, err := s.app.Sessions(ctx, asks, stored)
		if err != nil {
			return nil, 0, err
		}
		if n > maxSorted && f.State != "all" {
			stored.Limit, stored.Offset = viewPageSize, (f.Page-1)*viewPageSize
			if sessions, n, err = s.app.Sessions(ctx, asks, stored); err != nil {
				return nil, 0, err
			}
			for _, sess := range sessions {
				found = append(found, listed{Session: sess})
			}
			return found, n, nil
		}
		for _, sess := range sessions {
			found = append(found, listed{Session: sess})
		}
	}
	if f.State == "ended" || f.State == "all" {
		ended, _, err := s.app.EndedSessions(ctx, asks, 0, maxSorted, 0)
		if err != nil {
			return nil, 0, err
		}
		for _, e := range ended {
			if l := (listed{s.app.Enrich(e.Session), &e}); fits(f, l) {
				found = append(found, l)
			}
		}
	}
	sortListed(found, f)
	return found, len(found), nil
}

// viewOrder is the order of the view in the database's columns.
func viewOrder(f view.SessionFilter) []db.Order {
	name, descending := strings.CutPrefix(f.Sort, "-")
	column, ok := map[string]string{"user": "user__username", "used": "last_used", "expires": "expires"}[name]
	if !ok {
		column, descending = "last_used", true
	}
	order := []db.Order{{Column: column, Descending: descending}}
	if f.Group == "user" && column != "user__username" {
		order = slices.Insert(order, 0, db.Order{Column: "user__username"})
	}
	return order
}

func fitsLocation(f view.SessionFilter, l geoip.Location) bool {
	return (f.Country == "" || l.Place != nil && l.Place.Country == f.Country) &&
		(f.Network == "" || l.Network != nil && strconv.Itoa(int(l.Network.ASN)) == f.Network)
}

// fits is the filter for sessions that the database did not choose.
func fits(f view.SessionFilter, l listed) bool {
	for _, word := range pageWords(f.Search) {
		word = db.Fold(word)
		if !strings.Contains(db.Fold(l.Username), word) && !strings.Contains(l.IP.String(), word) && !strings.Contains(db.Fold(l.Agent.String), word) {
			return false
		}
	}
	return (f.User == "" || l.Username == f.User) && (f.Kind == "" || l.Agent.Kind == f.Kind) && fitsLocation(f, l.Location)
}

func sortListed(found []listed, f view.SessionFilter) {
	name, descending := strings.CutPrefix(f.Sort, "-")
	compare, ok := map[string]func(a, b listed) int{
		"user":    func(a, b listed) int { return cmp.Compare(a.Username, b.Username) },
		"place":   func(a, b listed) int { return cmp.Compare(placeKey(a), placeKey(b)) },
		"used":    func(a, b listed) int { return a.LastUsed.Compare(b.LastUsed) },
		"expires": func(a, b listed) int { return a.Expires.Compare(b.Expires) },
	}[name]
	if !ok {
		compare, descending = func(a, b listed) int { return a.LastUsed.Compare(b.LastUsed) }, true
	}
	slices.SortStableFunc(found, func(a, b listed) int {
		group := 0
		switch f.Group {
		case "user":
			group = cmp.Compare(a.Username, b.Username)
		case "device":
			group = cmp.Or(cmp.Compare(a.Agent.Kind, b.Agent.Kind), cmp.Compare(systemName(a.Agent), systemName(b.Agent)))
		}
		n := compare(a, b)
		if descending {
			n = -n
		}
		return cmp.Or(group, n, cmp.Compare(a.UUID.String(), b.UUID.String()))
	})
}

// placeKey sorts by country, then city; the unknown last.
func placeKey(l listed) string {
	p := l.Location.Place
	if p == nil {
		return "~"
	}
	return p.Country + "\x00" + p.City
}

// groups puts rows under headings, in the order that they have.
func (s *Server) groups(c *gin.Context, shown []listed, by string) []view.SessionGroup {
	groups := []view.SessionGroup{{}}
	for _, l := range shown {
		row := newSessionRow(l.Session)
		if l.ended != nil {
			row = s.newEndedRow(*l.ended)
		}
		label, kind := "", ""
		switch by {
		case "user":
			label = row.User
		case "device":
			label, kind = row.System, row.Kind
			if label == "" {
				label = s.pages.Text(s.language(c), "Unknown system")
			}
		}
		last := &groups[len(groups)-1]
		if len(last.Rows) > 0 && (last.Label != label || last.Kind != kind) {
			groups = append(groups, view.SessionGroup{})
			last = &groups[len(groups)-1]
		}
		last.Label, last.Kind = label, kind
		last.Rows = append(last.Rows, row)
	}
	return groups
}

// choices are the countries and networks that the list can be narrowed to.
func choices(found []listed, f view.SessionFilter) (countries, networks []view.Choice) {
	codes, orgs := map[string]string{}, map[string]string{}
	if f.Country != "" {
		codes[f.Country] = f.Country
	}
	if f.Network != "" {
		orgs[f.Network] = "AS" + f.Network
	}
	for _, l := range found {
		if p := l.Location.Place; p != nil && p.Country != "" {
			codes[p.Country] = p.Country
		}
		if n := l.Location.Network; n != nil && n.ASN != 0 {
			asn := strconv.Itoa(int(n.ASN))
			orgs[asn] = cmp.Or(n.Org, "AS"+asn)
		}
	}
	list := func(values map[string]string) []view.Choice {
		var all []view.Choice
		for value, text := range values {
			all = append(all, view.Choice{Value: value, Text: text})
		}
		slices.SortFunc(all, func(a, b view.Choice) int { return cmp.Or(cmp.Compare(a.Text, b.Text), cmp.Compare(a.Value, b.Value)) })
		return all
	}
	return list(codes), list(orgs)
}

// newPager says where a list stands; link is the address of one of its pages.
func newPager(page, size, total int, link func(int) string) view.Pager {
	p := view.Pager{Page: page, Pages: max(1, (total+size-1)/size), Total: total}
	p.Page = min(p.Page, p.Pages)
	if total > 0 {
		p.First = (p.Page-1)*size + 1
		p.Last = min(total, p.Page*size)
	}
	if p.Page > 1 {
		p.Previous = link(p.Page - 1)
	}
	if p.Page < p.Pages {
		p.Next = link(p.Page + 1)
	}
	return p
}

// exported is what a file of the view holds: all that the filter chooses, of
// everybody's for superusers who ask for it, or else of one's own.
func (s *Server) exported(c *gin.Context) ([]listed, error) {
	if c.Query("view") != "everybody" {
		sessions, err := s.ownList(c)
		found := make([]listed, len(sessions))
		for i, sess := range sessions {
			found[i].Session = sess
		}
		return found, err
	}
	if !caller(c).User.Superuser {
		return nil, app.ErrForbidden
	}
	f := parseViewFilter(c)
	f.Page = 1
	found, total, err := s.everybody(c, f)
	for err == nil && len(found) < total {
		f.Page++
		var more []listed
		more, _, err = s.everybody(c, f)
		if len(more) == 0 {
			break // some ended meanwhile
		}
		found = append(found, more...)
	}
	return found, err
}

func (s *Server) exportJSON(c *gin.Context) error {
	found, err := s.exported(c)
	if err != nil {
		return err
	}
	objects := make([]any, len(found))
	for i, l := range found {
		objects[i] = newSessionJSON(l.Session)
	}
	c.Header("Content-Disposition", `attachment; filename="sessions.json"`)
	writeJSON(c, http.StatusOK, objects)
	return nil
}

func (s *Server) exportCSV(c *gin.Context) error {
	found, err := s.exported(c)
	if err != nil {
		return err
	}
	c.Header("Content-Type", "text/csv; charset=utf-8")
	c.Header("Content-Disposition", `attachment; filename="sessions.csv"`)
	rows := [][]string{{"uuid", "user", "client", "system", "kind", "ip", "country", "city", "asn", "network", "signed_in", "last_used", "expires", "ended", "user_agent"}}
	for _, l := range found {
		var country, city, asn, org, ended string
		if p := l.Location.Place; p != nil {
			country, city = p.Country, p.City
		}
		if n := l.Location.Network; n != nil {
			asn, org = strconv.Itoa(int(n.ASN)), n.Org
		}
		if l.ended != nil {
			ended = l.ended.Ended.Format(time.RFC3339)
		}
		rows = append(rows, []string{l.UUID.String(), l.Username, clientName(l.Agent), systemName(l.Agent), l.Agent.Kind, l.IP.String(),
			country, city, asn, org, l.Created.Format(time.RFC3339), l.LastUsed.Format(time.RFC3339), l.Expires.Format(time.RFC3339), ended, l.Agent.String})
	}
	for _, row := range rows {
		if _, err := io.WriteString(c.Writer, csvRow(row)); err != nil {
			return fmt.Errorf("write CSV: %w", err)
		}
	}
	return nil
}

// csvRow is a line of CSV with every cell in quotes, so that none is taken for anything
// but text; RFC 4180.
func csvRow(cells []string) string {
	var b strings.Builder
	for i, cell := range cells {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + strings.ReplaceAll(csvCell(cell), `"`, `""`) + `"`)
	}
	b.WriteString("\r\n")
	return b.String()
}

// csvCell keeps a spreadsheet from taking a stranger's text for a formula, which it
// also does behind spaces, and in full width.
func csvCell(s string) string {
	first, _ := utf8.DecodeRuneInString(strings.TrimLeft(s, " \u00a0\u3000"))
	if strings.ContainsRune("=+-@\t\r\n＝＋－＠", first) && s != "" {
		return "'" + s
	}
	return s
}
