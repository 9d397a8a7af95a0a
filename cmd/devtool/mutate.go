package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/conformance"
	"github.com/mxauth/mxauth/conformance/mutate"
)

func newMutate(s streams) *cobra.Command {
	var (
		c       mutate.Config
		least   float64
		tried   int
		limit   time.Duration
		tests   []string
		equals  string
		record  string
		logging bool
	)
	cmd := &cobra.Command{
		Use:   "mutate PACKAGE...",
		Short: "Break one rule at a time and see whether the tests notice",
		Long: `Breaks the named packages (folders below the module's root, such as "dane"), one rule at
a time, and runs their tests against each mutant. Prints the share that a test noticed and
the mutants that survived. The checkout is not written to. Exit status 1 if a share is
below --least, fewer than --tried were tried, or a mutant that is listed as equivalent was
noticed.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			root, err := moduleRoot()
			if err != nil {
				return err
			}
			c.Root = root
			if logging {
				c.Log = s.err
			}
			packages := make([]mutate.Package, len(args))
			for i, arg := range args {
				p := mutate.Package{Folder: filepath.Clean(arg)}
				p.Tests = append([]string{p.Folder}, tests...)
				if p.Equivalent, err = equivalents(root, equals, p.Folder); err != nil {
					return err
				}
				packages[i] = p
			}
			if limit > 0 {
				c.Deadline = time.Now().Add(limit)
			}
			all, err := mutate.Run(cmd.Context(), c, packages...)
			if err != nil {
				return err
			}
			ok := true
			var scores []conformance.StoredScore
			for _, score := range all {
				fmt.Fprintf(s.out, "%-10s %4d mutants, %d tried, %d noticed, %d equivalent: %.1f %%\n",
					score.Package, score.Mutants, score.Tried, score.Killed, score.Equivalent, 100*score.Rate())
				for _, m := range score.Survived {
					fmt.Fprintf(s.out, "  survived %d tests %s:%d\t%s\n", m.Tests, m.File, m.Line, strings.Join([]string{score.Package, m.Key()}, "\t"))
				}
				for _, m := range score.WrongEquivalent {
					fmt.Fprintf(s.out, "  listed as equivalent, but noticed by %s: %s\n", m.By, m.Key())
				}
				for _, name := range score.Failing {
					fmt.Fprintf(s.out, "  left out, since it fails without a mutant: %s\n", name)
				}
				if score.Tried < tried {
					fmt.Fprintf(s.out, "  fewer than %d were tried within %v\n", tried, limit)
				}
				scores = append(scores, conformance.StoredScore{Seed: c.Seed, Score: score})
				ok = ok && 100*score.Rate() >= least && score.Tried >= tried && len(score.WrongEquivalent) == 0
			}
			if record != "" {
				if err := recordScores(record, scores); err != nil {
					return err
				}
			}
			if !ok {
				return errFailed
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.IntVar(&c.Sample, "sample", 200, "how many mutants of each package to try; 0: all")
	f.Uint64Var(&c.Seed, "seed", 1, "what the sample is drawn by")
	f.IntVar(&c.Parallel, "parallel", 2, "how many mutants to try at once")
	f.Float64Var(&least, "least", 90, "least share, in percent, that the tests must notice")
	f.IntVar(&tried, "tried", 0, "least number of mutants of each package to have tried within --limit")
	f.DurationVar(&limit, "limit", 0, "time for all packages together; mutants not tried by then are left out; 0: none")
	f.StringSliceVar(&tests, "also", nil, "further `PACKAGE` whose tests may notice")
	f.StringVar(&equals, "equivalents", "conformance/equivalents.tsv", "list `FILE` of mutants that no test can notice, below the module's root")
	f.StringVar(&c.Skip, "skip", "^TestSpeed", "tests to leave out, as in go test -skip")
	f.StringVar(&record, "record", "", "keep the scores in `FILE`, in place of those of the same packages")
	f.BoolVar(&logging, "log", false, "a line for each mutant on standard error")
	return cmd
}

func equivalents(root, file, pkg string) (map[string]string, error) {
	f, err := os.Open(filepath.Join(root, file))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return mutate.Equivalents(f, pkg)
}

// recordScores puts scores into a file together with those of other packages.
func recordScores(file string, scores []conformance.StoredScore) error {
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	old, err := conformance.ReadScores(bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	var out bytes.Buffer
	if err := conformance.WriteScores(&out, old, scores...); err != nil {
		return err
	}
	return os.WriteFile(file, out.Bytes(), 0o644)
}

// moduleRoot finds the folder of go.mod above the working directory.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("not inside a Go module")
		}
		dir = up
	}
}
