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

// A Decision says who passes the gate. User is nil when the path is open to
// all, so that an app behind it is never told a name that nobody checked.
type Decision struct {
	Verdict Verdict
	Caller  *Caller // with groups; nil unless somebody passes as themselves
	Why     error   // of Deny
}

// Authorize decides whether a request may pass. Its error is a lookup that
// failed, which is a refusal too; having no session is none, but a Login.
func (a *App) Authorize(ctx context.Context, r ForwardRequest) (Decision, error) {
	if !a.Config.Reaches(r.Host) {
		return Decision{Why: ErrUnreachable}, nil
	}
	rules, err := a.store.RulesFor(ctx, rulePatterns(r.Host))
	if err != nil {
		return Decision{}, fmt.Errorf("read the rules: %w", err)
	}
	if a.isOpen(rules, r) {
		return Decision{Verdict: Allow}, nil
	}
	caller, err := a.forwardCaller(ctx, r)
	if errors.Is(err, ErrUnauthenticated) {
		return Decision{Verdict: Login}, nil
	}
	if err != nil {
		return Decision{}, fmt.Errorf("look who asks: %w", err)
	}
	groups, err := a.store.GroupNamesOf(ctx, caller.User.ID)
	if err != nil {
		return Decision{}, fmt.Errorf("read the groups: %w", err)
	}
	if !allowed(rules, r.Host, groups) {
		return Decision{Caller: &caller, Why: ErrNoMember}, nil
	}
	caller.User.Groups = nil
	for _, name := range groups {
		caller.User.Groups = append(caller.User.Groups, db.Group{Name: name})
	}
	if caller.Session != nil {
		a.reach(caller.Session.UUID, r.Host)
	}
	return Decision{Verdict: Allow, Caller: &caller}, nil
}

// isOpen reports whether a rule leaves the path open. A path that apps might
// read in another way than we do is not.
func (a *App) isOpen(rules []db.Rule, r ForwardRequest) bool {
	i := slices.IndexFunc(rules, func(rule db.Rule) bool { return openPath(rule, r.Path) })
	if i >= 0 && !plainPath(r.Path) {
		a.Log.Info("open path not applied, the path can be read in several ways", "rule", rules[i].ID, "host", r.Host, "path", r.Path, "ip", r.Client.IP)
		return false
	}
	return i >= 0
}

// forwardCaller finds who asks, by cookie or else by an API key.
func (a *App) forwardCaller(ctx context.Context, r ForwardRequest) (Caller, error) {
	caller, err := a.Authenticate(ctx, r.Tokens, r.Client)
	if !errors.Is(err, ErrUnauthenticated) {
		return caller, err
	}
	for _, k := range r.Keys {
		caller, err := a.AuthenticateKey(ctx, k.Key, r.Client)
		if errors.Is(err, ErrInvalidToken) || err == nil && k.Name != "" && db.Fold(cutName(k.Name)) != db.Fold(caller.User.Username) {
			continue
		}
		return caller, err
	}
	return Caller{}, ErrUnauthenticated
}

// maxHosts is how many hosts are kept of a session: those that it reached last.
const maxHosts = 50

// reach notes that a session reached a host now.
func (a *App) reach(id uuid.UUID, host string) {
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	hosts := a.reached[id]
	if hosts == nil {
		hosts = map[string]db.Reach{}
		a.reached[id] = hosts
	}
	r, ok := hosts[host]
	if !ok && len(hosts) >= maxHosts {
		return // who asks for that many in a moment is after no app
	}
	if !ok {
		r = db.Reach{Host: host, First: now}
	}
	r.Last = latest(r.Last, now)
	hosts[host] = r
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// flushReaches writes the noted hosts; a.flushMu is held. What it could not
// write it keeps for the next time.
func (a *App) flushReaches(ctx context.Context) error {
	a.mu.Lock()
	reached := a.reached
	if len(reached) == 0 {
		a.mu.Unlock()
		return nil
	}
	a.reached = map[uuid.UUID]map[string]db.Reach{}
	a.mu.Unlock()

	err := a.store.RecordReaches(ctx, reached, maxHosts)
	if err == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, hosts := range a.reached {
		for host, r := range hosts {
			if old, ok := reached[id][host]; ok {
				r.First = old.First
			}
			if reached[id] == nil {
				reached[id] = map[string]db.Reach{}
			}
			reached[id][host] = r
		}
	}
	a.reached = reached
	return err
}

// SessionHosts are the hosts that a session, living or ended, reached through
// the gate, the last first. Whether the caller may see it they have found out.
func (a *App) SessionHosts(ctx context.Context, id uuid.UUID) ([]db.Reach, error) {
	if err := a.flush(ctx); err != nil {
		a.Log.Error("write session uses", "err", err)
	}
	return a.store.Reaches(ctx, id)
}
