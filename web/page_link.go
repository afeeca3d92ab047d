package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"lastseen/app"
	"lastseen/db"
	"lastseen/web/view"

	"github.com/gin-gonic/gin"
)

// linkReferrer keeps the address of a link's page, which is a secret, from all that the
// page leads to. It leaves the form its Origin, which "no-referrer" would not, and by
// which alone a browser that came over plain http says where the form is from.
const linkReferrer = "strict-origin"

// linkForm shows what a link is for, and does not use it up.
func (s *Server) linkForm(c *gin.Context) error {
	return s.renderLink(c, http.StatusOK, view.LinkPage{})
}

func (s *Server) renderLink(c *gin.Context, status int, page view.LinkPage) error {
	c.Header("Referrer-Policy", linkReferrer)
	client, _ := s.client(c.Request)
	l, err := s.app.Link(c.Request.Context(), c.Param("token"), client)
	if err != nil {
		return err
	}
	page.Layout = s.layout(c, "")
	page.Referrer, page.Reset, page.Choose, page.MinLength = linkReferrer, l.Kind == db.Reset, l.Username == "", db.MinPassword
	if l.Username != "" {
		page.Username = l.Username
	}
	if !page.Reset && s.offersPasskeys(c) {
		page.PasskeyURL = c.Request.URL.Path + "/passkey"
	}
	return s.render(c, status, "link", &page)
}

func (s *Server) passkeyToJoin(c *gin.Context) (app.PasskeyRequest, error) {
	form, err := parseForm(c)
	if err != nil {
		return app.PasskeyRequest{}, err
	}
	client, _ := s.client(c.Request)
	return s.app.AskToJoin(c.Request.Context(), c.Param("token"), form.Get("username"), client)
}

// joinByPasskey is the form's of an invitation, sent with a passkey.
func (s *Server) joinByPasskey(c *gin.Context, form url.Values) error {
	n := app.NewPasskey{PasskeyAnswer: passkeyAnswer(form), Browser: s.passkeyName(c)}
	codes, token, sess, err := s.app.JoinByPasskey(c.Request.Context(), c.Param("token"), form.Get("username"), n, s.signingIn(c), s.tokens(c.Request))
	text := sentence(c, err, userExists, "username")
	if text == "" {
		text = passkeyProblem(err)
	}
	if text != "" {
		return s.renderLink(c, http.StatusBadRequest, view.LinkPage{Username: form.Get("username"), Error: text})
	}
	if err != nil {
		return err
	}
	user, err := s.app.User(c.Request.Context(), app.Operator, sess.UserID)
	if err != nil {
		return err
	}
	return s.enrolled(c, user, token, sess, codes, wayBack(homePath, ""))
}

func (s *Server) takeLink(c *gin.Context) error {
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	c.Header("Referrer-Policy", linkReferrer)
	if form.Has("answer") {
		return s.joinByPasskey(c, form)
	}
	client := s.signingIn(c)
	credentials := app.Credentials{Username: form.Get("username"), Password: form.Get("password")}
	token, sess, err := s.app.TakeLink(c.Request.Context(), c.Param("token"), credentials, client, s.tokens(c.Request))
	if text := sentence(c, err, userExists, "username"); text != "" {
		return s.renderLink(c, http.StatusBadRequest, view.LinkPage{Username: credentials.Username, Error: text})
	}
	return s.entered(c, token, sess, err, homePath, "")
}

// invite makes a link by which somebody makes an account.
func (s *Server) invite(c *gin.Context) error {
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	i := app.Invitation{Username: form.Get("username"), Superuser: form.Get("superuser") != "", Groups: groupNames(form.Get("groups"))}
	link, l, err := s.app.Invite(c.Request.Context(), caller(c).Actor(), i)
	if text := sentence(c, err, userExists, "username"); text != "" {
		c.Set(invalidKey, "invite-"+c.GetString(invalidKey)) // the page has a form for adding users too
		return s.renderUsers(c, http.StatusBadRequest, view.UsersPage{Error: text, ErrorIn: "invite",
			New: view.UserRow{Username: i.Username, Superuser: i.Superuser, Groups: i.Groups}})
	}
	if err != nil {
		return err
	}
	return s.renderLinkMade(c, link, l, "/users")
}

// resetLink makes a link by which a user sets a new password.
func (s *Server) resetLink(c *gin.Context) error {
	if _, err := parseForm(c); err != nil {
		return err
	}
	user, err := s.pathUser(c)
	if err != nil {
		return err
	}
	link, l, err := s.app.ResetLink(c.Request.Context(), caller(c).Actor(), user, 0)
	if err != nil {
		return err
	}
	return s.renderLinkMade(c, link, l, fmt.Sprintf("/users/%d", user.ID))
}

func (s *Server) renderLinkMade(c *gin.Context, link string, l db.Link, back string) error {
	page := view.LinkMadePage{Layout: s.layout(c, "users"), Reset: l.Kind == db.Reset, Username: l.Username, Superuser: l.Superuser,
		Link: link, Expires: l.Expires, Back: back}
	return s.render(c, http.StatusOK, "link_made", &page)
}

// links are those that nobody has used yet, as the page of users shows them.
func (s *Server) links(c *gin.Context) (rows []view.LinkRow, err error) {
	links, err := s.app.Links(c.Request.Context())
	for _, l := range links {
		rows = append(rows, view.LinkRow{ID: l.ID, Reset: l.Kind == db.Reset, Username: l.Username, Superuser: l.Superuser, Groups: l.Groups, MadeBy: l.MadeBy, Expires: l.Expires})
	}
	return rows, err
}

func (s *Server) deleteLink(c *gin.Context) error {
	id, err := strconv.ParseInt(c.Param("link"), 10, 64)
	if err != nil {
		return db.ErrNotFound
	}
	if _, err = s.app.DeleteLink(c.Request.Context(), caller(c).Actor(), id); err != nil {
		return err
	}
	s.say(c, s.pages.Text(s.language(c), linkDeleted))
	redirect(c, "/users")
	return nil
}

var linkDeleted = view.Msg("The link is taken back, and good for nothing from now on.")
