package main

import (
	"context"
	"errors"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// run carries out one command line and returns the exit status. All that the user
// reads of an error is written here.
func run(ctx context.Context, args []string, e *env) (code int) {
	defer func() {
		if p := recover(); p != nil {
			e.out.Errorf("internal error: %v", p)
			e.out.Hintf("this is a fault of mxauth; please report it with the text below")
			for line := range strings.Lines(string(debug.Stack())) {
				e.out.Hintf("%s", strings.TrimRight(line, "\n"))
			}
			code = exitFault
		}
	}()
	root := newRoot(e)
	if completing(args) {
		addCompletions(root)
	}
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	code, wasStopped := stopped(err)
	switch {
	case wasStopped:
		err = e.out.flushed()
	case ctx.Err() != nil && asksNagios(cmd):
		return e.nagiosFailed(errInterrupted)
	case ctx.Err() != nil:
		e.out.Errorf("%s", errInterrupted)
		return exitInterrupted
	case err == nil:
		err = e.out.flushed()
	}
	if err == nil {
		return code
	}
	var x *exitError
	silent := errors.As(err, &x) && x.err == nil // the answer has been given
	switch {
	case silent:
	case asksNagios(cmd):
		return e.nagiosFailed(err)
	default:
		e.out.Errorf("%s", errorText(err))
	}
	var m *meantError
	var inner *exitError
	switch {
	case x != nil && x.hint != "":
		e.out.Hintf("%s", x.hint)
	case errors.As(err, &m):
		e.out.Hintf("%s", m.hint(cmd.CommandPath()))
	case x != nil && errors.As(x.err, &inner) && inner.hint != "":
		e.out.Hintf("%s", inner.hint)
	}
	return exitCode(err)
}

var errInterrupted = errors.New("interrupted")

// newRoot builds the command tree.
func newRoot(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:   "mxauth",
		Short: "Would this mail delivery be authenticated?",
		Long: `mxauth answers one question before a message leaves: would this delivery be
authenticated, by what, and if not, why? It checks DANE (RFC 7672) and MTA-STS
(RFC 8461) of a domain, speaks with its mail hosts up to STARTTLS, and says what came
out and which rule decided. It never sends mail.`,
		Example: `  mxauth demo                      what can go wrong, shown without network
  mxauth check example.org         is mail to example.org secure, and why not?
  mxauth explain example.org       where does the chain of trust break?
  mxauth lint example.org          what should its owner publish or change?
  mxauth sts make example.org      a first policy for it (DANE: tlsa make)
  mxauth forecast example.org      will it break, and when?
  mxauth survey - < partners.txt   which of many domains are secure?`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		DisableAutoGenTag: true,
		Args:              cobra.ArbitraryArgs,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return e.prepare(cmd) },
		RunE: func(cmd *cobra.Command, args []string) error {
			if asked, _ := cmd.Flags().GetBool("version"); asked {
				return printVersion(e)
			}
			if len(args) > 0 {
				return noVerb(cmd, args[0], whereElse(cmd, args))
			}
			return &exitError{code: exitUsage, err: errors.New("no verb given"),
				hint: "the verbs are " + verbNames(cmd) + "; more by mxauth help"}
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetIn(e.stdin)
	root.SetOut(e.out.stdout())
	root.SetErr(e.out.stderr())
	root.Flags().Bool("version", false, "version for mxauth")
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(newHelp())
	root.SetHelpFunc(showHelp)
	e.flags.add(root.PersistentFlags())
	for _, verb := range verbs() {
		root.AddCommand(verb(e))
	}
	return root
}

// verbNames lists the verbs of a command that a user may choose from.
func verbNames(cmd *cobra.Command) string {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return strings.Join(names, ", ")
}

// version is that of the module as it was built.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
