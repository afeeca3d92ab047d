package app

import (
	"context"
	"errors"
	"time"

	"lastseen/app/live"
	"lastseen/app/useragent"
	"lastseen/db"

	"github.com/google/uuid"
)

// Credentials are what a sign-in form brings.
type Credentials struct {
	Username, Password string
	Remember           bool
}

// SignIn checks a password and makes a session, whose token it returns; the
// sessions of the tokens that the browser still held end. A wrong name, a wrong
// password and a disabled user are all ErrBadCredentials after the same time;
// too many of them are a BusyError.
func (a *App) SignIn(ctx context.Context, c Credentials, client Client, held []string) (token string, sess db.Session, err error) {
	user, err := a.verify(ctx, c.Username, c.Password, client)
	if err != nil {
		return "", sess, err
	}
	return a.startSession(ctx, user, "password", c.Remember, client, held)
}

// verify is the one place where a password is checked, with the limits on
// failures. Its errors are SignIn's.
func (a *App) verify(ctx context.Context, username, password string, client Client) (db.User, error) {
	typed := cutName(username)
	username, network := db.Fold(typed), loginNetwork(client.IP)
	limits, crowded, done := a.attempts.begin(username, network, client.IP, loginLimits)
	defer done()
	if limits.Pair < 1 || limits.Network < 1 {
		return db.User{}, a.refuse(typed, client, "too many at once", &BusyError{RetryAfter: time.Second})
	}
	now := a.now()
	until, known, err := a.store.LoginBlockedUntil(ctx, username, network, now, limits)
	if err != nil {
		return db.User{}, err
	}
	if until.After(now) {
		return db.User{}, a.refuse(typed, client, "too many failures", &BusyError{RetryAfter: until.Sub(now)})
	}

	if crowded && !known {
		return db.User{}, a.refuse(typed, client, "too many of this network at once", &BusyError{RetryAfter: time.Second})
	}

	user, err := a.store.UserByName(ctx, typed)
	if err != nil && !errors.Is(err, db.ErrNotFound) {
		return db.User{}, err
	}
	match, weak, err := a.passwords.verify(ctx, password, user.PasswordHash, known)
	if err != nil {
		return db.User{}, err
	}
	if !match || !user.Active {
		actor := Actor{ID: user.ID, Name: typed, IP: client.IP}
		event := a.event(actor, db.LoginFailed, user.ID, map[string]any{"username": typed, "stage": "password", "http_request": httpRequest(client)})
		if err := a.store.LoginFailed(ctx, username, network, event); err != nil {
			return db.User{}, err
		}
		why := "wrong password"
		if user.ID == 0 {
			why = "unknown user"
		} else if !user.Active {
			why = "disabled user"
		}
		return db.User{}, a.refuse(typed, client, why, ErrBadCredentials)
	}
	if weak {
		if hash, err := a.passwords.hash(ctx, password); err == nil {
			defer a.live.Invalidate(live.UserChanged, user.ID)
			if err := a.store.RehashPassword(ctx, user.ID, user.PasswordHash, hash); err != nil {
				return db.User{}, err
			}
			user.PasswordHash = hash
		}
	}
	return user, nil
}

// refuse logs a refused sign-in, in the form that docs promise to log readers.
func (a *App) refuse(username string, client Client, why string, err error) error {
	a.Log.Warn("sign-in refused", "user", username, "ip", client.IP, "why", why)
	return err
}

// startSession stores a sign-in of a user whose password was just verified.
func (a *App) startSession(ctx context.Context, user db.User, method string, remember bool, client Client, held []string) (string, db.Session, error) {
	now := a.now()
	ends := now.Add(a.Config.SessionDuration)
	sess := db.Session{
		UUID: uuid.New(), UserID: user.ID, Username: user.Username,
		Agent: a.live.Agent(client.Agent), IP: client.IP, Via: client.Via,
		Method: method, Remember: remember,
		Created: now, LastUsed: now, Ends: ends, Expires: a.live.Expires(ends, now),
	}
	var replaced []uuid.UUID
	for _, token := range held {
		old, err := a.SessionByToken(ctx, token)
		if err == nil {
			replaced = append(replaced, old.UUID)
		} else if !errors.Is(err, db.ErrNotFound) {
			return "", sess, err
		}
	}
	defer a.live.Invalidate(live.SignedIn, user.ID)
	token := newSecret()
	actor := Actor{ID: user.ID, Name: user.Username, IP: client.IP}
	event := a.event(actor, db.Login, user.ID, map[string]any{"auth_method": method, "session": sess.UUID.String(), "http_request": httpRequest(client)})
	hash := secretHash(token)
	err := a.live.End(replaced, func(last []db.Use) (err error) {
		sess, err = a.store.CreateSession(ctx, user, sess, hash[:], last, loginNetwork(client.IP), event)
		return err
	})
	if errors.Is(err, db.ErrNotFound) { // disabled, deleted or changed since it was verified
		return "", sess, a.refuse(user.Username, client, "changed meanwhile", ErrBadCredentials)
	}
	if err != nil {
		return "", sess, err
	}
	a.Log.Info("signed in", "user", user.Username, "ip", client.IP, "session", sess.UUID)
	return token, sess, nil
}

// httpRequest is what an event tells of the request, as authentik's do.
func httpRequest(client Client) map[string]any {
	return map[string]any{"user_agent": useragent.Clean(client.Agent)}
}
