package app

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lastseen/app/alert"
	"lastseen/db"
	"lastseen/geoip"
	"lastseen/geoip/countries"

	"github.com/google/uuid"
)

// signInFacts are what decides whether people are told of a sign-in.
type signInFacts struct {
	history   db.SignInHistory
	scope     geoip.Scope
	country   string               // its code; "" when unknown
	countries map[string]time.Time // of the account, as of [App.Countries]
	brought   bool                 // a device's cookie
}

// reasonsOf says why people are to be told of a sign-in; none is the usual. A device that
// brings no cookie of ours is known by what it is, never by its version; one that brings
// a cookie which the account does not know was forgotten, or is somebody else's.
func reasonsOf(f signInFacts) (reasons []alert.Reason) {
	if !f.history.Any {
		return nil // the first one: whoever made the account is there
	}
	if !f.history.Device && (f.brought || !f.history.Client) {
		reasons = append(reasons, alert.NewDevice)
	}
	if _, known := f.countries[f.country]; f.scope == geoip.Public && f.country != "" && len(f.countries) > 0 && !known {
		reasons = append(reasons, alert.NewCountry)
	}
	return reasons
}

// signInAlert is what people are to be told of a sign-in; nil, when that is nothing. What
// cannot be found out about it holds up nobody.
func (a *App) signInAlert(ctx context.Context, in db.SignIn, client Client) *db.Alert {
	sess := in.Session
	location := a.Locate(sess.IP)
	f := signInFacts{scope: geoip.ScopeOf(sess.IP), brought: client.Brought}
	var err error
	if location.Place != nil {
		f.country = location.Place.Country
	}
	f.history, err = a.store.SignInHistory(ctx, in.User.ID, in.Device, sess.Agent.Client())
	if err == nil && f.history.Any && f.scope == geoip.Public && f.country != "" { // else none can be new
		var all map[int64]map[string]time.Time
		all, err = a.Countries(ctx, in.User.ID)
		f.countries = all[in.User.ID]
	}
	if err != nil {
		a.Log.Error("look for what a sign-in has seen before", "user", in.User.Username, "err", err)
		return nil
	}
	reasons := reasonsOf(f)
	if reasons == nil {
		return nil
	}
	return a.newAlert(in.User.ID, a.at(client.Agent, sess.IP, alert.Facts{
		Type: alert.SignIn, Time: in.Event.Created, User: in.User.Username, Reasons: reasons, Session: sess.UUID.String(),
	}))
}

// tells adds to an event what people are told of it: an actor did something to the account
// of a user.
func (a *App) tells(e db.Event, actor Actor, t alert.Type, user db.User, what string) db.Event {
	f := alert.Facts{Type: t, Time: e.Created, User: user.Username, What: what}
	switch {
	case actor.ID != user.ID:
		f.By = actor.Name
	case actor.Session != uuid.Nil:
		f.Session = actor.Session.String()
	}
	e.Alert = a.newAlert(user.ID, a.at(actor.Agent, actor.IP, f))
	return e
}

// newAlert is an alert of an account's, to be stored with its event.
func (a *App) newAlert(user int64, f alert.Facts) *db.Alert {
	content, err := json.Marshal(f)
	if err != nil {
		panic(err) // there are only strings and numbers in it
	}
	return &db.Alert{UUID: uuid.New(), Type: string(f.Type), UserID: user, Created: f.Time, Number: max(f.Count, 1), Content: content}
}

// at fills in by which client and where something was done.
func (a *App) at(agent string, ip netip.Addr, f alert.Facts) alert.Facts {
	if agent != "" {
		client, system := Title(a.live.Agent(agent))
		f.Device = cmp.Or(strings.Join(slices.DeleteFunc([]string{client, system}, func(s string) bool { return s == "" }), " on "), "an unknown client")
	}
	if !ip.IsValid() {
		return f
	}
	f.Address = ip.String()
	at := a.Locate(ip)
	if at.Place != nil && at.Place.Country != "" {
		f.Country = countries.Name("en", at.Place.Country)
		f.Place = strings.TrimPrefix(at.Place.City+", "+f.Country, ", ")
	}
	if at.Network != nil {
		f.Network = at.Network.Org
	}
	return f
}

// alertTypes reads a stored choice of types.
func alertTypes(stored string) (types []alert.Type) {
	for _, t := range strings.Split(stored, ",") {
		if t != "" {
			types = append(types, alert.Type(t))
		}
	}
	return types
}

// storeTypes checks a choice of types, none being all, and writes it as it is stored.
func storeTypes(types []alert.Type) (string, error) {
	var stored []string
	for _, t := range types {
		if !slices.Contains(alert.Types, t) {
			return "", &db.InputError{Field: "types", Problem: fmt.Sprintf("There is no alert called %q.", t)}
		}
		stored = append(stored, string(t))
	}
	if len(stored) == len(alert.Types) {
		return "", nil
	}
	return strings.Join(stored, ","), nil
}

// gets reports whether who chose types is told of t.
func gets(types []alert.Type, t alert.Type) bool {
	return len(types) == 0 || t == alert.Summary || slices.Contains(types, t)
}

// AlertChoice is what a user gets by mail: whether any, and which, none being all.
func (a *App) AlertChoice(ctx context.Context, user int64) (mail bool, types []alert.Type, err error) {
	c, err := a.store.AlertChoice(ctx, user)
	return c.Mail, alertTypes(c.Types), err
}

// ChooseAlertMail stores what a user wants by mail.
func (a *App) ChooseAlertMail(ctx context.Context, user int64, mail bool, types []alert.Type) error {
	chosen, err := storeTypes(types)
	if err != nil {
		return err
	}
	return a.store.SetAlertChoice(ctx, user, db.AlertChoice{Mail: mail, Types: chosen})
}
