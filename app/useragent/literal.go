package useragent

import (
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
)

const (
	maxAlternatives = 400 // literals that one set may hold
	maxSets         = 3   // sets that one rule is tested with
)

// required are sets of literals, folded: every match of the expression contains
// at least one literal of each set. No set means that it must always be tried.
func required(expr string) [][]string {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil
	}
	sets := slices.DeleteFunc(conjuncts(re.Simplify()), func(set []string) bool { return score(set) < 2 })
	slices.SortStableFunc(sets, func(a, b []string) int { return score(b) - score(a) })
	return sets[:min(len(sets), maxSets)]
}

// conjuncts walks the syntax tree for sets of which every match has a literal.
func conjuncts(re *syntax.Regexp) [][]string {
	if set := exact(re); set != nil {
		return [][]string{set}
	}
	switch re.Op {
	case syntax.OpLiteral:
		if s := longestASCII(re.Rune); s != "" {
			return [][]string{{fold(s)}}
		}
	case syntax.OpCapture, syntax.OpPlus:
		return conjuncts(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return conjuncts(re.Sub[0])
		}
	case syntax.OpConcat:
		var sets [][]string
		run := []string{""} // what the neighbours so far can be, exactly
		for _, sub := range re.Sub {
			set := exact(sub)
			if set != nil && len(run)*len(set) <= maxAlternatives {
				run = product(run, set)
				continue
			}
			sets = append(sets, run)
			if run = set; set == nil {
				run = []string{""}
				sets = append(sets, conjuncts(sub)...)
			}
		}
		return append(sets, run)
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			var best []string
			for _, set := range conjuncts(sub) {
				if score(set) > score(best) {
					best = set
				}
			}
			if best == nil || len(all)+len(best) > maxAlternatives {
				return nil
			}
			all = append(all, best...)
		}
		return [][]string{all}
	}
	return nil
}

// exact is every text that an expression can match, folded, or nil where these
// are not a few of plain ASCII.
func exact(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginText, syntax.OpEndText, syntax.OpBeginLine, syntax.OpEndLine,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return []string{""}
	case syntax.OpLiteral:
		if s := string(re.Rune); longestASCII(re.Rune) == s {
			return []string{fold(s)}
		}
	case syntax.OpCharClass:
		var set []string
		for i := 0; i < len(re.Rune); i += 2 {
			if re.Rune[i+1]-re.Rune[i] > 8 || len(set) > 8 {
				return nil
			}
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				if s := fold(string(r)); s[0] < 0x80 {
					set = append(set, s)
				} else {
					return nil
				}
			}
		}
		slices.Sort(set)
		return slices.Compact(set)
	case syntax.OpCapture:
		return exact(re.Sub[0])
	case syntax.OpQuest:
		if set := exact(re.Sub[0]); set != nil {
			return append([]string{""}, set...)
		}
	case syntax.OpConcat:
		run := []string{""}
		for _, sub := range re.Sub {
			set := exact(sub)
			if set == nil || len(run)*len(set) > maxAlternatives {
				return nil
			}
			run = product(run, set)
		}
		return run
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			set := exact(sub)
			if set == nil || len(all)+len(set) > maxAlternatives {
				return nil
			}
			all = append(all, set...)
		}
		return all
	}
	return nil
}

// product is every text of a followed by every text of b.
func product(a, b []string) []string {
	var all []string
	for _, x := range a {
		for _, y := range b {
			all = append(all, x+y)
		}
	}
	return all
}

// longestASCII is the longest run of ASCII in a literal. The rest is left out:
// other letters fold in ways that fold does not know.
func longestASCII(runes []rune) string {
	best := ""
	for run := range strings.FieldsFuncSeq(string(runes), func(r rune) bool { return r > unicode.MaxASCII }) {
		if len(run) > len(best) {
			best = run
		}
	}
	return best
}

// common is in most headers, so that needing it rules nothing out.
var common = strings.Fields("mozilla/5.0 mozilla/ mozilla applewebkit/ applewebkit khtml like gecko) gecko safari/ safari linux android build/ build version/ mobile")

// score is how well literals tell headers apart: the length of the shortest,
// where one that is in most headers counts as two letters.
func score(literals []string) int {
	worst := 0
	for i, l := range literals {
		n := len(l)
		if slices.ContainsFunc(common, func(c string) bool { return strings.Contains(c, strings.TrimSpace(l)) }) {
			n = min(n, 2)
		}
		if i == 0 || n < worst {
			worst = n
		}
	}
	return worst
}

// fold brings text to the form in which literals are looked for: ASCII letters
// in lower case, and so the two other letters that an expression without regard
// to case takes for ASCII ones, the long s and the Kelvin sign.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case r == 'ſ':
			return 's'
		case r == '\u212A':
			return 'k'
		}
		return r
	}, s)
}

// A finder looks for each literal in one text at most once.
type finder struct {
	text     string
	literals []string
	found    []int8 // 0: not looked for yet
}

// all reports whether the text holds a literal of each set.
func (f *finder) all(sets [][]int32) bool {
	for _, set := range sets {
		if !f.any(set) {
			return false
		}
	}
	return true
}

func (f *finder) any(set []int32) bool {
	for _, id := range set {
		if f.found[id] == 0 {
			f.found[id] = -1
			if strings.Contains(f.text, f.literals[id]) {
				f.found[id] = 1
			}
		}
		if f.found[id] > 0 {
			return true
		}
	}
	return false
}
