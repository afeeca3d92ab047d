package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"lastseen/db"
	"lastseen/schema"
)

// applicationID marks our databases; the first migration sets it.
const applicationID = 0x4C617374

// Backup writes a copy of the database to a file, itself a SQLite database. It
// holds no writer up. The copy is checked before it takes the place of an older
// one; a file that is no copy of ours is never replaced. It carries key, unless that
// is "".
func (s *Store) Backup(ctx context.Context, path, key string) error {
	if there, err := os.Stat(path); err == nil {
		// Our own is not even opened: closing it again would drop this process's locks on it.
		own, err := os.Stat(s.path)
		if err != nil {
			return err
		}
		if os.SameFile(there, own) || inWALMode(path) {
			return fmt.Errorf("will not replace %s: it is a database that is or was in use, and no backup; give the backup another name", path)
		}
		if _, err := Check(ctx, path); err != nil {
			return fmt.Errorf("will not replace a file that is no backup: %w", err)
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if log, err := os.Stat(path + "-wal"); err == nil && log.Size() > 0 { // SQLite would take it for the copy's
		return fmt.Errorf("will not write %s beside the log %s-wal, which is another database's: remove that, or give the backup another name", path, path)
	}
	return s.copyTo(ctx, path, key)
}

// inWALMode tells a database that a server uses, or did, from a copy of one: by
// bytes 18 and 19 of the file
// (https://www.sqlite.org/fileformat2.html#file_format_version_numbers).
func inWALMode(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var header [20]byte
	_, err = io.ReadFull(f, header[:])
	return err == nil && bytes.HasPrefix(header[:], []byte("SQLite format 3\x00")) && (header[18] == 2 || header[19] == 2)
}

func (s *Store) copyTo(ctx context.Context, path, key string) error {
	// A directory of its own keeps the half-written copy private.
	dir, err := os.MkdirTemp(filepath.Dir(path), ".lastseen-backup-")
	if err != nil {
		return fmt.Errorf("cannot write the backup: %w", err)
	}
	defer os.RemoveAll(dir)
	part := filepath.Join(dir, "part")
	if err := vacuumInto(ctx, s.path, part); isDamage(err) {
		return s.err(err)
	} else if err != nil {
		var e *db.UnavailableError
		if errors.As(storeError(path, err), &e) {
			err = fmt.Errorf("it %s: %w", e.Problem, err)
		}
		return fmt.Errorf("cannot write the backup %s: %w", path, err)
	}
	if err := putKey(ctx, part, key); err != nil {
		return fmt.Errorf("cannot write the backup %s: %w", path, err)
	}
	if _, err := Check(ctx, part); err != nil {
		return fmt.Errorf("the copy is not whole, look at the disk: %w", err)
	}
	f, err := os.OpenFile(part, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o600), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("cannot write the backup: %w", err)
	}
	if err := os.Rename(part, path); err != nil {
		return fmt.Errorf("cannot write the backup: %w", err)
	}
	syncDir(filepath.Dir(path))
	return nil
}

// keySetting is the name under which a backup carries the key.
const keySetting = "key"

// putKey adds a key to a copy.
func putKey(ctx context.Context, path, key string) error {
	if key == "" {
		return nil
	}
	conn, err := sql.Open("sqlite", fileURL(path, "mode=rw"))
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.ExecContext(ctx, `INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, keySetting, key)
	return err
}

// TakeKey removes the key that a backup carried, without a trace in the file, and returns
// it; "" when it carried none.
func (s *Store) TakeKey(ctx context.Context) (key string, err error) {
	err = s.withWriter(ctx, func(conn *sql.Conn) error {
		if _, err := conn.ExecContext(ctx, `PRAGMA secure_delete = ON`); err != nil {
			return err
		}
		err := conn.QueryRowContext(ctx, `DELETE FROM settings WHERE name = $1 RETURNING value`, keySetting).Scan(&key)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return key, err
}

// DropBegun refuses what a backup would bring back that was good once, and may have been
// used since: links, and sign-ins that wait for the rest. It trusts no device, and tells
// nobody again of what they may have heard.
func (s *Store) DropBegun(ctx context.Context) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		for _, begun := range []string{`DELETE FROM links`, `DELETE FROM pending_signins`, `DELETE FROM passkey_challenges`,
			`DELETE FROM alert_deliveries`, `UPDATE alerts SET state = 'planned' WHERE state IN ('new', 'held')`,
			`UPDATE devices SET trusted_until = NULL WHERE trusted_until IS NOT NULL`} {
			if _, err := tx.ExecContext(ctx, begun); err != nil {
				return err
			}
		}
		return nil
	})
}

// syncDir makes the names in a directory outlive a power cut, where a system can.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		d.Close()
	}
}

// vacuumInto copies one database file to another, as of one moment.
func vacuumInto(ctx context.Context, from, to string) error {
	conn, err := sql.Open("sqlite", fileURL(from, "mode=ro&_pragma=busy_timeout(5000)"))
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.ExecContext(ctx, `VACUUM INTO $1`, to)
	return err
}

func fileURL(path, query string) string {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath(), RawQuery: query}
	return u.String()
}

// Check looks through a database file that nobody has open, and returns its
// schema version. Its error says that the file is damaged, another program's,
// or of a newer Lastseen (NewerError).
func Check(ctx context.Context, path string) (number int, err error) {
	f, err := os.Open(path) // which says more clearly why it cannot be read
	if err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err := errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	if info.IsDir() {
		return 0, fmt.Errorf("%s is a directory", path)
	}
	conn, err := sql.Open("sqlite", fileURL(path, "mode=ro&immutable=1"))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	var id int64
	if err := conn.QueryRowContext(ctx, `PRAGMA application_id`).Scan(&id); err != nil {
		return 0, fmt.Errorf("%s is no database, or a damaged one: %w", path, err)
	}
	if id != applicationID {
		return 0, fmt.Errorf("%s is the database of another program", path)
	}
	var verdict string
	if err := conn.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&verdict); err != nil {
		return 0, fmt.Errorf("%s is damaged: %w", path, err)
	}
	if verdict != "ok" {
		return 0, fmt.Errorf("%s is damaged: %s", path, oneLine(verdict))
	}
	number, dirty, err := version(ctx, conn)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%s is damaged: %w", path, err)
	case dirty || number == 0:
		return 0, fmt.Errorf("%s was left in the middle of a migration", path)
	case number > schema.Latest(schema.SQLite):
		return number, &NewerError{path, number, schema.Latest(schema.SQLite)}
	}
	return number, nil
}

// oneLine makes a verdict of SQLite's checks fit into a line of a log.
func oneLine(verdict string) string { return strings.ReplaceAll(verdict, "\n", ": ") }

// Restore puts a checked copy of a backup in the place of the database at path,
// which nobody may have open, and keeps the old one beside it under the name
// that it returns, "" if there was none. prepare is called with the new
// database before it takes its place; when it fails nothing has changed.
func Restore(ctx context.Context, backup, path, keepAs string, prepare func(*Store) error) (kept string, err error) {
	if _, err := Check(ctx, backup); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".lastseen-restore-")
	if err != nil {
		return "", fmt.Errorf("cannot restore: %w", err)
	}
	defer os.RemoveAll(dir)
	fresh := filepath.Join(dir, "fresh")
	if err := vacuumInto(ctx, backup, fresh); err != nil {
		return "", fmt.Errorf("cannot copy %s to %s: %w", backup, fresh, err)
	}
	if err := checkObjects(ctx, fresh); err != nil { // with what a log beside the backup holds
		return "", fmt.Errorf("%s %w", backup, err)
	}
	if err := finish(ctx, fresh, filepath.Dir(path), prepare); err != nil {
		return "", err
	}
	// The old database moves with its -wal file, which may hold its latest, and before it:
	// should this end in between, a log alone is refused, and a database alone is not.
	for _, suffix := range []string{"", "-wal", "-shm"} {
		err := os.Rename(path+suffix, keepAs+suffix)
		if err == nil && suffix == "" {
			kept = keepAs
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return kept, fmt.Errorf("cannot keep the old database: %w", err)
		}
	}
	if err := os.Rename(fresh, path); err != nil {
		return kept, fmt.Errorf("cannot put the backup in place, the old database is %s: %w", keepAs, err)
	}
	syncDir(filepath.Dir(path))
	return kept, nil
}

// Make makes a database at path, where there is none, of what fill writes: whole, or not at
// all.
func Make(ctx context.Context, path string, fill func(*Store) error) error {
	if err := checkLog(path); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".lastseen-make-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fresh := filepath.Join(dir, "fresh")
	if err := finish(ctx, fresh, filepath.Dir(path), fill); err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	syncDir(filepath.Dir(path))
	return nil
}

// finish opens a database in the making, and closes it as one file that is whole and
// belongs to the owner of dir.
func finish(ctx context.Context, fresh, dir string, fill func(*Store) error) error {
	store, err := Open(ctx, fresh, true)
	if err != nil {
		return err
	}
	if err := errors.Join(fill(store), store.Close()); err != nil { // closing folds the -wal file in
		return err
	}
	// On a full disk SQLite closes without folding in, and without a word.
	if _, err := os.Stat(fresh + "-wal"); err == nil {
		return fmt.Errorf("what belongs to %s could not all be written: free some space there", fresh)
	}
	if _, err := Check(ctx, fresh); err != nil {
		return fmt.Errorf("look at the disk: %w", err)
	}
	if err := GiveTo(fresh, dir); err != nil {
		return fmt.Errorf("give the database to the owner of its directory: %w", err)
	}
	return nil
}
