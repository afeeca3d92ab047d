package web

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"

	"lastseen/app"
	"lastseen/web/view"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
)

// maxFrom bounds the address of a list that a page leads back to, in bytes.
const maxFrom = 2000

// cameFrom is the list that a page leads back to: one of our own, rebuilt from its parts,
// or "" for whatever else a link or form may say.
func cameFrom(text string) string {
	if len(text) > maxFrom {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme+u.Host+u.Opaque != "" || u.User != nil || view.ListName(u.Path) == "" {
		return ""
	}
	query := u.Query().Encode()
	if query == "" {
		return u.Path
	}
	return u.Path + "?" + query
}

// listOf is the list that a person's sessions and devices stand in, for who looks at it.
func (s *Server) listOf(c *gin.Context, user int64) string {
	if user != caller(c).User.ID {
		return "/sessions?view=everybody"
	}
	return homePath
}

// chosenOf are the sessions that a page or form names.
func chosenOf(values url.Values) ([]uuid.UUID, error) {
	var ids []uuid.UUID
	for _, text := range values["session"] {
		if id, err := uuid.Parse(text); err == nil && !slices.Contains(ids, id) { // a malformed one names no session
			ids = append(ids, id)
		}
		if len(ids) > app.MaxChosen {
			return nil, errTooLarge
		}
	}
	return ids, nil
}

// revokeChosenForm says what signing out the chosen sessions will do: those that the query
// names, or all living ones that the filter of everybody's view shows.
func (s *Server) revokeChosenForm(c *gin.Context) error {
	chosen, rest, err := s.chosen(c)
	if err == nil {
		err = s.mark(c.Request.Context(), chosen, nil)
	}
	if err != nil {
		return err
	}
	lang := s.language(c)
	page := view.ChosenPage{Layout: s.layout(c, "sessions"), From: cameFrom(c.Query("from")), Rest: rest}
	counts := map[string]int{}
	for _, sess := range chosen {
		if sess.Current {
			page.Spared = true
			continue
		}
		page.Sessions = append(page.Sessions, newSessionRow(lang, sess))
		counts[sess.Username]++
	}
	for name, n := range counts {
		page.People = append(page.People, view.PersonCount{Name: name, Count: n})
	}
	slices.SortFunc(page.People, func(a, b view.PersonCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
	})
	return s.render(c, http.StatusOK, "chosen", &page)
}

// chosen are the sessions that are to be signed out, and how many more the filter shows
// than can be at once.
func (s *Server) chosen(c *gin.Context) (chosen []app.Session, rest int, err error) {
	if c.Query("view") != "everybody" {
		ids, err := chosenOf(c.Request.URL.Query())
		if err != nil {
			return nil, 0, err
		}
		chosen, err = s.app.Chosen(c.Request.Context(), caller(c), ids)
		return chosen, 0, err
	}
	if !caller(c).User.Superuser {
		return nil, 0, app.ErrForbidden
	}
	f := parseViewFilter(c)
	f.State, f.Page = "", 1
	if f.Group == "user" && f.Heading != "" {
		f.User = f.Heading
	}
	found, total, err := s.everybody(c, f, app.MaxChosen)
	if err != nil {
		return nil, 0, err
	}
	rest = total - len(found)
	for _, r := range found {
		if f.Heading != "" && headingOf(f.Group, r) != f.Heading {
			continue
		}
		if len(chosen) == app.MaxChosen {
			rest++
			continue
		}
		chosen = append(chosen, r.Session)
	}
	return chosen, rest, nil
}

// revokeChosen ends the sessions that a form names.
func (s *Server) revokeChosen(c *gin.Context) error {
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	ids, err := chosenOf(form)
	if err != nil {
		return err
	}
	ended, err := s.app.RevokeChosen(c.Request.Context(), caller(c), ids)
	if err != nil {
		return err
	}
	people := map[string]bool{}
	for _, sess := range ended {
		people[sess.Username] = true
	}
	lang := s.language(c)
	switch len(people) {
	case 0:
		s.warn(c, s.pages.Text(lang, "None of them was signed in any more."))
	case 1:
		s.say(c, s.pages.Text(lang, "Signed out %d sessions of %s.", len(ended), ended[0].Username))
	default:
		s.say(c, s.pages.Text(lang, "Signed out %d sessions.", len(ended)))
	}
	redirect(c, cmp.Or(cameFrom(form.Get("from")), homePath))
	return nil
}
