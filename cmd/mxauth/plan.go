package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/memory"
)

// newPlan makes the verb plan.
func newPlan(e *env) *cobra.Command {
	var d deliveryFlags
	cmd := &cobra.Command{
		Use:   "plan DOMAIN...|-",
		Short: "Say what must hold for each mail host of these domains, without connecting to any",
		Long: `Plan looks up the mail hosts of each domain, its DANE records and its MTA-STS policy, and
says in which order the hosts are tried and what each must prove: the requirement, the
name to send in the TLS handshake (SNI) and the names that its certificate may show. It
connects to no mail host.

The exit status is 0 if there is a host to try, 2 if the message is bounced or every host
is refused, 3 if the message must wait. 64: bad usage, 70: internal error, 78: bad
configuration.`,
		Example: `  mxauth plan example.org
  mxauth plan --level dane-only --json example.org`,
		Args: arguments(0, many),
	}
	d.add(cmd.Flags())
	cmd.Flags().BoolVar(&d.short, "short", false, "one line a domain")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return runCheck(cmd.Context(), e, &d, args, planVerb)
	}
	return cmd
}

var planVerb = domainVerb{planOnly, (*verdict).humanPlan, (*verdict).shortPlan, (*verdict).planRow, (*verdict).planExit}

// planOnly is a verdict with the plan alone.
func planOnly(c *mxauth.Client, ctx context.Context, r engine.Request) (mxauth.Verdict, error) {
	p, err := c.Plan(ctx, r)
	return mxauth.Verdict{Plan: p}, err
}

// A planRow is the JSON object of one domain's plan.
type planRow struct {
	V          int            `json:"v"`
	Domain     string         `json:"domain"` // as asked
	Level      engine.Level   `json:"level"`
	Outcome    string         `json:"outcome"` // "bounced" or "deferred" where there is nothing to try, else "none"
	Reason     string         `json:"reason"`
	ReasonID   string         `json:"reason_id"`
	RFC        string         `json:"rfc"`
	MXStatus   string         `json:"mx_status"`
	STS        planSTS        `json:"sts"`
	ValidUntil time.Time      `json:"valid_until"`
	KeptUntil  *time.Time     `json:"kept_until,omitempty"` // of a plan that may be used again
	Past       *memory.Past   `json:"past,omitempty"`       // what the domain once proved
	Drops      []memory.Drop  `json:"drops,omitempty"`      // what it has lost since
	Hosts      []planHost     `json:"hosts"`
	Why        []explain.Step `json:"why"`
}

// A planSTS is what MTA-STS says of the domain.
type planSTS struct {
	Row     string     `json:"row"`  // of the decision table: "S1" to "S13"; "" where MTA-STS was not looked at
	Mode    string     `json:"mode"` // "" for no policy
	ID      string     `json:"id,omitempty"`
	Cached  bool       `json:"cached,omitempty"`
	Pending bool       `json:"pending,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
	MaxAge  int64      `json:"max_age,omitempty"` // seconds
	MX      []string   `json:"mx,omitempty"`      // the patterns of the policy
}

// A planHost is one MX host of a plan.
type planHost struct {
	Host        string       `json:"host"`
	Preference  uint16       `json:"preference"`
	Port        uint16       `json:"port"`
	Addresses   []netip.Addr `json:"addresses"`
	Requirement string       `json:"requirement"`
	Outcome     string       `json:"outcome"` // "refused" or "deferred" of a host that is not to be tried, else "none"
	SNI         string       `json:"sni"`
	TLSA        []string     `json:"tlsa,omitempty"` // the usable records
	DANENames   []string     `json:"dane_names,omitempty"`
	STSNames    []string     `json:"sts_names,omitempty"`
	PKIXNames   []string     `json:"pkix_names,omitempty"`
	Reason      string       `json:"reason"`
	ReasonID    string       `json:"reason_id"`
	RFC         string       `json:"rfc"`
	Row         string       `json:"row,omitempty"`       // of the decision table
	STSMatch    string       `json:"sts_match,omitempty"` // the pattern that names the host
	TLSSeen     *time.Time   `json:"tls_seen,omitempty"`  // when the host is remembered to have spoken TLS
	Waived      string       `json:"waived,omitempty"`    // id of the reason for which it would be skipped, had it not been let go
	Exception   string       `json:"exception,omitempty"` // id of the exception for this host
}

// planRow makes the JSON object of a plan.
func (v *verdict) planRow() any {
	if v.err != nil {
		return v.row()
	}
	p := v.Plan
	said := explain.Reason(p.MX.Reason)
	r := planRow{
		V: rowVersion, Domain: v.asked, Level: p.Request.Level, Outcome: p.MX.Outcome.String(),
		Reason: said.Text, ReasonID: string(p.MX.Reason.ID), RFC: said.RFC,
		MXStatus: p.MX.Status.String(), ValidUntil: p.ValidUntil.UTC(),
		STS:   planSTS{Row: p.STS.Row.String(), ID: p.STS.ID, Cached: p.STS.Cached, Pending: p.STS.Pending},
		Hosts: []planHost{}, Why: append([]explain.Step{}, explain.Plan(p)...),
	}
	if p.STS.Policy != nil {
		r.STS.Mode = p.STS.Policy.Mode.String()
		end := p.STS.Expires.UTC()
		r.STS.Expires = &end
		r.STS.MaxAge, r.STS.MX = int64(p.STS.Policy.MaxAge/time.Second), texts(p.STS.Policy.MX)
	}
	if until, ok := p.Keep(); ok {
		until = until.UTC()
		r.KeptUntil = &until
	}
	r.Past, r.Drops = p.Past, p.Drops
	for i, h := range p.Hosts {
		said := explain.Reason(h.Reason)
		ph := planHost{
			Host: h.String(), Preference: h.Preference, Port: h.Port, Addresses: append([]netip.Addr{}, h.Addresses...),
			Requirement: h.Requirement.String(), Outcome: h.Skipped.String(), SNI: h.SNI,
			DANENames: texts(h.DANERefs), STSNames: texts(h.STSRefs), PKIXNames: texts(h.PKIXRefs),
			Reason: said.Text, ReasonID: string(h.Reason.ID), RFC: said.RFC,
			Row: h.Row, STSMatch: h.STSMatch, Waived: string(h.Waived.ID), TLSSeen: tlsSeen(p.Past, h),
		}
		if h.Exception != nil {
			ph.Exception = h.Exception.ID
		}
		ph.TLSA = texts(h.DANE.Set.Usable())
		r.Hosts = append(r.Hosts, ph)
		r.Why = append(r.Why, explain.Host(&p.Hosts[i])...)
	}
	return r
}

// tlsSeen is when a host is remembered to have spoken TLS; nil if it is not.
func tlsSeen(past *memory.Past, h engine.Host) *time.Time {
	if past == nil || !h.Name.IsValid() {
		return nil
	}
	for _, t := range past.TLS {
		if t.Host == h.Name.String() {
			at := t.At.UTC()
			return &at
		}
	}
	return nil
}

// texts prints each of a list.
func texts[T fmt.Stringer](list []T) (out []string) {
	for _, x := range list {
		out = append(out, x.String())
	}
	return out
}

// planExit is the exit status that a plan asks for.
func (v *verdict) planExit() int {
	if v.err != nil {
		return exitUsage
	}
	switch v.Plan.MX.Outcome {
	case engine.Bounced:
		return exitRefused
	case engine.Deferred:
		return exitDeferred
	}
	code := exitRefused
	for _, h := range v.Plan.Hosts {
		switch {
		case h.Requirement != engine.Skip && len(h.Addresses) > 0:
			return 0
		case h.Skipped == engine.Deferred && !h.Unusable:
			code = exitDeferred
		}
	}
	return code
}

// shortPlan is a plan in one line: "mx1.example.org dane, mx2.example.org may".
func (v *verdict) shortPlan() string {
	if v.err != nil {
		return "not planned: " + errorText(v.err)
	}
	if v.Plan.MX.Outcome != engine.OutcomeNone {
		return v.Plan.MX.Outcome.String() + ": " + explain.Text(v.Plan.MX.Reason)
	}
	var hosts []string
	for _, h := range v.Plan.Hosts {
		hosts = append(hosts, h.String()+" "+h.Requirement.String())
	}
	return strings.Join(hosts, ", ")
}

// humanPlan prints a plan for people.
func (v *verdict) humanPlan(c *console) {
	if v.err != nil {
		c.Linef("%s: not planned: %s", v.asked, v.err)
		return
	}
	p := v.Plan
	headline := fmt.Sprintf("%d hosts, in this order", len(p.Hosts))
	switch {
	case p.MX.Outcome != engine.OutcomeNone:
		headline = p.MX.Outcome.String()
	case len(p.Hosts) == 1:
		headline = "one host"
	}
	c.Linef("%s: %s", paint(strong, v.asked), headline)
	if !p.MX.Reason.IsZero() {
		c.Linef("")
		v.explain(c, 2, p.MX.Reason)
	}
	c.Linef("")
	steps(c, 2, explain.Plan(p))
	for i, h := range p.Hosts {
		word := h.Requirement.String()
		if h.Requirement == engine.Skip {
			word += ", " + h.Skipped.String()
		}
		c.Linef("")
		c.Linef("  %s (preference %d, port %d): %s", paint(strong, h.String()), h.Preference, h.Port, paint(strong, word))
		steps(c, 4, explain.Host(&p.Hosts[i]))
		for _, f := range []struct {
			label, text string
		}{
			{"sni", h.SNI},
			{"dane names", strings.Join(texts(h.DANERefs), ", ")},
			{"sts names", strings.Join(texts(h.STSRefs), ", ")},
			{"pkix names", strings.Join(texts(h.PKIXRefs), ", ")},
		} {
			if f.text != "" {
				block(c, 4, pad(f.label), f.text)
			}
		}
	}
	c.Linef("")
	c.Linef("  the plan holds until %s", p.ValidUntil.UTC().Format(time.RFC3339))
}
