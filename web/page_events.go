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

var modelWords = map[db.Action]string{
	db.ModelCreated: view.Msg("added"),
	db.ModelUpdated: view.Msg("changed"),
	db.ModelDeleted: view.Msg("removed"),
}

// modelEvents say what was done to what.
var modelEvents = map[string]string{
	"model_created user":                 view.Msg("account added"),
	"model_updated user":                 view.Msg("account changed"),
	"model_deleted user":                 view.Msg("account deleted"),
	"model_created token":                view.Msg("token made"),
	"model_deleted token":                view.Msg("token deleted"),
	"model_created rule":                 view.Msg("rule added"),
	"model_deleted rule":                 view.Msg("rule deleted"),
	"model_created totpdevice":           view.Msg("authenticator app added"),
	"model_deleted totpdevice":           view.Msg("authenticator app removed"),
	"model_created webauthndevice":       view.Msg("passkey added"),
	"model_deleted webauthndevice":       view.Msg("passkey removed"),
	"model_updated staticdevice":         view.Msg("recovery codes made"),
	"model_deleted staticdevice":         view.Msg("recovery codes removed"),
	"model_deleted authenticatedsession": view.Msg("session signed out"),
}

func (s *Server) eventsPage(c *gin.Context) error {
	ctx, asks := c.Request.Context(), caller(c)
	page := view.EventsPage{
		Layout: s.layout(c, "events"), All: asks.User.Superuser, History: s.historyDays(),
		Search: c.Query("search"), Action: c.Query("action"),
	}
	for _, action := range eventActions {
		page.Actions = append(page.Actions, view.Choice{Value: string(action), Text: eventWord(action, "")})
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
	page.Pages = newPager(number, viewPageSize, total, func(n int) string {
		return "/events?" + url.Values{"search": {page.Search}, "action": {page.Action}, "page": {strconv.Itoa(n)}}.Encode()
	})
	lang := s.language(c)
	for _, e := range events {
		page.Events = append(page.Events, s.newEventRow(lang, e))
	}
	if page.Chart, err = s.signIns(c, db.EventFilter{}); err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "events", &page)
}

func eventWord(action db.Action, model string) string {
	if word, ok := modelEvents[string(action)+" "+model]; ok {
		return word
	}
	if word, ok := modelWords[action]; ok {
		return word
	}
	return view.EventWords[string(action)]
}

func (s *Server) newEventRow(lang string, e db.Event) view.EventRow {
	model, _ := e.Context["model"].(map[string]any)
	modelName, _ := model["model_name"].(string)
	row := view.EventRow{At: e.Created, What: eventWord(e.Action, modelName), User: e.Actor}
	if e.IP.IsValid() {
		row.IP, row.Place = e.IP.String(), placeName(lang, s.app.Locate(e.IP).Place)
	}
	switch e.Action {
	case db.Login:
		row.Kind = "good"
		row.Device = s.eventDevice(lang, e)
		if id, ok := e.Context["session"].(string); ok {
			row.URL = "/sessions/" + id
		}
	case db.LoginFailed:
		row.Kind = "bad"
		row.Device = s.eventDevice(lang, e)
	case db.PasswordSet, db.SecretView:
		row.Kind = "warning"
	case db.ModelCreated, db.ModelUpdated, db.ModelDeleted:
		row.Detail, _ = model["name"].(string)
		if e.SubjectID != e.ActorID {
			row.By = e.Actor
			row.User = row.Detail
			if modelName == "user" {
				row.Detail = ""
			}
		}
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
