package engine

import (
	"context"
	"slices"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// A recall is the question to the memory that runs while DNS is asked.
type recall struct {
	cancel context.CancelFunc
	result chan recalled // one value
}

// recalled is what the memory says.
type recalled struct {
	past Past
	err  error
}

// startRecall asks the memory where it can have a say: about domains whose mail hosts are
// looked up.
func (e *Engine) startRecall(ctx context.Context, n nextHop) *recall {
	if e.c.Memory == nil || n.kind != kindDomain {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, memoryPatience)
	r := &recall{cancel: cancel, result: make(chan recalled, 1)}
	go func() {
		p, _, err := e.c.Memory.Past(ctx, n.host, n.port)
		r.result <- recalled{p, err}
	}()
	return r
}

// end waits for the answer of the memory; nil if it was not asked.
func (r *recall) end() *recalled {
	if r == nil {
		return nil
	}
	p := <-r.result
	r.cancel()
	return &p
}

// A recollection is what a domain once proved, compared with what was gathered now.
type recollection struct {
	past     *Past // nil: nothing is remembered, or the domain has no mail hosts now
	err      error // the memory could not say
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

// remember tells the memory what a new plan has shown, and of drops that were not known.
func (e *Engine) remember(p *Plan, g gathered) {
	if p.Past == nil {
		return
	}
	old := &g.past.past
	for _, d := range p.Drops {
		if !slices.ContainsFunc(old.Drops, func(o Drop) bool { return o.Kind == d.Kind && o.Noted.Equal(d.Noted) }) {
			e.dropped(p.Orig, d)
		}
	}
	if next := p.Past; !next.Last().IsZero() && !next.equal(old) {
		e.c.Memory.learn(p.Orig, next.Port, func(n *news) { n.plan = next })
	}
}

// dropped tells of a drop that was noticed just now.
func (e *Engine) dropped(domain rfc6125.Host, d Drop) {
	e.c.Memory.count(func(s *MemoryStats) { s.Drops++ })
	e.c.Logger.Warn("a domain has lost a protection that it once proved", "domain", domain, "kind", string(d.Kind), "host", d.Host, "since", d.Since)
	if t := e.c.Trace.Dropped; t != nil {
		t(domain, d)
	}
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
	if asked := g.asked == STSWasAsked || g.asked == STSLeft; !asked || stateOf(g.sts) == stsPending {
		return // nobody looked, or nobody waited
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

// held keeps mail from a host while a drop of its domain is open, if the host need not
// prove itself now.
func (c hostCase) held(h Host) Host {
	if c.g.memory != MemoryDefer || c.m.past == nil || h.Requirement == Skip || h.Requirement&(DANE|STS|PKIX) != 0 || c.r.unheld() {
		return h
	}
	for _, d := range c.m.drops {
		if d.open(c.g.at) {
			h.Requirement, h.Skipped, h.Ground = Skip, Deferred, GroundNone
			h.Reason = c.reason(d.Kind.reason(), &Lost{Drop: d, Hold: d.Until})
			return h
		}
	}
	return h
}

// unheld reports whether mail goes whatever the memory says: in audit mode, where the
// message asks for it, and where the operator wants nobody authenticated.
func (r *Request) unheld() bool {
	return r.Options.Audit || r.weakened() || r.Level == LevelOpportunistic
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

// Remember notes what a connection showed: that host i of the plan spoke TLS, or that it
// did not although it once has. A sender calls it after a decision on a connection that
// was really made; it waits for nobody, and without [Config].Memory it does nothing.
func (e *Engine) Remember(p *Plan, i int, d Decision) {
	if e.c.Memory == nil || p == nil || p.Past == nil || i < 0 || i >= len(p.Hosts) || !p.Hosts[i].Name.IsValid() {
		return
	}
	s := sighting{tls: d.Event == HandshakeDone, at: e.c.Now()}
	switch d.Event {
	case HandshakeDone, NoSTARTTLS, STARTTLSRefused, HandshakeFailed:
	default:
		return
	}
	name := p.Hosts[i].Name.String()
	// Nothing to note: a copy shows it.
	q := p.Past.clone()
	if q.saw(name, s); q.equal(p.Past) {
		return
	}
	e.c.Memory.learn(p.Orig, p.Past.Port, func(n *news) {
		if n.hosts == nil {
			n.hosts = map[string]sighting{}
		}
		n.hosts[name] = s
		n.noticed = func(d Drop) { e.dropped(p.Orig, d) }
	})
	if k, ok := keyOf(&p.Request); ok && e.plans != nil {
		e.plans.Remove(k) // the next plan knows
	}
}
