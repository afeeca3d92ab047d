package app

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"

	"lastseen/app/alert"
	"lastseen/db"

	"github.com/google/uuid"
)

// maxFactors bounds the factors of one kind: a code is compared with each.
const maxFactors = 10

var (
	// ErrLastFactor says that a user must have a factor, and has one alone.
	ErrLastFactor = fmt.Errorf("%w: the last factor of who must have one", ErrForbidden)
	// ErrOnlyWayIn says that a user has no password, and one passkey.
	ErrOnlyWayIn = fmt.Errorf("%w: the last passkey of who has no password", ErrForbidden)
)

var errTooMany = &db.InputError{Field: "name", Problem: "You have ten of these already. Remove one first."}

// factorName is what somebody calls a factor, in the form that is stored.
func factorName(typed string) (string, error) {
	name := db.Normal(typed)
	if name == "" {
		return "", &db.InputError{Field: "name", Problem: "A name has 1 to 150 characters, on one line."}
	}
	return name, checkText("name", name)
}

// An Enrolment is an authenticator app that is being set up. Nothing of it is stored until
// a code proves that the app has the secret: the page carries Factor and Sealed.
type Enrolment struct {
	Factor string
	Sealed string // the secret, encrypted, for this user and factor
	Key    string // the secret as people type it
	URI    string // the same for the app to read
}

// Enrolment begins setting up an authenticator app, or goes on with one that has begun.
func (a *App) Enrolment(user db.User, factor, sealed string) (Enrolment, error) {
	var secret []byte
	var err error
	if factor == "" {
		id := uuid.New()
		secret = newTOTPSecret()
		var stored []byte
		if stored, err = a.seal(secret, totpPlace(user, id)...); err == nil {
			factor, sealed = id.String(), base64.RawURLEncoding.EncodeToString(stored)
		}
	} else {
		_, _, secret, err = a.openEnrolment(user, factor, sealed)
	}
	if err != nil {
		return Enrolment{}, err
	}
	issuer := "Lastseen"
	if u := a.Config.PublicURL; u != nil {
		issuer = u.Hostname()
	}
	return Enrolment{Factor: factor, Sealed: sealed, Key: base32Text.EncodeToString(secret), URI: totpURI(issuer, user.Username, secret)}, nil
}

// openEnrolment is the secret of an enrolment that a page carried, and what is stored of
// it; ErrSealed for what is none.
func (a *App) openEnrolment(user db.User, factor, sealed string) (id uuid.UUID, stored, secret []byte, err error) {
	if id, err = uuid.Parse(factor); err != nil {
		return id, nil, nil, ErrSealed
	}
	if stored, err = base64.RawURLEncoding.DecodeString(sealed); err != nil {
		return id, nil, nil, ErrSealed
	}
	secret, err = a.unseal(stored, totpPlace(user, id)...)
	return id, stored, secret, err
}

// totpPlace is what a secret is sealed for.
func totpPlace(user db.User, factor uuid.UUID) [][]byte {
	return [][]byte{[]byte("totp"), user.UUID[:], factor[:]}
}

// totpSecret is the secret of a stored one.
func (a *App) totpSecret(user db.User, t db.TOTP) ([]byte, error) {
	return a.unseal(t.Secret, totpPlace(user, t.UUID)...)
}

// A NewTOTP is what the page of an enrolment sends.
type NewTOTP struct {
	Factor, Sealed string
	Name           string
	Code           string
}

// A newFactor makes a factor of a user who has these, with the recovery codes that come
// with the first one.
type newFactor func(actor Actor, user db.User, has db.Factors) (added *db.NewFactor, codes []string, err error)

// newTOTP makes what n is, once its code is right.
func (a *App) newTOTP(n NewTOTP) newFactor {
	return func(actor Actor, user db.User, has db.Factors) (added *db.NewFactor, codes []string, err error) {
		name, err := factorName(n.Name)
		if err != nil {
			return nil, nil, err
		}
		if len(has.TOTPs) >= maxFactors {
			return nil, nil, errTooMany
		}
		id, stored, secret, err := a.openEnrolment(user, n.Factor, n.Sealed)
		if err != nil {
			return nil, nil, err
		}
		now := a.now()
		step, ok := findStep(secret, bareCode(n.Code), stepAt(now), skew)
		if !ok {
			if _, far := findStep(secret, bareCode(n.Code), stepAt(now), farSkew); far {
				return nil, nil, &db.InputError{Field: "code", Problem: "This code is of another time: the clock of your device or of the server is wrong."}
			}
			return nil, nil, &db.InputError{Field: "code", Problem: "This code is not right. Give the one that the app shows now."}
		}
		added = &db.NewFactor{
			TOTP: &db.TOTP{UUID: id, UserID: user.ID, Name: name, Secret: stored, Step: step, Created: now},
			Event: func(pk int64) db.Event {
				return a.factorEvent(actor, db.ModelCreated, user, db.KindTOTP, pk, name)
			},
		}
		if !has.Any() {
			codes, added.Recovery = newRecoveryCodes()
		}
		return added, codes, nil
	}
}

// AddTOTP adds an authenticator app to a caller, and returns the recovery codes that come
// with the first factor. What is wrong with n is a db.InputError; what no page of ours
// sent is ErrSealed, and what was added before db.ErrConflict.
func (a *App) AddTOTP(ctx context.Context, caller Caller, n NewTOTP) (codes []string, err error) {
	_, codes, err = a.addFactor(ctx, caller, db.KindTOTP, a.newTOTP(n))
	return codes, err
}

// SignInByEnrolling ends a pending sign-in of somebody who must have a factor, by adding
// an authenticator app. Its errors are AddTOTP's and SignInByCode's.
func (a *App) SignInByEnrolling(ctx context.Context, pending string, n NewTOTP, client Client, held []string) (codes []string, token string, sess db.Session, err error) {
	return a.finishByEnrolling(ctx, pending, db.KindTOTP, a.newTOTP(n), client, held)
}

// addFactor adds a factor of a kind to a caller.
func (a *App) addFactor(ctx context.Context, caller Caller, kind db.FactorKind, make newFactor) (added *db.NewFactor, codes []string, err error) {
	has, err := a.store.Factors(ctx, caller.User.ID)
	if err != nil {
		return nil, nil, err
	}
	if added, codes, err = make(caller.Actor(), *caller.User, has); err != nil {
		return nil, nil, err
	}
	added.By = caller.Session
	if err := a.store.AddFactor(ctx, *added); err != nil {
		return nil, nil, err
	}
	a.Log.Info("second factor added", "kind", kind, "user", caller.User.Username, "by", caller.User.Username, "ip", caller.IP)
	return added, codes, nil
}

// finishByEnrolling ends a pending sign-in of somebody who must have a factor, by adding one.
func (a *App) finishByEnrolling(ctx context.Context, pending string, kind db.FactorKind, make newFactor, client Client, held []string) (codes []string, token string, sess db.Session, err error) {
	p, err := a.waiting(ctx, pending, Enrol)
	if err != nil {
		return nil, "", sess, err
	}
	added, codes, err := make(actorOf(p.User, client), p.User, p.Factors)
	if err != nil {
		return nil, "", sess, err
	}
	token, sess, err = a.finish(ctx, p, string(kind), db.Proof{New: added}, client, held) // ByCode or ByPasskey
	if err == nil {
		a.Log.Info("second factor added", "kind", kind, "user", p.User.Username, "by", p.User.Username, "ip", client.IP)
	}
	return codes, token, sess, err
}

// Factors are those of a user whom the caller may see.
func (a *App) Factors(ctx context.Context, caller Caller, user int64) (db.Factors, error) {
	if user != caller.User.ID && !caller.User.Superuser {
		return db.Factors{}, db.ErrNotFound
	}
	return a.store.Factors(ctx, user)
}

// MustHaveFactor reports whether the settings ask a user for a second factor.
func (a *App) MustHaveFactor(user db.User) bool {
	return mustHaveFactor(a.Config.RequireSecondFactor, user)
}

// FactorOwner is the user whose factor that is, or db.ErrNotFound. It asks for no caller.
func (a *App) FactorOwner(ctx context.Context, kind db.FactorKind, id int64) (db.User, error) {
	owner, err := a.store.FactorOwner(ctx, kind, id)
	if err != nil {
		return db.User{}, err
	}
	return a.store.User(ctx, owner)
}

// RemoveFactor removes a factor of a user; db.ErrNotFound when they have none such. Who
// must have one keeps the last, unless it is somebody else who removes it: ErrLastFactor. So
// does who has no password with the last passkey: ErrOnlyWayIn.
func (a *App) RemoveFactor(ctx context.Context, actor Actor, user db.User, kind db.FactorKind, id int64) error {
	has, err := a.store.Factors(ctx, user.ID)
	if err != nil {
		return err
	}
	name, left := RecoveryName, len(has.TOTPs)+len(has.Passkeys)
	switch kind {
	case db.KindTOTP:
		for _, t := range has.TOTPs {
			if t.ID == id {
				name, left = t.Name, left-1
			}
		}
	case db.KindPasskey:
		for _, k := range has.Passkeys {
			if k.ID == id {
				name, left = k.Name, left-1
			}
		}
	}
	own := actor.ID == user.ID
	if own && left == 0 && kind != db.KindRecovery && a.MustHaveFactor(user) {
		return ErrLastFactor
	}
	if own && len(has.Passkeys) == 1 && kind == db.KindPasskey {
		if has, err := a.HasPassword(ctx, user); err != nil || !has {
			return cmp.Or(err, ErrOnlyWayIn)
		}
	}
	if err := a.store.DeleteFactor(ctx, user.ID, kind, id, a.factorEvent(actor, db.ModelDeleted, user, kind, id, name)); err != nil {
		return err
	}
	a.Log.Info("second factor removed", "kind", kind, "user", user.Username, "by", actor.Name, "ip", actor.IP)
	return nil
}

// NameFactor stores what a caller calls a factor of theirs; db.ErrNotFound when they have
// none such. What is wrong with the name is a db.InputError.
func (a *App) NameFactor(ctx context.Context, caller Caller, kind db.FactorKind, id int64, name string) error {
	name, err := factorName(name)
	if err != nil {
		return err
	}
	return a.store.NameFactor(ctx, caller.User.ID, kind, id, name, a.factorChange(caller.Actor(), db.ModelUpdated, *caller.User, kind, id, name))
}

// ResetFactors removes all factors of a user and their recovery codes, for who has lost
// them. It ends no session and lifts no other limit.
func (a *App) ResetFactors(ctx context.Context, actor Actor, user db.User) error {
	event := a.tells(a.userEvent(actor, db.ModelUpdated, user, map[string]any{"factors_reset": true}), actor, alert.FactorRemoved, user, "Every second factor and passkey")
	err := a.store.ResetFactors(ctx, user.ID, event)
	if err == nil {
		a.Log.Info("second factors reset", "user", user.Username, "by", actor.Name, "ip", actor.IP)
	}
	return err
}

// NewRecoveryCodes gives a caller new ones; the old ones are good for nothing then. Without
// a factor there are none: db.ErrNotFound.
func (a *App) NewRecoveryCodes(ctx context.Context, caller Caller) (codes []string, err error) {
	codes, hashes := newRecoveryCodes()
	event := a.factorEvent(caller.Actor(), db.ModelUpdated, *caller.User, db.KindRecovery, caller.User.ID, RecoveryName)
	if err := a.store.SetRecoveryCodes(ctx, caller.User.ID, hashes, event); err != nil {
		return nil, err
	}
	a.Log.Info("recovery codes made anew", "user", caller.User.Username, "ip", caller.IP)
	return codes, nil
}

// RecoveryName is what a user's recovery codes are called where each factor has a name.
const RecoveryName = "Recovery codes"

// factorNames are the kinds in the words of alerts.
var factorNames = map[db.FactorKind]string{db.KindTOTP: "The authenticator app", db.KindPasskey: "The passkey"}

// factorModels are the kinds in authentik's words: app and model.
var factorModels = map[db.FactorKind][2]string{
	db.KindTOTP:     {"authentik_stages_authenticator_totp", "totpdevice"},
	db.KindPasskey:  {"authentik_stages_authenticator_webauthn", "webauthndevice"},
	db.KindRecovery: {"authentik_stages_authenticator_static", "staticdevice"},
}

// factorChange records a change to a factor.
func (a *App) factorChange(actor Actor, action db.Action, user db.User, kind db.FactorKind, id int64, name string) db.Event {
	model := factorModels[kind]
	return a.event(actor, action, user.ID, map[string]any{
		"model": map[string]any{"app": model[0], "model_name": model[1], "pk": id, "name": name}, "username": user.Username,
	})
}

// factorEvent is factorChange of what people are told.
func (a *App) factorEvent(actor Actor, action db.Action, user db.User, kind db.FactorKind, id int64, name string) db.Event {
	e := a.factorChange(actor, action, user, kind, id, name)
	kindOf, what := alert.FactorAdded, factorNames[kind]+" “"+name+"”"
	if action == db.ModelDeleted {
		kindOf = alert.FactorRemoved
	}
	if kind == db.KindRecovery {
		what = "A new set of recovery codes"
		if action == db.ModelDeleted {
			what = "The set of recovery codes"
		}
	}
	return a.tells(e, actor, kindOf, user, what)
}
