package cli

import (
	"context"
	"fmt"

	"lastseen/app"

	"github.com/urfave/cli/v3"
)

func (p *Program) backup(ctx context.Context, c *cli.Command, a *app.App) error {
	args, err := arguments(c)
	if err != nil {
		return err
	}
	return a.Backup(ctx, args[0])
}

func (p *Program) restore(ctx context.Context, c *cli.Command) error {
	args, err := arguments(c)
	if err != nil {
		return err
	}
	config, log, err := p.settings(c)
	if err != nil {
		return err
	}
	kept, err := p.Restore(ctx, config, quietly(log), args[0], c.Bool("keep-sessions"))
	if err != nil {
		return err
	}
	if kept != "" {
		fmt.Fprintf(p.Err, "the old database is kept as %s\n", kept)
	}
	if !c.Bool("keep-sessions") {
		fmt.Fprintln(p.Err, "everybody is signed out")
	}
	return nil
}
