package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"lastseen/app"

	"github.com/urfave/cli/v3"
)

func (p *Program) backup(ctx context.Context, c *cli.Command, a *app.App) error {
	args := c.Args().Slice()
	withKey := c.Bool("with-key")
	if args[0] != "-" {
		return p.backupTo(ctx, c, a, args[0])
	}
	if p.terminal() {
		return usagef("a backup is no text for a terminal: lead standard output into a file or a program")
	}
	signal.Ignore(syscall.SIGPIPE) // a reader that leaves is an error, after which the copy is removed
	copied, err := a.Copy(ctx, withKey)
	if err != nil {
		return err
	}
	_, err = io.Copy(p.Out, copied)
	if err := errors.Join(err, copied.Close()); err != nil {
		return err
	}
	p.sayKey(a, withKey)
	return nil
}

// backupTo writes a backup to a file, in the place of an older one if there is one.
func (p *Program) backupTo(ctx context.Context, c *cli.Command, a *app.App, path string) error {
	instead := ""
	if older, err := os.Stat(path); err == nil && older.Mode().IsRegular() {
		made := timeText(older.ModTime(), "")
		if err := p.confirm(ctx, c, fmt.Sprintf("This replaces %s, of %s.", path, made)); err != nil {
			return err
		}
		instead = ", in the place of the one of " + made
	}
	withKey := c.Bool("with-key")
	if err := a.Backup(ctx, path, withKey); err != nil {
		return err
	}
	written, err := os.Stat(path)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.Err, "%s is written, %.1f MB%s\n", printable(path), float64(written.Size())/1e6, instead)
	p.sayKey(a, withKey)
	return nil
}

// sayKey says whether a backup carries the key of second factors, where there is one.
func (p *Program) sayKey(a *app.App, with bool) {
	_, err := app.ReadKey(a.Config.DataDir)
	switch none := errors.Is(err, fs.ErrNotExist); {
	case with && none:
		fmt.Fprintln(p.Err, "nobody needed a key yet, so there is none in it")
	case with:
		fmt.Fprintln(p.Err, "the key of second factors is in it: whoever has the backup can make everybody's codes")
	case !none:
		fmt.Fprintf(p.Err, "the key of second factors is not in it: keep a copy of %s apart, or add --with-key\n", app.KeyPath(a.Config.DataDir))
	}
}

func (p *Program) restore(ctx context.Context, c *cli.Command) error {
	args := c.Args().Slice()
	config, log, err := p.settings(c)
	if err != nil {
		return err
	}
	if err := p.confirm(ctx, c, fmt.Sprintf("This puts %s in the place of the database in %s.", args[0], config.DataDir)); err != nil {
		return err
	}
	restored, err := p.Restore(ctx, config, quietly(log), args[0], c.Bool("keep-sessions"))
	if err != nil {
		return err
	}
	if restored.KeptAs != "" {
		fmt.Fprintf(p.Err, "the old database is kept as %s\n", restored.KeptAs)
	}
	if restored.WithKey {
		fmt.Fprintln(p.Err, "the key of second factors came with it")
	}
	if restored.KeyKeptAs != "" {
		fmt.Fprintf(p.Err, "the key that was there is kept as %s\n", restored.KeyKeptAs)
	}
	if len(restored.Sealed) > 0 {
		fmt.Fprintf(p.Err, "the codes of these cannot be checked, since their key is gone: %s\n", printable(strings.Join(restored.Sealed, ", ")))
		fmt.Fprintf(p.Err, "put the key that was beside the backed-up database at %s; else recovery codes sign them in, or `lastseen user factors reset NAME`\n", app.KeyPath(config.DataDir))
	}
	if !c.Bool("keep-sessions") {
		fmt.Fprintln(p.Err, "everybody is signed out")
	}
	return nil
}
