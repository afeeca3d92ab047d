// Package cli is the command line: it reads the settings, opens the app and
// calls it, beside a running server or without one.
package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"lastseen/app"
	"lastseen/app/config"
	"lastseen/db"

	"github.com/mattn/go-isatty"
	"github.com/urfave/cli/v3"
	"golang.org/x/term"
)

// Program is what main wires together for the commands.
type Program struct {
	Version string // in one line
	// Open opens the app on its data directory, beside a server or without
	// one. It makes a data directory that is missing only if create is true.
	Open func(ctx context.Context, c config.Config, log *slog.Logger, create bool) (*app.App, func() error, error)
	// Serve serves until ctx ends.
	Serve func(ctx context.Context, c config.Config, log *slog.Logger) error
	// Restore puts a backup in the place of the database of a stopped server.
	Restore func(ctx context.Context, c config.Config, log *slog.Logger, backup string, keepSessions bool) (app.Restored, error)
	// Move copies the database to another kind, at a URL of PostgreSQL or, for "sqlite",
	// back into the data directory, and says how many rows each table got.
	Move func(ctx context.Context, c config.Config, log *slog.Logger, to string) (counts map[string]int64, err error)
	// Demo serves a throwaway instance until ctx ends. It prints how to reach it, for
	// scripts to out and for people to hints.
	Demo func(ctx context.Context, c config.Config, log *slog.Logger, out, hints io.Writer) error
	// What --json prints: things as the API shows them.
	SessionObject func(app.Session) any
	UserObject    func(db.User) any
	TokenObject   func(db.Token) any

	In       *os.File
	Out, Err io.Writer
	Environ  []string
}

// A usageError is about how the program was called: exit status 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// Run runs the command that args, with the program's name first, ask for, and
// returns the exit status: 0, 1 for failure, 2 for wrong usage or settings.
func (p *Program) Run(ctx context.Context, args []string) int {
	err := p.command().Run(ctx, args)
	if err == nil {
		return 0
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(p.Err, "lastseen: %s\n", printable(line))
	}
	var usage usageError
	var input *db.InputError // of what was given
	if errors.As(err, &usage) || errors.As(err, &input) {
		return 2
	}
	return 1
}

func (p *Program) command() *cli.Command {
	root := &cli.Command{
		Name:           "lastseen",
		Usage:          "sign-in, session list and forward-auth gate for the apps of a small server",
		Version:        p.Version,
		Description:    "Try it with `lastseen demo`. To run it, `lastseen serve`: without a user yet, it prints a link for setting up the first one. All other commands work beside a running server.",
		Flags:          settingFlags(),
		Writer:         p.Out,
		ErrWriter:      p.Err,
		ExitErrHandler: func(context.Context, *cli.Command, error) {}, // Run decides
		Commands: []*cli.Command{
			{Name: "serve", Usage: "open or create the data directory, migrate it, and listen", Description: environmentHelp(), Action: p.serve},
			{Name: "demo", Usage: "show a throwaway instance with sample people and sessions; obeys --listen and --log-*", Action: p.demo},
			p.userCommand(),
			p.tokenCommand(),
			p.sessionCommand(),
			p.ruleCommand(),
			p.alertCommand(),
			p.snippetCommand(),
			p.importCommand(),
			{Name: "geoip", Usage: "places and networks of addresses", Commands: []*cli.Command{
				{Name: "lookup", Usage: "say what the databases know of an address", ArgsUsage: "IP", Action: p.geoipLookup},
			}},
			{Name: "backup", Usage: "write a checked copy of the database to a file, - for standard output, beside a running server too", ArgsUsage: "FILE", Action: p.withApp(false, p.backup), Flags: []cli.Flag{
				&cli.BoolFlag{Name: "with-key", Usage: "with the key that decrypts the secrets of second factors, which is not in the database"},
				yesFlag,
			}},
			{Name: "restore", Usage: "put a backup in the place of the database; the server must be stopped", ArgsUsage: "FILE", Action: p.restore, Flags: []cli.Flag{
				&cli.BoolFlag{Name: "keep-sessions", Usage: "do not sign everybody out, though that brings back sessions that were ended since"},
				yesFlag,
			}},
			{Name: "move", Usage: "copy the SQLite database into an empty one of PostgreSQL, or, given `sqlite`, that of --database back into the data directory; the servers must be stopped", ArgsUsage: "postgres://...|sqlite", Action: p.move},
			{Name: "doctor", Usage: "check what the instance stands on, and say what to change", Action: p.doctor},
			{Name: "healthcheck", Usage: "exit 0 when the server with these settings is ready", Action: p.healthcheck},
			p.completionCommand(),
			{Name: "version", Usage: "print version, commit, Go and platform", Action: func(context.Context, *cli.Command) error {
				fmt.Fprintln(p.Out, p.Version)
				return nil
			}},
		},
	}
	cli.HelpPrinter = func(w io.Writer, _ string, c any) { printHelp(w, c.(*cli.Command)) }
	cli.ShowCommandHelp = func(_ context.Context, c *cli.Command, word string) error { // --help behind a word
		topic := c.Command(word)
		if topic == nil && len(wanted(c)) == 0 {
			return noCommand(c, word)
		}
		printHelp(c.Root().Writer, cmp.Or(topic, c))
		return nil
	}
	cli.VersionPrinter = func(*cli.Command) { fmt.Fprintln(p.Out, p.Version) }
	strict(root)
	root.Commands = append(root.Commands, p.completeCommand())
	return root
}

// strict makes wrong usage an error everywhere: commands and flags that there are not, and
// arguments that are too many or too few.
func strict(c *cli.Command) {
	c.OnUsageError = func(_ context.Context, c *cli.Command, err error, _ bool) error {
		return noFlag(c, err)
	}
	if len(c.Commands) > 0 && c.Action == nil {
		c.Action = func(_ context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return noCommand(c, c.Args().First())
			}
			if c.Root() == c { // who tries it for the first time
				printHelp(c.Writer, c)
				return nil
			}
			printHelp(c.Root().ErrWriter, c)
			return usagef("`%s` alone does nothing: name one of its commands", c.FullName())
		}
		c.Commands = append(c.Commands, helpCommand(c))
	} else {
		action := c.Action
		c.Action = func(ctx context.Context, c *cli.Command) error {
			if err := check(c); err != nil {
				return err
			}
			return action(ctx, c)
		}
	}
	c.HideHelpCommand = true // the library's knows but one word
	for _, sub := range c.Commands {
		strict(sub)
	}
}

// settingFlags are the flags of config.Settings; they go before or after a command.
func settingFlags() []cli.Flag {
	var flags []cli.Flag
	for _, s := range config.Settings {
		if s.Flag == "" {
			continue
		}
		flags = append(flags, &cli.StringFlag{
			Name: s.Flag, Usage: fmt.Sprintf("%s [$%s]", s.Usage, s.Env), DefaultText: s.Default, HideDefault: s.Default == "",
		})
	}
	return flags
}

// environmentHelp names the settings that have no flag.
func environmentHelp() string {
	var b strings.Builder
	b.WriteString("Settings that are environment variables only:\n")
	for _, s := range config.Settings {
		if s.Flag == "" {
			fmt.Fprintf(&b, "  %s: %s", s.Env, s.Usage)
			if s.Default != "" {
				fmt.Fprintf(&b, " (default: %s)", s.Default)
			}
			if s.Secret {
				fmt.Fprintf(&b, "; or %s_FILE", s.Env)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// variable is one of the environment.
func (p *Program) variable(name string) (string, bool) {
	for _, entry := range p.Environ {
		if n, v, _ := strings.Cut(entry, "="); n == name {
			return v, true
		}
	}
	return "", false
}

// flags are those that were given.
func flags(c *cli.Command) func(name string) (string, bool) {
	return func(name string) (string, bool) { return c.String(name), c.IsSet(name) }
}

// given are the settings that were given, by flag or environment.
func (p *Program) given(c *cli.Command) func(name string) (string, bool) {
	return func(name string) (string, bool) {
		if c.IsSet(name) {
			return c.String(name), true
		}
		i := slices.IndexFunc(config.Settings, func(s config.Setting) bool { return s.Flag == name })
		value, _ := p.variable(config.Settings[i].Env)
		return value, value != ""
	}
}

// settings reads and checks all settings, and makes the log they ask for.
func (p *Program) settings(c *cli.Command) (config.Config, *slog.Logger, error) {
	cfg, err := config.Parse(flags(c), p.variable)
	if err != nil {
		return cfg, nil, usageError{err}
	}
	return cfg, p.log(cfg), nil
}

// settingsBeside is settings for a command beside a server: what it is not given itself it
// takes from the server. hidden are the flags of secrets that only that has.
func (p *Program) settingsBeside(c *cli.Command) (_ config.Config, _ *slog.Logger, hidden []string, err error) {
	cfg, log, err := p.settings(c)
	if err != nil {
		return cfg, log, nil, err
	}
	served, _, hidden, err := cfg.AsServed(p.given(c), p.variable)
	if err != nil {
		return cfg, log, nil, nil // the doctor tells what is wrong with them
	}
	return served, log, hidden, nil
}

func (p *Program) log(c config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: slog.LevelInfo}
	if c.LogDebug {
		options.Level = slog.LevelDebug
	}
	format := c.LogFormat
	if format == "" {
		format = "json"
		if f, ok := p.Err.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
			format = "text"
		}
	}
	if format == "text" {
		return slog.New(slog.NewTextHandler(p.Err, options))
	}
	return slog.New(slog.NewJSONHandler(p.Err, options))
}

// quietly is the log of commands that are not servers: only what went wrong.
func quietly(log *slog.Logger) *slog.Logger { return slog.New(warnings{log.Handler()}) }

type warnings struct{ slog.Handler }

func (h warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelError && h.Handler.Enabled(ctx, l)
}

// withApp opens the app for one command. Missing data is made only if create is true. Where
// the server has a database of its own, the command is not to find or make another.
func (p *Program) withApp(create bool, f func(ctx context.Context, c *cli.Command, a *app.App) error) cli.ActionFunc {
	return func(ctx context.Context, c *cli.Command) error {
		cfg, log, hidden, err := p.settingsBeside(c)
		if err != nil {
			return err
		}
		if cfg.Database == "" && slices.Contains(hidden, "database") {
			return usagef("--database: the server on %s has one: give it here too, by the flag or as LASTSEEN_DATABASE", cfg.DataDir)
		}
		return p.open(ctx, c, cfg, log, create, f)
	}
}

// open opens the app with these settings for one command.
func (p *Program) open(ctx context.Context, c *cli.Command, cfg config.Config, log *slog.Logger, create bool, f func(ctx context.Context, c *cli.Command, a *app.App) error) error {
	a, closeApp, err := p.Open(ctx, cfg, quietly(log), create)
	if err != nil {
		return err
	}
	return errors.Join(f(ctx, c, a), closeApp())
}

// wanted are the names of the arguments that a command takes, which stand in its ArgsUsage
// before the flags that it cannot do without.
func wanted(c *cli.Command) []string {
	args, _, _ := strings.Cut(c.ArgsUsage, "--")
	return strings.Fields(args)
}

// check looks whether a command has the arguments and flags that its ArgsUsage asks for.
func check(c *cli.Command) error {
	usage := "usage: " + c.FullName() + " " + c.ArgsUsage
	want, least := wanted(c), 0
	for _, name := range want {
		if !strings.HasPrefix(name, "[") {
			least++
		}
	}
	switch n := c.Args().Len(); {
	case n > len(want) && !strings.HasSuffix(c.ArgsUsage, "..."):
		return usagef("%q is too much; %s", c.Args().Get(len(want)), strings.TrimSpace(usage))
	case n < least:
		return usagef("%s is missing; %s", want[n], usage)
	}
	for _, f := range slices.Concat(c.Flags, c.Root().Flags) {
		name := f.Names()[0]
		if !c.IsSet(name) {
			if slices.Contains(strings.Fields(c.ArgsUsage), "--"+name) {
				return usagef("--%s is missing; %s", name, usage)
			}
			continue
		}
		for _, value := range append(c.StringSlice(name), c.String(name)) {
			if strings.HasPrefix(value, "--") {
				return usagef("--%s: a value is missing before %s", name, value)
			}
		}
	}
	return nil
}

func (p *Program) serve(ctx context.Context, c *cli.Command) error {
	cfg, log, err := p.settings(c)
	if err != nil {
		return err
	}
	for _, unknown := range config.UnknownVariables(p.Environ) {
		if unknown[1] != "" {
			log.Warn("unknown environment variable", "name", unknown[0], "did_you_mean", unknown[1])
		} else {
			log.Warn("unknown environment variable", "name", unknown[0])
		}
	}
	return p.Serve(ctx, cfg, log)
}

func (p *Program) demo(ctx context.Context, c *cli.Command) error {
	// A demo is alike everywhere: it looks at no setting but these.
	cfg, err := config.Parse(func(name string) (string, bool) {
		return c.String(name), c.IsSet(name) && (name == "listen" || strings.HasPrefix(name, "log-"))
	}, func(name string) (string, bool) {
		if name != "LASTSEEN_LISTEN" && !strings.HasPrefix(name, "LASTSEEN_LOG_") {
			return "", false
		}
		return p.variable(name)
	})
	if err != nil {
		return usageError{err}
	}
	return p.Demo(ctx, cfg, p.log(cfg), p.Out, p.Err)
}

// table prints rows in columns, the heads first. On a terminal that is too narrow
// for a table, the columns named in spare are left out, the first of them first.
func (p *Program) table(rows [][]string, spare ...string) error {
	for _, row := range rows {
		for i, cell := range row {
			row[i] = printable(cell)
		}
	}
	width := p.width()
	var left []string
	for _, head := range spare {
		if tableWidth(rows) <= width {
			break
		}
		i := slices.Index(rows[0], head)
		for r := range rows {
			rows[r] = slices.Delete(rows[r], i, i+1)
		}
		left = append(left, head)
	}
	w := tabwriter.NewWriter(p.Out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	if err := w.Flush(); err != nil || len(left) == 0 {
		return err
	}
	fmt.Fprintf(p.Err, "(too narrow for %s; --json shows all)\n", strings.Join(left, ", "))
	return nil
}

// cut shortens the cells of columns, the first of them first, until the table fits.
func cut(rows [][]string, width int, columns ...int) {
	const least = 8
	for _, column := range columns {
		over := tableWidth(rows) - width
		if over <= 0 {
			return
		}
		widest := 0
		for _, row := range rows {
			widest = max(widest, utf8.RuneCountInString(row[column]))
		}
		for _, row := range rows {
			if text, most := []rune(row[column]), max(widest-over, least); len(text) > most {
				row[column] = string(text[:most-1]) + "…"
			}
		}
	}
}

// width is how many characters fit on a line of the terminal; any number when
// it is none.
func (p *Program) width() int {
	if p.terminal() {
		if width, _, err := term.GetSize(int(p.Out.(*os.File).Fd())); err == nil && width > 0 {
			return width
		}
	}
	return math.MaxInt
}

// terminal reports whether somebody reads what is printed.
func (p *Program) terminal() bool {
	f, ok := p.Out.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// tableWidth is how wide rows are in columns, two spaces apart.
func tableWidth(rows [][]string) int {
	width := -2
	for i := range rows[0] {
		column := 0
		for _, row := range rows {
			column = max(column, utf8.RuneCountInString(row[i]))
		}
		width += column + 2
	}
	return width
}

// steers reports whether a character may move a terminal's cursor, change its
// state, or the order in which text is shown.
func steers(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }

// printable keeps text from strangers from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if steers(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// json prints v, with what would steer a terminal escaped as JSON may be.
func (p *Program) json(v any) error {
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return err
	}
	var out strings.Builder
	for _, r := range buf.String() {
		if r != '\n' && steers(r) { // JSON itself has no others
			fmt.Fprintf(&out, `\u%04x`, r)
		} else {
			out.WriteRune(r)
		}
	}
	_, err := io.WriteString(p.Out, out.String())
	return err
}

// timeText is a time as tables show it: the clock of TZ, with its zone, which a summer changes.
func timeText(t time.Time, zero string) string {
	if t.IsZero() {
		return zero
	}
	return t.Local().Format("2006-01-02 15:04 MST")
}
