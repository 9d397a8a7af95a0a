package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/advise/lint"
	"github.com/mxauth/mxauth/cmd/internal/near"
	"github.com/mxauth/mxauth/engine/explain"
)

// newReason makes the verb reason.
func newReason(e *env) *cobra.Command {
	return &cobra.Command{
		Use:         "reason [ID...]",
		Annotations: map[string]string{ownSettings: "yes"},
		Short:       "Say what a reason means and what to do about it",
		Long: `Reason prints what an id means that mxauth writes to JSON ("reason_id"), to the daemon's
log and to metrics: its rule, the TLSRPT result type, the status code, and what
the administrators of both sides can do. It knows the reasons of verdicts (docs/reasons.md)
and the findings of mxauth lint. Without an id it lists all of them.`,
		Example: `  mxauth reason dane-no-match
  mxauth reason --json sts-no-match`,
		Args: cobra.ArbitraryArgs,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return reasonIDs(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return e.listReasons()
			}
			var rows []reasonRow
			for _, id := range args {
				found := reasonRows(id)
				if len(found) == 0 {
					hint := "mxauth reason lists them"
					if meant := near.Name(id, reasonIDs()); meant != "" {
						hint = "did you mean " + meant + "? " + hint
					}
					return &exitError{code: exitUsage, err: fmt.Errorf("there is no reason %.80q", id), hint: hint}
				}
				rows = append(rows, found...)
			}
			for i, r := range rows {
				switch {
				case e.flags.json:
					e.printJSON(r)
				case i > 0:
					e.out.Linef("")
					fallthrough
				default:
					r.print(e.out)
				}
			}
			return e.out.flushed()
		},
	}
}

// A reasonRow is what reason prints of one id.
type reasonRow struct {
	V          int    `json:"v"`
	ID         string `json:"id"`
	Of         string `json:"of"` // "verdict", or "lint"
	About      string `json:"about"`
	RFC        string `json:"rfc,omitempty"`
	ResultType string `json:"result_type,omitempty"`
	PolicyType string `json:"policy_type,omitempty"`
	Status     string `json:"status,omitempty"`
	Severity   string `json:"severity,omitempty"` // of a finding
	Sender     string `json:"sender,omitempty"`
	Recipient  string `json:"recipient,omitempty"`
}

// allReasons lists the reasons of verdicts, then the findings of lint.
func allReasons() []reasonRow {
	var rows []reasonRow
	for _, r := range explain.Reasons() {
		rows = append(rows, reasonRow{V: 1, ID: string(r.ID), Of: "verdict", About: r.About, RFC: r.RFC, ResultType: string(r.ResultType),
			PolicyType: string(r.ID.Policy()), Status: r.Code, Sender: r.Sender, Recipient: r.Recipient})
	}
	for _, k := range lint.Kinds() {
		rows = append(rows, reasonRow{V: 1, ID: string(k.ID), Of: "lint", About: k.About, RFC: k.RFC, Severity: k.Severity.String()})
	}
	return rows
}

// reasonRows returns the rows of an id; some ids name both a reason and a finding.
func reasonRows(id string) []reasonRow {
	return slices.DeleteFunc(allReasons(), func(r reasonRow) bool { return !strings.EqualFold(r.ID, id) })
}

// reasonIDs lists every id once, sorted.
func reasonIDs() []string {
	var ids []string
	for _, r := range allReasons() {
		ids = append(ids, r.ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// listReasons prints each id with the first sentence about it.
func (e *env) listReasons() error {
	of := ""
	for _, r := range allReasons() {
		switch {
		case e.flags.json:
			e.printJSON(r)
			continue
		case of == "":
			e.out.Linef("Reasons of verdicts:")
		case r.Of != of:
			e.out.Linef("")
			e.out.Linef("Findings of mxauth lint:")
		}
		of = r.Of
		block(e.out, 2, fmt.Sprintf("%-28s ", r.ID), firstSentence(r.About))
	}
	return e.out.flushed()
}

// print prints one row for people.
func (r reasonRow) print(c *console) {
	of := "a reason of verdicts"
	if r.Of == "lint" {
		of = "a finding of mxauth lint, severity " + r.Severity
	}
	c.Linef("%s: %s", r.ID, of)
	block(c, 2, "", r.About)
	report := r.ResultType
	if r.PolicyType != "" && report != "" {
		report += " (" + r.PolicyType + ")"
	}
	for _, l := range [][2]string{
		{"rule", strings.Replace("RFC "+r.RFC, " s.", " section ", 1)}, {"tlsrpt", report}, {"status", r.Status},
		{"sender", r.Sender}, {"recipient", r.Recipient},
	} {
		if l[1] != "" && l[1] != "RFC " {
			block(c, 2, pad(l[0]), l[1])
		}
	}
}
