package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// many is no bound on the arguments of a verb.
const many = -1

// arguments checks how many arguments a verb has, and says what is wrong in words.
func arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		name := strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
		var err error
		switch n := len(args); {
		case n < least && n == 0 && most != least:
			err = fmt.Errorf("%s needs an argument", name)
		case n < least:
			err = fmt.Errorf("%s needs %s and got %d", name, counted(least, "argument"), n)
		case most == 0 && n > 0:
			err = fmt.Errorf("%s takes no argument and got %.80q", name, args[0])
		case most != many && n > most:
			err = fmt.Errorf("%s takes %s at the most and got %d", name, counted(most, "argument"), n)
		default:
			return nil
		}
		return &exitError{code: exitUsage, err: err, hint: "usage: " + cmd.UseLine()}
	}
}

// group makes a verb that does nothing by itself of one that has verbs of its own.
func group(cmd *cobra.Command, verbs ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(verbs...)
	cmd.Annotations = map[string]string{ownSettings: "yes"} // it says which verbs there are
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return noVerb(cmd, args[0], "")
		}
		return &exitError{code: exitUsage, err: fmt.Errorf("%s needs a verb of its own", cmd.Name()),
			hint: fmt.Sprintf("the verbs of %s are %s; more by %s --help", cmd.Name(), verbNames(cmd), cmd.CommandPath())}
	}
	return cmd
}

// noVerb says that a command has no such verb, and names the one that may be meant, or
// all; more is added to the hint.
func noVerb(cmd *cobra.Command, verb, more string) error {
	const nearest = 2 // letters that may be wrong
	cmd.SuggestionsMinimumDistance = nearest
	hint := "the verbs are " + verbNames(cmd)
	if near := cmd.SuggestionsFor(verb); len(near) > 0 {
		hint = "did you mean " + cmd.CommandPath() + " " + strings.Join(near, " or ") + "?"
	}
	text := fmt.Sprintf("there is no verb %.80q", verb)
	if cmd.HasParent() {
		text = fmt.Sprintf("%s has no verb %.80q", cmd.Name(), verb)
	}
	return &exitError{code: exitUsage, err: errors.New(text), hint: hint + more}
}

// whereElse says which command may be meant by a word that is no verb: a verb of another
// one, or a domain.
func whereElse(root *cobra.Command, args []string) string {
	rest := ""
	if len(args) > 1 {
		rest = " " + strings.Join(args[1:], " ")
	}
	var found []string
	for _, group := range root.Commands() {
		for _, c := range group.Commands() {
			if c.Name() == args[0] && c.IsAvailableCommand() {
				found = append(found, c.CommandPath()+rest)
			}
		}
	}
	if len(found) > 0 {
		return "; " + args[0] + " is a verb of another: " + strings.Join(found, ", ")
	}
	domain := args[0]
	var m *meantError
	if errors.As(noDomain(domain), &m) && m.domain != "" {
		domain = m.domain
	}
	return "; to look at a domain: mxauth check " + domain
}

// newHelp makes the verb help, which fails for what it has no help about.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:               "help [VERB]",
		Annotations:       map[string]string{ownSettings: "yes"},
		Short:             "Show what a verb does, and its flags",
		ValidArgsFunction: completeVerbs,
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return noVerb(about, rest[0], "")
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// goWords are what the errors of flags say of the language that mxauth is written in.
var goWords = regexp.MustCompile(`strconv\.\w+: parsing "(?:[^"\\]|\\.)*": |time: `)

// flagError makes a usage error of what is wrong with a flag.
func flagError(cmd *cobra.Command, err error) error {
	text := goWords.ReplaceAllString(err.Error(), "")
	hint := "the flags of this verb: " + cmd.CommandPath() + " --help"
	if strings.Contains(text, "duration") {
		hint = "a length of time is written with its unit, such as 30s, 10m or 36h"
	}
	return &exitError{code: exitUsage, err: errors.New(text), hint: hint}
}
