package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/conformance"
)

func newRun(s streams) *cobra.Command {
	var (
		c                 conformance.Config
		asJSON, verbose   bool
		junit, exceptions string
	)
	cmd := &cobra.Command{
		Use:   "run --vectors DIR",
		Short: "Run mxauth over a folder of test vectors",
		Long: `Runs every set of vectors below DIR and prints, for each, how many cases passed,
failed and are excepted. Exit status 1 if a case fails, or a set that is there holds no
case. A folder that holds only a part of the published vectors is fine.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.Vectors == "" {
				return usageError{errors.New("--vectors DIR is needed")}
			}
			if exceptions != "" {
				f, err := os.Open(exceptions)
				if err != nil {
					return err
				}
				defer f.Close()
				if c.Exceptions, err = conformance.Exceptions(f); err != nil {
					return err
				}
			}
			rep, err := conformance.Run(cmd.Context(), c)
			if err != nil {
				return err
			}
			if junit != "" {
				if err := writeFile(junit, rep.WriteJUnit); err != nil {
					return err
				}
			}
			if asJSON {
				err = rep.WriteJSON(s.out)
			} else {
				err = rep.WriteText(s.out, verbose)
			}
			if err != nil {
				return err
			}
			if !rep.OK() {
				return errFailed
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.Vectors, "vectors", "", "folder of vectors `DIR`, whole or a part")
	f.StringSliceVar(&c.Only, "set", nil, "run only this `SET` (may be repeated)")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	f.BoolVarP(&verbose, "verbose", "v", false, "print each exception with its reason")
	f.StringVar(&junit, "junit", "", "also write JUnit XML to `FILE`")
	f.StringVar(&exceptions, "exceptions", "", "table of exceptions `FILE` in place of mxauth's own")
	return cmd
}

// writeFile writes a file whole, or leaves none.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return fmt.Errorf("%s: %w", path, errors.Join(err, os.Remove(path)))
	}
	return nil
}
