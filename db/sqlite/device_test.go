package sqlite

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"lastseen/db"
	"lastseen/schema"

	"github.com/google/uuid"
)

// Sessions from before there were devices go on, without one until they get it.
func TestDevicesAfterAnUpgrade(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lastseen.db")
	old, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if err := migrateTo(old, schema.SQLite, 6); err != nil {
		t.Fatal(err)
	}
	lives, over, user := uuid.New(), uuid.New(), uuid.New()
	for _, row := range []struct {
		statement string
		args      []any
	}{
		{`INSERT INTO users (id, uuid, username, folded, password_hash, created, updated, password_changed) VALUES (1, $1, 'ada', 'ada', 'x', 1, 1, 1)`, []any{user[:]}},
		{`INSERT INTO user_agents (id, string, definitions, kind, browser, browser_major, browser_minor, browser_patch, os, os_major, os_minor, os_patch, os_patch_minor, device, device_brand, device_model)
			VALUES (1, 'x', '1', 'phone', 'Safari', '', '', '', 'iOS', '', '', '', '', '', '', '')`, nil},
		{`INSERT INTO sessions (uuid, token_hash, user_id, agent_id, last_ip, method, created, last_used, ends, expires) VALUES ($1, x'01', 1, 1, '192.0.2.1', 'password', 5, 5, 9, 9)`, []any{lives[:]}},
		{`INSERT INTO ended_sessions (uuid, user_id, agent_id, last_ip, via, method, remember, created, last_used, ends, expires, ended, reason, ended_by)
			VALUES ($1, 1, 1, '192.0.2.1', '', 'password', 0, 5, 5, 9, 9, 6, 'revoked', '')`, []any{over[:]}},
	} {
		if _, err := old.ExecContext(t.Context(), row.statement, row.args...); err != nil {
			t.Fatal(err)
		}
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), path, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if found, err := s.SessionDevices(t.Context(), []uuid.UUID{lives, over}); err != nil || len(found) != 0 {
		t.Errorf("devices of sessions from before: %v, %v", found, err)
	}
	client := db.Client{Browser: "Safari", OS: "iOS", Kind: "phone"}
	if h, err := s.SignInHistory(t.Context(), 1, []byte("new"), client); err != nil || h.Device || !h.Client {
		t.Errorf("what was known before: got %+v, %v", h, err)
	}
	if _, err := s.SessionByUUID(lives); err != nil {
		t.Error(err)
	}
	if err := s.SetSessionDevice(t.Context(), lives, []byte("new"), client); err != nil {
		t.Fatal(err)
	}
	if found, err := s.SessionDevices(t.Context(), []uuid.UUID{lives, over}); err != nil || len(found) != 1 || found[lives].Browser != "Safari" {
		t.Errorf("got %v, %v", found, err)
	}
	if err := s.SetSessionDevice(t.Context(), over, []byte("new"), client); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("one that has ended: got %v, want db.ErrNotFound", err)
	}
}
