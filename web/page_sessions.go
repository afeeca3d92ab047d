package web

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"lastseen/app"
	"lastseen/db"
	"lastseen/geoip"
	"lastseen/geoip/countries"
	"lastseen/web/view"

	"github.com/gin-gonic/gin"
)

// superuser is for pages of theirs alone.
func (s *Server) superuser(h handler) handler {
	return s.signedIn(func(c *gin.Context) error {
		if !caller(c).User.Superuser {
			return app.ErrForbidden
		}
		return h(c)
	})
}

// newSessionRow is a session in a list, in a language.
func newSessionRow(lang string, sess app.Session) view.SessionRow {
	client, system := app.Title(sess.Agent)
	row := view.SessionRow{
		Name: sess.Device.Name, UUID: sess.UUID.String(), Kind: sess.Agent.Kind, User: sess.Username,
		Client: client, System: system,
		IP: sess.IP.String(), Place: placeName(lang, sess.Location.Place),
		Created: sess.Created, LastUsed: sess.LastUsed, Expires: sess.Expires, Current: sess.Current,
	}
	if n := sess.Location.Network; n != nil {
		row.Network = n.Org
	}
	if sess.Device.ID != 0 {
		row.DeviceID = sess.Device.UUID.String()
	}
	if sess.First {
		row.FirstFrom = countries.Name(lang, sess.Location.Place.Country)
	}
	switch geoip.ScopeOf(sess.IP) {
	case geoip.Public:
	case geoip.Carrier:
		row.Carrier = true
	default:
		row.Local = true
	}
	return row
}

// newRecordRow is one that lives or has ended.
func newRecordRow(lang string, e app.Record) view.SessionRow {
	row := newSessionRow(lang, e.Session)
	if e.Ended.IsZero() {
		return row
	}
	row.Ended, row.EndedBy = e.Ended, endings[e.Reason]
	if e.Reason == db.Revoked && e.EndedBy != e.Username {
		row.EndedBy = view.EndedByAdmin
	}
	return row
}

// withVersion is a family with as much of its version as is known.
func withVersion(family string, parts ...string) string {
	if family == "Other" {
		return ""
	}
	var version []string
	for _, part := range parts {
		if part == "" {
			break
		}
		version = append(version, part)
	}
	return strings.TrimSpace(family + " " + strings.Join(version, "."))
}

// longer is a title with the whole version that goes on from its own.
func longer(title, full string) string {
	if strings.HasPrefix(full, title+".") {
		return full
	}
	return title
}

// sessionsOf are a person's sessions with their devices, last used first.
func (s *Server) sessionsOf(c *gin.Context, user int64) ([]app.Session, error) {
	ctx := c.Request.Context()
	sessions, _, err := s.app.Sessions(ctx, caller(c), db.SessionFilter{
		User: &user, Limit: maxPageSize, Ordering: []db.Order{{Column: "last_used", Descending: true}},
	})
	if err != nil {
		return nil, err
	}
	return sessions, s.mark(ctx, sessions, nil)
}

// ownSessions is the page of one's own.
func (s *Server) ownSessions(c *gin.Context) error {
	ctx, asks := c.Request.Context(), caller(c)
	sessions, err := s.sessionsOf(c, asks.User.ID)
	if err != nil {
		return err
	}
	s.later(s.adopt(c, sessions))
	ended, _, err := s.app.History(ctx, asks, db.SessionFilter{User: &asks.User.ID, State: db.Ended, Limit: 100})
	if err != nil {
		return err
	}
	page := view.SessionsPage{Layout: s.layout(c, "sessions"), History: s.historyDays(), NoPlaces: s.noPlaces()}
	page.Flash = s.flash(c)
	if page.Revision, err = s.app.Revision(ctx, caller(c)); err != nil {
		return err
	}
	if err := s.mark(ctx, nil, ended); err != nil {
		return err
	}
	lang := s.language(c)
	for _, d := range devicesOf(lang, sessions) {
		if d.Current {
			page.Current = d
		} else {
			page.Others = append(page.Others, d)
		}
	}
	if page.Away, err = s.away(c, sessions); err != nil {
		return err
	}
	for _, e := range ended {
		page.Ended = append(page.Ended, newRecordRow(lang, e))
	}
	page.Map = newMap(lang, sessions, func(*geoip.Place) string { return "/sessions" })
	if page.Chart, err = s.signIns(c, db.EventFilter{Subject: asks.User.ID}); err != nil {
		return err
	}
	if asks.User.Superuser {
		steps, err := s.app.FirstSteps(ctx)
		s.later(err)
		for _, step := range steps {
			page.Steps = append(page.Steps, string(step))
		}
	}
	return s.render(c, http.StatusOK, "sessions", &page)
}

// later is for what a page stores although it was only asked for: where that cannot be, such
// as on a full disk, the page is shown all the same, and the next one tries again.
func (s *Server) later(err error) {
	if err != nil && s.unavailable.due() {
		s.log.Warn("a page could not store what it would", "err", err)
	}
}

// dismissFirstSteps takes the first steps from the page for good.
func (s *Server) dismissFirstSteps(c *gin.Context) error {
	if err := s.app.DismissFirstSteps(c.Request.Context()); err != nil {
		return err
	}
	redirect(c, homePath)
	return nil
}

// newMap draws where sessions are, each place linked to what url says; nil when
// no place is known.
func newMap(lang string, sessions []app.Session, url func(*geoip.Place) string) *view.WorldMap {
	var dots []view.Dot
	index := map[string]int{}
	unplaced := 0
	for _, sess := range sessions {
		p := sess.Location.Place
		if p == nil || !p.Located {
			unplaced++
			continue
		}
		name := placeName(lang, p)
		i, ok := index[name]
		if !ok {
			i = len(dots)
			index[name] = i
			dots = append(dots, view.Dot{Lat: p.Lat, Long: p.Long, Label: name, URL: url(p)})
		}
		dots[i].Count++
	}
	if len(dots) == 0 {
		return nil
	}
	return view.NewWorldMap(dots, unplaced)
}

// chartDays is how far back the chart of sign-ins goes.
const chartDays = 30

// filteredSignIns draws the sign-ins of the people, countries and networks that the filter of
// everybody's view chooses. No event tells of the rest.
func (s *Server) filteredSignIns(c *gin.Context, f view.SessionFilter) (chart *view.Chart, err error) {
	var events db.EventFilter
	if f.User != "" {
		events.Username = &f.User
	}
	if f.Country != "" || f.Network != "" {
		signIns := events
		signIns.Actions, signIns.Since = []db.Action{db.Login, db.LoginFailed}, s.firstDay()
		if events.IPs, err = s.app.EventAddresses(c.Request.Context(), signIns, filterArea(f)); err != nil {
			return nil, err
		}
	}
	return s.signIns(c, events)
}

// firstDay is when the chart of sign-ins begins.
func (s *Server) firstDay() time.Time {
	const day = 24 * time.Hour
	return s.app.Now().UTC().Truncate(day).Add(-(chartDays - 1) * day)
}

// signIns draws the sign-ins of the last days, of those the filter chooses.
func (s *Server) signIns(c *gin.Context, f db.EventFilter) (*view.Chart, error) {
	const day = 24 * time.Hour
	first := s.firstDay()
	f.Actions, f.Since = []db.Action{db.Login, db.LoginFailed}, first
	counts, err := s.app.CountEvents(c.Request.Context(), caller(c), f, day)
	if err != nil {
		return nil, err
	}
	days := make([]view.ChartDay, chartDays)
	for i := range days {
		days[i].Day = first.Add(time.Duration(i) * day)
	}
	for _, count := range counts {
		i := int(count.Time.Sub(first) / day)
		if i < 0 || i >= chartDays {
			continue // the clock went back
		}
		if count.Action == db.Login {
			days[i].Succeeded += count.Count
		} else {
			days[i].Failed += count.Count
		}
	}
	return view.NewChart(days), nil
}

// endings say in English keys why a session ended.
var endings = map[db.Reason]string{
	db.SignedOut:       view.EndedSignOut,
	db.Revoked:         view.EndedRevoked,
	db.Replaced:        view.EndedReplaced,
	db.Expired:         view.EndedExpired,
	db.Idle:            view.EndedIdle,
	db.PasswordChanged: view.EndedPassword,
	db.UserDisabled:    view.EndedDisabled,
	db.Restored:        view.EndedRestored,
}

// historyDays is for how long what has ended is kept.
func (s *Server) historyDays() int { return int(s.app.Config.History.Hours() / 24) }

func (s *Server) noPlaces() bool {
	for _, f := range s.app.GeoIPFiles() {
		if f.State == geoip.Loaded {
			return false
		}
	}
	return true
}

// liveRevision is what a page asks for to see whether its list is still true.
func (s *Server) liveRevision(c *gin.Context) error {
	revision, err := s.app.Revision(c.Request.Context(), caller(c))
	if err != nil {
		return err
	}
	c.String(http.StatusOK, revision)
	return nil
}

// visible is the session of the path, if the caller may see it.
func (s *Server) visible(c *gin.Context) (app.Session, error) {
	id, err := sessionUUID(c)
	if err != nil {
		return app.Session{}, err
	}
	sess, err := s.app.Session(c.Request.Context(), caller(c), id)
	if err != nil {
		return sess, err
	}
	return sess, s.app.MarkDevices(c.Request.Context(), &sess)
}

// record is the session of the path, living or ended, if the caller may see it.
func (s *Server) record(c *gin.Context) (r app.Record, err error) {
	r.Session, err = s.visible(c)
	if !errors.Is(err, db.ErrNotFound) {
		return r, err
	}
	id, err := sessionUUID(c)
	if err != nil {
		return r, err
	}
	if r, err = s.app.EndedSession(c.Request.Context(), caller(c), id); err != nil {
		return r, err
	}
	return r, s.app.MarkDevices(c.Request.Context(), &r.Session)
}

// sessionPage shows all that is known of one session, living or ended.
func (s *Server) sessionPage(c *gin.Context) error {
	page := view.SessionPage{NoPlaces: s.noPlaces()}
	lang, ctx := s.language(c), c.Request.Context()
	r, err := s.record(c)
	if err == nil {
		err = s.app.MarkFirst(ctx, &r.Session)
	}
	if err != nil {
		return err
	}
	sess := r.Session
	page.SessionRow = newRecordRow(lang, r)
	page.Layout = s.layout(c, "sessions")
	page.TrustedUntil = s.app.TrustedUntil(sess.Device)
	page.SignedInBy = view.SignedInBy[sess.Method]
	switch at, err := s.app.LastProof(ctx, sess.UUID); {
	case err == nil && at.After(sess.Created):
		page.Proven = at
	case err != nil && !errors.Is(err, db.ErrNotFound): // it has ended
		return err
	}
	page.Absolute = sess.Ends
	if sess.Expires.Before(sess.Ends) {
		page.Idle = sess.Expires
	}
	if sess.Via.IsValid() {
		page.ReportedBy = sess.Via.String()
	}
	if n := sess.Location.Network; n != nil {
		page.ASN, page.CIDR = int(n.ASN), n.Prefix.String()
	}
	if p := sess.Location.Place; p != nil {
		page.CountryOnly = p.City == "" && (p.CountryOnly || !p.Located)
	}
	for _, f := range s.app.GeoIPFiles() {
		if f.Kind == "city" && f.State == geoip.Loaded {
			page.PlaceFrom, page.PlaceBuilt = f.Type, f.Built
		}
	}
	a := sess.Agent
	if a.Device != "Other" {
		page.Device = a.Device
		if a.DeviceBrand != "" && !strings.Contains(a.Device, a.DeviceBrand) {
			page.Device = a.DeviceBrand + " " + a.Device
		}
	}
	client, system := app.Title(a)
	page.SystemFull = longer(system, withVersion(a.OS, a.OSMajor, a.OSMinor, a.OSPatch, a.OSPatchMinor))
	page.ClientFull = longer(client, withVersion(a.Browser, a.BrowserMajor, a.BrowserMinor, a.BrowserPatch))
	page.UserAgent = a.String
	hosts, err := s.app.SessionHosts(ctx, sess.UUID)
	if err != nil {
		return err
	}
	for _, host := range hosts {
		page.Apps = append(page.Apps, view.AppUse{Host: host.Host, FirstUsed: host.First, LastUsed: host.Last})
	}
	signedIn, err := s.app.AppSessions(ctx, sess.UUID)
	if err != nil {
		return err
	}
	for _, on := range signedIn {
		i := slices.IndexFunc(page.Apps, func(use view.AppUse) bool { return use.Host == on.Host })
		if i < 0 {
			i, page.Apps = len(page.Apps), append(page.Apps, view.AppUse{Host: on.Host})
		}
		page.Apps[i].SignedIn = on.Created
	}
	page.From = cameFrom(c.Query("from"))
	page.Back = cmp.Or(page.From, s.listOf(c, sess.UserID))
	page.Map = newMap(lang, []app.Session{sess}, func(*geoip.Place) string { return "" })
	page.NotMe = notMe(c, sess)
	page.Flash = s.flash(c)
	page.APIPath = apiPrefix + "/core/authenticated_sessions/" + page.UUID + "/"
	return s.render(c, http.StatusOK, "session", &page)
}

func (s *Server) revokeForm(c *gin.Context) error {
	sess, err := s.visible(c)
	if err != nil {
		return err
	}
	page := view.ConfirmPage{Layout: s.layout(c, "sessions"), Sessions: []view.SessionRow{newSessionRow(s.language(c), sess)}, Action: c.Request.URL.Path}
	page.From = cameFrom(c.Query("from"))
	page.Back = cmp.Or(page.From, s.listOf(c, sess.UserID))
	return s.render(c, http.StatusOK, "confirm", &page)
}

func (s *Server) revoke(c *gin.Context) error {
	sess, err := s.visible(c)
	if err != nil {
		return err
	}
	if sess.Current {
		return s.logout(c)
	}
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	if err := s.app.RevokeSession(c.Request.Context(), caller(c), sess.UUID); err != nil {
		return err
	}
	lang := s.language(c)
	row := newSessionRow(lang, sess)
	name := s.pages.Called(lang, row)
	if row.Place != "" {
		name += " (" + row.Place + ")"
	}
	s.say(c, s.pages.Text(lang, "Signed out %s.", name))
	redirect(c, cmp.Or(cameFrom(form.Get("from")), s.listOf(c, sess.UserID)))
	return nil
}

// signOutApp ends what a session has on the host of one app.
func (s *Server) signOutApp(c *gin.Context) error {
	id, err := sessionUUID(c)
	if err != nil {
		return err
	}
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	host := form.Get("host")
	if err := s.app.SignOutApp(c.Request.Context(), caller(c), id, host); err != nil {
		return err
	}
	s.say(c, s.pages.Text(s.language(c), "Signed out of %s.", host))
	redirect(c, "/sessions/"+id.String())
	return nil
}

// otherDevices are those that the caller is signed in on beside this one.
func (s *Server) otherDevices(c *gin.Context) ([]*view.DeviceRow, error) {
	sessions, err := s.sessionsOf(c, caller(c).User.ID)
	return slices.DeleteFunc(devicesOf(s.language(c), sessions), func(d *view.DeviceRow) bool { return d.Current }), err
}

// away are the caller's devices that have a name, and none of the sessions.
func (s *Server) away(c *gin.Context, sessions []app.Session) (rows []*view.DeviceRow, err error) {
	devices, err := s.app.Devices(c.Request.Context(), caller(c), caller(c).User.ID)
	for _, d := range devices {
		if d.Name != "" && !slices.ContainsFunc(sessions, func(sess app.Session) bool { return sess.Device.ID == d.ID }) {
			rows = append(rows, newDeviceRow(d))
		}
	}
	return rows, err
}

func (s *Server) revokeOthersForm(c *gin.Context) error {
	others, err := s.otherDevices(c)
	if err != nil {
		return err
	}
	page := view.ConfirmPage{Layout: s.layout(c, "sessions"), Others: true, Action: c.Request.URL.Path, Back: homePath}
	for _, d := range others {
		page.Sessions = append(page.Sessions, d.SessionRow)
	}
	return s.render(c, http.StatusOK, "confirm", &page)
}

func (s *Server) revokeOthers(c *gin.Context) error {
	others, err := s.otherDevices(c)
	if err != nil {
		return err
	}
	asks := caller(c)
	if _, err := s.app.RevokeSessions(c.Request.Context(), asks.Actor(), []int64{asks.User.ID}, asks.Session); err != nil {
		return err
	}
	s.say(c, s.pages.Text(s.language(c), "Signed out %d other devices.", len(others)))
	redirect(c, homePath)
	return nil
}

// flashCookie carries to the next page what just happened.
const flashCookie = "lastseen_said"

func (s *Server) say(c *gin.Context, text string) {
	s.setOwn(c, flashCookie, s.flashMAC(text)+url.QueryEscape(text), 60)
}

// flashMAC shows that a text is ours: under one host, other programs can set cookies too.
func (s *Server) flashMAC(text string) string {
	mac := hmac.New(sha256.New, s.flashKey[:])
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// warn is say of what did not happen.
func (s *Server) warn(c *gin.Context, text string) { s.say(c, "!"+text) }

// flash is what the last page said, once.
func (s *Server) flash(c *gin.Context) *view.Flash {
	said := s.own(c.Request, flashCookie)
	if said == "" {
		return nil
	}
	s.setOwn(c, flashCookie, "", -1)
	const macLength = 32
	if len(said) < macLength {
		return nil
	}
	text, err := url.QueryUnescape(said[macLength:])
	if err != nil || !hmac.Equal([]byte(s.flashMAC(text)), []byte(said[:macLength])) {
		return nil
	}
	if text, bad := strings.CutPrefix(text, "!"); bad {
		return &view.Flash{Kind: "warning", Text: text}
	}
	return &view.Flash{Kind: "good", Text: text}
}

// preferences keeps the theme and the language in the browser.
func (s *Server) preferences(c *gin.Context) error {
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	for _, name := range []string{"theme", "lang"} {
		if value := form.Get(name); value != "" && len(value) <= 10 {
			s.setOwn(c, name, url.QueryEscape(value), 365*24*3600)
		}
	}
	next, ok := s.target(form.Get("next")) // the sign-in page too, with where that leads
	if !ok {
		next = homePath
	}
	redirect(c, next)
	return nil
}
