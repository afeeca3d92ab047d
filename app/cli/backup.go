package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"lastseen/app"

	"github.com/urfave/cli/v3"
)

func (p *Program) backup(ctx context.Context, c *cli.Command, a *app.App) error {
	args, err := arguments(c)
	if err != nil {
		return err
	}
	if args[0] != "-" {
		return a.Backup(ctx, args[0])
	}
	if p.terminal() {
		return usagef("a backup is no text for a terminal: lead standard output into a file or a program")
	}
	signal.Ignore(syscall.SIGPIPE) // a reader that leaves is an error, after which the copy is removed
	copied, err := a.Copy(ctx)
	if err != nil {
		return err
	}
	_, err = io.Copy(p.Out, copied)
	return errors.Join(err, copied.Close())
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
	if err := p.confirm(ctx, c, fmt.Sprintf("This puts %s in the place of the database in %s.", args[0], config.DataDir)); err != nil {
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
