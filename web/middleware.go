package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"lastseen/app"
	"lastseen/db"

	"github.com/gin-gonic/gin"
)

const (
	callerKey = "caller" // app.Caller, set by authenticate
	errorKey  = "error"  // error, set by fail
	deviceKey = "device" // string, the token of the browser's device, set by signingIn
)

// requestKeys are gin's maps of what is known of a request, which it would make anew for
// each that needs one.
var requestKeys = sync.Pool{New: func() any { return map[string]any{} }}

// setCaller says who asks.
func setCaller(c *gin.Context, caller app.Caller) {
	if c.Keys == nil {
		c.Keys = requestKeys.Get().(map[string]any)
	}
	c.Set(callerKey, caller)
}

// logRequests writes a line for each request that changes something or is refused, and,
// when debugging, for every other one. That somebody is to sign in first is what a gate
// is for, and no more than debugging either. Of a flood of refusals a line in each second
// says how many there were. Failed sign-ins have lines of their own.
func (s *Server) logRequests(c *gin.Context) {
	start := time.Now()
	defer func() {
		if c.Keys != nil {
			clear(c.Keys)
			requestKeys.Put(c.Keys)
			c.Keys = nil
		}
	}()
	c.Next()
	status, took := c.Writer.Status(), time.Since(start)
	s.count(c.Request.Method, c.FullPath(), status, took)
	atGate := isGateAuth(c.Request.URL.Path)
	toSignIn := atGate && (status == http.StatusUnauthorized || status == http.StatusFound)
	flood := (toSignIn || status >= 400 && status < 500) && s.refusals.note(s.log)
	level := slog.LevelInfo
	if flood || toSignIn || status < 400 && (isSafe(c.Request.Method) || atGate) || needsNoData(c.Request.URL.Path) {
		level = slog.LevelDebug
	}
	ctx := c.Request.Context()
	if !s.log.Enabled(ctx, level) || status == http.StatusServiceUnavailable && !s.refused.due() {
		return
	}
	route := c.FullPath()
	if route == "" {
		route = "none"
	}
	client, _ := s.client(c.Request)
	attrs := []slog.Attr{
		slog.String("method", c.Request.Method), slog.String("route", route), slog.Int("status", status),
		slog.Float64("ms", float64(took.Microseconds())/1000), slog.String("ip", client.IP.String()),
	}
	if caller, ok := c.Get(callerKey); ok {
		attrs = append(attrs, slog.String("user", caller.(app.Caller).User.Username))
	}
	if err, ok := c.Get(errorKey); ok && status < 500 { // fail has logged the others
		attrs = append(attrs, slog.String("why", err.(error).Error()))
	}
	s.log.LogAttrs(ctx, level, "request", attrs...)
}

func isSafe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// recover turns a panic, which is always our mistake, into a 500.
func (s *Server) recover(c *gin.Context) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if v == http.ErrAbortHandler {
			panic(v)
		}
		if unavailable, ok := v.(*db.UnavailableError); ok {
			s.fail(c, unavailable)
			return
		}
		s.log.Error("panic", "route", c.FullPath(), "value", fmt.Sprint(v), "stack", string(debug.Stack()))
		s.fail(c, errors.New("panic"))
	}()
	c.Next()
}

// protect sets the headers that every answer has, bounds the body, and refuses
// unsafe requests that a browser sends from elsewhere, a sibling subdomain included.
func (s *Server) protect(c *gin.Context) {
	h := c.Writer.Header()
	h["X-Content-Type-Options"], h["Cache-Control"] = noSniff, noStore
	if s.hsts && c.Request.Host == s.app.Config.PublicURL.Host {
		h["Strict-Transport-Security"] = strictTransport
	}
	if c.Request.Body != http.NoBody {
		c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, maxBody)
	}
	if isGateAuth(c.Request.URL.Path) {
		return // the method and the origin are those of a request to an app
	}
	if err := s.origin.Check(c.Request); err != nil || s.otherScheme(c.Request) {
		s.fail(c, errCrossOrigin)
		c.Abort()
		return
	}
	if c.Request.Body != http.NoBody {
		c.Request.Body = whole(c.Request.Body)
	}
}

// otherScheme reports whether an unsafe request comes from the public URL's host under
// the other scheme, where anybody on the way may have written the page.
func (s *Server) otherScheme(r *http.Request) bool {
	if isSafe(r.Method) || r.Header.Get("Origin") == "" {
		return false
	}
	origin, err := url.Parse(r.Header.Get("Origin"))
	own := s.app.Config.PublicURL
	return err == nil && strings.EqualFold(origin.Hostname(), own.Hostname()) && origin.Scheme != own.Scheme
}

// whole reads a body to its end, and says what went wrong there when that is
// reached again. Who asks is found out afterwards: or somebody could hold a
// request open, and end it when they may no longer do what it asks for.
func whole(body io.ReadCloser) io.ReadCloser {
	content, err := io.ReadAll(body)
	rest := io.Reader(bytes.NewReader(content))
	if err != nil {
		rest = io.MultiReader(rest, errorReader{err})
	}
	return struct {
		io.Reader
		io.Closer
	}{rest, body}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// usable refuses everything while the database may not be relied on, whatever a
// cache would still answer. What a page looks like needs none.
func (s *Server) usable(c *gin.Context) {
	path := c.Request.URL.Path
	if needsNoData(path) {
		return
	}
	err := s.app.Usable()
	if err == nil && !isGateAuth(path) && !isAPI(path) { // which ask it themselves
		err = s.app.Reachable(c.Request.Context())
	}
	if err != nil {
		s.fail(c, err)
		c.Abort()
	}
}

// The values of headers that many answers have; the first two each one, unless a
// handler sets another. All answers share them: nobody may append to them.
var noSniff, noStore, varyCookie, strictTransport = []string{"nosniff"}, []string{"no-store"}, []string{"Cookie"}, []string{"max-age=31536000"}

// pageHeader is on each page besides; other answers are nothing that a browser
// would show, frame or run.
var pageHeader = map[string][]string{
	"X-Frame-Options":         {"DENY"},
	"Referrer-Policy":         {"same-origin"},
	"Content-Security-Policy": {contentSecurityPolicy},
}

// contentSecurityPolicy lets a page load our own files and nothing else.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// tokens are the values of the session's cookie.
func (s *Server) tokens(r *http.Request) []string { return cookies(r, s.app.Config.CookieName) }

// maxTokens bounds how many cookies of one name are tried: a sibling domain may set
// many, to hide ours among them.
const maxTokens = 20

// cookies are the values of the cookies of a name, of which a browser may send several; a
// token never has quotes. The apps' cookies, which come to the gate too, are not looked at.
func cookies(r *http.Request, name string) []string {
	var all []string
	for _, line := range r.Header["Cookie"] {
		for more := true; more; {
			var pair string
			pair, line, more = strings.Cut(line, ";")
			token, ours := strings.CutPrefix(strings.Trim(pair, " \t"), name)
			if ours && strings.HasPrefix(token, "=") && len(all) < maxTokens {
				all = append(all, token[1:])
			}
		}
	}
	return all
}

// byCookie finds who asks by the session cookie.
func (s *Server) byCookie(c *gin.Context) (app.Caller, error) {
	client, _ := s.client(c.Request)
	caller, err := s.app.Authenticate(c.Request.Context(), s.tokens(c.Request), client)
	if err == nil {
		setCaller(c, caller)
	}
	return caller, err
}

// byBearerOrCookie finds who asks of the API. An Authorization header that we
// cannot use fails the request, even beside a good cookie.
func (s *Server) byBearerOrCookie(c *gin.Context) (app.Caller, error) {
	headers := c.Request.Header["Authorization"]
	if len(headers) == 0 {
		c.Writer.Header()["Vary"] = varyCookie
		return s.byCookie(c)
	}
	scheme, key, _ := strings.Cut(headers[0], " ")
	key = strings.TrimSpace(key)
	switch {
	case len(headers) > 1:
		return app.Caller{}, errMalformedAuth
	case !strings.EqualFold(scheme, "Bearer"):
		return app.Caller{}, errForeignAuth
	case key == "":
		return app.Caller{}, errMalformedAuth
	}
	client, _ := s.client(c.Request)
	caller, err := s.app.AuthenticateKey(c.Request.Context(), key, client)
	if err == nil && caller.Scope != db.ScopeAll && (caller.Scope != db.ScopeRead || !isSafe(c.Request.Method)) {
		return app.Caller{}, errScope
	}
	if err == nil {
		setCaller(c, caller)
	}
	return caller, err
}

// caller is who asks, on routes that found out.
func caller(c *gin.Context) app.Caller { return c.MustGet(callerKey).(app.Caller) }
