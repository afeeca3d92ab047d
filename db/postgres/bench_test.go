package postgres

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"lastseen/db"
	"lastseen/db/dbtest"

	"github.com/google/uuid"
)

// fill makes sessions, of users with two groups each, by the hundred.
func fill(b *testing.B, s *Store, sessions int) (tokens [][]byte) {
	b.Helper()
	for i := range max(1, sessions/100) {
		name := fmt.Sprintf("user-%d", i)
		_, err := s.CreateUser(b.Context(), db.User{UUID: uuid.New(), Username: name, Active: true, Created: dbtest.Start, Groups: []db.Group{{Name: "family"}, {Name: "media"}}}, false,
			func(db.User) db.Event { return dbtest.Event(db.ModelCreated) })
		if err != nil {
			b.Fatal(err)
		}
	}
	run(b, s, `INSERT INTO user_agents (string, definitions, kind, browser, browser_major, browser_minor, browser_patch, os, os_major, os_minor, os_patch, os_patch_minor, device, device_brand, device_model)
		SELECT 'agent ' || n, '1', CASE n % 3 WHEN 0 THEN 'phone' ELSE 'desktop' END, '', '', '', '', '', '', '', '', '', '', '', '' FROM generate_series(1, 200) n`)
	run(b, s, `INSERT INTO sessions (uuid, token_hash, user_id, agent_id, last_ip, method, created, last_used, ends, expires)
			SELECT gen_random_uuid(), sha256(n::text::bytea), (SELECT min(id) FROM users) + n % $2, (SELECT min(id) FROM user_agents) + n % 200, '192.0.2.' || n % 250, 'password', $3::bigint, $3::bigint + n, $3::bigint + 1e13, $3::bigint + 1e13
			FROM generate_series(1, $1) n`, sessions, max(1, sessions/100), dbtest.Start.UnixMicro())
	run(b, s, `VACUUM ANALYZE`)
	var found [][]byte
	err := s.once(b.Context(), time.Now().Add(time.Minute), func(ctx context.Context, q querier) (err error) {
		found, err = rows(ctx, q, column[[]byte], `SELECT token_hash FROM sessions LIMIT 1000`)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return found
}

// A question beside the shortest round trip that there is.
func BenchmarkAsk(b *testing.B) {
	s := open(b, template.New(b))
	tokens := fill(b, s, 100_000)
	b.Run("floor", func(b *testing.B) {
		for b.Loop() {
			var one int
			err := s.once(context.Background(), time.Now().Add(time.Minute), func(ctx context.Context, q querier) error { return q.row(ctx, `SELECT 1`).Scan(&one) })
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("two sessions", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			answers, _, err := s.Ask(context.Background(), []db.Question{{Token: tokens[i%len(tokens)]}, {Token: tokens[(i+1)%len(tokens)]}})
			if err != nil || !answers[0].Found {
				b.Fatal(err)
			}
		}
	})
	b.Run("session", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			answers, _, err := s.Ask(context.Background(), []db.Question{{Token: tokens[i%len(tokens)]}})
			if err != nil || !answers[0].Found {
				b.Fatal(err)
			}
		}
	})
}

// What gathered uses cost, and how many rows went to a place in their own page.
func BenchmarkRecordUses(b *testing.B) {
	for _, idle := range []time.Duration{0, time.Hour} {
		b.Run(fmt.Sprintf("idle=%v", idle), func(b *testing.B) {
			s := open(b, template.New(b))
			fill(b, s, 100_000)
			var all []db.Use
			err := s.once(b.Context(), time.Now().Add(time.Minute), func(ctx context.Context, q querier) (err error) {
				all, err = rows(ctx, q, func(u *db.Use) []any { return []any{&u.Session, &u.UUID} }, `SELECT id, uuid FROM sessions ORDER BY id LIMIT 20000`)
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
			at := dbtest.Start.Add(time.Hour)
			for b.Loop() {
				at = at.Add(time.Minute)
				for i := range all {
					all[i].At = at
				}
				if err := s.RecordUses(b.Context(), slices.Values(all), idle); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(len(all)), "µs/use")
			s.pool.reset() // connections report what they did when they end
			time.Sleep(time.Second)
			var updated, hot float64
			err = s.once(b.Context(), time.Now().Add(time.Minute), func(ctx context.Context, q querier) error {
				return q.row(ctx, `SELECT n_tup_upd::float8, n_tup_hot_upd::float8 FROM pg_stat_user_tables WHERE relname = 'sessions'`).Scan(&updated, &hot)
			})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(100*hot/updated, "%hot")
		})
	}
}
