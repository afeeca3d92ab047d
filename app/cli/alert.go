package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"lastseen/app"
	"lastseen/app/alert"
	"lastseen/db"

	"github.com/urfave/cli/v3"
)

func (p *Program) alertCommand() *cli.Command {
	var types []string
	for _, t := range alert.Types {
		types = append(types, string(t))
	}
	return &cli.Command{Name: "alert", Usage: "where alerts go: new sign-ins, changed passwords, and the like", Commands: []*cli.Command{
		{Name: "list", Usage: "show the targets of alerts, a line each, without what is secret of them", Action: p.withApp(false, p.alertList), Flags: []cli.Flag{jsonFlag}},
		{Name: "add", Usage: "send alerts to a URL too, - for one from standard input, and print the target's id", ArgsUsage: "URL", Action: p.withApp(false, p.alertAdd), Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "type", Usage: "only these of the `TYPES`, separated by commas: " + strings.Join(types, ", ") + " (default: all)"},
		}},
		{Name: "remove", Usage: "send no more alerts to a target", ArgsUsage: "ID", Action: p.withApp(false, p.alertRemove)},
		{Name: "test", Usage: "send a test to a target, or to all, and wait for it", ArgsUsage: "[ID]", Action: p.withApp(false, p.alertTest)},
	}}
}

func (p *Program) alertList(ctx context.Context, c *cli.Command, a *app.App) error {
	targets, err := a.AlertTargets(ctx)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		type object struct {
			ID      string       `json:"id"`
			Target  string       `json:"target"`
			Set     bool         `json:"set"` // by --alerts
			Types   []alert.Type `json:"types"`
			Problem string       `json:"problem"`
			Failed  *time.Time   `json:"failed"`
		}
		objects := make([]object, len(targets))
		for i, t := range targets {
			objects[i] = object{ID: t.ID, Target: t.Name(), Set: t.Set, Types: append([]alert.Type{}, t.Types...), Problem: t.Problem.Problem}
			if t.Problem.Problem != "" {
				objects[i].Failed = &t.Problem.Created
			}
		}
		return p.json(objects)
	}
	var rows [][]string
	if p.terminal() { // elsewhere a line is a target
		rows = append(rows, []string{"ID", "TARGET", "FROM", "TYPES", "PROBLEM"})
	}
	for _, t := range targets {
		gets := "all"
		if len(t.Types) > 0 {
			gets = ""
			for _, typ := range t.Types {
				gets += "," + string(typ)
			}
			gets = gets[1:]
		}
		from := "added"
		if t.Set {
			from = "--alerts"
		}
		problem := ""
		if t.Problem.Problem != "" {
			problem = "last failed at " + timeText(t.Problem.Created, "") + ": " + t.Problem.Problem
		}
		rows = append(rows, []string{t.ID, t.Name(), from, gets, problem})
	}
	return p.table(rows)
}

func (p *Program) alertAdd(ctx context.Context, c *cli.Command, a *app.App) error {
	url := c.Args().First()
	if url == "-" { // others on the machine see the arguments
		var err error
		if url, err = bufio.NewReader(io.LimitReader(p.In, 4096)).ReadString('\n'); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	var types []alert.Type
	for _, t := range c.StringSlice("type") {
		types = append(types, alert.Type(t))
	}
	target, err := a.AddAlertTarget(ctx, app.Operator.Actor(), url, types)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.Out, target.ID)
	return err
}

func (p *Program) alertRemove(ctx context.Context, c *cli.Command, a *app.App) error {
	id := c.Args().First()
	if err := a.RemoveAlertTarget(ctx, app.Operator.Actor(), id); err != nil {
		return noTarget(id, err)
	}
	fmt.Fprintf(p.Err, "The target %s is removed.\n", printable(id))
	return nil
}

func (p *Program) alertTest(ctx context.Context, c *cli.Command, a *app.App) error {
	ids := c.Args().Slice()
	if len(ids) == 0 {
		targets, err := a.AlertTargets(ctx)
		if err != nil {
			return err
		}
		if len(targets) == 0 {
			return errors.New("there is no target; `lastseen alert add URL` adds one")
		}
		for _, t := range targets {
			ids = append(ids, t.ID)
		}
	}
	var errs []error
	for _, id := range ids {
		if err := a.TestAlert(ctx, id); err != nil {
			errs = append(errs, noTarget(id, err))
			continue
		}
		fmt.Fprintf(p.Err, "%s: sent\n", id)
	}
	return errors.Join(errs...)
}

// noTarget says that there is no target with an ID, where an error says so.
func noTarget(id string, err error) error {
	if errors.Is(err, db.ErrNotFound) {
		return fmt.Errorf("there is no target %q; `lastseen alert list` shows them", id)
	}
	return err
}
