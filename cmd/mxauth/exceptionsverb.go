package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/engine/exception"
)

// newExceptions makes the verb exceptions and its own verbs.
func newExceptions(e *env) *cobra.Command {
	list := &cobra.Command{
		Use:   "list",
		Short: "List the exceptions, and which of them are in force",
		Args:  arguments(0, 0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return runExceptions(cmd, e) },
	}
	e.addDaemonFlags(list)
	return group(&cobra.Command{
		Use:   "exceptions",
		Short: "List the exceptions from policies",
		Long: `Exceptions shows what may pass for a while although a policy forbids it: as the running
daemon has read it last, or else as the file says that --exceptions or exceptions.file
names. To change exceptions, edit the file: the daemon reads it within a second, or at
once on SIGHUP. How the file is written is in mxauth check --help.`,
		Example: `  mxauth exceptions list`,
	}, list)
}

// An exceptionRow is an exception as it is listed.
type exceptionRow struct {
	exceptionText
	InForce bool `json:"in_force"`
}

// exceptionRows makes the rows of a list.
func exceptionRows(list []exception.Exception, now time.Time) []exceptionRow {
	rows := make([]exceptionRow, len(list))
	for i, x := range list {
		rows[i] = exceptionRow{exceptionText{x.ID, x.Domain, x.MXHost, x.Method, x.Effect, x.Reason, x.Author, x.Ends.UTC()}, now.Before(x.Ends)}
	}
	return rows
}

func runExceptions(cmd *cobra.Command, e *env) error {
	s, c, err := e.daemon()
	if err != nil {
		return err
	}
	var rows []exceptionRow
	switch {
	case c != nil && !cmd.Flags().Changed("exceptions"):
		if err := c.get(cmd.Context(), "/v1/exceptions", &rows); err != nil {
			return err
		}
	case s.Exceptions == "":
		return configError("name it by --exceptions FILE, or by exceptions.file in the configuration", "there is no file of exceptions")
	default:
		set, err := readExceptions(s.Exceptions)
		if err != nil {
			return configError("each exception needs id, domain, reason, author and ends; see mxauth check --help", "%w", err)
		}
		rows = exceptionRows(set.List(), e.now())
	}
	for _, x := range rows {
		if e.flags.json {
			e.printJSON(x)
			continue
		}
		about := x.Domain
		if x.MX != "" {
			about += " at " + x.MX
		}
		if x.Method != "" {
			about += " (" + x.Method + ")"
		}
		state := "until " + day(x.Ends)
		if !x.InForce {
			state = "ended " + day(x.Ends)
		}
		e.out.Linef("%-20s %s: %s, %s; %s: %s", x.ID, about, x.Effect, state, x.Author, x.Reason)
	}
	return nil
}
