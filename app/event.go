package app

import (
	"context"
	"maps"
	"net/netip"
	"time"

	"lastseen/app/useragent"
	"lastseen/db"
)

// Events is one page of what the filter chooses among the events that the
// caller may see, and how many there are in all.
func (a *App) Events(ctx context.Context, caller Caller, f db.EventFilter) ([]db.Event, int, error) {
	if caller.User.Superuser {
		return a.store.Events(ctx, f)
	}
	f.Subject = caller.User.ID
	events, total, err := a.store.Events(ctx, f)
	for i := range events {
		if e := &events[i]; e.ActorID != caller.User.ID && e.Action != db.LoginFailed {
			e.IP, e.Email = netip.Addr{}, "" // what others did to them is theirs to know, not who these are
			e.Context = maps.Clone(e.Context)
			delete(e.Context, "http_request")
		}
	}
	return events, total, err
}

// CountEvents counts the same events by action and span, which begins at a
// multiple of itself since 1970.
func (a *App) CountEvents(ctx context.Context, caller Caller, f db.EventFilter, span time.Duration) ([]db.EventCount, error) {
	if !caller.User.Superuser {
		f.Subject = caller.User.ID
	}
	return a.store.CountEvents(ctx, f, span, time.UnixMicro(0))
}

// EventsPerDay counts the events of an action that the caller may see in each
// of so many spans of 24 hours, of which the last ends now. The oldest is first.
func (a *App) EventsPerDay(ctx context.Context, caller Caller, action db.Action, days int) ([]db.EventCount, error) {
	const day = 24 * time.Hour
	start := a.now().Add(time.Duration(-days) * day)
	f := db.EventFilter{Actions: []db.Action{action}, Since: start}
	if !caller.User.Superuser {
		f.Subject = caller.User.ID
	}
	counted, err := a.store.CountEvents(ctx, f, day, start)
	if err != nil {
		return nil, err
	}
	counts := make([]db.EventCount, days)
	for i := range counts {
		counts[i] = db.EventCount{Action: action, Time: start.Add(time.Duration(i) * day)}
	}
	for _, c := range counted {
		// What happened this very microsecond begins the next span: it is of today.
		counts[min(int(c.Time.Sub(start)/day), days-1)].Count += c.Count
	}
	return counts, nil
}

// Title is what people call the client of an agent and its device or system, such as
// "Firefox 140" and "Linux"; either is "" when unknown.
func Title(a *db.Agent) (client, system string) {
	return useragent.Title(a.String, useragent.Agent(a.AgentParts))
}

// EventAgent is what is known of the client that an event tells of, which asked or whose
// session was ended; its String is "" when it tells of none.
func (a *App) EventAgent(e db.Event) *db.Agent {
	header, ok := e.Context["user_agent"].(string)
	if request, _ := e.Context["http_request"].(map[string]any); !ok {
		header, _ = request["user_agent"].(string)
	}
	return a.live.Agent(header)
}

// Agent is what a User-Agent header says.
func (a *App) Agent(header string) *db.Agent { return a.live.Agent(header) }
