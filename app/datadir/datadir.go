// Package datadir is the directory that a server keeps everything in: made for its owner
// alone, used by one server at a time, and given to the right user where root works in it.
package datadir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"lastseen/app"
	"lastseen/app/config"
	"lastseen/db/sqlite"

	"github.com/gofrs/flock"
)

func lockPath(dataDir string) string { return filepath.Join(dataDir, "lastseen.lock") }

// GiveWhatIsNew returns what gives the files that a command has made since in the data
// directory to who has the database, or, where there was none, the directory: root may run
// commands beside a server of another user, who is to read them.
func GiveWhatIsNew(dataDir string) (give func() error) {
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

// Take prepares the data directory for a command that no server may run beside, which
// has it until it calls done.
func Take(dataDir string, log *slog.Logger) (done func() error, err error) {
	if err := Prepare(dataDir, log); err != nil {
		return nil, err
	}
	give := GiveWhatIsNew(dataDir)
	lock, alone, err := TryLock(dataDir)
	if err != nil {
		return nil, err
	}
	if !alone {
		return nil, errors.Join(fmt.Errorf("a server runs on %s: stop it first", dataDir), lock.Close())
	}
	return func() error { return errors.Join(lock.Close(), give()) }, nil
}

// TryLock has no server use the data directory until the lock is closed, if none does: alone
// says so.
func TryLock(dataDir string) (lock io.Closer, alone bool, err error) {
	l := flock.New(lockPath(dataDir))
	if alone, err = l.TryLock(); err != nil {
		return nil, false, problem(dataDir, err)
	}
	return l, alone, nil
}

// Lock has no other server use the data directory. With PostgreSQL there is nothing in it
// that two could not share, as they share the database.
func Lock(ctx context.Context, c config.Config) (io.Closer, error) {
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
		return nil, problem(c.DataDir, err)
	}
	return lock, nil
}

// PlaceForGeoIP makes the folder of databases, with a note of what goes there.
func PlaceForGeoIP(dataDir string) error {
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

// Prepare makes the data directory, for its owner alone.
func Prepare(dir string, log *slog.Logger) error {
	info, err := os.Stat(dir)
	if errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return problem(dir, err)
		}
		return nil
	}
	if err != nil {
		return problem(dir, err)
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
		return problem(dir, err)
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

// problem says what to do about a file of the data directory, which err names,
// or the directory itself.
func problem(dir string, err error) error {
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
