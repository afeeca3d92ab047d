package web

import (
	"errors"
	"net/http"

	"lastseen/app"
	"lastseen/web/view"

	"github.com/gin-gonic/gin"
)

func (s *Server) logoutForm(c *gin.Context) error {
	if _, err := s.byCookie(c); errors.Is(err, app.ErrUnauthenticated) {
		redirect(c, "/login")
		return nil
	} else if err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "logout", &view.LogoutPage{Layout: s.layout(c, ""), Action: "/logout"})
}

func (s *Server) logout(c *gin.Context) error {
	caller, err := s.byCookie(c)
	if err == nil {
		err = s.app.SignOut(c.Request.Context(), caller)
	}
	if err != nil && !errors.Is(err, app.ErrUnauthenticated) {
		return err
	}
	s.dropCookie(c)
	s.say(c, s.pages.Text(s.language(c), "You are signed out here."))
	redirect(c, "/login")
	return nil
}
