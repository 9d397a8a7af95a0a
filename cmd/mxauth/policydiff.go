package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/advise/lint"
	"github.com/mxauth/mxauth/advise/policydiff"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// policyDiffFlags are the flags of policy-diff, as typed.
type policyDiffFlags struct {
	domain string
	mx     []string
	since  string
}

func newPolicyDiff(e *env) *cobra.Command {
	var f policyDiffFlags
	cmd := &cobra.Command{
		Use:   "policy-diff OLD NEW",
		Short: "Compare two MTA-STS policies: which mail hosts are gained or lost, until when",
		Long: `Policy-diff says what happens when one MTA-STS policy takes the place of another: which
mail hosts are gained or lost, what the wildcards cover, what a change of mode or max_age
does, and until when senders remember the old one.

OLD and NEW are files ("-" is standard input), or a domain, whose present policy is
fetched. The mail hosts are those of --mx, or else the MX hosts of --domain or of a
domain that is compared. Without any, the hosts that the policies list by name are
compared.

The exit status is 0 if no mail host is lost, 1 if one is listed no longer and gets mail
anyway (mode testing), or that is not known, 2 if senders with the new policy
deliver no mail to one, or do not take one of the policies, 3 if a lookup fails. 64: bad
usage.`,
		Example: `  mxauth policy-diff example.org new.txt
  mxauth policy-diff --mx mx1.example.org --mx mx2.example.org old.txt new.txt`,
		Args: arguments(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPolicyDiff(cmd.Context(), e, &f, args[0], args[1])
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.domain, "domain", "", "`DOMAIN` whose MX hosts count (default: the one that is compared)")
	fl.StringArrayVar(&f.mx, "mx", nil, "mail `HOST` of the domain (repeatable; nothing is looked up for it)")
	fl.StringVar(&f.since, "since", "", "`TIME` since when NEW is served: 2026-03-01T12:00:00Z, or how long ago: 36h (default: now)")
	return cmd
}

// A policyDiffer compares two policies; its client is opened when one is needed.
type policyDiffer struct {
	e   *env
	c   *client
	req policydiff.Request
	// domain has the mail hosts; the zero Host if it is not known.
	domain rfc6125.Host
}

// client opens the client.
func (p *policyDiffer) client(ctx context.Context) (_ *client, err error) {
	if p.c == nil {
		p.c, err = p.e.open(ctx, storeSpare, mxauth.Config{})
	}
	return p.c, err
}

func runPolicyDiff(ctx context.Context, e *env, f *policyDiffFlags, old, made string) error {
	p := policyDiffer{e: e}
	defer func() {
		if p.c != nil {
			p.c.close()
		}
	}()
	since, err := (&tlsaCheckFlags{since: f.since}).published(e.now())
	if err != nil {
		return err
	}
	if p.req.Since = since; since.IsZero() {
		p.req.Since = e.now()
	}
	if old == "-" && made == "-" {
		return usageError("only one of the policies can be on standard input")
	}
	if f.domain != "" {
		names, err := parseDomains([]string{f.domain})
		if err != nil {
			return err
		}
		p.domain = names[0]
	}
	if p.req.MX, err = mxFlags(f.mx); err != nil {
		return err
	}
	if p.req.Old, err = p.policy(ctx, old); err != nil {
		return err
	}
	if p.req.New, err = p.policy(ctx, made); err != nil {
		return err
	}
	if p.req.MX == nil && p.domain.IsValid() {
		if err := p.lookUpMX(ctx); err != nil {
			return err
		}
	}
	return p.print(policydiff.Compare(p.req), old, made)
}

// policy reads a policy from a file, or fetches that of a domain.
func (p *policyDiffer) policy(ctx context.Context, arg string) (sts.Policy, error) {
	if _, err := os.Stat(arg); errors.Is(err, fs.ErrNotExist) && arg != "-" && looksLikeFile(arg) && noDomainOfURL(arg) {
		return sts.Policy{}, noFile(arg)
	}
	if arg != "-" && !isPolicyFile(arg) {
		return p.fetch(ctx, arg)
	}
	body, err := p.e.readPolicy(arg)
	if err != nil {
		return sts.Policy{}, usageError("%w", err)
	}
	pol, err := sts.ParsePolicy(body)
	if err != nil {
		return pol, &exitError{code: exitSTSBroken, err: fmt.Errorf("%s: senders do not take this policy: %s", arg, errorText(err)),
			hint: "mxauth sts lint " + arg + " says what to correct"}
	}
	return pol, nil
}

// fetch fetches the present policy of a domain, which lends its MX hosts.
func (p *policyDiffer) fetch(ctx context.Context, arg string) (sts.Policy, error) {
	names, err := parseDomains([]string{arg})
	if err != nil {
		return sts.Policy{}, err
	}
	d := names[0]
	c, err := p.client(ctx)
	if err != nil {
		return sts.Policy{}, err
	}
	_, ans, rerr := c.Policies().Record(ctx, d)
	switch {
	case rerr == nil:
		for _, r := range ans.Records {
			p.req.RecordTTL = max(p.req.RecordTTL, time.Duration(r.TTL)*time.Second)
		}
		if t := time.Duration(ans.OriginalTTL) * time.Second; t > 0 {
			p.req.RecordTTL = t
		}
	case errors.Is(rerr, sts.ErrNoRecord):
		p.e.out.Notef("no record announces the policy of %s (%s), so no sender uses it", d, errorText(rerr))
	default:
		return sts.Policy{}, &exitError{code: exitSTSFailed, err: rerr}
	}
	f, err := c.Policies().Fetch(ctx, d)
	if err != nil {
		code := exitSTSBroken
		if !errors.Is(err, sts.ErrFetch) && !errors.Is(err, sts.ErrPolicy) {
			code = exitSTSFailed
		}
		return sts.Policy{}, &exitError{code: code, err: fmt.Errorf("the policy of %s cannot be had: %s", d, explain.Cause(err)), hint: "give the policy as a file, with --domain " + d.String()}
	}
	if !p.domain.IsValid() {
		p.domain = d
	}
	return f.Policy, nil
}

// lookUpMX looks up the MX hosts of the domain.
func (p *policyDiffer) lookUpMX(ctx context.Context) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	plan, err := c.Plan(ctx, engine.Request{NextHop: p.domain.String(), Level: engine.LevelOpportunistic, Sorted: true})
	if err != nil {
		return err
	}
	defer c.faults.complain(p.e.out)
	if plan.MX.Outcome != engine.OutcomeNone {
		code := exitSTSBroken
		if plan.MX.Outcome == engine.Deferred {
			code = exitSTSFailed
		}
		return &exitError{code: code, err: fmt.Errorf("the mail hosts of %s are not known: %s", p.domain, explain.Text(plan.MX.Reason)), hint: "name them by --mx"}
	}
	p.req.MX = []rfc6125.Host{}
	for i := range plan.Hosts {
		if h := plan.Hosts[i].Name; h.IsValid() {
			p.req.MX = append(p.req.MX, h)
		}
	}
	return nil
}

// print prints the difference and returns the exit status.
func (p *policyDiffer) print(d policydiff.Diff, old, made string) error {
	record := ""
	if stopped, _ := d.Lost(); !d.Same && !stopped && p.domain.IsValid() {
		record = lint.PolicyRecord("_mta-sts."+p.domain.String()+".", lint.PolicyID(p.e.now()))
	}
	if p.e.flags.json {
		p.e.printJSON(struct {
			V      int          `json:"v"`
			Old    string       `json:"old"`
			New    string       `json:"new"`
			Domain rfc6125.Host `json:"domain,omitzero"`
			policydiff.Diff
			Record string `json:"record,omitempty"`
		}{1, old, made, p.domain, d, record})
	} else {
		p.human(d, record)
	}
	if err := p.e.out.flushed(); err != nil {
		return err
	}
	switch stopped, unlisted := d.Lost(); {
	case stopped:
		return exitWith(exitSTSBroken)
	case unlisted && p.req.New.Mode != sts.ModeNone, d.Unsure && p.req.New.Mode != sts.ModeNone:
		return exitWith(exitSTSAdvice)
	}
	return nil
}

// human prints the difference for people.
func (p *policyDiffer) human(d policydiff.Diff, record string) {
	out := p.e.out
	count := map[policydiff.Effect]int{}
	var stopped []string
	for _, h := range d.Hosts {
		count[h.Effect]++
		if h.Stopped {
			stopped = append(stopped, h.Host)
		}
	}
	switch {
	case len(stopped) > 0:
		out.Linef("%s", paint(bad, "senders with the new policy deliver no mail to "+strings.Join(stopped, ", ")))
	case d.Same:
		out.Linef("%s", paint(good, "both policies mean the same to senders"))
	case count[policydiff.Lost] > 0 && p.req.New.Mode != sts.ModeNone:
		out.Linef("%s", paint(fair, counted(count[policydiff.Lost], "mail host")+" of the old policy is in the new one no longer"))
	default:
		out.Linef("%s", paint(good, "no mail host is lost"))
	}
	for _, h := range d.Hosts {
		said := h.Host + ": " + h.Text
		if h.By != "" && h.By != h.Host {
			said = h.Host + " (by " + h.By + "): " + h.Text
		}
		block(out, 2, pad(h.Effect.String()), said)
	}
	for _, w := range d.Wildcards {
		in := "in the " + w.In + " policy"
		if w.In == "both" {
			in = "in both policies"
		}
		block(out, 2, pad("wildcard"), w.Pattern+" "+in+": "+w.Text)
	}
	if d.Mode != "" {
		block(out, 2, pad("mode"), d.Mode)
	}
	if d.MaxAge != "" {
		block(out, 2, pad("max_age"), d.MaxAge)
	}
	for _, m := range d.Memory {
		block(out, 2, pad("remembered"), m)
	}
	for _, l := range d.Do {
		block(out, 2, pad("do"), l)
	}
	if record != "" {
		p.e.paste("publish", "in DNS, after the file, as the only MTA-STS record:", []string{record})
	}
}
