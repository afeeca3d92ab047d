package web

import (
	"errors"
	"net/http"
	"strconv"

	"lastseen/app"
	"lastseen/app/config"
	"lastseen/db"
	"lastseen/web/view"

	"github.com/gin-gonic/gin"
)

func (s *Server) tokensForm(c *gin.Context) error {
	return s.renderTokens(c, http.StatusOK, view.TokensPage{})
}

func (s *Server) renderTokens(c *gin.Context, status int, page view.TokensPage) error {
	ctx, asks := c.Request.Context(), caller(c)
	tokens, _, err := s.app.Tokens(ctx, asks, db.TokenFilter{Limit: maxPageSize})
	if err != nil {
		return err
	}
	page.Layout, page.All = s.layout(c, "tokens"), asks.User.Superuser
	page.Flash = s.flash(c)
	for _, t := range tokens {
		page.Tokens = append(page.Tokens, s.newTokenRow(t))
	}
	if asks.User.Superuser {
		users, _, err := s.app.Users(ctx, asks, db.UserFilter{Limit: maxPageSize})
		if err != nil {
			return err
		}
		for _, u := range users {
			page.Users = append(page.Users, view.Choice{Value: strconv.FormatInt(u.ID, 10), Text: u.Username})
		}
		if page.New.User == "" {
			page.New.User = strconv.FormatInt(asks.User.ID, 10)
		}
	}
	return s.render(c, status, "tokens", &page)
}

func (s *Server) newTokenRow(t db.Token) view.TokenRow {
	return view.TokenRow{
		UserID:     t.User.ID,
		Identifier: t.Identifier, User: t.User.Username, Description: t.Description, Created: t.Created, Expires: t.Expires,
		ID: t.ID, Scope: string(t.Scope), LastUsed: t.LastUsed,
		Expired: !t.Expires.IsZero() && !t.Expires.After(s.app.Now()),
	}
}

func (s *Server) createToken(c *gin.Context) error {
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	ctx, asks := c.Request.Context(), caller(c)
	n := app.NewToken{User: *asks.User, Identifier: form.Get("identifier"), Description: form.Get("description"), Scope: form.Get("scope")}
	if n.Scope == "gate:" {
		n.Scope += form.Get("hosts")
	}
	if asks.User.Superuser && form.Get("user") != "" {
		id, err := strconv.ParseInt(form.Get("user"), 10, 64)
		if err != nil {
			return db.ErrNotFound
		}
		if n.User, err = s.app.User(ctx, asks, id); err != nil {
			return err
		}
	}
	if expires := form.Get("expires"); expires != "" {
		if n.Lifetime, err = config.ParseDuration(expires); err != nil || n.Lifetime == 0 {
			return errMalformed
		}
	}
	key, token, err := s.app.CreateToken(ctx, asks.Actor(), n)
	if text := sentence(c, err, tokenExists, "identifier"); text != "" {
		return s.renderTokens(c, http.StatusBadRequest, view.TokensPage{Error: text,
			New: view.TokenRow{Identifier: n.Identifier, Description: n.Description, User: form.Get("user"), Scope: n.Scope}})
	}
	if err != nil {
		return err
	}
	page := view.TokenCreatedPage{Layout: s.layout(c, "tokens"), TokenRow: s.newTokenRow(token), Key: key, PublicURL: s.app.Config.PublicURL.String()}
	return s.render(c, http.StatusOK, "token_created", &page)
}

func (s *Server) deleteToken(c *gin.Context) error {
	ctx, asks := c.Request.Context(), caller(c)
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	owner := asks // of several of that name, whose it is the form says
	if id, err := strconv.ParseInt(form.Get("user"), 10, 64); err == nil && asks.User.Superuser {
		owner.User = &db.User{ID: id}
	}
	token, err := s.app.Token(ctx, owner, c.Param("identifier"))
	if errors.Is(err, app.ErrAmbiguous) {
		err = db.ErrNotFound
	}
	if err != nil {
		return err
	}
	if err := s.app.DeleteToken(ctx, asks.Actor(), token); err != nil {
		return err
	}
	s.say(c, s.pages.Text(s.language(c), tokenDeleted, token.Identifier))
	redirect(c, "/tokens")
	return nil
}
