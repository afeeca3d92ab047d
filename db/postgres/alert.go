package postgres

import (
	"context"
	"errors"
	"time"

	"lastseen/db"
)

// insertAlert stores an alert that nobody was told of yet.
func insertAlert(ctx context.Context, q querier, a db.Alert) (id int64, err error) {
	err = q.row(ctx, `INSERT INTO alerts (uuid, type, user_id, created, number, state, content) VALUES ($1::uuid, $2, $3, $4, $5, 'new', $6) RETURNING id`,
		a.UUID, a.Type, a.UserID, micros(a.Created), max(a.Number, 1), string(a.Content)).Scan(&id)
	return id, err
}

const alertColumns = `a.id, a.uuid, a.type, a.user_id, a.created, a.number, a.content`

func alertFields(a *db.Alert) []any {
	return []any{&a.ID, &a.UUID, &a.Type, &a.UserID, timeColumn{&a.Created}, &a.Number, &a.Content}
}

// NewAlerts are up to limit alerts that are not planned, the oldest first.
func (s *Store) NewAlerts(ctx context.Context, limit int) (found []db.Alert, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) (err error) {
		found, err = rows(ctx, q, alertFields, `SELECT `+alertColumns+` FROM alerts a WHERE a.state = 'new' ORDER BY a.id LIMIT $1`, limit)
		return err
	})
	return found, err
}

// HeldAlerts are the users of alerts that are held back.
func (s *Store) HeldAlerts(ctx context.Context) (users []int64, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) (err error) {
		users, err = rows(ctx, q, column[int64], `SELECT DISTINCT user_id FROM alerts WHERE state = 'held'`)
		return err
	})
	return users, err
}

// PlanAlerts asks plan for the targets that each of these alerts goes to, but those that
// are not new any more; sent says how many of its account were planned within the hour
// before it. An alert that plan holds back waits for SumUp. It returns how many there
// were. An alert is planned once, however many processes call this.
func (s *Store) PlanAlerts(ctx context.Context, alerts []db.Alert, plan func(a db.Alert, sent int) (targets []string, hold bool)) (n int, err error) {
	err = s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := lock(ctx, q, lockAlerts); err != nil {
			return err
		}
		n = 0
		for _, a := range alerts {
			var isNew bool
			var sent int
			err := q.row(ctx, `SELECT EXISTS (SELECT 1 FROM alerts WHERE id = $4 AND state = 'new'),
				(SELECT count(*) FROM alerts WHERE user_id = $1 AND created > $2 AND state = 'planned' AND type <> $3)`,
				a.UserID, micros(a.Created.Add(-time.Hour)), db.SummaryAlert, a.ID).Scan(&isNew, &sent)
			if err != nil {
				return err
			}
			if !isNew {
				continue
			}
			n++
			targets, hold := plan(a, sent)
			state := "planned"
			if hold {
				state, targets = "held", nil
			}
			if _, err := q.exec(ctx, `UPDATE alerts SET state = $2 WHERE id = $1`, a.ID, state); err != nil {
				return err
			}
			for _, target := range targets {
				if _, err := q.exec(ctx, `INSERT INTO alert_deliveries (alert_id, target, due) VALUES ($1, $2, $3)`, a.ID, target, micros(a.Created)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return n, err
}

// SumUp makes one alert of those of an account that are held back: when none was added
// since quiet, or one waits since first, and no other summary of the account was made
// since last.
func (s *Store) SumUp(ctx context.Context, quiet, first, last time.Time, summary func(user int64, number int) db.Alert) error {
	type held struct {
		user   int64
		number int
	}
	due := func(ctx context.Context, q querier) (all []held, err error) {
		return rows(ctx, q, func(h *held) []any { return []any{&h.user, &h.number} }, `SELECT user_id, sum(number)::bigint FROM alerts h WHERE state = 'held'
			AND NOT EXISTS (SELECT 1 FROM alerts s WHERE s.user_id = h.user_id AND s.type = $4 AND s.created > $3)
			GROUP BY user_id HAVING max(created) <= $1 OR min(created) <= $2`, micros(quiet), micros(first), micros(last), db.SummaryAlert)
	}
	waiting := false
	err := s.read(ctx, func(ctx context.Context, q querier) error {
		all, err := due(ctx, q)
		waiting = len(all) > 0
		return err
	})
	if err != nil || !waiting { // mostly none is due, and nobody need wait for the lock
		return err
	}
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := lock(ctx, q, lockAlerts); err != nil {
			return err
		}
		all, err := due(ctx, q)
		if err != nil {
			return err
		}
		for _, h := range all {
			if _, err := q.exec(ctx, `UPDATE alerts SET state = 'summed' WHERE state = 'held' AND user_id = $1`, h.user); err != nil {
				return err
			}
			if _, err := insertAlert(ctx, q, summary(h.user, h.number)); err != nil {
				return err
			}
		}
		return nil
	})
}

// ClaimDeliveries takes deliveries that are due: of each target but those in busy, up to
// each, the oldest first; and of up to so many targets, those first that are due longest.
// Nobody else gets them before until.
func (s *Store) ClaimDeliveries(ctx context.Context, now, until time.Time, busy []string, targets, each int) (claimed []db.Delivery, err error) {
	skip := orEmpty(busy)
	err = s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := lock(ctx, q, lockAlerts); err != nil {
			return err
		}
		const due = `due <= $1 AND claimed <= $1`
		claimed, err = rows(ctx, q, func(d *db.Delivery) []any {
			return append([]any{&d.Target, &d.Attempts, timeColumn{&d.Due}}, alertFields(&d.Alert)...)
		}, `SELECT d.target, d.attempts, d.due, `+alertColumns+` FROM alerts a JOIN
			(SELECT *, row_number() OVER (PARTITION BY target ORDER BY alert_id) AS place FROM alert_deliveries
				WHERE `+due+` AND target IN (SELECT target FROM alert_deliveries
					WHERE `+due+` AND target <> ALL($2::text[]) GROUP BY target ORDER BY min(due), target LIMIT $3)
			) d ON a.id = d.alert_id WHERE d.place <= $4 ORDER BY a.id, d.target`, micros(now), skip, targets, each)
		if err != nil {
			return err
		}
		for _, d := range claimed {
			if _, err := q.exec(ctx, `UPDATE alert_deliveries SET claimed = $3 WHERE alert_id = $1 AND target = $2`, d.Alert.ID, d.Target, micros(until)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// Delivered notes that a delivery was sent, or that there is nobody to send it to. What
// else waits for the target is due at once.
func (s *Store) Delivered(ctx context.Context, d db.Delivery, now time.Time) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := lock(ctx, q, lockAlerts); err != nil {
			return err
		}
		if _, err := q.exec(ctx, `DELETE FROM alert_deliveries WHERE alert_id = $1 AND target = $2`, d.Alert.ID, d.Target); err != nil {
			return err
		}
		if _, err := q.exec(ctx, `UPDATE alert_deliveries SET due = $2 WHERE target = $1 AND due > $2`, d.Target, micros(now)); err != nil {
			return err
		}
		_, err := q.exec(ctx, `DELETE FROM alert_problems WHERE target = $1`, d.Target)
		return err
	})
}

// NotDelivered notes why deliveries to one target failed, and when each is due again;
// never, where that is the zero time.
func (s *Store) NotDelivered(ctx context.Context, failed []db.Delivery, p db.AlertProblem) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := lock(ctx, q, lockAlerts); err != nil {
			return err
		}
		for _, d := range failed {
			var err error
			if d.Due.IsZero() {
				_, err = q.exec(ctx, `DELETE FROM alert_deliveries WHERE alert_id = $1 AND target = $2`, d.Alert.ID, d.Target)
			} else {
				_, err = q.exec(ctx, `UPDATE alert_deliveries SET due = $3, claimed = 0, attempts = attempts + 1 WHERE alert_id = $1 AND target = $2`, d.Alert.ID, d.Target, micros(d.Due))
			}
			if err != nil {
				return err
			}
		}
		_, err := q.exec(ctx, `INSERT INTO alert_problems (target, created, problem) VALUES ($1, $2, $3)
			ON CONFLICT (target) DO UPDATE SET created = excluded.created, problem = excluded.problem`, p.Target, micros(p.Created), p.Problem)
		return err
	})
}

// BoundDeliveries leaves no target more than most deliveries that wait: of one that has
// more, the older half become one, of the summary of so many alerts.
func (s *Store) BoundDeliveries(ctx context.Context, most int, summary func(number int) db.Alert) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := lock(ctx, q, lockAlerts); err != nil {
			return err
		}
		full, err := rows(ctx, q, column[string], `SELECT target FROM alert_deliveries GROUP BY target HAVING count(*) > $1`, most)
		if err != nil {
			return err
		}
		for _, target := range full {
			const older = `target = $1 AND alert_id IN (SELECT alert_id FROM alert_deliveries WHERE target = $1 ORDER BY alert_id LIMIT $2::bigint)`
			var number int
			var due, attempts int64 // the target's trouble goes on
			err := q.row(ctx, `SELECT sum(a.number)::bigint, max(d.due), max(d.attempts) FROM alert_deliveries d JOIN alerts a ON a.id = d.alert_id
				WHERE `+older, target, most/2+1).Scan(&number, &due, &attempts)
			if err != nil {
				return err
			}
			if _, err := q.exec(ctx, `DELETE FROM alert_deliveries WHERE `+older, target, most/2+1); err != nil {
				return err
			}
			id, err := insertAlert(ctx, q, summary(number))
			if err != nil {
				return err
			}
			if _, err := q.exec(ctx, `UPDATE alerts SET state = 'planned' WHERE id = $1`, id); err != nil {
				return err
			}
			if _, err := q.exec(ctx, `INSERT INTO alert_deliveries (alert_id, target, due, attempts) VALUES ($1, $2, $3, $4)`, id, target, due, attempts); err != nil {
				return err
			}
		}
		return nil
	})
}

// AlertWork counts what there is to do, without the writer.
func (s *Store) AlertWork(ctx context.Context, now time.Time) (w db.AlertWork, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		return q.row(ctx, `SELECT (SELECT count(*) FROM alerts WHERE state = 'new'), (SELECT count(*) FROM alerts WHERE state = 'held'),
		(SELECT count(*) FROM alert_deliveries), (SELECT count(*) FROM alert_deliveries WHERE due <= $1 AND claimed <= $1)`, micros(now)).Scan(&w.New, &w.Held, &w.Deliveries, &w.Due)
	})
	return w, err
}

// AlertProblems are the last failures at targets to which nothing was sent since, the
// newest first.
func (s *Store) AlertProblems(ctx context.Context) (all []db.AlertProblem, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) (err error) {
		all, err = rows(ctx, q, func(p *db.AlertProblem) []any { return []any{&p.Target, timeColumn{&p.Created}, &p.Problem} },
			`SELECT target, created, problem FROM alert_problems ORDER BY created DESC, target`)
		return err
	})
	return all, err
}

// AlertTargets are all that were added, the oldest first.
func (s *Store) AlertTargets(ctx context.Context) (all []db.AlertTarget, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) (err error) {
		all, err = rows(ctx, q, func(t *db.AlertTarget) []any { return []any{&t.ID, &t.URL, &t.Types, timeColumn{&t.Created}} },
			`SELECT id, url, types, created FROM alert_targets ORDER BY id`)
		return err
	})
	return all, err
}

// CreateAlertTarget adds a target; seal encrypts its URL for the ID that it gets.
func (s *Store) CreateAlertTarget(ctx context.Context, t db.AlertTarget, seal func(id int64) ([]byte, error), event func(db.AlertTarget) db.Event) (db.AlertTarget, error) {
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		err := q.row(ctx, `INSERT INTO alert_targets (url, types, created) VALUES ('', $1, $2) RETURNING id`, t.Types, micros(t.Created)).Scan(&t.ID)
		if err != nil {
			return err
		}
		if t.URL, err = seal(t.ID); err != nil {
			return err
		}
		if _, err := q.exec(ctx, `UPDATE alert_targets SET url = $2 WHERE id = $1`, t.ID, t.URL); err != nil {
			return err
		}
		return insertEvent(ctx, q, event(t))
	})
	return t, err
}

// SetAlertTypes chooses what a target gets, or is db.ErrNotFound.
func (s *Store) SetAlertTypes(ctx context.Context, id int64, types string, event db.Event) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := q.one(ctx, `UPDATE alert_targets SET types = $2 WHERE id = $1`, id, types); err != nil {
			return err
		}
		return insertEvent(ctx, q, event)
	})
}

// DeleteAlertTarget removes a target with what waits for it, target being its name in
// deliveries, or is db.ErrNotFound.
func (s *Store) DeleteAlertTarget(ctx context.Context, id int64, target string, event db.Event) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := lock(ctx, q, lockAlerts); err != nil {
			return err
		}
		if err := q.one(ctx, `DELETE FROM alert_targets WHERE id = $1`, id); err != nil {
			return err
		}
		for _, table := range []string{"alert_deliveries", "alert_problems"} {
			if _, err := q.exec(ctx, `DELETE FROM `+table+` WHERE target = $1`, target); err != nil {
				return err
			}
		}
		return insertEvent(ctx, q, event)
	})
}

// AlertChoice is what a user chose to get by mail: all, if they never did.
func (s *Store) AlertChoice(ctx context.Context, user int64) (c db.AlertChoice, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		return q.row(ctx, `SELECT mail, types FROM alert_choices WHERE user_id = $1`, user).Scan(&c.Mail, &c.Types)
	})
	if errors.Is(err, db.ErrNotFound) {
		return db.AlertChoice{Mail: true}, nil
	}
	return c, err
}

// SetAlertChoice stores what a user wants by mail.
func (s *Store) SetAlertChoice(ctx context.Context, user int64, c db.AlertChoice) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		_, err := q.exec(ctx, `INSERT INTO alert_choices (user_id, mail, types) VALUES ($1, $2, $3)
			ON CONFLICT (user_id) DO UPDATE SET mail = excluded.mail, types = excluded.types`, user, c.Mail, c.Types)
		return err
	})
}
