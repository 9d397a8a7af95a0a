package engine

import (
	"time"

	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/engine/reason"
)

// makePlan rules on what was gathered. It is pure: it does no I/O and reads no clock. lost
// are the protections that were noticed as lost just now.
func makePlan(r Request, g gatheredFacts) (p *Plan, lost []memory.Drop) {
	p = &Plan{
		Request: r, Orig: g.next.host, Exp: g.mx.exp, MX: g.mx.state, STS: g.sts, STSAsked: g.asked, Made: g.at,
		Hosts: make([]Host, len(g.hosts)),
	}
	if f := policyFailure(&g); !f.IsZero() {
		p.Findings = append(p.Findings, f)
	}
	if !p.MX.Reason.IsZero() {
		p.MX.Reason.Plan = p
	}
	m := recollect(&g)
	p.Past, p.PastErr, p.Drops = m.past, m.err, m.drops
	p.Findings = append(p.Findings, m.findings...)
	for i := range p.Findings {
		p.Findings[i].Plan = p
	}
	for i := range g.hosts {
		p.Hosts[i] = ruleHost(hostCase{r: &r, g: &g, m: &m, plan: p, self: &p.Hosts[i]}, g.hosts[i])
	}
	var limit time.Time
	p.ends, limit, p.steady = validity(p, &g, &m)
	p.ties = len(p.Hosts) > 1 && orders(p.Hosts) > 1
	p.ValidUntil = p.ends
	if least := g.done.Add(minValid); p.ValidUntil.Before(least) {
		p.ValidUntil = least
	}
	if !limit.IsZero() && limit.Before(p.ValidUntil) {
		p.ValidUntil = limit
	}
	return p, m.fresh
}

// validity returns the earliest end of what the plan rests on; the end of signatures and
// of a cached policy, beyond which it is not used even for one transaction (zero if there
// is none); and whether nothing of it failed or is pending, so that it may be kept.
func validity(p *Plan, g *gatheredFacts, m *recollection) (ends, limit time.Time, steady bool) {
	steady = m.err == nil && p.MX.Outcome != Deferred
	if l := &p.MX.Lookup; l.Err == nil {
		ends, limit = l.Answer.Expires, l.Answer.SignaturesEnd
	}
	if g.asked == reason.STSWasAsked || g.asked == reason.STSLeft {
		ends = earlier(ends, p.STS.Until)
		if p.STS.Cached {
			limit = earlier(limit, p.STS.Expires) // a policy that was fetched for this plan counts for it (max_age 0)
		}
		switch stateOf(p.STS) {
		case stsUnknown, stsNoTurn, stsNoStore:
			steady = false // what is not known now may be known the next time
		}
		if g.asked == reason.STSLeft || p.STS.Pending {
			steady = false
		}
	}
	ends = earlier(ends, m.ends)
	for i := range p.Hosts {
		h := &p.Hosts[i]
		ends = earlier(ends, h.DANE.Expires)
		limit = earlier(limit, h.DANE.A.Answer.SignaturesEnd)
		limit = earlier(limit, h.DANE.AAAA.Answer.SignaturesEnd)
		for _, l := range h.DANE.TLSA {
			limit = earlier(limit, l.Answer.SignaturesEnd)
		}
		if h.Exception != nil {
			ends = earlier(ends, h.Exception.Ends)
		}
		if h.Skipped == Deferred {
			steady = false
		}
	}
	if ends.IsZero() {
		// A literal, or nothing was found out: it rests on nothing that could end.
		ends = g.done.Add(minValid)
	}
	return ends, limit, steady
}
