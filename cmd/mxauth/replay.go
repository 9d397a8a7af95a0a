package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/engine/evidence"
)

// exitDiffers is the exit status of replay where the verdict is another one than the file
// says.
const exitDiffers = 1

// writeEvidence writes the evidence of a verdict to a new file, whole or not at all.
func (e *env) writeEvidence(ctx context.Context, path string, rec *evidence.Recorder, v *verdict, set evidence.Setup) error {
	f := rec.File(ctx, e.now(), set, v.plan, v.hosts, v.summary)
	if err := writeFile(path, f.Write); err != nil {
		return configError("", "--evidence: %w", err)
	}
	return nil
}

// newReplay makes the verb replay.
func newReplay(e *env) *cobra.Command {
	var at string
	var short bool
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Decide again, offline, by the evidence that check has written",
		Long: `Replay reads a file of mxauth check --evidence ("-": standard input) and decides again
by what is in it, without asking anybody: DNSSEC proofs, policies and certificates are
checked anew, by the trust anchors and certification authorities of this machine (or of
--trust-anchor and --ca-file). It prints the answer as check does.

The exit status is 0 if the verdict is the same as the file says, 1 if it differs (the
differences stand on standard error), 78 if the file can not be used.`,
		Example: `  mxauth check --evidence example.json example.org
  mxauth replay example.json
  mxauth replay --at 2027-01-01T00:00:00Z example.json`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c := evidence.ReplayConfig{}
			if at != "" {
				t, err := time.Parse(time.RFC3339, at)
				if err != nil {
					return usageError("--at: %.60q is no time like 2027-01-01T00:00:00Z", at)
				}
				c.At = t
			}
			in, err := e.input(args[0])
			if err != nil {
				return configError("", "%w", err)
			}
			defer in.Close()
			name := args[0]
			if name == "-" {
				name = "standard input"
			}
			file, err := evidence.Read(in)
			if err != nil {
				return configError("replay wants a file that mxauth check --evidence has written", "%s: %w", name, err)
			}
			if c.Anchors, err = e.anchors(); err != nil {
				return err
			}
			if c.Roots, err = e.openRoots(); err != nil {
				return err
			}
			r, err := file.Replay(cmd.Context(), c)
			if err != nil {
				return configError("", "%s: %w", name, err)
			}
			v := &verdict{asked: file.Request.NextHop, plan: r.Plan, hosts: r.Hosts, summary: r.Summary}
			e.print(v, checking, short, false)
			if file.Mode == evidence.ModeTrustAD {
				e.out.Notef("the security status of each answer in this file is the word of a resolver (trust-ad)")
			}
			for _, q := range r.Unasked {
				e.out.Notef("the file has no answer to %s", q)
			}
			for _, d := range r.Differences {
				e.out.Notef("differs from the file: %s", d)
			}
			if len(r.Differences) > 0 {
				return exitWith(exitDiffers)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "decide as of this `TIME` (RFC 3339) in place of the recorded one")
	cmd.Flags().BoolVar(&short, "short", false, "one line")
	return cmd
}
