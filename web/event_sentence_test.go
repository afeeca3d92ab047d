package web

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lastseen/app"
	"lastseen/db"
	"lastseen/db/pgtest"

	"github.com/google/uuid"
)

// Every event that the app records says who did what to whom.
func TestEventSentences(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ctx, cli, client := t.Context(), app.Operator, app.Client{IP: netip.MustParseAddr("81.2.69.142"), Agent: firefox}
	user := func(name string) db.User {
		u, err := ts.app.UserByName(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	as := func(name string) app.Caller { u := user(name); return app.Caller{User: &u, IP: client.IP} }
	ada := as("ada")
	otto := func(change func(*db.User)) db.User { u := user("otto"); change(&u); return u }
	token := func(name string) db.Token {
		found, err := ts.app.Token(ctx, cli, name)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	started := func(name string) app.Caller {
		sess, _ := ts.session(name, "81.2.69.142", firefox)
		caller := as(name)
		caller.Session = sess.UUID
		return caller
	}
	key := func(actor app.Caller, owner, name string) error {
		_, _, err := ts.app.CreateToken(ctx, actor.Actor(), app.NewToken{User: user(owner), Identifier: name})
		return err
	}
	takeBack := func(actor app.Caller, of string) error {
		links, err := ts.app.Links(ctx)
		i := slices.IndexFunc(links, func(l db.Link) bool { return l.Username == of })
		if err != nil || i < 0 {
			return fmt.Errorf("no link of %q among %+v, %v", of, links, err)
		}
		_, err = ts.app.DeleteLink(ctx, actor.Actor(), links[i].ID)
		return err
	}
	phone, _ := ts.withCodes("bob")
	ts.trusting("bob", phone)
	device := func() uuid.UUID {
		devices, err := ts.app.Devices(ctx, cli, user("bob").ID)
		if err != nil || len(devices) == 0 {
			t.Fatalf("got %d devices, %v", len(devices), err)
		}
		return devices[0].UUID
	}
	var rule db.Rule
	for _, tt := range []struct {
		do              func() error
		english, german string
	}{
		{func() error {
			_, err := ts.app.CreateUser(ctx, ada.Actor(), app.NewUser{Username: "otto", Password: password})
			return err
		}, "ada added otto", "ada hat otto angelegt"},
		{func() error {
			_, err := ts.app.CreateUser(ctx, cli.Actor(), app.NewUser{Username: "erika", Password: password})
			return err
		}, "erika was added on the command line", "erika wurde auf der Kommandozeile angelegt"},
		{func() error { started("erika"); return nil }, "erika signed in", "erika hat sich angemeldet"},
		{func() error {
			_, _, err := ts.app.SignIn(ctx, app.Credentials{Username: "otto", Password: "wrong"}, client, nil)
			if err == app.ErrBadCredentials {
				err = nil
			}
			return err
		}, "sign-in as otto refused", "Anmeldung als otto abgewiesen"},
		{func() error { return ts.app.SignOut(ctx, started("erika")) }, "erika signed out", "erika hat sich abgemeldet"},
		{func() error { return ts.app.RevokeSession(ctx, ada, started("erika").Session) },
			"ada signed out Firefox 140 on Linux of erika", "ada hat Firefox 140 auf Linux von erika abgemeldet"},
		{func() error { return ts.app.RevokeSession(ctx, as("erika"), started("erika").Session) },
			"erika signed out Firefox 140 on Linux", "erika hat Firefox 140 auf Linux abgemeldet"},
		{func() error { return ts.app.RevokeSession(ctx, cli, started("erika").Session) },
			"Firefox 140 on Linux of erika was signed out on the command line", "Firefox 140 auf Linux von erika wurde auf der Kommandozeile abgemeldet"},
		{func() error { return ts.app.SetUserActive(ctx, ada.Actor(), user("otto"), false) }, "ada disabled otto", "ada hat otto gesperrt"},
		{func() error { return ts.app.SetUserActive(ctx, cli.Actor(), user("otto"), true) },
			"otto was enabled on the command line", "otto wurde auf der Kommandozeile freigegeben"},
		{func() error { return ts.app.UnlockUser(ctx, ada.Actor(), user("otto")) }, "ada unlocked otto", "ada hat otto entsperrt"},
		{func() error { return ts.app.AddToGroup(ctx, cli.Actor(), user("otto"), "family") },
			"otto was added to family on the command line", "otto wurde auf der Kommandozeile in die Gruppe family aufgenommen"},
		{func() error { return ts.app.SetGroups(ctx, ada.Actor(), user("otto"), []string{"family", "friends"}) },
			"ada added otto to friends", "ada hat otto in die Gruppe friends aufgenommen"},
		{func() error { return ts.app.RemoveFromGroup(ctx, ada.Actor(), user("otto"), "family") },
			"ada removed otto from family", "ada hat otto aus der Gruppe family entfernt"},
		{func() error {
			return ts.app.UpdateUser(ctx, ada.Actor(), otto(func(u *db.User) { u.Superuser = true }))
		}, "ada made otto a superuser", "ada hat otto in die Verwaltung aufgenommen"},
		{func() error {
			return ts.app.UpdateUser(ctx, ada.Actor(), otto(func(u *db.User) { u.Superuser = false }))
		}, "ada made otto an ordinary user", "ada hat otto aus der Verwaltung entfernt"},
		{func() error { return ts.app.UpdateUser(ctx, ada.Actor(), otto(func(u *db.User) { u.Name = "Otto" })) },
			"ada changed the details of otto", "ada hat die Angaben zu otto geändert"},
		{func() error { return ts.app.UpdateProfile(ctx, as("otto"), "Otto", "otto@home.example") },
			"otto changed their details", "otto hat die eigenen Angaben geändert"},
		{func() error {
			return ts.app.SetPassword(ctx, ada.Actor(), user("otto"), app.NewPassword{Password: "another good one"})
		},
			"ada set a new password for otto", "ada hat für otto ein neues Passwort gesetzt"},
		{func() error {
			return ts.app.SetPassword(ctx, cli.Actor(), user("otto"), app.NewPassword{Password: "another good one"})
		},
			"otto got a new password on the command line", "otto hat auf der Kommandozeile ein neues Passwort bekommen"},
		{func() error {
			return ts.app.SetPassword(ctx, as("otto").Actor(), user("otto"), app.NewPassword{Password: "another good one"})
		},
			"otto changed their password", "otto hat das eigene Passwort geändert"},
		{func() (err error) {
			_, _, err = ts.app.ResetLink(ctx, ada.Actor(), user("otto"), 0)
			return err
		}, "ada made a link for a new password of otto", "ada hat einen Link für ein neues Passwort von otto erstellt"},
		{func() (err error) {
			_, _, err = ts.app.Invite(ctx, cli.Actor(), app.Invitation{Username: "eve"})
			return err
		}, "eve was invited on the command line", "eve wurde auf der Kommandozeile eingeladen"},
		{func() (err error) {
			_, _, err = ts.app.Invite(ctx, ada.Actor(), app.Invitation{})
			return err
		}, "ada made an invitation", "ada hat eine Einladung erstellt"},
		{func() error { return takeBack(cli, "eve") }, "the invitation of eve was taken back on the command line", "die Einladung von eve wurde auf der Kommandozeile zurückgenommen"},
		{func() error { return takeBack(ada, "") }, "ada took back an invitation", "ada hat eine Einladung zurückgenommen"},
		{func() error { return takeBack(ada, "otto") }, "ada took back the link for a new password of otto", "ada hat den Link für ein neues Passwort von otto zurückgenommen"},
		{func() error { return key(cli, "ada", "homepage") },
			"the key “homepage” was made for ada on the command line", "der Schlüssel „homepage“ wurde auf der Kommandozeile für ada angelegt"},
		{func() error { return key(as("otto"), "otto", "script") }, "otto made the key “script”", "otto hat den Schlüssel „script“ angelegt"},
		{func() error { return key(ada, "otto", "backup") }, "ada made the key “backup” for otto", "ada hat für otto den Schlüssel „backup“ angelegt"},
		{func() error { return ts.app.DeleteToken(ctx, ada.Actor(), token("backup")) },
			"ada deleted the key “backup” of otto", "ada hat den Schlüssel „backup“ von otto gelöscht"},
		{func() error { return ts.app.DeleteToken(ctx, cli.Actor(), token("script")) },
			"the key “script” of otto was deleted on the command line", "der Schlüssel „script“ von otto wurde auf der Kommandozeile gelöscht"},
		{func() (err error) {
			rule, err = ts.app.AllowGroups(ctx, ada.Actor(), "grafana.home.example", []string{"family"})
			return err
		}, "ada added the rule “grafana.home.example: family”", "ada hat die Regel „grafana.home.example: family“ angelegt"},
		{func() error { _, err := ts.app.DeleteRule(ctx, cli.Actor(), rule.ID); return err },
			"the rule “grafana.home.example: family” was deleted on the command line", "die Regel „grafana.home.example: family“ wurde auf der Kommandozeile gelöscht"},
		{func() error {
			copied, err := ts.app.Download(ctx, ada)
			if err == nil {
				err = copied.Close()
			}
			return err
		}, "ada downloaded a backup", "ada hat eine Sicherung heruntergeladen"},
		{func() error {
			return ts.app.ResetFactors(ctx, ada.Actor(), user("otto"))
		}, "ada removed the second factors of otto", "ada hat die zweiten Faktoren von otto entfernt"},
		{func() error { return ts.app.DeleteUser(ctx, ada.Actor(), user("otto")) }, "ada deleted otto", "ada hat otto gelöscht"},
		{func() error { return ts.app.DeleteUser(ctx, cli.Actor(), user("erika")) },
			"erika was deleted on the command line", "erika wurde auf der Kommandozeile gelöscht"},

		// Of bob's device, which he has signed in on.
		{func() error { return ts.app.NameDevice(ctx, as("bob"), device(), "Kitchen") }, "bob named a device “Kitchen”", "bob hat ein Gerät „Kitchen“ genannt"},
		{func() error { return ts.app.Distrust(ctx, as("bob"), device()) },
			"bob stopped trusting the device “Kitchen”", "bob vertraut dem Gerät „Kitchen“ nicht mehr"},
		{func() error { return ts.app.NameDevice(ctx, ada, device(), "") },
			"ada took the name “Kitchen” from a device of bob", "ada hat einem Gerät von bob den Namen „Kitchen“ genommen"},
		{func() error { _, err := ts.app.ForgetDevice(ctx, ada, device()); return err },
			"ada let the device “Go-http-client” of bob be forgotten", "ada hat das Gerät „Go-http-client“ von bob vergessen lassen"},

		// What a sign-in follows at once.
		{func() error {
			return ts.store.Record(ctx, db.Event{Action: db.PasswordSet, ActorID: user("bob").ID, Actor: "bob", SubjectID: user("bob").ID, Created: ts.app.Now(), Context: map[string]any{"link_by": "ada"}})
		}, "bob set a new password by a link", "bob hat über einen Link ein neues Passwort gesetzt"},
		{func() error {
			return ts.store.Record(ctx, db.Event{Action: db.ModelCreated, ActorID: user("bob").ID, Actor: "bob", SubjectID: user("bob").ID, Created: ts.app.Now(),
				Context: map[string]any{"model": map[string]any{"model_name": "user", "name": "bob"}, "invited_by": "ada"}})
		}, "bob took an invitation", "bob hat eine Einladung angenommen"},
		// What older versions stored names less.
		{func() error {
			return ts.store.Record(ctx, db.Event{Action: db.ModelDeleted, ActorID: ada.User.ID, Actor: "ada", SubjectID: user("bob").ID, Created: ts.app.Now(),
				Context: map[string]any{"model": map[string]any{"model_name": "token", "name": "old"}}})
		}, "ada deleted the key “old” of bob", "ada hat den Schlüssel „old“ von bob gelöscht"},
		{func() error {
			return ts.store.Record(ctx, db.Event{Action: db.ModelDeleted, ActorID: ada.User.ID, Actor: "ada", SubjectID: user("bob").ID, Created: ts.app.Now(),
				Context: map[string]any{"model": map[string]any{"model_name": "authenticatedsession", "name": "bob 81.2.69.142"}}})
		}, "ada signed out a session of bob", "ada hat eine Sitzung von bob abgemeldet"},
		{func() error {
			return ts.store.Record(ctx, db.Event{Action: db.ModelCreated, Actor: "eve", SubjectID: user("bob").ID, Created: ts.app.Now(),
				Context: map[string]any{"model": map[string]any{"model_name": "user", "name": "eve"}}})
		}, "eve set up Lastseen", "eve hat Lastseen eingerichtet"},
		{func() error {
			return ts.store.Record(ctx, db.Event{Action: db.ModelDeleted, ActorID: ada.User.ID, Actor: "ada", SubjectID: user("bob").ID, Created: ts.app.Now(),
				Context: map[string]any{"model": map[string]any{"model_name": "webauthndevice", "name": "Phone"}, "username": "bob"}})
		}, "ada removed the passkey “Phone” of bob", "ada hat den Passkey „Phone“ von bob entfernt"},
		{func() error {
			return ts.store.Record(ctx, db.Event{Action: db.LoginFailed, Actor: "bob", SubjectID: user("bob").ID, Created: ts.app.Now(),
				Context: map[string]any{"username": "bob", "stage": "code"}})
		}, "sign-in as bob refused: wrong code", "Anmeldung als bob abgewiesen: falscher Code"},
		// And newer ones may store what this one does not know.
		{func() error {
			return ts.store.Record(ctx, db.Event{Action: db.ModelUpdated, ActorID: ada.User.ID, Actor: "ada", Created: ts.app.Now(),
				Context: map[string]any{"model": map[string]any{"model_name": "lamp", "name": "Kitchen"}}})
		}, "ada changed Kitchen", "ada hat Kitchen geändert"},
		// A backup that came back, as main records it.
		{func() error {
			return ts.store.Record(ctx, db.Event{Action: db.ModelUpdated, Actor: cli.User.Username, Created: ts.app.Now(),
				Context: map[string]any{"model": map[string]any{"model_name": "backup", "name": "a.db"}, "sessions_kept": false}})
		}, "restored from the backup “a.db”: everybody was signed out", "aus der Sicherung „a.db“ wiederhergestellt: alle wurden abgemeldet"},
	} {
		ts.advance(time.Minute)
		if err := tt.do(); errors.Is(err, db.ErrOwnBackup) && pgtest.Asked() {
			continue
		} else if err != nil {
			t.Fatalf("%s: %v", tt.english, err)
		}
		events, _, err := ts.app.Events(ctx, cli, db.EventFilter{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		for lang, want := range map[string]string{"en": tt.english, "de": tt.german} {
			key, args := ts.tell(lang, events[0])
			if got := ts.pages.Text(lang, key, args...); got != want {
				t.Errorf("%s: got %q, want %q", lang, got, want)
			}
			html := string(ts.pages.HTML(lang, key, args...))
			if got := regexp.MustCompile(`</?bdi>`).ReplaceAllString(html, ""); got != want || !strings.Contains(html, "<bdi>") {
				t.Errorf("%s: got %q, want %q with names isolated", lang, html, want)
			}
		}
	}
}

// A name that was typed at the sign-in may hold anything.
func TestEventOfAStranger(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	_, _, err := ts.app.SignIn(t.Context(), app.Credentials{Username: "<i>\u202eada</bdi>", Password: "x"}, app.Client{IP: netip.MustParseAddr("81.2.69.142")}, nil)
	if err != app.ErrBadCredentials {
		t.Fatal(err)
	}
	_, body := ts.get(ts.signIn("ada"), "/events")
	if want := "sign-in as <bdi>&lt;i&gt;\ufffdada&lt;/bdi&gt;</bdi> refused"; !strings.Contains(body, want) {
		t.Errorf("the page lacks %q", want)
	}
}
