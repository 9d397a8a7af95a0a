package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/engine/evidence"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
)

// exitDiffers is the exit status of replay where the verdict is another one than the file
// says.
const exitDiffers = 1

// writeEvidence writes evidence to a new file, whole or not at all.
func (e *env) writeEvidence(path string, f *evidence.File) error {
	if err := writeFile(path, f.Write); err != nil {
		return configError("", "--evidence: %w", err)
	}
	if l := f.LeftOut; l != nil {
		e.out.Notef("%s leaves out %d DNS answers and %d certificate chains, %d bytes in all, to stay below %d MiB; a replay counts them as not known",
			path, l.Messages, l.Chains, l.Bytes, evidence.MaxFile>>20)
	}
	return nil
}

// newReplay makes the verb replay.
func newReplay(e *env) *cobra.Command {
	var at string
	var short, trustAD bool
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Decide again, offline, by the evidence that check has written",
		Long: `Replay reads a file of mxauth check --evidence ("-": standard input) and decides again
from its contents, without network. It prints the answer as check does, and then
what of it was proved again, and what is taken from the file without a proof.

Proved again, from the trust anchors and certification authorities of this machine (or
of --trust-anchor and --ca-file):

  - DNSSEC signatures: MX records, addresses, TLSA records, the MTA-STS record. With
    TLSA records that match, it is proved whose certificate it is.
  - the certificate chain of the policy host, if the check fetched the policy itself
  - that the certificates of the mail hosts match the TLSA records, or name the host and
    lead to a certification authority

Not proved by anything that a file can hold:

  - the time: DNSSEC signatures and certificates only say between which dates it was
  - that a mail host has the private key of its certificate: TLS leaves no proof of it
    for others, and the certificate itself is public
  - the text of the MTA-STS policy: HTTPS leaves no proof of it either. An answer
    "authenticated by mta-sts" rests on it as a whole. Of a policy that the check had
    kept from before the file holds no certificate of the policy host; none would help,
    since that certificate is public too.
  - DNS answers without signatures, what servers replied, what did not answer, and the
    sender's settings, exceptions and memory

So replay shows what has to be taken on trust; a file from an unknown author proves
nothing more. Evidence of a check with --dnssec trust-ad is refused unless --allow-trust-ad is
given: there every DNSSEC status is taken from the file. Connections to addresses that
are not the host's are ignored, and what a file of a very large check left out
(it has at most 16 MiB) is treated as not known: the host is deferred.

The exit status is 0 if the verdict is the same as the file says, 1 if it differs (the
differences are printed on standard error), 78 if the file cannot be used.`,
		Example: `  mxauth check --evidence example.json example.org
  mxauth replay example.json
  mxauth replay --at 2027-01-01T00:00:00Z example.json`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := replayOptions{trustAD: trustAD}
			if at != "" {
				t, err := time.Parse(time.RFC3339, at)
				if err != nil {
					return usageError("--at: %.60q is no time like 2027-01-01T00:00:00Z", at)
				}
				o.at = t
			}
			v, r, err := e.replayFile(cmd.Context(), args[0], o)
			if err != nil {
				return err
			}
			again := replayVerdict{v, r}
			e.print(again.verdict, again.verb(), short, false)
			for _, q := range r.Unasked {
				e.out.Notef("the file has no answer to %s", q)
			}
			for _, c := range r.Ignored {
				e.out.Notef("not judged: %s", c)
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
	cmd.Flags().BoolVar(&trustAD, "allow-trust-ad", false, "accept evidence whose DNSSEC statuses were reported by a resolver and cannot be proved from the file")
	return cmd
}

// replayOptions say how a file of evidence is replayed.
type replayOptions struct {
	at      time.Time // in place of the recorded time; zero: that
	trustAD bool      // take statuses that are reported by a resolver
}

// replayFile decides again by a file of evidence, "-" for standard input.
func (e *env) replayFile(ctx context.Context, name string, o replayOptions) (*verdict, *evidence.Replayed, error) {
	in, err := e.input(name)
	if err != nil {
		return nil, nil, configError("", "%w", err)
	}
	defer in.Close()
	if name == "-" {
		name = "standard input"
	}
	file, err := evidence.Read(in)
	if err != nil {
		return nil, nil, configError("give a file that mxauth check --evidence has written", "%s: %w", name, err)
	}
	c := evidence.ReplayConfig{At: o.at, AllowTrustAD: o.trustAD}
	if c.Anchors, err = e.anchors(); err != nil {
		return nil, nil, err
	}
	if c.Roots, err = e.openRoots(); err != nil {
		return nil, nil, err
	}
	r, err := file.Replay(ctx, c)
	switch {
	case errors.Is(err, evidence.ErrTrustAD):
		return nil, nil, configError("--allow-trust-ad accepts it, if you trust who wrote it", "%s: %w", name, err)
	case err != nil:
		return nil, nil, configError("", "%s: %w", name, err)
	}
	if file.Mode == evidence.ModeTrustAD {
		e.out.Notef("the security status of each answer in this file was reported by a resolver (trust-ad) and cannot be proved")
	}
	return &verdict{Verdict: mxauth.NewVerdict(r.Plan, r.Hosts), asked: file.Request.NextHop}, r, nil
}

// A replayVerdict is the verdict of a replay, with what it rests on.
type replayVerdict struct {
	*verdict
	r *evidence.Replayed
}

// A replayRow is what the JSON of a replay has beyond that of a check.
type replayRow struct {
	At          time.Time  `json:"at"`
	Proved      []claimRow `json:"proved"`
	Rests       []claimRow `json:"rests_on_file"`
	Missing     []string   `json:"missing,omitempty"`
	Ignored     []string   `json:"ignored,omitempty"`
	Differences []string   `json:"differences,omitempty"`
}

// A claimRow is a claim in JSON.
type claimRow struct {
	ID   reason.ClaimID `json:"id"`
	Text string         `json:"text"` // for people, without a full stop
}

// claimRows is empty, not nil, for no claims.
func claimRows(claims []reason.Claim) []claimRow {
	rows := make([]claimRow, len(claims))
	for i, c := range claims {
		rows[i] = claimRow{c.ID, explain.Claim(c)}
	}
	return rows
}

// verb prints a replay as check prints its answer.
func (a replayVerdict) verb() domainVerb {
	return domainVerb{
		human: func(v *verdict, c *console) { v.human(c); a.human(c) },
		short: func(v *verdict) string { return v.short() + a.short() },
		row: func(v *verdict) any {
			row := v.checkRow()
			row.Replay = &replayRow{At: a.r.At.UTC(), Proved: claimRows(a.r.Proved), Rests: claimRows(a.r.Rests),
				Missing: a.r.Unasked, Ignored: a.r.Ignored, Differences: a.r.Differences}
			return row
		},
	}
}

// human prints what the verdict rests on.
func (a replayVerdict) human(c *console) {
	list := func(title string, claims []reason.Claim) {
		c.Linef("")
		block(c, 2, "", title)
		for _, l := range claims {
			block(c, 4, "- ", explain.Claim(l))
		}
	}
	if len(a.r.Proved) == 0 {
		list("Nothing was proved again.", nil)
	} else {
		list("Proved again:", a.r.Proved)
	}
	list("Not proved; the author of the file can have made this up:", a.r.Rests)
}

// short is the same in the words of the claims.
func (a replayVerdict) short() string {
	words := func(claims []reason.Claim) string {
		var all []string
		for _, c := range claims {
			all = append(all, string(c.ID))
		}
		if len(all) == 0 {
			return "nothing"
		}
		return strings.Join(all, ", ")
	}
	return " (proved again: " + words(a.r.Proved) + "; not proved: " + words(a.r.Rests) + ")"
}
