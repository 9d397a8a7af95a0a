package engine

import "time"

// makePlan rules on what was gathered. It is pure: it asks nobody and reads no clock.
func makePlan(r Request, g gathered) *Plan {
	p := &Plan{
		Request: r, Orig: g.next.host, Exp: g.mx.exp, MX: g.mx.state, STS: g.sts, STSAsked: g.asked, Made: g.at,
		Hosts: make([]Host, len(g.hosts)),
	}
	if f := policyFailure(&g); !f.IsZero() {
		p.Findings = append(p.Findings, f)
	}
	m := recollect(&r, &g)
	p.Past, p.PastErr, p.Drops = m.past, m.err, m.drops
	p.Findings = append(p.Findings, m.findings...)
	for i := range g.hosts {
		p.Hosts[i] = ruleHost(hostCase{r: &r, g: &g, m: &m, self: &p.Hosts[i]}, g.hosts[i])
	}
	p.ends, p.steady = validity(p, &g, &m)
	p.ties = len(p.Hosts) > 1 && orders(p.Hosts) > 1
	p.ValidUntil = p.ends
	if least := p.Made.Add(MinValid); p.ValidUntil.Before(least) {
		p.ValidUntil = least
	}
	return p
}

// validity returns the earliest end of what the plan rests on, and whether nothing of it
// failed or is pending, so that the plan may be kept until then.
func validity(p *Plan, g *gathered, m *recollection) (ends time.Time, steady bool) {
	steady = m.err == nil && p.MX.Outcome != Deferred
	until := func(t time.Time) {
		if !t.IsZero() && (ends.IsZero() || t.Before(ends)) {
			ends = t
		}
	}
	if p.MX.Lookup.Err == nil {
		until(p.MX.Lookup.Answer.Expires)
	}
	if g.asked == STSWasAsked || g.asked == STSLeft {
		until(p.STS.Until)
		if p.MX.Outcome != Bounced && (g.asked == STSLeft || p.STS.Pending || stateOf(p.STS) == stsUnknown) {
			steady = false // what is not known now may be known the next time
		}
	}
	until(m.ends)
	for i := range p.Hosts {
		h := &p.Hosts[i]
		until(h.DANE.Expires)
		if h.Exception != nil {
			until(h.Exception.Ends)
		}
		if h.Skipped == Deferred {
			steady = false
		}
	}
	if ends.IsZero() {
		// A literal, or nothing was found out: it rests on nothing that could end.
		ends = p.Made.Add(MinValid)
	}
	return ends, steady
}
