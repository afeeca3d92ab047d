package app

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
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

// SessionDevices are the devices of sessions, living or ended, that have one. Whether the
// caller may see these they have found out.
func (a *App) SessionDevices(ctx context.Context, sessions []uuid.UUID) (map[uuid.UUID]db.Device, error) {
	if len(sessions) == 0 {
		return nil, nil
	}
	return a.store.SessionDevices(ctx, sessions)
}

// Adopt gives the caller's session, which is from before there were devices, that of the
// client's token. It reports whether it did.
func (a *App) Adopt(ctx context.Context, caller Caller, client Client) (bool, error) {
	token := secretHash(client.Device)
	err := a.store.SetSessionDevice(ctx, caller.Session, token[:], a.live.Agent(client.Agent).Client())
	if errors.Is(err, db.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// NameDevice stores what a device that the caller may see is called, "" for nothing. A
// name that is too long or no line of text is an db.InputError.
func (a *App) NameDevice(ctx context.Context, caller Caller, id uuid.UUID, name string) error {
	name = db.Normal(strings.TrimSpace(name))
	if utf8.RuneCountInString(name) > db.MaxDeviceName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return &db.InputError{Field: "name", Problem: fmt.Sprintf("A device's name has %d characters or fewer, on one line.", db.MaxDeviceName)}
	}
	d, err := a.Device(ctx, caller, id)
	if err != nil || d.Name == name {
		return err
	}
	if err := a.store.NameDevice(ctx, id, name, a.deviceEvent(caller, db.ModelUpdated, d, map[string]any{"name": name})); err != nil {
		return err
	}
	a.Log.Info("device named", "device", id, "user", d.Username, "by", caller.User.Username, "ip", caller.IP)
	return nil
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
	if err := a.store.DeleteDevice(ctx, id, a.deviceEvent(caller, db.ModelDeleted, d, nil)); err != nil {
		return ended, err
	}
	a.Log.Info("device forgotten", "device", id, "user", d.Username, "by", caller.User.Username, "ip", caller.IP)
	return ended, nil
}

// deviceEvent is what the caller did to a device; changed is what is now true of it.
func (a *App) deviceEvent(caller Caller, action db.Action, d db.Device, changed map[string]any) db.Event {
	content := map[string]any{"model": map[string]any{"app": "lastseen", "model_name": "device", "pk": d.UUID.String(), "name": cmp.Or(d.Name, d.Browser)}}
	for k, v := range changed {
		content[k] = v
	}
	return a.event(caller.Actor(), action, d.UserID, content)
}
