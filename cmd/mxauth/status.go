package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// newStatus makes the verb status.
func newStatus(e *env) *cobra.Command {
	var quiet bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how the daemon is doing",
		Long: `Status asks the daemon at its control socket (serve.control of the configuration, or
--control PATH): version, time since the start, listeners, whether the resolver can be
relied on, what is kept, the last ten "try later" answers with their causes, and the
MTA-STS policies that could not be refreshed.

The exit status is 0 if the daemon runs and its resolver can be relied on, 1 if it runs
and the resolver cannot, 78 if no daemon answers.`,
		Example: `  mxauth status
  mxauth status -q --control /run/mxauth/control.sock`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, c, err := e.daemon()
			if err != nil {
				return err
			}
			if c == nil {
				return configError("start it by mxauth serve, with serve.control in its configuration; or name the socket by --control PATH", "%w", errNoDaemon)
			}
			row, err := c.status(cmd.Context())
			if err != nil {
				return err
			}
			switch {
			case quiet:
			case e.flags.json:
				e.printJSON(row)
			default:
				e.printStatus(&row)
			}
			if !row.Resolver.OK {
				return exitWith(exitResolverBad)
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print nothing; the exit status is the answer")
	e.addDaemonFlags(cmd)
	return cmd
}

// exitResolverBad is the exit status of status where the daemon cannot rely on its resolver.
const exitResolverBad = 1

// printStatus prints a status for people.
func (e *env) printStatus(r *statusRow) {
	o := e.out
	o.Linef("mxauth %s, running since %s (%s)", r.Version, day(r.Began), time.Duration(r.Uptime)*time.Second)
	for _, l := range r.Listeners {
		o.Linef("  listens at    %s", l)
	}
	style := good
	if !r.Resolver.OK {
		style = bad
	}
	o.Linef("  resolver      %s (%s)", paint(style, r.Resolver.Verdict), r.Resolver.DNSSEC)
	for _, s := range r.Resolver.Servers {
		text := s.Server
		switch {
		case s.Rests:
			text += fmt.Sprintf(": %d questions in a row unanswered, asked after the others", s.Failures)
		case s.Failures > 0:
			text += fmt.Sprintf(": %d questions in a row unanswered", s.Failures)
		case s.RTT > 0:
			text += fmt.Sprintf(": answers in %.1f ms", s.RTT)
		}
		o.Linef("                %s", text)
	}
	o.Linef("  replies kept  %d, %d kB; %d lookups under way", r.Replies.Entries, r.Replies.Bytes>>10, r.Lookups)
	o.Linef("  DNS answers   %d, %d kB", r.DNS.Entries, r.DNS.Bytes>>10)
	text := r.Store.Where
	if r.Store.Failures > 0 || r.Store.Unwritten > 0 {
		text += fmt.Sprintf(": %d calls failed, %d entries wait to be written", r.Store.Failures, r.Store.Unwritten)
	}
	o.Linef("  store         %s", text)
	if r.Store.Unavailable != "" {
		o.Linef("                %s", paint(bad, "cannot be used now: "+r.Store.Unavailable))
	}
	o.Linef("  policies      %d kept, %d of them not refreshed", r.Policies.Kept, r.Policies.Stale)
	if r.Policies.Error != "" {
		o.Linef("                not all could be read: %s", r.Policies.Error)
	}
	for _, i := range r.Policies.List {
		o.Linef("                %s: %d refreshes failed, fetched %s, ends %s", i.Domain, i.Failures, day(i.Fetched), day(i.Expires))
	}
	if n := r.Policies.Stale - len(r.Policies.List); n > 0 {
		o.Linef("                and %d more", n)
	}
	o.Linef("  exceptions    %d in force", r.Exceptions)
	if len(r.Temps) > 0 {
		o.Linef("  the last answers \"try later\":")
	}
	for _, t := range r.Temps {
		o.Linef("    %s  %s: %s", t.At.UTC().Format(time.RFC3339), t.Key, t.Cause)
	}
}
