package engine

import (
	"slices"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/sts"
)

// compared is what the domain has proved, with what was found now.
func compared(r *Request, g *gathered) Past {
	next := g.past.past.clone()
	g.memory.endFuture(&next, g.at)
	next.V, next.Domain, next.Port = pastVersion, g.next.host.String(), g.next.port
	if next.Port == DefaultPort {
		next.Port = 0
	}
	compareDANE(&next, r, g)
	compareSTS(&next, g)
	return next
}

// A recollection is what a domain once proved and has lost since.
type recollection struct {
	past     *Past // nil: nothing is remembered, or the domain has no mail hosts now
	err      error // the memory could not say
	unknown  bool  // and something depends on it
	drops    []Drop
	fresh    []Drop // of drops, those that were not known before
	findings []Reason
	ends     time.Time // when a drop ends to have an effect; zero if none does
}

// recollect tells of the protections that a domain has lost.
func recollect(g *gathered) recollection {
	switch {
	case g.past == nil:
		return recollection{}
	case g.past.err != nil:
		m := recollection{err: g.past.err}
		if g.memory.action != MemoryAccept && g.mx.state.Outcome == OutcomeNone {
			m.unknown = true
			m.findings = []Reason{g.reason(ReasonMemoryUnknown, &MemoryUnread{Err: m.err})}
		}
		return m
	case g.past.next == nil:
		return recollection{}
	}
	known := g.past.past.clone()
	g.memory.endFuture(&known, g.at)
	next := g.past.next.clone()
	m := recollection{past: &next}
	for i := range next.Drops {
		d := &next.Drops[i]
		isNew := !slices.ContainsFunc(known.Drops, func(o Drop) bool { return o.Kind == d.Kind && o.Host == d.Host && o.Noted.Equal(d.Noted) })
		d.Until = g.memory.until(d, g.at)
		if isNew && !g.past.noted {
			// Without a note of when it began nothing would bound the hold.
			d.Until = time.Time{}
		}
		if d.open(g.at) {
			m.ends = earlier(m.ends, d.Until)
		}
		if d.Kind == DropTLS {
			continue // the connection will show
		}
		m.drops = append(m.drops, *d)
		if isNew {
			m.fresh = append(m.fresh, *d)
		}
		if d.open(g.at) {
			m.findings = append(m.findings, g.reason(d.Kind.reason(), &Lost{Drop: *d}))
		}
	}
	return m
}

// reason is the id under which a drop of a plan is explained.
func (k DropKind) reason() ReasonID {
	if k.part() == "sts" {
		return ReasonMemorySTS
	}
	return ReasonMemoryDANE
}

// cover says what DANE covers now; known is false where a lookup that failed leaves that
// open.
func cover(g *gathered) (c Cover, known bool) {
	var covered, bare, unknown int
	for i := range g.hosts {
		h := &g.hosts[i]
		switch {
		case h.DANE.Address == dane.AddressNone || h.DANE.Address == dane.AddressAlias:
			// It gets no mail either way.
		case !h.usable() || h.DANE.State == dane.Failed:
			unknown++
		case g.mx.sec == mxSecure && h.DANE.State == dane.Usable:
			covered++
		default:
			bare++
		}
	}
	switch {
	case covered+bare == 0:
		return CoverNone, false
	case covered > 0 && bare > 0:
		return CoverSome, true
	case unknown > 0:
		return CoverNone, false
	case bare > 0:
		return CoverNone, true
	}
	return CoverAll, true
}

// compareDANE notes what DANE covers now, or what it has lost.
func compareDANE(p *Past, r *Request, g *gathered) {
	if !r.Level.usesDANE() || r.TLSRPTReport && r.weakened() || r.Options.TLSA.Forbid != nil {
		return // nobody looked, or by a rule that other requests do not share
	}
	c, known := cover(g)
	switch {
	case !known:
	case c == CoverNone && p.DANE == CoverNone:
	case c >= p.DANE:
		if c != p.DANE || stale(p.DANEAt, g.at, g.at) {
			p.DANE, p.DANEAt = c, g.at
		}
		p.undrop("dane", "")
	case c == CoverSome:
		p.drop(Drop{Kind: DropDANEPartly, Since: earlier(p.DANEAt, g.at), Noted: g.at})
	default:
		p.drop(Drop{Kind: DropDANE, Since: earlier(p.DANEAt, g.at), Noted: g.at})
	}
}

// compareSTS notes the policy that is in force now, or what became of it.
func compareSTS(p *Past, g *gathered) {
	if g.asked != STSWasAsked && g.asked != STSLeft {
		return // not looked at
	}
	switch stateOf(g.sts) {
	case stsPending, stsNoTurn, stsNoStore:
		return // not known because of a limit of this program
	}
	now, at := sts.Mode(0), g.at
	if pol := g.sts.Policy; pol != nil && pol.Mode != sts.ModeNone {
		now = pol.Mode
		if f := g.sts.Fetched; !f.IsZero() && f.Before(at) {
			at = f // a policy that is kept was proved when it was fetched
		}
	}
	lost := Drop{Kind: DropSTS, Since: earlier(p.STSAt, g.at), Noted: g.at}
	switch {
	case now == p.STS || now == sts.ModeEnforce || p.STS == 0:
		if now != p.STS || now != 0 && stale(p.STSAt, at, g.at) {
			p.STS, p.STSAt = now, at
		}
		p.undrop("sts", "")
		return
	case now == sts.ModeTesting:
		lost.Kind = DropSTSTesting
	case g.sts.Policy != nil:
		lost.Kind = DropSTSNone
	case stateOf(g.sts) == stsUnknown || g.sts.FetchErr != nil:
		lost.Kind = DropSTSUnknown
	}
	p.drop(lost)
}

// tlsDrop is the drop of a host that has spoken TLS and does not now; nil if it never has,
// or nothing is remembered.
func (p *Plan) tlsDrop(h *Host, at time.Time) *Drop {
	if p.Past == nil || !h.Name.IsValid() {
		return nil
	}
	name := h.Name.String()
	seen := p.Past.remembered(name)
	if seen == nil {
		return nil
	}
	d := Drop{Kind: DropTLS, Host: name, Since: earlier(seen.At, at), Noted: at}
	for i := range p.Past.Drops {
		if o := &p.Past.Drops[i]; o.about(&d) {
			return o
		}
	}
	return &d
}
