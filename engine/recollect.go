package engine

import (
	"slices"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/sts"
)

// A recollection is what a domain once proved and has lost since.
type recollection struct {
	past     *memory.Past // nil: nothing is remembered, or the domain has no mail hosts now
	err      error        // the memory could not say
	unknown  bool         // and something depends on it
	drops    []memory.Drop
	fresh    []memory.Drop // of drops, those that were not known before
	findings []Reason
	ends     time.Time // when a drop ends to have an effect; zero if none does
}

// recollect returns the protections that a domain has lost.
func recollect(g *gatheredFacts) recollection {
	switch {
	case g.past == nil:
		return recollection{}
	case g.past.err != nil:
		m := recollection{err: g.past.err}
		if g.memory.Action != memory.Accept && g.mx.state.Outcome == OutcomeNone {
			m.unknown = true
			m.findings = []Reason{g.reason(reason.MemoryUnknown, &reason.MemoryUnread{Err: m.err})}
		}
		return m
	case g.past.update == nil:
		return recollection{}
	}
	next := g.past.update.Next
	next.Drops = slices.Clone(next.Drops)
	m := recollection{past: &next}
	for i := range next.Drops {
		d := &next.Drops[i]
		isNew := slices.Contains(g.past.update.Fresh, *d)
		d.Until = g.memory.Until(d, g.at)
		if isNew && !g.past.noted {
			// Without a note of when it began nothing would bound the hold.
			d.Until = time.Time{}
		}
		if d.Open(g.at) {
			m.ends = earlier(m.ends, d.Until)
		}
		if d.Kind == memory.DropTLS {
			continue // the connection will show
		}
		m.drops = append(m.drops, *d)
		if isNew {
			m.fresh = append(m.fresh, *d)
		}
		if d.Open(g.at) {
			m.findings = append(m.findings, g.reason(reasonOfDrop(d), &reason.Lost{Drop: *d}))
		}
	}
	return m
}

// reasonOfDrop is the id under which a drop of a plan is explained.
func reasonOfDrop(d *memory.Drop) reason.ID {
	if d.OfSTS() {
		return reason.MemorySTS
	}
	return reason.MemoryDANE
}

// cover says what DANE covers now; known is false where a lookup that failed leaves that
// open.
func cover(g *gatheredFacts) (c memory.Cover, known bool) {
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
		return memory.CoverNone, false
	case covered > 0 && bare > 0:
		return memory.CoverSome, true
	case unknown > 0:
		return memory.CoverNone, false
	case bare > 0:
		return memory.CoverNone, true
	}
	return memory.CoverAll, true
}

// stateNow is what the domain proves now.
func stateNow(r *Request, g *gatheredFacts) (s memory.State) {
	// Else it was not looked up, or by a rule that other requests do not share.
	if r.Level.usesDANE() && !(r.TLSRPTReport && r.weakened()) && r.Options.TLSA.Forbid == nil {
		s.DANE, s.DANEKnown = cover(g)
	}
	if g.asked != reason.STSWasAsked && g.asked != reason.STSLeft {
		return s
	}
	state := stateOf(g.sts)
	switch state {
	case stsPending, stsNoTurn, stsNoStore:
		return s // not known because of a limit of this program
	}
	s.STSKnown, s.STSAt, s.STSDrop = true, g.at, memory.DropSTS
	pol := g.sts.Policy
	if pol != nil && pol.Mode != sts.ModeNone {
		s.STS = pol.Mode
		if f := g.sts.Fetched; !f.IsZero() && f.Before(s.STSAt) {
			s.STSAt = f // a policy that is kept was proved when it was fetched
		}
	}
	switch {
	case s.STS == sts.ModeTesting:
		s.STSDrop = memory.DropSTSTesting
	case pol != nil:
		s.STSDrop = memory.DropSTSNone
	case state == stsUnknown || g.sts.FetchErr != nil:
		s.STSDrop = memory.DropSTSUnknown
	}
	return s
}

// earlier returns the earlier of two times. The zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
