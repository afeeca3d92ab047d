package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"lastseen/app/alert"
	"lastseen/db"

	"github.com/google/uuid"
)

// An AlertTarget is where alerts go.
type AlertTarget struct {
	ID      string       // on pages and the command line; that of one in the settings begins with s
	Target  alert.Target // zero when it cannot be read
	Types   []alert.Type // that it gets; none means all
	Set     bool         // in the settings
	Problem db.AlertProblem
}

// Name is what may be shown of a target.
func (t AlertTarget) Name() string {
	if t.Target == (alert.Target{}) {
		return "(unreadable)"
	}
	return t.Target.String()
}

// AlertTargets are all targets, those of the settings first.
func (a *App) AlertTargets(ctx context.Context) (all []AlertTarget, err error) {
	for _, t := range a.Config.Alerts {
		all = append(all, AlertTarget{ID: settingsID(t), Target: t, Set: true})
	}
	stored, err := a.store.AlertTargets(ctx)
	if err != nil {
		return nil, err
	}
	problems, err := a.store.AlertProblems(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range stored {
		t := AlertTarget{ID: strconv.FormatInt(s.ID, 10), Types: alertTypes(s.Types)}
		raw, err := a.unseal(s.URL, targetPlace(s.ID)...)
		if err == nil {
			t.Target, err = alert.ParseTarget(string(raw))
		}
		if err != nil { // it can be seen and removed
			t.Problem = db.AlertProblem{Target: t.ID, Created: s.Created, Problem: errUnreadable.Error()}
		}
		all = append(all, t)
	}
	for i, t := range all {
		if at := slices.IndexFunc(problems, func(p db.AlertProblem) bool { return p.Target == t.ID }); at >= 0 && t.Problem.Problem == "" {
			all[i].Problem = problems[at]
		}
	}
	return all, nil
}

var errUnreadable = errors.New("its address cannot be read: the key file in the data directory is not the one that it was added with; remove it, and add it anew")

// settingsID names a target of the settings, the same after each start.
func settingsID(t alert.Target) string {
	sum := sha256.Sum256([]byte(t.Identity()))
	return "s" + hex.EncodeToString(sum[:4])
}

// targetPlace is what the sealed URL of a target is bound to.
func targetPlace(id int64) [][]byte {
	return [][]byte{[]byte("alert target"), []byte(strconv.FormatInt(id, 10))}
}

// alertTarget is the target with that ID, or db.ErrNotFound, and its number in the store.
func (a *App) alertTarget(ctx context.Context, id string) (AlertTarget, int64, error) {
	all, err := a.AlertTargets(ctx)
	if err != nil {
		return AlertTarget{}, 0, err
	}
	i := slices.IndexFunc(all, func(t AlertTarget) bool { return t.ID == id })
	if i < 0 {
		return AlertTarget{}, 0, db.ErrNotFound
	}
	n, _ := strconv.ParseInt(id, 10, 64) // 0 for one of the settings
	return all[i], n, nil
}

// AddAlertTarget stores a target that gets these types, none being all. What is wrong with
// its URL is a db.InputError.
func (a *App) AddAlertTarget(ctx context.Context, actor Actor, raw string, types []alert.Type) (AlertTarget, error) {
	t, err := alert.ParseTarget(raw)
	if err != nil {
		return AlertTarget{}, &db.InputError{Field: "url", Problem: "This cannot be a target: " + err.Error() + "."}
	}
	if t.Mail() && a.Config.Mail == nil {
		return AlertTarget{}, &db.InputError{Field: "url", Problem: "There is no mail server to send it through: set --smtp first."}
	}
	chosen, err := storeTypes(types)
	if err != nil {
		return AlertTarget{}, err
	}
	stored, err := a.store.CreateAlertTarget(ctx, db.AlertTarget{Types: chosen, Created: a.now()},
		func(id int64) ([]byte, error) { return a.seal([]byte(strings.TrimSpace(raw)), targetPlace(id)...) },
		func(s db.AlertTarget) db.Event { return a.targetEvent(actor, db.ModelCreated, s.ID, t) })
	if err != nil {
		return AlertTarget{}, err
	}
	a.Log.Info("alert target added", "id", stored.ID, "target", t.String(), "by", actor.Name)
	return AlertTarget{ID: strconv.FormatInt(stored.ID, 10), Target: t, Types: types}, nil
}

// targetEvent records a change to a target.
func (a *App) targetEvent(actor Actor, action db.Action, id int64, t alert.Target) db.Event {
	return a.event(actor, action, 0, map[string]any{"model": map[string]any{"app": "lastseen", "model_name": "alerttarget", "pk": id, "name": t.String()}})
}

// RemoveAlertTarget removes a stored target, with what waits for it.
func (a *App) RemoveAlertTarget(ctx context.Context, actor Actor, id string) error {
	t, n, err := a.alertTarget(ctx, id)
	if err != nil {
		return err
	}
	if t.Set {
		return &db.InputError{Field: "id", Problem: "This target is in the settings: take it out of --alerts."}
	}
	err = a.store.DeleteAlertTarget(ctx, n, id, a.targetEvent(actor, db.ModelDeleted, n, t.Target))
	if err == nil {
		a.Log.Info("alert target removed", "id", id, "target", t.Target.String(), "by", actor.Name)
	}
	return err
}

// ChooseAlerts stores what a stored target gets; no types are all.
func (a *App) ChooseAlerts(ctx context.Context, actor Actor, id string, types []alert.Type) error {
	t, n, err := a.alertTarget(ctx, id)
	if err != nil {
		return err
	}
	if t.Set {
		return &db.InputError{Field: "id", Problem: "This target is in the settings, and gets all."}
	}
	chosen, err := storeTypes(types)
	if err != nil {
		return err
	}
	return a.store.SetAlertTypes(ctx, n, chosen, a.targetEvent(actor, db.ModelUpdated, n, t.Target))
}

// TestAlert sends a test to a target and waits for it. Its error may be shown, and is
// db.ErrNotFound when there is no such target.
func (a *App) TestAlert(ctx context.Context, id string) error {
	t, err := a.resolve(ctx, id)
	if err != nil {
		return err
	}
	return a.sender().Send(ctx, t, a.message(uuid.New(), alert.Facts{Type: alert.Test, Time: a.now()}))
}

// resolve finds what a delivery's target is by now: db.ErrNotFound when it is gone, or a
// user's address is.
func (a *App) resolve(ctx context.Context, id string) (alert.Target, error) {
	if user, ok := strings.CutPrefix(id, mailOf); ok {
		n, err := strconv.ParseInt(user, 10, 64)
		if err != nil {
			return alert.Target{}, db.ErrNotFound
		}
		u, err := a.store.User(ctx, n)
		if err != nil {
			return alert.Target{}, err
		}
		t, ok := mailTarget(u)
		if !ok {
			return t, db.ErrNotFound
		}
		return t, nil
	}
	found, _, err := a.alertTarget(ctx, id)
	if err == nil && found.Target == (alert.Target{}) {
		err = errUnreadable
	}
	return found.Target, err
}

// mailOf, with a user's ID, names their own mail among the targets of deliveries.
const mailOf = "u"

// mailTarget is a user's own mail, if they can have any.
func mailTarget(u db.User) (alert.Target, bool) {
	t, err := alert.ParseTarget("mailto:" + u.Email)
	return t, err == nil && u.Active
}

// sender sends for this instance.
func (a *App) sender() *alert.Sender {
	a.sending.Do(func() {
		from := a.Config.MailFrom
		if from == "" {
			host := "localhost" // there is no mail from an address
			if u := a.Config.PublicURL; u != nil {
				if _, err := netip.ParseAddr(u.Hostname()); err != nil {
					host = u.Hostname()
				}
			}
			from = "Lastseen <lastseen@" + host + ">"
		}
		a.alerts = alert.NewSender(a.Config.Mail, from)
	})
	return a.alerts
}

func (a *App) message(id uuid.UUID, f alert.Facts) alert.Message {
	origin := "http://" + a.Config.Listen // as far as a command beside the server knows
	if a.Config.PublicURL != nil {
		origin = a.Config.PublicURL.String()
	}
	return alert.NewMessage(id, f, origin, int(a.Config.History.Hours()/24))
}
