package web

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"lastseen/app"
	"lastseen/db"
	"lastseen/web/view"

	"github.com/gin-gonic/gin"
)

// eventActions are those that can be asked for, in the order of the menu.
var eventActions = []db.Action{db.Login, db.LoginFailed, db.Logout, db.PasswordSet, db.SecretView, db.ModelCreated, db.ModelUpdated, db.ModelDeleted}

func (s *Server) eventsPage(c *gin.Context) error {
	ctx, asks := c.Request.Context(), caller(c)
	page := view.EventsPage{
		Layout: s.layout(c, "events"), All: asks.User.Superuser, History: s.historyDays(),
		Search: c.Query("search"), Action: c.Query("action"),
	}
	for _, action := range eventActions {
		page.Actions = append(page.Actions, view.Choice{Value: string(action), Text: view.EventWords[string(action)]})
	}
	number := pageNumber(c)
	f := db.EventFilter{Search: pageWords(page.Search), Limit: viewPageSize, Offset: (number - 1) * viewPageSize}
	if slices.Contains(eventActions, db.Action(page.Action)) {
		f.Actions = []db.Action{db.Action(page.Action)}
	}
	events, total, err := s.app.Events(ctx, asks, f)
	if err != nil {
		return err
	}
	if err := s.app.MarkEventDevices(ctx, events); err != nil {
		return err
	}
	page.Pages = newPager(number, viewPageSize, total, func(n int) string {
		return "/events?" + url.Values{"search": {page.Search}, "action": {page.Action}, "page": {strconv.Itoa(n)}}.Encode()
	})
	lang := s.language(c)
	for _, e := range events {
		row := s.newEventRow(lang, e)
		if row.URL != "" {
			row.URL += "?" + url.Values{"from": {page.Path}}.Encode()
		}
		page.Events = append(page.Events, row)
	}
	if page.Chart, err = s.signIns(c, db.EventFilter{}); err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "events", &page)
}

func (s *Server) newEventRow(lang string, e db.Event) view.EventRow {
	key, args := s.tell(lang, e)
	row := view.EventRow{At: e.Created, What: s.pages.HTML(lang, key, args...)}
	if e.IP.IsValid() {
		row.IP, row.Place = e.IP.String(), placeName(lang, s.app.Locate(e.IP).Place)
	}
	switch e.Action {
	case db.Login:
		row.Kind, row.Device = "good", s.eventDevice(lang, e)
		if e.Device != "" {
			row.Device = e.Device + " · " + row.Device
		}
		if id, ok := e.Context["session"].(string); ok {
			row.URL = "/sessions/" + id
		}
	case db.LoginFailed:
		row.Kind, row.Device = "bad", s.eventDevice(lang, e)
	case db.PasswordSet, db.SecretView:
		row.Kind = "warning"
	}
	return row
}

func (s *Server) eventDevice(lang string, e db.Event) string {
	agent := s.app.EventAgent(e)
	if agent.String == "" {
		return ""
	}
	client, system := app.Title(agent)
	return s.pages.Device(lang, client, system)
}
