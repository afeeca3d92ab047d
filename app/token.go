package app

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"lastseen/app/alert"
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
	Scope       string        // "": all
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
	scope, err := parseScope(n.Scope)
	if err != nil {
		return token, err
	}
	token.Scope = scope
	if n.Lifetime > 0 {
		token.Expires = token.Created.Add(n.Lifetime)
	}
	hash := secretHash(key)
	event := a.tells(a.tokenEvent(actor, db.ModelCreated, token), actor, alert.KeyCreated, token.User, token.Identifier)
	token, err = a.store.CreateToken(ctx, token, hash[:], event)
	if err == nil {
		a.Log.Info("token created", "identifier", token.Identifier, "user", n.User.Username, "by", actor.Name)
	}
	return token, err
}

func (a *App) tokenEvent(actor Actor, action db.Action, token db.Token) db.Event {
	return a.event(actor, action, token.User.ID, map[string]any{
		"model":    map[string]any{"app": "authentik_core", "model_name": "token", "pk": token.UUID.String(), "name": token.Identifier},
		"username": token.User.Username,
	})
}

// parseScope reads a scope as people write it.
func parseScope(text string) (db.Scope, error) {
	scope := db.Scope(strings.ToLower(strings.TrimSpace(text)))
	switch scope {
	case "":
		return db.ScopeAll, nil
	case db.ScopeAll, db.ScopeRead, db.ScopeGate:
		return scope, nil
	}
	hosts := scope.Hosts()
	for i, host := range hosts {
		canonical, err := ruleHost(host)
		if err != nil {
			hosts = nil
			break
		}
		hosts[i] = canonical
	}
	if len(hosts) == 0 {
		return "", &db.InputError{Field: "scope", Problem: "A scope is all, read, gate, or gate: and hosts separated by commas, such as gate:files.home.example."}
	}
	return db.Scope("gate:" + strings.Join(hosts, ",")), nil
}

// Tokens is one page of what the filter chooses among the tokens that the
// caller may see, and how many there are in all.
func (a *App) Tokens(ctx context.Context, caller Caller, f db.TokenFilter) ([]db.Token, int, error) {
	if !caller.User.Superuser {
		f.User = caller.User.ID
	}
	a.flushKeyUses(ctx)
	return a.store.Tokens(ctx, f)
}

// Token is a token that the caller may see; every other one is db.ErrNotFound. Of
// several of that name it is the caller's own, or ErrAmbiguous when none is.
func (a *App) Token(ctx context.Context, caller Caller, identifier string) (db.Token, error) {
	identifier = db.Normal(identifier)
	found, _, err := a.Tokens(ctx, caller, db.TokenFilter{Identifier: &identifier, Limit: 1000})
	if err != nil {
		return db.Token{}, err
	}
	if i := slices.IndexFunc(found, func(t db.Token) bool { return t.User.ID == caller.User.ID }); i >= 0 {
		return found[i], nil
	}
	switch len(found) {
	case 0:
		return db.Token{}, db.ErrNotFound
	case 1:
		return found[0], nil
	}
	return db.Token{}, ErrAmbiguous
}

// DeleteToken removes a token; its key is refused from then on.
func (a *App) DeleteToken(ctx context.Context, actor Actor, token db.Token) error {
	defer a.live.Invalidate(live.KeysChanged, token.User.ID)
	err := a.store.DeleteToken(ctx, token.UUID, a.tokenEvent(actor, db.ModelDeleted, token))
	if err == nil {
		a.Log.Info("token deleted", "identifier", token.Identifier, "user", token.User.Username, "by", actor.Name)
	}
	return err
}

// KeysOf says how many API keys a user has.
func (a *App) KeysOf(ctx context.Context, user db.User) (int, error) {
	_, n, err := a.store.Tokens(ctx, db.TokenFilter{User: user.ID})
	return n, err
}

// DeleteKeysOf removes all API keys of a user, and says how many there were.
func (a *App) DeleteKeysOf(ctx context.Context, actor Actor, user db.User) (int, error) {
	tokens, _, err := a.store.Tokens(ctx, db.TokenFilter{User: user.ID, Limit: 1 << 30})
	for i, token := range tokens {
		if err := a.DeleteToken(ctx, actor, token); err != nil && !errors.Is(err, db.ErrNotFound) {
			return i, err
		}
	}
	return len(tokens), err
}

// keyUses are the last uses of API keys, by the tokens' UUIDs (a row's number is given
// anew once it is gone), of which some are not written yet. A use within a minute of
// another is not noted. Their bound is maxKeyUses; beyond it those that are written are
// forgotten.
type keyUses struct {
	mu   sync.Mutex
	last map[uuid.UUID]keyUse
}

type keyUse struct {
	at      time.Time
	written bool
}

const maxKeyUses = 4096

func (k *keyUses) note(id uuid.UUID, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if use, ok := k.last[id]; ok && at.Sub(use.at).Abs() < time.Minute {
		return
	}
	if k.last == nil {
		k.last = map[uuid.UUID]keyUse{}
	}
	if len(k.last) >= maxKeyUses {
		maps.DeleteFunc(k.last, func(_ uuid.UUID, use keyUse) bool { return use.written })
	}
	k.last[id] = keyUse{at: at}
}

// flushKeyUses writes what was noted of API keys; what cannot be written stays noted.
func (a *App) flushKeyUses(ctx context.Context) {
	k := &a.keyUses
	k.mu.Lock()
	uses := map[uuid.UUID]time.Time{}
	for id, use := range k.last {
		if !use.written {
			uses[id], k.last[id] = use.at, keyUse{use.at, true}
		}
	}
	k.mu.Unlock()
	if len(uses) == 0 {
		return
	}
	if err := a.store.RecordKeyUses(ctx, uses); err != nil {
		a.Log.Error("write uses of API keys", "err", err)
		k.mu.Lock()
		defer k.mu.Unlock()
		for id, at := range uses {
			if k.last[id].at.Equal(at) {
				k.last[id] = keyUse{at: at}
			}
		}
	}
}
