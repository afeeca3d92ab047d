package app

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"lastseen/db"
)

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
		if errors.Is(err, db.ErrConflict) {
			a.Log.Info("bootstrap settings not used: another server has just made the first user")
			break
		}
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
		os.Remove(a.setupTokenFile()) // so that the mode is ours, whatever was there
		if err := createPrivate(a.setupTokenFile(), token+"\n"); err != nil {
			return fmt.Errorf("keep the setup token: %w", err)
		}
		if a.live.Shared() { // whichever server is asked
			if err := a.store.SetSetting(ctx, setupSetting(token), a.now().String()); err != nil {
				return fmt.Errorf("keep the setup token: %w", err)
			}
		}
		a.mu.Lock()
		a.setupToken = token
		a.mu.Unlock()
	}
	return nil
}

// setupSetting is the name under which servers of one database keep what they printed.
func setupSetting(token string) string {
	hash := secretHash(token)
	return db.SetupSetting + hex.EncodeToString(hash[:])
}

// createPrivate makes a file that only its owner can read, where there is none. One that
// cannot be written whole is removed: half a key would keep a whole one from being made.
func createPrivate(path, content string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(path)
	}
	return err
}

// SetupToken is the one-time token of the setup page, "" when there is nothing to set up.
func (a *App) SetupToken() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.setupToken
}

// HasUsers reports whether there is anybody who could sign in.
func (a *App) HasUsers(ctx context.Context) (bool, error) { return a.store.HasUsers(ctx) }

// SetupOpen reports whether the token opens the setup page: it is one that
// was printed, and there is still no user.
func (a *App) SetupOpen(ctx context.Context, token string) (bool, error) {
	want := a.SetupToken()
	given, right := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(want))
	if want == "" || subtle.ConstantTimeCompare(given[:], right[:]) == 0 {
		if !a.live.Shared() {
			return false, nil
		}
		kept, err := a.store.Setting(ctx, setupSetting(token))
		if err != nil || kept == "" {
			return false, err
		}
	}
	has, err := a.store.HasUsers(ctx)
	return !has, err
}

// Setup makes the first superuser, who is signed in with it, as by SignIn. Once there is
// a user it is ErrForbidden, whatever the token.
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
	return a.proceed(ctx, entry{user: user, proven: BySetup, remember: c.Remember, client: client})
}
