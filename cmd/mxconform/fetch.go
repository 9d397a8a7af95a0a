package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/conformance/fetch"
)

func newFetch(s streams) *cobra.Command {
	var c fetch.Config
	var list bool
	cmd := &cobra.Command{
		Use:   "fetch --dir DIR",
		Short: "Download test vectors into a folder",
		Long: `Downloads those published sets of test vectors that can be had unmodified, at fixed
commits, and checks each file's sha256; adds the tables that are mxauth's own.
A second run goes on where the first one ended. "mxconform run --vectors DIR" then runs them.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			sets, err := fetch.Sets()
			if err != nil {
				return err
			}
			chosen := map[string]bool{}
			for _, name := range c.Only {
				chosen[name] = true
			}
			var names []string
			for _, set := range sets {
				names = append(names, set.Name)
				if len(c.Only) == 0 || chosen[set.Name] {
					fmt.Fprintf(s.out, "%-20s %s\n%-20s licence: %s\n", set.Name, set.Origin, "", set.Licence)
				}
				delete(chosen, set.Name)
			}
			for name := range chosen {
				return usageError{fmt.Errorf("no set is called %q%s", name, meant(name, names, "", ""))}
			}
			if list {
				return nil
			}
			if c.Dir == "" {
				return usageError{errors.New("--dir DIR is needed")}
			}
			c.Progress = func(file string) { fmt.Fprintln(s.err, file) }
			res, err := fetch.Fetch(cmd.Context(), c)
			fmt.Fprintf(s.out, "%d files downloaded, %d were there, %d tables\n", res.Downloaded, res.Present, res.Tables)
			if err != nil {
				for line := range strings.Lines(err.Error()) {
					fmt.Fprintf(s.err, "mxconform: %s\n", strings.TrimSpace(line))
				}
				return errFailed
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&c.Dir, "dir", "", "folder `DIR` to fill")
	cmd.Flags().StringSliceVar(&c.Only, "set", nil, "only this `SET` (may be repeated)")
	cmd.Flags().BoolVar(&list, "list", false, "only say what there is, with origin and licence")
	return cmd
}
