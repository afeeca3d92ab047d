package useragent

import (
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
)

// An index finds in one pass over a text which sets of literals it meets: of each
// set one must be in the text. Literals and text are folded.
type index struct {
	sets    int
	byStart map[string][]literal // by the first two bytes
}

type literal struct {
	text string
	sets []int // those it is in
}

// add takes in sets and gives each a number.
func (ix *index) add(sets [][]string) (numbers []int) {
	if ix.byStart == nil {
		ix.byStart = map[string][]literal{}
	}
	for _, set := range sets {
		for _, text := range set {
			start := ix.byStart[text[:2]]
			i := slices.IndexFunc(start, func(l literal) bool { return l.text == text })
			if i < 0 {
				i = len(start)
				start = append(start, literal{text: text})
				ix.byStart[text[:2]] = start
			}
			start[i].sets = append(start[i].sets, ix.sets)
		}
		numbers = append(numbers, ix.sets)
		ix.sets++
	}
	return numbers
}

// find says of each set whether text holds one of its literals.
func (ix *index) find(text string) []bool {
	found := make([]bool, ix.sets)
	for i := range max(len(text)-1, 0) {
		for _, l := range ix.byStart[text[i:i+2]] {
			if strings.HasPrefix(text[i:], l.text) {
				for _, set := range l.sets {
					found[set] = true
				}
			}
		}
	}
	return found
}

// fold brings text to the form in which literals are compared: ASCII letters in
// lower case, and with them the two other letters which an expression that ignores
// case takes for ASCII ones, the long s and the Kelvin sign.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case r == '\u017F':
			return 's'
		case r == '\u212A':
			return 'k'
		}
		return r
	}, s)
}

// required gives sets of literals, folded and of two bytes or more: a text that
// expr matches holds a literal of each set. No sets mean that it must be tried.
func required(expr string) [][]string {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil
	}
	exact, sets := literals([]string{""}, re)
	if exact != nil {
		sets = [][]string{exact}
	}
	return slices.DeleteFunc(sets, func(set []string) bool { return rarity(set) == 0 })
}

// literals walks an expression from left to right. before is what may stand where re
// begins. If together they are a few texts of ASCII, exact is all of those; if not,
// sets are such as required gives, some of which may be too short.
func literals(before []string, re *syntax.Regexp) (exact []string, sets [][]string) {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginText, syntax.OpEndText, syntax.OpBeginLine, syntax.OpEndLine,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return before, nil
	case syntax.OpLiteral:
		// Letters beyond ASCII are left out: fold does not know all their cases.
		if slices.ContainsFunc(re.Rune, func(r rune) bool { return r > unicode.MaxASCII }) {
			break
		}
		for _, s := range before {
			exact = append(exact, s+fold(string(re.Rune)))
		}
		return exact, nil
	case syntax.OpCapture:
		return literals(before, re.Sub[0])
	case syntax.OpPlus:
		return nil, atLeastOnce(before, re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return nil, atLeastOnce(before, re.Sub[0])
		}
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			e, s := literals(before, sub)
			if before = e; e == nil {
				before = []string{""}
				sets = append(sets, s...)
			}
		}
		if sets == nil {
			return before, nil
		}
		return nil, append(sets, before)
	case syntax.OpAlternate:
		if len(before) == 1 { // else the pairs would be many, and hardly rarer
			return alternatives(before, re.Sub)
		}
		sets = append(sets, before)
		e, s := alternatives([]string{""}, re.Sub)
		if e != nil {
			return nil, append(sets, e)
		}
		return nil, append(sets, s...)
	}
	return nil, [][]string{before}
}

func atLeastOnce(before []string, re *syntax.Regexp) [][]string {
	exact, sets := literals(before, re)
	if exact != nil {
		return [][]string{exact}
	}
	return sets
}

// alternatives joins the rarest sets of all branches: a match holds one of them.
func alternatives(before []string, branches []*syntax.Regexp) (exact []string, sets [][]string) {
	var all []string
	isExact := true
	for _, branch := range branches {
		e, s := literals(before, branch)
		isExact = isExact && e != nil
		for _, set := range s {
			if e == nil || rarity(set) > rarity(e) {
				e = set
			}
		}
		all = append(all, e...)
	}
	if isExact {
		return all, nil
	}
	return nil, [][]string{all}
}

// ordinary is what most headers are made of.
const ordinary = "mozilla/5.0 (linux; android 10; k; wv) build/ applewebkit/537.36 (khtml, like gecko) version/4.0 chrome/138.0.0.0 mobile safari/537.36 " +
	"(windows nt 10.0; win64; x64) applewebkit (macintosh; intel mac os x 10_15_7) (iphone; cpu iphone os 18_5 like mac os x) mobile/15e148"

// rarity is how well a set tells headers apart, by its worst literal: 0 if it is too
// short to look for, 1 if it is ordinary, else its length.
func rarity(set []string) int {
	worst := 0
	for _, s := range set {
		n := len(s)
		if n < 2 {
			return 0
		}
		if strings.Contains(ordinary, s) {
			n = 1
		}
		if worst == 0 || n < worst {
			worst = n
		}
	}
	return worst
}
