package engine

import (
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/sts"
)

// A recollection is what a domain once proved, compared with what was gathered now.
type recollection struct {
	past     *Past // nil: nothing is remembered, or the domain has no mail hosts now
	err      error // the memory could not say
	unknown  bool  // and something depends on it
	drops    []Drop
	findings []Reason
	ends     time.Time // when a drop ends to have an effect; zero if none does
}

// recollect compares what the domain once proved with what was found now.
func recollect(r *Request, g *gathered) recollection {
	if g.past == nil || g.past.err != nil {
		m := recollection{}
		if g.past != nil {
			m.err = g.past.err
			if g.memory != MemoryAccept && g.mx.state.Outcome == OutcomeNone {
				m.unknown = true
				m.findings = []Reason{g.reason(ReasonMemoryUnknown, &MemoryUnread{Err: m.err})}
			}
		}
		return m
	}
	if g.mx.state.Outcome != OutcomeNone {
		return recollection{} // a domain without mail hosts, or one that can not be looked up now
	}
	next := g.past.past.clone()
	next.V, next.Domain, next.Port = pastVersion, g.next.host.String(), g.next.port
	if next.Port == DefaultPort {
		next.Port = 0
	}
	compareDANE(&next, r, g)
	compareSTS(&next, g)
	m := recollection{past: &next}
	for i := range next.Drops {
		d := &next.Drops[i]
		d.Until = time.Time{}
		if g.memory != MemoryAccept {
			d.Until = d.Noted.Add(g.hold)
		}
		if d.open(g.at) && (m.ends.IsZero() || d.Until.Before(m.ends)) {
			m.ends = d.Until
		}
		if d.Kind == DropTLS {
			continue // the connection will show
		}
		m.drops = append(m.drops, *d)
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
		if c != p.DANE || g.at.Sub(p.DANEAt) >= PastPrecision {
			p.DANE, p.DANEAt = c, g.at
		}
		p.undrop("dane", "")
	case c == CoverSome:
		p.drop(Drop{Kind: DropDANEPartly, Since: p.DANEAt, Noted: g.at})
	default:
		p.drop(Drop{Kind: DropDANE, Since: p.DANEAt, Noted: g.at})
	}
}

// compareSTS notes the policy that is in force now, or what became of it.
func compareSTS(p *Past, g *gathered) {
	if g.asked != STSWasAsked && g.asked != STSLeft {
		return // nobody looked
	}
	switch stateOf(g.sts) {
	case stsPending, stsNoTurn, stsNoStore:
		return // it is not known by a limit of this program
	}
	now, at := sts.Mode(0), g.at
	if pol := g.sts.Policy; pol != nil && pol.Mode != sts.ModeNone {
		now = pol.Mode
		if f := g.sts.Fetched; !f.IsZero() && f.Before(at) {
			at = f // a policy that is kept was proved when it was fetched
		}
	}
	lost := Drop{Kind: DropSTS, Since: p.STSAt, Noted: g.at}
	switch {
	case now == p.STS || now == sts.ModeEnforce || p.STS == 0:
		if now != p.STS || now != 0 && at.Sub(p.STSAt) >= PastPrecision {
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
	d := Drop{Kind: DropTLS, Host: name, Since: seen.At, Noted: at}
	for i := range p.Past.Drops {
		if o := &p.Past.Drops[i]; o.about(&d) {
			return o
		}
	}
	return &d
}
