package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/conformance/judge"
	"github.com/mxauth/mxauth/conformance/lab"
)

func newJudge(s streams) *cobra.Command {
	var (
		asJSON bool
		o      judge.Options
	)
	cmd := &cobra.Command{
		Use:   "judge FILE",
		Short: "Score what a program says of the lab's worlds",
		Long: `Reads results, a JSON object a line in the form of mxauth check --json ("-" is standard
input), and compares them with what each world of mxconform lab should give. A result
goes to the world of its "world", else of its "domain"; of several the last counts.
"outcome" and "deliver" must be there; what else a program leaves out is not held
against it. Exit status 1 if a result is wrong, or a world has none.

With --partial the worlds without a result do not count. Exit status 1 if a result is
wrong, belongs to no world, or there is none at all.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("judge takes one FILE")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			in := s.in
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return usageError{err}
				}
				defer f.Close()
				in = f
			}
			rep, err := score(cmd.Context(), in, o)
			if err != nil {
				return err
			}
			if asJSON {
				err = rep.WriteJSON(s.out)
			} else {
				err = rep.WriteText(s.out)
			}
			if err == nil && !rep.Passed() {
				return errFailed
			}
			return err
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	f.BoolVar(&o.Partial, "partial", false, "score only the worlds that have a result")
	f.BoolVar(&o.Reasons, "reasons", false, "hold reason_id against mxauth's own ids as well")
	return cmd
}

// score judges results against the worlds as a lab has them: some requests hold
// addresses that only a lab knows.
func score(ctx context.Context, in io.Reader, o judge.Options) (judge.Report, error) {
	results, err := judge.Read(in)
	if err != nil {
		return judge.Report{}, err
	}
	worlds, err := lab.Describe(ctx, lab.Worlds())
	if err != nil {
		return judge.Report{}, err
	}
	return judge.Judge(worlds, results, o), nil
}
