package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mxauth/mxauth/cmd/internal/near"
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
			err = fmt.Errorf("%s takes at most %s and got %d", name, counted(most, "argument"), n)
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
	hint := "the verbs are " + verbNames(cmd)
	if meant := nearVerbs(cmd, verb); len(meant) > 0 {
		hint = "did you mean " + strings.Join(meant, " or ") + "?"
	}
	text := fmt.Sprintf("there is no verb %.80q", verb)
	if cmd.HasParent() {
		text = fmt.Sprintf("%s has no verb %.80q", cmd.Name(), verb)
	}
	return &exitError{code: exitUsage, err: errors.New(text), hint: hint + more}
}

// nearVerbs lists the commands that may be meant by a word that is no verb: first the verb of
// cmd with the name nearest to it, then those that it begins.
func nearVerbs(cmd *cobra.Command, verb string) (meant []string) {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	found := []string{near.Name(verb, names)}
	for _, n := range names {
		if strings.HasPrefix(n, strings.ToLower(verb)) && n != found[0] {
			found = append(found, n)
		}
	}
	for _, n := range found {
		if n != "" {
			meant = append(meant, cmd.CommandPath()+" "+n)
		}
	}
	return meant
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
	return "; to check a domain: mxauth check " + domain
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
var goWords = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`strconv\.\w+: parsing "(?:[^"\\]|\\.)*": |time: `)
})

// flagError makes a usage error of what is wrong with a flag.
func flagError(cmd *cobra.Command, err error) error {
	text := goWords().ReplaceAllString(err.Error(), "")
	hint := "the flags of this verb: " + cmd.CommandPath() + " --help"
	if meant := nearFlag(cmd, err); meant != "" {
		hint = "did you mean " + meant + "? " + hint
	}
	if strings.Contains(text, "duration") {
		hint = "a length of time is written with its unit, such as 30s, 10m or 36h"
	}
	return &exitError{code: exitUsage, err: errors.New(text), hint: hint}
}

// nearFlag is the flag that is meant by one that a verb does not have; "" if there is none
// like it, or the error is another. With one dash a name is taken for letters.
func nearFlag(cmd *cobra.Command, err error) string {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return ""
	}
	name := unknown.GetSpecifiedName()
	if letters := unknown.GetSpecifiedShortnames(); letters != "" {
		if name, _, _ = strings.Cut(letters, "="); len(name) < 2 {
			return ""
		}
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	if meant := near.Name(name, names); meant != "" {
		return "--" + meant
	}
	return ""
}

// notWord is for the value of a flag that is none of its words.
func notWord(flag, value string, words ...string) error {
	last := len(words) - 1
	x := &exitError{code: exitUsage, err: fmt.Errorf("--%s: %.40q is not %s or %s", flag, value, strings.Join(words[:last], ", "), words[last])}
	if meant := near.Name(value, words); meant != "" {
		x.hint = "did you mean --" + flag + " " + meant + "?"
	}
	return x
}
