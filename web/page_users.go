package web

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"lastseen/app"
	"lastseen/db"
	"lastseen/web/view"

	"github.com/gin-gonic/gin"
)

// Sentences of these pages that are not the app's own.
var (
	userExists     = view.Msg("There is already a user of that name.")
	lastSuperuser  = view.Msg("The only superuser cannot be disabled, deleted or made ordinary.")
	tokenExists    = view.Msg("There is already a token of that name.")
	userSaved      = view.Msg("Saved.")
	userCreated    = view.Msg("Added %s.")
	userDeleted    = view.Msg("Deleted %s.")
	passwordReset  = view.Msg("%s has a new password, and is signed out everywhere.")
	userIsEnabled  = view.Msg("%s may sign in again.")
	userIsDisabled = view.Msg("%s is signed out everywhere and may not sign in.")
	userIsUnlocked = view.Msg("The wrong passwords for %s are forgotten.")
	tokenDeleted   = view.Msg("Deleted the token %s.")
)

func (s *Server) usersForm(c *gin.Context) error {
	return s.renderUsers(c, http.StatusOK, view.UsersPage{})
}

// userSorts are the columns that the list of users can be in the order of.
var userSorts = []string{"username", "last_login", "last_seen", "sessions"}

func (s *Server) renderUsers(c *gin.Context, status int, page view.UsersPage) error {
	page.Filter = view.UserFilter{Search: c.Query("search"), Sort: c.Query("sort"), Factor: c.Query("factor")}
	number := pageNumber(c)
	f := db.UserFilter{}
	missing, asked := s.app.MissingFactor()
	if asked {
		var err error
		if _, page.MissingFactor, err = s.app.Users(c.Request.Context(), caller(c), missing); err != nil {
			return err
		}
		if page.Filter.Factor == "missing" {
			f = missing
		}
	}
	f.Search, f.Limit, f.Offset = pageWords(page.Filter.Search), viewPageSize, (number-1)*viewPageSize
	if column, descending := strings.CutPrefix(page.Filter.Sort, "-"); slices.Contains(userSorts, column) {
		f.Ordering = []db.Order{{Column: column, Descending: descending}}
	}
	accounts, total, err := s.app.Accounts(c.Request.Context(), caller(c), f)
	if err != nil {
		return err
	}
	page.Layout, page.MinLength = s.layout(c, "users"), db.MinPassword
	if page.ErrorIn != "add" {
		page.New.MustChange = true // unless that is unticked
	}
	page.Flash = s.flash(c)
	if page.Links, err = s.links(c); err != nil {
		return err
	}
	page.Pages = newPager(number, viewPageSize, total, page.Filter.Link)
	for _, account := range accounts {
		page.Users = append(page.Users, s.newUserRow(caller(c), account))
	}
	return s.render(c, status, "users", &page)
}

func (s *Server) newUserRow(asks app.Caller, a app.Account) view.UserRow {
	row := view.UserRow{
		ID: a.ID, Username: a.Username, Name: a.Name, Email: a.Email, Superuser: a.Superuser, Disabled: !a.Active,
		SignedIn: a.LastLogin, LastSeen: a.LastSeen, Sessions: a.Sessions, Self: a.ID == asks.User.ID,
		MustChange: a.MustChange, Failures: a.Failures.Count, LockedUntil: a.Failures.Refused,
		NoFactor: a.Active && !a.Factor && s.app.MustHaveFactor(a.User),
	}
	for _, g := range a.Groups {
		row.Groups = append(row.Groups, g.Name)
	}
	return row
}

// groupNames reads a list separated by commas.
func groupNames(text string) []string {
	var names []string
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// invalidKey is where a handler names the field that a page gives the focus.
const invalidKey = "invalid"

// inputFields are the fields of pages that input errors name otherwise.
var inputFields = map[string]string{"group": "groups", "scope": "hosts"}

// sentence is what a page says of an error that a person can mend, or "". A conflict is
// about the field that is taken.
func sentence(c *gin.Context, err error, conflict, taken string) string {
	var input *db.InputError
	switch {
	case errors.As(err, &input):
		c.Set(invalidKey, cmp.Or(inputFields[input.Field], input.Field))
		return input.Problem
	case errors.Is(err, db.ErrLastSuperuser):
		return lastSuperuser
	case errors.Is(err, db.ErrConflict):
		c.Set(invalidKey, taken)
		return conflict
	}
	return ""
}

func (s *Server) createUser(c *gin.Context) error {
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	n := app.NewUser{
		Username: form.Get("username"), Name: form.Get("name"), Email: form.Get("email"), Password: form.Get("password"),
		Superuser: form.Get("superuser") != "", MustChange: form.Get("must_change") != "", Groups: groupNames(form.Get("groups")),
	}
	user, err := s.app.CreateUser(c.Request.Context(), caller(c).Actor(), n)
	if text := sentence(c, err, userExists, "username"); text != "" {
		return s.renderUsers(c, http.StatusBadRequest, view.UsersPage{Error: text, ErrorIn: "add",
			New: view.UserRow{Username: n.Username, Name: n.Name, Email: n.Email, Superuser: n.Superuser, MustChange: n.MustChange, Groups: n.Groups}})
	}
	if err != nil {
		return err
	}
	s.say(c, s.pages.Text(s.language(c), userCreated, user.Username))
	redirect(c, fmt.Sprintf("/users/%d", user.ID))
	return nil
}

// pathUser is the user of the path.
func (s *Server) pathUser(c *gin.Context) (db.User, error) {
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil {
		return db.User{}, db.ErrNotFound
	}
	return s.app.User(c.Request.Context(), caller(c), id)
}

func (s *Server) userForm(c *gin.Context) error {
	user, err := s.pathUser(c)
	if err != nil {
		return err
	}
	return s.renderUser(c, http.StatusOK, user, "", "")
}

func (s *Server) renderUser(c *gin.Context, status int, user db.User, errorIn, text string) error {
	accounts, _, err := s.app.Accounts(c.Request.Context(), caller(c), db.UserFilter{ID: user.ID, Limit: 1})
	if err == nil && len(accounts) == 0 {
		err = db.ErrNotFound
	}
	if err != nil {
		return err
	}
	accounts[0].User = user // as it was typed, where that cannot be
	page := view.UserPage{Layout: s.layout(c, "users"), UserRow: s.newUserRow(caller(c), accounts[0]), Joined: user.Created, PasswordChanged: user.PasswordChanged, NoPassword: user.PasswordHash == "",
		MinLength: db.MinPassword, Error: text, ErrorIn: errorIn}
	page.Flash = s.flash(c)
	if page.Factors, err = s.factors(c, user); err != nil {
		return err
	}
	if user.Active && user.Superuser {
		yes := true
		_, others, err := s.app.Users(c.Request.Context(), caller(c), db.UserFilter{Active: &yes, Superuser: &yes})
		if err != nil {
			return err
		}
		page.LastSuperuser = others == 1
	}
	return s.render(c, status, "user", &page)
}

// change does something to the user of the path and goes back to its page;
// what a person can mend is said on the page, in the section named.
func (s *Server) change(c *gin.Context, section, done string, do func(form url.Values, user *db.User) error) error {
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	user, err := s.pathUser(c)
	if err != nil {
		return err
	}
	err = do(form, &user)
	if text := sentence(c, err, userExists, "username"); text != "" {
		return s.renderUser(c, http.StatusBadRequest, user, section, text)
	}
	if err != nil {
		return err
	}
	lang, said := s.language(c), ""
	if strings.Contains(done, "%s") {
		said = s.pages.Text(lang, done, user.Username)
	} else {
		said = s.pages.Text(lang, done)
	}
	if done == passwordReset || done == userIsDisabled {
		keys, err := s.keysAfter(c, user, form.Get("delete_tokens") != "")
		if err != nil {
			return err
		}
		said += keys
	}
	s.say(c, said)
	redirect(c, fmt.Sprintf("/users/%d", user.ID))
	return nil
}

func (s *Server) changeUser(c *gin.Context) error {
	return s.change(c, "details", userSaved, func(form url.Values, user *db.User) error {
		user.Name, user.Email, user.Superuser = form.Get("name"), form.Get("email"), form.Get("superuser") != ""
		return s.app.UpdateUser(c.Request.Context(), caller(c).Actor(), *user)
	})
}

func (s *Server) changeGroups(c *gin.Context) error {
	return s.change(c, "groups", userSaved, func(form url.Values, user *db.User) error {
		return s.app.SetGroups(c.Request.Context(), caller(c).Actor(), *user, groupNames(form.Get("groups")))
	})
}

func (s *Server) resetPassword(c *gin.Context) error {
	return s.change(c, "password", passwordReset, func(form url.Values, user *db.User) error {
		n := app.NewPassword{Password: form.Get("password"), MustChange: form.Get("must_change") != ""}
		if user.ID == caller(c).User.ID {
			n.MustChange, n.Spare = false, caller(c).Session
		}
		return s.app.SetPassword(c.Request.Context(), caller(c).Actor(), *user, n)
	})
}

func (s *Server) enableUser(c *gin.Context) error {
	return s.change(c, "delete", userIsEnabled, func(_ url.Values, user *db.User) error {
		return s.app.SetUserActive(c.Request.Context(), caller(c).Actor(), *user, true)
	})
}

func (s *Server) disableUser(c *gin.Context) error {
	return s.change(c, "delete", userIsDisabled, func(_ url.Values, user *db.User) error {
		return s.app.SetUserActive(c.Request.Context(), caller(c).Actor(), *user, false)
	})
}

func (s *Server) unlockUser(c *gin.Context) error {
	return s.change(c, "delete", userIsUnlocked, func(_ url.Values, user *db.User) error {
		return s.app.UnlockUser(c.Request.Context(), caller(c).Actor(), *user)
	})
}

func (s *Server) deleteUser(c *gin.Context) error {
	user, err := s.pathUser(c)
	if err != nil {
		return err
	}
	err = s.app.DeleteUser(c.Request.Context(), caller(c).Actor(), user)
	if text := sentence(c, err, userExists, "username"); text != "" {
		return s.renderUser(c, http.StatusBadRequest, user, "delete", text)
	}
	if err != nil {
		return err
	}
	s.say(c, s.pages.Text(s.language(c), userDeleted, user.Username))
	redirect(c, "/users")
	return nil
}
