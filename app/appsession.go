package app

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"lastseen/app/live"
	"lastseen/db"

	"github.com/google/uuid"
)

// A host that is guarded and that the session's cookie does not reach has a cookie of its
// own. To get it, the browser that asked there is led to the sign-in with a state, the
// hash of a secret that it holds in a cookie on that host, and from there back with a
// code: good once, for a minute, on that host, and in that browser.

// codeLife is how long a code is good.
const codeLife = time.Minute

// ErrCode says that a code is none, or no longer, or not for this host or browser.
var ErrCode = fmt.Errorf("%w: the code is not good here", ErrForbidden)

// NewState makes the secret that a browser is to hold, and the state that it is led to
// the sign-in with.
func NewState() (secret, state string) {
	secret = newSecret()
	return secret, StateOf(secret)
}

// StateOf is the state of a browser's secret.
func StateOf(secret string) string {
	hash := secretHash(secret)
	return base64.RawURLEncoding.EncodeToString(hash[:])
}

// GrantCode makes a code for a session on a host, for the browser of that state, which is
// to be led to target, a URL there.
func (a *App) GrantCode(ctx context.Context, session uuid.UUID, host, state, target string) (code string, err error) {
	hashed, err := base64.RawURLEncoding.DecodeString(state)
	if err != nil || len(hashed) != 32 || session == uuid.Nil || !a.Config.OwnCookie(host) {
		return "", ErrCode
	}
	code = newSecret()
	hash, now := secretHash(code), a.now()
	err = a.store.CreateCode(ctx, db.AppCode{
		Hash: hash[:], State: hashed, Secure: strings.HasPrefix(target, "https:"), Session: session, Host: host, Target: target, Created: now,
	}, now.Add(-codeLife))
	if errors.Is(err, db.ErrNotFound) {
		err = ErrUnauthenticated // ended meanwhile
	}
	return code, err
}

// RedeemCode uses a code up, on a host and in a browser that holds the secret for pages
// there, on https if secure. It returns the token of the session's cookie on that host, the
// session, and the page that was asked for; or ErrCode.
func (a *App) RedeemCode(ctx context.Context, host, code, secret string, secure bool, client Client) (token string, sess db.Session, target string, err error) {
	if !a.Config.OwnCookie(host) {
		return "", sess, "", ErrCode
	}
	token = newSecret()
	tokenHash, codeHash, state, now := secretHash(token), secretHash(code), secretHash(secret), a.now()
	sess, target, err = a.store.RedeemCode(ctx, db.AppCode{Hash: codeHash[:], State: state[:], Secure: secure, Host: host, Created: now}, now.Add(-codeLife), tokenHash[:])
	if errors.Is(err, db.ErrNotFound) { // nothing was written, which anybody can bring about
		return "", sess, "", ErrCode
	}
	a.live.Invalidate(live.AppsChanged) // this one is in the place of an earlier one
	if err != nil {
		return "", sess, "", err
	}
	a.Log.Info("signed in to an app", "user", sess.Username, "host", host, "ip", client.IP, "session", sess.UUID)
	return token, sess, target, nil
}

// AppSessions are the hosts on which a session has a cookie of its own. Whether the
// caller may see it they have found out.
func (a *App) AppSessions(ctx context.Context, id uuid.UUID) ([]db.AppSession, error) {
	return a.store.AppSessions(ctx, id)
}

// SignOutApp ends what a session that the caller may see has on a host. When it returns,
// that cookie opens nothing; every other session and host is db.ErrNotFound.
func (a *App) SignOutApp(ctx context.Context, caller Caller, id uuid.UUID, host string) error {
	sess, err := a.visible(ctx, caller, id)
	if err != nil {
		return err
	}
	defer a.live.Invalidate(live.AppsChanged)
	if err := a.store.EndAppSession(ctx, id, host); err != nil {
		return err
	}
	a.Log.Info("signed out of an app", "user", sess.Username, "host", host, "by", caller.User.Username, "ip", caller.IP, "session", id)
	return nil
}
