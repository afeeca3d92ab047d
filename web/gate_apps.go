package web

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lastseen/app"
	"lastseen/app/config"

	"github.com/gin-gonic/gin"
)

// A guarded host that the session's cookie does not reach gets one of its own. The gate
// leads there to start, which leaves a state in the browser and leads to the sign-in;
// that leads back to callback with a code, which sets the cookie and leads to the page.
// Both are on the app's own host, whose proxy relays them to us.
const (
	startPath    = gatePrefix + "/start"
	callbackPath = gatePrefix + "/callback"

	appCookie   = "lastseen_app"
	stateCookie = "lastseen_state_" // each has an end of its own: pages may ask at once
)

// hostCookie is the name of a cookie that is for one host alone: over https no other one
// can plant it.
func hostCookie(scheme, name string) string {
	if scheme == "https" {
		return "__Host-" + name
	}
	return name
}

// setHostCookie keeps something in the browser for the host of a URL, where it is now.
func setHostCookie(c *gin.Context, scheme, name, value string, maxAge int) {
	http.SetCookie(c.Writer, &http.Cookie{Name: hostCookie(scheme, name), Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: scheme == "https"})
}

// ownCookie is the URL of a target on a host that has a cookie of its own, if it is one.
func (s *Server) ownCookie(target string) (u *url.URL, host string, ok bool) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, "", false
	}
	host, _, ok = config.ParseHost(u.Host)
	return u, host, ok && s.app.Config.OwnCookie(host)
}

// signInURL leads to the sign-in, and back to a safe target.
func (s *Server) signInURL(c *gin.Context, target string) string {
	u, host, ok := s.ownCookie(target)
	switch {
	case !ok:
		return s.loginURL(target)
	case isGateAuth(c.Request.URL.Path):
		return u.Scheme + "://" + u.Host + startPath + "?rd=" + url.QueryEscape(target)
	}
	here, _, _ := config.ParseHost(c.Request.Host)
	if here != host { // there the gate leads to start
		return s.loginURL(target)
	}
	return s.loginURL(target) + "&state=" + url.QueryEscape(s.state(c, u.Scheme))
}

// state is that of a secret which the browser holds for this host, or gets now.
func (s *Server) state(c *gin.Context, scheme string) string {
	if held := stateSecrets(c.Request, scheme); len(held) > 0 {
		return app.StateOf(held[0])
	}
	secret, state := app.NewState()
	setHostCookie(c, scheme, stateCookie+rand.Text()[:8], secret, 0)
	return state
}

// stateSecrets are what the browser holds for this host.
func stateSecrets(r *http.Request, scheme string) (secrets []string) {
	name := hostCookie(scheme, stateCookie)
	for _, cookie := range r.Cookies() {
		if strings.HasPrefix(cookie.Name, name) && len(cookie.Value) == secretLength && len(secrets) < maxTokens {
			secrets = append(secrets, cookie.Value)
		}
	}
	return secrets
}

// heldSecret finds, of what the browser holds for this host, the secret of a state.
func heldSecret(r *http.Request, state string) (secret, scheme string, ok bool) {
	for _, scheme := range []string{"https", "http"} {
		for _, secret := range stateSecrets(r, scheme) {
			if app.StateOf(secret) == state {
				return secret, scheme, true
			}
		}
	}
	return "", "", false
}

// stateParameter is a state as it came, "" if it is none.
func stateParameter(value string) string {
	if len(value) != secretLength {
		return ""
	}
	return value
}

// secretLength is that of all our secrets: 256 bits in base64.
const secretLength = 43

// lead leads who has just proven who they are to a safe target, with a code for its host
// where that needs one.
func (s *Server) lead(c *gin.Context, asks app.Caller, target, state string) error {
	u, host, own := s.ownCookie(target)
	if !own || state == "" {
		redirect(c, target) // where the gate asks for a state, if it needs one
		return nil
	}
	if s.app.Config.PublicURL.Scheme == "https" && u.Scheme != "https" {
		return errNotReturned // whoever is on the way could read the code
	}
	code, err := s.app.GrantCode(c.Request.Context(), asks.Session, host, state, target)
	if errors.Is(err, app.ErrCode) {
		redirect(c, target)
		return nil
	}
	if err != nil {
		return err
	}
	query := url.Values{"code": {code}, "state": {state}}
	redirect(c, u.Scheme+"://"+u.Host+callbackPath+"?"+query.Encode())
	return nil
}

// callback turns a code into the cookie of the host that it is asked on.
func (s *Server) callback(c *gin.Context) error {
	r := c.Request
	if err := s.fromProxy(peerAddr(r)); err != nil {
		return err
	}
	host, _, ok := config.ParseHost(r.Host)
	if !ok || !s.app.Config.OwnCookie(host) {
		return app.ErrCode
	}
	again := &againError{app.ErrCode, s.appScheme(r) + "://" + r.Host + "/"}
	secret, scheme, held := heldSecret(r, c.Query("state"))
	code := c.Query("code")
	if !held || len(code) != secretLength {
		return again
	}
	client, _ := s.client(r)
	token, sess, target, err := s.app.RedeemCode(r.Context(), host, code, secret, scheme == "https", client)
	if errors.Is(err, app.ErrCode) {
		return again
	}
	if err != nil {
		return err
	}
	maxAge := 0
	if sess.Remember {
		maxAge = max(1, int(sess.Ends.Sub(s.app.Now())/time.Second))
	}
	setHostCookie(c, scheme, appCookie, token, maxAge)
	redirect(c, target)
	return nil
}

// An againError is one after which a link leads to where one can try again.
type againError struct {
	error
	url string
}

func (e *againError) Unwrap() error { return e.error }
