package web

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"lastseen/db"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
)

// eventJSON is authentik's Event.
type eventJSON struct {
	PK       uuid.UUID      `json:"pk"`
	User     eventUserJSON  `json:"user"`
	Action   db.Action      `json:"action"`
	App      string         `json:"app"`
	Context  map[string]any `json:"context"`
	ClientIP *string        `json:"client_ip"`
	Created  apiTime        `json:"created"`
	Expires  apiTime        `json:"expires"`
	Brand    struct{}       `json:"brand"`
}

// eventUserJSON is who did it. PK is 0 for nobody known, and for the command line.
type eventUserJSON struct {
	PK       int64  `json:"pk"`
	Email    string `json:"email"`
	Username string `json:"username"`
}

func (s *Server) newEventJSON(e db.Event) eventJSON {
	j := eventJSON{
		PK: e.UUID, User: eventUserJSON{PK: e.ActorID, Email: e.Email, Username: e.Actor}, Action: e.Action, App: "lastseen",
		Context: e.Context, Created: apiTime(e.Created), Expires: apiTime(e.Created.Add(s.app.Config.History)),
	}
	if e.IP.IsValid() {
		text := e.IP.String()
		j.ClientIP = &text
	}
	return j
}

func (s *Server) listEvents(c *gin.Context) error {
	filter, none, err := parseEventFilter(c)
	if err != nil {
		return err
	}
	return answerList(c, s.newEventJSON, func(limit, offset int) ([]db.Event, int, error) {
		if none {
			return nil, 0, nil
		}
		filter.Limit, filter.Offset = limit, offset
		return s.app.Events(c.Request.Context(), caller(c), filter)
	})
}

// parseEventFilter reads the filters of events; none says that no event can fit.
func parseEventFilter(c *gin.Context) (f db.EventFilter, none bool, err error) {
	q := query{c: c}
	f = db.EventFilter{
		Username: q.text("username"), IP: q.addr("client_ip"), Model: map[string]string{},
		Search: q.search(), Ordering: parseOrdering(c, "created", "action", "client_ip", "user"),
	}
	actions := q.list("actions")
	if action := q.text("action"); action != nil {
		if actions != nil && !slices.Contains(actions, *action) {
			none = true
		}
		actions = []string{*action}
	}
	for _, action := range actions {
		f.Actions = append(f.Actions, db.Action(action))
	}
	for _, key := range []string{"app", "model_name", "pk"} {
		name := "context_model_" + key
		if key == "model_name" {
			name = "context_model_name"
		}
		if value := q.text(name); value != nil {
			f.Model[key] = *value
		}
	}
	none = q.none("brand_name", "context_authorized_app", "context_device") || none
	return f, none, q.err()
}

func (s *Server) getEvent(c *gin.Context) error {
	id, err := uuid.Parse(c.Param("uuid"))
	if err != nil {
		return db.ErrNotFound
	}
	found, _, err := s.app.Events(c.Request.Context(), caller(c), db.EventFilter{UUID: &id, Limit: 1})
	if err == nil && len(found) == 0 {
		err = db.ErrNotFound
	}
	if err != nil {
		return err
	}
	writeJSON(c, http.StatusOK, s.newEventJSON(found[0]))
	return nil
}

// eventCountJSON serves both generations of authentik's clients: Coordinate with
// milliseconds since 1970 up to 2025.6, EventVolume since.
type eventCountJSON struct {
	Action db.Action `json:"action"`
	Time   apiTime   `json:"time"`
	Count  int       `json:"count"`
	XCord  int64     `json:"x_cord"`
	YCord  int       `json:"y_cord"`
}

func newEventCountJSON(c db.EventCount) eventCountJSON {
	return eventCountJSON{Action: c.Action, Time: apiTime(c.Time), Count: c.Count, XCord: c.Time.UnixMilli(), YCord: c.Count}
}

func answerCounts(c *gin.Context, counts []db.EventCount) {
	answer := make([]eventCountJSON, len(counts))
	for i, count := range counts {
		answer[i] = newEventCountJSON(count)
	}
	writeJSON(c, http.StatusOK, answer)
}

// eventsPerMonth counts an action in each of the last 30 spans of 24 hours. The
// middle of a span stands for it: dashboards add up what lies less than 24 hours
// back by their own clock, and get exactly the last span.
func (s *Server) eventsPerMonth(c *gin.Context) error {
	q := query{c: c}
	action := q.text("action")
	if err := q.err(); err != nil {
		return err
	}
	if action == nil {
		login := string(db.Login) // as in authentik
		action = &login
	}
	counts, err := s.app.EventsPerDay(c.Request.Context(), caller(c), db.Action(*action), 30)
	if err != nil {
		return err
	}
	for i := range counts {
		counts[i].Time = counts[i].Time.Add(12 * time.Hour)
	}
	answerCounts(c, counts)
	return nil
}

const (
	volumeSpan = 6 * time.Hour
	volumeDays = 7
)

// eventVolume counts events of the last days by action and quarter of a day.
func (s *Server) eventVolume(c *gin.Context) error {
	filter, none, err := parseEventFilter(c)
	if err != nil {
		return err
	}
	q := query{c: c}
	days := parsed(&q, "history_days", "Enter a number of days from 1 to 3660.", func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err == nil && (n < 1 || n > 3660) {
			err = strconv.ErrRange
		}
		return n, err
	})
	if err := q.err(); err != nil {
		return err
	}
	filter.Since = s.app.Now().AddDate(0, 0, -volumeDays)
	if days != nil {
		filter.Since = s.app.Now().AddDate(0, 0, -*days)
	}
	if none {
		answerCounts(c, nil)
		return nil
	}
	counts, err := s.app.CountEvents(c.Request.Context(), caller(c), filter, volumeSpan)
	if err != nil {
		return err
	}
	answerCounts(c, counts)
	return nil
}
