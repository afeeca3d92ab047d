package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"lastseen/app"
	"lastseen/db"

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
		back := ""
		if c.Request.Method == http.MethodGet || c.Request.Method == http.MethodHead {
			back = "?rd=" + url.QueryEscape(c.Request.URL.RequestURI())
		}
		redirect(c, "/login"+back)
		return nil
	}
}

func (s *Server) loginForm(c *gin.Context) error {
	rd := s.rd(c.Query("rd"))
	_, err := s.byCookie(c)
	if err == nil {
		return s.sendBack(c, rd)
	}
	if !errors.Is(err, app.ErrUnauthenticated) {
		return err
	}
	return s.renderLogin(c, http.StatusOK, loginPage{RD: rd})
}

// maxReturns is how often, within ten seconds, somebody who is signed in already
// is sent back to an app before we believe that it cannot see the cookie.
const maxReturns = 5

// sendBack leads somebody who is signed in to where they wanted. When that is
// another host and it sends them here again and again, they get a page.
func (s *Server) sendBack(c *gin.Context, rd string) error {
	if u, err := url.Parse(rd); err == nil && u.Host != "" && u.Host != s.app.Config.PublicURL.Host {
		count := s.cookie("")
		count.Name, count.Domain, count.MaxAge = "lastseen_returns", "", 10
		n := 0
		if last, err := c.Request.Cookie(count.Name); err == nil {
			n, _ = strconv.Atoi(last.Value)
		}
		if n >= maxReturns {
			return errNotReturned
		}
		count.Value = strconv.Itoa(n + 1)
		http.SetCookie(c.Writer, &count)
		// A cookie from before a domain was set reaches no app: widen it.
		if own := caller(c).Session; own != uuid.Nil && s.app.Config.CookieDomain != "" {
			for _, token := range tokens(c.Request) {
				if sess, err := s.app.SessionByToken(c.Request.Context(), token); err == nil && sess.UUID == own {
					s.setCookie(c, token, sess)
				}
			}
		}
	}
	redirect(c, rd)
	return nil
}

func (s *Server) renderLogin(c *gin.Context, status int, page loginPage) error {
	page.layout = s.layout(c, "")
	if s.app.SetupToken() != "" {
		has, err := s.app.HasUsers(c.Request.Context())
		if err != nil {
			return err
		}
		page.NoUsers = !has
	}
	if u, err := url.Parse(page.RD); err == nil && u.Host != "" && u.Host != s.app.Config.PublicURL.Host {
		page.App = u.Host
	}
	c.Header("Content-Security-Policy", s.loginPolicy)
	return s.render(c, status, "login", &page)
}

// parseForm reads a form; any other content type is refused, so that no other
// site can send one as something a browser does not ask about first.
func parseForm(c *gin.Context) (url.Values, error) {
	if c.ContentType() != "application/x-www-form-urlencoded" {
		return nil, errMediaType
	}
	if err := c.Request.ParseForm(); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			c.Header("Connection", "close") // rather than to read on
			return nil, errTooLarge
		}
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return c.Request.PostForm, nil
}

func (s *Server) login(c *gin.Context) error {
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	credentials := app.Credentials{
		Username: form.Get("username"), Password: form.Get("password"), Remember: form.Get("remember") != "",
	}
	rd := s.rd(form.Get("rd"))
	client, _ := s.client(c.Request)
	token, sess, err := s.app.SignIn(c.Request.Context(), credentials, client, tokens(c.Request))
	page := loginPage{RD: rd, Username: credentials.Username, Remember: credentials.Remember}
	var busy *app.BusyError
	switch {
	case errors.Is(err, app.ErrBadCredentials):
		page.Failed = true
		return s.renderLogin(c, http.StatusUnauthorized, page)
	case errors.As(err, &busy):
		page.RetryAfter = busy.RetryAfter
		c.Header("Retry-After", retryAfter(busy))
		return s.renderLogin(c, http.StatusTooManyRequests, page)
	case err != nil:
		return err
	}
	s.setCookie(c, token, sess)
	redirect(c, rd)
	return nil
}

// setCookie hands the browser its session's token. One that is not to be
// remembered is dropped when the browser closes; the session lives as long.
func (s *Server) setCookie(c *gin.Context, token string, sess db.Session) {
	cookie := s.cookie(token)
	if sess.Remember {
		cookie.MaxAge = max(1, int(sess.Ends.Sub(sess.Created)/time.Second))
	}
	http.SetCookie(c.Writer, &cookie)
}

func (s *Server) dropCookie(c *gin.Context) {
	cookie := s.cookie("")
	cookie.MaxAge = -1
	http.SetCookie(c.Writer, &cookie)
}

func (s *Server) cookie(value string) http.Cookie {
	return http.Cookie{
		Name: sessionCookie, Value: value, Path: "/", Domain: s.app.Config.CookieDomain,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.app.Config.PublicURL.Scheme == "https",
	}
}

func (s *Server) logoutForm(c *gin.Context) error {
	if _, err := s.byCookie(c); errors.Is(err, app.ErrUnauthenticated) {
		redirect(c, "/login")
		return nil
	} else if err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "logout", &logoutPage{layout: s.layout(c, ""), Action: "/logout"})
}

func (s *Server) logout(c *gin.Context) error {
	caller, err := s.byCookie(c)
	if err == nil {
		err = s.app.SignOut(c.Request.Context(), caller)
	}
	if err != nil && !errors.Is(err, app.ErrUnauthenticated) {
		return err
	}
	s.dropCookie(c)
	redirect(c, "/login")
	return nil
}

// setupForm exists for who brings the printed token, and until there is a user.
func (s *Server) setupForm(c *gin.Context) error {
	token := c.Query("token")
	open, err := s.app.SetupOpen(c.Request.Context(), token)
	if err != nil {
		return err
	}
	if !open {
		return errNoPage
	}
	return s.render(c, http.StatusOK, "setup", &setupPage{layout: s.layout(c, ""), Token: token, MinLength: db.MinPassword})
}

func (s *Server) setup(c *gin.Context) error {
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	client, _ := s.client(c.Request)
	page := setupPage{Token: form.Get("token"), Username: form.Get("username"), MinLength: db.MinPassword}
	credentials := app.Credentials{Username: page.Username, Password: form.Get("password")}
	token, sess, err := s.app.Setup(c.Request.Context(), page.Token, credentials, client)
	var input *db.InputError
	switch {
	case errors.Is(err, app.ErrForbidden):
		return errNoPage
	case errors.As(err, &input):
		page.layout, page.Error = s.layout(c, ""), input.Problem
		return s.render(c, http.StatusBadRequest, "setup", &page)
	case err != nil:
		return err
	}
	s.setCookie(c, token, sess)
	redirect(c, homePath)
	return nil
}
