package sqlite

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lastseen/db/dbtest"
	"lastseen/schema"
)

// What openMillion's store holds. Users and agents are chosen by the square and
// the cube of a random number, so that a few have most of the sessions.
const (
	manySessions  = 1_000_000
	manyUsers     = 100_000
	manyAgents    = 5_000
	manyAddresses = 300_000
)

// manyNow is when the many sessions are looked at: a few have just expired.
var manyNow = time.Date(2026, 11, 3, 9, 30, 0, 0, time.UTC)

// openMillion opens a store of a million sessions. The first time, that makes a
// file of 700 MB in the user's cache, in about half a minute.
func openMillion(tb testing.TB) *Store {
	tb.Helper()
	ddl, err := schema.SQLite.ReadFile("sqlite/0001_sessions.up.sql")
	if err != nil {
		tb.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		tb.Skipf("no folder to keep a million sessions in: %v", err)
	}
	sum := sha256.Sum256(append(ddl, manyVersion...))
	dir := filepath.Join(cache, "lastseen-test", "million-"+hex.EncodeToString(sum[:6]))
	path := filepath.Join(dir, "million.db")
	if _, err := os.Stat(path); err != nil {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			tb.Fatal(err)
		}
		start := time.Now()
		if err := makeMillion(path + ".new"); err != nil {
			tb.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			tb.Fatal(err)
		}
		tb.Logf("made %s in %s", path, time.Since(start).Round(time.Second))
	}
	s, err := Open(tb.Context(), path, true)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

// manyVersion changes with what makeMillion makes.
const manyVersion = "2"

func makeMillion(path string) error {
	ctx := context.Background()
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		if err := os.RemoveAll(name); err != nil {
			return err
		}
	}
	s, err := Open(ctx, path, true)
	if err != nil {
		return err
	}
	defer s.Close()
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var drop, restore []string // indexes and counters, which are made at once afterwards
	rows, err := conn.QueryContext(ctx, `SELECT type, name, sql FROM sqlite_master
		WHERE tbl_name = 'sessions' AND sql IS NOT NULL AND (type = 'index' OR name LIKE 'sessions_begun%')`)
	if err != nil {
		return err
	}
	for rows.Next() {
		var kind, name, ddl string
		if err := rows.Scan(&kind, &name, &ddl); err != nil {
			return err
		}
		drop, restore = append(drop, `DROP `+kind+` `+name), append(restore, ddl)
	}
	if err := rows.Close(); err != nil {
		return err
	}
	run := func(query string, args ...any) {
		if err == nil {
			if _, err = conn.ExecContext(ctx, query, args...); err != nil {
				err = fmt.Errorf("%w in %s", err, query)
			}
		}
	}
	run(`PRAGMA synchronous = OFF`)
	run(`PRAGMA cache_size = -400000`)
	run(`BEGIN`)
	for _, statement := range drop {
		run(statement)
	}
	run(`WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < $1)
		INSERT INTO users (id, uuid, username, folded, password_hash, created, updated, password_changed)
		SELECT i, randomblob(16), name, name, '', 0, 0, 0
		FROM (SELECT i, printf('%s.%s%d', substr('adaalanbobeveianjoekimleomiazoe', 1 + i % 11 * 3, 3), substr('lovelaceturinghopperjohnsonknuthliskov', 1 + i % 31, 7), i) AS name FROM n)`, manyUsers)
	for i := range manyAgents {
		agent := fmt.Sprintf("Mozilla/5.0 (X11; Linux x86_64; rv:%d.%d) Gecko/20100101 Firefox/%[1]d.%[2]d", i%200, i/200)
		kind := "desktop"
		switch i % 4 {
		case 1:
			agent = fmt.Sprintf("Mozilla/5.0 (iPhone; CPU iPhone OS 18_%d like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.%[1]d Mobile/15E%d Safari/604.1", i%10, i)
			kind = "phone"
		case 2:
			agent = fmt.Sprintf("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.%d.0 Safari/537.36", i%150, i)
		case 3:
			agent, kind = fmt.Sprintf("curl/8.%d.%d", i%20, i), "script"
		}
		run(`INSERT INTO user_agents (id, string, definitions, kind, browser, browser_major, browser_minor, browser_patch, os, os_major, os_minor, os_patch,
			os_patch_minor, device, device_brand, device_model) VALUES ($1, $2, '', $3, '', '', '', '', '', '', '', '', '', '', '', '')`, i+1, agent, kind)
	}
	// r, q and p are three numbers from 0 to 1 that know nothing of each other.
	run(`WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < $1),
		random AS (SELECT i, i * 7919 % 1000003 / 1000003.0 AS r, i * 104729 % 999983 / 999983.0 AS q, i * 15485863 % 999979 AS p FROM n)
		INSERT INTO sessions (id, uuid, token_hash, user_id, agent_id, last_ip, method, created, last_used, ends, expires)
		SELECT i, randomblob(16), randomblob(32), 1 + CAST($2 * r * r AS INTEGER), 1 + CAST($3 * q * q * q AS INTEGER),
			CASE p % 7 WHEN 0 THEN printf('2001:db8:%x:%x::%x', p % 1000, p % 311, p % 100)
				ELSE printf('%d.%d.%d.%d', 20 + p % $4 % 100, p % $4 / 100 % 200, p % $4 / 20000, 7) END,
			'password', $5 - 14 * 86400000000 + p * 1000000, $5 - p * 1000000 / 2 - i % 1000, $5 + p * 1000000, $5 + p * 1000000 - 100000000
		FROM random`, manySessions, manyUsers-1, manyAgents-1, manyAddresses, manyNow.UnixMicro())
	for _, statement := range restore {
		run(statement)
	}
	run(`UPDATE session_total SET sessions = (SELECT count(*) FROM sessions)`)
	run(`UPDATE user_agents SET sessions = (SELECT count(*) FROM sessions WHERE agent_id = user_agents.id)`)
	run(`UPDATE users SET sessions = (SELECT count(*) FROM sessions WHERE user_id = users.id)`)
	run(`COMMIT`)
	run(`PRAGMA analysis_limit = 1000`)
	run(`PRAGMA optimize(0x10002)`)
	run(`PRAGMA wal_checkpoint(TRUNCATE)`)
	return err
}

func BenchmarkSessions(b *testing.B) {
	dbtest.BenchmarkSessions(b, openMillion(b), manySessions, manyNow)
}
