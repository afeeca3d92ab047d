package live

import (
	"context"

	"lastseen/app/useragent"
	"lastseen/db"
)

// Agent is what the definitions say of a User-Agent header, parsed once for many
// requests.
func (c *Cache) Agent(header string) *db.Agent {
	header = useragent.Clean(header)
	c.mu.Lock()
	agent := c.agentsByHeader[header]
	c.mu.Unlock()
	if agent != nil {
		return agent
	}
	agent = c.ParseAgent(header)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keepAgent(agent)
}

// ParseAgent is Agent, parsed now and kept nowhere.
func (c *Cache) ParseAgent(header string) *db.Agent {
	header = useragent.Clean(header)
	return &db.Agent{String: header, Definitions: c.parser.Version(), AgentParts: db.AgentParts(c.parser.Parse(header))}
}

// agentByID is a stored agent, brought up to the definitions.
func (c *Cache) agentByID(ctx context.Context, id int64) (*db.Agent, error) {
	if c.shared != nil {
		return c.sharedAgent(ctx, id)
	}
	return cached(c,
		func() (*db.Agent, bool) { a, ok := c.agentsByID[id]; return a, ok },
		func() (*db.Agent, error) { return c.readAgent(ctx, id) },
		func(a *db.Agent) {
			makeRoom(c.agentsByID, c.bounds.Agents)
			c.agentsByID[id] = a
		})
}

func (c *Cache) readAgent(ctx context.Context, id int64) (*db.Agent, error) {
	stored, err := c.store.Agent(ctx, id)
	if err != nil {
		return nil, err
	}
	if stored.Definitions == c.parser.Version() {
		stored.Definitions = c.parser.Version() // the one string that all share
	} else {
		stored = c.ParseAgent(stored.String)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keepAgent(stored), nil
}

// keepAgent keeps an agent by its header, and returns the one that all sessions share.
// c.mu is held.
func (c *Cache) keepAgent(agent *db.Agent) *db.Agent {
	if shared := c.agentsByHeader[agent.String]; shared != nil && *shared == *agent {
		return shared
	}
	agent = compact(*agent)
	makeRoom(c.agentsByHeader, c.bounds.Agents)
	c.agentsByHeader[agent.String] = agent
	return agent
}

// compact is an agent whose parts are in one place, in the order in which they are shown:
// one object for the garbage collector, and quicker to read.
func compact(a db.Agent) *db.Agent {
	parts := [...]*string{&a.DeviceBrand, &a.Device, &a.DeviceModel, &a.OS, &a.OSMajor, &a.OSMinor, &a.OSPatch, &a.OSPatchMinor,
		&a.Browser, &a.BrowserMajor, &a.BrowserMinor, &a.BrowserPatch, &a.String, &a.Kind}
	var all []byte
	for _, part := range parts {
		all = append(all, *part...)
	}
	rest := string(all)
	for _, part := range parts {
		*part, rest = rest[:len(*part)], rest[len(*part):]
	}
	return &a
}
