package demo

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"time"

	"lastseen/app"
	"lastseen/app/config"
	"lastseen/db"
	"lastseen/geoip"
)

// history is what somebody in charge did so many days ago, in turn; "" is on the command line.
var history = []struct {
	days int
	by   string
	do   func(ctx context.Context, a *app.App, by app.Actor, user func(name string) db.User) error
}{
	{40, "", func(ctx context.Context, a *app.App, by app.Actor, _ func(string) db.User) error {
		for _, guarded := range apps {
			if guarded.Group != "" {
				if _, err := a.AllowGroups(ctx, by, guarded.Host, []string{guarded.Group}); err != nil {
					return err
				}
			}
			if guarded.Open != "" {
				if _, err := a.OpenPath(ctx, by, guarded.Host, guarded.Open); err != nil {
					return err
				}
			}
		}
		return nil
	}},
	{21, "grace", func(ctx context.Context, a *app.App, by app.Actor, user func(string) db.User) error {
		return a.AddToGroup(ctx, by, user("alan"), "family")
	}},
	{12, "ada", func(ctx context.Context, a *app.App, by app.Actor, user func(string) db.User) error {
		_, _, err := a.CreateToken(ctx, by, app.NewToken{User: user("ada"), Identifier: "homepage", Scope: string(db.ScopeRead)})
		return err
	}},
	{3, "", func(ctx context.Context, a *app.App, by app.Actor, user func(string) db.User) error {
		return a.UnlockUser(ctx, by, user("hedy"))
	}},
	{1, "ada", func(ctx context.Context, a *app.App, by app.Actor, user func(string) db.User) error {
		return a.SetUserActive(ctx, by, user("konrad"), false)
	}},
}

// act has the history happen, through the app itself, so that what is recorded of it is
// what is always recorded.
func (f *filler) act(ctx context.Context, home netip.Addr) error {
	for _, h := range history {
		var missing error
		user := func(name string) db.User {
			u, err := f.store.UserByName(ctx, name)
			if err != nil && missing == nil {
				missing = fmt.Errorf("%s: %w", name, err)
			}
			return u
		}
		by := app.Operator.Actor()
		if h.by != "" {
			u := user(h.by)
			by = app.Actor{ID: u.ID, Name: u.Username, IP: home}
		}
		f.clock = f.now.Add(-time.Duration(h.days)*24*time.Hour + time.Duration(f.random.IntN(3600))*time.Second)
		if err := cmp.Or(missing, h.do(ctx, f.past, by, user), missing); err != nil {
			return fmt.Errorf("%d days ago: %w", h.days, err)
		}
	}
	return nil
}

// newPast is the app at the filler's clock.
func (f *filler) newPast() *app.App {
	var c config.Config
	Guard(&c)
	log := slog.New(slog.DiscardHandler)
	a := app.New(f.store, geoip.Open("", "", log), f.agents, c, log) // without files there is nothing to close
	a.Now = func() time.Time { return f.clock }
	return a
}

// reach has a session reach apps that its user may reach.
func (f *filler) reach(ctx context.Context, user db.User, sess db.Session) error {
	for _, guarded := range apps {
		member := slices.ContainsFunc(user.Groups, func(g db.Group) bool { return g.Name == guarded.Group })
		if guarded.Group != "" && !member || f.random.IntN(3) == 0 {
			continue
		}
		first := sess.Created.Add(time.Duration(f.random.Int64N(int64(sess.LastUsed.Sub(sess.Created)) + 1)))
		last := first.Add(time.Duration(f.random.Int64N(int64(sess.LastUsed.Sub(first)) + 1)))
		f.reaches[db.SessionHost{Session: sess.UUID, Host: guarded.Host}] = db.Reach{Host: guarded.Host, First: first, Last: last}
		f.clock = first
		secret, state := app.NewState()
		code, err := f.past.GrantCode(ctx, sess.UUID, guarded.Host, state, "http://"+guarded.Host+"/")
		if err != nil {
			return err
		}
		if _, _, _, err := f.past.RedeemCode(ctx, guarded.Host, code, secret, false, app.Client{IP: sess.IP}); err != nil {
			return err
		}
	}
	return nil
}

// recordReaches writes what was reached.
func (f *filler) recordReaches(ctx context.Context) error {
	hosts := slices.SortedFunc(maps.Keys(f.reaches), func(a, b db.SessionHost) int { return slices.Compare(a.Session[:], b.Session[:]) })
	return f.store.RecordReaches(ctx, func(yield func(db.SessionHost, db.Reach) bool) {
		for _, host := range hosts {
			if !yield(host, f.reaches[host]) {
				return
			}
		}
	}, len(apps))
}
