package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"lastseen/app/source"
	"lastseen/db"

	"github.com/google/uuid"
)

// An Imported says what became of a user of another program.
type Imported struct {
	User     db.User // of whom only the name is set where nobody was made
	Exists   bool    // such a user is here already, and was left as they are
	Remains  string  // what they cannot do yet, "" for nothing
	Password bool    // they can sign in with the password that they had
}

// Import makes a user of one of another program, with their password's hash if it can be
// verified; dry only says what would come of it. Who is here already stays as they are.
// What is wrong with the user is the error.
func (a *App) Import(ctx context.Context, actor Actor, from source.User, dry bool) (Imported, error) {
	done := Imported{User: db.User{Username: db.Normal(from.Username)}}
	n := NewUser{
		Username: from.Username, Name: from.Name, Email: from.Email, Superuser: from.Superuser,
		hashed: true, hash: from.Password, disabled: from.Disabled,
	}
	if n.Email != "" && checkEmail(n.Email) != nil {
		done.Remains, n.Email = "the mail address is none and was left out", ""
	}
	for _, group := range from.Groups {
		if checkGroup(group) != nil {
			done.Remains = strings.TrimPrefix(fmt.Sprintf("%s; the group %q was left out, as no group can be called so", done.Remains, group), "; ")
			continue
		}
		n.Groups = append(n.Groups, group)
	}
	if err := n.check(); err != nil {
		return done, err
	}
	var secret []byte
	if from.TOTP != "" {
		var err error
		if secret, err = base32Text.DecodeString(strings.ToUpper(strings.Trim(strings.ReplaceAll(from.TOTP, " ", ""), "="))); err != nil || len(secret) < 10 {
			return done, errors.New("the secret of the second factor cannot be read, and without it they would sign in with less")
		}
	}
	if _, err := readHash(n.hash); err != nil {
		n.hash = ""
		done.Remains = strings.TrimPrefix(done.Remains+"; their password cannot be used: "+err.Error(), "; ")
	} else {
		done.Password = true
	}
	_, err := a.store.UserByName(ctx, done.User.Username)
	if done.Exists = err == nil; errors.Is(err, db.ErrNotFound) {
		err = nil
	}
	if err != nil || done.Exists || dry {
		return done, err
	}
	if secret == nil {
		done.User, err = a.createUser(ctx, actor, n, false)
		return done, err
	}
	user, err := a.newUser(ctx, n)
	if err != nil {
		return done, err
	}
	factor := db.TOTP{UUID: uuid.New(), Name: "Authenticator app", Created: a.now()}
	if factor.Secret, err = a.seal(secret, totpPlace(user, factor.UUID)...); err != nil {
		return done, fmt.Errorf("encrypt the second factor: %w", err)
	}
	user, err = a.store.CreateUserWithTOTP(ctx, user, factor, func(u db.User) db.Event { return a.createdEvent(actor, u) }, func(u db.User, pk int64) db.Event {
		e := a.factorEvent(actor, db.ModelCreated, u, db.KindTOTP, pk, factor.Name)
		e.Alert = nil // it came with the account
		return e
	})
	if err == nil {
		done.User = user
		a.Log.Info("user created", "user", user.Username, "superuser", user.Superuser, "by", actor.Name)
	}
	return done, err
}
