package app

import (
	"context"
	"errors"
	"strings"
	"time"

	"lastseen/app/alert"
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
// too many of them are a BusyError. Where more is to be proven it is an
// UnfinishedError, and there is no session.
func (a *App) SignIn(ctx context.Context, c Credentials, client Client, held []string) (token string, sess db.Session, err error) {
	user, err := a.verify(ctx, c.Username, c.Password, client)
	if err != nil {
		return "", sess, err
	}
	return a.proceed(ctx, entry{user: user, proven: ByPassword, remember: c.Remember, client: client, held: held})
}

// verify is the one place where a password is checked. Its errors are attempt's.
func (a *App) verify(ctx context.Context, username, password string, client Client) (user db.User, err error) {
	typed := cutName(username)
	weak := false
	err = a.attempt(ctx, typed, client, "password", func(known bool) (*refusal, error) {
		user, err = a.store.UserByName(ctx, typed)
		if err != nil && !errors.Is(err, db.ErrNotFound) {
			return nil, err
		}
		var match bool
		match, weak, err = a.passwords.verify(ctx, password, user.PasswordHash, known)
		switch {
		case err != nil:
			return nil, err
		case match && user.Active:
			return nil, nil
		case user.ID == 0:
			return &refusal{why: "unknown user"}, nil
		case !user.Active:
			return &refusal{why: "disabled user", user: user}, nil
		}
		return &refusal{why: "wrong password", user: user}, nil
	})
	if err != nil {
		return db.User{}, err
	}
	if weak {
		if hash, err := a.passwords.hash(ctx, password); err == nil {
			defer a.live.Invalidate(live.UserChanged, user.ID)
			switch err := a.store.RehashPassword(ctx, user.ID, user.PasswordHash, hash); {
			case errors.Is(err, db.ErrNotFound): // another sign-in of theirs was first, or the password is a new one
				return a.verify(ctx, username, password, client)
			case err != nil:
				return db.User{}, err
			}
			user.PasswordHash = hash
		}
	}
	return user, nil
}

// A refusal is why something does not prove what it should.
type refusal struct {
	why  string         // for the log
	user db.User        // whose account it concerns; zero for nobody's
	more map[string]any // for the event
}

// attempt runs try, which looks at what is to prove that somebody is the user of a name,
// within the limits on failures: passwords and codes share them. What try refuses counts,
// and is ErrBadCredentials; too many failures are a BusyError. known says that the account
// was signed in to from where this comes.
func (a *App) attempt(ctx context.Context, typed string, client Client, stage string, try func(known bool) (*refusal, error)) error {
	username, network := db.Fold(typed), loginNetwork(client.IP)
	limits, crowded, done := a.attempts.begin(username, network, client.IP, loginLimits)
	defer done()
	now := a.now()
	if counter, ok := a.store.(attemptCounter); ok {
		attempt, before, err := counter.BeginAttempt(ctx, username, network, now)
		if err != nil {
			return err
		}
		defer func() { _ = counter.EndAttempt(context.WithoutCancel(ctx), attempt) }() // or it ends by itself in a minute
		limits = limits.Lower(loginLimits, before)
	}
	if limits.Pair < 1 || limits.Network < 1 {
		return a.refuse(typed, client, "too many at once", &BusyError{RetryAfter: time.Second})
	}
	until, known, err := a.store.LoginBlockedUntil(ctx, username, network, now, limits)
	if err != nil {
		return err
	}
	if until.After(now) {
		return a.refuse(typed, client, "too many failures", &BusyError{RetryAfter: until.Sub(now)})
	}
	if crowded && !known {
		return a.refuse(typed, client, "too many of this network at once", &BusyError{RetryAfter: time.Second})
	}
	refused, err := try(known)
	if err != nil || refused == nil {
		return err
	}
	content := map[string]any{"username": typed, "stage": stage, "http_request": httpRequest(client)}
	for k, v := range refused.more {
		content[k] = v
	}
	actor := Actor{ID: refused.user.ID, Name: typed, IP: client.IP, Agent: client.Agent}
	event := a.event(actor, db.LoginFailed, refused.user.ID, content)
	if refused.user.ID != 0 {
		event = a.tells(event, actor, alert.AccountLocked, refused.user, "") // if it comes to that
	}
	if err := a.store.LoginFailed(ctx, username, network, event, loginLimits); err != nil {
		return err
	}
	return a.refuse(typed, client, refused.why, ErrBadCredentials)
}

// refuse logs a refused sign-in, in the form that docs promise to log readers.
func (a *App) refuse(username string, client Client, why string, err error) error {
	a.Log.Warn("sign-in refused", "user", username, "ip", client.IP, "why", why)
	return err
}

// An entry is somebody who signs in, and how they have proven who they are.
type entry struct {
	user     db.User
	proven   string // in the words of a session's method
	proof    db.Proof
	remember bool
	client   Client
	held     []string // the tokens that the browser still holds
}

// proceed makes a session of an entry of which all is proven. Any other one becomes a
// pending sign-in, an UnfinishedError. It is the only way to a session.
func (a *App) proceed(ctx context.Context, e entry) (token string, sess db.Session, err error) {
	if both(e.proven) && !e.user.MustChange { // whatever they have, nothing more is wanted
		return a.startSession(ctx, e)
	}
	has, err := a.store.Factors(ctx, e.user.ID)
	if err != nil {
		return "", sess, err
	}
	step := wanted(a.Config.RequireSecondFactor, e.user, has, e.proven, false)
	if step == SecondFactor && a.Config.TrustDevices > 0 && e.client.Device != "" {
		device := secretHash(e.client.Device)
		trusted, err := a.store.Trusts(ctx, e.user.ID, device[:], a.now())
		if err != nil {
			return "", sess, err
		}
		if step = wanted(a.Config.RequireSecondFactor, e.user, has, e.proven, trusted); step == "" {
			e.proven, e.proof.Device = e.proven+"+"+ByTrust, device[:]
		}
	}
	if step != "" {
		return "", sess, a.pend(ctx, e, step)
	}
	e.proof.Alone = !has.Any() // and none is added meanwhile
	return a.startSession(ctx, e)
}

func (a *App) startSession(ctx context.Context, e entry) (string, db.Session, error) {
	user, client, now := e.user, e.client, a.now()
	ends := now.Add(a.Config.SessionDuration)
	sess := db.Session{
		UUID: uuid.New(), UserID: user.ID, Username: user.Username,
		Agent: a.live.Agent(client.Agent), IP: client.IP, Via: client.Via,
		Method: e.proven, Remember: e.remember,
		Created: now, LastUsed: now, Ends: ends, Expires: a.live.Expires(ends, now),
	}
	var replaced []uuid.UUID
	for _, token := range e.held {
		old, err := a.SessionByToken(ctx, token)
		if err == nil {
			replaced = append(replaced, old.UUID)
		} else if !errors.Is(err, db.ErrNotFound) {
			return "", sess, err
		}
	}
	defer a.live.Invalidate(live.SignedIn, user.ID)
	token := newSecret()
	hash := secretHash(token)
	in := db.SignIn{
		User: user, Session: sess, TokenHash: hash[:], Network: loginNetwork(client.IP), Proof: e.proof,
		Event: a.event(actorOf(user, client), db.Login, user.ID,
			map[string]any{"auth_method": e.proven, "session": sess.UUID.String(), "http_request": httpRequest(client)}),
	}
	if client.Device != "" {
		device := secretHash(client.Device)
		in.Device = device[:]
		if _, second, _ := strings.Cut(e.proven, "+"); client.Trust && a.Config.TrustDevices > 0 && (second == ByCode || second == ByPasskey) {
			in.Trust = now.Add(a.Config.TrustDevices)
			in.Event.Context["device_trusted"] = true
		}
	}
	in.Event.Alert = a.signInAlert(ctx, in, client)
	err := a.live.End(replaced, func(last []db.Use) (err error) {
		in.Replaces = last
		sess, err = a.store.CreateSession(ctx, in)
		return err
	})
	if errors.Is(err, db.ErrNotFound) { // disabled, deleted or changed since it was verified
		return "", sess, a.refuse(user.Username, client, "changed meanwhile", ErrBadCredentials)
	}
	if err != nil {
		return "", sess, err
	}
	if in.Event.Alert != nil { // before whoever that is can remove a target, or choose no mail
		select {
		case a.toTell <- struct{}{}:
		default:
		}
	}
	a.Log.Info("signed in", "user", user.Username, "ip", client.IP, "session", sess.UUID)
	return token, sess, nil
}

// httpRequest is what an event tells of the request, as authentik's do.
func httpRequest(client Client) map[string]any {
	return map[string]any{"user_agent": useragent.Clean(client.Agent)}
}
