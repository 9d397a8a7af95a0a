package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mxauth/mxauth/cmd/internal/near"
	"github.com/mxauth/mxauth/internal/text"
)

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1  // a case or a result is wrong, or missing
	exitUsage  = 64 // the command line
	exitFault  = 70 // the vectors cannot be read: an internal error
)

// errFailed ends a verb whose answer, already printed, is "no".
var errFailed = errors.New("not as it should be")

// usageError marks what is wrong with the command line.
type usageError struct{ error }

// streams are what a verb reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	s := streams{in, out, errOut}
	root := &cobra.Command{
		Use:           "mxconform",
		Short:         "Conformance tests for DANE and MTA-STS",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("which verb? see mxconform --help")}
			}
			var verbs []string
			for _, c := range cmd.Commands() {
				if c.IsAvailableCommand() {
					verbs = append(verbs, c.Name())
				}
			}
			return usageError{fmt.Errorf("unknown verb %.100q%s", args[0], meant(args[0], verbs, "", "; the verbs are "+strings.Join(verbs, ", ")))}
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if _, name, ok := strings.Cut(err.Error(), "unknown flag: --"); ok {
			err = fmt.Errorf("%w%s", err, meant(name, names, "--", ""))
		}
		return usageError{err}
	})
	root.AddCommand(newRun(s), newFetch(s), newLab(s), newJudge(s))
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errFailed):
		return exitFailed
	case errors.As(err, &usage) || isUnknown(err):
		fmt.Fprintf(errOut, "mxconform: %s\n", text.Lines(err.Error()))
		return exitUsage
	}
	fmt.Fprintf(errOut, "mxconform: %s\n", text.Lines(err.Error()))
	return exitFault
}

// meant is the end of an error that offers the one of some words that is nearly the one typed,
// with mark before it; otherwise if none is.
func meant(typed string, words []string, mark, otherwise string) string {
	if n := near.Name(typed, words); n != "" {
		return "; did you mean " + mark + n + "?"
	}
	return otherwise
}

// isUnknown reports whether cobra found no such verb, or arguments where none may be.
func isUnknown(err error) bool {
	return len(err.Error()) > 7 && err.Error()[:7] == "unknown"
}
