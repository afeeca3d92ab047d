package app

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"lastseen/app/alert"
	"lastseen/db"
)

// How alerts are sent.
const (
	sendEvery     = 3 * time.Second
	alertsAnHour  = 5                // of an account; those beyond are summed up
	heldQuiet     = 30 * time.Second // none was held back for so long: then comes the summary
	heldAtMost    = 15 * time.Minute // or this long after the first
	heldBetween   = time.Hour        // between two summaries of one account
	waitingAtMost = 200              // for one target; the older half of more is summed up
	planAtMost    = 100              // at once
	targetsAtMost = 32               // that are sent to at once
	batchAtMost   = 20               // that one of them is sent in turn
	claimFor      = 30 * time.Second // a process that is killed meanwhile loses no more time
	giveUpAfter   = 24 * time.Hour
)

// sendAgainAfter is how long after so many failures the next try comes.
var sendAgainAfter = []time.Duration{20 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}

// AlertWork is how much waits to be sent, for the doctor and the metrics.
func (a *App) AlertWork(ctx context.Context) (db.AlertWork, error) {
	return a.store.AlertWork(ctx, a.now())
}

// AlertProblems are the last failures at targets that got nothing since, the newest
// first. Each names its target, and there are none of those that are gone.
func (a *App) AlertProblems(ctx context.Context) (problems []db.AlertProblem, err error) {
	targets, err := a.AlertTargets(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		if t.Problem.Problem != "" {
			problems = append(problems, t.Problem)
		}
	}
	stored, err := a.store.AlertProblems(ctx)
	for _, p := range stored {
		if strings.HasPrefix(p.Target, mailOf) {
			problems = append(problems, p)
		}
	}
	slices.SortStableFunc(problems, func(x, y db.AlertProblem) int { return y.Created.Compare(x.Created) })
	return problems, err
}

// keepAlerts sends what waits until ctx ends, each time that it has passed and when a sign-in
// is to be told of. What fails here is tried again, and holds up nothing else.
func (a *App) keepAlerts(ctx context.Context, every time.Duration) {
	var sending sync.WaitGroup
	defer sending.Wait()
	var mu sync.Mutex
	busy := map[string]bool{} // the targets that are being sent to
	tick := time.NewTicker(every)
	defer tick.Stop()
	var logged time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-a.toTell:
		}
		if a.Usable() != nil {
			continue
		}
		mu.Lock()
		var skip []string
		for target := range busy {
			skip = append(skip, target)
		}
		mu.Unlock()
		due, err := a.alertsDue(ctx, skip, targetsAtMost-len(skip))
		if err != nil && ctx.Err() == nil && time.Since(logged) > time.Minute {
			a.Log.Error("send alerts", "err", err)
			logged = time.Now()
		}
		for target, deliveries := range due {
			mu.Lock()
			busy[target] = true
			mu.Unlock()
			sending.Go(func() {
				a.deliver(ctx, target, deliveries)
				mu.Lock()
				delete(busy, target)
				mu.Unlock()
			})
		}
	}
}

// alertsDue plans what is new, and takes what is to be sent now, by target.
func (a *App) alertsDue(ctx context.Context, busy []string, targets int) (map[string][]db.Delivery, error) {
	work, err := a.store.AlertWork(ctx, a.now())
	if err != nil {
		return nil, err
	}
	if work.Held > 0 {
		if err := a.sumUp(ctx); err != nil {
			return nil, err
		}
	}
	planned, err := a.planAlerts(ctx)
	if err != nil {
		return nil, err
	}
	if planned > 0 {
		err := a.store.BoundDeliveries(ctx, waitingAtMost, func(n int) db.Alert {
			return *a.newAlert(0, alert.Facts{Type: alert.Summary, Time: a.now(), Count: n})
		})
		if err != nil {
			return nil, err
		}
	}
	if work.Due+planned == 0 || targets <= 0 {
		return nil, nil
	}
	now := a.now()
	claimed, err := a.store.ClaimDeliveries(ctx, now, now.Add(claimFor), busy, targets, batchAtMost)
	due := map[string][]db.Delivery{}
	for _, d := range claimed {
		due[d.Target] = append(due[d.Target], d)
	}
	return due, err
}

// sumUp makes summaries of what is held back.
func (a *App) sumUp(ctx context.Context) error {
	held, err := a.store.HeldAlerts(ctx)
	if err != nil {
		return err
	}
	names := map[int64]string{}
	for _, id := range held {
		user, err := a.store.User(ctx, id)
		if err != nil && !errors.Is(err, db.ErrNotFound) {
			return err
		}
		names[id] = user.Username
	}
	now := a.now()
	return a.store.SumUp(ctx, now.Add(-heldQuiet), now.Add(-heldAtMost), now.Add(-heldBetween), func(user int64, n int) db.Alert {
		return *a.newAlert(user, alert.Facts{Type: alert.Summary, Time: now, User: names[user], Count: n})
	})
}

// planAlerts decides to which targets goes what is new, and says how much that was.
func (a *App) planAlerts(ctx context.Context) (planned int, err error) {
	for {
		fresh, err := a.store.NewAlerts(ctx, planAtMost)
		if err != nil || len(fresh) == 0 {
			return planned, err
		}
		targets, err := a.AlertTargets(ctx)
		if err != nil {
			return planned, err
		}
		wants, err := a.wantMail(ctx, fresh)
		if err != nil {
			return planned, err
		}
		n, err := a.store.PlanAlerts(ctx, fresh, func(stored db.Alert, sent int) (to []string, hold bool) {
			kind := alert.Type(stored.Type)
			if sent >= alertsAnHour && kind != alert.Summary {
				return nil, true
			}
			for _, t := range targets {
				if gets(t.Types, kind) {
					to = append(to, t.ID)
				}
			}
			if types, ok := wants[stored.UserID]; ok && gets(types, kind) {
				to = append(to, mailOf+strconv.FormatInt(stored.UserID, 10))
			}
			return to, false
		})
		if planned += n; err != nil {
			return planned, err
		}
	}
}

// wantMail are the users whom alerts concern who get their own by mail, and which types.
func (a *App) wantMail(ctx context.Context, alerts []db.Alert) (map[int64][]alert.Type, error) {
	wants, asked := map[int64][]alert.Type{}, map[int64]bool{}
	for _, stored := range alerts {
		id := stored.UserID
		if a.Config.Mail == nil || id == 0 || asked[id] {
			continue
		}
		asked[id] = true
		user, err := a.store.User(ctx, id)
		if errors.Is(err, db.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		mail, types, err := a.AlertChoice(ctx, id)
		if err != nil {
			return nil, err
		}
		if _, able := mailTarget(user); able && mail {
			wants[id] = types
		}
	}
	return wants, nil
}

// deliver sends to one target in turn. When two in turn fail it is the target that is not
// well, and the others wait as if they had been tried.
func (a *App) deliver(ctx context.Context, id string, deliveries []db.Delivery) {
	until := time.Now().Add(claimFor - alert.SendWithin)
	failed := 0
	for i, d := range deliveries {
		if ctx.Err() != nil || time.Now().After(until) {
			return
		}
		target, err := a.resolve(ctx, id)
		var f alert.Facts
		if err == nil {
			err = json.Unmarshal(d.Alert.Content, &f)
		}
		if err == nil {
			err = a.sender().Send(ctx, target, a.message(d.Alert.UUID, f))
		}
		if ctx.Err() != nil {
			return
		}
		if err == nil || errors.Is(err, db.ErrNotFound) {
			failed = 0
			err = a.store.Delivered(ctx, d, a.now())
		} else {
			failed++
			tried := deliveries[i : i+1]
			if failed == 2 {
				tried = deliveries[i:]
			}
			err = a.notDelivered(ctx, id, tried, err)
		}
		if err != nil {
			a.Log.Error("note what became of an alert", "target", id, "err", err)
			return
		}
		if failed == 2 {
			return
		}
	}
}

// notDelivered notes that deliveries to one target failed.
func (a *App) notDelivered(ctx context.Context, target string, tried []db.Delivery, why error) error {
	now := a.now()
	tried = slices.Clone(tried)
	for i, d := range tried {
		if tried[i].Due = now.Add(sendAgainAfter[min(d.Attempts, len(sendAgainAfter)-1)]); tried[i].Due.After(d.Alert.Created.Add(giveUpAfter)) {
			tried[i].Due = time.Time{}
		}
	}
	a.Log.Warn("alert not sent", "target", target, "err", why, "given_up", tried[0].Due.IsZero())
	return a.store.NotDelivered(ctx, tried, db.AlertProblem{Target: target, Created: now, Problem: why.Error()})
}
