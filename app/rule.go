package app

import (
	"context"
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"

	"lastseen/app/config"
	"lastseen/app/live"
	"lastseen/db"
)

// Rules are all rules of the gate, by host and path.
func (a *App) Rules(ctx context.Context) ([]db.Rule, error) { return a.store.Rules(ctx) }

// GroupNames are the names of all groups there are.
func (a *App) GroupNames(ctx context.Context) ([]string, error) { return a.store.GroupNames(ctx) }

// AllowGroups makes a rule: only members of these groups may reach the host.
func (a *App) AllowGroups(ctx context.Context, actor Actor, host string, groups []string) (db.Rule, error) {
	host, err := ruleHost(host)
	errs := []error{err}
	if len(groups) == 0 {
		errs = append(errs, &db.InputError{Field: "groups", Problem: "Name a group that may reach the host."})
	}
	for _, group := range groups {
		errs = append(errs, checkGroup(group))
	}
	if err := errors.Join(errs...); err != nil {
		return db.Rule{}, err
	}
	return a.createRule(ctx, actor, db.Rule{Host: host, Groups: normalAll(groups)})
}

// OpenPath makes a rule: a path of the host needs no sign-in, for these methods when
// there are any. One that is open already is db.ErrConflict.
func (a *App) OpenPath(ctx context.Context, actor Actor, host, path string, methods ...string) (db.Rule, error) {
	host, err := ruleHost(host)
	errs := []error{err, checkRulePath(path)}
	var upper []string
	for _, method := range methods {
		if method = strings.ToUpper(strings.TrimSpace(method)); method == "" || len(method) > 20 || strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "" {
			errs = append(errs, &db.InputError{Field: "methods", Problem: "A method is a word such as OPTIONS or GET."})
		}
		upper = append(upper, method)
	}
	if err := errors.Join(errs...); err != nil {
		return db.Rule{}, err
	}
	slices.Sort(upper)
	return a.createRule(ctx, actor, db.Rule{Host: host, Path: path, Methods: slices.Compact(upper)})
}

// Challenge makes a rule: clients that are no browsers are asked for a key on the host,
// or on a path of it unless that is "".
func (a *App) Challenge(ctx context.Context, actor Actor, host, path string) (db.Rule, error) {
	host, err := ruleHost(host)
	errs := []error{err}
	if path != "" {
		errs = append(errs, checkRulePath(path))
	}
	if err := errors.Join(errs...); err != nil {
		return db.Rule{}, err
	}
	return a.createRule(ctx, actor, db.Rule{Host: host, Path: path, Challenge: true})
}

func (a *App) createRule(ctx context.Context, actor Actor, r db.Rule) (db.Rule, error) {
	r.Created = a.now()
	defer a.live.Invalidate(live.RulesChanged)
	r, err := a.store.CreateRule(ctx, r, a.ruleEvent(actor, db.ModelCreated))
	if err == nil {
		a.Log.Info("rule made", "rule", r.ID, "host", r.Host, "groups", r.Groups, "path", r.Path, "by", actor.Name)
	}
	return r, err
}

// DeleteRule removes a rule.
func (a *App) DeleteRule(ctx context.Context, actor Actor, id int64) (db.Rule, error) {
	defer a.live.Invalidate(live.RulesChanged)
	r, err := a.store.DeleteRule(ctx, id, a.ruleEvent(actor, db.ModelDeleted))
	if err == nil {
		a.Log.Info("rule deleted", "rule", r.ID, "host", r.Host, "groups", r.Groups, "path", r.Path, "by", actor.Name)
	}
	return r, err
}

func (a *App) ruleEvent(actor Actor, action db.Action) func(db.Rule) db.Event {
	return func(r db.Rule) db.Event {
		name := r.Host + r.Path
		switch {
		case r.Challenge:
			name += ": challenge"
		case r.Path == "":
			name += ": " + strings.Join(r.Groups, ", ")
		case r.Methods != nil:
			name += ": " + strings.Join(r.Methods, ", ")
		}
		return a.event(actor, action, 0, map[string]any{
			"model": map[string]any{"app": "lastseen", "model_name": "rule", "pk": strconv.FormatInt(r.ID, 10), "name": name},
		})
	}
}

// ruleHost is a rule's host in the form that is compared.
func ruleHost(typed string) (string, error) {
	suffix, wild := strings.CutPrefix(strings.TrimSpace(typed), "*.")
	host, port, ok := config.ParseHost(suffix)
	if !ok || port != "" {
		return "", &db.InputError{Field: "host", Problem: "A host is a name without port, such as grafana.home.example, or *.home.example for all below it."}
	}
	if wild {
		host = "*." + host
	}
	return host, nil
}

func checkRulePath(path string) error {
	prefix := strings.TrimSuffix(path, "*")
	if len(path) > 1024 || prefix == "" || strings.Contains(prefix, "*") || !plainPath(prefix) {
		return &db.InputError{Field: "path", Problem: "A path begins with / and is plain: no %, //, .. or ;, and * only at its end."}
	}
	return nil
}

// plainPath reports whether a path means the same to everybody: nothing in it
// is encoded, and cleaning does not change it. What apps and proxies might read
// in different ways is not plain.
func plainPath(p string) bool {
	for i := range len(p) {
		c := p[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("/-._~!$&'()*+,=:@", rune(c)) {
			return false
		}
	}
	clean := path.Clean(p)
	return strings.HasPrefix(p, "/") && (p == clean || p == clean+"/" && clean != "/")
}
