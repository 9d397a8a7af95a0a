package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/advise/lint"
	"github.com/mxauth/mxauth/conformance"
	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/register"
	"github.com/mxauth/mxauth/engine/explain"
)

func newPage(s streams) *cobra.Command {
	var (
		vectors, check string
		tests          []string
	)
	cmd := &cobra.Command{
		Use:   "page --run FILE --tests FILE...",
		Short: "Make docs/conformance.md of the results of a run",
		Long: `Prints a page with the counts of the vectors (from "mxconform run --json"), of the
register of requirements (from "go test -json ./...") and of the mutants (as stored by
"devtool mutate --record"). With --check it prints nothing, and the exit status is 1 if
the file named is another page.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if vectors == "" || len(tests) == 0 {
				return errors.New("--run FILE and --tests FILE are needed")
			}
			p, err := makePage(vectors, tests)
			if err != nil {
				return err
			}
			if check == "" {
				return p.WriteMarkdown(s.out)
			}
			var want bytes.Buffer
			if err := p.WriteMarkdown(&want); err != nil {
				return err
			}
			return compareFile(s.err, check, want.Bytes())
		},
	}
	f := cmd.Flags()
	f.StringVar(&vectors, "run", "", "`FILE` that mxconform run --json has printed")
	f.StringSliceVar(&tests, "tests", nil, "`FILE` that go test -json has printed (may be repeated)")
	f.StringVar(&check, "check", "", "compare with `FILE`")
	return cmd
}

// makePage reads the results.
func makePage(vectors string, tests []string) (p conformance.Page, err error) {
	b, err := os.ReadFile(vectors)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(b, &p.Vectors); err != nil {
		return p, fmt.Errorf("%s: %w", vectors, err)
	}
	var files []io.Reader
	for _, name := range tests {
		f, err := os.Open(name)
		if err != nil {
			return p, err
		}
		defer f.Close()
		files = append(files, f)
	}
	ran, err := register.Scan(io.MultiReader(files...))
	if err != nil {
		return p, err
	}
	if p.Register, err = conformance.Register(ran); err != nil {
		return p, err
	}
	if p.Scores, err = conformance.MutationScores(); err != nil {
		return p, err
	}
	rows := map[string]bool{}
	for _, w := range lab.Worlds() {
		p.Worlds++
		for _, r := range w.Rows {
			rows[r] = true
		}
	}
	p.Rows, p.Reasons, p.Findings = len(rows), len(explain.Reasons()), len(lint.Kinds())
	return p, nil
}

// compareFile says which line of a file is the first that is not as it should be.
func compareFile(w io.Writer, name string, want []byte) error {
	got, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if bytes.Equal(got, want) {
		return nil
	}
	a, b := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	i := 0
	for i < min(len(a), len(b)) && slices.Equal(a[i], b[i]) {
		i++
	}
	line := func(l [][]byte) []byte {
		if i < len(l) {
			return l[i]
		}
		return nil
	}
	fmt.Fprintf(w, "%s is stale, line %d:\n  has  %s\n  want %s\n", name, i+1, line(a), line(b))
	return errFailed
}
