package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"lastseen/app"
	"lastseen/app/config"
	"lastseen/db"

	"github.com/urfave/cli/v3"
)

func (p *Program) linkCommands() []*cli.Command {
	return []*cli.Command{
		{Name: "invite", Usage: "print a link, good once, by which somebody makes an account and chooses its password", ArgsUsage: "[NAME]", Action: p.withApp(false, p.userInvite), Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "group", Usage: "member of group `G`; may be repeated"},
			&cli.BoolFlag{Name: "superuser", Usage: "may see and change everything"},
			&cli.StringFlag{Name: "expires", Usage: "how long the link is good: a `DURATION` such as 12h", DefaultText: "3d"},
		}},
		{Name: "reset", Usage: "print a link, good once, by which a user chooses a new password; second factors stay", ArgsUsage: "NAME", Action: p.withUser(p.userReset), Flags: []cli.Flag{
			&cli.StringFlag{Name: "expires", Usage: "how long the link is good: a `DURATION` such as 2h", DefaultText: "1h"},
		}},
		{Name: "links", Usage: "show the links of both kinds that nobody has used yet, without what opens them", Action: p.withApp(false, p.userLinks), Flags: []cli.Flag{jsonFlag}, Commands: []*cli.Command{
			{Name: "delete", Usage: "take a link back, which is good for nothing then", ArgsUsage: "ID", Action: p.withApp(false, p.linkDelete)},
		}},
	}
}

// expires is how long a link is to be good, 0 when that was not said.
func expires(c *cli.Command) (time.Duration, error) {
	text := c.String("expires")
	if !c.IsSet("expires") {
		return 0, nil
	}
	d, err := config.ParseDuration(text)
	if err != nil || d < time.Second {
		return 0, usagef("--expires: %q is no lifetime: write 2h or 3d", text)
	}
	return d, nil
}

func (p *Program) userInvite(ctx context.Context, c *cli.Command, a *app.App) error {
	lifetime, err := expires(c)
	if err != nil {
		return err
	}
	i := app.Invitation{Username: c.Args().First(), Groups: c.StringSlice("group"), Superuser: c.Bool("superuser"), Lifetime: lifetime}
	if c.Args().Present() && i.Username == "" {
		return usagef("a user name is not empty: leave it out where the person is to choose")
	}
	address, l, err := a.Invite(ctx, app.Operator.Actor(), i)
	if errors.Is(err, db.ErrConflict) {
		return fmt.Errorf("there is already a user %q; `lastseen user reset` makes a link for a new password", i.Username)
	}
	return p.link(address, l, err)
}

func (p *Program) userReset(ctx context.Context, c *cli.Command, a *app.App, user db.User) error {
	lifetime, err := expires(c)
	if err != nil {
		return err
	}
	address, l, err := a.ResetLink(ctx, app.Operator.Actor(), user, lifetime)
	if errors.Is(err, db.ErrNotFound) {
		return fmt.Errorf("%s is disabled: `lastseen user enable` first", user.Username)
	}
	return p.link(address, l, err)
}

func (p *Program) userLinks(ctx context.Context, c *cli.Command, a *app.App) error {
	links, err := a.Links(ctx)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		type object struct {
			ID        int64     `json:"id"`
			Kind      string    `json:"kind"`
			Username  string    `json:"username"`
			Groups    []string  `json:"groups"`
			Superuser bool      `json:"is_superuser"`
			MadeBy    string    `json:"made_by"`
			Created   time.Time `json:"created"`
			Expires   time.Time `json:"expires"`
		}
		objects := make([]object, len(links))
		for i, l := range links {
			objects[i] = object{l.ID, string(l.Kind), l.Username, append([]string{}, l.Groups...), l.Superuser, l.MadeBy, l.Created, l.Expires}
		}
		return p.json(objects)
	}
	rows := [][]string{{"ID", "KIND", "USER", "GROUPS", "ROLE", "MADE BY", "MADE", "EXPIRES"}}
	for _, l := range links {
		role := ""
		if l.Superuser {
			role = "superuser"
		}
		rows = append(rows, []string{fmt.Sprint(l.ID), string(l.Kind), cmp.Or(l.Username, "(their choice)"), strings.Join(l.Groups, ", "), role, l.MadeBy, timeText(l.Created, ""), timeText(l.Expires, "")})
	}
	return p.table(rows, "GROUPS", "ROLE")
}

func (p *Program) linkDelete(ctx context.Context, c *cli.Command, a *app.App) error {
	text := c.Args().First()
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return usagef("%q is no link's id; `lastseen user links` shows them", text)
	}
	l, err := a.DeleteLink(ctx, app.Operator.Actor(), id)
	if errors.Is(err, db.ErrNotFound) {
		return fmt.Errorf("there is no link %d that could be used", id)
	}
	if err == nil {
		fmt.Fprintf(p.Err, "The link %d (%s) is taken back.\n", id, printable(strings.TrimSpace(string(l.Kind)+" "+l.Username)))
	}
	return err
}

// link prints a link alone, and beside it how long it is good.
func (p *Program) link(address string, l db.Link, err error) error {
	if err != nil {
		return err
	}
	fmt.Fprintf(p.Err, "The link is good once, until %s.\n", timeText(l.Expires, ""))
	_, err = fmt.Fprintln(p.Out, address)
	return err
}
