package web

import (
	"errors"
	"net/http"
	"net/url"

	"lastseen/db"
	"lastseen/web/view"

	"github.com/gin-gonic/gin"
)

func (s *Server) profileForm(c *gin.Context) error {
	return s.renderProfile(c, http.StatusOK, view.ProfilePage{})
}

// renderProfile fills in what the page shows of the caller; what was typed
// wrongly stays in page.
func (s *Server) renderProfile(c *gin.Context, status int, page view.ProfilePage) error {
	user, err := s.app.User(c.Request.Context(), caller(c), caller(c).User.ID)
	if err != nil {
		return err
	}
	page.Layout = s.layout(c, "profile")
	page.Flash = s.flash(c)
	page.Username, page.Joined, page.PasswordChanged, page.MinLength = user.Username, user.Created, user.PasswordChanged, db.MinPassword
	if page.ErrorIn != "details" {
		page.Name, page.Email = user.Name, user.Email
	}
	for _, g := range user.Groups {
		page.Groups = append(page.Groups, g.Name)
	}
	if page.Factors, err = s.factors(c, user); err != nil {
		return err
	}
	page.NoPassword = user.PasswordHash == ""
	page.Passkeys = s.offersPasskeys(c)
	if _, ok := s.app.PasskeyHost(); ok {
		page.PasskeyURL = s.app.Config.PublicURL.String()
	}
	if page.Alerts, err = s.ownAlerts(c); err != nil {
		return err
	}
	return s.render(c, status, "profile", &page)
}

// changePasswordAt tells password managers where a password is changed.
// https://w3c.github.io/webappsec-change-password-url/
func (s *Server) changePasswordAt(c *gin.Context) error {
	redirect(c, "/profile")
	return nil
}

func (s *Server) changeProfile(c *gin.Context) error {
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	if form.Get("email") != caller(c).User.Email { // where the way back in leads, some day
		return s.proven(s.saveProfile)(c)
	}
	return s.saveProfile(c)
}

func (s *Server) saveProfile(c *gin.Context) error {
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	name, email := form.Get("name"), form.Get("email")
	err = s.app.UpdateProfile(c.Request.Context(), caller(c), name, email)
	var input *db.InputError
	if errors.As(err, &input) {
		c.Set(invalidKey, input.Field)
		return s.renderProfile(c, http.StatusBadRequest, view.ProfilePage{Name: name, Email: email, ErrorIn: "details", Error: input.Problem})
	}
	if err != nil {
		return err
	}
	s.say(c, s.pages.Text(s.language(c), "Saved."))
	redirect(c, "/profile")
	return nil
}

func (s *Server) changePassword(c *gin.Context) error {
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	has, err := s.app.HasPassword(c.Request.Context(), *caller(c).User)
	if err != nil {
		return err
	}
	if !has {
		return s.proven(s.setOwnPassword)(c)
	}
	client, _ := s.client(c.Request)
	err = s.app.ChangePassword(c.Request.Context(), caller(c), client, form.Get("current_password"), form.Get("new_password"))
	return s.passwordChanged(c, form, err)
}

// setOwnPassword is for who has no password yet.
func (s *Server) setOwnPassword(c *gin.Context) error {
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	return s.passwordChanged(c, form, s.app.SetOwnPassword(c.Request.Context(), caller(c), form.Get("new_password")))
}

// passwordChanged answers who changed their password, or what is wrong with that.
func (s *Server) passwordChanged(c *gin.Context, form url.Values, err error) error {
	var input *db.InputError
	if errors.As(err, &input) {
		c.Set(invalidKey, input.Field)
		return s.renderProfile(c, http.StatusBadRequest, view.ProfilePage{ErrorIn: "password", Error: input.Problem})
	}
	if err != nil {
		return err
	}
	said := s.pages.Text(s.language(c), "Your password is changed, and your other devices are signed out.")
	keys, err := s.keysAfter(c, *caller(c).User, form.Get("delete_tokens") != "")
	if err != nil {
		return err
	}
	s.say(c, said+keys)
	redirect(c, "/profile")
	return nil
}

// keysAfter says what became of a user's API tokens, which outlive a password: how many
// remain, or were deleted, as asked for.
func (s *Server) keysAfter(c *gin.Context, user db.User, del bool) (said string, err error) {
	n, text := 0, keysRemain
	if del {
		n, err = s.app.DeleteKeysOf(c.Request.Context(), caller(c).Actor(), user)
		text = keysDeleted
	} else {
		n, err = s.app.KeysOf(c.Request.Context(), user)
	}
	if err != nil || n == 0 {
		return "", err
	}
	return " " + s.pages.Text(s.language(c), text, n), nil
}

var (
	keysRemain  = view.Msg("API tokens that go on working: %d.")
	keysDeleted = view.Msg("API tokens deleted: %d.")
)
