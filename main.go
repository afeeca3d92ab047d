// Lastseen signs people in, shows who is signed in from where, and guards web
// apps behind a reverse proxy. This file wires the parts together.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	_ "time/tzdata" // TZ means something in an image without files, too

	"lastseen/app"
	"lastseen/app/cli"
	"lastseen/app/config"
	"lastseen/app/demo"
	"lastseen/app/useragent"
	"lastseen/db"
	"lastseen/db/postgres"
	"lastseen/db/sqlite"
	"lastseen/geoip"
	"lastseen/web"

	"github.com/gofrs/flock"
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
	give := giveWhatIsNew(c.DataDir)
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
	if err := prepareDataDir(c.DataDir, log); err != nil {
		return nil, nil, err
	}
	// Only who holds the lock may migrate: beside a server, that is the server.
	lock := flock.New(lockPath(c.DataDir))
	alone, err := lock.TryLock()
	if err != nil {
		return nil, nil, dataDirError(c.DataDir, err)
	}
	p, err := wire(ctx, c, log, alone, false)
	if err := errors.Join(err, lock.Close()); err != nil {
		return nil, nil, errors.Join(err, give())
	}
	return p.app, func() error { return errors.Join(p.close(), give()) }, nil
}

func lockPath(dataDir string) string { return filepath.Join(dataDir, "lastseen.lock") }

// giveWhatIsNew returns what gives the files that a command has made since in the data
// directory to who has the database, or, where there was none, the directory: root may run
// commands beside a server of another user, who is to read them.
func giveWhatIsNew(dataDir string) (give func() error) {
	like := dataDir
	var missing []string
	for _, path := range []string{lockPath(dataDir), app.KeyPath(dataDir), app.DatabasePath(dataDir)} {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, path)
		} else if path == app.DatabasePath(dataDir) {
			like = path
		}
	}
	return func() error {
		var errs []error
		for _, path := range missing {
			err := sqlite.GiveTo(path, like)
			if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) { // a root who may not serves as root, too
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	}
}

// serve is the server, until ctx ends.
func serve(ctx context.Context, c config.Config, log *slog.Logger) error {
	return serveWith(ctx, c, log, func(*parts) error { return nil })
}

// serveWith calls ready when all is prepared and the address is known and logged, before
// the first request is answered.
func serveWith(ctx context.Context, c config.Config, log *slog.Logger, ready func(*parts) error) (err error) {
	go app.CollectOften(ctx, os.Getenv)
	if err := prepareDataDir(c.DataDir, log); err != nil {
		return err
	}
	lock, err := lockData(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()

	listener, err := heldSocket()
	if err != nil {
		return fmt.Errorf("the socket that systemd holds: %w; its unit is to have one ListenStream, an address and a port", err)
	}
	found := listener != nil || strings.HasSuffix(c.Listen, ":0") // an address that nobody was told
	if listener == nil {
		if listener, err = listen(c.Listen); err != nil {
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
		if metricsListener, err = listen(c.MetricsListen); err != nil {
			return fmt.Errorf("--metrics-listen: %w", err)
		}
		defer metricsListener.Close()
	}
	if err := placeForGeoIP(c.DataDir); err != nil { // which is not worth failing for
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

// lockData has no other server use the data directory. With PostgreSQL there is nothing in it
// that two could not share, as they share the database.
func lockData(ctx context.Context, c config.Config) (io.Closer, error) {
	if c.Database != "" {
		return io.NopCloser(nil), nil
	}
	lock := flock.New(lockPath(c.DataDir))
	// A command that is just opening the database holds it for a moment.
	wait, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	switch _, err := lock.TryLockContext(wait, 50*time.Millisecond); {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("another lastseen serves from %s: stop it, or give --data another directory", c.DataDir)
	case err != nil:
		return nil, dataDirError(c.DataDir, err)
	}
	return lock, nil
}

// heldSocket is the one that systemd holds for us, or nil: connections wait in it while a
// server is started anew. It comes before --listen.
func heldSocket() (net.Listener, error) {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	if n := os.Getenv("LISTEN_FDS"); n != "1" {
		return nil, fmt.Errorf("LISTEN_FDS is %q, not 1", n)
	}
	file := os.NewFile(3, "socket") // the first, as sd_listen_fds(3) says
	defer file.Close()
	listener, err := net.FileListener(file)
	if err == nil && listener.Addr().Network() != "tcp" {
		err = errors.Join(fmt.Errorf("%s is no TCP address", listener.Addr()), listener.Close())
	}
	return listener, err
}

// listen listens on IPv4 alone where the address is one of IPv4: left to itself, Go
// takes 0.0.0.0 for every address of IPv6 too.
func listen(address string) (net.Listener, error) {
	network := "tcp"
	if at, err := netip.ParseAddrPort(address); err == nil && at.Addr().Is4() {
		network = "tcp4"
	}
	return net.Listen(network, address)
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

// placeForGeoIP makes the folder of databases, with a note of what goes there.
func placeForGeoIP(dataDir string) error {
	dir := filepath.Join(dataDir, "geoip")
	if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "README.txt"), []byte(geoipNote), 0o600)
}

const geoipNote = `Places and networks of addresses come from two files that go here:

  GeoLite2-City.mmdb   places
  GeoLite2-ASN.mmdb    networks

They are MaxMind's. Those of others do as well under these names, and DB-IP's need no
account: https://db-ip.com/db/lite.php has "IP to City Lite" and "IP to ASN Lite" as
MMDB, to be unpacked. What is put here is in use within ten seconds, without a restart.
`

// prepareDataDir makes the data directory, for its owner alone.
func prepareDataDir(dir string, log *slog.Logger) error {
	info, err := os.Stat(dir)
	if errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return dataDirError(dir, err)
		}
		return nil
	}
	if err != nil {
		return dataDirError(dir, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("--data: %s is no directory", dir)
	}
	if info.Mode().Perm()&0o077 == 0 || runtime.GOOS == "windows" {
		return nil
	}
	// Others may look into it. Only a directory that is plainly ours is closed to them.
	entries, err := os.ReadDir(dir)
	if err != nil {
		return dataDirError(dir, err)
	}
	_, err = os.Stat(app.DatabasePath(dir))
	if ours := len(entries) == 0 || err == nil; ours && info.Mode()&os.ModeSticky == 0 {
		err = os.Chmod(dir, 0o700)
	} else {
		err = errors.New("it holds other things too")
	}
	if err != nil {
		log.Warn("others can look into the data directory: chmod 0700 it, or give --data one of its own", "data", dir, "err", err)
	}
	return nil
}

// dataDirError says what to do about a file of the data directory, which err names,
// or the directory itself.
func dataDirError(dir string, err error) error {
	if path := (*fs.PathError)(nil); !errors.As(err, &path) {
		err = fmt.Errorf("lock %s: %w", lockPath(dir), err)
	}
	who := ""
	if id, name := os.Getuid(), ""; id >= 0 { // Windows has no such numbers
		if u, err := user.LookupId(strconv.Itoa(id)); err == nil {
			name = " (" + u.Username + ")"
		}
		who = fmt.Sprintf(" as user %d%s", id, name)
	}
	remedy := "give --data another directory, on a local disk"
	switch {
	case errors.Is(err, syscall.EROFS):
		remedy = "mount its file system read-write, or give --data another directory"
	case errors.Is(err, fs.ErrPermission) && who != "":
		if path, err := filepath.Abs(dir); err == nil {
			dir = path
		}
		remedy = fmt.Sprintf("if it is for Lastseen alone, as root: `mkdir -p %[1]s && chown -R %[2]d:%[3]d %[1]s && chmod 0700 %[1]s`; else give --data another directory", dir, os.Getuid(), os.Getgid())
	}
	return fmt.Errorf("cannot use the data directory%s: %w; %s", who, err, remedy)
}

// restore puts a backup in the place of the database, and the key that it carries in the
// place of the one that is there. Everybody is signed out, since a backup would bring
// ended sessions back, and used links too, unless keepSessions is set.
func restore(ctx context.Context, c config.Config, log *slog.Logger, backup string, keepSessions bool) (restored app.Restored, err error) {
	if c.Database != "" {
		return restored, db.ErrOwnBackup
	}
	if err := prepareDataDir(c.DataDir, log); err != nil {
		return restored, err
	}
	give := giveWhatIsNew(c.DataDir)
	lock := flock.New(lockPath(c.DataDir))
	alone, err := lock.TryLock()
	if err != nil {
		return restored, dataDirError(c.DataDir, err)
	}
	if !alone {
		return restored, fmt.Errorf("a server runs on %s: stop it first", c.DataDir)
	}
	defer func() { err = errors.Join(err, lock.Close(), give()) }()
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
	if err := prepareDataDir(c.DataDir, log); err != nil {
		return nil, err
	}
	give := giveWhatIsNew(c.DataDir)
	lock := flock.New(lockPath(c.DataDir))
	alone, err := lock.TryLock()
	if err != nil {
		return nil, dataDirError(c.DataDir, err)
	}
	if !alone {
		return nil, fmt.Errorf("a server runs on %s: stop it first", c.DataDir)
	}
	defer func() { err = errors.Join(err, lock.Close(), give()) }()
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
