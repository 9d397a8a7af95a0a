package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpWidth is the number of columns of help, that of a terminal as it opens. Help is
// wrapped to it whatever the terminal is, so that what is pasted is the same everywhere.
const helpWidth = 80

// showHelp writes the help of a command.
func showHelp(cmd *cobra.Command, _ []string) {
	_, _ = io.WriteString(cmd.OutOrStdout(), helpText(cmd)) // the console keeps the error
}

// helpText is the help of a command, with lines of at most helpWidth columns where text and
// examples allow it.
func helpText(cmd *cobra.Command) string {
	var b strings.Builder
	about := cmd.Long
	if about == "" {
		about = cmd.Short + "."
	}
	b.WriteString(reflow(about, helpWidth) + "\n\nUsage:\n")
	if cmd.Runnable() && !cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s\n", cmd.UseLine())
	} else {
		fmt.Fprintf(&b, "  %s VERB [flags]\n", cmd.CommandPath())
	}
	if cmd.HasExample() {
		b.WriteString("\nExamples:\n" + strings.TrimRight(cmd.Example, "\n") + "\n")
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\nVerbs:\n")
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() || c.Name() == "help" {
				name := fmt.Sprintf("  %-*s ", c.NamePadding(), c.Name())
				lines := wrap(c.Short, helpWidth-len(name), 0)
				b.WriteString(name + strings.Join(lines, "\n"+strings.Repeat(" ", len(name))) + "\n")
			}
		}
	}
	own, shared := cmd.LocalFlags(), cmd.InheritedFlags()
	for _, l := range []struct {
		title string
		flags *pflag.FlagSet
	}{{"Flags", own}, {"Flags of every verb", shared}} {
		if l.flags.HasAvailableFlags() {
			fmt.Fprintf(&b, "\n%s:\n%s", l.title, l.flags.FlagUsagesWrapped(helpWidth))
		}
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\nMore about a verb: %s VERB --help\n", cmd.CommandPath())
	}
	return b.String()
}

// reflow wraps the paragraphs and the lists of a text to a width. The items of a list begin
// with "  - ". Other paragraphs with an indented line are left as they are: they are examples.
func reflow(text string, width int) string {
	paragraphs := strings.Split(strings.Trim(text, "\n"), "\n\n")
	for i, p := range paragraphs {
		switch {
		case strings.HasPrefix(p, bullet):
			items := strings.Split(p[len(bullet):], "\n"+bullet)
			for j, item := range items {
				items[j] = bullet + strings.Join(wrap(item, width-len(bullet), 0), "\n"+strings.Repeat(" ", len(bullet)))
			}
			paragraphs[i] = strings.Join(items, "\n")
		case !strings.HasPrefix(p, " ") && !strings.Contains(p, "\n "):
			paragraphs[i] = strings.Join(wrap(p, width, 0), "\n")
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

// bullet begins an item of a list.
const bullet = "  - "
