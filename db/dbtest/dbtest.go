// Package dbtest holds the tests that every store must pass. They use what app calls and
// nothing else of a store.
package dbtest

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"lastseen/app"
	"lastseen/db"

	"github.com/google/uuid"
)

// A Store is what is tested.
type Store = app.Store

// Start is when the tests begin.
var Start = time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)

// Run runs all tests, each on a store that is empty when open returns it.
func Run(t *testing.T, open func(testing.TB) Store) {
	on := reflect.ValueOf(suite{open})
	for i := range on.NumMethod() {
		name := strings.TrimPrefix(on.Type().Method(i).Name, "Test")
		t.Run(name, func(t *testing.T) { on.Method(i).Interface().(func(*testing.T))(t) })
	}
}

// A suite's methods are the tests.
type suite struct{ open func(testing.TB) Store }

// Event is one that somebody did at the start.
func Event(action db.Action) db.Event {
	return db.Event{Created: Start, Action: action, Actor: "test", IP: netip.MustParseAddr("192.0.2.1"), Context: map[string]any{}}
}

// CreateUser makes a user whose password's hash is "hash of " and their name.
func CreateUser(t testing.TB, s Store, name string, superuser bool) db.User {
	t.Helper()
	u, err := s.CreateUser(t.Context(), db.User{
		UUID: uuid.New(), Username: name, PasswordHash: "hash of " + name, Active: true, Superuser: superuser,
		Created: Start, Updated: Start, PasswordChanged: Start,
	}, false, func(db.User) db.Event { return Event(db.ModelCreated) })
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// Agent is one whose header is as given.
func Agent(header string) *db.Agent {
	return &db.Agent{String: header, Definitions: "1", AgentParts: db.AgentParts{Kind: "desktop", Browser: "Firefox", OS: "Other", Device: "Other"}}
}

// CreateSession makes a session that was last used at the given time and lives for a day,
// unless change makes it another. Its token's hash is its UUID.
func CreateSession(t testing.TB, s Store, u db.User, ip string, used time.Time, change ...func(*db.Session)) db.Session {
	t.Helper()
	sess := db.Session{
		UUID: uuid.New(), UserID: u.ID, Agent: Agent("agent of " + u.Username), IP: netip.MustParseAddr(ip), Method: "password",
		Created: used, LastUsed: used, Ends: used.Add(24 * time.Hour), Expires: used.Add(24 * time.Hour),
	}
	for _, f := range change {
		f(&sess)
	}
	sess, err := s.CreateSession(t.Context(), db.SignIn{User: u, Session: sess, TokenHash: sess.UUID[:], Network: ip + "/32", Event: Event(db.Login)})
	if err != nil {
		t.Fatal(err)
	}
	return sess
}

// stored is a living session with all that is known of it.
func stored(t testing.TB, s Store, id uuid.UUID) (db.Session, error) {
	t.Helper()
	sess, err := s.SessionByUUID(id)
	if err != nil {
		return sess, err
	}
	u, err := s.CachedUser(sess.UserID)
	if err != nil {
		return sess, err
	}
	sess.Username = u.Username
	sess.Agent, err = s.Agent(t.Context(), sess.AgentID)
	return sess, err
}
