package db

import "github.com/google/uuid"

// A Question is what a request needs to know of who asks, or of what it asks about: one of
// its fields.
type Question struct {
	Token   []byte    // the hash of a session's token
	App     []byte    // the hash of the token that a session has on the host of an app
	Key     []byte    // the hash of an API key
	Session uuid.UUID // a living session's public name
}

// An Answer is all that decides: a session, without Username and Agent, and its user, with
// groups and without the password's hash; or a key's token with its user.
type Answer struct {
	Found   bool
	Session Session
	User    User
	Host    string // of the app, where its token was asked for
	Token   *Token // of a key
}
