package live

import (
	"iter"
	"slices"
	"strings"

	"lastseen/db"
)

// Rules are the rules of the gate by what their hosts end in: the name
// itself of an exact one, .suffix of a *.suffix. Nobody may change them.
type Rules map[string][]db.Rule

// NewRules are these, for looking up.
func NewRules(all []db.Rule) Rules {
	rules := Rules{}
	for _, r := range all {
		end := strings.TrimPrefix(r.Host, "*")
		rules[end] = append(rules[end], r)
	}
	return rules
}

// forHost yields the rules of a host by their ends, the most specific first.
func (g Rules) forHost(host string) iter.Seq[[]db.Rule] {
	return func(yield func([]db.Rule) bool) {
		for end := host; len(g) > 0; {
			if rules := g[end]; len(rules) > 0 && !yield(rules) {
				return
			}
			dot := strings.IndexByte(end[1:], '.')
			if dot < 0 {
				return
			}
			end = end[1+dot:]
		}
	}
}

// Open finds a rule that leaves a path of a host open to all.
func (g Rules) Open(host, path string) (rule db.Rule, open bool) {
	for rules := range g.forHost(host) {
		for _, r := range rules {
			prefix, isPrefix := strings.CutSuffix(r.Path, "*")
			if isPrefix && strings.HasPrefix(path, prefix) || r.Path != "" && path == r.Path {
				return r, true
			}
		}
	}
	return rule, false
}

// Allow reports whether members of these groups may reach a host. The most
// specific host that has such a rule decides; the groups of its rules add up.
func (g Rules) Allow(host string, groups []db.Group) bool {
	for rules := range g.forHost(host) {
		ruled := false
		for _, r := range rules {
			if r.Path != "" {
				continue
			}
			ruled = true
			if slices.ContainsFunc(groups, func(g db.Group) bool { return slices.Contains(r.Groups, g.Name) }) {
				return true
			}
		}
		if ruled {
			return false
		}
	}
	return true
}
