package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

// A recall is the question to the memory that runs beside those to DNS.
type recall struct {
	cancel context.CancelFunc
	result chan recalled // one value
}

type recalled struct {
	past Past
	err  error
}

// startRecall asks the memory where it can have a say: about domains whose mail hosts are
// looked up.
func (w *work) startRecall(ctx context.Context) {
	if w.c.Memory == nil || w.next.kind != kindDomain {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, memoryPatience)
	r := &recall{cancel: cancel, result: make(chan recalled, 1)}
	go func() {
		p, _, err := w.c.Memory.Past(ctx, w.Orig, w.next.port)
		r.result <- recalled{p, err}
	}()
	w.recall = r
}

// endRecall compares what the domain once proved with what was found now, notes both, and
// fills Past and Drops.
func (w *work) endRecall() {
	if w.recall == nil {
		return
	}
	r := <-w.recall.result
	w.recall.cancel()
	if r.err != nil {
		w.steady = false
		why := because(ReasonMemoryUnknown, "What %s once proved is not known, because the memory cannot be read (%s).", w.Orig, errorText(cmp.Or(errors.Unwrap(r.err), r.err)))
		w.Why = append(w.Why, Step{Step: StepMemory, Name: w.Orig.String(), RFC: why.RFC,
			Result: "it is not known what the domain once proved: " + clip(r.err.Error())})
		if w.c.Memory.c.Action != MemoryAccept && w.MX.Outcome == OutcomeNone {
			w.Findings = append(w.Findings, why)
			w.pastUnknown, w.pastDamaged = why, errors.Is(r.err, store.ErrDamaged)
		}
		return
	}
	if w.MX.Outcome != OutcomeNone {
		return // a domain without mail hosts, or one that can not be looked up now
	}
	m := w.c.Memory
	old := r.past
	next := old.clone()
	next.V, next.Domain, next.Port = pastVersion, w.Orig.String(), w.next.port
	if next.Port == DefaultPort {
		next.Port = 0
	}
	w.compareDANE(&next)
	w.compareSTS(&next)
	for i := range next.Drops {
		d := &next.Drops[i]
		d.Until = time.Time{}
		if m.c.Action != MemoryAccept {
			d.Until = d.Noted.Add(m.c.Hold)
		}
		if d.open(w.Made) {
			w.until(d.Until)
		}
		if d.Kind == DropTLS {
			continue // the connection will show
		}
		w.tellDrop(d)
		if !slices.ContainsFunc(old.Drops, func(o Drop) bool { return o.Kind == d.Kind && o.Noted.Equal(d.Noted) }) {
			w.dropped(w.Orig, *d)
		}
	}
	w.Past = &next
	for _, d := range next.Drops {
		if d.Kind != DropTLS {
			w.Drops = append(w.Drops, d)
		}
	}
	if !next.Last().IsZero() && !next.equal(&old) {
		m.learn(w.Orig, next.Port, func(n *news) { n.plan = &next })
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

// tellDrop explains a drop, and makes it a finding while it is open.
func (w *work) tellDrop(d *Drop) {
	id, text := ReasonMemoryDANE, w.dropText(d)
	if d.Kind.part() == "sts" {
		id = ReasonMemorySTS
	}
	why := saying(id, text)
	w.Why = append(w.Why, Step{Step: StepMemory, Name: w.Orig.String(), Result: text, RFC: why.RFC})
	if d.open(w.Made) {
		w.Findings = append(w.Findings, why)
	}
}

// dropText tells of a drop in a sentence.
func (w *work) dropText(d *Drop) string {
	since := d.Since.UTC().Format(time.DateOnly)
	switch d.Kind {
	case DropDANE:
		return fmt.Sprintf("Until %s the mail hosts of %s were protected by signed TLSA records (DANE), and none is now.", since, w.Orig)
	case DropDANEPartly:
		return fmt.Sprintf("Until %s every mail host of %s was protected by signed TLSA records (DANE), and some are not now.", since, w.Orig)
	case DropSTSTesting:
		return fmt.Sprintf("Until %s the MTA-STS policy of %s was enforced, and it is in mode testing now.", since, w.Orig)
	case DropSTSNone:
		return fmt.Sprintf("Until %s %s had an MTA-STS policy, and it is in mode none now.", since, w.Orig)
	case DropSTSUnknown:
		return fmt.Sprintf("Until %s %s had an MTA-STS policy, and whether it has one now can not be found out.", since, w.Orig)
	}
	return fmt.Sprintf("Until %s %s had an MTA-STS policy, and it has none now.", since, w.Orig)
}

// cover says what DANE covers now; known is false where a lookup that failed leaves that
// open.
func (w *work) cover() (c Cover, known bool) {
	var covered, bare, unknown int
	for i := range w.Hosts {
		h := &w.Hosts[i]
		switch {
		case h.Unusable || h.DANE.Address == dane.AddressNone || h.DANE.Address == dane.AddressAlias:
			// It gets no mail either way.
		case !h.usable() || h.DANE.State == dane.Failed:
			unknown++
		case w.mx == mxSecure && h.DANE.State == dane.Usable:
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
func (w *work) compareDANE(p *Past) {
	if !w.Request.Level.usesDANE() || w.Request.TLSRPTReport && w.Request.weakened() || w.Request.Options.TLSA.Forbid != nil {
		return // nobody looked, or by a rule that other requests do not share
	}
	c, known := w.cover()
	switch {
	case !known:
	case c == CoverNone && p.DANE == CoverNone:
	case c >= p.DANE:
		if c != p.DANE || w.Made.Sub(p.DANEAt) >= PastPrecision {
			p.DANE, p.DANEAt = c, w.Made
		}
		p.undrop("dane", "")
	case c == CoverSome:
		p.drop(Drop{Kind: DropDANEPartly, Since: p.DANEAt, Noted: w.Made})
	default:
		p.drop(Drop{Kind: DropDANE, Since: p.DANEAt, Noted: w.Made})
	}
}

// compareSTS notes the policy that is in force now, or what became of it.
func (w *work) compareSTS(p *Past) {
	switch {
	case w.sts == nil, w.state == stsPending, w.state == stsNoTurn, w.state == stsNoStore:
		return // not looked at, or not known because of a limit of this program
	}
	now, at := sts.Mode(0), w.Made
	if pol := w.STS.Policy; pol != nil && pol.Mode != sts.ModeNone {
		now = pol.Mode
		if f := w.STS.Fetched; !f.IsZero() && f.Before(at) {
			at = f // a policy that is kept was proved when it was fetched
		}
	}
	lost := Drop{Kind: DropSTS, Since: p.STSAt, Noted: w.Made}
	switch {
	case now == p.STS || now == sts.ModeEnforce || p.STS == 0:
		if now != p.STS || now != 0 && at.Sub(p.STSAt) >= PastPrecision {
			p.STS, p.STSAt = now, at
		}
		p.undrop("sts", "")
		return
	case now == sts.ModeTesting:
		lost.Kind = DropSTSTesting
	case w.STS.Policy != nil:
		lost.Kind = DropSTSNone
	case w.state == stsUnknown || w.STS.FetchErr != nil:
		lost.Kind = DropSTSUnknown
	}
	p.drop(lost)
}

// hold keeps mail from a host while a drop of its domain is open, if the host need not
// prove itself now.
//
// It does the same while it is not known whether there is a drop, unless an entry is
// damaged: that would last until somebody repairs it.
func (w *work) hold(h *Host) {
	if w.c.Memory == nil || w.c.Memory.c.Action != MemoryDefer || h.Requirement == Skip ||
		h.Requirement&(DANE|STS|PKIX) != 0 || w.unheld() {
		return
	}
	if !w.pastUnknown.IsZero() && !w.pastDamaged {
		h.Requirement, h.Skipped = Skip, Deferred
		h.Reason = saying(ReasonMemoryUnknown, fmt.Sprintf("%s This server is set to wait where a domain may have lost a protection; %s is not used now.", w.pastUnknown.Text, h.label()))
		return
	}
	for i := range w.Drops {
		d := &w.Drops[i]
		if !d.open(w.Made) {
			continue
		}
		id := ReasonMemoryDANE
		if d.Kind.part() == "sts" {
			id = ReasonMemorySTS
		}
		h.Requirement, h.Skipped = Skip, Deferred
		h.Reason = because(id, "%s This server is set to wait until %s, so that somebody can find out whether that is meant; %s is not used until then.",
			w.dropText(d), d.Until.UTC().Format("2006-01-02 15:04 MST"), h.label())
		return
	}
}

// unheld reports whether mail goes whatever the memory says: in audit mode, where the
// message asks for it, and where the operator wants nobody authenticated.
func (p *Plan) unheld() bool {
	r := &p.Request
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

// memory looks whether TLS was seen where there is none now.
func (j *judge) memory() {
	d := &j.d
	m := j.e.c.Memory
	if m == nil || d.Outcome != Cleartext || j.h.Requirement != May {
		return
	}
	drop := j.p.tlsDrop(j.h, j.at)
	if drop == nil {
		return
	}
	text := fmt.Sprintf("Until %s %s spoke TLS, and it does not now.", drop.Since.UTC().Format(time.DateOnly), j.h.label())
	d.Why = append(d.Why, Step{Step: StepMemory, Host: j.h.label(), Result: text, RFC: reasonByID[ReasonMemoryTLS].RFC})
	until := drop.Noted.Add(m.c.Hold)
	if m.c.Action == MemoryAccept || !j.at.Before(until) {
		return
	}
	if m.c.Action == MemoryDefer && !j.p.unheld() {
		d.Details = append([]Reason{d.Reason}, d.Details...)
		j.end(Deferred, saying(ReasonMemoryTLS, text+" This server is set to wait until "+until.UTC().Format("2006-01-02 15:04 MST")+", so that somebody can find out whether that is meant."))
		return
	}
	d.Details = append(d.Details, saying(ReasonMemoryTLS, text))
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
