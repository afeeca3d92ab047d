package web

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"lastseen/app"
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
	return s.renderLogin(c, http.StatusOK, view.LoginPage{RD: rd})
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

func (s *Server) renderLogin(c *gin.Context, status int, page view.LoginPage) error {
	page.Layout = s.layout(c, "")
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
	page := view.LoginPage{RD: rd, Username: credentials.Username, Remember: credentials.Remember}
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
