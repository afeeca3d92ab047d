package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"lastseen/app"
	"lastseen/app/alert"
	"lastseen/db"
	"lastseen/web/view"

	"github.com/gin-gonic/gin"
)

// alertTypes are what alerts are of, in English keys.
var alertTypes = []struct {
	alert.Type
	text string
}{
	{alert.SignIn, view.Msg("Sign-ins from a new device or country")},
	{alert.FactorAdded, view.Msg("A second factor or passkey added")},
	{alert.FactorRemoved, view.Msg("A second factor or passkey removed")},
	{alert.PasswordChanged, view.Msg("A password changed or reset")},
	{alert.SuperuserAdded, view.Msg("A new superuser")},
	{alert.AccountLocked, view.Msg("An account locked after wrong passwords")},
	{alert.BackupTaken, view.Msg("A backup downloaded")},
	{alert.KeyCreated, view.Msg("An API token made")},
}

// ticks are all types; those that are chosen, or all when none is, are ticked.
func ticks(chosen []alert.Type) []view.Tick {
	all := make([]view.Tick, len(alertTypes))
	for i, t := range alertTypes {
		all[i] = view.Tick{Value: string(t.Type), Text: t.text, Chosen: len(chosen) == 0 || slices.Contains(chosen, t.Type)}
	}
	return all
}

// ticked are the types of a form that were, and whether there were some to tick, but none was.
func ticked(form url.Values) (types []alert.Type, none bool) {
	for _, t := range form["type"] {
		types = append(types, alert.Type(t))
	}
	return types, form.Get("listed") != "" && len(types) == 0
}

// noneTicked is for a target, to which no types would mean all, noTargetKey for a server
// without its key.
var (
	noneTicked  = view.Msg("Tick at least one alert that it gets.")
	noTargetKey = view.Msg("The target cannot be stored, since the key that encrypts it is gone. The page Doctor says what to do.")
)

func (s *Server) alertsForm(c *gin.Context) error {
	return s.renderAlerts(c, http.StatusOK, view.AlertsPage{Types: ticks(nil)})
}

func (s *Server) renderAlerts(c *gin.Context, status int, page view.AlertsPage) error {
	targets, err := s.app.AlertTargets(c.Request.Context())
	if err != nil {
		return err
	}
	for _, t := range targets {
		row := view.TargetRow{ID: t.ID, Set: t.Set, Types: ticks(t.Types), Problem: t.Problem.Problem, ProblemAt: t.Problem.Created}
		if t.Target != (alert.Target{}) {
			row.Name = t.Target.String()
		}
		page.Targets = append(page.Targets, row)
	}
	page.Layout, page.Flash, page.Mail = s.layout(c, "alerts"), s.flash(c), s.app.Config.Mail != nil
	return s.render(c, status, "alerts", &page)
}

// addTarget adds a target. What was typed is not shown again, as it holds secrets.
func (s *Server) addTarget(c *gin.Context) error {
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	types, none := ticked(form)
	if none {
		return s.renderAlerts(c, http.StatusBadRequest, view.AlertsPage{Types: ticks(nil), Error: noneTicked})
	}
	t, err := s.app.AddAlertTarget(c.Request.Context(), caller(c).Actor(), form.Get("url"), types)
	if errors.Is(err, app.ErrSealed) {
		return s.renderAlerts(c, http.StatusServiceUnavailable, view.AlertsPage{Types: ticks(types), Error: noTargetKey})
	}
	if text := sentence(c, err, "", ""); text != "" {
		return s.renderAlerts(c, http.StatusBadRequest, view.AlertsPage{Types: ticks(types), Error: text})
	}
	if err != nil {
		return err
	}
	s.say(c, s.pages.Text(s.language(c), "Added %s. Send it a test.", t.Name()))
	redirect(c, "/alerts")
	return nil
}

// alertTarget is that of the path.
func (s *Server) alertTarget(c *gin.Context) (app.AlertTarget, error) {
	targets, err := s.app.AlertTargets(c.Request.Context())
	if err != nil {
		return app.AlertTarget{}, err
	}
	i := slices.IndexFunc(targets, func(t app.AlertTarget) bool { return t.ID == c.Param("id") })
	if i < 0 {
		return app.AlertTarget{}, db.ErrNotFound
	}
	return targets[i], nil
}

func (s *Server) chooseAlerts(c *gin.Context) error {
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	types, none := ticked(form)
	if none {
		s.say(c, s.pages.Text(s.language(c), noneTicked))
		redirect(c, "/alerts")
		return nil
	}
	if err := s.app.ChooseAlerts(c.Request.Context(), caller(c).Actor(), c.Param("id"), types); err != nil {
		return err
	}
	s.say(c, s.pages.Text(s.language(c), "Saved."))
	redirect(c, "/alerts")
	return nil
}

// testAlert sends a test, and says what came of it.
func (s *Server) testAlert(c *gin.Context) error {
	t, err := s.alertTarget(c)
	if err != nil {
		return err
	}
	lang := s.language(c)
	switch err := s.app.TestAlert(c.Request.Context(), t.ID); {
	case errors.Is(err, db.ErrNotFound):
		return err
	case err != nil:
		s.say(c, s.pages.Text(lang, "The test was not sent: %s.", err.Error()))
	default:
		s.say(c, s.pages.Text(lang, "A test was sent to %s. See whether it arrives.", t.Name()))
	}
	redirect(c, "/alerts")
	return nil
}

func (s *Server) removeTarget(c *gin.Context) error {
	t, err := s.alertTarget(c)
	if err != nil {
		return err
	}
	if err := s.app.RemoveAlertTarget(c.Request.Context(), caller(c).Actor(), t.ID); err != nil {
		return err
	}
	s.say(c, s.pages.Text(s.language(c), "Removed %s.", t.Name()))
	redirect(c, "/alerts")
	return nil
}

// ownAlerts are those that a caller gets by mail; nil, when there is none.
func (s *Server) ownAlerts(c *gin.Context) (*view.OwnAlerts, error) {
	if s.app.Config.Mail == nil {
		return nil, nil
	}
	mail, types, err := s.app.AlertChoice(c.Request.Context(), caller(c).User.ID)
	return &view.OwnAlerts{Mail: mail, Types: ticks(types)}, err
}

func (s *Server) chooseOwnAlerts(c *gin.Context) error {
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	types, none := ticked(form)
	if err := s.app.ChooseAlertMail(c.Request.Context(), caller(c).User.ID, form.Get("mail") != "" && !none, types); err != nil {
		return err
	}
	s.say(c, s.pages.Text(s.language(c), "Saved."))
	redirect(c, "/profile#alerts")
	return nil
}

// stranger is the session of the path, living or ended, if the caller may say that it was
// somebody else: it is of their account, and not the one that they use now.
func (s *Server) stranger(c *gin.Context) (app.Session, error) {
	r, err := s.record(c)
	if err == nil && !notMe(c, r.Session) {
		err = db.ErrNotFound
	}
	return r.Session, err
}

func notMe(c *gin.Context, sess app.Session) bool {
	return sess.UserID == caller(c).User.ID && !sess.Current
}

func (s *Server) notMeForm(c *gin.Context) error {
	sess, err := s.stranger(c)
	if err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "confirm", &view.ConfirmPage{
		Layout: s.layout(c, "sessions"), NotMe: true, Sessions: []view.SessionRow{newSessionRow(s.language(c), sess)},
		Action: c.Request.URL.Path, Back: "/sessions/" + sess.UUID.String(),
	})
}

// notMe signs a session and its device out, and leads on to a new password.
func (s *Server) notMe(c *gin.Context) error {
	sess, err := s.stranger(c)
	if err != nil {
		return err
	}
	if err := s.app.NotMe(c.Request.Context(), caller(c), &sess); err != nil {
		return err
	}
	lang := s.language(c)
	s.say(c, s.pages.Text(lang, "Signed out %s. Now choose a new password: whoever that was knows the old one.", s.pages.Called(lang, newSessionRow(lang, sess))))
	redirect(c, "/profile#password")
	return nil
}
