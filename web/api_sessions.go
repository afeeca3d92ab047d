package web

import (
	"net/http"
	"strconv"

	"lastseen/app"
	"lastseen/db"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
)

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
		Agent:    either(q.header, "last_user_agent"),
		Search:   q.search(),
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
	writeSession(c, sess)
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
