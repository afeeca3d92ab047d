package app

import (
	"context"
	"errors"
	"strings"
	"time"

	"lastseen/db"
)

// What proves who somebody is. A session's method is the first that did and, after a +,
// the second: password, password+totp, passkey.
const (
	ByPassword = "password"
	ByPasskey  = "passkey" // as the first one, with the person verified by their device: it is both
	ByCode     = "totp"
	ByRecovery = "recovery"
	BySetup    = "setup" // the token that the server printed
	ByLink     = "link"  // a link that a superuser made
)

// A Step is what a sign-in still waits for.
type Step string

// The steps.
const (
	SecondFactor Step = "factor" // a code, a recovery code or a passkey
	Enrol        Step = "enrol"  // to set up a factor, since they must have one
)

// wanted is the one place that decides what a user has yet to prove, who has these
// factors and has proven this: "" for nothing.
func wanted(require string, user db.User, has db.Factors, proven string) Step {
	first, second, _ := strings.Cut(proven, "+")
	switch {
	case second != "" || first == ByPasskey:
		return ""
	case has.Any():
		return SecondFactor
	case mustHaveFactor(require, user):
		return Enrol
	}
	return ""
}

// mustHaveFactor reports whether the settings ask a user for a second factor.
func mustHaveFactor(require string, user db.User) bool {
	return require == "everybody" || require == "superusers" && user.Superuser
}

// pendingFor is how long a sign-in waits for the rest.
const pendingFor = 5 * time.Minute

// An UnfinishedError says that somebody has proven a part of who they are. Nothing but
// the rest of the sign-in takes the token.
type UnfinishedError struct {
	Token string
	Wants Step
}

func (e *UnfinishedError) Error() string { return "the sign-in waits for " + string(e.Wants) }

// pend keeps an entry until the rest of it is proven.
func (a *App) pend(ctx context.Context, e entry, wants Step) error {
	token, now := newSecret(), a.now()
	hash := secretHash(token)
	pending := db.PendingSignIn{UserID: e.user.ID, Proven: e.proven, Remember: e.remember, Created: now}
	err := a.store.CreatePending(ctx, e.user, pending, hash[:], now.Add(-pendingFor))
	if errors.Is(err, db.ErrNotFound) {
		return a.refuse(e.user.Username, e.client, "changed meanwhile", ErrBadCredentials)
	}
	if err != nil {
		return err
	}
	return &UnfinishedError{Token: token, Wants: wants}
}

// A Pending is a sign-in that waits for something.
type Pending struct {
	User    db.User
	Factors db.Factors
	Wants   Step

	db.PendingSignIn
	token []byte // its hash
}

// Pending is the sign-in of a token, or ErrUnauthenticated.
func (a *App) Pending(ctx context.Context, token string) (p Pending, err error) {
	hash := secretHash(token)
	p.token = hash[:]
	if p.PendingSignIn, err = a.store.Pending(ctx, p.token, a.now().Add(-pendingFor)); err == nil {
		p.User, err = a.store.User(ctx, p.UserID)
	}
	if errors.Is(err, db.ErrNotFound) || err == nil && !p.User.Active {
		return Pending{}, ErrUnauthenticated
	}
	if err != nil {
		return Pending{}, err
	}
	if p.Factors, err = a.store.Factors(ctx, p.UserID); err != nil {
		return Pending{}, err
	}
	p.Wants = wanted(a.Config.RequireSecondFactor, p.User, p.Factors, p.Proven)
	return p, nil
}

// GiveUp ends a pending sign-in, if the token is of one.
func (a *App) GiveUp(ctx context.Context, token string) error {
	hash := secretHash(token)
	return a.store.DeletePending(ctx, hash[:])
}

// finish makes the session of a pending sign-in, of which now the rest was proven: by how,
// which proof uses up.
func (a *App) finish(ctx context.Context, p Pending, how string, proof db.Proof, client Client, held []string) (token string, sess db.Session, err error) {
	proof.Pending, proof.Since = p.token, a.now().Add(-pendingFor)
	return a.proceed(ctx, entry{user: p.User, proven: p.Proven + "+" + how, proof: proof, remember: p.Remember, client: client, held: held})
}
