package postgres

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"lastseen/db/dbtest"
	"lastseen/db/pgtest"
)

// The lists of a million sessions, which are as those of SQLite's are. PostgreSQL has room
// for all of them in memory.
func BenchmarkSessions(b *testing.B) {
	server := pgtest.NewServer(b)
	server.Stop(syscall.SIGINT)
	if err := server.Start("shared_buffers=1GB"); err != nil {
		b.Fatal(err)
	}
	s, err := Open(b.Context(), server.URL, Options{Migrate: true})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	const many = 1_000_000
	now := time.Date(2026, 11, 3, 9, 30, 0, 0, time.UTC)
	err = s.transactLong(b.Context(), func(ctx context.Context, q querier) error {
		_, err := q.conn.do(ctx, fmt.Sprintf(`
			INSERT INTO users (uuid, username, folded, password_hash, created, updated, password_changed)
				SELECT gen_random_uuid(), name, name, '', 0, 0, 0 FROM (SELECT format('%%s.%%s%%s', substr('adaalanbobeveianjoekimleomiazoe', 1 + i %% 11 * 3, 3),
					substr('lovelaceturinghopperjohnsonknuthliskov', 1 + i %% 31, 7), i) AS name FROM generate_series(1, 100000) i) n;
			INSERT INTO user_agents (string, definitions, kind, browser, browser_major, browser_minor, browser_patch, os, os_major, os_minor, os_patch, os_patch_minor, device, device_brand, device_model)
				SELECT CASE i %% 4
					WHEN 0 THEN format('Mozilla/5.0 (X11; Linux x86_64; rv:%%1$s.%%2$s) Gecko/20100101 Firefox/%%1$s.%%2$s', i %% 200, i / 200)
					WHEN 1 THEN format('Mozilla/5.0 (iPhone; CPU iPhone OS 18_%%1$s like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.%%1$s Mobile/15E%%2$s Safari/604.1', i %% 10, i)
					WHEN 2 THEN format('Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%%s.0.%%s.0 Safari/537.36', i %% 150, i)
					ELSE format('curl/8.%%s.%%s', i %% 20, i) END, '', CASE i %% 4 WHEN 1 THEN 'phone' WHEN 3 THEN 'script' ELSE 'desktop' END,
					'', '', '', '', '', '', '', '', '', '', '', '' FROM generate_series(0, 4999) i;
			INSERT INTO sessions (uuid, token_hash, user_id, agent_id, last_ip, method, created, last_used, ends, expires)
				SELECT gen_random_uuid(), sha256(i::text::bytea), 1 + floor(99999 * r * r), 1 + floor(4999 * q * q * q),
					CASE p %% 7 WHEN 0 THEN format('2001:db8:%%s:%%s::%%s', to_hex(p %% 1000), to_hex(p %% 311), to_hex(p %% 100))
						ELSE format('%%s.%%s.%%s.7', 20 + p %% 300000 %% 100, p %% 300000 / 100 %% 200, p %% 300000 / 20000) END,
					'password', now - 14 * 86400000000 + p * 1000000, now - p * 1000000 / 2 - i %% 1000, now + p * 1000000, now + p * 1000000 - 100000000
				FROM (SELECT i, i * 7919 %% 1000003 / 1000003::float8 AS r, i * 104729 %% 999983 / 999983::float8 AS q, i * 15485863 %% 999979 AS p, %d AS now
					FROM generate_series(1, %d::bigint) i) random`, now.UnixMicro(), many))
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	for range 2 { // what the first one finds to be committed, the second one marks as seen by all
		run(b, s, `VACUUM ANALYZE`)
	}
	dbtest.BenchmarkSessions(b, s, many, now)
}
