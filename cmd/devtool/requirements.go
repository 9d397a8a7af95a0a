package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/conformance"
	"github.com/mxauth/mxauth/conformance/register"
)

func newRequirements(s streams) *cobra.Command {
	var format string
	var verbose bool
	cmd := &cobra.Command{
		Use:   "requirements FILE",
		Short: "Say which requirement of the RFCs is shown by which test",
		Long: `Reads the output of "go test -json ./..." from FILE, or from standard input if FILE is
"-", and prints for each requirement of the register the subtests that carry its id and
whether they passed. Exit status 1 if a MUST or MUST NOT is neither shown nor excused.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := s.in
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			}
			tests, err := register.Scan(in)
			if err != nil {
				return err
			}
			tab, err := conformance.Register(tests)
			if err != nil {
				return err
			}
			switch format {
			case "text":
				err = tab.WriteText(s.out, verbose)
			case "markdown":
				err = tab.WriteMarkdown(s.out)
			case "html":
				err = tab.WriteHTML(s.out)
			case "none":
			default:
				return fmt.Errorf("--format %q: text, markdown, html or none", format)
			}
			if err != nil {
				return err
			}
			if faults := tab.Faults(); len(faults) > 0 {
				_, _ = io.WriteString(s.err, strings.Join(faults, "\n")+"\n")
				return errFailed
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "`FORM` of the answer: text, markdown, html or none")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "name each subtest")
	return cmd
}
