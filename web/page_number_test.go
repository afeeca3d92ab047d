package web

import (
	"strings"
	"testing"

	"lastseen/db"
)

// A page number beyond all pages shows some page, and none breaks.
func TestHugePageNumbers(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	for range 6 {
		ts.session("bob", "192.0.2.1", "x")
	}
	ada := ts.signIn("ada")
	sess, _ := ts.session("bob", "192.0.2.1", "x")
	for i := range 150 {
		u := [16]byte{1, byte(i)}
		s := sess
		s.UUID = u
		user, _ := ts.app.UserByName(t.Context(), "bob")
		if _, err := ts.store.CreateSession(t.Context(), db.SignIn{User: user, Session: s, TokenHash: u[:], Event: eventOf(user.ID)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []string{"9223372036854775807", "9223372036854775806", "184467440737095517", "92233720368547760", "-1", "0"} {
		for _, path := range []string{"/sessions?view=everybody&page=", "/sessions?view=everybody&state=all&page=", "/sessions?view=everybody&state=ended&page=", "/sessions?page=", "/users?page=", "/events?page=", "/sessions/export.csv?view=everybody&page="} {
			res, _ := ts.get(ada, path+n)
			if res.StatusCode >= 500 {
				t.Errorf("%s%s: %d", path, n, res.StatusCode)
			}
		}
		for _, path := range []string{"/core/authenticated_sessions/", "/core/users/", "/core/tokens/", "/events/events/"} {
			res, _ := ts.get(ada, "/api/v3"+path+"?page="+n)
			if res.StatusCode >= 500 {
				t.Errorf("%s%s: %d", path, n, res.StatusCode)
			}
		}
	}
	if strings.Contains(ts.log.String(), "panic") {
		t.Error("panics in the log")
	}
}

func eventOf(id int64) db.Event {
	return db.Event{Created: now, Action: db.ModelCreated, ActorID: id, Actor: "bob", SubjectID: id, Context: map[string]any{}}
}
