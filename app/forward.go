package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

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
	ErrUnreachable = fmt.Errorf("%w: the cookie does not reach this host", ErrForbidden)
	ErrNoMember    = fmt.Errorf("%w: in none of the groups that may reach this host", ErrForbidden)
)

// A ForwardRequest is a request to an app, as its proxy describes it.
type ForwardRequest struct {
	Host   string // in ParseHost's form
	Path   string // as it came, still encoded
	Tokens []string
	Keys   []ForwardKey
	Client Client
}

// A ForwardKey is what may be an API key of ours. A Name says whose it must be.
type ForwardKey struct{ Name, Key string }

// A Decision says who passes the gate. User, with groups, is nil unless somebody
// was found to ask; also when the path is open to all, so that an app behind it is
// never told a name that nobody checked. Nobody may change it.
type Decision struct {
	Verdict Verdict
	User    *db.User
	Why     error // of Deny
}

// Authorize decides whether a request may pass. Its error is a lookup that
// failed, which is a refusal too; having no session is none, but a Login.
func (a *App) Authorize(ctx context.Context, r ForwardRequest) (Decision, error) {
	if !a.Config.Reaches(r.Host) {
		return Decision{Why: ErrUnreachable}, nil
	}
	rules, err := a.gateRules(ctx)
	if err != nil {
		return Decision{}, fmt.Errorf("read the rules: %w", err)
	}
	if a.isOpen(rules, r) {
		return Decision{Verdict: Allow}, nil
	}
	user, allowed, err := a.forwardUser(ctx, r, rules)
	switch {
	case errors.Is(err, ErrUnauthenticated):
		return Decision{Verdict: Login}, nil
	case err != nil:
		return Decision{}, fmt.Errorf("look who asks: %w", err)
	case !allowed:
		return Decision{User: user, Why: ErrNoMember}, nil
	}
	return Decision{Verdict: Allow, User: user}, nil
}

// isOpen reports whether a rule leaves the path open. A path that apps might
// read in another way than we do is not.
func (a *App) isOpen(rules gateRules, r ForwardRequest) bool {
	rule, open := rules.open(r.Host, r.Path)
	if open && !plainPath(r.Path) {
		a.Log.Info("open path not applied, the path can be read in several ways", "rule", rule.ID, "host", r.Host, "path", r.Path, "ip", r.Client.IP)
		return false
	}
	return open
}

// forwardUser finds who asks, by cookie or else by an API key, and whether the
// rules let them reach the host.
func (a *App) forwardUser(ctx context.Context, r ForwardRequest, rules gateRules) (user *db.User, allowed bool, err error) {
	n, user, err := a.enter(ctx, r.Tokens, r.Client)
	if err == nil {
		defer a.mu.Unlock()
		if allowed = rules.allow(r.Host, user.Groups); allowed {
			a.reach(n, r.Host)
		}
		return user, allowed, nil
	}
	if !errors.Is(err, ErrUnauthenticated) {
		return nil, false, err
	}
	for _, k := range r.Keys {
		caller, err := a.AuthenticateKey(ctx, k.Key, r.Client)
		if errors.Is(err, ErrInvalidToken) || err == nil && k.Name != "" && db.Fold(cutName(k.Name)) != db.Fold(caller.User.Username) {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		return caller.User, rules.allow(r.Host, caller.User.Groups), nil
	}
	return nil, false, ErrUnauthenticated
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// SessionHosts are the hosts that a session, living or ended, reached through
// the gate, the last first. Whether the caller may see it they have found out.
func (a *App) SessionHosts(ctx context.Context, id uuid.UUID) ([]db.Reach, error) {
	a.flushIfQuick(ctx)
	hosts, err := a.store.Reaches(ctx, id)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	k := a.cache.sessions
	if n, ok := k.byUUID.find(id); ok && k.at(n).host != 0 {
		last := k.at(n)
		for i, h := range hosts {
			if h.Host == k.hosts.values[last.host-1] {
				hosts[i].Last = latest(h.Last, time.UnixMicro(last.reached).UTC())
			}
		}
		slices.SortStableFunc(hosts, func(x, y db.Reach) int { return y.Last.Compare(x.Last) })
	}
	return hosts, nil
}
