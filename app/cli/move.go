package cli

import (
	"context"
	"fmt"

	"lastseen/app"
	"lastseen/app/config"
	"lastseen/db"

	"github.com/urfave/cli/v3"
)

func (p *Program) move(ctx context.Context, c *cli.Command) error {
	args := c.Args().Slice()
	cfg, log, err := p.settings(c)
	if err != nil {
		return err
	}
	to := args[0]
	toPostgres := to != "sqlite"
	if toPostgres {
		if err := config.CheckDatabase(to); err != nil {
			return usagef("the URL of a database %w; usage: %s %s", err, c.FullName(), c.ArgsUsage)
		}
	}
	switch {
	case to == "sqlite" && cfg.Database == "":
		return usagef("--database: name the PostgreSQL database that is to be copied into %s", cfg.DataDir)
	case toPostgres && cfg.Database != "":
		return usagef("--database: leave it out; what is copied is the SQLite database in %s", cfg.DataDir)
	}
	counts, err := p.Move(ctx, cfg, quietly(log), to)
	if err != nil {
		return err
	}
	rows := [][]string{{"TABLE", "ROWS"}}
	for _, table := range db.CopiedTables {
		rows = append(rows, []string{table, fmt.Sprint(counts[table])})
	}
	if err := p.table(rows); err != nil {
		return err
	}
	if toPostgres {
		fmt.Fprintf(p.Err, "everything is copied: start servers with --database, each with a copy of %s if there is one; what is in %s stays as it was\n", app.KeyPath(cfg.DataDir), cfg.DataDir)
	} else {
		fmt.Fprintf(p.Err, "everything is copied into %s: start the server without --database, with the lastseen.key that the others have; what is in PostgreSQL stays as it was\n", cfg.DataDir)
	}
	return nil
}
