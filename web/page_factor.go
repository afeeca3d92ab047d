package web

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"lastseen/app"
	"lastseen/db"
	"lastseen/web/view"

	"github.com/gin-gonic/gin"
)

// pendingCookie holds the token of a sign-in of which something is still to be proven, in
// seconds. It is for our own host, and for the pages under /login alone.
const (
	pendingCookie = "lastseen_signin"
	pendingFor    = 5 * 60
)

// signInPages ask for what is still to be proven.
var signInPages = map[app.Step]string{app.SecondFactor: "/login/code", app.OwnPassword: "/login/password", app.Enrol: "/login/set-up"}

// entered answers who has proven something: with their session, and on to a safe target;
// or with the page that asks for the rest. Any other error is the caller's.
func (s *Server) entered(c *gin.Context, token string, sess db.Session, err error, rd, state string) error {
	var unfinished *app.UnfinishedError
	if errors.As(err, &unfinished) {
		s.setOwn(c, pendingCookie, unfinished.Token, pendingFor)
		redirect(c, signInPages[unfinished.Wants]+"?"+wayBack(rd, state))
		return nil
	}
	if err != nil {
		return err
	}
	s.signedInAs(c, token, sess)
	return s.lead(c, app.Caller{Session: sess.UUID}, rd, state)
}

// signedInAs hands the browser its session, in the place of what led there, and its
// device's token.
func (s *Server) signedInAs(c *gin.Context, token string, sess db.Session) {
	if s.own(c.Request, pendingCookie) != "" {
		s.setOwn(c, pendingCookie, "", -1)
	}
	s.setCookie(c, token, sess)
	s.setDevice(c, c.MustGet(deviceKey).(string))
}

// wayBack is where a sign-in is to lead, for the address of its next page.
func wayBack(rd, state string) string {
	query := url.Values{"rd": {rd}}
	if state != "" {
		query.Set("state", state)
	}
	return query.Encode()
}

// signInAnew leads back to the beginning of a sign-in that is no more.
func (s *Server) signInAnew(c *gin.Context, rd, state string) error {
	if s.own(c.Request, pendingCookie) != "" {
		s.setOwn(c, pendingCookie, "", -1)
		s.warn(c, s.pages.Text(s.language(c), tooLate))
	}
	redirect(c, "/login?"+wayBack(rd, state))
	return nil
}

var tooLate = view.Msg("That took more than five minutes, or something about the account has changed meanwhile. Sign in again.")

// pending is the sign-in that the browser has begun, if it waits for this step. Otherwise
// the answer is the page of its own step, or the beginning.
func (s *Server) pending(c *gin.Context, step app.Step, rd, state string) (p app.Pending, answered bool, err error) {
	p, err = s.app.Pending(c.Request.Context(), s.own(c.Request, pendingCookie))
	switch {
	case errors.Is(err, app.ErrUnauthenticated) || err == nil && p.Wants == "":
		return p, true, s.signInAnew(c, rd, state)
	case err == nil && p.Wants != step:
		redirect(c, signInPages[p.Wants]+"?"+wayBack(rd, state))
		return p, true, nil
	}
	return p, false, err
}

func (s *Server) codeForm(c *gin.Context) error {
	return s.renderCode(c, http.StatusOK, view.CodePage{RD: s.rd(c.Query("rd")), State: stateParameter(c.Query("state"))})
}

func (s *Server) renderCode(c *gin.Context, status int, page view.CodePage) error {
	p, answered, err := s.pending(c, app.SecondFactor, page.RD, page.State)
	if answered || err != nil {
		return err
	}
	page.Layout = s.layout(c, "")
	page.App, page.Username = s.appHost(page.RD), p.User.Username
	page.Trust = view.NewSpan(s.app.Config.TrustDevices)
	page.Codes, page.Recovery = len(p.Factors.TOTPs) > 0, p.Factors.Recovery > 0
	page.HasPasskey = s.hasPasskey(p.Factors)
	page.Passkeys = s.offersPasskeys(c) && page.HasPasskey
	c.Writer.Header()["Content-Security-Policy"] = loginPolicy
	return s.render(c, status, "code", &page)
}

func (s *Server) signInByCode(c *gin.Context) error {
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	page := view.CodePage{RD: s.rd(form.Get("rd")), State: stateParameter(form.Get("state"))}
	client := s.signingIn(c)
	client.Trust = form.Get("trust") != ""
	pending, held := s.own(c.Request, pendingCookie), s.tokens(c.Request)
	var token string
	var sess db.Session
	refused := wrongCode
	if form.Has("answer") {
		token, sess, err = s.app.FinishByPasskey(c.Request.Context(), pending, passkeyAnswer(form), client, held)
		refused = passkeyRefused
	} else {
		token, sess, err = s.app.SignInByCode(c.Request.Context(), pending, form.Get("code"), client, held)
	}
	var busy *app.BusyError
	switch {
	case errors.Is(err, app.ErrUnauthenticated): // or it waits for something else
		return s.renderCode(c, http.StatusUnauthorized, page)
	case errors.Is(err, app.ErrBadCredentials):
		page.Error = refused
		c.Set(invalidKey, "code")
		return s.renderCode(c, http.StatusUnauthorized, page)
	case errors.Is(err, app.ErrSealed):
		page.Error = keyIsGone
		return s.renderCode(c, http.StatusServiceUnavailable, page)
	case errors.As(err, &busy):
		page.RetryAfter = busy.RetryAfter
		c.Header("Retry-After", retryAfter(busy))
		return s.renderCode(c, http.StatusTooManyRequests, page)
	}
	return s.entered(c, token, sess, err, page.RD, page.State)
}

var (
	wrongCode = view.Msg("That code is not right, or was used before. Wait for the next one and try again.")
	keyIsGone = view.Msg("This server cannot check codes: the key that it needs is gone. Use a recovery code, or ask an administrator of this site.")
)

// ownPasswordForm is for whose password somebody else set.
func (s *Server) ownPasswordForm(c *gin.Context) error {
	return s.renderOwnPassword(c, http.StatusOK, view.OwnPasswordPage{RD: s.rd(c.Query("rd")), State: stateParameter(c.Query("state"))})
}

func (s *Server) renderOwnPassword(c *gin.Context, status int, page view.OwnPasswordPage) error {
	p, answered, err := s.pending(c, app.OwnPassword, page.RD, page.State)
	if answered || err != nil {
		return err
	}
	page.Layout, page.App, page.Username, page.MinLength = s.layout(c, ""), s.appHost(page.RD), p.User.Username, db.MinPassword
	c.Writer.Header()["Content-Security-Policy"] = loginPolicy
	return s.render(c, status, "own_password", &page)
}

func (s *Server) ownPassword(c *gin.Context) error {
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	page := view.OwnPasswordPage{RD: s.rd(form.Get("rd")), State: stateParameter(form.Get("state"))}
	token, sess, err := s.app.SignInByOwnPassword(c.Request.Context(), s.own(c.Request, pendingCookie), form.Get("password"), s.signingIn(c), s.tokens(c.Request))
	var input *db.InputError
	switch {
	case errors.Is(err, app.ErrUnauthenticated):
		return s.renderOwnPassword(c, http.StatusUnauthorized, page)
	case errors.Is(err, app.ErrBadCredentials):
		return s.signInAnew(c, page.RD, page.State)
	case errors.As(err, &input):
		page.Error = input.Problem
		c.Set(invalidKey, input.Field)
		return s.renderOwnPassword(c, http.StatusBadRequest, page)
	}
	return s.entered(c, token, sess, err, page.RD, page.State)
}

// setUpForm is for who must have a factor and has none: until then they get nothing else.
func (s *Server) setUpForm(c *gin.Context) error {
	page := view.TOTPPage{RD: s.rd(c.Query("rd")), State: stateParameter(c.Query("state"))}
	p, answered, err := s.pending(c, app.Enrol, page.RD, page.State)
	if answered || err != nil {
		return err
	}
	return s.renderTOTP(c, http.StatusOK, p.User, page)
}

func (s *Server) setUp(c *gin.Context) error {
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	page := newTOTPPage(form)
	page.RD, page.State = s.rd(form.Get("rd")), stateParameter(form.Get("state"))
	p, answered, err := s.pending(c, app.Enrol, page.RD, page.State)
	if answered || err != nil {
		return err
	}
	if form.Has("answer") {
		return s.enrolPasskey(c, p, form, page)
	}
	codes, token, sess, err := s.app.SignInByEnrolling(c.Request.Context(), s.own(c.Request, pendingCookie), newTOTP(form), s.signingIn(c), s.tokens(c.Request))
	var input *db.InputError
	switch {
	case errors.Is(err, app.ErrUnauthenticated), errors.Is(err, app.ErrBadCredentials), errors.Is(err, db.ErrConflict):
		return s.signInAnew(c, page.RD, page.State)
	case errors.As(err, &input):
		page.Error = input.Problem
		c.Set(invalidKey, input.Field)
		return s.renderTOTP(c, http.StatusBadRequest, p.User, page)
	case errors.Is(err, app.ErrSealed):
		return errMalformed
	case err != nil:
		return err
	}
	return s.enrolled(c, p.User, token, sess, codes, wayBack(page.RD, page.State))
}

// enrolled signs in who has set up the factor that they must have, and shows the recovery
// codes that came with it.
func (s *Server) enrolled(c *gin.Context, user db.User, token string, sess db.Session, codes []string, back string) error {
	s.signedInAs(c, token, sess)
	setCaller(c, app.Caller{User: &user, Session: sess.UUID, IP: sess.IP})
	return s.renderRecovery(c, codes, "/login?"+back)
}

func (s *Server) totpForm(c *gin.Context) error {
	return s.renderTOTP(c, http.StatusOK, *caller(c).User, view.TOTPPage{})
}

// newTOTP is what the form of an enrolment says, and newTOTPPage what its page shows again.
func newTOTP(form url.Values) app.NewTOTP {
	return app.NewTOTP{Factor: form.Get("factor"), Sealed: form.Get("sealed"), Name: form.Get("name"), Code: form.Get("code")}
}

func newTOTPPage(form url.Values) view.TOTPPage {
	return view.TOTPPage{Factor: form.Get("factor"), Sealed: form.Get("sealed"), Name: form.Get("name")}
}

func (s *Server) renderTOTP(c *gin.Context, status int, user db.User, page view.TOTPPage) error {
	e, err := s.app.Enrolment(user, page.Factor, page.Sealed)
	if errors.Is(err, app.ErrSealed) && page.Factor != "" {
		return errMalformed
	}
	if err != nil {
		return err
	}
	if page.QR, err = view.QR(e.URI); err != nil {
		return err
	}
	page.Layout = s.layout(c, "profile")
	page.Factor, page.Sealed, page.Key, page.URI = e.Factor, e.Sealed, e.Key, view.AppLink(e.URI)
	if page.Name == "" {
		page.Name = s.pages.Text(s.language(c), "Authenticator app")
	}
	if page.RD != "" {
		page.App, page.Username = s.appHost(page.RD), user.Username
		page.Passkeys = s.offersPasskeys(c)
	}
	return s.render(c, status, "totp", &page)
}

func (s *Server) addTOTP(c *gin.Context) error {
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	n := newTOTP(form)
	codes, err := s.app.AddTOTP(c.Request.Context(), caller(c), n)
	var input *db.InputError
	switch {
	case errors.As(err, &input):
		page := newTOTPPage(form)
		page.Error = input.Problem
		c.Set(invalidKey, input.Field)
		return s.renderTOTP(c, http.StatusBadRequest, *caller(c).User, page)
	case errors.Is(err, app.ErrSealed):
		return errMalformed
	case errors.Is(err, db.ErrConflict): // sent twice
		redirect(c, "/profile")
		return nil
	case err != nil:
		return err
	}
	if codes != nil {
		return s.renderRecovery(c, codes, "/profile")
	}
	s.say(c, s.pages.Text(s.language(c), factorAdded, n.Name))
	redirect(c, "/profile")
	return nil
}

var (
	factorAdded   = view.Msg("%s is set up. You are asked for its code at the next sign-in.")
	factorRemoved = view.Msg("It is removed, and good for nothing from now on.")
	onlyWayIn     = view.Msg("You have no password, so this passkey is your only way in. Set a password, or another passkey, before you remove it.")
	lastFactor    = view.Msg("This site asks you for a second factor, so you must keep one. Set up another before you remove this.")
)

func (s *Server) removeTOTP(c *gin.Context) error { return s.removeFactor(c, db.KindTOTP) }

// removeFactor removes the caller's factor that the path names.
func (s *Server) removeFactor(c *gin.Context, kind db.FactorKind) error {
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil {
		return db.ErrNotFound
	}
	err = s.app.RemoveFactor(c.Request.Context(), caller(c).Actor(), *caller(c).User, kind, id)
	if errors.Is(err, app.ErrLastFactor) {
		return s.renderProfile(c, http.StatusForbidden, view.ProfilePage{ErrorIn: "factors", Error: lastFactor})
	}
	if errors.Is(err, app.ErrOnlyWayIn) {
		return s.renderProfile(c, http.StatusForbidden, view.ProfilePage{ErrorIn: "factors", Error: onlyWayIn})
	}
	if err != nil {
		return err
	}
	s.say(c, s.pages.Text(s.language(c), factorRemoved))
	redirect(c, "/profile")
	return nil
}

// nameFactor takes what the caller calls a factor of theirs.
func (s *Server) nameFactor(kind db.FactorKind) handler {
	return func(c *gin.Context) error {
		form, err := parseForm(c)
		if err != nil {
			return err
		}
		id, err := strconv.ParseInt(c.Param("id"), 10, 64)
		if err != nil {
			return db.ErrNotFound
		}
		err = s.app.NameFactor(c.Request.Context(), caller(c), kind, id, form.Get("name"))
		var input *db.InputError
		if errors.As(err, &input) {
			return s.renderProfile(c, http.StatusBadRequest, view.ProfilePage{ErrorIn: "factors", Error: input.Problem})
		}
		if err != nil {
			return err
		}
		s.say(c, s.pages.Text(s.language(c), "Saved."))
		redirect(c, "/profile")
		return nil
	}
}

func (s *Server) newRecoveryCodes(c *gin.Context) error {
	codes, err := s.app.NewRecoveryCodes(c.Request.Context(), caller(c))
	if err != nil {
		return err
	}
	return s.renderRecovery(c, codes, "/profile")
}

// renderRecovery shows new recovery codes, once, and then leads on.
func (s *Server) renderRecovery(c *gin.Context, codes []string, next string) error {
	return s.render(c, http.StatusOK, "recovery", &view.RecoveryPage{Layout: s.layout(c, "profile"), Codes: codes, Next: next})
}

// resetFactors is for a superuser, when somebody has lost all of theirs.
func (s *Server) resetFactors(c *gin.Context) error {
	user, err := s.pathUser(c)
	if err != nil {
		return err
	}
	done := factorsReset
	if user.PasswordHash == "" {
		done = passkeysReset
	}
	return s.change(c, "delete", done, func(_ url.Values, user *db.User) error {
		return s.app.ResetFactors(c.Request.Context(), caller(c).Actor(), *user)
	})
}

var (
	factorsReset  = view.Msg("The second factors of %s are removed: the password alone signs them in.")
	passkeysReset = view.Msg("The passkeys of %s are removed, and there is no password: make a link for one.")
)

// factors are a user's as pages show them.
func (s *Server) factors(c *gin.Context, user db.User) (view.Factors, error) {
	has, err := s.app.Factors(c.Request.Context(), caller(c), user.ID)
	if err != nil {
		return view.Factors{}, err
	}
	f := view.Factors{Recovery: has.Recovery, Required: s.app.MustHaveFactor(user)}
	host, _ := s.app.PasskeyHost()
	for _, t := range has.TOTPs {
		f.TOTPs = append(f.TOTPs, view.Factor{ID: t.ID, Name: t.Name, Added: t.Created, LastUsed: t.LastUsed})
	}
	for _, k := range has.Passkeys {
		passkey := view.Factor{ID: k.ID, Name: k.Name, Added: k.Created, LastUsed: k.LastUsed}
		if k.RPID != host {
			passkey.Elsewhere = k.RPID
		}
		f.Passkeys = append(f.Passkeys, passkey)
	}
	return f, nil
}
