package web

import (
	"cmp"
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

// viewPageSize is how many rows a page's list has, and everybodySize that of sessions.
const (
	viewPageSize  = 100
	everybodySize = 25
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
	found, total, err := s.everybody(c, filter, everybodySize)
	if last := pages(total, everybodySize); err == nil && filter.Page > last { // what it showed may have ended
		filter.Page = last
		found, total, err = s.everybody(c, filter, everybodySize)
	}
	if err != nil {
		return err
	}
	page := view.SessionsPage{
		Layout: s.layout(c, "sessions"), Everybody: true, Filter: filter,
		History: s.historyDays(), NoPlaces: s.noPlaces(), Pages: newPager(filter.Page, everybodySize, total, filter.Link),
	}
	page.Flash = s.flash(c)
	if page.Revision, err = s.app.Revision(c.Request.Context(), caller(c)); err != nil {
		return err
	}
	shown := found
	if len(found) > everybodySize { // all of them, of which a page is shown
		first := min(len(found), (filter.Page-1)*everybodySize)
		shown = found[first:min(len(found), first+everybodySize)]
	}
	people := map[int64]bool{}
	for _, l := range found {
		people[l.UserID] = true
	}
	page.PageOnly = total > len(found)
	if !page.PageOnly {
		page.People = len(people)
	} else if strings.TrimPrefix(filter.Sort, "-") == "place" {
		page.MaxSorted = s.maxSorted
	}
	if err := s.mark(c.Request.Context(), nil, shown); err != nil {
		return err
	}
	lang := s.language(c)
	page.Groups = s.groups(lang, shown, found, filter)
	if filter.Narrow() && slices.ContainsFunc(found, revocable) {
		page.Revoke = filter.RevokeLink("")
	}
	page.Countries, page.Networks = choices(lang, found, filter)
	if page.Usernames, err = s.usernames(c); err != nil {
		return err
	}
	sessions := make([]app.Session, len(found))
	for i, l := range found {
		sessions[i] = l.Session
	}
	page.Map = newMap(lang, sessions, func(p *geoip.Place) string {
		narrowed := filter
		narrowed.Country = p.Country
		return narrowed.Link(1)
	})
	if page.Chart, err = s.filteredSignIns(c, filter); err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "sessions", &page)
}

// parseViewFilter reads the address of everybody's view.
func parseViewFilter(c *gin.Context) view.SessionFilter {
	return view.SessionFilter{
		Search: c.Query("search"), User: db.Normal(strings.TrimSpace(c.Query("user"))), Country: c.Query("country"), Network: networkFilter(c.Query("network")),
		Kind: c.Query("kind"), State: c.Query("state"), Group: c.Query("group"), Heading: c.Query("heading"), Sort: c.Query("sort"), Page: pageNumber(c),
	}
}

// everybody finds what the filter chooses, and how many there are. It returns
// all of them when they are few enough to be sorted here, or else the page, of a size.
func (s *Server) everybody(c *gin.Context, f view.SessionFilter, size int) (found []app.Record, total int, err error) {
	stored, err := s.storedFilter(c, f)
	if err != nil {
		return nil, 0, err
	}
	stored.Ordering, stored.Limit, stored.Offset = viewOrder(f), size, (f.Page-1)*size
	if found, total, err = s.records(c, stored); err != nil || total > s.maxSorted {
		return found, total, err
	}
	if len(found) < total {
		stored.Limit, stored.Offset = s.maxSorted, 0
		if found, total, err = s.records(c, stored); err != nil {
			return nil, 0, err
		}
	}
	sortRecords(s.language(c), found, f)
	return found, total, nil
}

// records is one page of sessions of any state.
func (s *Server) records(c *gin.Context, f db.SessionFilter) (found []app.Record, total int, err error) {
	if f.State != db.Living {
		return s.app.History(c.Request.Context(), caller(c), f)
	}
	sessions, total, err := s.app.Sessions(c.Request.Context(), caller(c), f)
	for _, sess := range sessions {
		found = append(found, app.Record{Session: sess})
	}
	return found, total, err
}

// storedFilter is a view's filter in what the database knows.
func (s *Server) storedFilter(c *gin.Context, f view.SessionFilter) (stored db.SessionFilter, err error) {
	ctx := c.Request.Context()
	stored = db.SessionFilter{State: map[string]db.State{"ended": db.Ended, "all": db.Any}[f.State]}
	if stored.Words, err = s.words(ctx, s.language(c), f.Search, stored.State); err != nil {
		return stored, err
	}
	if f.User != "" {
		stored.Username = &f.User
	}
	if f.Kind != "" {
		stored.Kind = &f.Kind
	}
	if f.Country != "" || f.Network != "" {
		found, err := s.app.Addresses(ctx, stored.State, app.AddressFilter{Area: filterArea(f)})
		if err != nil {
			return stored, err
		}
		stored.IPs = found[0]
	}
	return stored, nil
}

// viewOrder is the order of the view in the database's columns.
func viewOrder(f view.SessionFilter) []db.Order {
	name, descending := strings.CutPrefix(f.Sort, "-")
	column, ok := map[string]string{"user": "user__username", "used": "last_used", "expires": "expires"}[name]
	if !ok {
		if column, descending = "last_used", true; f.State == "ended" {
			column = "ended"
		}
	}
	order := []db.Order{{Column: column, Descending: descending}}
	if f.Group == "user" && column != "user__username" {
		order = slices.Insert(order, 0, db.Order{Column: "user__username"})
	}
	return order
}

func systemOf(r app.Record) string {
	_, system := app.Title(r.Agent)
	return system
}

func sortRecords(lang string, found []app.Record, f view.SessionFilter) {
	name, descending := strings.CutPrefix(f.Sort, "-")
	placeKey := placeKeys(lang)
	compare, ok := map[string]func(a, b app.Record) int{
		"user":    func(a, b app.Record) int { return cmp.Compare(a.Username, b.Username) },
		"place":   func(a, b app.Record) int { return cmp.Compare(placeKey(a), placeKey(b)) },
		"used":    func(a, b app.Record) int { return a.LastUsed.Compare(b.LastUsed) },
		"expires": func(a, b app.Record) int { return a.Expires.Compare(b.Expires) },
	}[name]
	if !ok {
		compare, descending = func(a, b app.Record) int {
			if f.State == "ended" {
				return a.Ended.Compare(b.Ended)
			}
			return a.LastUsed.Compare(b.LastUsed)
		}, true
	}
	slices.SortStableFunc(found, func(a, b app.Record) int {
		group := 0
		switch f.Group {
		case "user":
			group = cmp.Compare(a.Username, b.Username)
		case "device":
			group = cmp.Or(cmp.Compare(a.Agent.Kind, b.Agent.Kind), cmp.Compare(systemOf(a), systemOf(b)))
		}
		n := compare(a, b)
		if descending {
			n = -n
		}
		return cmp.Or(group, n, cmp.Compare(a.UUID.String(), b.UUID.String()))
	})
}

// headingOf is what a session stands under in a list that is grouped, "" in any other.
func headingOf(by string, r app.Record) string {
	switch by {
	case "user":
		return r.Username
	case "device":
		return r.Agent.Kind + ":" + systemOf(r)
	}
	return ""
}

// revocable reports whether a session can be signed out with others.
func revocable(r app.Record) bool { return r.Ended.IsZero() && !r.Current }

// groups puts rows under headings, in the order that they have. The headings count, and
// lead to what signs out, all of theirs that were found, on whatever page.
func (s *Server) groups(lang string, shown, found []app.Record, f view.SessionFilter) []view.SessionGroup {
	count, canRevoke := map[string]int{}, map[string]bool{}
	for _, r := range found {
		at := headingOf(f.Group, r)
		count[at]++
		canRevoke[at] = canRevoke[at] || revocable(r)
	}
	var groups []view.SessionGroup
	under, from := "", f.Link(f.Page)
	for _, r := range shown {
		row := newSessionRow(lang, r.Session)
		if !r.Ended.IsZero() {
			row = newRecordRow(lang, r)
		}
		row.From = from
		if at := headingOf(f.Group, r); len(groups) == 0 || at != under {
			under = at
			group := view.SessionGroup{Count: count[at]}
			switch f.Group {
			case "user":
				group.Label = row.User
			case "device":
				group.Label, group.Kind = cmp.Or(row.System, s.pages.Text(lang, "Unknown system")), row.Kind
			}
			if canRevoke[at] && at != "" {
				group.Revoke = f.RevokeLink(at)
			}
			groups = append(groups, group)
		}
		last := &groups[len(groups)-1]
		last.Rows = append(last.Rows, row)
	}
	return groups
}

// pages is how many pages a list has, at least one.
func pages(total, size int) int { return max(1, (total+size-1)/size) }

// newPager says where a list stands; link is the address of one of its pages.
func newPager(page, size, total int, link func(int) string) view.Pager {
	p := view.Pager{Page: page, Pages: pages(total, size), Total: total}
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

// exportFilter is what a file of the view holds: all that its filter chooses, of
// everybody's for superusers who ask for it, or else of one's own that live.
func (s *Server) exportFilter(c *gin.Context) (db.SessionFilter, error) {
	own := caller(c).User.ID
	if c.Query("view") != "everybody" {
		return db.SessionFilter{User: &own}, nil
	}
	if !caller(c).User.Superuser {
		return db.SessionFilter{}, app.ErrForbidden
	}
	return s.storedFilter(c, parseViewFilter(c))
}

// export sends a file of sessions as it is read, of any length. What goes wrong when
// some of it has been sent breaks the connection off, so that nobody takes it for all.
func (s *Server) export(c *gin.Context, contentType, name, before, between, after string, write func(b []byte, r app.Record) []byte) error {
	f, err := s.exportFilter(c)
	if err != nil {
		return err
	}
	control := http.NewResponseController(c.Writer)
	var b []byte
	sent := 0
	err = s.app.Export(c.Request.Context(), caller(c), f, func(records []app.Record) error {
		if sent == 0 {
			c.Header("Content-Type", contentType)
			c.Header("Content-Disposition", `attachment; filename="`+name+`"`)
			b = append(b, before...)
		}
		if err := s.app.MarkDevices(c.Request.Context(), recorded(records)...); err != nil {
			return err
		}
		for _, r := range records {
			if sent++; sent > 1 {
				b = append(b, between...)
			}
			b = write(b, r)
		}
		if err := control.SetWriteDeadline(time.Now().Add(s.writeWithin)); err != nil {
			return err
		}
		_, err := c.Writer.Write(b)
		b = b[:0]
		return err
	})
	switch {
	case err != nil && sent > 0:
		s.log.Warn("an export was broken off", "after", sent, "err", err)
		panic(http.ErrAbortHandler)
	case err != nil:
		return err
	case sent == 0:
		c.Header("Content-Type", contentType)
		c.Header("Content-Disposition", `attachment; filename="`+name+`"`)
		b = append(b, before...)
	}
	_, err = c.Writer.Write(append(b, after...))
	return err
}

// exportJSON sends the API's objects, and in each also what these do not say.
func (s *Server) exportJSON(c *gin.Context) error {
	return s.export(c, "application/json", "sessions.json", "[", ",", "]", func(b []byte, r app.Record) []byte {
		b = appendSession(b, &r.Session)
		b = appendMember(b[:len(b)-1], `,"username":`, r.Username)
		b = appendMember(b, `,"device":`, r.Device.Name)
		b = appendTime(append(b, `,"signed_in":`...), r.Created)
		b = append(b, `,"ended":`...)
		if r.Ended.IsZero() {
			return append(b, `null}`...)
		}
		b = appendTime(b, r.Ended)
		b = appendMember(b, `,"ended_reason":`, string(r.Reason))
		return append(appendMember(b, `,"ended_by":`, r.EndedBy), '}')
	})
}

var csvHead = csvRow([]string{"uuid", "user", "client", "system", "kind", "ip", "country", "city", "asn", "network", "signed_in", "last_used", "expires", "ended", "ended_reason", "ended_by", "user_agent", "device"})

func (s *Server) exportCSV(c *gin.Context) error {
	return s.export(c, "text/csv; charset=utf-8", "sessions.csv", csvHead, "", "", func(b []byte, r app.Record) []byte {
		var country, city, asn, org, ended string
		if p := r.Location.Place; p != nil {
			country, city = p.Country, p.City
		}
		if n := r.Location.Network; n != nil {
			asn, org = strconv.Itoa(int(n.ASN)), n.Org
		}
		if !r.Ended.IsZero() {
			ended = r.Ended.Format(time.RFC3339)
		}
		client, system := app.Title(r.Agent)
		return append(b, csvRow([]string{r.UUID.String(), r.Username, client, system, r.Agent.Kind, r.IP.String(),
			country, city, asn, org, r.Created.Format(time.RFC3339), r.LastUsed.Format(time.RFC3339), r.Expires.Format(time.RFC3339), ended, string(r.Reason), r.EndedBy, r.Agent.String, r.Device.Name})...)
	})
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
