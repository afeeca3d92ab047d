package web

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"lastseen/app"
	"lastseen/app/config"
	"lastseen/db"
	"lastseen/web/view"

	"github.com/gin-gonic/gin"
)

// The gate's paths are authentik's, so that proxies configured for that need
// another address only.
const (
	gatePrefix  = "/outpost.goauthentik.io"
	authPrefix  = gatePrefix + "/auth/"
	nginxPath   = authPrefix + "nginx"
	envoyPrefix = gatePrefix + "/auth/envoy"
	signOutPath = gatePrefix + "/sign_out"
)

// isGateAuth reports whether a proxy asks here on behalf of an app's request.
func isGateAuth(path string) bool { return strings.HasPrefix(path, authPrefix) }

// gate answers a proxy, whatever the method: noMethod brings the rarer ones.
func (s *Server) gate(c *gin.Context) error {
	path := c.Request.URL.Path
	switch {
	case path == nginxPath:
		return s.authorize(c, s.forwardedByNginx, unauthorized)
	case path == authPrefix+"traefik", path == authPrefix+"caddy":
		return s.authorize(c, forwarded, s.toLogin)
	case strings.HasPrefix(path, envoyPrefix+"/"):
		return s.authorize(c, s.forwardedByEnvoy, s.toLogin)
	}
	return errNoPage
}

// relayed is the client as the proxy describes it. What it says nothing of
// stays unknown: the address would otherwise be the proxy's.
func (s *Server) relayed(r *http.Request, proxy netip.Addr) (app.Client, error) {
	_, told, err := single(r.Header, "X-Forwarded-For")
	if err != nil || !told {
		return app.Client{Agent: first(r.Header, "User-Agent"), Relayed: true}, err
	}
	client, ok := s.clientOf(r, proxy)
	client.Relayed = true
	if !ok {
		return client, fmt.Errorf("%w: X-Forwarded-For", errForwarded)
	}
	return client, nil
}

// forwardKeys are what may be API keys of ours. An Authorization header that is
// none belongs to the app.
func forwardKeys(h http.Header) []app.ForwardKey {
	var keys []app.ForwardKey
	if values := h["X-Lastseen-Token"]; len(values) == 1 && values[0] != "" {
		keys = append(keys, app.ForwardKey{Key: values[0]})
	}
	if values := h["Authorization"]; len(values) == 1 {
		scheme, rest, _ := strings.Cut(values[0], " ")
		if strings.EqualFold(scheme, "Bearer") {
			keys = append(keys, app.ForwardKey{Key: strings.TrimSpace(rest)})
		}
		if name, key, ok := (&http.Request{Header: h}).BasicAuth(); ok && name != "" {
			keys = append(keys, app.ForwardKey{Name: name, Key: key})
		}
	}
	return keys
}

// fromProxy refuses what no trusted proxy relays.
func (s *Server) fromProxy(peer netip.Addr) error {
	if s.trusted(peer) {
		return nil
	}
	if s.untrusted.due() {
		s.log.Warn("the gate was asked by somebody who is no trusted proxy; if it is yours, name it", "setting", "--trusted-proxies", "ip", peer)
	}
	return errNoProxy
}

// authorize answers a proxy whether a request may pass. read finds out what
// it asks about, challenge answers when a sign-in is needed.
func (s *Server) authorize(c *gin.Context, read func(*http.Request) (asked, error), challenge func(*gin.Context, asked) error) error {
	r := c.Request
	peer := peerAddr(r)
	if err := s.fromProxy(peer); err != nil {
		return err
	}
	a, err := read(r)
	if err != nil {
		return err
	}
	if s.isOwn(a) {
		return errOwnHost
	}
	client, err := s.relayed(r, peer)
	if err != nil {
		return err
	}
	decision, err := s.app.Authorize(r.Context(), app.ForwardRequest{
		Host: a.host, Path: a.path, Method: askedMethod(r), Tokens: s.gateTokens(r, a), Keys: forwardKeys(r.Header), Client: client,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", db.ErrUnavailable, err)
	}
	if decision.User != nil && decision.Verdict != app.Allow { // for the log
		setCaller(c, app.Caller{User: decision.User})
	}
	switch decision.Verdict {
	case app.Allow:
		s.pass(c, decision, a.host)
		return nil
	case app.Login:
		if decision.Challenge && !fromBrowser(r.Header) {
			return askForKey(c, a.host)
		}
		return challenge(c, a)
	default:
		c.Set(askedKey, a.host)
		return cmp.Or(decision.Why, app.ErrForbidden)
	}
}

// gateTokens are the values of the cookie that opens the host, and of no other one.
func (s *Server) gateTokens(r *http.Request, a asked) []string {
	if s.app.Config.OwnCookie(a.host) {
		return cookies(r, hostCookie(a.scheme, appCookie))
	}
	return s.tokens(r)
}

// unauthorized is for nginx, which knows no redirect here: what leads to the
// sign-in page is its own configuration.
func unauthorized(c *gin.Context, _ asked) error {
	c.Status(http.StatusUnauthorized)
	c.Writer.WriteHeaderNow()
	return nil
}

// isOwn reports whether a proxy asks about the sign-in itself, where a redirect to it
// would never end.
func (s *Server) isOwn(a asked) bool {
	own := s.app.Config.PublicURL
	if host, port, _ := config.ParseHost(own.Host); a.host == host {
		standard := map[string]string{"http": "80", "https": "443"}[own.Scheme]
		return cmp.Or(a.port, standard) == cmp.Or(port, standard)
	}
	return false
}

// toLogin leads to the sign-in page, and back to what was asked for.
func (s *Server) toLogin(c *gin.Context, a asked) error { return s.askToSignIn(c, a.url()) }

// askToSignIn answers who has to sign in first: a navigation is led to the sign-in
// page; what a page's script, an app or a command sends could do nothing with that.
func (s *Server) askToSignIn(c *gin.Context, asked string) error {
	r := c.Request
	back, unsent := s.rd(asked), ""
	if !isGateAuth(r.URL.Path) && c.Query("unsent") != "" {
		unsent = "&unsent=1"
	}
	if !isSafe(s.appMethod(r)) { // it cannot be sent again: back to the page with the form
		from := r.Referer()
		if root(from) != root(asked) {
			from = root(asked)
		}
		back, unsent = s.rd(from), "&unsent=1"
	}
	if isNavigation(r.Header) {
		found(c, s.signInURL(c, back)+unsent)
		return nil
	}
	c.Writer.Header()["Vary"] = []string{"Sec-Fetch-Mode, Accept, Cookie"}
	detail := "Sign in first."
	if len(forwardKeys(r.Header)) > 0 {
		detail = "This key is not good. Signing in is for browsers: anything else gives an API key, never a password."
	}
	writeJSON(c, http.StatusUnauthorized, map[string]string{"detail": detail, "login_url": s.loginURL(back)})
	return nil
}

// fromBrowser reports whether a browser sent a request, as all do say that are not old.
func fromBrowser(h http.Header) bool {
	for name := range h {
		if strings.HasPrefix(name, "Sec-Fetch-") {
			return true
		}
	}
	return false
}

// askForKey answers clients that send a key only when they are asked for one, such as
// git and those of WebDAV.
func askForKey(c *gin.Context, host string) error {
	c.Header("WWW-Authenticate", fmt.Sprintf(`Basic realm=%q, charset="UTF-8"`, host))
	writeJSON(c, http.StatusUnauthorized, map[string]string{"detail": "Give your user name, and an API key as the password."})
	return nil
}

// askedMethod is that of the request to the app, "" when its proxy does not say. Each proxy
// has one header for it, or none; what it sends under another's is the client's.
func askedMethod(r *http.Request) string {
	switch path := r.URL.Path; {
	case path == nginxPath:
		return first(r.Header, "X-Original-Method")
	case strings.HasPrefix(path, envoyPrefix):
		return r.Method
	default:
		return first(r.Header, "X-Forwarded-Method")
	}
}

// appMethod is the method of the request to the app, as far as the proxy says.
func (s *Server) appMethod(r *http.Request) string {
	switch {
	case !s.trusted(peerAddr(r)):
		return r.Method
	case isGateAuth(r.URL.Path):
		return cmp.Or(askedMethod(r), r.Method)
	default: // start, for nginx
		return cmp.Or(r.Header.Get("X-Original-Method"), r.Method)
	}
}

// isNavigation reports whether somebody follows a link, or may: browsers say so, and
// of other clients whatever does not look like a script's request.
func isNavigation(h http.Header) bool {
	if mode := h.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	accept := h.Get("Accept")
	return !strings.EqualFold(h.Get("X-Requested-With"), "XMLHttpRequest") && h.Get("Upgrade") == "" && len(forwardKeys(h)) == 0 &&
		!(strings.Contains(accept, "json") && !strings.Contains(accept, "html"))
}

func (s *Server) loginURL(back string) string {
	return s.app.Config.PublicURL.String() + "/login?rd=" + url.QueryEscape(back)
}

// found answers with 302, as proxies and authentik's own gate do.
func found(c *gin.Context, target string) {
	c.Header("Location", target)
	c.Status(http.StatusFound)
	c.Writer.WriteHeaderNow()
}

// startTarget is where a query's rd leads to. Published nginx lines do not
// encode it: after http:// or https:// it goes on to the end of the query.
func startTarget(query string) string {
	for query != "" {
		value, ok := strings.CutPrefix(query, "rd=")
		if ok && (strings.HasPrefix(value, "http://") || strings.HasPrefix(value, "https://")) {
			path, query, _ := strings.Cut(value, "?")
			if query != "" { // browsers leave a backslash there as it is
				path += "?" + strings.ReplaceAll(query, `\`, "%5C")
			}
			return path
		}
		pair, rest, _ := strings.Cut(query, "&")
		if ok {
			value, err := url.QueryUnescape(strings.TrimPrefix(pair, "rd="))
			if err != nil {
				return ""
			}
			return value
		}
		query = rest
	}
	return ""
}

// start leads to the sign-in page. It is asked for on the apps' hosts too.
func (s *Server) start(c *gin.Context) error {
	rd := startTarget(c.Request.URL.RawQuery)
	if host, ok := hostOf(rd); ok && !s.reachable(host) {
		c.Set(askedKey, host)
		return app.ErrUnreachable
	}
	// nginx asks here for what it is to answer.
	if about, err := askedURL(rd); err == nil && s.trusted(peerAddr(c.Request)) && !fromBrowser(c.Request.Header) {
		challenge, err := s.app.Challenges(c.Request.Context(), about.host, about.path)
		if err != nil {
			return fmt.Errorf("%w: %w", db.ErrUnavailable, err)
		}
		if challenge {
			return askForKey(c, about.host)
		}
	}
	return s.askToSignIn(c, rd)
}

// denied is the page of a refusal for proxies that drop ours, as nginx does.
func (s *Server) denied(c *gin.Context) error {
	peer := peerAddr(c.Request)
	if err := s.fromProxy(peer); err != nil {
		return err
	}
	host, port, ok := config.ParseHost(c.Request.Host)
	if ok && s.isOwn(asked{host: host, port: port}) {
		return errOwnHost
	}
	if !ok {
		return app.ErrNoMember
	}
	c.Set(askedKey, host)
	client, err := s.relayed(c.Request, peer)
	if err != nil {
		return err
	}
	user, why := s.app.Denial(c.Request.Context(), app.ForwardRequest{
		Host: host, Tokens: s.gateTokens(c.Request, asked{scheme: s.appScheme(c.Request), host: host}), Client: client,
	})
	if user != nil {
		setCaller(c, app.Caller{User: user})
	}
	return why
}

// onAppHost reports whether an app's host relays a browser's request to us.
func (s *Server) onAppHost(r *http.Request) bool {
	host, _, ok := config.ParseHost(r.Host)
	own, _, _ := config.ParseHost(s.app.Config.PublicURL.Host)
	return ok && host != own && s.app.Config.Guards(host)
}

// appScheme is how a browser came to an app's host, as far as the proxy says.
func (s *Server) appScheme(r *http.Request) string {
	if proto := r.Header.Get("X-Forwarded-Proto"); s.trusted(peerAddr(r)) && (proto == "http" || proto == "https") {
		return proto
	}
	return s.app.Config.PublicURL.Scheme
}

func (s *Server) signOutForm(c *gin.Context) error {
	if s.onAppHost(c.Request) {
		found(c, s.app.Config.PublicURL.String()+signOutPath+"?rd="+url.QueryEscape(s.appScheme(c.Request)+"://"+c.Request.Host+"/"))
		return nil
	}
	if _, err := s.byCookie(c); errors.Is(err, app.ErrUnauthenticated) {
		redirect(c, "/login")
		return nil
	} else if err != nil {
		return err
	}
	page := view.LogoutPage{Layout: s.layout(c, ""), Action: signOutPath}
	if u, err := url.Parse(startTarget(c.Request.URL.RawQuery)); err == nil && s.reachable(u.Host) {
		page.App, _, _ = config.ParseHost(u.Host)
	}
	return s.render(c, http.StatusOK, "logout", &page)
}

// signOut ends the session of who asks on our own host. An app's pages, which
// share theirs with this path, could otherwise end it unasked.
func (s *Server) signOut(c *gin.Context) error {
	fromBrowser := c.GetHeader("Sec-Fetch-Site") != "" || c.GetHeader("Origin") != ""
	if fromBrowser && s.onAppHost(c.Request) {
		return errCrossOrigin
	}
	return s.logout(c)
}

// awayPolicy is the Content-Security-Policy of pages that an app's host shows:
// their style is ours.
func awayPolicy(c config.Config) string {
	own := " " + c.PublicURL.String()
	if ip, err := netip.ParseAddr(c.PublicURL.Hostname()); err == nil && ip.Is6() {
		own = "" // cannot be written in a policy
	}
	return strings.NewReplacer("'self'", "'self'"+own, "base-uri 'none'", "base-uri 'self'"+own).Replace(contentSecurityPolicy)
}

// shownAway reports whether a page is shown under an app's host.
func shownAway(path string) bool {
	return strings.HasPrefix(path, gatePrefix+"/") && path != signOutPath
}
