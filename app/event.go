package app

import (
	"context"
	"time"

	"lastseen/db"
)

// Events is one page of what the filter chooses among the events that the
// caller may see, and how many there are in all.
func (a *App) Events(ctx context.Context, caller Caller, f db.EventFilter) ([]db.Event, int, error) {
	if !caller.User.Superuser {
		f.Subject = caller.User.ID
	}
	return a.store.Events(ctx, f)
}

// CountEvents counts the same events by action and span, which begins at a
// multiple of itself since 1970.
func (a *App) CountEvents(ctx context.Context, caller Caller, f db.EventFilter, span time.Duration) ([]db.EventCount, error) {
	if !caller.User.Superuser {
		f.Subject = caller.User.ID
	}
	return a.store.CountEvents(ctx, f, span)
}
