// Package db holds the words that every part shares: what a user, a session, a
// token and an event are, and the errors a store answers with. It imports no driver.
package db

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Errors of every store. They are wrapped with what was being done.
var (
	ErrNotFound    = errors.New("not found")
	ErrConflict    = errors.New("already exists")
	ErrUnavailable = errors.New("database unavailable") // full, read-only, locked, damaged or gone

	// ErrOwnBackup says that the database is copied by its own means.
	ErrOwnBackup = errors.New("a PostgreSQL database is backed up by its own means: use pg_dump, or what copies the whole server")

	// ErrLastSuperuser says that a change would leave nobody in charge.
	ErrLastSuperuser = fmt.Errorf("%w: the last active superuser", ErrConflict)
)

// An UnavailableError is an ErrUnavailable that says why, and what to do, in
// words for who runs the server.
type UnavailableError struct {
	Path    string // of the file that is concerned
	Problem string // what it is or cannot, such as "is damaged"
	Remedy  string
	Err     error // the driver's or the system's, if any
}

func (e *UnavailableError) Error() string {
	text := fmt.Sprintf("the database %s %s: %s", e.Path, e.Problem, e.Remedy)
	if e.Err != nil {
		text += fmt.Sprintf(" (%v)", e.Err)
	}
	return text
}

// Is makes it an ErrUnavailable.
func (e *UnavailableError) Is(target error) bool { return target == ErrUnavailable }

func (e *UnavailableError) Unwrap() error { return e.Err }

// Normal is the one spelling, of those that Unicode has for the same text, in which
// names are stored and compared: an ö may come as one character or as two.
func Normal(text string) string { return norm.NFC.String(text) }

// Fold is the form of a name in which "Ada" and "ada" are one.
func Fold(name string) string { return Normal(strings.ToLower(name)) }

// An Order is one column to sort by.
type Order struct {
	Column     string
	Descending bool
}
