package app

import (
	"context"
	"strings"
	"time"

	"lastseen/app/live"
	"lastseen/db"

	"github.com/google/uuid"
)

// keyPrefix marks our API keys, so that scanners for leaked secrets know them.
const keyPrefix = "lastseen_"

// NewToken is what an API token is made from.
type NewToken struct {
	User        db.User
	Identifier  string // "" for one made up
	Description string
	Lifetime    time.Duration // 0: for ever
}

// CreateToken makes an API token and returns its key, which is kept nowhere. An
// identifier that is taken is db.ErrConflict.
func (a *App) CreateToken(ctx context.Context, actor Actor, n NewToken) (key string, token db.Token, err error) {
	key = keyPrefix + newSecret()
	token, err = a.createToken(ctx, actor, n, key)
	return key, token, err
}

func (a *App) createToken(ctx context.Context, actor Actor, n NewToken, key string) (db.Token, error) {
	token := db.Token{UUID: uuid.New(), Identifier: db.Normal(n.Identifier), Description: db.Normal(n.Description), User: n.User, Created: a.now()}
	if token.Identifier == "" {
		token.Identifier = db.Fold(n.User.Username) + "-" + token.UUID.String()[:8]
	}
	if strings.ContainsAny(token.Identifier, "/ ?#%") || strings.Trim(token.Identifier, ".") == "" || checkText("identifier", token.Identifier) != nil {
		return token, &db.InputError{Field: "identifier", Problem: "An identifier has 150 characters or fewer, not only dots, without spaces, / ? # or %."}
	}
	if err := checkText("description", n.Description); err != nil {
		return token, err
	}
	if n.Lifetime > 0 {
		token.Expires = token.Created.Add(n.Lifetime)
	}
	hash := secretHash(key)
	err := a.store.CreateToken(ctx, token, hash[:], a.tokenEvent(actor, db.ModelCreated, token))
	if err == nil {
		a.Log.Info("token created", "identifier", token.Identifier, "user", n.User.Username, "by", actor.Name)
	}
	return token, err
}

func (a *App) tokenEvent(actor Actor, action db.Action, token db.Token) db.Event {
	return a.event(actor, action, token.User.ID, map[string]any{
		"model": map[string]any{"app": "authentik_core", "model_name": "token", "pk": token.UUID.String(), "name": token.Identifier},
	})
}

// Tokens is one page of what the filter chooses among the tokens that the
// caller may see, and how many there are in all.
func (a *App) Tokens(ctx context.Context, caller Caller, f db.TokenFilter) ([]db.Token, int, error) {
	if !caller.User.Superuser {
		f.User = caller.User.ID
	}
	return a.store.Tokens(ctx, f)
}

// Token is a token that the caller may see; every other one is db.ErrNotFound.
func (a *App) Token(ctx context.Context, caller Caller, identifier string) (db.Token, error) {
	token, err := a.store.Token(ctx, db.Normal(identifier))
	if err == nil && token.User.ID != caller.User.ID && !caller.User.Superuser {
		return db.Token{}, db.ErrNotFound
	}
	return token, err
}

// DeleteToken removes a token; its key is refused from then on.
func (a *App) DeleteToken(ctx context.Context, actor Actor, token db.Token) error {
	defer a.live.Invalidate(live.KeysChanged, token.User.ID)
	err := a.store.DeleteToken(ctx, token.Identifier, a.tokenEvent(actor, db.ModelDeleted, token))
	if err == nil {
		a.Log.Info("token deleted", "identifier", token.Identifier, "user", token.User.Username, "by", actor.Name)
	}
	return err
}
