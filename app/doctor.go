package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"time"

	"lastseen/db"
	"lastseen/geoip"
)

// A Check is one thing that was looked at: what was found and, when it is not
// well, what to change.
type Check struct {
	State string // good, warning or bad
	Name  string
	Found string
	Do    string
}

// States of a check.
const (
	Good    = "good"
	Warning = "warning"
	Bad     = "bad"
)

// Doctor looks at what an instance stands on.
func (a *App) Doctor(ctx context.Context) []Check {
	return append([]Check{a.checkDatabase(ctx), a.checkFiles(), a.checkBackups(), a.checkClock(ctx), a.checkAddress(), a.checkFactors(ctx)}, a.checkGeoIP()...)
}

func (a *App) checkDatabase(ctx context.Context) Check {
	c := Check{State: Good, Name: "Database"}
	if err := a.Ready(ctx); err != nil {
		var e *db.UnavailableError
		if errors.As(err, &e) {
			return Check{Bad, c.Name, fmt.Sprintf("%s %s.", e.Path, e.Problem), sentence(e.Remedy)}
		}
		return Check{Bad, c.Name, err.Error(), "Look at the log for the cause."}
	}
	sessions, users, err := a.Counts(ctx)
	if err != nil {
		return Check{Bad, c.Name, err.Error(), "Look at the log for the cause."}
	}
	size := int64(0)
	if info, err := os.Stat(a.store.Path()); err == nil {
		size = info.Size()
	}
	c.Found = fmt.Sprintf("%s can be read and written: %d sessions, %d users, %.1f MB.", a.store.Path(), sessions, users, float64(size)/1e6)
	return c
}

// sentence makes one of a clause.
func sentence(clause string) string { return strings.ToUpper(clause[:1]) + clause[1:] + "." }

const useLocalDisk = "put it on a local disk: SQLite cannot rely on the locks of network and FUSE file systems, and may lose or damage what it stores"

func (a *App) checkFiles() Check {
	c := Check{State: Good, Name: "Data directory"}
	info, err := os.Stat(a.Config.DataDir)
	if err != nil {
		return Check{Bad, c.Name, err.Error(), "Check --data."}
	}
	kind, network := fileSystem(a.Config.DataDir)
	c.Found = fmt.Sprintf("%s, mode %#o%s.", a.Config.DataDir, info.Mode().Perm(), kind)
	switch {
	case network:
		c.State, c.Do = Warning, sentence(useLocalDisk)
	case info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows":
		c.State, c.Do = Warning, "Others can look into it: chmod 0700 it."
	}
	return c
}

func (a *App) checkBackups() Check {
	c := Check{State: Good, Name: "Backups"}
	files, err := a.BackupFiles()
	if err != nil {
		return Check{Bad, c.Name, err.Error(), "Let the server's user read and write " + a.backupDir() + "."}
	}
	every, now := a.Config.BackupEvery, a.Now()
	c.Found = "None was made by itself yet."
	if len(files) > 0 {
		c.Found = fmt.Sprintf("The last one is %s of %s, %.1f MB; %d kept.", files[0].Path, files[0].Made.Format("2006-01-02 15:04:05 UTC"), float64(files[0].Size)/1e6, len(files))
	}
	if every == 0 {
		c.Do = "Set --backup-every, such as 1d, to have them made in " + a.backupDir() + "; `lastseen backup FILE` makes one now."
		return c
	}
	a.mu.Lock()
	problem := a.backupProblem
	a.mu.Unlock()
	switch {
	case problem != nil:
		c.State, c.Found = Bad, c.Found+" The one that is due fails: "+problem.Error()+"."
		c.Do = "Free some space there, or mount another disk at " + a.backupDir() + "; it is tried again."
	case len(files) > 0 && now.Sub(files[0].Made) > every+retryBackup:
		c.State, c.Do = Bad, fmt.Sprintf("One is due every %s: see that the server runs, and what its log says of backups.", every)
	}
	return c
}

// newest is when this version of the program was written: no right clock is before.
var newest = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func (a *App) checkClock(ctx context.Context) Check {
	now := a.Now()
	c := Check{State: Good, Name: "Clock", Found: now.UTC().Format("2006-01-02 15:04:05 UTC") + "."}
	if now.Before(newest) {
		c.State, c.Do = Bad, "The clock is behind, so sessions would end at the wrong time: set it, and keep it right by NTP."
	}
	if last, err := a.store.LastUse(ctx); err == nil && last.After(now.Add(time.Hour)) {
		c.State, c.Found = Warning, c.Found+" A session was last used at "+last.UTC().Format("2006-01-02 15:04:05 UTC")+"."
		c.Do = "The clock was ahead once. Each session's next use sets that right; one that is not used ends later than it should: sign it out."
	}
	// What a code that was refused tells of it. The app may be the one that is wrong.
	refused, _, err := a.store.Events(ctx, db.EventFilter{Actions: []db.Action{db.LoginFailed}, Since: now.Add(-24 * time.Hour), Search: []string{`"` + clockOffset + `"`}, Limit: 1})
	if err == nil && len(refused) > 0 && c.State == Good {
		seconds, _ := refused[0].Context[clockOffset].(float64)
		ahead := time.Duration(seconds) * time.Second
		c.State, c.Found = Warning, c.Found+fmt.Sprintf(" A code of %s was refused that fits a clock %s: at %s.", refused[0].Actor, aheadOrBehind(ahead), refused[0].Created.UTC().Format("2006-01-02 15:04:05 UTC"))
		c.Do = "Compare this clock with another: if it is right, the one of that person's device is wrong. Keep both right by NTP."
	}
	return c
}

func aheadOrBehind(d time.Duration) string {
	if d < 0 {
		return d.Abs().String() + " behind this one"
	}
	return d.String() + " ahead of this one"
}

func (a *App) checkAddress() Check {
	c := Check{State: Good, Name: "Public address"}
	u := a.Config.PublicURL
	if u == nil {
		c.Found = "http:// and the listen address, " + a.Config.Listen + "."
		return c
	}
	c.Found = u.String() + ", cookie for " + u.Hostname() + " alone."
	if a.Config.CookieDomain != "" {
		c.Found = u.String() + ", cookie for all hosts under " + a.Config.CookieDomain + "."
	}
	if len(a.Config.Apps) > 0 {
		c.Found += " Guarded hosts: " + strings.Join(a.Config.Apps, ", ") + "; those that this cookie does not reach get one each."
	}
	if u.Scheme == "http" && publicHost(u.Hostname()) {
		c.State, c.Do = Warning, "Passwords and cookies cross the network in the clear: put a proxy with TLS in front, and give its https:// address as --public-url."
	}
	return c
}

func (a *App) checkFactors(ctx context.Context) Check {
	c := Check{State: Good, Name: "Second factors"}
	required := a.Config.RequireSecondFactor
	with, without, err := a.store.FactorCounts(ctx, required == "superusers")
	if err != nil {
		return Check{Bad, c.Name, err.Error(), "Look at the log for the cause."}
	}
	c.Found = fmt.Sprintf("Users who have one: %d.", with)
	path := KeyPath(a.Config.DataDir)
	key, err := ReadKey(a.Config.DataDir)
	sealed, sealedErr := SealedFor(ctx, a.store, key)
	info, statErr := os.Stat(path)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		c.State, c.Found, c.Do = Bad, c.Found+" The key that decrypts them cannot be read: "+err.Error()+".", "Put a copy of it in its place, readable for the server's user."
	case sealedErr != nil:
		return Check{Bad, c.Name, sealedErr.Error(), "Look at the log for the cause."}
	case len(sealed) > 0:
		c.State, c.Found = Bad, c.Found+" The codes of these cannot be checked, since their key is not in "+path+": "+someOf(sealed)+"."
		c.Do = "Put that key in its place, or let them in anew by `lastseen user factors reset NAME`; until then their recovery codes sign them in."
	case statErr == nil && info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows":
		c.State, c.Do = Warning, "Others can read the key that decrypts them: chmod 0600 "+path+"."
	case len(without) > 0 && (required == "superusers" || required == "everybody"):
		c.State, c.Found = Warning, c.Found+" These must have one, and set it up at their next sign-in: "+someOf(without)+"."
		c.Do = "What they are signed in to goes on: end their sessions if they should not wait."
	case with > 0:
		c.Found += " Backups do not carry " + path + ", without which codes cannot be checked: keep a copy of it apart."
	}
	return c
}

// someOf are names, of very many the first.
func someOf(names []string) string {
	const most = 20
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

func (a *App) checkGeoIP() []Check {
	var checks []Check
	for _, f := range a.GeoIPFiles() {
		c := Check{State: Good, Name: "Places", Found: f.Describe(a.Now()) + "."}
		setting := "--geoip-city"
		if f.Kind == "asn" {
			c.Name, setting = "Networks", "--geoip-asn"
		}
		switch {
		case f.State == geoip.None:
			c.State, c.Do = Warning, fmt.Sprintf("Put a MaxMind DB file there, or name another with %s; it is in use within ten seconds.", setting)
		case f.State == geoip.Failed || f.Error != "":
			c.State, c.Do = Bad, "Replace the file by a whole one; it is in use within ten seconds."
		case f.Stale(a.Now()):
			c.State, c.Do = Warning, "Get a newer file and put it in its place; it is in use within ten seconds."
		}
		checks = append(checks, c)
	}
	return checks
}

// publicHost reports whether a host is one beyond this machine and its network.
func publicHost(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return geoip.ScopeOf(ip) == geoip.Public
	}
	return host != "localhost"
}
