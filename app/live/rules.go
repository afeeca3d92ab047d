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

// Open finds a rule that leaves a path of a host open to all for a method, which is ""
// when the proxy does not say.
func (g Rules) Open(host, path, method string) (rule db.Rule, open bool) {
	for rules := range g.forHost(host) {
		for _, r := range rules {
			if r.Path != "" && !r.Challenge && r.Fits(path) && (r.Methods == nil || slices.Contains(r.Methods, method)) {
				return r, true
			}
		}
	}
	return rule, false
}

// Challenge reports whether clients that are no browsers are asked for a key there.
func (g Rules) Challenge(host, path string) bool {
	for rules := range g.forHost(host) {
		if slices.ContainsFunc(rules, func(r db.Rule) bool { return r.Challenge && (r.Path == "" || r.Fits(path)) }) {
			return true
		}
	}
	return false
}

// Allow reports whether members of these groups may reach a host, and whether a rule
// says so. The most specific host that has such a rule decides; the groups of its rules
// add up.
func (g Rules) Allow(host string, groups []db.Group) (allowed, ruled bool) {
	for rules := range g.forHost(host) {
		for _, r := range rules {
			if r.Path != "" || r.Challenge {
				continue
			}
			ruled = true
			if slices.ContainsFunc(groups, func(g db.Group) bool { return slices.Contains(r.Groups, g.Name) }) {
				return true, true
			}
		}
		if ruled {
			return false, true
		}
	}
	return false, false
}
