package app

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lastseen/db"
	"lastseen/db/sqlite"
)

// keeper is an app that keeps backups, whose clock the returned function moves.
func keeper(t *testing.T, every time.Duration, keep int) (*App, func(time.Duration)) {
	t.Helper()
	dir := t.TempDir()
	a, advance := clocked(t, dir)
	a.Config.BackupEvery, a.Config.BackupKeep = every, keep
	create(t, a, NewUser{Username: "ada"})
	return a, advance
}

// tick makes the backup that is due, if one is.
func tick(t *testing.T, a *App) error {
	t.Helper()
	due, err := a.backupDue(a.Now())
	if err != nil {
		t.Fatal(err)
	}
	if due.After(a.Now()) {
		return nil
	}
	return a.scheduledBackup(t.Context(), filepath.Join(a.backupDir(), a.Now().UTC().Format(backupName)))
}

func names(t *testing.T, a *App) string {
	t.Helper()
	files, err := a.backupFiles()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range files {
		all = append(all, f.Made.Format("15:04"))
	}
	return strings.Join(all, " ")
}

func TestScheduledBackups(t *testing.T) {
	t.Parallel()
	onlySQLite(t)
	a, advance := keeper(t, time.Hour, 3)
	for _, step := range []struct {
		after time.Duration
		want  string // which there are, the newest first
	}{
		{0, "09:00"},
		{59 * time.Minute, "09:00"},
		{time.Minute, "10:00 09:00"},
		{3 * time.Hour, "13:00 10:00 09:00"}, // the machine slept: one, not three
		{time.Hour, "14:00 13:00 10:00"},
	} {
		advance(step.after)
		if err := tick(t, a); err != nil {
			t.Fatal(err)
		}
		if got := names(t, a); got != step.want {
			t.Errorf("after %s: got %s, want %s", step.after, got, step.want)
		}
	}
	files, _ := a.backupFiles()
	for _, path := range []struct {
		name string
		mode os.FileMode
	}{{a.backupDir(), 0o700}, {files[0].Path, 0o600}} {
		if info, err := os.Stat(path.name); err != nil || info.Mode().Perm() != path.mode {
			t.Errorf("%s: got %v, %v, want mode %o", path.name, info, err, path.mode)
		}
	}
	// It is a database of ours, with everybody in it.
	if _, err := sqlite.Check(t.Context(), files[0].Path); err != nil {
		t.Error(err)
	}
	store, err := sqlite.Open(t.Context(), files[0].Path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := store.UserByName(t.Context(), "ada"); err != nil {
		t.Error(err)
	}
	// Of the program that starts next, the due time is the same.
	again := openApp(t, a.Config.DataDir)
	again.Config.BackupEvery = time.Hour
	if due, err := again.backupDue(a.Now()); err != nil || !due.Equal(a.Now().Add(time.Hour)) {
		t.Errorf("due after a restart: got %v, %v, want in an hour", due, err)
	}
}

// Only files of our naming count and go.
func TestScheduledBackupsLeaveOthersAlone(t *testing.T) {
	t.Parallel()
	onlySQLite(t)
	a, advance := keeper(t, time.Hour, 1)
	others := []string{"mine.db", "lastseen-20200101T000000Z.db.old", "lastseen-20200101T000000.5Z.db", "lastseen-20209901T000000Z.db", "lastseen.db"}
	if err := os.MkdirAll(a.backupDir(), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range others {
		if err := os.WriteFile(filepath.Join(a.backupDir(), name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(a.backupDir(), "lastseen-20200101T000000Z.db"), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := tick(t, a); err != nil {
			t.Fatal(err)
		}
		advance(time.Hour)
	}
	if got := names(t, a); got != "11:00" {
		t.Errorf("got %s, want the last one", got)
	}
	for _, name := range append(others, "lastseen-20200101T000000Z.db") {
		if _, err := os.Stat(filepath.Join(a.backupDir(), name)); err != nil {
			t.Errorf("%s is gone: %v", name, err)
		}
	}
}

// What a crash left of a copy goes after a day.
func TestHalvesOfCopiesGo(t *testing.T) {
	t.Parallel()
	a, advance := keeper(t, 0, 1)
	half := filepath.Join(a.Config.DataDir, ".lastseen-backup-1234")
	if err := errors.Join(os.Mkdir(half, 0o700), os.Chtimes(half, a.Now(), a.Now())); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		after time.Duration
		there bool
	}{{time.Hour, true}, {24 * time.Hour, false}} {
		advance(step.after)
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(half); (err == nil) != step.there {
			t.Errorf("%s later: %v", step.after, err)
		}
	}
}

// A backup that fails leaves the older ones, leaves no half of a file, is told
// by the doctor, and is made when it can be.
func TestScheduledBackupFails(t *testing.T) {
	t.Parallel()
	onlySQLite(t)
	a, advance := keeper(t, time.Hour, 1)
	var log lines
	a.Log = log.logger()
	if err := tick(t, a); err != nil {
		t.Fatal(err)
	}
	advance(time.Hour)
	// A directory in the file's place stops even root.
	blocker := filepath.Join(a.backupDir(), a.Now().UTC().Format(backupName))
	if err := os.MkdirAll(filepath.Join(blocker, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() { a.keepBackups(ctx) })
	for deadline := time.Now().Add(10 * time.Second); !log.contains("scheduled backup failed"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no failure in the log")
		}
	}
	stop()
	wait.Wait()
	if !log.contains(blocker) || !log.contains("free some space") {
		t.Errorf("the log names neither file nor remedy: %s", log.text())
	}
	if c := a.checkBackups(); c.State != Bad || !strings.Contains(c.Found.String(), "The last one is") || c.Do == nil {
		t.Errorf("the doctor says %+v", c)
	}
	entries, err := os.ReadDir(a.backupDir())
	if err != nil || len(entries) != 2 || names(t, a) != "09:00" {
		t.Errorf("left there: %v, %v", entries, err)
	}
	if err := os.RemoveAll(blocker); err != nil {
		t.Fatal(err)
	}
	if err := tick(t, a); err != nil || names(t, a) != "10:00" {
		t.Errorf("afterwards: got %s, %v", names(t, a), err)
	}
}

// Beside a server, the doctor knows of a failure by the time alone.
func TestOverdueBackup(t *testing.T) {
	t.Parallel()
	onlySQLite(t)
	a, advance := keeper(t, time.Hour, 1)
	if err := tick(t, a); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		after time.Duration
		want  string
	}{{time.Hour, Good}, {11 * time.Minute, Bad}} {
		advance(step.after)
		if c := a.checkBackups(); c.State != step.want {
			t.Errorf("%s later: got %+v, want %s", step.after, c, step.want)
		}
	}
}

// While a copy is made, uses are written and people sign in.
func TestBackupHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	onlySQLite(t)
	a, _ := keeper(t, time.Hour, 1)
	fill, err := sql.Open("sqlite", "file:"+DatabasePath(a.Config.DataDir)+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer fill.Close()
	if _, err := fill.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
		INSERT INTO events (uuid, created, action, actor, client_ip, context) SELECT randomblob(16), i, 'login', 'x', '', '{}' FROM n`, 100_000/oneIn); err != nil {
		t.Fatal(err)
	}
	root, err := a.store.UserByName(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	token, _ := insertSession(t, a, root)
	done := make(chan error, 1)
	go func() { done <- tick(t, a) }()
	written := 0
	for {
		select {
		case err := <-done:
			if err != nil || written < 3 {
				t.Errorf("got %v, and %d writes meanwhile", err, written)
			}
			return
		default:
		}
		if _, err := a.Authenticate(t.Context(), []string{token}, from(fmt.Sprintf("192.0.2.%d", written%200))); err != nil {
			t.Fatal(err)
		}
		if err := a.live.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		written++
	}
}

func TestDownload(t *testing.T) {
	t.Parallel()
	onlySQLite(t)
	a, _ := keeper(t, 0, 1)
	if _, err := a.Download(t.Context(), Caller{User: &db.User{}}); !errors.Is(err, ErrForbidden) {
		t.Errorf("as nobody: got %v, want ErrForbidden", err)
	}
	copied, err := a.Download(t.Context(), Operator)
	if err != nil {
		t.Fatal(err)
	}
	path := copied.File.Name()
	if _, err := sqlite.Check(t.Context(), path); err != nil {
		t.Error(err)
	}
	if err := copied.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(a.Config.DataDir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %s", left)
	}
	events, _, err := a.Events(t.Context(), Operator, db.EventFilter{Actions: []db.Action{db.SecretView}, Limit: 10})
	if err != nil || len(events) != 1 || events[0].Actor != Operator.User.Username {
		t.Errorf("events: got %v, %v", events, err)
	}
}

// lines is a log that a test reads.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lines) contains(s string) bool { return strings.Contains(l.text(), s) }

// A backup from the future, made while the clock was wrong, does not have each new
// one removed at once and made again.
func TestBackupFromTheFuture(t *testing.T) {
	t.Parallel()
	onlySQLite(t)
	a, _ := keeper(t, time.Hour, 1)
	var log lines
	a.Log = log.logger()
	if err := os.MkdirAll(a.backupDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	future := filepath.Join(a.backupDir(), a.Now().Add(24*time.Hour).UTC().Format(backupName))
	if err := a.store.Backup(t.Context(), future, ""); err != nil {
		t.Fatal(err)
	}
	keepFor(t, a, &log)
}

func keepFor(t *testing.T, a *App, log *lines) {
	ctx, stop := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() { a.keepBackups(ctx) })
	for try := 0; !log.contains("backup made") && try < 200; try++ {
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(500 * time.Millisecond) // in which a second one would come
	stop()
	wait.Wait()
	if n := strings.Count(log.text(), "backup made"); n != 1 {
		t.Errorf("%d backups at once; left: %s; the doctor: %+v", n, names(t, a), a.checkBackups())
	}
}

// Nor have those that are kept when the clock is behind them all, as on a board
// without a clock.
func TestBackupsWhileTheClockIsBehind(t *testing.T) {
	t.Parallel()
	onlySQLite(t)
	a, advance := keeper(t, time.Hour, 3)
	var log lines
	for range 3 {
		if err := tick(t, a); err != nil {
			t.Fatal(err)
		}
		advance(time.Hour)
	}
	a.Log = log.logger()
	advance(-30 * 24 * time.Hour)
	keepFor(t, a, &log)
}
