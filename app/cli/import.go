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
	"lastseen/db"

	"github.com/urfave/cli/v3"
)

// maxSource is how many bytes of a file of users are read.
const maxSource = 64 << 20

func (p *Program) importCommand() *cli.Command {
	programs := strings.Join(slices.Sorted(maps.Keys(source.Readers)), "|")
	return &cli.Command{Name: "import", Usage: "take over the users of another program, with their passwords; docs/moving.md says from which files",
		ArgsUsage: programs + " SOURCE", Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Usage: "only say what would become of them"},
		}, Action: func(ctx context.Context, c *cli.Command) error {
			return p.withApp(!c.Bool("dry-run"), p.importUsers)(ctx, c)
		}}
}

// importUsers prints a line for each user, and on standard error what is wrong, by line.
func (p *Program) importUsers(ctx context.Context, c *cli.Command, a *app.App) error {
	args := c.Args().Slice()
	read, ok := source.Readers[args[0]]
	if !ok {
		return usagef("there is no import from %q; see `lastseen import --help`", args[0])
	}
	content, err := p.readSource(args[1])
	if err != nil {
		return err
	}
	users, err := read(content)
	if err != nil {
		return fmt.Errorf("%s: %w", args[1], err)
	}
	dry := c.Bool("dry-run")
	var made, exist, wrong, stuck int
	lines := map[string]int{} // of the names, as they are compared
	for _, u := range users {
		var done app.Imported
		err := u.Err
		if first, twice := lines[db.Fold(u.Username)]; err == nil && twice {
			err = fmt.Errorf("%s names them already", source.Where(first))
		}
		if err == nil {
			lines[db.Fold(u.Username)] = u.Line
			done, err = a.Import(ctx, app.Operator.Actor(), u, dry)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		where := printable(strings.TrimSuffix(source.Where(u.Line)+": "+u.Username, ": "))
		if err != nil {
			wrong++
			fmt.Fprintf(p.Err, "%s: %s\n", where, printable(strings.ReplaceAll(err.Error(), "\n", " ")))
			if u.Username == "" {
				continue
			}
			if _, err := fmt.Fprintf(p.Out, "%s\trefused\n", printable(u.Username)); err != nil {
				return err
			}
			continue
		}
		what := "exists, left as it is"
		switch {
		case done.Exists:
			exist++
		case dry:
			what = "would be made"
			made++
		default:
			what = "made"
			made++
		}
		if !done.Exists && done.Remains != "" {
			fmt.Fprintf(p.Err, "%s: %s\n", where, printable(done.Remains))
		}
		if !done.Exists && !done.Password {
			stuck++
			what += ", without a password"
			if !dry && !u.Disabled {
				address, _, err := a.ResetLink(ctx, app.Operator.Actor(), done.User, app.InviteFor)
				if err != nil && !errors.Is(err, app.ErrNoAddress) {
					return err
				}
				what = strings.TrimSpace(what + "\t" + address)
			}
		}
		if _, err := fmt.Fprintf(p.Out, "%s\t%s\n", printable(done.User.Username), what); err != nil {
			return err
		}
	}
	fmt.Fprintf(p.Err, "users %s: %d, here before: %d, refused: %d\n", map[bool]string{true: "that would be made", false: "made"}[dry], made, exist, wrong)
	if stuck > 0 {
		fmt.Fprintf(p.Err, "without a password that can be used: %d; each gets a link, good once and for three days, to choose one; lastseen user reset NAME makes another\n", stuck)
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
