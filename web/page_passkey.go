package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"lastseen/app"
	"lastseen/db"
	"lastseen/web/view"

	"github.com/gin-gonic/gin"
)

// offersPasskeys reports whether the browser could use a passkey on the page it asks for.
func (s *Server) offersPasskeys(c *gin.Context) bool {
	_, ok := s.app.PasskeyHost()
	return ok && strings.EqualFold(c.Request.Host, s.app.Config.PublicURL.Host)
}

// hasPasskey reports whether one of somebody's passkeys is for this host.
func (s *Server) hasPasskey(has db.Factors) bool {
	host, _ := s.app.PasskeyHost()
	return slices.ContainsFunc(has.Passkeys, func(k db.Passkey) bool { return k.RPID == host })
}

// asks answers a page's script with what to ask the browser for.
func (s *Server) asks(ask func(c *gin.Context) (app.PasskeyRequest, error)) handler {
	return func(c *gin.Context) error {
		if _, err := parseForm(c); err != nil {
			return err
		}
		request, err := ask(c)
		if errors.Is(err, app.ErrNoPasskeys) {
			err = db.ErrNotFound
		}
		if err != nil {
			return err
		}
		writeJSON(c, http.StatusOK, request)
		return nil
	}
}

func (s *Server) passkeyToSignIn(c *gin.Context) (app.PasskeyRequest, error) {
	return s.app.AskToSignIn(c.Request.Context())
}

func (s *Server) passkeyToFinish(c *gin.Context) (app.PasskeyRequest, error) {
	return s.app.AskToFinish(c.Request.Context(), s.own(c.Request, pendingCookie))
}

func (s *Server) passkeyToEnrol(c *gin.Context) (app.PasskeyRequest, error) {
	return s.app.AskToEnrol(c.Request.Context(), s.own(c.Request, pendingCookie))
}

func (s *Server) passkeyToRegister(c *gin.Context) (app.PasskeyRequest, error) {
	return s.app.AskToRegister(c.Request.Context(), caller(c))
}

func (s *Server) passkeyToProve(c *gin.Context) (app.PasskeyRequest, error) {
	return s.app.AskToProve(c.Request.Context(), caller(c))
}

// passkeyAnswer is what a page's script sends.
func passkeyAnswer(form url.Values) app.PasskeyAnswer {
	return app.PasskeyAnswer{Token: form.Get("challenge"), Answer: form.Get("answer")}
}

func (s *Server) newPasskey(c *gin.Context, form url.Values) app.NewPasskey {
	return app.NewPasskey{PasskeyAnswer: passkeyAnswer(form), Name: form.Get("passkey_name"), Browser: s.passkeyName(c)}
}

var (
	passkeyRefused = view.Msg("That passkey is not good here: it was removed, or your device did not say that it is you, or that took more than five minutes.")
	passkeyWrong   = view.Msg("That passkey could not be set up. Try again, within five minutes.")
	passkeyThere   = view.Msg("That passkey is set up already.")
	passkeyAdded   = view.Msg("The passkey %s is set up.")
)

// signInByPasskey is the sign-in form's, sent with the answer of a passkey.
func (s *Server) signInByPasskey(c *gin.Context, form url.Values) error {
	page := view.LoginPage{RD: s.rd(form.Get("rd")), State: stateParameter(form.Get("state")), Remember: form.Get("remember") != ""}
	client := s.signingIn(c)
	token, sess, err := s.app.SignInByPasskey(c.Request.Context(), passkeyAnswer(form), page.Remember, client, s.tokens(c.Request))
	var busy *app.BusyError
	switch {
	case errors.Is(err, app.ErrBadCredentials):
		page.Error = passkeyRefused
		return s.renderLogin(c, http.StatusUnauthorized, page)
	case errors.As(err, &busy):
		page.RetryAfter = busy.RetryAfter
		c.Header("Retry-After", retryAfter(busy))
		return s.renderLogin(c, http.StatusTooManyRequests, page)
	}
	return s.entered(c, token, sess, err, page.RD, page.State)
}

// enrolPasskey is the form's of who must have a factor, sent with a new passkey.
func (s *Server) enrolPasskey(c *gin.Context, p app.Pending, form url.Values, page view.TOTPPage) error {
	codes, token, sess, err := s.app.EnrolPasskey(c.Request.Context(), s.own(c.Request, pendingCookie), s.newPasskey(c, form), s.signingIn(c), s.tokens(c.Request))
	if errors.Is(err, app.ErrUnauthenticated) || errors.Is(err, app.ErrBadCredentials) {
		return s.signInAnew(c, page.RD, page.State)
	}
	if page.Error = passkeyProblem(err); page.Error != "" {
		return s.renderTOTP(c, http.StatusBadRequest, p.User, page)
	}
	if err != nil {
		return err
	}
	return s.enrolled(c, p.User, token, sess, codes, wayBack(page.RD, page.State))
}

// passkeyProblem is what a page says of why there is no new passkey, or "".
func passkeyProblem(err error) string {
	var input *db.InputError
	switch {
	case errors.As(err, &input):
		return input.Problem
	case errors.Is(err, app.ErrPasskey):
		return passkeyWrong
	case errors.Is(err, db.ErrConflict):
		return passkeyThere
	}
	return ""
}

func (s *Server) passkeyForm(c *gin.Context) error {
	return s.renderPasskey(c, http.StatusOK, view.PasskeyPage{})
}

func (s *Server) renderPasskey(c *gin.Context, status int, page view.PasskeyPage) error {
	if !s.offersPasskeys(c) {
		return db.ErrNotFound // the profile says why
	}
	page.Layout = s.layout(c, "profile")
	return s.render(c, status, "passkey", &page)
}

// passkeyName is what a passkey may be called that this browser makes.
func (s *Server) passkeyName(c *gin.Context) string {
	client, system := app.Title(s.app.Agent(c.Request.UserAgent()))
	return s.pages.Device(s.language(c), client, system)
}

func (s *Server) addPasskey(c *gin.Context) error {
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	n := s.newPasskey(c, form)
	name, codes, err := s.app.AddPasskey(c.Request.Context(), caller(c), n)
	if text := passkeyProblem(err); text != "" {
		return s.renderPasskey(c, http.StatusBadRequest, view.PasskeyPage{Name: n.Name, Error: text})
	}
	if err != nil {
		return err
	}
	if codes != nil {
		return s.renderRecovery(c, codes, "/profile")
	}
	s.say(c, s.pages.Text(s.language(c), passkeyAdded, name))
	redirect(c, "/profile")
	return nil
}

func (s *Server) removePasskey(c *gin.Context) error { return s.removeFactor(c, db.KindPasskey) }
