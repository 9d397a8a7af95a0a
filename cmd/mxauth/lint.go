package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/advise/lint"
	"github.com/mxauth/mxauth/advise/survey"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/probe"
	"github.com/mxauth/mxauth/internal/text"
)

// Exit statuses of lint beyond the shared ones.
const (
	exitWarned = 1 // the worst finding is a warning
	exitBroken = 2 // a finding is an error
)

// newLint makes the verb lint.
func newLint(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "lint DOMAIN...|-",
		Short: "Say what a domain should change in what it publishes, with the lines to publish",
		Long: `Lint checks a domain as senders do (its MX, address and TLSA records, its MTA-STS
record and policy, its TLSRPT record, and the certificates of its mail hosts) and says
what is inconsistent, missing or about to fail, with the exact record or file to publish
instead. It sends no mail. With "-" domains are read from standard input, one a line.

The exit status is 0 if there are only notes, 1 if there is a warning, 2 if there
is an error; over several domains the highest. 64: bad usage, 69: nothing could be
looked up through a fault on this side, 78: bad configuration.`,
		Example: `  mxauth lint example.org
  mxauth lint --json - < domains.txt`,
		Args: arguments(1, many),
		RunE: func(cmd *cobra.Command, args []string) error { return runLint(cmd.Context(), e, args) },
	}
}

// A lintResult holds the findings of one domain.
type lintResult struct {
	argument
	findings []lint.Finding
}

func runLint(ctx context.Context, e *env, args []string) error {
	alone := len(args) == 1 && args[0] != "-"
	if alone {
		if err := cmp.Or(fileTyped(args[0]), checkDomain(args[0])); err != nil {
			return usageError("%w", err)
		}
		e.policyHostNote("mxauth lint", args[0])
	}
	c, config, err := e.openSurvey(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	code, count := 0, 0
	work := func(ctx context.Context, a argument) (lintResult, error) { return lintOne(ctx, config, a) }
	done := func(l lintResult) error {
		if alone && l.err != nil {
			return usageError("%w", l.err)
		}
		count++
		code = worse(code, l.exit())
		e.printLintResult(l, count > 1)
		c.faults.complain(e.out)
		return e.out.flushed()
	}
	if err := inOrder(ctx, e.flags.concurrency, argumentsOf(args, e.stdin), work, done, nil); err != nil {
		return err
	}
	if count == 0 {
		return errNoDomains
	}
	if code == exitBroken && c.faults.nothing() {
		code = exitUnavailable
	}
	return exitWith(code)
}

// openSurvey opens what lint and forecast look with. They look at what is published now, so
// what a store keeps has no part in it.
func (e *env) openSurvey(ctx context.Context) (*client, survey.Config, error) {
	e.flags.store = storeMemory
	c, err := e.open(ctx, storeFills, mxauth.Config{Certificates: probe.CertificatesAll})
	if err != nil {
		return nil, survey.Config{}, err
	}
	dial := e.dial
	if dial == nil {
		dial = func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr.String())
		}
	}
	return c, survey.Config{Client: c.Client, Roots: c.config.Roots, Dial: dial, Allow: c.config.AllowAddresses, Now: e.now}, nil
}

// lintOne looks at one domain. Its error is ctx's, or an internal error.
func lintOne(ctx context.Context, c survey.Config, a argument) (lintResult, error) {
	if a.err == nil {
		a.err = listError(checkDomain(a.text))
	}
	if a.err != nil {
		return lintResult{argument: a}, nil
	}
	snap, err := survey.Collect(ctx, c, a.text)
	switch {
	case errors.Is(err, engine.ErrRequest):
		return lintResult{argument: argument{a.text, err}}, nil
	case err != nil:
		return lintResult{}, err
	}
	return lintResult{a, lint.Check(snap)}, nil
}

// exit is the exit status that the findings ask for.
func (l lintResult) exit() int {
	worst, ok := lint.Worst(l.findings)
	switch {
	case l.err != nil:
		return exitUsage
	case ok && worst == lint.Error:
		return exitBroken
	case ok && worst == lint.Warning:
		return exitWarned
	}
	return 0
}

// printLintResult prints what was found of one domain; more says that there is one above it.
func (e *env) printLintResult(l lintResult, more bool) {
	switch {
	case e.flags.json && l.err != nil:
		e.printJSON(errorRow{rowVersion, l.text, text.Escape(errorText(l.err))})
		return
	case e.flags.json:
		e.printJSON(struct {
			V        int            `json:"v"`
			Domain   string         `json:"domain"`
			Findings []lint.Finding `json:"findings"`
		}{rowVersion, l.text, l.findings})
		return
	}
	if more {
		e.out.Linef("")
	}
	if l.err != nil {
		e.out.Linef("%s: not looked at: %s", l.text, l.err)
		return
	}
	e.printFindings(l.text, l.findings)
}

// printFindings prints the findings for people.
func (e *env) printFindings(domain string, findings []lint.Finding) {
	count := map[lint.Severity]int{}
	for _, f := range findings {
		count[f.Severity]++
	}
	if len(findings) == 0 {
		e.out.Linef("%s: %s", paint(strong, domain), paint(good, "nothing to change"))
		return
	}
	e.out.Linef("%s: %s, %s, %s", paint(strong, domain), counted(count[lint.Error], "error"), counted(count[lint.Warning], "warning"), counted(count[lint.Note], "note"))
	for _, f := range together(findings, func(f lint.Finding) (host, words string) {
		if len(f.Steps) > 0 {
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
		e.printSteps(f.said.Steps)
		block(e.out, 2, pad("see"), fmt.Sprintf("%s, RFC %s", f.said.ID, f.said.RFC))
	}
}
