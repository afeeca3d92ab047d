package app

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"lastseen/app/useragent"
	"lastseen/db"

	"github.com/alexedwards/argon2id"
	"github.com/google/uuid"
)

// loginLimits are how many wrong passwords are borne.
var loginLimits = db.LoginLimits{
	Pair: 10, Network: 50, Window: 15 * time.Minute,
	Account: 100, Lock: time.Hour,
}

// hashParams cost about 60 ms and 19 MiB a hash on a small machine: the lower
// of the settings that OWASP's password storage cheat sheet counts as equal.
var hashParams = argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// passwords hashes and verifies, a few at once, so that a flood of sign-ins
// can take neither all memory nor all time.
type passwords struct {
	running chan struct{} // bounds the hashes at once
	waiting chan struct{} // bounds those and the callers in line
	dummy   string        // the hash of no password, for users that do not exist
}

func newPasswords() passwords {
	return passwords{
		running: make(chan struct{}, 2),
		waiting: make(chan struct{}, 64),
		dummy:   noPassword(),
	}
}

// noPassword is a hash in argon2id's format that no password has: its key is
// random too, so that it costs nothing to make.
func noPassword() string {
	salt, key := make([]byte, hashParams.SaltLength), make([]byte, hashParams.KeyLength)
	rand.Read(salt) // never fails
	rand.Read(key)
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", hashParams.Memory, hashParams.Iterations, hashParams.Parallelism,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}

// turn waits for one of the places to hash; done gives it back. When too many
// wait already it is a BusyError.
func (p passwords) turn(ctx context.Context) (done func(), err error) {
	select {
	case p.waiting <- struct{}{}:
	default:
		return nil, &BusyError{RetryAfter: 5 * time.Second}
	}
	select {
	case p.running <- struct{}{}:
		return func() { <-p.running; <-p.waiting }, nil
	case <-ctx.Done():
		<-p.waiting
		return nil, ctx.Err()
	}
}

func (p passwords) hash(ctx context.Context, password string) (string, error) {
	done, err := p.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	return argon2id.CreateHash(password, &hashParams)
}

// verify compares a password with a hash; an empty hash costs the same and fits none.
func (p passwords) verify(ctx context.Context, password, hash string) (match, weak bool, err error) {
	done, err := p.turn(ctx)
	if err != nil {
		return false, false, err
	}
	defer done()
	known := hash != ""
	if !known {
		hash = p.dummy
	}
	match, params, err := argon2id.CheckHash(password, hash)
	if err != nil {
		return false, false, fmt.Errorf("stored password hash: %w", err)
	}
	return match && known, *params != hashParams, nil
}

// attempts are the sign-ins under way. They count as failures until they are
// known not to be, so that many at once get no further than one after another.
type attempts struct {
	mu                sync.Mutex
	pair              map[[2]string]int
	network, username map[string]int
}

// begin counts an attempt and lowers the limits by those under way.
func (t *attempts) begin(username, network string, limits db.LoginLimits) (db.LoginLimits, func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pair == nil {
		t.pair, t.network, t.username = map[[2]string]int{}, map[string]int{}, map[string]int{}
	}
	pair := [2]string{username, network}
	limits.Pair -= t.pair[pair]
	limits.Network -= t.network[network]
	limits.Account -= t.username[username]
	t.pair[pair]++
	t.network[network]++
	t.username[username]++
	return limits, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		decrement(t.pair, pair)
		decrement(t.network, network)
		decrement(t.username, username)
	}
}

func decrement[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] == 0 {
		delete(counts, key)
	}
}

// loginNetwork is the network that failures are counted for: a /32 or a /64.
func loginNetwork(ip netip.Addr) string {
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	prefix, err := ip.Prefix(bits)
	if err != nil {
		return ""
	}
	return prefix.String()
}

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
	limits, done := a.attempts.begin(username, network, loginLimits)
	defer done()
	if limits.Pair < 1 || limits.Network < 1 {
		return db.User{}, a.refuse(typed, client, "too many at once", &BusyError{RetryAfter: time.Second})
	}
	now := a.now()
	until, err := a.store.LoginBlockedUntil(ctx, username, network, now, limits)
	if err != nil {
		return db.User{}, err
	}
	if until.After(now) {
		return db.User{}, a.refuse(typed, client, "too many failures", &BusyError{RetryAfter: until.Sub(now)})
	}

	user, err := a.store.UserByName(ctx, typed)
	if err != nil && !errors.Is(err, db.ErrNotFound) {
		return db.User{}, err
	}
	match, weak, err := a.passwords.verify(ctx, password, user.PasswordHash)
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
			defer a.forgetAll()
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
		Agent: a.agent(client.Agent), IP: client.IP, Via: client.Via,
		Method: method, Remember: remember,
		Created: now, LastUsed: now, Ends: ends, Expires: a.expires(ends, now),
	}
	var replaces []db.Use
	for _, token := range held {
		old, err := a.SessionByToken(ctx, token)
		if err == nil {
			replaces = append(replaces, a.lastUse(old.UUID))
		} else if !errors.Is(err, db.ErrNotFound) {
			return "", sess, err
		}
	}
	defer a.forgetUser(user.ID) // for last_login
	token := newSecret()
	actor := Actor{ID: user.ID, Name: user.Username, IP: client.IP}
	event := a.event(actor, db.Login, user.ID, map[string]any{"auth_method": method, "session": sess.UUID.String(), "http_request": httpRequest(client)})
	hash := secretHash(token)
	sess, err := a.store.CreateSession(ctx, user, sess, hash[:], replaces, loginNetwork(client.IP), event)
	for _, old := range replaces {
		a.forget(old.UUID, err == nil)
	}
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

// setupTokenFile is where a person with access to the data directory finds the setup token.
func (a *App) setupTokenFile() string { return filepath.Join(a.Config.DataDir, "setup-token") }

// bootstrap makes the first user from the settings, or a token for the setup page.
func (a *App) bootstrap(ctx context.Context) error {
	has, err := a.store.HasUsers(ctx)
	if err != nil {
		return fmt.Errorf("look for users: %w", err)
	}
	switch c := a.Config; {
	case has && c.BootstrapPassword != "":
		a.Log.Info("bootstrap settings not used: there are users already")
		fallthrough
	case has:
		os.Remove(a.setupTokenFile())
	case c.BootstrapPassword != "":
		user, err := a.createUser(ctx, Operator.Actor(), NewUser{Username: c.BootstrapUsername, Password: c.BootstrapPassword, Superuser: true}, true)
		if err != nil {
			return fmt.Errorf("make the first user: %w", err)
		}
		if c.BootstrapToken != "" {
			if _, err := a.createToken(ctx, Operator.Actor(), NewToken{User: user, Identifier: "bootstrap"}, c.BootstrapToken); err != nil {
				return fmt.Errorf("make the first user's token: %w", err)
			}
		}
		a.Log.Info("bootstrap settings used: first superuser made", "user", user.Username, "token", c.BootstrapToken != "")
		os.Remove(a.setupTokenFile())
	default:
		token := newSecret()
		if err := writePrivate(a.setupTokenFile(), token+"\n"); err != nil {
			return fmt.Errorf("keep the setup token: %w", err)
		}
		a.mu.Lock()
		a.setupToken = token
		a.mu.Unlock()
	}
	return nil
}

// writePrivate writes a file that only its owner can read.
func writePrivate(path, content string) error {
	os.Remove(path) // so that the mode is ours, whatever was there
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	return errors.Join(err, f.Close())
}

// SetupToken is the one-time token of the setup page, "" when there is nothing to set up.
func (a *App) SetupToken() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.setupToken
}

// HasUsers reports whether there is anybody who could sign in.
func (a *App) HasUsers(ctx context.Context) (bool, error) { return a.store.HasUsers(ctx) }

// SetupOpen reports whether the token opens the setup page: it is the one that
// was printed, and there is still no user.
func (a *App) SetupOpen(ctx context.Context, token string) (bool, error) {
	want := a.SetupToken()
	given, right := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(want))
	if want == "" || subtle.ConstantTimeCompare(given[:], right[:]) == 0 {
		return false, nil
	}
	has, err := a.store.HasUsers(ctx)
	return !has, err
}

// Setup makes the first superuser, who is signed in with it. Once there is a
// user it is ErrForbidden, whatever the token.
func (a *App) Setup(ctx context.Context, setupToken string, c Credentials, client Client) (token string, sess db.Session, err error) {
	open, err := a.SetupOpen(ctx, setupToken)
	if err == nil && !open {
		err = ErrForbidden
	}
	if err != nil {
		return "", sess, err
	}
	actor := Actor{Name: c.Username, IP: client.IP}
	user, err := a.createUser(ctx, actor, NewUser{Username: c.Username, Password: c.Password, Superuser: true}, true)
	if errors.Is(err, db.ErrConflict) {
		return "", sess, ErrForbidden
	}
	if err != nil {
		return "", sess, err
	}
	a.mu.Lock()
	a.setupToken = ""
	a.mu.Unlock()
	os.Remove(a.setupTokenFile())
	return a.startSession(ctx, user, "setup", c.Remember, client, nil)
}
