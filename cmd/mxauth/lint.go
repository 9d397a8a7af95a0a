package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/engine/lint"
	"github.com/mxauth/mxauth/engine/survey"
	"github.com/mxauth/mxauth/pkix"
)

// Exit statuses of lint beyond the shared ones.
const (
	exitWarned = 1 // the worst finding is a warning
	exitBroken = 2 // a finding is an error
)

// newLint makes the verb lint.
func newLint(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "lint DOMAIN...",
		Short: "Say what a domain should change in what it publishes, with the lines to publish",
		Long: `Lint looks at a domain as senders do (its MX, address and TLSA records, its MTA-STS
record and policy, its TLSRPT record, and the certificates of its mail hosts) and says
what is inconsistent, missing or about to hurt, with the exact record or file to publish
instead. It sends no mail.

The exit status is 0 if there are notes at the most, 1 if there is a warning, 2 if there
is an error; over several domains the highest.`,
		Example: `  mxauth lint example.org
  mxauth lint --json example.org`,
		Args: positional(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, a := range args {
				if err := checkNextHop(a); err != nil {
					return usageError("%w", err)
				}
			}
			s, err := e.open(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			roots := s.roots
			if roots == nil {
				if roots, err = pkix.SystemRoots(); err != nil {
					return configError("name a PEM file of certification authorities by --ca-file", "%w", err)
				}
			}
			worst := 0
			for i, domain := range args {
				code, err := e.lintOne(cmd.Context(), survey.Config{Engine: s.engine, Prober: s.prober, Resolver: s.dns.resolver, Roots: roots, Now: e.now}, domain, i > 0)
				if err != nil {
					return err
				}
				worst = max(worst, code)
			}
			return exitWith(worst)
		},
	}
}

// lintOne looks at one domain and prints what is found.
func (e *env) lintOne(ctx context.Context, c survey.Config, domain string, more bool) (int, error) {
	snap, err := survey.Collect(ctx, c, domain)
	if err != nil {
		return 0, err
	}
	findings := lint.Check(snap)
	if e.flags.json {
		e.printJSON(struct {
			V        int            `json:"v"`
			Domain   string         `json:"domain"`
			Findings []lint.Finding `json:"findings"`
		}{1, domain, findings})
	} else {
		e.printFindings(domain, findings, more)
	}
	switch worst, ok := lint.Worst(findings); {
	case ok && worst == lint.Error:
		return exitBroken, nil
	case ok && worst == lint.Warning:
		return exitWarned, nil
	}
	return 0, nil
}

// printFindings prints the findings for people.
func (e *env) printFindings(domain string, findings []lint.Finding, more bool) {
	if more {
		e.out.Linef("")
	}
	count := map[lint.Severity]int{}
	for _, f := range findings {
		count[f.Severity]++
	}
	if len(findings) == 0 {
		e.out.Linef("%s: nothing to change", domain)
		return
	}
	e.out.Linef("%s: %s, %s, %s", domain, counted(count[lint.Error], "error"), counted(count[lint.Warning], "warning"), counted(count[lint.Note], "note"))
	for _, f := range together(findings, func(f lint.Finding) (host, words string) {
		if len(f.Publish)+len(f.Policy) > 0 {
			return "", "" // each host has lines of its own
		}
		return f.Host, strings.Join(append([]string{string(f.ID), f.Text, f.Do}, f.Evidence...), "\n")
	}) {
		e.out.Linef("")
		block(e.out, 0, fmt.Sprintf("%-10s", f.said.Severity), f.said.Text)
		for _, l := range f.said.Evidence {
			block(e.out, 2, pad("seen"), l)
		}
		e.also(f.also)
		block(e.out, 2, pad("do"), f.said.Do)
		e.paste("publish", "in DNS:", f.said.Publish)
		e.paste("serve", "as "+f.said.PolicyURL+":", f.said.Policy)
		block(e.out, 2, pad("see"), fmt.Sprintf("%s, RFC %s", f.said.ID, f.said.RFC))
	}
}
