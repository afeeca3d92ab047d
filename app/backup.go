package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lastseen/app/alert"
	"lastseen/db"
)

// Backup writes a checked copy of the database to a file, with the key that decrypts the
// secrets in it, or without. One is made at a time.
func (a *App) Backup(ctx context.Context, path string, withKey bool) error {
	if a.Config.Database != "" {
		return db.ErrOwnBackup
	}
	key := ""
	if withKey {
		text, err := ReadKey(a.Config.DataDir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		key = text
	}
	select {
	case a.copying <- struct{}{}:
		defer func() { <-a.copying }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := a.live.Flush(ctx); err != nil {
		a.Log.Error("write session uses", "err", err)
	}
	return a.store.Backup(ctx, path, key)
}

// backupName is the name of a backup from a moment, in UTC.
const backupName = "lastseen-20060102T150405Z.db"

// A backupFile is a backup that was made by itself.
type backupFile struct {
	Path string
	Made time.Time
	Size int64
}

func (a *App) backupDir() string { return filepath.Join(a.Config.DataDir, "backups") }

// backupFiles are the backups that were made by themselves, the newest first.
// Whatever else lies among them is none.
func (a *App) backupFiles() ([]backupFile, error) {
	entries, err := os.ReadDir(a.backupDir())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var files []backupFile
	for _, entry := range entries {
		made, err := time.Parse(backupName, entry.Name())
		if err != nil || made.Format(backupName) != entry.Name() || !entry.Type().IsRegular() {
			continue
		}
		if info, err := entry.Info(); err == nil {
			files = append(files, backupFile{filepath.Join(a.backupDir(), entry.Name()), made, info.Size()})
		}
	}
	slices.SortFunc(files, func(x, y backupFile) int { return y.Made.Compare(x.Made) })
	return files, nil
}

// How long after a failure, and after how long at the latest, a backup that is
// due is tried or looked for again.
const (
	retryBackup = 10 * time.Minute
	checkBackup = time.Minute
)

// backupDue is when the next backup is to be made. One from the future, made
// while the clock was wrong, keeps none off.
func (a *App) backupDue(now time.Time) (time.Time, error) {
	files, err := a.backupFiles()
	for _, file := range files {
		if !file.Made.After(now) {
			return file.Made.Add(a.Config.BackupEvery), err
		}
	}
	return now, err
}

// keepBackups makes a backup whenever one is due, until ctx ends.
func (a *App) keepBackups(ctx context.Context) {
	if a.Config.BackupEvery == 0 {
		return
	}
	var failed time.Time
	for {
		now := a.Now()
		due, err := a.backupDue(now)
		if !failed.IsZero() {
			due = failed.Add(min(retryBackup, a.Config.BackupEvery))
		}
		if !due.After(now) {
			path := filepath.Join(a.backupDir(), now.UTC().Format(backupName))
			if err == nil {
				err = a.scheduledBackup(ctx, path)
			}
			if ctx.Err() != nil {
				return
			}
			failed = time.Time{}
			a.setBackupProblem(err)
			if err != nil {
				failed = now
				a.Log.Error("scheduled backup failed", "file", path, "err", err, "again_in", min(retryBackup, a.Config.BackupEvery).String(),
					"do", "free some space there, or mount another disk at "+a.backupDir()+"; `lastseen backup FILE` writes one elsewhere")
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(due.Sub(now), checkBackup)): // the clock may be set meanwhile
		}
	}
}

// scheduledBackup makes a backup, and removes the oldest beyond those to keep.
func (a *App) scheduledBackup(ctx context.Context, path string) error {
	dir := a.backupDir()
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.Chmod(dir, 0o700)); err != nil {
		return err
	}
	a.sweep(dir)
	start := time.Now()
	if err := a.Backup(ctx, path, false); err != nil {
		return err
	}
	files, err := a.backupFiles()
	if err != nil {
		return err
	}
	// Those from the future, made while the clock was wrong, are no newer than this one.
	files = slices.DeleteFunc(files, func(f backupFile) bool { return f.Made.After(a.Now()) })
	removed := 0
	for _, file := range files[min(a.Config.BackupKeep, len(files)):] {
		if err := os.Remove(file.Path); err != nil {
			return fmt.Errorf("remove an old backup: %w", err)
		}
		removed++
	}
	a.Log.Info("backup made", "file", path, "removed", removed, "ms", time.Since(start).Milliseconds())
	return nil
}

// sweep removes the halves of copies that a crash left. Younger ones may still be
// written, by a command.
func (a *App) sweep(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && entry.IsDir() && strings.HasPrefix(entry.Name(), ".lastseen-") && a.Now().Sub(info.ModTime()) > 24*time.Hour {
			os.RemoveAll(filepath.Join(dir, entry.Name()))
		}
	}
}

func (a *App) setBackupProblem(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.backupProblem = err
}

// A Copy is a backup to be read; closing it removes it.
type Copy struct {
	*os.File
	Name string
	Size int64
	dir  string
}

// Close closes and removes the copy.
func (c *Copy) Close() error { return errors.Join(c.File.Close(), os.RemoveAll(c.dir)) }

// Copy makes a checked copy to be read, as Backup does.
func (a *App) Copy(ctx context.Context, withKey bool) (copied *Copy, err error) {
	if a.Config.Database != "" {
		return nil, db.ErrOwnBackup
	}
	dir, err := os.MkdirTemp(a.Config.DataDir, ".lastseen-backup-")
	if err != nil {
		return nil, &db.UnavailableError{Path: a.store.Path(), Problem: "cannot be copied", Remedy: "see that the data directory can be written", Err: err}
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	name := a.Now().UTC().Format(backupName)
	if err := a.Backup(ctx, filepath.Join(dir, name), withKey); err != nil {
		return nil, err
	}
	file, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Copy{file, name, info.Size(), dir}, nil
}

// A Restored says what came of putting a backup in the place of a database.
type Restored struct {
	KeptAs    string   // where the old database is; "" if there was none
	WithKey   bool     // the backup carried its key, which is in place
	KeyKeptAs string   // where the key is that was there before; "" when it is the same, or there was none
	Sealed    []string // the users whose authenticator apps cannot be checked, for want of their key
}

// Download makes a copy for a superuser to take away. That is recorded, since
// whoever has it can try the passwords in it.
func (a *App) Download(ctx context.Context, caller Caller) (*Copy, error) {
	if !caller.User.Superuser {
		return nil, ErrForbidden
	}
	copied, err := a.Copy(ctx, false)
	if err != nil {
		return nil, err
	}
	event := a.event(caller.Actor(), db.SecretView, caller.User.ID, map[string]any{"secret": map[string]any{"name": copied.Name}})
	err = a.store.Record(ctx, a.tells(event, caller.Actor(), alert.BackupTaken, *caller.User, copied.Name))
	if err != nil {
		return nil, errors.Join(err, copied.Close())
	}
	a.Log.Warn("backup downloaded", "file", copied.Name, "user", caller.User.Username, "ip", caller.IP)
	return copied, nil
}
