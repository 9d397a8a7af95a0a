package engine

import (
	"time"

	"github.com/mxauth/mxauth/engine/exception"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/sts"
)

// gatheredFacts is all that a plan is made of: what DNS, MTA-STS, the memory and the operator
// say about one request. Nothing after it asks anybody.
type gatheredFacts struct {
	at    time.Time // when it was begun
	done  time.Time // when all was there
	next  nextHop
	mx    mxReading
	hosts []Host // in the order to try, with their lookups and nothing else

	asked reason.STSAsked
	sts   sts.Result

	past       *pastState // nil: the memory was not asked
	memory     memory.Policy
	exceptions *exception.Set
}

// skipsTLSA reports whether TLSA records are not looked up (section 4).
func skipsTLSA(r *Request, mx mxSec) bool {
	switch {
	case !r.Level.usesDANE(), mx == mxNone:
		return true
	case mx == mxInsecure && r.Options.InsecureMX == InsecureMXMay && r.Level != LevelDANEOnly:
		return true
	}
	// A TLSRPT report goes whatever DANE says (RFC 8460 section 5.3.1); at a level
	// that does not bow to it the records are needed as ever.
	return r.TLSRPTReport && r.weakened()
}

// hasEnded reports whether an answer has ended since it came.
func (g *gatheredFacts) hasEnded(now time.Time) bool {
	if now.Sub(g.at) < askAgainAfter {
		return false
	}
	ended := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	for i := range g.hosts {
		if ended(g.hosts[i].DANE.Expires) {
			return true
		}
	}
	return g.mx.state.Lookup.Err == nil && ended(g.mx.state.Lookup.Answer.Expires) || g.policyEnded(now)
}

// policyEnded reports whether what MTA-STS said has ended. A fetch that was made for this
// plan is as good as new.
func (g *gatheredFacts) policyEnded(now time.Time) bool {
	r := &g.sts
	switch {
	case r.Cached && r.Policy != nil && !now.Before(r.Expires):
		return true
	case r.Pending, r.FetchErr != nil, r.Policy != nil && !r.Cached:
		return false
	}
	return !r.Answer.Expires.IsZero() && !now.Before(r.Answer.Expires)
}

// reason makes a reason about the next hop.
func (g *gatheredFacts) reason(id reason.ID, ev reason.Evidence) Reason {
	return reasonOf(id, g.next.host, ev)
}

// factsOf are the facts of one host.
func factsOf(r *Request, g *gatheredFacts, h *Host) facts {
	f := facts{
		level:      r.Level,
		insecureMX: r.Options.InsecureMX,
		both:       r.Options.DANEAndSTS == Both,
		stsDefer:   r.Options.STSUndetermined == STSDefer,
		names:      len(r.Options.Names) > 0,
		audit:      r.Options.Audit,
		weakened:   r.weakened(),
		requireTLS: r.RequireTLS,
		nullReturn: r.NullReturnPath,
		mx:         g.mx.sec,
		viaMX:      g.mx.viaMX,
		dane:       h.DANE.State,
		sts:        stsNone,
		match:      h.STSMatch != "",
	}
	if g.asked == reason.STSWasAsked || g.asked == reason.STSLeft {
		f.sts = stateOf(g.sts)
	}
	return f
}

// pastState is what the memory says.
type pastState struct {
	past    memory.Past
	forgets uint64 // for LearnPlan
	err     error

	update *memory.Update // past with what was found now; nil if the domain has no mail hosts now
	noted  bool           // it will be written, where it differs
}
