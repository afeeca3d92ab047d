package app

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"lastseen/app/live"
	"lastseen/db"

	"github.com/google/uuid"
)

// DeviceCookieLife is how long a browser keeps the device's cookie after a sign-in, and how
// long a device that has a name is kept without one.
const DeviceCookieLife = 365 * 24 * time.Hour

// DeviceToken is the token for the device's cookie of a browser that brings one: that, if
// it is one, or else a new one.
func DeviceToken(held string) string {
	if raw, err := base64.RawURLEncoding.Strict().DecodeString(held); err == nil && len(raw) == 32 && len(held) == 43 { // line breaks are passed over
		return held
	}
	return newSecret()
}

// Devices are those of a user that the caller may see, the last signed in on first.
func (a *App) Devices(ctx context.Context, caller Caller, user int64) ([]db.Device, error) {
	if user != caller.User.ID && !caller.User.Superuser {
		return nil, db.ErrNotFound
	}
	return a.store.Devices(ctx, user)
}

// Device is one that the caller may see; every other one is db.ErrNotFound.
func (a *App) Device(ctx context.Context, caller Caller, id uuid.UUID) (db.Device, error) {
	d, err := a.store.Device(ctx, id)
	if err == nil && d.UserID != caller.User.ID && !caller.User.Superuser {
		err = db.ErrNotFound
	}
	if err != nil {
		return db.Device{}, err
	}
	return d, nil
}

// MarkDevices says of sessions, living or ended, which devices they are on.
func (a *App) MarkDevices(ctx context.Context, sessions ...*Session) error {
	if len(sessions) == 0 {
		return nil
	}
	ids := make([]uuid.UUID, len(sessions))
	for i, sess := range sessions {
		ids[i] = sess.UUID
	}
	devices, err := a.store.SessionDevices(ctx, ids)
	for _, sess := range sessions {
		sess.Device = devices[sess.UUID]
	}
	return err
}

// MarkEventDevices says in events that tell of a session what its device is called.
func (a *App) MarkEventDevices(ctx context.Context, events []db.Event) error {
	of := map[uuid.UUID][]*db.Event{}
	for i, e := range events {
		text, _ := e.Context["session"].(string)
		if model, _ := e.Context["model"].(map[string]any); model["model_name"] == "authenticatedsession" {
			text, _ = model["pk"].(string)
		}
		if id, err := uuid.Parse(text); err == nil {
			of[id] = append(of[id], &events[i])
		}
	}
	if len(of) == 0 {
		return nil
	}
	devices, err := a.store.SessionDevices(ctx, slices.Collect(maps.Keys(of)))
	for id, d := range devices {
		for _, e := range of[id] {
			e.Device = d.Name
		}
	}
	return err
}

// Adopt gives a session of the caller's, which is from before there were devices, that of
// the client's token. It reports whether it did.
func (a *App) Adopt(ctx context.Context, sess *Session, client Client) (bool, error) {
	token := secretHash(client.Device)
	err := a.store.SetSessionDevice(ctx, sess.UUID, token[:], a.live.Agent(client.Agent).Client())
	if errors.Is(err, db.ErrNotFound) {
		return false, nil // it has one by now, or has ended
	}
	if err != nil {
		return false, err
	}
	return true, a.MarkDevices(ctx, sess)
}

// NameDevice stores what a device that the caller may see is called, "" for nothing. A
// name that is too long or no line of text is a db.InputError.
func (a *App) NameDevice(ctx context.Context, caller Caller, id uuid.UUID, name string) error {
	name = db.Normal(strings.TrimSpace(name))
	switch {
	case utf8.RuneCountInString(name) > db.MaxDeviceName || !db.IsLine(name):
		return &db.InputError{Field: "name", Problem: "A device’s name has 60 characters or fewer, on one line."}
	case db.Unseen(name):
		return &db.InputError{Field: "name", Problem: "This holds characters that show nothing, or nothing else. Type it anew."}
	}
	d, err := a.Device(ctx, caller, id)
	if err != nil || d.Name == name {
		return err
	}
	if err := a.store.NameDevice(ctx, id, name, a.deviceEvent(caller, db.ModelUpdated, d, cmp.Or(name, d.Name), map[string]any{"named": name != ""})); err != nil {
		return err
	}
	a.Log.Info("device named", "device", id, "user", d.Username, "by", caller.User.Username, "ip", caller.IP)
	return nil
}

// Distrust makes a device that the caller may see one where a second factor is asked for
// again; db.ErrNotFound when it is one already.
func (a *App) Distrust(ctx context.Context, caller Caller, id uuid.UUID) error {
	d, err := a.Device(ctx, caller, id)
	if err != nil {
		return err
	}
	event := a.deviceEvent(caller, db.ModelUpdated, d, cmp.Or(d.Name, d.Browser), map[string]any{"trusted": false})
	if err := a.store.Distrust(ctx, id, event); err != nil {
		return err
	}
	a.Log.Info("device no longer trusted", "device", id, "user", d.Username, "by", caller.User.Username, "ip", caller.IP)
	return nil
}

// TrustedUntil is until when a device stands for its person's second factor, zero when it
// does not.
func (a *App) TrustedUntil(d db.Device) time.Time {
	if a.Config.TrustDevices == 0 || !d.TrustedUntil.After(a.now()) {
		return time.Time{}
	}
	return d.TrustedUntil
}

// SignOutDevice ends the sessions on a device that the caller may see, and says how many.
// When it returns they authenticate nobody.
func (a *App) SignOutDevice(ctx context.Context, caller Caller, id uuid.UUID) (int, error) {
	d, err := a.Device(ctx, caller, id)
	if err != nil {
		return 0, err
	}
	a.flushUsers(ctx, []int64{d.UserID})
	defer a.live.Invalidate(live.SessionsEnded, d.UserID)
	ended, err := a.store.EndSessionsOn(ctx, id, a.now(), db.Revoked, a.revokedEvent(caller.Actor()))
	if err != nil {
		return 0, err
	}
	a.Log.Info("device signed out", "device", id, "count", len(ended), "user", d.Username, "by", caller.User.Username, "ip", caller.IP)
	return len(ended), nil
}

// ForgetDevice is SignOutDevice, and then the device is no more: the next sign-in in its
// browser makes a new one.
func (a *App) ForgetDevice(ctx context.Context, caller Caller, id uuid.UUID) (int, error) {
	d, err := a.Device(ctx, caller, id)
	if err != nil {
		return 0, err
	}
	ended, err := a.SignOutDevice(ctx, caller, id)
	if err != nil {
		return 0, err
	}
	defer a.live.Invalidate(live.SessionsEnded, d.UserID) // who signed in meanwhile, too
	event := a.deviceEvent(caller, db.ModelDeleted, d, cmp.Or(d.Name, d.Browser), nil)
	late, err := a.store.DeleteDevice(ctx, id, db.Revoked, event, a.revokedEvent(caller.Actor()))
	if ended += len(late); err != nil {
		return ended, err
	}
	a.Log.Info("device forgotten", "device", id, "user", d.Username, "by", caller.User.Username, "ip", caller.IP)
	return ended, nil
}

// NotMe is for a session of the caller's, living or ended, that was somebody else: it ends,
// and its device is forgotten, unless the caller uses that now.
func (a *App) NotMe(ctx context.Context, caller Caller, sess *Session) error {
	if err := a.RevokeSession(ctx, caller, sess.UUID); err != nil && !errors.Is(err, db.ErrNotFound) {
		return err
	}
	own := &Session{Session: db.Session{UUID: caller.Session}}
	if err := a.MarkDevices(ctx, sess, own); err != nil || sess.Device.ID == 0 || sess.Device.ID == own.Device.ID {
		return err
	}
	_, err := a.ForgetDevice(ctx, caller, sess.Device.UUID)
	return err
}

// deviceEvent is what the caller did to a device, under the name that tells which; changed
// is what is now true of it.
func (a *App) deviceEvent(caller Caller, action db.Action, d db.Device, name string, changed map[string]any) db.Event {
	content := map[string]any{"model": map[string]any{"app": "lastseen", "model_name": "device", "pk": d.UUID.String(), "name": name}}
	maps.Copy(content, changed)
	return a.event(caller.Actor(), action, d.UserID, content)
}
