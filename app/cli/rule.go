package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"lastseen/app"
	"lastseen/db"

	"github.com/urfave/cli/v3"
)

func (p *Program) ruleCommand() *cli.Command {
	return &cli.Command{Name: "rule", Usage: "who may reach which host through the gate", Commands: []*cli.Command{
		{Name: "allow", Usage: "let only members of groups reach a host (exact, or *.suffix), and print the rule's id", ArgsUsage: "HOST --group G", Action: p.withApp(false, p.ruleAllow), Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "group", Usage: "a group `G` that may; may be repeated"},
		}},
		{Name: "open", Usage: "let everybody reach a path of a host (exact, or a prefix ending in *) without signing in, and print the rule's id", ArgsUsage: "HOST PATH", Action: p.withApp(false, p.ruleOpen), Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "method", Usage: "only for the method `M`, such as OPTIONS for preflights; may be repeated"},
		}},
		{Name: "challenge", Usage: "ask clients that are no browsers (git, WebDAV) for an API key by HTTP Basic, on a host or a path of it, and print the rule's id", ArgsUsage: "HOST [PATH]", Action: p.withApp(false, p.ruleChallenge)},
		{Name: "list", Usage: "show all rules", Action: p.withApp(false, p.ruleList), Flags: []cli.Flag{jsonFlag}},
		{Name: "delete", Usage: "remove a rule", ArgsUsage: "ID", Action: p.withApp(false, p.ruleDelete)},
	}}
}

func (p *Program) ruleAllow(ctx context.Context, c *cli.Command, a *app.App) error {
	args := c.Args().Slice()
	rule, err := a.AllowGroups(ctx, app.Operator.Actor(), args[0], c.StringSlice("group"))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.Out, rule.ID)
	return err
}

func (p *Program) ruleOpen(ctx context.Context, c *cli.Command, a *app.App) error {
	args := c.Args().Slice()
	rule, err := a.OpenPath(ctx, app.Operator.Actor(), args[0], args[1], c.StringSlice("method")...)
	if errors.Is(err, db.ErrConflict) {
		return fmt.Errorf("%s of %s is open already", args[1], args[0])
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.Out, rule.ID)
	return err
}

func (p *Program) ruleChallenge(ctx context.Context, c *cli.Command, a *app.App) error {
	args := c.Args().Slice()
	path := ""
	if len(args) > 1 {
		path = args[1]
	}
	rule, err := a.Challenge(ctx, app.Operator.Actor(), args[0], path)
	if errors.Is(err, db.ErrConflict) {
		return fmt.Errorf("clients of %s%s are asked already", args[0], path)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.Out, rule.ID)
	return err
}

func (p *Program) ruleList(ctx context.Context, c *cli.Command, a *app.App) error {
	rules, err := a.Rules(ctx)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		type object struct {
			ID        int64    `json:"id"`
			Host      string   `json:"host"`
			Groups    []string `json:"groups"`
			Path      string   `json:"path"`
			Methods   []string `json:"methods"`
			Challenge bool     `json:"challenge"`
		}
		objects := make([]object, len(rules))
		for i, r := range rules {
			objects[i] = object{r.ID, r.Host, append([]string{}, r.Groups...), r.Path, append([]string{}, r.Methods...), r.Challenge}
		}
		return p.json(objects)
	}
	rows := [][]string{{"ID", "HOST", "OPEN TO"}}
	for _, r := range rules {
		to := "groups " + strings.Join(r.Groups, ", ")
		switch {
		case r.Challenge:
			to = strings.TrimSpace("whoever has a key, which is asked for " + r.Path)
		case r.Path != "":
			to = strings.TrimSpace("everybody, " + r.Path + " " + strings.Join(r.Methods, " "))
		}
		rows = append(rows, []string{strconv.FormatInt(r.ID, 10), r.Host, to})
	}
	return p.table(rows)
}

func (p *Program) ruleDelete(ctx context.Context, c *cli.Command, a *app.App) error {
	args := c.Args().Slice()
	id, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return usagef("%q is no rule's id; `lastseen rule list` shows them", args[0])
	}
	rule, err := a.DeleteRule(ctx, app.Operator.Actor(), id)
	if errors.Is(err, db.ErrNotFound) {
		return fmt.Errorf("there is no rule %d", id)
	}
	if err == nil {
		fmt.Fprintf(p.Err, "The rule %d, of %s, is removed.\n", id, rule.Host)
	}
	return err
}
