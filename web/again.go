package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"lastseen/app"
	"lastseen/web/view"

	"github.com/gin-gonic/gin"
)

// proven is for what changes how an account is entered: who has not proven lately who they
// are is asked again, on a page that then goes on with what was wanted. It carries what
// was sent along. Who asks must be known already. A GET route needs a POST one beside it.
func (s *Server) proven(h handler) handler {
	return func(c *gin.Context) error {
		page := view.AgainPage{Way: "get"}
		if !isSafe(c.Request.Method) {
			form, err := parseForm(c)
			if err != nil {
				return err
			}
			if form.Has("again_password") || form.Has("again_answer") {
				return s.proveAgain(c, form, h)
			}
			page.Way, page.Sent = "post", sent(form)
		}
		lately, err := s.app.ProvenLately(c.Request.Context(), caller(c))
		if err != nil {
			return err
		}
		if lately {
			return h(c)
		}
		status := http.StatusOK
		if page.Way == "post" { // it did not happen yet
			status = http.StatusForbidden
		}
		return s.renderAgain(c, status, page)
	}
}

// proveAgain looks at what the page sends, and goes on.
func (s *Server) proveAgain(c *gin.Context, form url.Values, h handler) error {
	password, code, way := form.Get("again_password"), form.Get("again_code"), form.Get("again")
	answer, byPasskey := app.PasskeyAnswer{Token: form.Get("again_challenge"), Answer: form.Get("again_answer")}, form.Has("again_answer")
	for name := range form {
		if strings.HasPrefix(name, "again") {
			delete(form, name)
		}
	}
	client, _ := s.client(c.Request)
	page := view.AgainPage{Way: way, Sent: sent(form)}
	var err error
	if byPasskey {
		page.Refused = passkeyRefused
		err = s.app.ProveByPasskey(c.Request.Context(), caller(c), answer, client)
	} else {
		err = s.app.ProveAgain(c.Request.Context(), caller(c), password, code, client)
	}
	var busy *app.BusyError
	switch {
	case errors.Is(err, app.ErrBadCredentials):
		if page.Failed = true; !byPasskey {
			c.Set(invalidKey, "again_password")
		}
		return s.renderAgain(c, http.StatusUnauthorized, page)
	case errors.As(err, &busy):
		page.RetryAfter = busy.RetryAfter
		c.Header("Retry-After", retryAfter(busy))
		return s.renderAgain(c, http.StatusTooManyRequests, page)
	case err != nil:
		return err
	case way == "get":
		redirect(c, c.Request.URL.RequestURI())
		return nil
	}
	return h(c)
}

func (s *Server) renderAgain(c *gin.Context, status int, page view.AgainPage) error {
	page.Layout, page.Username = s.layout(c, ""), caller(c).User.Username
	var err error
	if page.Code, err = s.app.ProvesByCode(c.Request.Context(), caller(c)); err != nil {
		return err
	}
	if page.Password, err = s.app.HasPassword(c.Request.Context(), *caller(c).User); err != nil {
		return err
	}
	has, err := s.app.Factors(c.Request.Context(), caller(c), caller(c).User.ID)
	if err != nil {
		return err
	}
	page.Passkeys = s.offersPasskeys(c) && s.hasPasskey(has)
	if page.Back = s.cameFrom(c.Request); page.Back == "" {
		page.Back = "/profile"
	}
	return s.render(c, status, "again", &page)
}

// sent are the fields of a form, by name.
func sent(form url.Values) (fields []view.Choice) {
	for name, values := range form {
		for _, value := range values {
			fields = append(fields, view.Choice{Value: name, Text: value})
		}
	}
	slices.SortStableFunc(fields, func(a, b view.Choice) int { return strings.Compare(a.Value, b.Value) })
	return fields
}
