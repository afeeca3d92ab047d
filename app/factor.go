package app

import (
	"context"
	"errors"
	"strings"
	"time"

	"lastseen/app/live"
	"lastseen/db"

	"github.com/google/uuid"
)

// What proves who somebody is. A session's method is the first that did and, after a +,
// the second: password, password+totp, passkey.
const (
	ByPassword = "password"
	ByPasskey  = "passkey" // as the first one, with the person verified by their device: it is both
	ByCode     = "totp"
	ByRecovery = "recovery"
	BySetup    = "setup"   // the token that the server printed
	ByLink     = "link"    // a link that a superuser made
	ByTrust    = "trusted" // as the second one: on this device it was said to stand for that
)

// MethodText says a session's method in words: "password and code".
func MethodText(method string) string {
	return strings.NewReplacer("+"+ByTrust, " on a trusted device", "+", " and ", ByCode, "code", ByRecovery, "recovery code").Replace(method)
}

// A Step is what a sign-in still waits for.
type Step string

// The steps.
const (
	SecondFactor Step = "factor"   // a code, a recovery code or a passkey
	OwnPassword  Step = "password" // another password than the one that somebody else set
	Enrol        Step = "enrol"    // to set up a factor, since they must have one
)

// wanted is the one place that decides what a user has yet to prove, who has these
// factors and has proven this: "" for nothing. A device that they trust stands for the
// second factor after a password, and for nothing else. Nobody chooses a password before
// they have proven all that they can.
func wanted(require string, user db.User, has db.Factors, proven string, trusted bool) Step {
	all := both(proven) || has.Any() && trusted && proven == ByPassword
	switch {
	case has.Any() && !all:
		return SecondFactor
	case user.MustChange:
		return OwnPassword
	case mustHaveFactor(require, user) && !all:
		return Enrol
	}
	return ""
}

// both reports whether a method proves all that anybody can be asked for.
func both(method string) bool {
	first, second, _ := strings.Cut(method, "+")
	return first == ByPasskey || second != "" && second != ByTrust
}

// mustHaveFactor reports whether the settings ask a user for a second factor.
func mustHaveFactor(require string, user db.User) bool {
	return require == "everybody" || require == "superusers" && user.Superuser
}

// MissingFactor chooses the users who must have a second factor and have none; nobody is
// asked for one when ok is false.
func (a *App) MissingFactor() (f db.UserFilter, ok bool) {
	yes, no := true, false
	f = db.UserFilter{Active: &yes, Factor: &no}
	if a.Config.RequireSecondFactor == "superusers" {
		f.Superuser = &yes
	}
	return f, mustHaveFactor(a.Config.RequireSecondFactor, db.User{Superuser: true})
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

// pend keeps an entry until the rest of it is proven; what was is used up.
func (a *App) pend(ctx context.Context, e entry, wants Step) error {
	token, now := newSecret(), a.now()
	hash := secretHash(token)
	pending := db.PendingSignIn{UserID: e.user.ID, Proven: e.proven, Remember: e.remember, Trust: e.client.Trust, Created: now}
	err := a.store.CreatePending(ctx, e.user, pending, e.proof, hash[:], now.Add(-pendingFor))
	if errors.Is(err, db.ErrNotFound) {
		return a.refuse(e.user.Username, e.client, "changed meanwhile", ErrBadCredentials)
	}
	if err != nil {
		return err
	}
	a.Log.Info("sign-in waits", "user", e.user.Username, "ip", e.client.IP, "proven", e.proven, "wants", wants)
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
	p.Wants = wanted(a.Config.RequireSecondFactor, p.User, p.Factors, p.Proven, false)
	return p, nil
}

// waiting is the pending sign-in of a token, if it waits for that; else ErrUnauthenticated.
func (a *App) waiting(ctx context.Context, pending string, step Step) (Pending, error) {
	p, err := a.Pending(ctx, pending)
	if err == nil && p.Wants != step {
		err = ErrUnauthenticated
	}
	return p, err
}

// finish goes on with a pending sign-in, of which more was proven now, by how: "" for what
// proves nothing. It uses up proof.
func (a *App) finish(ctx context.Context, p Pending, how string, proof db.Proof, client Client, held []string) (token string, sess db.Session, err error) {
	proof.Pending, proof.Since = p.token, a.now().Add(-pendingFor)
	if how != "" {
		p.Proven += "+" + how
	}
	client.Trust = client.Trust || p.Trust
	return a.proceed(ctx, entry{user: p.User, proven: p.Proven, proof: proof, remember: p.Remember, client: client, held: held})
}

// SignInByOwnPassword goes on with a pending sign-in of somebody whose password another
// set, by one that they choose. What is wrong with it is a db.InputError; a sign-in that is
// no more is ErrUnauthenticated.
func (a *App) SignInByOwnPassword(ctx context.Context, pending, password string, client Client, held []string) (token string, sess db.Session, err error) {
	p, err := a.waiting(ctx, pending, OwnPassword)
	if err != nil {
		return "", sess, err
	}
	actor := actorOf(p.User, client)
	c, err := a.passwordChange(ctx, actor, p.User, NewPassword{Password: password})
	if err != nil {
		return "", sess, err
	}
	if same, _, err := a.passwords.verify(ctx, password, p.User.PasswordHash, true); err != nil {
		return "", sess, err
	} else if same {
		return "", sess, &db.InputError{Field: "password", Problem: "This is the password that you were given. Choose another."}
	}
	p.User.PasswordHash, p.User.MustChange = c.Hash, false
	defer a.live.Invalidate(live.UserChanged, p.UserID)
	token, sess, err = a.finish(ctx, p, "", db.Proof{Password: &c}, client, held)
	var unfinished *UnfinishedError
	if err == nil || errors.As(err, &unfinished) {
		a.Log.Info("password set", "user", actor.Name, "by", actor.Name, "ip", actor.IP)
	}
	return token, sess, err
}

// SignInByCode goes on with a pending sign-in by a code of an authenticator app, or a
// recovery code. A wrong one counts as a wrong password does and is ErrBadCredentials; one
// that cannot be checked since the key is gone is ErrSealed; a sign-in that is no more is
// ErrUnauthenticated.
func (a *App) SignInByCode(ctx context.Context, pending, code string, client Client, held []string) (token string, sess db.Session, err error) {
	p, err := a.waiting(ctx, pending, SecondFactor)
	if err != nil {
		return "", sess, err
	}
	err = a.attempt(ctx, p.User.Username, client, "code", func(bool) (*refusal, error) {
		how, proof, refused, err := a.checkCode(p.User, p.Factors, code)
		if err != nil || refused != nil {
			return refused, err
		}
		token, sess, err = a.finish(ctx, p, how, proof, client, held)
		if errors.Is(err, db.ErrUsed) {
			why := "code used before"
			if how == ByRecovery {
				why = "wrong code"
			}
			return &refusal{why: why, user: p.User}, nil
		}
		return nil, err
	})
	return token, sess, err
}

// checkCode finds what of a user's factors a code is of. It is used up with the session.
func (a *App) checkCode(user db.User, has db.Factors, typed string) (how string, proof db.Proof, refused *refusal, err error) {
	if hash, ok := recoveryHash(typed); ok {
		return ByRecovery, db.Proof{Recovery: hash}, nil, nil
	}
	code, now := bareCode(typed), stepAt(a.now())
	refused = &refusal{why: "wrong code", user: user}
	sealed := 0
	for _, t := range has.TOTPs {
		secret, err := a.totpSecret(user, t)
		if errors.Is(err, ErrSealed) {
			a.Log.Error("an authenticator app cannot be checked", "user", user.Username, "name", t.Name, "err", err, "key", KeyPath(a.Config.DataDir))
			sealed++
			continue
		}
		if err != nil {
			return "", proof, nil, err
		}
		if step, ok := findStep(secret, code, now, skew); ok {
			t.Step = step
			return ByCode, db.Proof{TOTP: &t}, nil, nil
		}
		if step, ok := findStep(secret, code, now, farSkew); ok && step <= t.Step {
			refused.why = "code used before" // which says nothing about clocks
		} else if ok {
			offset := time.Duration(step-now) * stepLength * time.Second
			a.Log.Warn("a code fits another time: the clock of this machine or of the app is wrong", "user", user.Username, "name", t.Name, "app_ahead", offset.String())
			refused.more = map[string]any{clockOffset: int(offset.Seconds())}
		}
	}
	if sealed > 0 && sealed == len(has.TOTPs) {
		return "", proof, nil, ErrSealed
	}
	return "", proof, refused, nil
}

// clockOffset is by how many seconds an app was ahead whose code was refused, in the
// context of the event.
const clockOffset = "clock_offset"

// provenFor is how long a proof lets somebody change how their account is entered.
const provenFor = 15 * time.Minute

// ProvenLately reports whether a caller has lately proven who they are, and so may change
// how the account is entered. Another one is asked again.
func (a *App) ProvenLately(ctx context.Context, caller Caller) (bool, error) {
	if caller.Session == uuid.Nil {
		return false, nil
	}
	at, err := a.store.LastProof(ctx, caller.Session)
	if errors.Is(err, db.ErrNotFound) {
		err = ErrUnauthenticated // it ended meanwhile
	}
	return err == nil && a.now().Sub(at).Abs() < provenFor, err
}

// LastProof is when the person of a session last proved who they are: at the sign-in, or
// when asked again since.
func (a *App) LastProof(ctx context.Context, session uuid.UUID) (time.Time, error) {
	return a.store.LastProof(ctx, session)
}

// ProveAgain proves by the password that a caller is who they were at the sign-in, and by a
// code too where ProvesByCode. Wrong ones count as failed sign-ins do, with SignIn's errors.
func (a *App) ProveAgain(ctx context.Context, caller Caller, password, code string, client Client) error {
	user, err := a.verify(ctx, caller.User.Username, password, client)
	if err != nil {
		return err
	}
	second, has, err := a.second(ctx, caller)
	if err != nil {
		return err
	}
	if second || !has.Any() {
		return a.provenAgain(ctx, caller, db.Proof{Alone: !second})
	}
	return a.attempt(ctx, user.Username, client, "code", func(bool) (*refusal, error) {
		_, proof, refused, err := a.checkCode(user, has, code)
		if err != nil || refused != nil {
			return refused, err
		}
		if err = a.provenAgain(ctx, caller, proof); errors.Is(err, db.ErrUsed) {
			return &refusal{why: "code used before", user: user}, nil
		}
		return nil, err
	})
}

// ProvesByCode reports whether a caller who is asked again has to give a code too: who has a
// second factor, and signed in without it, by a device that they trust or before they had it.
func (a *App) ProvesByCode(ctx context.Context, caller Caller) (bool, error) {
	second, has, err := a.second(ctx, caller)
	return !second && has.Any(), err
}

// second reports whether a caller proved a second factor at the sign-in; has is what one
// who did not has now.
func (a *App) second(ctx context.Context, caller Caller) (proven bool, has db.Factors, err error) {
	sess, err := a.live.Session(ctx, caller.Session)
	if errors.Is(err, db.ErrNotFound) {
		err = ErrUnauthenticated // it ended meanwhile
	}
	if err != nil || both(sess.Method) {
		return err == nil, has, err
	}
	has, err = a.store.Factors(ctx, caller.User.ID)
	return false, has, err
}

// provenAgain notes a proof, which is used up.
func (a *App) provenAgain(ctx context.Context, caller Caller, proof db.Proof) error {
	err := a.store.ProveAgain(ctx, caller.Session, proof, a.now())
	if errors.Is(err, db.ErrNotFound) { // it ended meanwhile, or another proof is wanted by now
		err = ErrUnauthenticated
	}
	return err
}
