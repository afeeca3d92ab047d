package web

import (
	"fmt"
	"net/http"
	"strings"

	"lastseen/app/config"

	"github.com/gin-gonic/gin"
)

// named refuses a request under a name that is none of ours: whoever makes a name
// of theirs lead to this address would have browsers hold our pages for theirs.
// What a proxy asks has the app's name, and what has no name comes from no browser.
func (s *Server) named(c *gin.Context) {
	path := c.Request.URL.Path
	if isGateAuth(path) {
		return // authorize refuses who is no proxy
	}
	host, _, ok := config.ParseHost(c.Request.Host)
	if ok && strings.HasPrefix(path, gatePrefix+"/") && s.app.Config.OwnCookie(host) {
		if err := s.fromProxy(peerAddr(c.Request)); err != nil {
			s.fail(c, err)
			c.Abort()
		}
		return
	}
	if s.answersTo(c.Request.Host) || needsNoData(path) ||
		strings.HasPrefix(path, gatePrefix+"/") && s.trusted(peerAddr(c.Request)) {
		return
	}
	s.fail(c, fmt.Errorf("%w: %.100q", errNotOurName, c.Request.Host))
	c.Abort()
}

// answersTo reports whether a Host header is a name of ours.
func (s *Server) answersTo(hostport string) bool {
	if hostport == "" || hostport == s.app.Config.PublicURL.Host {
		return true
	}
	host, _, ok := config.ParseHost(hostport)
	return ok && s.app.Config.AnswersTo(host)
}

// onlyNamed refuses the same for what is served beside.
func (s *Server) onlyNamed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.answersTo(r.Host) {
			http.Error(w, "This is not known by that name: ask by address, or by a name that --public-url or --cookie-domain covers.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// needsNoData reports whether a path is the same for everybody, whatever is stored.
func needsNoData(path string) bool {
	return strings.HasPrefix(path, "/static/") || strings.HasPrefix(path, "/-/health/")
}
