// Lastseen signs people in, shows who is signed in from where, and guards web
// apps behind a reverse proxy. This file wires the parts together.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
	_ "time/tzdata" // TZ means something in an image without files, too

	"lastseen/app"
	"lastseen/app/cli"
	"lastseen/app/config"
	"lastseen/app/datadir"
	"lastseen/app/demo"
	"lastseen/app/useragent"
	"lastseen/db"
	"lastseen/db/postgres"
	"lastseen/db/sqlite"
	"lastseen/geoip"
	"lastseen/web"

	"github.com/google/uuid"
)

// Set by the linker.
var version, commit = "dev", "unknown"

func main() {
	end := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it; else the terminal is gone
		end = append(end, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), end...)
	go func() {
		<-ctx.Done()
		time.Sleep(time.Second) // some send a signal to a process and to its group
		stop()                  // a second signal ends the process at once
	}()
	os.Exit(run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}

// run is the program: it returns the exit status.
func run(ctx context.Context, args []string, in *os.File, out, errs io.Writer, environ []string) int {
	p := &cli.Program{
		Version: fmt.Sprintf("lastseen %s (commit %s, %s, %s/%s)", version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH),
		Open:    open, Serve: serve, Restore: restore, Move: move, Demo: runDemo,
		SessionObject: web.SessionObject, UserObject: web.UserObject, TokenObject: web.TokenObject,
		In: in, Out: out, Err: errs, Environ: environ,
	}
	return p.Run(ctx, args)
}

// parts are what is wired together.
type parts struct {
	app    *app.App
	store  store
	geo    *geoip.DB
	agents *useragent.Parser
}

// A store is an app's that main closes.
type store interface {
	app.Store
	io.Closer
}

// openStore opens the store that the settings name.
func openStore(ctx context.Context, c config.Config, mayMigrate, serves bool) (store, error) {
	if c.Database != "" {
		return postgres.Open(ctx, c.Database, postgres.Options{Migrate: mayMigrate, Serve: serves})
	}
	return sqlite.Open(ctx, app.DatabasePath(c.DataDir), mayMigrate)
}

func (p *parts) close() error {
	p.geo.Close()
	return p.store.Close()
}

// wire builds each part from the ones below it.
func wire(ctx context.Context, c config.Config, log *slog.Logger, mayMigrate, serves bool) (*parts, error) {
	var p parts
	var err error
	if c.UserAgentRegexes == "" {
		p.agents, err = useragent.New()
	} else {
		p.agents, err = useragent.Load(c.UserAgentRegexes)
	}
	if err != nil {
		return nil, fmt.Errorf("--user-agent-regexes: %w", err)
	}
	if p.store, err = openStore(ctx, c, mayMigrate, serves); err != nil {
		return nil, err
	}
	p.geo = geoip.Open(c.GeoIPCity, c.GeoIPASN, log)
	p.app = app.New(p.store, p.geo, p.agents, c, log)
	return &p, nil
}

// open is for commands: the app beside a running server, or without one.
func open(ctx context.Context, c config.Config, log *slog.Logger, create bool) (*app.App, func() error, error) {
	give := datadir.GiveWhatIsNew(c.DataDir)
	if c.Database != "" {
		// Whatever is there: nothing is made beside servers of another version.
		p, err := wire(ctx, c, log, create, false)
		if err != nil {
			return nil, nil, err
		}
		return p.app, func() error { return errors.Join(p.close(), give()) }, nil
	}
	if _, err := os.Stat(app.DatabasePath(c.DataDir)); errors.Is(err, os.ErrNotExist) && !create {
		return nil, nil, fmt.Errorf("no database in %s: is --data right? `lastseen serve`, `user create` or `import` makes one", c.DataDir)
	}
	if err := datadir.Prepare(c.DataDir, log); err != nil {
		return nil, nil, err
	}
	// Only who holds the lock may migrate: beside a server, that is the server.
	lock, alone, err := datadir.TryLock(c.DataDir)
	if err != nil {
		return nil, nil, err
	}
	p, err := wire(ctx, c, log, alone, false)
	if err := errors.Join(err, lock.Close()); err != nil {
		return nil, nil, errors.Join(err, give())
	}
	return p.app, func() error { return errors.Join(p.close(), give()) }, nil
}

// serve is the server, until ctx ends.
func serve(ctx context.Context, c config.Config, log *slog.Logger) error {
	return serveWith(ctx, c, log, func(*parts) error { return nil })
}

// serveWith calls ready when all is prepared and the address is known and logged, before
// the first request is answered.
func serveWith(ctx context.Context, c config.Config, log *slog.Logger, ready func(*parts) error) (err error) {
	go app.CollectOften(ctx, os.Getenv)
	if err := datadir.Prepare(c.DataDir, log); err != nil {
		return err
	}
	lock, err := datadir.Lock(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()

	listener, err := web.HeldSocket()
	if err != nil {
		return fmt.Errorf("the socket that systemd holds: %w; its unit is to have one ListenStream, an address and a port", err)
	}
	found := listener != nil || strings.HasSuffix(c.Listen, ":0") // an address that nobody was told
	if listener == nil {
		if listener, err = web.Listen(c.Listen); err != nil {
			return fmt.Errorf("--listen: %w; give another address, or port 0 for a free one", err)
		}
	}
	defer listener.Close()
	if found {
		c.Listen = listener.Addr().String()
		c.Given["listen"] = c.Listen
	}
	var metricsListener net.Listener
	if c.MetricsListen != "" {
		if metricsListener, err = web.Listen(c.MetricsListen); err != nil {
			return fmt.Errorf("--metrics-listen: %w", err)
		}
		defer metricsListener.Close()
	}
	if err := datadir.PlaceForGeoIP(c.DataDir); err != nil { // which is not worth failing for
		log.Warn("cannot make the folder for GeoIP files", "err", err)
	}
	if c.PublicURL == nil {
		c.PublicURL = &url.URL{Scheme: "http", Host: reachableAddress(listener.Addr())}
	}
	forget, err := c.KeepServed()
	if err != nil {
		log.Warn("cannot keep the settings for commands beside it, which go by those of their own environment now", "err", err)
	} else {
		defer forget()
	}
	p, err := wire(ctx, c, log, true, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	if err := p.app.Start(ctx); err != nil {
		return err
	}
	if token := p.app.SetupToken(); token != "" {
		// Not through the log, which others may collect and keep. Whoever waits for the
		// next line has it by then.
		fmt.Fprint(os.Stderr, setupText(c.PublicURL, listener.Addr().(*net.TCPAddr).AddrPort(), "/setup?token="+token))
	}
	log.Info("listening", "address", listener.Addr().String(), "url", c.PublicURL.String(),
		"data", c.DataDir, "trusted_proxies", fmt.Sprint(c.TrustedProxies), "version", version)
	if err := ready(p); err != nil {
		return err
	}

	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	stopped := make(chan struct{})
	go func() {
		p.app.Run(background)
		close(stopped)
	}()
	server := web.New(p.app, version)
	if metricsListener != nil {
		go server.ServeMetrics(background, metricsListener)
	}
	err = server.Serve(ctx, listener)
	stop()
	<-stopped // requests have ended: what they left is written
	return err
}

// reachableAddress is where a browser on this machine finds a listener.
func reachableAddress(addr net.Addr) string {
	tcp := addr.(*net.TCPAddr).AddrPort()
	if ip := tcp.Addr(); ip.IsUnspecified() {
		return fmt.Sprintf("localhost:%d", tcp.Port())
	}
	return netip.AddrPortFrom(tcp.Addr().Unmap(), tcp.Port()).String()
}

// setupText says where the first user is set up, by a browser on another machine too.
func setupText(public *url.URL, listen netip.AddrPort, path string) string {
	text := fmt.Sprintf("\nNobody can sign in yet. Set up the first user at\n\n  %s%s\n\n", public, path)
	if ip, err := netip.ParseAddr(public.Hostname()); public.Hostname() != "localhost" && (err != nil || !ip.IsLoopback()) {
		return text
	}
	if listen.Addr().IsLoopback() {
		name, err := os.Hostname()
		if err != nil {
			name = "HOST"
		}
		return text + fmt.Sprintf("Nobody else can reach that. To open it on another machine, run there\n\n  ssh -L %d:%s %s\n\n", listen.Port(), listen, name)
	}
	// Nothing is sent: the system only says from which address it would be.
	to, err := net.Dial("udp", "192.0.2.1:9")
	if err != nil {
		return text
	}
	defer to.Close()
	own := netip.AddrPortFrom(to.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), listen.Port())
	return text + fmt.Sprintf("or on another machine at\n\n  http://%s%s\n\n", own, path)
}

// restore puts a backup in the place of the database, and the key that it carries in the
// place of the one that is there. Everybody is signed out, since a backup would bring
// ended sessions back, and used links too, unless keepSessions is set.
func restore(ctx context.Context, c config.Config, log *slog.Logger, backup string, keepSessions bool) (restored app.Restored, err error) {
	if c.Database != "" {
		return restored, db.ErrOwnBackup
	}
	done, err := datadir.Take(c.DataDir, log)
	if err != nil {
		return restored, err
	}
	defer func() { err = errors.Join(err, done()) }()
	now := time.Now().UTC()
	before := ".before-restore-" + now.Format("20060102T150405.000Z")
	path, keyPath := app.DatabasePath(c.DataDir), app.KeyPath(c.DataDir)
	key, _ := app.ReadKey(c.DataDir) // one that is none decrypts nothing
	carried := ""
	restored.KeptAs, err = sqlite.Restore(ctx, backup, path, path+before, func(store *sqlite.Store) error {
		var err error
		if carried, err = store.TakeKey(ctx); err != nil {
			return err
		}
		if restored.Sealed, err = app.SealedFor(ctx, store, cmp.Or(carried, key)); err != nil {
			return err
		}
		event := db.Event{Created: now, Action: db.ModelUpdated, Actor: app.Operator.User.Username, Context: map[string]any{
			"model": map[string]any{"app": "lastseen", "model_name": "backup", "name": filepath.Base(backup)}, "sessions_kept": keepSessions,
		}}
		if err := store.Record(ctx, event); err != nil || keepSessions {
			return err
		}
		if err := store.DropBegun(ctx); err != nil {
			return err
		}
		_, err = store.EndSessions(ctx, nil, uuid.Nil, now, db.Restored, func(sess db.Session) db.Event {
			return db.Event{Created: now, Action: db.Logout, Actor: event.Actor, SubjectID: sess.UserID, Context: map[string]any{
				"logout_reason": "a backup was restored", "username": sess.Username,
			}}
		})
		return err
	})
	if restored.WithKey = carried != ""; err != nil || !restored.WithKey || carried == key {
		return restored, err
	}
	if _, err := os.Stat(keyPath); err == nil {
		restored.KeyKeptAs = keyPath + before
		if err := os.Rename(keyPath, restored.KeyKeptAs); err != nil {
			return restored, fmt.Errorf("cannot keep the old key: %w", err)
		}
	}
	if err := errors.Join(app.WriteKey(c.DataDir, carried), sqlite.GiveTo(keyPath, c.DataDir)); err != nil {
		return restored, fmt.Errorf("the database is restored, but its key cannot be written: %w", err)
	}
	return restored, nil
}

// move copies the database of stopped servers to another kind.
func move(ctx context.Context, c config.Config, log *slog.Logger, to string) (counts map[string]int64, err error) {
	path := app.DatabasePath(c.DataDir)
	_, missing := os.Stat(path)
	if to != "sqlite" && missing != nil {
		return nil, fmt.Errorf("no database to copy: %w", missing)
	}
	if to == "sqlite" && missing == nil {
		return nil, fmt.Errorf("%s is there already: move it away, or give --data another directory", path)
	}
	done, err := datadir.Take(c.DataDir, log)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	url := to
	if to == "sqlite" {
		url = c.Database
	}
	far, err := postgres.Open(ctx, url, postgres.Options{Migrate: to != "sqlite"})
	if err != nil {
		return nil, err
	}
	defer far.Close()
	switch servers, err := far.Servers(ctx); {
	case err != nil:
		return nil, err
	case servers > 0:
		return nil, fmt.Errorf("%d servers run on %s: stop them first; one that was not stopped, but is no more, counts for 45 seconds", servers, far.Path())
	}
	if to == "sqlite" {
		err := sqlite.Make(ctx, path, func(near *sqlite.Store) error {
			counts, err = near.Fill(ctx, far.Dump)
			return err
		})
		return counts, err
	}
	near, err := sqlite.Open(ctx, path, true)
	if err != nil {
		return nil, err
	}
	counts, err = far.Fill(ctx, near.Dump)
	if err == nil {
		err = app.ShareKey(ctx, far, c.DataDir)
	}
	return counts, errors.Join(err, near.Close())
}

// runDemo serves sample data, and the apps that it guards, from a directory that is gone
// afterwards. What scripts read goes to out, what people do to hints.
func runDemo(ctx context.Context, c config.Config, log *slog.Logger, out, hints io.Writer) (err error) {
	c.DataDir, err = os.MkdirTemp("", "lastseen-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(c.DataDir)) }()
	c.GeoIPCity, c.GeoIPASN, err = demo.WriteDatabases(c.DataDir)
	if err != nil {
		return err
	}
	c.Given["geoip-city"], c.Given["geoip-asn"] = c.GeoIPCity, c.GeoIPASN // which commands beside it are to use too
	c.BootstrapUsername, c.BootstrapPassword, c.BootstrapToken = demo.Account()
	demo.Guard(&c)
	return serveWith(ctx, c, log, func(p *parts) error {
		if err := demo.Fill(ctx, p.store, p.agents, time.Now()); err != nil {
			return fmt.Errorf("make sample data: %w", err)
		}
		url := p.app.Config.PublicURL
		apps, err := demo.ServeApps(ctx, p.app.Config)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "url: %s\nusername: %s\npassword: %s\ntoken: %s\n",
			url, c.BootstrapUsername, c.BootstrapPassword, c.BootstrapToken)
		return errors.Join(err, demo.Hint(hints, url, apps))
	})
}
