package app

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

// on is a client in a browser that holds a device's token.
func on(device string) Client {
	c := from("192.0.2.1")
	c.Agent, c.Device = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", device
	return c
}

// arrive signs somebody in, and answers their caller and its token.
func arrive(t *testing.T, a *App, user db.User, client Client) (Caller, string) {
	t.Helper()
	token, sess, err := a.SignIn(t.Context(), Credentials{Username: user.Username, Password: "correct horse"}, client, nil)
	if err != nil {
		t.Fatal(err)
	}
	return Caller{User: &user, Session: sess.UUID, IP: client.IP}, token
}

// deviceOf is that of a caller's session.
func deviceOf(t *testing.T, a *App, caller Caller) db.Device {
	t.Helper()
	sess := Session{Session: db.Session{UUID: caller.Session}}
	if err := a.MarkDevices(t.Context(), &sess); err != nil {
		t.Fatal(err)
	}
	return sess.Device
}

func TestDeviceToken(t *testing.T) {
	t.Parallel()
	held := DeviceToken("")
	if len(held) != 43 || DeviceToken("") == held || DeviceToken(held) != held {
		t.Errorf("got %q", held)
	}
	for _, forged := range []string{"x", held[1:], held + "A", held + "=", strings.Repeat("A", 1<<16), held[:42] + "_", strings.Repeat("!", 43), held[:20] + "\n" + held[20:]} {
		if got := DeviceToken(forged); got == forged || len(got) != 43 {
			t.Errorf("%.60q is taken as one", forged)
		}
	}
}

func TestDevices(t *testing.T) {
	t.Parallel()
	a, _ := clocked(t, t.TempDir())
	ada, bob := create(t, a, NewUser{Username: "ada"}), create(t, a, NewUser{Username: "bob"})
	root := create(t, a, NewUser{Username: "root", Superuser: true})
	browser := DeviceToken("")
	adas, token := arrive(t, a, ada, on(browser))
	bobs, bobsToken := arrive(t, a, bob, on(browser))
	again, againToken := arrive(t, a, ada, on(browser))
	lost, lostToken := arrive(t, a, ada, on(DeviceToken("")))
	d := deviceOf(t, a, adas)
	if deviceOf(t, a, again) != d || deviceOf(t, a, bobs).UUID == d.UUID || deviceOf(t, a, lost).UUID == d.UUID {
		t.Error("a browser is not one device of each account, or a lost cookie's is the same")
	}

	// Nobody else sees it, and who is in charge does.
	for _, err := range []error{
		second(a.Device(t.Context(), bobs, d.UUID)), second(a.Devices(t.Context(), bobs, ada.ID)), a.NameDevice(t.Context(), bobs, d.UUID, "mine"),
		second(a.SignOutDevice(t.Context(), bobs, d.UUID)), second(a.ForgetDevice(t.Context(), bobs, d.UUID)),
		second(a.Device(t.Context(), adas, uuid.New())),
	} {
		if !errors.Is(err, db.ErrNotFound) {
			t.Errorf("somebody else's: got %v, want db.ErrNotFound", err)
		}
	}
	for _, name := range []string{strings.Repeat("é", db.MaxDeviceName+1), "a\nb", "\xff"} {
		var input *db.InputError
		if err := a.NameDevice(t.Context(), adas, d.UUID, name); !errors.As(err, &input) {
			t.Errorf("named %q: got %v, want an InputError", name, err)
		}
	}
	if err := a.NameDevice(t.Context(), Caller{User: &root}, d.UUID, "  Ku\u0308chentablett "); err != nil {
		t.Fatal(err)
	}
	third, thirdToken := arrive(t, a, ada, on(browser))
	if got := deviceOf(t, a, third).Name; got != "K\u00fcchentablett" {
		t.Errorf("signed in anew it is called %q", got)
	}

	passes := func(token string) bool {
		_, err := a.Authenticate(t.Context(), []string{token}, from("192.0.2.1"))
		return err == nil
	}
	if !passes(token) || !passes(againToken) {
		t.Fatal("a session authenticates nobody")
	}
	if n, err := a.SignOutDevice(t.Context(), lost, d.UUID); err != nil || n != 3 {
		t.Errorf("signed out %d, %v, want 3", n, err)
	}
	for _, dead := range []string{token, againToken, thirdToken} {
		if passes(dead) {
			t.Error("a session passes on a device that was signed out")
		}
	}
	if !passes(bobsToken) || !passes(lostToken) {
		t.Error("another device's session has ended")
	}
	fourth, fourthToken := arrive(t, a, ada, on(browser))
	if got := deviceOf(t, a, fourth); got.UUID != d.UUID || got.Name == "" {
		t.Errorf("after it was signed out it is %+v", got)
	}
	if n, err := a.ForgetDevice(t.Context(), fourth, d.UUID); err != nil || n != 1 || passes(fourthToken) {
		t.Errorf("forgotten with %d sessions, %v; it passes: %v", n, err, passes(fourthToken))
	}
	if fifth, _ := arrive(t, a, ada, on(browser)); deviceOf(t, a, fifth).Name != "" || deviceOf(t, a, fifth).UUID == d.UUID {
		t.Error("one that was forgotten is known")
	}
	events, _, err := a.Events(t.Context(), lost, db.EventFilter{Model: map[string]string{"app": "lastseen", "model_name": "device", "pk": d.UUID.String()}, Limit: 10})
	if err != nil || len(events) != 2 || events[0].Action != db.ModelDeleted || events[1].Action != db.ModelUpdated || events[1].Actor != "root" || events[1].Context["model"].(map[string]any)["name"] != "K\u00fcchentablett" {
		t.Errorf("events: %+v, %v", events, err)
	}
	if ended, err := a.EndedSession(t.Context(), lost, fourth.Session); err != nil || ended.Reason != db.Revoked || ended.EndedBy != "ada" {
		t.Errorf("in history: %+v, %v", ended, err)
	}
}

func second[T any](_ T, err error) error { return err }

// A session from before there were devices gets one when its browser opens the page.
func TestAdopt(t *testing.T) {
	t.Parallel()
	a, _ := clocked(t, t.TempDir())
	ada := create(t, a, NewUser{Username: "ada"})
	caller, _ := arrive(t, a, ada, on(""))
	if deviceOf(t, a, caller) != (db.Device{}) {
		t.Fatal("a sign-in without a token is on a device")
	}
	browser := DeviceToken("")
	sess := Session{Session: db.Session{UUID: caller.Session}}
	for i, want := range []bool{true, false} {
		if did, err := a.Adopt(t.Context(), &sess, on(browser)); err != nil || did != want {
			t.Errorf("time %d: got %v, %v", i, did, err)
		}
	}
	d := deviceOf(t, a, caller)
	if sess.Device != d {
		t.Errorf("the session has %+v", sess.Device)
	}
	if d.Browser != "Firefox" || d.OS != "Linux" || d.Kind != "desktop" {
		t.Errorf("got %+v", d)
	}
	if next, _ := arrive(t, a, ada, on(browser)); deviceOf(t, a, next).UUID != d.UUID {
		t.Error("the next sign-in is on another device")
	}
}

// The loop keeps a device as long as history tells of it, or a year where it has a name.
func TestDevicesArePurged(t *testing.T) {
	t.Parallel()
	a, advance := clocked(t, t.TempDir())
	ada := create(t, a, NewUser{Username: "ada"})
	named, _ := arrive(t, a, ada, on(DeviceToken("")))
	if err := a.NameDevice(t.Context(), named, deviceOf(t, a, named).UUID, "Tablet"); err != nil {
		t.Fatal(err)
	}
	arrive(t, a, ada, on(DeviceToken("")))
	for _, tt := range []struct {
		days int
		want []string
	}{{0, []string{"", "Tablet"}}, {100, []string{"", "Tablet"}}, {190, []string{"Tablet"}}, {364, []string{"Tablet"}}, {366, nil}} {
		for a.now().Before(time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC).AddDate(0, 0, tt.days)) {
			advance(24 * time.Hour)
		}
		if err := errors.Join(a.expire(t.Context(), a.now()), a.purge(t.Context())); err != nil {
			t.Fatal(err)
		}
		devices, err := a.Devices(t.Context(), Operator, ada.ID)
		var names []string
		for _, d := range devices {
			names = append(names, d.Name)
		}
		if err != nil || !slices.Equal(names, tt.want) {
			t.Errorf("after %d days: got %q, %v, want %q", tt.days, names, err, tt.want)
		}
	}
}
