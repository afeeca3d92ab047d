package web

import (
	"net/http"
	"strings"
	"time"

	"lastseen/app"
	"lastseen/app/config"
	"lastseen/db"

	"github.com/gin-gonic/gin"
)

// setCookie hands the browser its session's token. One that is not to be
// remembered is dropped when the browser closes; the session lives as long.
func (s *Server) setCookie(c *gin.Context, token string, sess db.Session) {
	cookie := s.cookie(c.Request, token)
	if sess.Remember {
		cookie.MaxAge = max(1, int(sess.Ends.Sub(sess.Created)/time.Second))
	}
	http.SetCookie(c.Writer, &cookie)
}

func (s *Server) dropCookie(c *gin.Context) {
	cookie := s.cookie(c.Request, "")
	cookie.MaxAge = -1
	http.SetCookie(c.Writer, &cookie)
}

// cookie is the session's. A browser drops one whose Domain or Secure does not fit
// the name and scheme that it used, and then a sign-in would lead nowhere: under the
// settings' own names both are as the settings say, under another that we answer to
// it is for that host alone, and Secure where the request came over https.
func (s *Server) cookie(r *http.Request, value string) http.Cookie {
	cfg := s.app.Config
	cookie := http.Cookie{Name: cfg.CookieName, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.secure(r)}
	if host, _, ok := config.ParseHost(r.Host); ok && cfg.CookieDomain != "" && (host == cfg.CookieDomain || strings.HasSuffix(host, "."+cfg.CookieDomain)) {
		cookie.Domain = cfg.CookieDomain
	}
	return cookie
}

// secure reports whether the browser that sent a request came over https.
func (s *Server) secure(r *http.Request) bool {
	if host, _, ok := config.ParseHost(r.Host); ok && s.app.Config.Reaches(host) || r.Host == "" {
		return s.app.Config.PublicURL.Scheme == "https"
	}
	return r.TLS != nil || s.trusted(peerAddr(r)) && r.Header.Get("X-Forwarded-Proto") == "https"
}

// setOwn keeps something in the browser for this host alone; maxAge in seconds, below
// 0 to drop it. Over https no sibling host can plant it.
func (s *Server) setOwn(c *gin.Context, name, value string, maxAge int) {
	cookie := s.cookie(c.Request, value)
	cookie.Name, cookie.Domain, cookie.MaxAge = s.ownName(c.Request, name), "", maxAge
	http.SetCookie(c.Writer, &cookie)
}

// own is what setOwn keeps, or "".
func (s *Server) own(r *http.Request, name string) string {
	cookie, err := r.Cookie(s.ownName(r, name))
	if err != nil {
		return ""
	}
	return cookie.Value
}

const deviceCookie = "lastseen_device"

// signingIn is the client of somebody who signs in, with the token of the device that the
// browser is, which signedInAs hands it.
func (s *Server) signingIn(c *gin.Context) app.Client {
	client, _ := s.client(c.Request)
	brought := s.own(c.Request, deviceCookie)
	client.Device = app.DeviceToken(brought)
	client.Brought = client.Device == brought
	c.Set(deviceKey, client.Device)
	return client
}

func (s *Server) ownName(r *http.Request, name string) string {
	if s.secure(r) {
		return "__Host-" + name
	}
	return name
}
