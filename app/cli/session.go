package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"lastseen/app"
	"lastseen/db"

	"github.com/google/uuid"
	"github.com/urfave/cli/v3"
)

func (p *Program) sessionCommand() *cli.Command {
	userFlag := &cli.StringFlag{Name: "user", Usage: "only those of the user `NAME`"}
	return &cli.Command{Name: "session", Usage: "who is signed in", Commands: []*cli.Command{
		{Name: "list", Usage: "show the sessions, last used first", Action: p.withApp(false, p.sessionList), Flags: []cli.Flag{userFlag, jsonFlag}},
		{Name: "show", Usage: "show one session: facts on a terminal, elsewhere as the API does", ArgsUsage: "UUID", Action: p.withApp(false, p.sessionShow), Flags: []cli.Flag{jsonFlag}},
		{Name: "revoke", Usage: "end a session; its next request is refused", ArgsUsage: "UUID", Action: p.withApp(false, p.sessionRevoke)},
		{Name: "revoke-all", Usage: "end all sessions, of everybody or of one user", Action: p.withApp(false, p.sessionRevokeAll), Flags: []cli.Flag{userFlag, jsonFlag, yesFlag}},
	}}
}

// oneUser reads --user. One that is given but empty is refused: it must never
// come to mean everybody.
func oneUser(ctx context.Context, c *cli.Command, a *app.App) (*db.User, error) {
	if !c.IsSet("user") {
		return nil, nil
	}
	if c.String("user") == "" {
		return nil, usagef("--user: needs a name; leave the flag out for everybody")
	}
	user, err := findUser(ctx, a, c.String("user"))
	return &user, err
}

func (p *Program) sessionList(ctx context.Context, c *cli.Command, a *app.App) error {
	filter := db.SessionFilter{Limit: math.MaxInt32, Ordering: []db.Order{{Column: "last_used", Descending: true}}}
	if user, err := oneUser(ctx, c, a); err != nil {
		return err
	} else if user != nil {
		filter.User = &user.ID
	}
	sessions, _, err := a.Sessions(ctx, app.Operator, filter)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		objects := make([]any, len(sessions))
		for i, s := range sessions {
			objects[i] = p.SessionObject(s)
		}
		return p.json(objects)
	}
	marked := make([]*app.Session, len(sessions))
	for i := range sessions {
		marked[i] = &sessions[i]
	}
	if err := a.MarkDevices(ctx, marked...); err != nil {
		return err
	}
	rows := [][]string{{"UUID", "USER", "DEVICE", "LAST USED", "ADDRESS", "PLACE", "NETWORK", "CLIENT", "SYSTEM", "ENDS"}}
	for _, s := range sessions {
		network := ""
		if n := s.Location.Network; n != nil {
			network = n.Org
		}
		client, system := app.Title(s.Agent)
		rows = append(rows, []string{s.UUID.String(), s.Username, s.Device.Name, timeText(s.LastUsed, ""), s.IP.String(), placeText(s), network,
			client, system, timeText(s.Expires, "")})
	}
	if tableWidth(rows) <= p.width() {
		return p.table(rows)
	}
	rows = [][]string{{"UUID", "LAST USED", "USER", "DEVICE", "PLACE"}}
	for _, s := range sessions {
		rows = append(rows, []string{s.UUID.String()[:8], agoText(a.Now().Sub(s.LastUsed)), s.Username, deviceText(s), placeText(s)})
	}
	cut(rows, p.width(), 4, 3, 2)
	if err := p.table(rows); err != nil {
		return err
	}
	fmt.Fprintln(p.Err, "(session show UUID tells more of one; a wider terminal and --json of all)")
	return nil
}

// deviceText is what a session's device is called, or else what it is.
func deviceText(s app.Session) string {
	client, system := app.Title(s.Agent)
	return cmp.Or(s.Device.Name, strings.Trim(client+", "+system, ", "))
}

func placeText(s app.Session) string {
	if l := s.Location.Place; l != nil {
		return strings.Trim(l.City+", "+l.Country, ", ")
	}
	return ""
}

// agoText is how long ago something was, in the largest unit that fits.
func agoText(d time.Duration) string {
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}} {
		if d >= unit.size {
			return fmt.Sprintf("%d %s ago", d/unit.size, unit.name)
		}
	}
	return "just now"
}

func findSession(ctx context.Context, c *cli.Command, a *app.App) (app.Session, error) {
	args := c.Args().Slice()
	id, err := a.FindSession(ctx, args[0])
	var input *db.InputError
	switch {
	case errors.As(err, &input):
		return app.Session{}, usagef("%q is no UUID, nor the first eight characters or more of one; `lastseen session list` shows them", args[0])
	case errors.Is(err, app.ErrAmbiguous):
		return app.Session{}, usagef("%q fits several sessions: give more of the UUID", args[0])
	}
	var sess app.Session
	if err == nil {
		sess, err = a.Session(ctx, app.Operator, id)
	}
	if errors.Is(err, db.ErrNotFound) {
		return sess, fmt.Errorf("there is no session %s", args[0])
	}
	return sess, err
}

func (p *Program) sessionShow(ctx context.Context, c *cli.Command, a *app.App) error {
	sess, err := findSession(ctx, c, a)
	if err != nil {
		return err
	}
	if !p.terminal() || c.Bool("json") {
		return p.json(p.SessionObject(sess))
	}
	if err := a.MarkDevices(ctx, &sess); err != nil {
		return err
	}
	rows := [][]string{
		{"user", sess.Username},
		{"last used", timeText(sess.LastUsed, "")},
		{"signed in", timeText(sess.Created, "") + ", by " + app.MethodText(sess.Method)},
		{"ends", timeText(sess.Expires, "")},
		{"address", sess.IP.String()},
	}
	if sess.Device.Name != "" {
		rows = append(rows, []string{"name", sess.Device.Name})
	}
	if sess.Via.IsValid() {
		rows = append(rows, []string{"reported by", sess.Via.String()})
	}
	if place := placeText(sess); place != "" {
		rows = append(rows, []string{"place", place})
	}
	if n := sess.Location.Network; n != nil {
		rows = append(rows, []string{"network", strings.TrimSpace(fmt.Sprintf("AS%d %s", n.ASN, n.Org)) + ", " + n.Prefix.String()})
	}
	agent := sess.Agent
	client, system := app.Title(agent)
	return p.table(append(rows,
		[]string{"client", client},
		[]string{"system", system},
		[]string{"device", strings.TrimSpace(agent.DeviceBrand + " " + agent.Device)},
		[]string{"user agent", agent.String},
		[]string{"uuid", sess.UUID.String()},
	))
}

func (p *Program) sessionRevoke(ctx context.Context, c *cli.Command, a *app.App) error {
	sess, err := findSession(ctx, c, a)
	if err != nil {
		return err
	}
	if err := a.RevokeSession(ctx, app.Operator, sess.UUID); err != nil {
		return err
	}
	fmt.Fprintf(p.Err, "Ended the session of %s: %s.\n", printable(sess.Username), printable(deviceText(sess)))
	return nil
}

func (p *Program) sessionRevokeAll(ctx context.Context, c *cli.Command, a *app.App) error {
	user, err := oneUser(ctx, c, a)
	if err != nil {
		return err
	}
	var users []int64
	var filter db.SessionFilter
	whose := "everybody"
	if user != nil {
		users, filter.User, whose = []int64{user.ID}, &user.ID, user.Username
	}
	_, living, err := a.Sessions(ctx, app.Operator, filter)
	if err != nil {
		return err
	}
	if err := p.confirm(ctx, c, fmt.Sprintf("Sessions to be ended: %d, of %s.", living, whose)); err != nil {
		return err
	}
	n, err := a.RevokeSessions(ctx, app.Operator.Actor(), users, uuid.Nil)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return p.json(map[string]int{"deleted": n})
	}
	fmt.Fprintf(p.Err, "sessions ended: %d\n", n)
	return nil
}
