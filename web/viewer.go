package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"lastseen/app"
	"lastseen/db"
	"lastseen/geoip"

	"github.com/gin-gonic/gin"
)

// viewerRoutes are the pages of who is signed in.
func (s *Server) viewerRoutes(get, post func(string, handler)) {
	get("/sessions", s.signedIn(s.sessionsPage))
	get("/sessions/:uuid/revoke", s.signedIn(s.revokeForm))
	post("/sessions/:uuid/revoke", s.signedIn(s.revoke))
	get("/sessions/revoke-others", s.signedIn(s.revokeOthersForm))
	post("/sessions/revoke-others", s.signedIn(s.revokeOthers))
	get("/profile", s.signedIn(s.profileForm))
	post("/profile", s.signedIn(s.changeProfile))
	post("/profile/password", s.signedIn(s.changePassword))
	post("/preferences", s.preferences)
}

// newSessionRow is a session in a list.
func newSessionRow(sess app.Session) sessionRow {
	row := sessionRow{
		UUID: sess.UUID.String(), Kind: sess.Agent.Kind, User: sess.Username,
		Client: clientName(sess.Agent), System: systemName(sess.Agent),
		IP: sess.IP.String(), Place: placeName(sess.Location.Place),
		Created: sess.Created, LastUsed: sess.LastUsed, Expires: sess.Expires, Current: sess.Current,
	}
	if n := sess.Location.Network; n != nil {
		row.Network = n.Org
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

func placeName(p *geoip.Place) string {
	if p == nil {
		return ""
	}
	return strings.Trim(p.City+", "+p.Country, ", ")
}

// clientName is the browser or program with its major version, "" when unknown.
func clientName(a db.Agent) string {
	if a.Browser == "Other" {
		return ""
	}
	return strings.TrimSpace(a.Browser + " " + a.BrowserMajor)
}

// systemName is what a person calls the device or its system, "" when unknown.
func systemName(a db.Agent) string {
	switch {
	case a.DeviceBrand == "Apple" && a.DeviceModel != "Mac":
		return a.Device // iPhone and iPad say more than iOS
	case a.OS == "Other":
		return ""
	}
	return strings.TrimSpace(a.OS + " " + a.OSMajor)
}

// own are the caller's sessions, last used first.
func (s *Server) own(c *gin.Context) ([]app.Session, error) {
	id := caller(c).User.ID
	sessions, _, err := s.app.Sessions(c.Request.Context(), caller(c), db.SessionFilter{
		User: &id, Limit: maxPageSize, Ordering: []db.Order{{Column: "last_used", Descending: true}},
	})
	return sessions, err
}

func (s *Server) sessionsPage(c *gin.Context) error {
	sessions, err := s.own(c)
	if err != nil {
		return err
	}
	ended, _, err := s.app.EndedSessions(c.Request.Context(), caller(c).User.ID, 100, 0)
	if err != nil {
		return err
	}
	page := sessionsPage{layout: s.layout(c, "sessions"), History: int(s.app.Config.History.Hours() / 24), NoPlaces: s.noPlaces()}
	page.Flash = s.flash(c)
	var group sessionGroup
	for _, sess := range sessions {
		if row := newSessionRow(sess); row.Current {
			page.Current = &row
		} else {
			group.Rows = append(group.Rows, row)
		}
	}
	page.Others = len(group.Rows)
	page.Groups = []sessionGroup{group}
	for _, e := range ended {
		row := newSessionRow(s.app.Enrich(e.Session))
		row.Ended, row.EndedBy = e.Ended, endings[e.Reason]
		if e.Reason == db.Revoked && e.EndedBy != e.Username {
			row.EndedBy = endedByAdmin
		}
		page.Ended = append(page.Ended, row)
	}
	return s.render(c, http.StatusOK, "sessions", &page)
}

// endings say in English keys why a session ended.
var endings = map[db.Reason]string{
	db.SignedOut:       endedSignOut,
	db.Revoked:         endedRevoked,
	db.Replaced:        endedReplaced,
	db.Expired:         endedExpired,
	db.Idle:            endedIdle,
	db.PasswordChanged: endedPassword,
	db.UserDisabled:    endedDisabled,
	db.Restored:        endedRestored,
}

func (s *Server) noPlaces() bool {
	for _, f := range s.app.GeoIPFiles() {
		if f.State == geoip.Loaded {
			return false
		}
	}
	return true
}

// visible is the session of the path, if the caller may see it.
func (s *Server) visible(c *gin.Context) (app.Session, error) {
	id, err := sessionUUID(c)
	if err != nil {
		return app.Session{}, err
	}
	return s.app.Session(c.Request.Context(), caller(c), id)
}

func (s *Server) revokeForm(c *gin.Context) error {
	sess, err := s.visible(c)
	if err != nil {
		return err
	}
	page := confirmPage{layout: s.layout(c, "sessions"), Sessions: []sessionRow{newSessionRow(sess)}, Action: c.Request.URL.Path, Back: homePath}
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
	if err := s.app.RevokeSession(c.Request.Context(), caller(c), sess.UUID); err != nil {
		return err
	}
	row := newSessionRow(sess)
	lang := s.language(c)
	name := s.pages.text(lang, "Unknown client")
	if row.Client != "" && row.System != "" {
		name = s.pages.text(lang, "%s on %s", row.Client, row.System)
	} else if row.Client+row.System != "" {
		name = row.Client + row.System
	}
	if row.Place != "" {
		name = fmt.Sprintf("%s (%s)", name, row.Place)
	}
	s.say(c, s.pages.text(lang, "Signed out %s.", name))
	redirect(c, homePath)
	return nil
}

func (s *Server) revokeOthersForm(c *gin.Context) error {
	sessions, err := s.own(c)
	if err != nil {
		return err
	}
	page := confirmPage{layout: s.layout(c, "sessions"), Others: true, Action: c.Request.URL.Path, Back: homePath}
	for _, sess := range sessions {
		if !sess.Current {
			page.Sessions = append(page.Sessions, newSessionRow(sess))
		}
	}
	return s.render(c, http.StatusOK, "confirm", &page)
}

func (s *Server) revokeOthers(c *gin.Context) error {
	asks := caller(c)
	n, err := s.app.RevokeSessions(c.Request.Context(), asks.Actor(), []int64{asks.User.ID}, asks.Session.UUID)
	if err != nil {
		return err
	}
	s.say(c, s.pages.text(s.language(c), "Signed out %d other devices.", n))
	redirect(c, homePath)
	return nil
}

// flashCookie carries to the next page what just happened.
const flashCookie = "lastseen_said"

func (s *Server) say(c *gin.Context, text string) {
	cookie := s.cookie(url.QueryEscape(text))
	cookie.Name, cookie.Domain, cookie.MaxAge = flashCookie, "", 60
	http.SetCookie(c.Writer, &cookie)
}

// flash is what the last page said, once.
func (s *Server) flash(c *gin.Context) *flash {
	cookie, err := c.Request.Cookie(flashCookie)
	if err != nil {
		return nil
	}
	gone := s.cookie("")
	gone.Name, gone.Domain, gone.MaxAge = flashCookie, "", -1
	http.SetCookie(c.Writer, &gone)
	text, err := url.QueryUnescape(cookie.Value)
	if err != nil || text == "" {
		return nil
	}
	return &flash{Kind: "good", Text: text, At: s.app.Now()}
}

// preferences keeps the theme and the language in the browser.
func (s *Server) preferences(c *gin.Context) error {
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	for _, name := range []string{"theme", "lang"} {
		if value := form.Get(name); value != "" && len(value) <= 10 {
			cookie := s.cookie(url.QueryEscape(value))
			cookie.Name, cookie.Domain, cookie.MaxAge = name, "", 365*24*3600
			http.SetCookie(c.Writer, &cookie)
		}
	}
	redirect(c, s.rd(form.Get("next")))
	return nil
}
