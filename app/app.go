// Package app is what Lastseen does, in its own words: people sign in, their
// sessions are recorded, enriched, listed and ended. It knows no SQL and no HTTP.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lastseen/app/alert"
	"lastseen/app/config"
	"lastseen/app/live"
	"lastseen/app/useragent"
	"lastseen/db"
	"lastseen/geoip"
)

// Errors that callers tell apart. What is wrong with input is a db.InputError.
var (
	ErrBadCredentials  = errors.New("wrong user name or password")
	ErrUnauthenticated = errors.New("not signed in")
	ErrInvalidToken    = errors.New("token unknown, expired or its owner disabled")
	ErrForbidden       = errors.New("not permitted")
)

// A BusyError says that signing in is refused for a while.
type BusyError struct{ RetryAfter time.Duration }

func (e *BusyError) Error() string {
	return fmt.Sprintf("too many attempts, try again in %s", e.RetryAfter.Round(time.Second))
}

// How often the background loop does what.
const (
	flushEvery = 2 * time.Second
	// A flush that took long is followed by twenty times that without one, but no
	// more than flushAtMost: when a hundred thousand sessions are in use, most
	// requests would have their own row to write. Where an idle limit depends on
	// what is written, it is idleFlushAtMost.
	flushAtMost     = 10 * time.Minute
	idleFlushAtMost = time.Minute
	expireEvery     = 10 * time.Second
	purgeEvery      = time.Hour
	geoipEvery      = 5 * time.Second
	verifyAfter     = time.Second // who waits for the start is served first
)

// App is the program behind its doors, the web and the command line. All its
// methods may be called concurrently.
type App struct {
	Config config.Config
	Log    *slog.Logger
	Now    func() time.Time // the clock; a test may set it before the first use

	store     Store
	geo       *geoip.DB
	agents    *useragent.Parser
	passwords passwords
	attempts  attempts
	keyUses   keyUses

	live *live.Cache // what a request needs; a crash loses the uses of one flush's interval

	sending sync.Once
	alerts  *alert.Sender // made when sending is done
	toTell  chan struct{} // holds something when there is an alert that cannot wait

	copying chan struct{} // held by the one copy that is made

	living, ended addresses // of sessions

	noFirstSteps atomic.Bool  // which is so for good
	unclear      atomic.Int64 // the second in which a path that can be read in several ways was logged last

	mu            sync.Mutex // guards what follows
	backupProblem error      // of the last scheduled backup
	setupToken    string     // "" when there is nothing to set up

	key        sync.Mutex // held while a key is read, or made, and the database asked of it
	keyChecked string     // the key that was found to be that of all machines
}

// New wires the parts together; it starts nothing.
func New(store Store, geo *geoip.DB, agents *useragent.Parser, c config.Config, log *slog.Logger) *App {
	a := &App{
		Config: c, Log: log, Now: time.Now,
		store: store, geo: geo, agents: agents,
		passwords: newPasswords(),
		copying:   make(chan struct{}, 1),
		toTell:    make(chan struct{}, 1),
	}
	a.live = live.New(store, live.Options{Now: a.now, Idle: c.SessionIdle, Agents: agents, Bounds: live.DefaultBounds})
	return a
}

// DatabasePath is where the database of a data directory is.
func DatabasePath(dataDir string) string { return filepath.Join(dataDir, "lastseen.db") }

// Start prepares a server's instance: the idle limit in force, the first user.
func (a *App) Start(ctx context.Context) error {
	if kind, network := fileSystem(a.Config.DataDir); network && a.Config.Database == "" {
		a.Log.Warn("the data directory is on a network file system", "data", a.Config.DataDir, "found", strings.Trim(kind, ", "), "do", "put it on a local disk: SQLite cannot rely on the locks of network and FUSE file systems, and may lose or damage what it stores")
	}
	a.sweep(a.Config.DataDir)
	if err := a.store.SetIdle(ctx, a.Config.SessionIdle); err != nil {
		return fmt.Errorf("apply the idle limit: %w", err)
	}
	if err := a.keyProblem(ctx); err != nil { // a key that there is, is known to the others from now on
		a.Log.Error("second factors do not work here", "err", err)
	}
	return a.bootstrap(ctx)
}

// Run does what is periodic until ctx ends, then writes what is buffered.
func (a *App) Run(ctx context.Context) {
	var wait sync.WaitGroup
	wait.Go(func() { a.geo.Watch(ctx, geoipEvery) })
	wait.Go(func() { a.reparseAgents(ctx) })
	wait.Go(func() { a.keepAlerts(ctx, sendEvery) })
	wait.Go(func() { a.keepBackups(ctx) }) // which may take long, and must hold up no flush
	wait.Go(func() {
		select {
		case <-ctx.Done():
		case <-time.After(verifyAfter):
		}
		if err := a.Verify(ctx); err != nil && ctx.Err() == nil {
			a.Log.Error("check the database", "err", err)
		}
	})
	flush, purge := time.NewTimer(flushEvery), time.NewTicker(purgeEvery)
	var expired time.Time
	var failed, logged time.Time // when a flush last failed; when that was logged: it does so every two seconds
	for done := false; !done; {
		var err error
		select {
		case <-ctx.Done():
			done = true
			if a.Usable() != nil {
				continue
			}
			err = a.live.Flush(context.WithoutCancel(ctx))
			a.flushKeyUses(context.WithoutCancel(ctx))
		case <-a.live.FlushWanted():
			if time.Since(failed) < flushEvery { // what could not be written is noted anew, and asks again
				continue
			}
			if err = a.live.Flush(ctx); err != nil {
				failed = time.Now()
			}
		case start := <-flush.C:
			if a.Usable() != nil {
				flush.Reset(flushEvery)
				continue
			}
			now := a.now()
			err = a.live.Flush(ctx)
			a.flushKeyUses(ctx)
			pause := min(max(flushEvery, 20*time.Since(start)), flushAtMost)
			if a.Config.SessionIdle > 0 {
				pause = min(pause, idleFlushAtMost)
			}
			if err != nil {
				pause = flushEvery
			}
			flush.Reset(pause)
			if err == nil && start.Sub(expired) >= expireEvery {
				expired = start
				err = a.expire(ctx, now)
			}
		case <-purge.C:
			if a.Usable() == nil {
				err = a.purge(ctx)
			}
		}
		if err != nil && (done || ctx.Err() == nil && time.Since(logged) > time.Minute) {
			a.Log.Error("background work", "err", err)
			logged = time.Now()
		}
	}
	wait.Wait()
}

// purge removes what is kept no longer.
func (a *App) purge(ctx context.Context) error {
	now := a.now()
	return a.store.Purge(ctx, now.Add(-a.Config.History), now.Add(-loginLimits.Lock), now.Add(-DeviceCookieLife))
}

// Ready reports whether requests can be served: the database read and written.
func (a *App) Ready(ctx context.Context) error { return a.store.Ready(ctx, a.Now()) }

// Usable is nil as long as the database may be relied on: nothing may be decided
// by one that is damaged, or whose files are no longer those that were opened.
func (a *App) Usable() error { return a.store.Usable() }

// Reachable is an error unless a database elsewhere answers now. What asks it anyway need
// not call this: what does not must not seem to work while it is gone.
func (a *App) Reachable(ctx context.Context) error {
	if elsewhere, ok := a.store.(interface{ Ping(context.Context) error }); ok {
		return elsewhere.Ping(ctx)
	}
	return nil
}

// Verify reads the whole database; damage that it finds Usable and Ready report
// from then on.
func (a *App) Verify(ctx context.Context) error { return a.store.Verify(ctx) }

// Counts are how many sessions live and how many users there are.
func (a *App) Counts(ctx context.Context) (sessions, users int, err error) {
	if _, sessions, err = a.store.Sessions(ctx, db.SessionFilter{Now: a.now()}); err != nil {
		return 0, 0, err
	}
	_, users, err = a.store.Users(ctx, db.UserFilter{})
	return sessions, users, err
}

// GeoIPFiles is the state of the databases of places and networks.
func (a *App) GeoIPFiles() []geoip.File { return a.geo.Files() }

// Locate says what the databases know of an address.
func (a *App) Locate(ip netip.Addr) geoip.Location { return a.geo.Lookup(ip) }

// reparseAgents brings what older definitions said up to date.
func (a *App) reparseAgents(ctx context.Context) {
	for {
		stale, err := a.store.StaleAgents(ctx, a.agents.Version(), 200)
		if err != nil || len(stale) == 0 {
			if err != nil && ctx.Err() == nil {
				a.Log.Error("parse user agents anew", "err", err)
			}
			return
		}
		var parsed []*db.Agent
		for _, s := range stale {
			parsed = append(parsed, a.live.ParseAgent(s))
		}
		if err := a.store.StoreAgents(ctx, parsed); err != nil {
			if ctx.Err() == nil {
				a.Log.Error("parse user agents anew", "err", err)
			}
			return
		}
	}
}
