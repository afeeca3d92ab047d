package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"lastseen/db"
)

const agentColumns = `a.string, a.definitions, a.kind, a.browser, a.browser_major, a.browser_minor, a.browser_patch,
	a.os, a.os_major, a.os_minor, a.os_patch, a.os_patch_minor, a.device, a.device_brand, a.device_model`

func agentFields(a *db.Agent) []any {
	return []any{&a.String, &a.Definitions, &a.Kind, &a.Browser, &a.BrowserMajor, &a.BrowserMinor, &a.BrowserPatch,
		&a.OS, &a.OSMajor, &a.OSMinor, &a.OSPatch, &a.OSPatchMinor, &a.Device, &a.DeviceBrand, &a.DeviceModel}
}

// Agent is the user agent of a session's AgentID.
func (s *Store) Agent(ctx context.Context, id int64) (*db.Agent, error) {
	agent := new(db.Agent)
	err := s.read.QueryRowContext(ctx, `SELECT `+agentColumns+` FROM user_agents a WHERE a.id = $1`, id).Scan(agentFields(agent)...)
	return agent, s.err(err)
}

// agentID is the row of an agent, stored or brought up to newer definitions if need be.
func agentID(ctx context.Context, tx *sql.Tx, a *db.Agent) (id int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT id FROM user_agents WHERE string = $1 AND definitions = $2`, a.String, a.Definitions).Scan(&id)
	if !errors.Is(err, sql.ErrNoRows) {
		return id, err
	}
	err = tx.QueryRowContext(ctx, `INSERT INTO user_agents
		(string, definitions, kind, browser, browser_major, browser_minor, browser_patch,
			os, os_major, os_minor, os_patch, os_patch_minor, device, device_brand, device_model)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
		ON CONFLICT (string) DO UPDATE SET definitions = excluded.definitions, kind = excluded.kind,
			browser = excluded.browser, browser_major = excluded.browser_major, browser_minor = excluded.browser_minor,
			browser_patch = excluded.browser_patch, os = excluded.os, os_major = excluded.os_major, os_minor = excluded.os_minor,
			os_patch = excluded.os_patch, os_patch_minor = excluded.os_patch_minor, device = excluded.device,
			device_brand = excluded.device_brand, device_model = excluded.device_model
		RETURNING id`,
		a.String, a.Definitions, a.Kind, a.Browser, a.BrowserMajor, a.BrowserMinor, a.BrowserPatch,
		a.OS, a.OSMajor, a.OSMinor, a.OSPatch, a.OSPatchMinor, a.Device, a.DeviceBrand, a.DeviceModel).Scan(&id)
	return id, err
}

// StaleAgents are up to limit agent strings that other definitions parsed.
func (s *Store) StaleAgents(ctx context.Context, definitions string, limit int) ([]string, error) {
	found, err := queryAll(ctx, s.read, whole[string], `SELECT string FROM user_agents WHERE definitions < $1 OR definitions > $1 LIMIT $2`, definitions, limit)
	return found, s.err(err)
}

// StoreAgents keeps what newer definitions say of agents.
func (s *Store) StoreAgents(ctx context.Context, agents []*db.Agent) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		for _, a := range agents {
			if _, err := agentID(ctx, tx, a); err != nil {
				return err
			}
		}
		return nil
	})
}
