package alert

import (
	"strings"
	"unicode"
)

// maxLine is how many characters of a stranger's text a message takes.
const maxLine = 200

// line is a text from a stranger as one line that shows what it holds.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) && r != '\u200C' && r != '\u200D' { // joiners, which some scripts need
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if runes := []rune(s); len(runes) > maxLine {
		s = string(runes[:maxLine-1]) + "…"
	}
	return s
}
