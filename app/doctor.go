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
	State     string // good, warning or bad
	Name      string
	Found, Do Text
}

// A Text is sentences, each in English with what stands in it, so that a page can say
// them in its reader's language.
type Text []Sentence

// A Sentence is a format and its args.
type Sentence struct {
	Text string
	Args []any
}

// Said is a text of one sentence.
func Said(text string, args ...any) Text { return Text{{text, args}} }

// And is a text with another one after it.
func (t Text) And(more Text) Text { return append(t[:len(t):len(t)], more...) }

// String is the text in English.
func (t Text) String() string {
	all := make([]string, len(t))
	for i, s := range t {
		all[i] = fmt.Sprintf(s.Text, s.Args...)
	}
	return strings.Join(all, " ")
}

// failed is a check that could not be made.
func failed(name string, err error) Check {
	return Check{Bad, name, raw(err.Error()), Said("Look at the log for the cause.")}
}

// raw is a text that is said as it is, in every language.
func raw(text string) Text { return Text{{"%s", []any{text}}} }

// States of a check.
const (
	Good    = "good"
	Warning = "warning"
	Bad     = "bad"
)

// Doctor looks at what an instance stands on.
func (a *App) Doctor(ctx context.Context) []Check {
	return append([]Check{a.checkDatabase(ctx), a.checkFiles(ctx), a.checkBackups(), a.checkClock(ctx), a.checkAddress(), a.checkFactors(ctx), a.checkAlerts(ctx)}, a.checkGeoIP()...)
}

func (a *App) checkDatabase(ctx context.Context) Check {
	c := Check{State: Good, Name: "Database"}
	if err := a.Ready(ctx); err != nil {
		var e *db.UnavailableError
		if errors.As(err, &e) {
			return Check{Bad, c.Name, raw(e.Path + " " + e.Problem + "."), raw(sentence(e.Remedy))}
		}
		return failed(c.Name, err)
	}
	sessions, users, err := a.Counts(ctx)
	if err != nil {
		return failed(c.Name, err)
	}
	kept, err := a.store.Describe(ctx)
	if err != nil {
		return failed(c.Name, err)
	}
	c.Found = Said("%s can be read and written. Sessions: %d, users: %d, size: %s.", a.store.Path(), sessions, users, kept)
	return c
}

func megabytes(size int64) string { return fmt.Sprintf("%.1f MB", float64(size)/1e6) }

// sentence makes one of a clause.
func sentence(clause string) string { return strings.ToUpper(clause[:1]) + clause[1:] + "." }

func (a *App) checkFiles(ctx context.Context) Check {
	c := Check{State: Good, Name: "Data directory"}
	info, err := os.Stat(a.Config.DataDir)
	if err != nil {
		return Check{Bad, c.Name, raw(err.Error()), Said("Check --data.")}
	}
	kind, network := fileSystem(a.Config.DataDir)
	c.Found = raw(fmt.Sprintf("%s, mode %#o%s.", a.Config.DataDir, info.Mode().Perm(), kind))
	if err := a.keyProblem(ctx); err != nil {
		return Check{Bad, c.Name, raw(err.Error() + "."), Said("Second factors do not work on this machine: copy the key of another one.")}
	}
	switch {
	case network && a.Config.Database == "":
		c.State, c.Do = Warning, Said("Put it on a local disk: SQLite cannot rely on the locks of network and FUSE file systems, and may lose or damage what it stores.")
	case info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows":
		c.State, c.Do = Warning, Said("Others can look into it: chmod 0700 it.")
	}
	return c
}

func (a *App) checkBackups() Check {
	c := Check{State: Good, Name: "Backups"}
	if a.Config.Database != "" {
		c.Found, c.Do = Said("PostgreSQL is backed up by its own means."), Said("Use pg_dump, or what copies the whole server.")
		return c
	}
	files, err := a.backupFiles()
	if err != nil {
		return Check{Bad, c.Name, raw(err.Error()), Said("Let the server's user read and write %s.", a.backupDir())}
	}
	every, now := a.Config.BackupEvery, a.Now()
	if len(files) > 0 {
		c.Found = Said("The last one is %s of %s, %s; kept: %d.", files[0].Path, utc(files[0].Made), megabytes(files[0].Size), len(files))
	} else {
		c.State, c.Found = Warning, Said("None was made by itself yet.")
	}
	if every == 0 {
		c.Do = Said("Set --backup-every, such as 1d, to have them made in %s; `lastseen backup FILE` makes one now.", a.backupDir())
		return c
	}
	a.mu.Lock()
	problem := a.backupProblem
	a.mu.Unlock()
	switch {
	case problem != nil:
		c.State, c.Found = Bad, c.Found.And(Said("The one that is due fails: %s.", problem.Error()))
		c.Do = Said("Free some space there, or mount another disk at %s; it is tried again.", a.backupDir())
	case len(files) > 0 && now.Sub(files[0].Made) > every+retryBackup:
		c.State, c.Do = Bad, Said("One is due every %s: see that the server runs, and what its log says of backups.", every.String())
	}
	return c
}

// newest is when this version of the program was written: no right clock is before.
var newest = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func (a *App) checkClock(ctx context.Context) Check {
	now := a.Now()
	c := Check{State: Good, Name: "Clock", Found: raw(utc(now) + ".")}
	if now.Before(newest) {
		c.State, c.Do = Bad, Said("The clock is behind, so sessions would end at the wrong time: set it, and keep it right by NTP.")
	}
	if last, err := a.store.LastUse(ctx); err == nil && last.After(now.Add(time.Hour)) {
		c.State, c.Found = Warning, c.Found.And(Said("A session was last used at %s.", utc(last)))
		c.Do = Said("The clock was ahead once. Each session's next use sets that right; one that is not used ends later than it should: sign it out.")
	}
	// What a code that was refused tells of it. The app may be the one that is wrong.
	refused, _, err := a.store.Events(ctx, db.EventFilter{Actions: []db.Action{db.LoginFailed}, Since: now.Add(-24 * time.Hour), Search: []string{`"` + clockOffset + `"`}, Limit: 1})
	if err == nil && len(refused) > 0 && c.State == Good {
		seconds, _ := refused[0].Context[clockOffset].(float64)
		ahead := time.Duration(seconds) * time.Second
		c.State, c.Found = Warning, c.Found.And(codeOfAnotherTime(refused[0], ahead))
		c.Do = Said("Compare this clock with another: if it is right, the one of that person's device is wrong. Keep both right by NTP.")
	}
	return c
}

func codeOfAnotherTime(refused db.Event, ahead time.Duration) Text {
	if ahead < 0 {
		return Said("A code of %s was refused that fits a clock %s behind this one: at %s.", refused.Actor, ahead.Abs().String(), utc(refused.Created))
	}
	return Said("A code of %s was refused that fits a clock %s ahead of this one: at %s.", refused.Actor, ahead.String(), utc(refused.Created))
}

func utc(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func (a *App) checkAddress() Check {
	c := Check{State: Good, Name: "Public address"}
	u := a.Config.PublicURL
	if u == nil {
		c.Found = Said("http:// and the listen address, %s.", a.Config.Listen)
		return c
	}
	c.Found = Said("%s, cookie for %s alone.", u.String(), u.Hostname())
	if a.Config.CookieDomain != "" {
		c.Found = Said("%s, cookie for all hosts under %s.", u.String(), a.Config.CookieDomain)
	}
	if len(a.Config.Apps) > 0 {
		c.Found = c.Found.And(Said("Guarded hosts: %s; those that this cookie does not reach get one each.", strings.Join(a.Config.Apps, ", ")))
	}
	if u.Scheme == "http" && publicHost(u.Hostname()) {
		c.State, c.Do = Warning, Said("Passwords and cookies cross the network in the clear: put a proxy with TLS in front, and give its https:// address as --public-url.")
	}
	return c
}

func (a *App) checkFactors(ctx context.Context) Check {
	c := Check{State: Good, Name: "Second factors"}
	yes := true
	_, with, err := a.store.Users(ctx, db.UserFilter{Factor: &yes})
	if err != nil {
		return failed(c.Name, err)
	}
	var without []string
	if missing, asked := a.MissingFactor(); asked {
		missing.Limit = 1 << 30
		users, _, err := a.store.Users(ctx, missing)
		if err != nil {
			return failed(c.Name, err)
		}
		for _, user := range users {
			without = append(without, user.Username)
		}
	}
	elsewhere, err := a.passkeysElsewhere(ctx)
	if err != nil {
		return failed(c.Name, err)
	}
	c.Found = Said("Users who have one: %d.", with)
	path := KeyPath(a.Config.DataDir)
	key, err := ReadKey(a.Config.DataDir)
	sealed, sealedErr := SealedFor(ctx, a.store, key)
	info, statErr := os.Stat(path)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		c.State, c.Found, c.Do = Bad, c.Found.And(Said("The key that decrypts them cannot be read: %s.", err.Error())), Said("Put a copy of it in its place, readable for the server's user.")
	case sealedErr != nil:
		return failed(c.Name, sealedErr)
	case len(sealed) > 0:
		c.State, c.Found = Bad, c.Found.And(Said("The codes of these cannot be checked, since their key is not in %s: %s.", path, someOf(sealed)))
		c.Do = Said("Put that key in its place, or let them in anew by `lastseen user factors reset NAME`; until then their recovery codes sign them in.")
	case statErr == nil && info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows":
		c.State, c.Do = Warning, Said("Others can read the key that decrypts them: chmod 0600 %s.", path)
	case len(without) > 0:
		c.State, c.Found = Warning, c.Found.And(Said("These must have one, and set it up at their next sign-in: %s.", someOf(without)))
		c.Do = Said("What they are signed in to goes on: end their sessions if they should not wait.")
	case len(elsewhere) > 0:
		c.State, c.Found = Warning, c.Found.And(Said("A passkey is good for the host that it was made for, and these are not for this one: %s.", someOf(elsewhere)))
		c.Do = Said("Set --public-url back to that, or have their people set up new ones; `lastseen user factors reset NAME` lets in who has nothing else.")
	case with > 0:
		c.Found = c.Found.And(Said("Backups do not carry %s, without which codes cannot be checked: keep a copy of it apart.", path))
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

func (a *App) checkAlerts(ctx context.Context) Check {
	c := Check{State: Good, Name: "Alerts"}
	targets, err := a.AlertTargets(ctx)
	work, workErr := a.AlertWork(ctx)
	problems, problemsErr := a.AlertProblems(ctx)
	if err := errors.Join(err, workErr, problemsErr); err != nil {
		return failed(c.Name, err)
	}
	mail := Said("There is no mail server, so people get none by mail.")
	if a.Config.Mail != nil {
		mail = Said("People with an address get their own by mail.")
	}
	c.Found = Said("Targets: %d.", len(targets)).And(mail).And(Said("Waiting to be sent: %d.", work.New+work.Held+work.Deliveries))
	switch {
	case len(problems) > 0:
		c.State, c.Found = Warning, c.Found.And(Said("The last failure, at %s: %s.", utc(problems[0].Created), problems[0].Problem))
		c.Do = Said("See that the receiver runs and takes it, then try `lastseen alert test`. Each alert is tried again for a day.")
	case len(targets) == 0 && a.Config.Mail == nil:
		c.Do = Said("To be told of sign-ins from new devices and countries, add a target on the page Alerts, or by `lastseen alert add URL`.")
	}
	return c
}

func (a *App) checkGeoIP() []Check {
	var checks []Check
	for _, f := range a.GeoIPFiles() {
		c := Check{State: Good, Name: "Places", Found: raw(f.Describe(a.Now()) + ".")}
		if f.State == geoip.Loaded && f.Error == "" && !f.Built.IsZero() {
			c.Found = Said("%s of %s.", f.Type, f.Built.Format("2006-01-02"))
		}
		setting := "--geoip-city"
		if f.Kind == "asn" {
			c.Name, setting = "Networks", "--geoip-asn"
		}
		switch {
		case f.State == geoip.None:
			c.State, c.Do = Warning, Said("Put a MaxMind DB file there, or name another with %s; it is in use within ten seconds.", setting)
		case f.State == geoip.Failed || f.Error != "":
			c.State, c.Do = Bad, Said("Replace the file by a whole one; it is in use within ten seconds.")
		case f.Stale(a.Now()):
			c.State, c.Do = Warning, Said("Get a newer file and put it in its place; it is in use within ten seconds.")
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
