package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
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
	rules, err := a.gateRules(ctx)
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
	if !rules.allow(r.Host, caller.User.Groups) {
		return Decision{Caller: &caller, Why: ErrNoMember}, nil
	}
	if caller.Session != nil {
		a.reach(caller.Session.UUID, r.Host)
	}
	return Decision{Verdict: Allow, Caller: &caller}, nil
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

// reaches are hosts that sessions reached, in little space and without pointers
// to each, as in the cache.
type reaches struct {
	hosts table[string]
	times map[sessionHost]reach
}

// A sessionHost is a host, by its number, of a session.
type sessionHost struct {
	session uuid.UUID
	host    uint32
}

// A reach is when a session reached a host, in microseconds.
type reach struct{ first, last int64 }

func newReaches(size int) *reaches { return &reaches{times: make(map[sessionHost]reach, size)} }

// add notes a reach, if there is room.
func (r *reaches) add(session uuid.UUID, host string, at reach) {
	if _, known := r.hosts.numbers[host]; !known {
		host = strings.Clone(host) // it is part of a request
	}
	key := sessionHost{session, r.hosts.number(host)}
	if noted, ok := r.times[key]; ok {
		at = reach{min(noted.first, at.first), max(noted.last, at.last)}
	} else if len(r.times) >= 2*maxTouched { // they cannot be written
		return
	}
	r.times[key] = at
}

// reach notes that a session reached a host now. What goes on reaching the same
// host is written once in a minute.
func (a *App) reach(id uuid.UUID, host string) {
	now := a.now().UnixMicro()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cache.again(id, host, now) {
		return
	}
	a.reached.add(id, host, reach{now, now})
	if len(a.reached.times) >= maxTouched {
		a.flushSoon()
	}
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
	if len(reached.times) == 0 {
		a.mu.Unlock()
		return nil
	}
	a.reached = newReaches(len(reached.times) / 2)
	a.mu.Unlock()

	err := a.store.RecordReaches(ctx, func(yield func(db.SessionHost, db.Reach) bool) {
		// In the order of the table: what lies together is written together.
		for _, at := range slices.SortedFunc(maps.Keys(reached.times), func(x, y sessionHost) int { return bytes.Compare(x.session[:], y.session[:]) }) {
			host, r := reached.hosts.values[at.host], reached.times[at]
			if !yield(db.SessionHost{Session: at.session, Host: host}, db.Reach{Host: host, First: time.UnixMicro(r.first).UTC(), Last: time.UnixMicro(r.last).UTC()}) {
				return
			}
		}
	}, maxHosts)
	if err == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for at, r := range a.reached.times {
		reached.add(at.session, a.reached.hosts.values[at.host], r)
	}
	a.reached = reached
	return err
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
	if host, at, ok := a.cache.lastReach(id); ok {
		for i, h := range hosts {
			if h.Host == host {
				hosts[i].Last = latest(h.Last, time.UnixMicro(at).UTC())
			}
		}
		slices.SortStableFunc(hosts, func(x, y db.Reach) int { return y.Last.Compare(x.Last) })
	}
	return hosts, nil
}
