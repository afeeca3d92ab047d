package web

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lastseen/app"
	"lastseen/app/config"
	"lastseen/web/view"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
)

// home leads to one's sessions, or to signing in.
func (s *Server) home(c *gin.Context) error {
	redirect(c, homePath)
	return nil
}

// redirect answers with 303: whatever was sent, what follows is a GET.
func redirect(c *gin.Context, target string) {
	c.Header("Location", target)
	c.Status(http.StatusSeeOther)
	c.Writer.WriteHeaderNow()
}

// signedIn is for pages: it finds who asks, or leads to the sign-in page and
// back here afterwards.
func (s *Server) signedIn(h handler) handler {
	return func(c *gin.Context) error {
		_, err := s.byCookie(c)
		if !errors.Is(err, app.ErrUnauthenticated) {
			if err != nil {
				return err
			}
			return h(c)
		}
		back := "?rd=" + url.QueryEscape(c.Request.URL.RequestURI())
		if !isSafe(c.Request.Method) { // nothing can be sent again: back to the page with the form
			if back = s.cameFrom(c.Request); back != "" {
				back = "?rd=" + url.QueryEscape(back)
			}
			s.warn(c, s.pages.Text(s.language(c), unsent))
		}
		redirect(c, "/login"+back)
		return nil
	}
}

// unsent is what somebody reads who sent something when their session had ended.
var unsent = view.Msg("You were signed out by then, so what you sent was not taken. Sign in, and send it again from the page you came from.")

// cameFrom is the page of ours that a request was sent from, or "".
func (s *Server) cameFrom(r *http.Request) string {
	u, err := url.Parse(r.Referer())
	if err != nil || u.Host != r.Host {
		return ""
	}
	return s.rd(u.RequestURI())
}

func (s *Server) loginForm(c *gin.Context) error {
	rd, state := s.rd(c.Query("rd")), stateParameter(c.Query("state"))
	_, err := s.byCookie(c)
	if err == nil {
		return s.sendBack(c, rd, state)
	}
	if !errors.Is(err, app.ErrUnauthenticated) {
		return err
	}
	return s.renderLogin(c, http.StatusOK, view.LoginPage{RD: rd, State: state, Ended: len(s.tokens(c.Request)) > 0})
}

// maxReturns is how often, within ten seconds, somebody who is signed in already
// is sent back to an app before we believe that it cannot see the cookie.
const maxReturns = 4 // of a browser's twenty redirects each takes four

const returnsCookie = "lastseen_returns"

// sendBack leads somebody who is signed in to where they wanted. When that is
// another host and it sends them here again and again, they get a page.
func (s *Server) sendBack(c *gin.Context, rd, state string) error {
	if u, err := url.Parse(rd); err == nil && u.Host != "" && u.Host != s.app.Config.PublicURL.Host {
		host, _, _ := config.ParseHost(u.Host)
		last, count, _ := strings.Cut(s.own(c.Request, returnsCookie), "!")
		n, _ := strconv.Atoi(count)
		if last != host { // another app is another matter
			n = 0
		}
		if n >= maxReturns {
			return errNotReturned
		}
		s.setOwn(c, returnsCookie, host+"!"+strconv.Itoa(n+1), 10)
		// A cookie from before a domain was set reaches no app: widen it.
		if own := caller(c).Session; own != uuid.Nil && s.app.Config.CookieDomain != "" {
			for _, token := range s.tokens(c.Request) {
				if sess, err := s.app.SessionByToken(c.Request.Context(), token); err == nil && sess.UUID == own {
					s.setCookie(c, token, sess)
				}
			}
		}
	}
	return s.lead(c, caller(c), rd, state)
}

func (s *Server) renderLogin(c *gin.Context, status int, page view.LoginPage) error {
	page.Layout = s.layout(c, "")
	page.Flash = s.flash(c)
	if lasts := s.app.Config.SessionDuration; lasts >= 48*time.Hour {
		page.Days = int(lasts / (24 * time.Hour))
	} else {
		page.Hours = max(1, int(lasts/time.Hour))
	}
	if c.Query("unsent") != "" { // from an app's host, which can set no cookie here
		page.Flash = &view.Flash{Kind: "warning", Text: s.pages.Text(s.language(c), unsent)}
	}
	if s.app.SetupToken() != "" {
		has, err := s.app.HasUsers(c.Request.Context())
		if err != nil {
			return err
		}
		page.NoUsers = !has
	}
	page.App, page.Passkeys = s.appHost(page.RD), s.offersPasskeys(c)
	c.Writer.Header()["Content-Security-Policy"] = loginPolicy
	return s.render(c, status, "login", &page)
}

// appHost is the host that a sign-in leads to, "" when that is our own.
func (s *Server) appHost(rd string) string {
	if u, err := url.Parse(rd); err == nil && u.Host != s.app.Config.PublicURL.Host {
		return u.Host
	}
	return ""
}

func (s *Server) login(c *gin.Context) error {
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	if form.Has("answer") {
		return s.signInByPasskey(c, form)
	}
	credentials := app.Credentials{
		Username: form.Get("username"), Password: form.Get("password"), Remember: form.Get("remember") != "",
	}
	rd, state := s.rd(form.Get("rd")), stateParameter(form.Get("state"))
	client := s.signingIn(c)
	token, sess, err := s.app.SignIn(c.Request.Context(), credentials, client, s.tokens(c.Request))
	page := view.LoginPage{RD: rd, State: state, Username: credentials.Username, Remember: credentials.Remember}
	var busy *app.BusyError
	switch {
	case errors.Is(err, app.ErrBadCredentials):
		page.Failed = true
		c.Set(invalidKey, "password")
		return s.renderLogin(c, http.StatusUnauthorized, page)
	case errors.As(err, &busy):
		page.RetryAfter = busy.RetryAfter
		c.Set(invalidKey, "password")
		c.Header("Retry-After", retryAfter(busy))
		return s.renderLogin(c, http.StatusTooManyRequests, page)
	}
	return s.entered(c, token, sess, err, rd, state)
}
