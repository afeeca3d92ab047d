package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"lastseen/app"
	"lastseen/app/source"

	"github.com/urfave/cli/v3"
)

// maxSource is how many bytes of a file of users are read.
const maxSource = 64 << 20

func (p *Program) importCommand() *cli.Command {
	programs := strings.Join(slices.Sorted(maps.Keys(source.Readers)), "|")
	return &cli.Command{Name: "import", Usage: "take over the users of another program, with the passwords that they have; docs/moving.md says from which files",
		ArgsUsage: programs + " SOURCE", Action: p.withApp(true, p.importUsers), Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Usage: "only say what would become of them"},
		}}
}

// importUsers prints a line for each user, and on standard error what is wrong, by line.
func (p *Program) importUsers(ctx context.Context, c *cli.Command, a *app.App) error {
	args, err := arguments(c)
	if err != nil {
		return err
	}
	read, ok := source.Readers[args[0]]
	if !ok {
		return usagef("there is no import from %q; see `lastseen import --help`", args[0])
	}
	content, err := p.readSource(args[1])
	if err != nil {
		return err
	}
	users, problems, err := read(content)
	if err != nil {
		return fmt.Errorf("%s: %w", args[1], err)
	}
	wrong := len(problems)
	for _, problem := range problems {
		fmt.Fprintf(p.Err, "%s: %s\n", source.Where(problem.Line), printable(problem.Err.Error()))
	}
	var made, exist, stuck int
	for _, u := range users {
		done, err := a.Import(ctx, app.Operator.Actor(), u, c.Bool("dry-run"))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			wrong++
			fmt.Fprintf(p.Err, "%s: %s: %s\n", source.Where(u.Line), printable(u.Username), printable(strings.ReplaceAll(err.Error(), "\n", " ")))
			continue
		}
		what := "made"
		switch {
		case done.Exists:
			exist++
			what = "exists, left as it is"
		case c.Bool("dry-run"):
			what = "would be made"
			fallthrough
		default:
			made++
			if !done.Password {
				stuck++
			}
		}
		if done.Remains != "" && !done.Exists {
			fmt.Fprintf(p.Err, "%s: %s: %s\n", source.Where(u.Line), printable(u.Username), printable(done.Remains))
		}
		if !done.Password && !done.Exists {
			what += ", without a password"
		}
		if _, err := fmt.Fprintf(p.Out, "%s\t%s\n", printable(done.Username), printable(what)); err != nil {
			return err
		}
	}
	fmt.Fprintf(p.Err, "users made: %d, here before: %d, refused: %d\n", made, exist, wrong)
	if stuck > 0 {
		fmt.Fprintf(p.Err, "without a password that can be used: %d; set one for each: lastseen user password NAME\n", stuck)
	}
	if wrong > 0 {
		return errors.New("some of it could not be taken over; what is named above can be mended and imported again")
	}
	return nil
}

// readSource reads a file, or standard input for -.
func (p *Program) readSource(path string) ([]byte, error) {
	in := io.Reader(p.In)
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	content, err := io.ReadAll(io.LimitReader(in, maxSource+1))
	if err == nil && len(content) > maxSource {
		err = fmt.Errorf("%s: larger than %d MB, which no list of users is", path, maxSource>>20)
	}
	return content, err
}
