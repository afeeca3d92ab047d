package cli

import (
	"context"
	"embed"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"lastseen/app"
	"lastseen/app/config"
	"lastseen/app/source"
	"lastseen/db"

	"github.com/urfave/cli/v3"
)

//go:embed completions
var completions embed.FS

func (p *Program) completionCommand() *cli.Command {
	c := &cli.Command{Name: "completion", Usage: "print a completion script, whose first lines say where it goes"}
	for _, shell := range []string{"bash", "fish", "zsh"} {
		c.Commands = append(c.Commands, &cli.Command{Name: shell, Usage: "print that of " + shell, Action: func(context.Context, *cli.Command) error {
			script, err := completions.ReadFile("completions/" + shell)
			if err == nil {
				_, err = p.Out.Write(script)
			}
			return err
		}})
	}
	return c
}

// completeCommand is what the scripts ask: what the last of these words may become. It
// prints a line for each; behind a tab stands what it means.
func (p *Program) completeCommand() *cli.Command {
	return &cli.Command{Name: "__complete", Hidden: true, SkipFlagParsing: true, Action: func(ctx context.Context, c *cli.Command) error {
		for _, w := range p.complete(ctx, c.Root(), c.Args().Slice()) {
			fmt.Fprintln(p.Out, strings.TrimSuffix(printable(w.text)+"\t"+printable(w.meaning), "\t"))
		}
		return nil
	}}
}

// A word is one that a command line may go on with.
type word struct{ text, meaning string }

// complete is what the last word may become. What was typed before it leads to a command;
// of the settings among it, --data counts, as the data is looked into.
func (p *Program) complete(ctx context.Context, root *cli.Command, typed []string) []word {
	if len(typed) == 0 {
		typed = []string{""}
	}
	command, given := root, 0            // how many arguments
	var pending cli.Flag                 // a flag that waits for its value
	settings := map[string]string{}      // by their flags
	last := len(typed) - 1               // what is being typed
	find := func(name string) cli.Flag { // nil for none
		for _, f := range slices.Concat(command.Flags, root.Flags) {
			if slices.Contains(f.Names(), name) {
				return f
			}
		}
		return nil
	}
	for _, text := range typed[:last] {
		name, isFlag := strings.CutPrefix(text, "-")
		name, value, hasValue := strings.Cut(strings.TrimPrefix(name, "-"), "=")
		switch {
		case pending != nil:
			settings[pending.Names()[0]] = text
			pending = nil
		case isFlag && hasValue:
			settings[name] = value
		case isFlag:
			if _, alone := find(name).(*cli.BoolFlag); !alone {
				pending = find(name)
			}
		case given == 0 && command.Command(text) != nil:
			command = command.Command(text)
		default:
			given++
		}
	}
	current, before := typed[last], ""
	if flag, value, ok := strings.Cut(current, "="); ok && strings.HasPrefix(flag, "-") && pending == nil {
		pending, current, before = find(strings.TrimLeft(flag, "-")), value, flag+"="
	}
	var all []word
	switch {
	case pending != nil:
		all = p.values(ctx, settings, flagValue(pending), command)
	case strings.HasPrefix(current, "-"):
		flags := command.VisibleFlags()
		if command.Name == "serve" {
			flags = slices.Concat(flags, settingFlags())
		}
		for _, f := range flags {
			usage, _ := f.(cli.DocGenerationFlag)
			all = append(all, word{"--" + f.Names()[0], strings.ReplaceAll(usage.GetUsage(), "`", "")})
		}
	default:
		if given == 0 {
			for _, c := range command.VisibleCommands() {
				all = append(all, word{c.Name, c.Usage})
			}
		}
		if wants := wanted(command); given < len(wants) {
			all = append(all, p.values(ctx, settings, strings.Trim(wants[given], "[]"), command)...)
		}
	}
	all = slices.DeleteFunc(all, func(w word) bool { return !strings.HasPrefix(w.text, current) })
	for i := range all {
		all[i].text = before + all[i].text
	}
	return all
}

// flagValue is what a flag's value is called in its usage; of one that names a user or a
// group, as arguments call those.
func flagValue(f cli.Flag) string {
	switch f.Names()[0] {
	case "user":
		return "NAME"
	case "group":
		return "GROUP"
	case "app":
		return "HOST"
	}
	doc, _ := f.(cli.DocGenerationFlag)
	_, rest, _ := strings.Cut(doc.GetUsage(), "`")
	value, _, _ := strings.Cut(rest, "`")
	if !strings.Contains(value, "|") {
		return "" // NAME may be anybody's full name
	}
	return value
}

// values are those that there are of what a help text calls so. Without data there are none.
func (p *Program) values(ctx context.Context, settings map[string]string, kind string, c *cli.Command) (all []word) {
	switch {
	case kind == "PROXY":
		for _, s := range snippetNames {
			all = append(all, word{text: s.proxy})
		}
		return all
	case kind == "COMMAND":
		return nil
	case c.Name == "import" && strings.Contains(kind, "|"):
		for _, name := range slices.Sorted(maps.Keys(source.Readers)) {
			all = append(all, word{text: name})
		}
		return all
	case strings.Contains(kind, "|"): // one of these
		for _, value := range strings.FieldsFunc(kind, func(r rune) bool { return r == '|' || r == '[' || r == ']' }) {
			all = append(all, word{text: value})
		}
		return all
	}
	cfg, err := config.Parse(func(name string) (string, bool) { v, ok := settings[name]; return v, ok }, p.variable)
	if err != nil {
		return nil
	}
	if kind == "HOST" {
		for _, host := range cfg.Apps {
			all = append(all, word{text: host})
		}
		return all
	}
	a, closeApp, err := p.Open(ctx, cfg, slog.New(slog.DiscardHandler), false)
	if err != nil {
		return nil
	}
	defer closeApp()
	switch kind {
	case "NAME":
		users, _, _ := a.Users(ctx, app.Operator, db.UserFilter{Limit: math.MaxInt32})
		for _, u := range users {
			all = append(all, word{u.Username, u.Name})
		}
	case "GROUP":
		groups, _ := a.GroupNames(ctx)
		for _, name := range groups {
			all = append(all, word{text: name})
		}
	case "UUID":
		sessions, _, _ := a.Sessions(ctx, app.Operator, db.SessionFilter{Limit: math.MaxInt32, Ordering: []db.Order{{Column: "last_used", Descending: true}}})
		for _, s := range sessions {
			client, system := app.Title(s.Agent)
			all = append(all, word{s.UUID.String(), s.Username + ", " + strings.Trim(client+", "+system, ", ")})
		}
	case "IDENTIFIER":
		tokens, _, _ := a.Tokens(ctx, app.Operator, db.TokenFilter{Limit: math.MaxInt32})
		for _, t := range tokens {
			all = append(all, word{t.Identifier, t.User.Username})
		}
	case "ID":
		switch group := strings.Fields(c.FullName()); group[len(group)-2] {
		case "rule":
			rules, _ := a.Rules(ctx)
			for _, r := range rules {
				all = append(all, word{strconv.FormatInt(r.ID, 10), strings.TrimSpace(r.Host + " " + r.Path + strings.Join(r.Groups, ", "))})
			}
		case "alert":
			targets, _ := a.AlertTargets(ctx)
			for _, t := range targets {
				all = append(all, word{t.ID, t.Name()})
			}
		case "links":
			links, _ := a.Links(ctx)
			for _, l := range links {
				all = append(all, word{strconv.FormatInt(l.ID, 10), strings.TrimSpace(string(l.Kind) + " " + l.Username)})
			}
		}
	}
	return all
}
