package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"lastseen/app/live"
	"lastseen/db"

	"github.com/google/uuid"
)

// A Verdict is what the gate answers. Its zero value denies.
type Verdict int

// The verdicts.
const (
	Deny  Verdict = iota
	Login         // they may pass once they have signed in
	Allow
)

// Why the gate denies.
var (
	ErrUnreachable = fmt.Errorf("%w: this host is not guarded", ErrForbidden)
	ErrNoRule      = fmt.Errorf("%w: no rule lets anybody reach this host", ErrForbidden)
	ErrNoMember    = fmt.Errorf("%w: in none of the groups that may reach this host", ErrForbidden)
)

// A ForwardRequest is a request to an app, as its proxy describes it.
type ForwardRequest struct {
	Host   string   // in ParseHost's form
	Path   string   // as it came, still encoded
	Method string   // "" when the proxy does not say
	Tokens []string // of the cookie that the host has: the session's, or its own
	Keys   []ForwardKey
	Client Client
}

// A ForwardKey is what may be an API key of ours. A Name says whose it must be.
type ForwardKey struct{ Name, Key string }

// A Decision says who passes the gate. User, with groups, is nil unless somebody
// was found to ask; also when the path is open to all, so that an app behind it is
// never told a name that nobody checked. Nobody may change it.
type Decision struct {
	Verdict   Verdict
	User      *db.User
	Why       error // of Deny
	Challenge bool  // of Login: who is no browser is asked for a key
}

// Authorize decides whether a request may pass. Its error is a lookup that
// failed, which is a refusal too; having no session is none, but a Login.
func (a *App) Authorize(ctx context.Context, r ForwardRequest) (Decision, error) {
	if !a.Config.Guards(r.Host) {
		return Decision{Why: ErrUnreachable}, nil
	}
	if a.live.Shared() {
		ctx = a.live.Expect(ctx, a.questions(r)...)
	}
	rules, err := a.live.Rules(ctx)
	if err != nil {
		return Decision{}, fmt.Errorf("read the rules: %w", err)
	}
	if a.isOpen(rules, r) {
		return Decision{Verdict: Allow}, nil
	}
	caller, err := a.forwardCaller(ctx, r)
	switch {
	case errors.Is(err, ErrUnauthenticated):
		return Decision{Verdict: Login, Challenge: rules.Challenge(r.Host, r.Path)}, nil
	case err != nil:
		return Decision{}, fmt.Errorf("find who asks: %w", err)
	}
	if why := a.denial(rules, r.Host, caller.User.Groups); why != nil {
		return Decision{User: caller.User, Why: why}, nil
	}
	if caller.Session != uuid.Nil {
		a.live.Reach(caller.Session, r.Host)
	}
	return Decision{Verdict: Allow, User: caller.User}, nil
}

// questions are what deciding on a request is going to ask.
func (a *App) questions(r ForwardRequest) []db.Question {
	var all []db.Question
	for _, token := range r.Tokens {
		hash := secretHash(token)
		if a.Config.OwnCookie(r.Host) {
			all = append(all, db.Question{App: hash[:]})
		} else {
			all = append(all, db.Question{Token: hash[:]})
		}
	}
	for _, k := range r.Keys {
		hash := secretHash(k.Key)
		all = append(all, db.Question{Key: hash[:]})
	}
	return all
}

// Challenges reports whether clients that are no browsers are asked for a key there.
func (a *App) Challenges(ctx context.Context, host, path string) (bool, error) {
	rules, err := a.live.Rules(ctx)
	return rules.Challenge(host, path), err
}

// isOpen reports whether a rule leaves the path open. A path that apps might
// read in another way than we do is not.
func (a *App) isOpen(rules live.Rules, r ForwardRequest) bool {
	rule, open := rules.Open(r.Host, r.Path, r.Method)
	if open && !plainPath(r.Path) {
		if now := a.now().Unix(); a.unclear.Swap(now) != now { // anybody may ask as often as they like
			a.Log.Info("open path not applied, the path can be read in several ways", "rule", rule.ID, "host", r.Host, "path", r.Path[:min(len(r.Path), 200)], "ip", r.Client.IP)
		}
		return false
	}
	return open
}

// forwardCaller finds who asks: by cookie, or else by an API key.
func (a *App) forwardCaller(ctx context.Context, r ForwardRequest) (Caller, error) {
	caller, err := a.forwardSession(ctx, r)
	if !errors.Is(err, ErrUnauthenticated) {
		return caller, err
	}
	for _, k := range r.Keys {
		caller, err := a.AuthenticateKey(ctx, k.Key, r.Client)
		if errors.Is(err, ErrInvalidToken) || err == nil && !caller.Scope.Passes(r.Host) || err == nil && k.Name != "" && db.Fold(cutName(k.Name)) != db.Fold(caller.User.Username) {
			continue
		}
		return caller, err
	}
	return Caller{}, ErrUnauthenticated
}

// forwardSession finds who asks by cookie.
func (a *App) forwardSession(ctx context.Context, r ForwardRequest) (Caller, error) {
	if !a.Config.OwnCookie(r.Host) {
		return a.Authenticate(ctx, r.Tokens, r.Client)
	}
	return firstOf(r.Tokens, r.Client, func(hash [32]byte) (*db.User, uuid.UUID, error) {
		return a.live.TouchApp(ctx, &hash, r.Host, r.Client)
	})
}

// denial is why members of these groups may not reach a host, or nil.
func (a *App) denial(rules live.Rules, host string, groups []db.Group) error {
	switch allowed, ruled := rules.Allow(host, groups); {
	case ruled && !allowed:
		return ErrNoMember
	case !ruled && a.Config.GateDeny:
		return ErrNoRule
	}
	return nil
}

// Denial is why the gate denies a host to who is signed in and in no group that may reach
// it, and who that is, if it is to be found.
func (a *App) Denial(ctx context.Context, r ForwardRequest) (*db.User, error) {
	if !a.Config.Guards(r.Host) {
		return nil, ErrUnreachable
	}
	rules, err := a.live.Rules(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the rules: %w", err)
	}
	caller, err := a.forwardCaller(ctx, r)
	if err != nil && !errors.Is(err, ErrUnauthenticated) {
		return nil, fmt.Errorf("find who asks: %w", err)
	}
	return caller.User, cmp.Or(a.denial(rules, r.Host, nil), ErrNoMember)
}

// SessionHosts are the hosts that a session, living or ended, reached through
// the gate, the last first. Whether the caller may see it they have found out.
func (a *App) SessionHosts(ctx context.Context, id uuid.UUID) ([]db.Reach, error) {
	a.flushIfQuick(ctx)
	return a.live.Hosts(ctx, id)
}
