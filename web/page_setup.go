package web

import (
	"errors"
	"net/http"

	"lastseen/app"
	"lastseen/db"
	"lastseen/web/view"

	"github.com/gin-gonic/gin"
)

// setupForm exists for who brings the printed token, and until there is a user.
func (s *Server) setupForm(c *gin.Context) error {
	token := c.Query("token")
	open, err := s.app.SetupOpen(c.Request.Context(), token)
	if err != nil {
		return err
	}
	if !open {
		return errNoSetup
	}
	return s.render(c, http.StatusOK, "setup", &view.SetupPage{Layout: s.layout(c, ""), Token: token, MinLength: db.MinPassword})
}

func (s *Server) setup(c *gin.Context) error {
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	client := s.signingIn(c)
	page := view.SetupPage{Token: form.Get("token"), Username: form.Get("username"), MinLength: db.MinPassword}
	credentials := app.Credentials{Username: page.Username, Password: form.Get("password")}
	token, sess, err := s.app.Setup(c.Request.Context(), page.Token, credentials, client)
	var input *db.InputError
	switch {
	case errors.Is(err, app.ErrForbidden):
		return errNoSetup
	case errors.As(err, &input):
		c.Set(invalidKey, input.Field)
		page.Layout, page.Error = s.layout(c, ""), input.Problem
		return s.render(c, http.StatusBadRequest, "setup", &page)
	}
	return s.entered(c, token, sess, err, homePath, "")
}
