package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mxauth/mxauth/conformance/lab"
)

// The shells that completion knows.
var shells = []string{"bash", "zsh", "fish"}

// newCompletion makes the verb completion.
func newCompletion(e *env) *cobra.Command {
	return &cobra.Command{
		Use:         "completion bash|zsh|fish",
		Annotations: map[string]string{ownSettings: "yes"},
		Short:       "Print the completion script of a shell",
		Long: `Completion prints the script with which a shell completes verbs, flags and their
values. The packages bring it. To have it without them:

  mxauth completion bash > /etc/bash_completion.d/mxauth
  mxauth completion zsh > "${fpath[1]}/_mxauth"
  mxauth completion fish > ~/.config/fish/completions/mxauth.fish

That of bash needs the package bash-completion.`,
		Example:           `  mxauth completion bash`,
		Args:              arguments(1, 1),
		ValidArgsFunction: cobra.FixedCompletions(shells, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			write := map[string]func(io.Writer) error{
				"bash": func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
				"zsh":  root.GenZshCompletion,
				"fish": func(w io.Writer) error { return root.GenFishCompletion(w, true) },
			}[args[0]]
			if write == nil {
				return &exitError{code: exitUsage, err: fmt.Errorf("there is no completion for %.40q", args[0]),
					hint: "the shells are " + strings.Join(shells, ", ")}
			}
			if err := write(out); err != nil {
				return err
			}
			return e.out.flushed()
		},
	}
}

// completing reports whether a command line is one with which a completion script asks.
func completing(args []string) bool {
	return len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd)
}

// A valueSet says how a value is completed: with words, or with the names of files.
type valueSet struct {
	words []string
	files bool
	open  bool // a word is the beginning of a value
}

// complete is the answer to a completion script.
func (v valueSet) complete(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	directive := cobra.ShellCompDirectiveNoFileComp
	if v.files {
		directive = cobra.ShellCompDirectiveDefault
	}
	if v.open {
		directive |= cobra.ShellCompDirectiveNoSpace
	}
	return v.words, directive
}

// valuesOf are the values of flags that neither the table of settings nor the name of the
// value tells.
var valuesOf = map[string]valueSet{
	"map":    {words: []string{"QUERY", "QUERYwithTLSRPT", "sts", "exim"}},
	"store":  {words: []string{"memory", "bolt:", "redis://", "rediss://"}, open: true},
	"listen": {words: []string{"socketmap=unix:", "socketmap=inet:", "exim=unix:", "exim=inet:", "http=unix:", "http=inet:"}, open: true},
	"serve":  {words: []string{"socketmap=unix:", "socketmap=inet:", "exim=unix:", "exim=inet:", "http=unix:", "http=inet:"}, open: true},
	"to":     {words: []string{"mailto:", "https://"}, open: true},
}

// A worded value of a flag is one of some words.
type worded interface{ Words() []string }

// addCompletions gives each flag and each argument of a command and of those below it a
// completion, unless it has one of its own.
func addCompletions(cmd *cobra.Command) {
	for _, flags := range []*pflag.FlagSet{cmd.Flags(), cmd.PersistentFlags()} {
		flags.VisitAll(func(f *pflag.Flag) {
			if _, has := cmd.GetFlagCompletionFunc(f.Name); !has {
				_ = cmd.RegisterFlagCompletionFunc(f.Name, flagSet(f).complete) // fails only if there is one
			}
		})
	}
	if cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = argSet(cmd).complete
	}
	for _, c := range cmd.Commands() {
		addCompletions(c)
	}
}

// flagSet says how the value of a flag is completed.
func flagSet(f *pflag.Flag) valueSet {
	if w, ok := f.Value.(worded); ok && len(w.Words()) > 0 {
		return valueSet{words: w.Words()}
	}
	if v, ok := valuesOf[f.Name]; ok {
		return v
	}
	name, _ := pflag.UnquoteUsage(f)
	return valueSet{files: namesFile(name)}
}

// argSet says how the arguments of a verb are completed.
func argSet(cmd *cobra.Command) valueSet {
	if cmd.HasAvailableSubCommands() {
		return valueSet{} // cobra offers the verbs
	}
	_, args, _ := strings.Cut(cmd.Use, " ")
	return valueSet{files: namesFile(args)}
}

// namesFile reports whether a placeholder of help stands for a file.
func namesFile(placeholder string) bool {
	return slices.ContainsFunc([]string{"FILE", "PATH", "DIR", "DAMAGED", "PEM", "OLD", "NEW"}, func(word string) bool { return strings.Contains(placeholder, word) })
}

// completeWorlds offers the worlds of the demo, each with what is wrong there.
func completeWorlds(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for _, w := range lab.Worlds() {
		out = append(out, w.Name+"\t"+w.About)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completeVerbs offers the verbs that help knows.
func completeVerbs(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	about, rest, err := cmd.Root().Find(args)
	if err != nil || len(rest) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for _, c := range about.Commands() {
		if c.IsAvailableCommand() {
			out = append(out, c.Name()+"\t"+c.Short)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
