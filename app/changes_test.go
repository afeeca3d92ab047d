package app

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

// Whatever changes shows in the very next request of everybody whom it concerns.
func TestChangesShowAtOnce(t *testing.T) {
	t.Parallel()
	operator := Operator.Actor()
	const (
		before = "session: Ada [family] passes; other: Ada [family] passes; key: Ada [family]; grace: passes"
		ended  = "session: refused; other: refused; key: Ada [family]; grace: passes"
	)
	type world struct {
		*App
		ada, grace db.User
		session    Caller // of ada's first session
		token      db.Token
	}
	for _, tt := range []struct {
		name   string
		change func(w world) error
		want   string
	}{
		{"nothing", func(w world) error { return nil }, before},
		{"profile", func(w world) error { return w.UpdateProfile(t.Context(), w.session, "Countess", "") },
			"session: Countess [family] passes; other: Countess [family] passes; key: Countess [family]; grace: passes"},
		{"user", func(w world) error {
			w.ada.Name, w.ada.Superuser = "Countess", true
			return w.UpdateUser(t.Context(), operator, w.ada)
		}, "session: Countess (superuser) [family] passes; other: Countess (superuser) [family] passes; key: Countess (superuser) [family]; grace: passes"},
		{"added to a group", func(w world) error { return w.AddToGroup(t.Context(), operator, w.ada, "admins") },
			"session: Ada [admins family] passes; other: Ada [admins family] passes; key: Ada [admins family]; grace: passes"},
		{"removed from a group", func(w world) error { return w.RemoveFromGroup(t.Context(), operator, w.ada, "family") },
			"session: Ada [] denied; other: Ada [] denied; key: Ada []; grace: passes"},
		{"groups set", func(w world) error { return w.SetGroups(t.Context(), operator, w.ada, []string{"admins"}) },
			"session: Ada [admins] denied; other: Ada [admins] denied; key: Ada [admins]; grace: passes"},
		{"password set", func(w world) error {
			return w.SetPassword(t.Context(), operator, w.ada, NewPassword{Password: "another horse", Spare: w.session.Session})
		}, "session: Ada [family] passes; other: refused; key: Ada [family]; grace: passes"},
		{"disabled", func(w world) error { return w.SetUserActive(t.Context(), operator, w.ada, false) },
			"session: refused; other: refused; key: refused; grace: passes"},
		{"deleted", func(w world) error { return w.DeleteUser(t.Context(), operator, w.ada) },
			"session: refused; other: refused; key: refused; grace: passes"},
		{"key deleted", func(w world) error { return w.DeleteToken(t.Context(), operator, w.token) },
			"session: Ada [family] passes; other: Ada [family] passes; key: refused; grace: passes"},
		{"rule made", func(w world) error {
			_, err := w.AllowGroups(t.Context(), operator, "app.home.example", []string{"admins"})
			return err
		}, "session: Ada [family] denied; other: Ada [family] denied; key: Ada [family]; grace: denied"},
		{"rule deleted", func(w world) error {
			_, first := w.AllowGroups(t.Context(), operator, "app.home.example", []string{"nobody"})
			rules, err := w.Rules(t.Context())
			for _, r := range rules {
				_, failed := w.DeleteRule(t.Context(), operator, r.ID)
				err = errors.Join(err, failed)
			}
			return errors.Join(first, err, w.RemoveFromGroup(t.Context(), operator, w.ada, "family"))
		}, "session: Ada [] passes; other: Ada [] passes; key: Ada []; grace: passes"},
		{"others signed out", func(w world) error {
			_, err := w.RevokeSessions(t.Context(), operator, []int64{w.ada.ID}, w.session.Session)
			return err
		}, "session: Ada [family] passes; other: refused; key: Ada [family]; grace: passes"},
		{"signed out everywhere", func(w world) error {
			_, err := w.RevokeSessions(t.Context(), operator, []int64{w.ada.ID}, uuid.Nil)
			return err
		}, ended},
		{"nobody signed out", func(w world) error {
			_, err := w.RevokeSessions(t.Context(), operator, []int64{}, uuid.Nil)
			return err
		}, before},
		{"everybody signed out", func(w world) error {
			_, err := w.RevokeSessions(t.Context(), operator, nil, uuid.Nil)
			return err
		}, "session: refused; other: refused; key: Ada [family]; grace: refused"},
		{"session revoked", func(w world) error { return w.RevokeSession(t.Context(), Operator, w.session.Session) },
			"session: refused; other: Ada [family] passes; key: Ada [family]; grace: passes"},
		{"device signed out", func(w world) error {
			if err := w.store.SetSessionDevice(t.Context(), w.session.Session, []byte("a browser"), db.Client{}); err != nil {
				return err
			}
			devices, err := w.Devices(t.Context(), w.session, w.ada.ID)
			if err != nil {
				return err
			}
			_, err = w.SignOutDevice(t.Context(), w.session, devices[0].UUID)
			return err
		}, "session: refused; other: Ada [family] passes; key: Ada [family]; grace: passes"},
		{"signed out here", func(w world) error { return w.SignOut(t.Context(), w.session) },
			"session: refused; other: Ada [family] passes; key: Ada [family]; grace: passes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := openApp(t, t.TempDir())
			a.Config.CookieDomain = "home.example"
			w := world{App: a}
			w.ada = create(t, a, NewUser{Username: "ada", Name: "Ada", Groups: []string{"family"}})
			w.grace = create(t, a, NewUser{Username: "grace", Groups: []string{"family"}})
			if _, err := a.AllowGroups(t.Context(), operator, "*.home.example", []string{"family"}); err != nil {
				t.Fatal(err)
			}
			session, id := insertSession(t, a, w.ada)
			other, _ := insertSession(t, a, w.ada)
			graces, _ := insertSession(t, a, w.grace)
			key, token, err := a.CreateToken(t.Context(), operator, NewToken{User: w.ada})
			if err != nil {
				t.Fatal(err)
			}
			w.session, w.token = Caller{User: &w.ada, Session: id}, token

			client := from("192.0.2.1")
			gate := func(token string) string {
				d, err := a.Authorize(t.Context(), ForwardRequest{Host: "app.home.example", Path: "/", Tokens: []string{token}, Client: client})
				if err != nil {
					t.Fatal(err)
				}
				return [...]string{Deny: " denied", Login: "refused", Allow: " passes"}[d.Verdict]
			}
			describe := func(caller Caller, err error) string {
				if errors.Is(err, ErrUnauthenticated) || errors.Is(err, ErrInvalidToken) {
					return ""
				} else if err != nil {
					t.Fatal(err)
				}
				text := caller.User.Name
				if caller.User.Superuser {
					text += " (superuser)"
				}
				var groups []string
				for _, g := range caller.User.Groups {
					groups = append(groups, g.Name)
				}
				return fmt.Sprint(text, " ", groups)
			}
			state := func() string {
				text := ""
				for _, s := range []struct{ name, token string }{{"session", session}, {"other", other}} {
					text += s.name + ": " + describe(a.Authenticate(t.Context(), []string{s.token}, client)) + gate(s.token) + "; "
				}
				byKey := describe(a.AuthenticateKey(t.Context(), key, client))
				if byKey == "" {
					byKey = "refused"
				}
				text += "key: " + byKey + "; grace:"
				if g := gate(graces); g == "refused" {
					return text + " refused"
				} else {
					return text + g
				}
			}
			if got := state(); got != before {
				t.Fatalf("at first: %s", got)
			}
			if err := tt.change(w); err != nil {
				t.Fatal(err)
			}
			if got := state(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// The row number of an agent that was purged is not given to another one, and sessions show
// that.
func TestPurgedAgent(t *testing.T) {
	t.Parallel()
	a, advance := clocked(t, t.TempDir())
	user := create(t, a, NewUser{Username: "root", Superuser: true})
	show := func(agent string) string {
		t.Helper()
		client := from("192.0.2.1")
		client.Agent = agent
		_, sess, err := a.SignIn(t.Context(), Credentials{Username: "root", Password: "correct horse"}, client, nil)
		if err != nil {
			t.Fatal(err)
		}
		shown, err := a.Session(t.Context(), Operator, sess.UUID)
		if err != nil {
			t.Fatal(err)
		}
		return shown.Agent.String
	}
	for _, agent := range []string{"first/1", "second/2"} {
		if got := show(agent); got != agent {
			t.Errorf("a session by %s is shown as by %s", agent, got)
		}
		if _, err := a.RevokeSessions(t.Context(), Operator.Actor(), []int64{user.ID}, uuid.Nil); err != nil {
			t.Fatal(err)
		}
		advance(a.Config.History + time.Hour)
		if err := a.purge(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
