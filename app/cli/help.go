package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"lastseen/app/config"

	"github.com/urfave/cli/v3"
)

// lineWidth is how wide help may be.
const lineWidth = 80

// printHelp prints a command's help: its own options, and those of the settings only where
// somebody looks for them, at the root and at serve.
func printHelp(w io.Writer, c *cli.Command) {
	var b strings.Builder
	b.WriteString("NAME:\n" + wrap(lineWidth, c.FullName()+" - "+c.Usage, 3, 6) + "\nUSAGE:\n")
	usage := c.FullName()
	if len(c.VisibleFlags()) > 0 {
		usage += " [options]"
	}
	if len(c.VisibleCommands()) > 0 {
		usage += " [command [command options]]"
	}
	b.WriteString(wrap(lineWidth, strings.TrimSpace(usage+" "+c.ArgsUsage), 3, 6))
	if c.Description != "" {
		b.WriteString("\nDESCRIPTION:\n")
		for line := range strings.Lines(c.Description) {
			b.WriteString(wrap(lineWidth, line, 3, 5))
		}
	}
	root := c.Root()
	if subs := c.VisibleCommands(); len(subs) > 0 {
		b.WriteString("\nCOMMANDS:\n")
		var rows [][2]string
		for _, sub := range subs {
			rows = append(rows, [2]string{strings.Join(sub.Names(), ", "), sub.Usage})
		}
		b.WriteString(columns(rows))
	}
	if flags := flagRows(c.VisibleFlags()); c == root {
		b.WriteString("\nOPTIONS, of all commands:\n" + columns(flags))
	} else {
		b.WriteString("\nOPTIONS:\n" + columns(flags))
	}
	if c != root && c.Name == "serve" {
		b.WriteString("\nSETTINGS, which go with all commands:\n" + columns(flagRows(settingFlags())))
	} else if c != root {
		fmt.Fprintf(&b, "\nSettings such as --data go with this too: `%s serve --help`.\n", root.Name)
	}
	_, _ = io.WriteString(w, b.String())
}

// flagRows are flags with what their values look like, and what they do.
func flagRows(flags []cli.Flag) (rows [][2]string) {
	for _, f := range flags {
		doc, ok := f.(cli.DocGenerationFlag)
		if !ok {
			continue
		}
		var names []string
		for _, name := range f.Names() {
			names = append(names, strings.Repeat("-", min(len(name), 2))+name)
		}
		left, usage := strings.Join(names, ", "), doc.GetUsage()
		if before, rest, quoted := strings.Cut(usage, "`"); quoted {
			value, after, _ := strings.Cut(rest, "`")
			left, usage = left+" "+value, before+value+after
		}
		if text, ok := f.(*cli.StringFlag); ok {
			value := text.DefaultText
			if value == "" {
				value = text.Value
			}
			if value != "" {
				usage += " (default: " + value + ")"
			}
		}
		rows = append(rows, [2]string{left, usage})
	}
	return rows
}

// columns prints two, the second beside the first or, where that is long, below it.
func columns(rows [][2]string) string {
	const most = 22
	width := 0
	for _, row := range rows {
		if n := utf8.RuneCountInString(row[0]); n <= most {
			width = max(width, n)
		}
	}
	var b strings.Builder
	for _, row := range rows {
		text := wrap(lineWidth, row[1], width+5, width+5)
		if n := utf8.RuneCountInString(row[0]); n <= width {
			text = fmt.Sprintf("   %s%s", row[0], text[3+n:])
		} else {
			text = "   " + row[0] + "\n" + text
		}
		b.WriteString(text)
	}
	return b.String()
}

// wrap breaks a line between words, so that none is wider, and indents the first and the others.
func wrap(width int, line string, first, others int) string {
	var b strings.Builder
	at := first
	b.WriteString(strings.Repeat(" ", first))
	for i, word := range strings.Fields(line) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case at+1+n > width:
			b.WriteString("\n" + strings.Repeat(" ", others))
			at = others
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += n
	}
	b.WriteByte('\n')
	return b.String()
}

// helpCommand prints the help of a group, or of the command that its words lead to.
func helpCommand(group *cli.Command) *cli.Command {
	return &cli.Command{Name: "help", Aliases: []string{"h"}, Usage: "show help, of a command too", ArgsUsage: "[COMMAND]...", HideHelp: true,
		Action: func(_ context.Context, c *cli.Command) error {
			topic := group
			for _, word := range c.Args().Slice() {
				next := topic.Command(word)
				if next == nil {
					return noCommand(topic, word)
				}
				topic = next
			}
			printHelp(c.Root().Writer, topic)
			return nil
		}}
}

// noCommand says that a group has none of that name, and which is near.
func noCommand(group *cli.Command, name string) error {
	var names []string
	for _, c := range group.VisibleCommands() {
		names = append(names, c.Name)
	}
	return usagef("there is no command `%s %s`%s; see `%s --help`", group.FullName(), name, meant("", name, names), group.FullName())
}

// noFlag says so of a flag that there is not, or passes on what else is wrong.
func noFlag(c *cli.Command, err error) error {
	name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !unknown {
		return usagef("%w; see `%s --help`", err, c.FullName())
	}
	name = strings.TrimLeft(name, "-")
	var names []string
	for _, f := range slices.Concat(c.Flags, c.Root().Flags) {
		names = append(names, f.Names()...)
	}
	return usagef("there is no flag --%s%s; see `%s --help`", name, meant("--", name, names), c.FullName())
}

// meant asks about a known name that is near.
func meant(dashes, name string, known []string) string {
	if nearest := config.Nearest(name, known); nearest != "" {
		return fmt.Sprintf(" (did you mean `%s%s`?)", dashes, nearest)
	}
	return ""
}
