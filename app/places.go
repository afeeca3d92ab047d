package app

import (
	"context"
	"slices"
	"time"
)

// maxJudged is how many sessions, each of those that live and of those that history keeps,
// an account may have for its countries to be looked up: more are a program's, that signs
// in again and again. So a page of a hundred accounts takes a moment at most.
const maxJudged = 1000

// Countries are those where accounts were, as far as history goes back: of each account by
// the country's code, with the time at which the first session was signed in that was last
// used there. Where a session was before it moved on is not kept. There is nothing of an
// account with more than some thousand sessions.
func (a *App) Countries(ctx context.Context, users ...int64) (map[int64]map[string]time.Time, error) {
	if len(users) == 0 {
		return nil, nil
	}
	used, err := a.store.AccountIPs(ctx, users, maxJudged)
	if err != nil {
		return nil, err
	}
	all := map[int64]map[string]time.Time{}
	for _, u := range used {
		p := a.geo.Lookup(u.IP).Place
		if p == nil || p.Country == "" {
			continue
		}
		if all[u.UserID] == nil {
			all[u.UserID] = map[string]time.Time{}
		}
		if first, ok := all[u.UserID][p.Country]; !ok || u.First.Before(first) {
			all[u.UserID][p.Country] = u.First
		}
	}
	return all, nil
}

// MarkFirst marks those of the sessions that are their account's first from a country: when
// one was signed in, [App.Countries] knew of others, and not of this one.
func (a *App) MarkFirst(ctx context.Context, sessions ...*Session) error {
	var users []int64
	for _, sess := range sessions {
		if sess.country() != "" {
			users = append(users, sess.UserID)
		}
	}
	slices.Sort(users)
	countries, err := a.Countries(ctx, slices.Compact(users)...)
	if err != nil {
		return err
	}
	for _, sess := range sessions {
		from := countries[sess.UserID]
		if first, ok := from[sess.country()]; sess.country() == "" || ok && first.Before(sess.Created) {
			continue
		}
		for _, first := range from {
			sess.First = sess.First || first.Before(sess.Created)
		}
	}
	return nil
}

// country is the code of where a session is, "" when that is not known.
func (s *Session) country() string {
	if p := s.Location.Place; p != nil {
		return p.Country
	}
	return ""
}
