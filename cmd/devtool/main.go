// Command devtool measures mxauth's own tests. It serves the development of mxauth alone.
//
//	go run ./cmd/devtool mutate dane            break rules one at a time, run the tests
//	go run ./cmd/devtool requirements FILE      which requirement is shown by which test
//	go run ./cmd/devtool page --run FILE ...    make docs/conformance.md
//
// Exit status: 0, 1 if the answer is "no" (a stale page, a score or a requirement that is
// missing), 2 if there is no answer.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// errFailed ends a verb whose answer, already printed, is "no".
var errFailed = errors.New("not as expected")

// streams are what a verb reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, s streams) int {
	root := &cobra.Command{
		Use:           "devtool",
		Short:         "Measure mxauth's own tests",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetArgs(args)
	root.AddCommand(newMutate(s), newRequirements(s), newPage(s))
	switch err := root.ExecuteContext(ctx); {
	case err == nil:
		return 0
	case errors.Is(err, errFailed):
		return 1
	default:
		fmt.Fprintf(s.err, "devtool: %v\n", err)
		return 2
	}
}
