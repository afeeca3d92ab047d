package db

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// An InputError says what is wrong with one field of what somebody gave, in a
// sentence for them to read.
type InputError struct{ Field, Problem string }

func (e *InputError) Error() string { return e.Field + ": " + e.Problem }

// MinPassword is how many characters a new password must have.
const MinPassword = 8

const (
	MaxName     = 150  // characters, as in authentik
	MaxPassword = 1024 // bytes: a hash costs by the byte, too
)

// CheckUsername says what is wrong with a name for a new user: it is made of
// letters, digits and . _ - + @, so that it can stand in headers, logs and addresses.
func CheckUsername(name string) error {
	problem := ""
	switch {
	case name == "":
		problem = "Enter a user name."
	case utf8.RuneCountInString(name) > MaxName:
		problem = "A user name has 150 characters or fewer."
	case strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._-+@", r) || r == utf8.RuneError
	}), Unseen(name):
		problem = "A user name holds letters, digits and . _ - + @ only."
	default:
		return nil
	}
	return &InputError{"username", problem}
}

// Unseen reports whether a text holds characters that show nothing, or no other ones. What
// joins or marks the letters around it is no fault, but nothing to see by itself.
func Unseen(text string) bool {
	shows := false
	for _, r := range text {
		switch {
		case r == '\u200c', r == '\u200d', '\U000E0020' <= r && r <= '\U000E007F', // joiners, and the letters within flags
			r == '\u2800', unicode.IsSpace(r), unicode.IsMark(r):
		case unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point):
			return true
		default:
			shows = true
		}
	}
	return text != "" && !shows
}

// IsLine reports whether a text is on one line.
func IsLine(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp) })
}

// CheckPassword says what is wrong with a new password.
func CheckPassword(password string) error {
	switch {
	case utf8.RuneCountInString(password) < MinPassword:
		return &InputError{"password", "A password has 8 characters or more."}
	case len(password) > MaxPassword:
		return &InputError{"password", "A password has 1024 bytes or fewer."}
	case !utf8.ValidString(password) || strings.ContainsFunc(password, unicode.IsControl): // no page could send it
		return &InputError{"password", "A password is text on one line."}
	}
	return nil
}
