package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lastseen/app"
	"lastseen/app/useragent"
	"lastseen/db/sqlite"
	"lastseen/geoip/sample"

	"github.com/google/uuid"
	_ "modernc.org/sqlite"
)

// dataVersion changes with what makeData makes.
const dataVersion = "4"

// A shape is how many sessions there are, of how many users, with how many distinct
// User-Agent headers.
type shape struct{ sessions, users, agents int }

// shapeOf is the usual one of n sessions.
func shapeOf(n int) shape {
	many := max(10, n/20)
	return shape{n, many, min(5000, many)}
}

// token and sessionUUID name the session number i, from 1; the load scripts
// write the same.
func token(i int) string { return fmt.Sprintf("bench-token-%08d", i) }

func sessionUUID(i int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("%08d-0000-4000-8000-%012d", i*48271%100_000_000, i))
}

// address and agentOf say where session number i is used, so that the load can
// come from there. A few agents have most of the sessions.
func address(i int) string {
	return fmt.Sprintf("86.%d.%d.%d", 128+i%16, i/16%256, i/4096%256) // which the sample databases know
}

func agentOf(i, agents int) int {
	x := float64(i*7919%100_000) / 100_000
	return int(x * x * x * float64(agents))
}

// data is a data directory of a shape, made when there is none in the
// cache yet. Nobody may write to it: see copyData.
func data(ctx context.Context, cache string, s shape) (dir string, err error) {
	dir = filepath.Join(cache, fmt.Sprintf("%d-%d-%d-%s", s.sessions, s.users, s.agents, dataVersion))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	fmt.Fprintf(os.Stderr, "making %d sessions in %s\n", s.sessions, dir)
	unfinished := dir + ".new"
	if err := os.RemoveAll(unfinished); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Join(unfinished, "geoip"), 0o700); err != nil {
		return "", err
	}
	err = errors.Join(
		os.WriteFile(filepath.Join(unfinished, "geoip", "GeoLite2-City.mmdb"), sample.City, 0o600),
		os.WriteFile(filepath.Join(unfinished, "geoip", "GeoLite2-ASN.mmdb"), sample.ASN, 0o600),
		makeData(ctx, app.DatabasePath(unfinished), s),
	)
	if err != nil {
		return "", err
	}
	return dir, os.Rename(unfinished, dir)
}

func makeData(ctx context.Context, path string, s shape) error {
	store, err := sqlite.Open(ctx, path, true) // migrates
	if err != nil {
		return err
	}
	defer store.Close()
	pool, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)&_pragma=synchronous(OFF)&_pragma=cache_size(-1000000)")
	if err != nil {
		return err
	}
	defer pool.Close()
	pool.SetMaxOpenConns(1)
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	restore, err := takeOff(ctx, tx)
	if err != nil {
		return err
	}
	if err := errors.Join(fillUsers(ctx, tx, s.users), fillAgents(ctx, tx, s.agents), fillSessions(ctx, tx, s)); err != nil {
		return err
	}
	restore = append(restore, `INSERT INTO session_hosts SELECT uuid, 'app.bench.example', created, last_used FROM sessions`, `UPDATE user_agents SET sessions = (SELECT count(*) FROM sessions WHERE agent_id = user_agents.id)`,
		`UPDATE users SET sessions = (SELECT count(*) FROM sessions WHERE user_id = users.id)`, `UPDATE session_total SET sessions = (SELECT count(*) FROM sessions)`,
		`INSERT INTO settings (name, value) VALUES ('session_idle', '0s')`) // or the first start looks at each session
	for _, statement := range restore {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%w in %s", err, statement)
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	for _, pragma := range []string{`PRAGMA analysis_limit = 1000`, `PRAGMA optimize(0x10002)`, `PRAGMA wal_checkpoint(TRUNCATE)`} {
		if _, err := pool.ExecContext(ctx, pragma); err != nil {
			return err
		}
	}
	return nil
}

// takeOff drops the indexes and the counting triggers of sessions, and returns
// what makes them anew: at once is quicker than row by row.
func takeOff(ctx context.Context, tx *sql.Tx) (restore []string, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT type, name, sql FROM sqlite_master
		WHERE tbl_name = 'sessions' AND sql IS NOT NULL AND (type = 'index' OR name LIKE 'sessions_begun%')`)
	if err != nil {
		return nil, err
	}
	var drop []string
	for rows.Next() {
		var kind, name, ddl string
		if err := rows.Scan(&kind, &name, &ddl); err != nil {
			return nil, err
		}
		drop, restore = append(drop, `DROP `+kind+` `+name), append(restore, ddl)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	for _, statement := range drop {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return nil, err
		}
	}
	return restore, nil
}

func fillUsers(ctx context.Context, tx *sql.Tx, users int) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO groups (uuid, name) VALUES (randomblob(16), 'family'), (randomblob(16), 'friends')`)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < $1)
		INSERT INTO users (uuid, username, folded, name, password_hash, created, updated, password_changed)
		SELECT randomblob(16), name, name, '', '', 0, 0, 0 FROM (SELECT printf('%s.%s%d',
			substr('adaalanbobeveianjoekimleomiazoe', 1 + i % 11 * 3, 3), substr('lovelaceturinghopperjohnsonknuthliskov', 1 + i % 31, 7), i) AS name FROM n)`, users)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO user_groups (user_id, group_id) SELECT u.id, g.id FROM users u, groups g WHERE (u.id + g.id) % 3 > 0`)
	return err
}

// agent is the User-Agent header number i.
func agent(i int) string {
	switch i % 4 {
	case 0:
		return fmt.Sprintf("Mozilla/5.0 (X11; Linux x86_64; rv:%d.%d) Gecko/20100101 Firefox/%[1]d.%[2]d", 100+i%60, i)
	case 1:
		return fmt.Sprintf("Mozilla/5.0 (iPhone; CPU iPhone OS 18_%d like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.%[1]d Mobile/15E%d Safari/604.1", i%10, i)
	case 2:
		return fmt.Sprintf("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.%d.0 Safari/537.36", 100+i%50, i)
	default:
		return fmt.Sprintf("curl/8.%d.%d", i%20, i)
	}
}

func fillAgents(ctx context.Context, tx *sql.Tx, agents int) error {
	parser, err := useragent.New()
	if err != nil {
		return err
	}
	for i := range agents {
		text := agent(i)
		p := parser.Parse(text)
		_, err := tx.ExecContext(ctx, `INSERT INTO user_agents (id, string, definitions, kind, browser, browser_major, browser_minor, browser_patch,
			os, os_major, os_minor, os_patch, os_patch_minor, device, device_brand, device_model)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`, i+1, text, parser.Version(), p.Kind, p.Browser,
			p.BrowserMajor, p.BrowserMinor, p.BrowserPatch, p.OS, p.OSMajor, p.OSMinor, p.OSPatch, p.OSPatchMinor, p.Device, p.DeviceBrand, p.DeviceModel)
		if err != nil {
			return err
		}
	}
	return nil
}

// fillSessions makes sessions of users that are chosen by the square of a random
// number, so that a few have most.
func fillSessions(ctx context.Context, tx *sql.Tx, s shape) error {
	insert, err := tx.PrepareContext(ctx, `INSERT INTO sessions
		(uuid, token_hash, user_id, agent_id, last_ip, via, method, created, last_used, ends, expires)
		VALUES ($1, $2, $3, $4, $5, '127.0.0.1', 'password', $6, $7, $8, $8)`)
	if err != nil {
		return err
	}
	defer insert.Close()
	random := rand.New(rand.NewPCG(7, 7))
	now := time.Now()
	for i := 1; i <= s.sessions; i++ {
		id, hash := sessionUUID(i), sha256.Sum256([]byte(token(i)))
		r := random.Float64()
		used := now.Add(-time.Duration(random.Int64N(int64(14 * 24 * time.Hour))))
		_, err := insert.ExecContext(ctx, id[:], hash[:], 1+int(r*r*float64(s.users)), 1+agentOf(i, s.agents), address(i),
			used.Add(-time.Hour).UnixMicro(), used.UnixMicro(), now.AddDate(10, 0, 0).UnixMicro()+random.Int64N(1e15))
		if err != nil {
			return err
		}
	}
	return nil
}

// copyData copies a data directory, for a server to write to.
func copyData(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if entry.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		in, err := os.Open(path)
		if err != nil {
			return err
		}
		defer in.Close()
		out, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, in)
		return errors.Join(err, out.Close())
	})
}
