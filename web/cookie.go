package web

import (
	"net/http"
	"time"

	"lastseen/db"

	"github.com/gin-gonic/gin"
)

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
