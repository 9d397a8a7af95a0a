package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

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
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError{errors.New("which verb? see mxconform --help")}
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
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

// isUnknown reports whether cobra found no such verb, or arguments where none may be.
func isUnknown(err error) bool {
	return len(err.Error()) > 7 && err.Error()[:7] == "unknown"
}
