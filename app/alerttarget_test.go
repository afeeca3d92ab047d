package app

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"lastseen/app/alert"
	"lastseen/db"
)

// What waits for a user's own mail is for nobody when they are gone.
func TestGoneTargets(t *testing.T) {
	t.Parallel()
	a, _ := alerting(t)
	for _, id := range []string{"7", "s00000000", mailOf + "7", mailOf, ""} {
		if _, err := a.resolve(t.Context(), id); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("%q: got %v", id, err)
		}
		if err := a.TestAlert(t.Context(), id); err == nil {
			t.Errorf("%q was tested", id)
		}
	}
	ada := create(t, a, NewUser{Username: "ada", Email: "ada@home.example"})
	if to, err := a.resolve(t.Context(), fmt.Sprint(mailOf, ada.ID)); err != nil || to.String() != "mailto:ada@home.example" {
		t.Errorf("got %s, %v", to, err)
	}
	if err := a.SetUserActive(t.Context(), Operator.Actor(), ada, false); err != nil {
		t.Fatal(err)
	}
	if _, err := a.resolve(t.Context(), fmt.Sprint(mailOf, ada.ID)); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("mail for who is disabled: got %v", err)
	}
}

// Who has an address gets their own by mail, unless they chose otherwise.
func TestOwnMail(t *testing.T) {
	t.Parallel()
	a, _ := alerting(t)
	ada := create(t, a, NewUser{Username: "ada", Email: "ada@home.example"})
	planned := func(kind alert.Type) string {
		t.Helper()
		event := a.tells(a.event(Operator.Actor(), db.PasswordSet, ada.ID, nil), Operator.Actor(), kind, ada, "x")
		if err := a.store.Record(t.Context(), event); err != nil {
			t.Fatal(err)
		}
		due, err := a.alertsDue(t.Context(), nil, targetsAtMost)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(slices.Collect(maps.Keys(due)))
	}
	choose := func(mail bool, types ...alert.Type) {
		t.Helper()
		if err := a.ChooseAlertMail(t.Context(), ada.ID, mail, types); err != nil {
			t.Fatal(err)
		}
	}
	own := fmt.Sprintf("[%s%d]", mailOf, ada.ID)
	check := func(when string, kind alert.Type, want string) {
		t.Helper()
		if got := planned(kind); got != want {
			t.Errorf("%s: %s goes to %s, want %s", when, kind, got, want)
		}
	}
	check("without a server", alert.KeyCreated, "[]")
	var err error
	if a.Config.Mail, err = alert.NewMailer("smtp://127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	check("without a choice", alert.KeyCreated, own)
	choose(false)
	check("switched off", alert.KeyCreated, "[]")
	choose(true, alert.PasswordChanged)
	check("chosen", alert.PasswordChanged, own)
	check("not chosen", alert.KeyCreated, "[]")
	choose(true)
	if err := a.UpdateProfile(t.Context(), Caller{User: &ada}, "Ada", ""); err != nil {
		t.Fatal(err)
	}
	check("without an address", alert.SuperuserAdded, "[]")
}

// A target's secrets are in the database only encrypted, and without the key it is shown
// as what cannot be read, and can be removed.
func TestTargetsAreSealed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, _ := clocked(t, dir)
	target := addTarget(t, a, "ntfy://:tk_s3cret@ntfy.example/h1dden")
	stored, err := a.store.AlertTargets(t.Context())
	if err != nil || strings.Contains(string(stored[0].URL), "s3cret") || strings.Contains(string(stored[0].URL), "ntfy") {
		t.Errorf("got %q, %v", stored[0].URL, err)
	}
	events, _, err := a.store.Events(t.Context(), db.EventFilter{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if said := fmt.Sprint(e.Context); strings.Contains(said, "s3cret") || strings.Contains(said, "h1dden") {
			t.Errorf("the event has the secret in it: %s", said)
		}
	}
	b := openApp(t, dir)
	b.Config.DataDir = t.TempDir()
	all, err := b.AlertTargets(t.Context())
	if err != nil || len(all) != 1 || all[0].Target != (alert.Target{}) || all[0].Problem.Problem == "" {
		t.Errorf("without the key: got %+v, %v", all, err)
	}
	if err := b.RemoveAlertTarget(t.Context(), Operator.Actor(), target.ID); err != nil {
		t.Error(err)
	}
}
