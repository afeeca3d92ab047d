package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"lastseen/app"
	"lastseen/db"
	"lastseen/web/view"

	"github.com/gin-gonic/gin"
)

// A handler answers a request, or returns why it could not: then [Server.fail]
// answers, and the handler must have written nothing.
type handler func(c *gin.Context) error

func (s *Server) handle(h handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := h(c); err != nil {
			s.fail(c, err)
		}
	}
}

// Errors that only HTTP knows. What the API says is authentik's wording.
var (
	errNoPage        = errors.New("no such page")
	errNoSetup       = errors.New("no such setup link")
	errNoMethod      = errors.New("method not allowed")
	errCrossOrigin   = errors.New("request from another origin")
	errMediaType     = errors.New("unsupported media type")
	errNotAcceptable = errors.New("not acceptable")
	errMalformed     = errors.New("malformed request")
	errTooLarge      = errors.New("request body too large")
	errInvalidPage   = errors.New("no such page of the list")
	errMalformedAuth = errors.New("malformed Authorization header")
	errNoProxy       = errors.New("not from a trusted proxy")
	errOwnHost       = errors.New("the gate is asked about the sign-in itself")
	errForwarded     = errors.New("the proxy's headers do not name a request")
	errNotReturned   = errors.New("the cookie does not come back from the app's host")
	errScope         = errors.New("the key's scope does not cover this")
	errForeignAuth   = errors.New("unsupported Authorization scheme")
	errNotLately     = errors.New("not proven lately who asks")
	errNotOurName    = errors.New("asked under a name that is not ours")
)

// statuses are the answers to errors: the first that fits. API says what the
// API's detail is; what and do, in English keys of the languages, what a page says.
var statuses = []struct {
	err      error
	status   int
	api      string
	what, do string
}{
	{app.ErrUnauthenticated, http.StatusForbidden, "Authentication credentials were not provided.", "You are not signed in", "Sign in and try again."},
	{app.ErrInvalidToken, http.StatusForbidden, "Token invalid/expired", "This token is not valid", "Make a new one."},
	{errMalformedAuth, http.StatusForbidden, "Malformed header", "This request is malformed", "Go back and try again."},
	{errScope, http.StatusForbidden, "The scope of this token does not cover the request.", "This token may not do that", "Make one with a wider scope."},
	{errNotLately, http.StatusForbidden, "Sign in again first, or use an API key: this changes how the account is entered.", "Is it you?", "Sign in and try again."},
	{app.ErrLastFactor, http.StatusForbidden, "The last second factor stays, since one is required.", "You may not do this", lastFactor},
	{errForeignAuth, http.StatusForbidden, "Unsupported authentication type", "This request is malformed", "Go back and try again."},
	{errNoProxy, http.StatusForbidden, "Not a trusted proxy.", "This is for the proxy in front of an app", "If this request came through it, name its address in --trusted-proxies; the log says which that is."},
	{errOwnHost, http.StatusForbidden, "The gate is asked about the sign-in's own address.", "The gate guards the sign-in itself", "Nobody could ever sign in. Leave the gate out of the proxy's configuration of this host."},
	{errForwarded, http.StatusBadRequest, "Malformed request.", "The proxy does not say clearly what was asked for", "Give it the configuration that `lastseen proxy-snippet` prints."},
	{errNotReturned, http.StatusForbidden, "The cookie does not reach this host.", "You are signed in, but the app cannot tell", "Its proxy must pass the cookie on, the browser must keep it, and an app on http:// needs a public URL on http://. Then go back and try again."},
	{app.ErrUnreachable, http.StatusForbidden, "This host is not guarded.", "The gate does not guard this host", "Name it in --apps, beside the others; or, where --apps is not set, set --cookie-domain to a domain that it is under."},
	{app.ErrNoRule, http.StatusForbidden, "You do not have permission to perform this action.", "Nobody may open this app yet", "No rule lets anybody in, and --gate-default is deny. A superuser can add one on the page Rules."},
	{app.ErrCode, http.StatusForbidden, "The code is not good here.", "This way in was used up", "It is good once, within a minute, and in the browser that asked. Try again from the app."},
	{app.ErrNoMember, http.StatusForbidden, "You do not have permission to perform this action.", "You may not open this app", "None of your groups is let in. A superuser can let one in on the page Rules."},
	{app.ErrForbidden, http.StatusForbidden, "You do not have permission to perform this action.", "You may not do this", "Only superusers may. One of them can make you one on the page Users, or do it for you."},
	{errCrossOrigin, http.StatusForbidden, "CSRF Failed: the request comes from another origin.", "This request came from another site", "Open the page here and try again."},
	{errNotOurName, http.StatusMisdirectedRequest, "This server is not known by that name: set --public-url.", "This server is not known by that name", "Give --public-url the address that browsers use, such as https://auth.home.example, and start it anew; or open it by its IP address."},
	{errInvalidPage, http.StatusNotFound, "Invalid page.", "There is no such page of the list", "Go back to its beginning."},
	{errNoPage, http.StatusNotFound, "Not found.", "There is no such page", "Check the address, or go back to your sessions."},
	{errNoSetup, http.StatusNotFound, "Not found.", "This link is not good any more", "It was used, or this server has printed another since. Sign in, or look into its log."},
	{app.ErrNoLink, http.StatusNotFound, "Not found.", "This link is not good any more", "It was used, replaced by another, or has run out. Ask whoever sent it for a new one."},
	{db.ErrNotFound, http.StatusNotFound, "Not found.", "There is no such thing here", "It may have ended, or never have been. Go back to your sessions."},
	{errNoMethod, http.StatusMethodNotAllowed, "Method not allowed.", "This page cannot be asked for that way", "Go back and try again."},
	{errNotAcceptable, http.StatusNotAcceptable, "Could not satisfy the request Accept header.", "This request is malformed", "Go back and try again."},
	{errMediaType, http.StatusUnsupportedMediaType, "Unsupported media type in request.", "This form was sent in a way we do not read", "Open the page here and try again."},
	{errTooLarge, http.StatusRequestEntityTooLarge, "Request body too large.", "That is too much at once", "Shorten what you entered and try again."},
	{errMalformed, http.StatusBadRequest, "Malformed request.", "This request is malformed", "Go back and try again."},
	{db.ErrOwnBackup, http.StatusBadRequest, "PostgreSQL is backed up by its own means.", "PostgreSQL is backed up by its own means", "Use pg_dump, or what copies the whole server."},
	{db.ErrConflict, http.StatusBadRequest, "This already exists, or must not be removed.", "That is not possible", "It already exists, or must not be removed."},
	{db.ErrUnavailable, http.StatusServiceUnavailable, "The database is not available.", "The database is not available", "Try again in a moment; the log says more."},
	{app.ErrSealed, http.StatusServiceUnavailable, "The key that codes are checked with is gone.", "Something went wrong", keyIsGone},
	{context.DeadlineExceeded, http.StatusServiceUnavailable, "The request took too long.", "That took too long", "Ask for less, or try again in a moment."},
	{context.Canceled, 499, "Client closed request.", "That took too long", "Ask for less, or try again in a moment."},
}

// fail answers with what an error means. Whoever asked never reads the error itself.
func (s *Server) fail(c *gin.Context, err error) {
	status, detail, what, do := http.StatusInternalServerError, "Internal error.", "Something went wrong", "Try again; the log says more."
	for _, known := range statuses {
		if errors.Is(err, known.err) {
			status, detail, what, do = known.status, known.api, known.what, known.do
			break
		}
	}
	back, backText := homePath, "Your sessions"
	var again *againError
	if errors.As(err, &again) {
		back, backText = again.url, "Try again"
	}
	var busy *app.BusyError
	var inputs map[string][]string
	if errors.As(err, &busy) {
		c.Header("Retry-After", retryAfter(busy))
		status, detail = http.StatusTooManyRequests, fmt.Sprintf("Request was throttled. Expected available in %s seconds.", retryAfter(busy))
		what, do = "Too many attempts", "Wait a while and try again."
	} else if inputs = inputErrors(err); inputs != nil {
		status, what, do = http.StatusBadRequest, "This request is malformed", "Go back and try again."
	}
	if status >= 500 && (!errors.Is(err, db.ErrUnavailable) || s.unavailable.due()) {
		s.log.Error("request failed", "route", c.FullPath(), "method", c.Request.Method, "err", err)
	}
	c.Set(errorKey, err)
	if c.Writer.Written() {
		return // half an answer is all they get
	}
	if !isAPI(c.Request.URL.Path) {
		page := view.ErrorPage{Status: status, What: what, Do: do, Back: back, BackText: backText}
		s.describe(c, err, &page)
		s.renderError(c, page)
		return
	}
	if inputs != nil {
		writeJSON(c, status, inputs)
		return
	}
	if status == http.StatusMethodNotAllowed {
		detail = fmt.Sprintf("Method %q not allowed.", c.Request.Method)
	}
	if status == http.StatusUnsupportedMediaType {
		detail = fmt.Sprintf("Unsupported media type %q in request.", c.ContentType())
	}
	var detailed *detailError
	if errors.As(err, &detailed) {
		detail = detailed.detail
	}
	writeJSON(c, status, map[string]string{"detail": detail})
}

// askedKey is where the gate names the host that somebody asked for.
const askedKey = "asked"

// describe says who was refused and what they asked for, and leads superusers to where
// they can change it.
func (s *Server) describe(c *gin.Context, err error, page *view.ErrorPage) {
	if errors.Is(err, errNoPage) || errors.Is(err, errNoMethod) { // nobody has looked who asks: the navigation shows it
		if !shownAway(c.Request.URL.Path) {
			_, _ = s.byCookie(c)
		}
		page.Asked = c.Request.URL.Path
		return
	}
	if !errors.Is(err, app.ErrForbidden) {
		return
	}
	page.Asked = cmp.Or(c.GetString(askedKey), c.Request.URL.Path)
	asks, ok := c.Get(callerKey)
	if !ok {
		return
	}
	user := asks.(app.Caller).User
	page.Who = user.Username
	for _, group := range user.Groups {
		page.Groups = append(page.Groups, group.Name)
	}
	if user.Superuser && (errors.Is(err, app.ErrNoMember) || errors.Is(err, app.ErrNoRule)) {
		page.Back, page.BackText = "/rules", "Rules"
	}
}

// A complaint is what every request may make us log: once a second, since a flood of
// lines would fill what is left of a disk. The zero value is ready.
type complaint struct{ last atomic.Int64 } // milliseconds

// due reports whether to log it once more.
func (c *complaint) due() bool {
	last, now := c.last.Load(), time.Now().UnixMilli()
	return now-last >= 1000 && c.last.CompareAndSwap(last, now)
}

// refusalsShown are as many refusals at once as are no flood.
const refusalsShown = 10

// refusals counts the requests that are refused.
type refusals struct {
	every time.Duration // how often a flood has a line

	mu    sync.Mutex
	count int // since the first one, or since the last line about a flood
	flood bool
}

// note counts one, and reports whether it is part of a flood, of which a line says how
// many there were.
func (r *refusals) note(log *slog.Logger) (flood bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count++; r.count == 1 && !r.flood {
		time.AfterFunc(r.every, func() { r.sum(log) })
	}
	return r.flood || r.count > refusalsShown
}

// sum says how many there were, and goes on until they are few.
func (r *refusals) sum(log *slog.Logger) {
	r.mu.Lock()
	count := r.count
	r.count, r.flood = 0, count > refusalsShown
	r.mu.Unlock()
	if count > refusalsShown {
		log.Info("many requests are refused", "count", count)
		time.AfterFunc(r.every, func() { r.sum(log) })
	}
}

// A detailError is an error with a wording of its own for the API.
type detailError struct {
	error
	detail string
}

func (e *detailError) Unwrap() error { return e.error }

// inputErrors are all that is wrong with the input, by field.
func inputErrors(err error) map[string][]string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all map[string][]string
		for _, e := range joined.Unwrap() {
			for field, problems := range inputErrors(e) {
				if all == nil {
					all = map[string][]string{}
				}
				all[field] = append(all[field], problems...)
			}
		}
		return all
	}
	var input *db.InputError
	if errors.As(err, &input) {
		return map[string][]string{input.Field: {input.Problem}}
	}
	return nil
}
