package web

import (
	"net/http"
	"strconv"
	"strings"

	"lastseen/db"
	"lastseen/web/view"

	"github.com/gin-gonic/gin"
)

var (
	ruleExists  = view.Msg("There is such a rule already.")
	ruleCreated = view.Msg("Added a rule for %s.")
	ruleDeleted = view.Msg("Deleted the rule for %s.")
)

func (s *Server) rulesForm(c *gin.Context) error {
	return s.renderRules(c, http.StatusOK, view.RulesPage{})
}

func (s *Server) renderRules(c *gin.Context, status int, page view.RulesPage) error {
	page.Deny = s.app.Config.GateDeny
	rules, err := s.app.Rules(c.Request.Context())
	if err != nil {
		return err
	}
	if page.Groups, err = s.app.GroupNames(c.Request.Context()); err != nil {
		return err
	}
	page.Layout = s.layout(c, "rules")
	page.Flash = s.flash(c)
	for _, r := range rules {
		row := view.RuleRow{ID: r.ID, Host: r.Host, Groups: r.Groups, Path: r.Path, Methods: strings.Join(r.Methods, " ")}
		switch {
		case r.Challenge:
			page.Challenged = append(page.Challenged, row)
		case r.Path == "":
			page.Allowed = append(page.Allowed, row)
		default:
			page.Open = append(page.Open, row)
		}
	}
	return s.render(c, status, "rules", &page)
}

func (s *Server) createRule(c *gin.Context) error {
	form, err := parseForm(c)
	if err != nil {
		return err
	}
	page := view.RulesPage{ErrorIn: "allow", New: view.RuleRow{Host: form.Get("host"), Groups: groupNames(form.Get("groups")), Path: form.Get("path"), Methods: form.Get("methods")}}
	var rule db.Rule
	switch form.Get("kind") {
	case "allow":
		rule, err = s.app.AllowGroups(c.Request.Context(), caller(c).Actor(), page.New.Host, page.New.Groups)
	case "open":
		page.ErrorIn = "open"
		rule, err = s.app.OpenPath(c.Request.Context(), caller(c).Actor(), page.New.Host, page.New.Path, methodNames(page.New.Methods)...)
	case "challenge":
		page.ErrorIn = "challenge"
		rule, err = s.app.Challenge(c.Request.Context(), caller(c).Actor(), page.New.Host, page.New.Path)
	default:
		return errMalformed
	}
	if page.Error = sentence(c, err, ruleExists, "host"); page.Error != "" {
		c.Set(invalidKey, page.ErrorIn+"-"+c.GetString(invalidKey))
		return s.renderRules(c, http.StatusBadRequest, page)
	}
	if err != nil {
		return err
	}
	s.say(c, s.pages.Text(s.language(c), ruleCreated, rule.Host))
	redirect(c, "/rules")
	return nil
}

// methodNames are the words of a line of methods.
func methodNames(line string) []string {
	return strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == ',' })
}

func (s *Server) deleteRule(c *gin.Context) error {
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil {
		return db.ErrNotFound
	}
	rule, err := s.app.DeleteRule(c.Request.Context(), caller(c).Actor(), id)
	if err != nil {
		return err
	}
	s.say(c, s.pages.Text(s.language(c), ruleDeleted, rule.Host))
	redirect(c, "/rules")
	return nil
}
