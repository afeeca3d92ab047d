package cli

import (
	"context"
	"fmt"
	"strings"

	"lastseen/app"
	"lastseen/db"

	"github.com/urfave/cli/v3"
)

func (p *Program) move(ctx context.Context, c *cli.Command) error {
	args, err := arguments(c)
	if err != nil {
		return err
	}
	config, log, err := p.settings(c)
	if err != nil {
		return err
	}
	to := args[0]
	toPostgres := strings.HasPrefix(to, "postgres://") || strings.HasPrefix(to, "postgresql://")
	switch {
	case !toPostgres && to != "sqlite":
		return usagef("usage: %s %s", c.FullName(), c.ArgsUsage)
	case to == "sqlite" && config.Database == "":
		return usagef("--database: name the PostgreSQL database that is to be copied into %s", config.DataDir)
	case toPostgres && config.Database != "":
		return usagef("--database: leave it out; what is copied is the SQLite database in %s", config.DataDir)
	}
	counts, err := p.Move(ctx, config, quietly(log), to)
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
		fmt.Fprintf(p.Err, "everything is copied: start servers with --database, each with a copy of %s if there is one; what is in %s stays as it was\n", app.KeyPath(config.DataDir), config.DataDir)
	} else {
		fmt.Fprintf(p.Err, "everything is copied into %s: start the server without --database, with the lastseen.key that the others have; what is in PostgreSQL stays as it was\n", config.DataDir)
	}
	return nil
}
