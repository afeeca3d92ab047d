package web

import (
	"net/http"
	"strconv"

	"lastseen/app"
	"lastseen/db"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
)

// sessionJSON is authentik's AuthenticatedSession: the fields that 2024.8 and
// 2026.8 require, in 2024.8's order.
type sessionJSON struct {
	UUID          uuid.UUID     `json:"uuid"`
	Current       bool          `json:"current"`
	UserAgent     userAgentJSON `json:"user_agent"`
	GeoIP         *geoIPJSON    `json:"geo_ip"`
	ASN           *asnJSON      `json:"asn"`
	User          int64         `json:"user"`
	LastIP        string        `json:"last_ip"`
	LastUserAgent string        `json:"last_user_agent"`
	LastUsed      apiTime       `json:"last_used"`
	Expires       apiTime       `json:"expires"`
}

// userAgentJSON never holds null: authentik's own nulls break strict clients.
type userAgentJSON struct {
	Device struct {
		Brand  string `json:"brand"`
		Family string `json:"family"`
		Model  string `json:"model"`
	} `json:"device"`
	OS struct {
		Family     string `json:"family"`
		Major      string `json:"major"`
		Minor      string `json:"minor"`
		Patch      string `json:"patch"`
		PatchMinor string `json:"patch_minor"`
	} `json:"os"`
	UserAgent struct {
		Family string `json:"family"`
		Major  string `json:"major"`
		Minor  string `json:"minor"`
		Patch  string `json:"patch"`
	} `json:"user_agent"`
	String string `json:"string"`
}

type geoIPJSON struct {
	Continent string   `json:"continent"`
	Country   string   `json:"country"`
	Lat       *float64 `json:"lat"`
	Long      *float64 `json:"long"`
	City      string   `json:"city"`
}

type asnJSON struct {
	ASN     uint32  `json:"asn"`
	ASOrg   *string `json:"as_org"`
	Network *string `json:"network"`
}

// SessionObject is a session as the API shows it, for others who print JSON.
func SessionObject(s app.Session) any { return newSessionJSON(s) }

func newSessionJSON(s app.Session) sessionJSON {
	j := sessionJSON{
		UUID: s.UUID, Current: s.Current, User: s.UserID,
		LastIP: s.IP.String(), LastUserAgent: s.Agent.String,
		LastUsed: apiTime(s.LastUsed), Expires: apiTime(s.Expires),
	}
	a := s.Agent
	j.UserAgent.Device.Brand, j.UserAgent.Device.Family, j.UserAgent.Device.Model = a.DeviceBrand, a.Device, a.DeviceModel
	j.UserAgent.OS.Family, j.UserAgent.OS.Major, j.UserAgent.OS.Minor = a.OS, a.OSMajor, a.OSMinor
	j.UserAgent.OS.Patch, j.UserAgent.OS.PatchMinor = a.OSPatch, a.OSPatchMinor
	j.UserAgent.UserAgent.Family, j.UserAgent.UserAgent.Major = a.Browser, a.BrowserMajor
	j.UserAgent.UserAgent.Minor, j.UserAgent.UserAgent.Patch = a.BrowserMinor, a.BrowserPatch
	j.UserAgent.String = a.String
	if p := s.Location.Place; p != nil {
		j.GeoIP = &geoIPJSON{Continent: p.Continent, Country: p.Country, City: p.City}
		if p.Located {
			j.GeoIP.Lat, j.GeoIP.Long = &p.Lat, &p.Long
		}
	}
	if n := s.Location.Network; n != nil {
		network := n.Prefix.String()
		j.ASN = &asnJSON{ASN: n.ASN, Network: &network}
		if n.Org != "" {
			j.ASN.ASOrg = &n.Org
		}
	}
	return j
}

func (s *Server) listSessions(c *gin.Context) error {
	filter, err := parseSessionFilter(c)
	if err != nil {
		return err
	}
	return answerList(c, newSessionJSON, func(limit, offset int) ([]app.Session, int, error) {
		filter.Limit, filter.Offset = limit, offset
		return s.app.Sessions(c.Request.Context(), caller(c), filter)
	})
}

func parseSessionFilter(c *gin.Context) (db.SessionFilter, error) {
	q := query{c: c}
	// Each has two names: 2024.8's and the one of 2025.4 and later.
	either := func(read func(string) *string, name string) *string {
		old, later := read(name), read("session__"+name)
		if old == nil {
			return later
		}
		if later != nil && *old != *later {
			q.wrong(name, "Given twice, with different values.")
		}
		return old
	}
	f := db.SessionFilter{
		User:     q.number("user"),
		Username: either(q.text, "user__username"),
		IP:       either(q.addr, "last_ip"),
		Agent:    either(q.text, "last_user_agent"),
		Search:   searchWords(c),
		Ordering: parseOrdering(c, "user__username", "user", "last_ip", "last_user_agent", "last_used", "expires", "uuid"),
	}
	return f, q.err()
}

// sessionUUID reads the uuid of the path in any of its spellings; one that is
// malformed names no session.
func sessionUUID(c *gin.Context) (uuid.UUID, error) {
	text := c.Param("uuid")
	id, err := uuid.Parse(text)
	if err != nil || len(text) == 38 && (text[0] != '{' || text[37] != '}') { // Parse takes any pair for braces
		return uuid.Nil, db.ErrNotFound
	}
	return id, nil
}

func (s *Server) getSession(c *gin.Context) error {
	id, err := sessionUUID(c)
	if err != nil {
		return err
	}
	sess, err := s.app.Session(c.Request.Context(), caller(c), id)
	if err != nil {
		return err
	}
	writeJSON(c, http.StatusOK, newSessionJSON(sess))
	return nil
}

func (s *Server) deleteSession(c *gin.Context) error {
	id, err := sessionUUID(c)
	if err != nil {
		return err
	}
	if err := s.app.RevokeSession(c.Request.Context(), caller(c), id); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

// deleteSessions ends all sessions of some users. What is not a user's number
// spoils the whole request: then nothing is ended.
func (s *Server) deleteSessions(c *gin.Context) error {
	asks := caller(c)
	if !asks.User.Superuser {
		return app.ErrForbidden
	}
	texts := c.QueryArray("user_pks")
	if len(texts) == 0 {
		return invalid("user_pks", "This field is required.")
	}
	users := make([]int64, len(texts))
	for i, text := range texts {
		var err error
		if users[i], err = strconv.ParseInt(text, 10, 64); err != nil {
			return invalid("user_pks", "A valid integer is required.")
		}
	}
	deleted, err := s.app.RevokeSessions(c.Request.Context(), asks.Actor(), users, uuid.Nil)
	if err != nil {
		return err
	}
	writeJSON(c, http.StatusOK, map[string]int{"deleted": deleted})
	return nil
}

// sessionUsedBy says what hangs on a session: nothing does.
func (s *Server) sessionUsedBy(c *gin.Context) error {
	id, err := sessionUUID(c)
	if err != nil {
		return err
	}
	if _, err := s.app.Session(c.Request.Context(), caller(c), id); err != nil {
		return err
	}
	writeJSON(c, http.StatusOK, []string{})
	return nil
}
