package engine

import (
	"crypto/x509"
	"slices"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine/exception"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/rfc6125"
)

// judgeOne is section 7 of the table.
func judgeOne(l local, p *Plan, i int, peer Peer, at time.Time, how judgeOptions) Decision {
	if p == nil || i < 0 || i >= len(p.Hosts) {
		var domain rfc6125.Host
		if p != nil {
			domain = p.Orig
		}
		return Decision{Outcome: Deferred, At: at, Reason: reasonOf(reason.NotInPlan, domain, nil)}
	}
	c := connection{local: l, p: p, h: &p.Hosts[i], peer: peer, event: peer.Event, at: at, how: how}
	if v, settled := c.settled(); settled {
		return c.decision(v)
	}
	if peer.Event == HandshakeDone && peer.Outdated() {
		// RFC 8996: TLS 1.0 and 1.1 are no TLS.
		c.event = HandshakeFailed
	}
	if slices.Contains(peer.Chain, nil) {
		// A caller's mistake. Without a leaf there is no certificate.
		if peer.Chain[0] == nil {
			c.peer.Chain = nil
		}
		c.peer.Chain = slices.DeleteFunc(slices.Clone(c.peer.Chain), func(x *x509.Certificate) bool { return x == nil })
	}
	if len(c.peer.Chain) == 0 && len(peer.Raw) > 0 {
		c.certs = peer.Certificates()
		for _, x := range c.certs {
			c.peer.Chain = append(c.peer.Chain, x.View()) // for what is shown; certs is what is judged
		}
	}
	c.settleRead()
	if how.unconfirmed || c.event == NoConnection || c.event > HandshakeDone {
		c.event = NoConnection
		id := reason.NoConnection
		switch {
		case how.unconfirmed:
			id = reason.Unconfirmed
		case peer.Untried:
			id = reason.NotTried
		}
		return c.decision(verdict{judged: true, outcome: Deferred, reason: c.unspoken(id, Skip)})
	}
	if c.event == HandshakeDone {
		c.presented = presented(c.peer.Chain)
	}
	v := verdict{judged: true, drop: c.event == HandshakeFailed || c.event == STARTTLSRefused && peer.Injected}
	if c.h.Requirement == May {
		v = c.undemanded(v)
	} else {
		v = c.demanded(v)
	}
	return c.decision(c.diagnosed(c.requireTLS(c.excepted(c.audited(c.recalled(c.reported(v)))))))
}

// A verdict is a decision as far as the rules have come; each rule makes the next of it.
type verdict struct {
	judged    bool
	outcome   Outcome
	method    Method
	reason    Reason
	failed    []Reason // the parts of the requirement that do not hold
	details   []Reason
	tlsa      dane.Result
	waived    bool
	exception *exception.Exception
	lost      *memory.Drop

	drop, retryClear bool
	send, notOffered bool
	strict           bool // the requirement is that of the REQUIRETLS parameter
}

// end returns v with another outcome.
func (v verdict) end(o Outcome, why Reason) verdict {
	v.outcome, v.reason = o, why
	return v
}

// before returns v with a detail in front of the others.
func (v verdict) before(r Reason) verdict {
	v.details = append([]Reason{r}, v.details...)
	return v
}

// decision makes the decision of a verdict.
func (c *connection) decision(v verdict) Decision {
	d := Decision{
		Host: c.h.Name, Outcome: v.outcome, Deliver: v.outcome.Deliverable(), Requirement: c.h.Requirement, Reason: v.reason,
		Details: v.details, DropConnection: v.drop, DemandsREQUIRETLS: c.p.Request.RequireTLS && !c.p.Request.NullReturnPath, NoREQUIRETLS: v.notOffered, Waived: v.waived, Exception: v.exception,
		Event: c.event, Address: c.peer.Address, At: c.at, Judged: v.judged, Peer: c.peer, TLSA: v.tlsa, Lost: v.lost,
	}
	if v.strict {
		d.Requirement = c.h.Strict
	}
	if d.Deliver {
		d.RetryClear, d.SendRequireTLS = v.retryClear, v.send
		d.DropConnection = d.DropConnection || d.RetryClear
	}
	if d.Outcome == Authenticated {
		d.Method = v.method
	}
	if v.judged && c.event == HandshakeDone {
		d.Presented, d.Expected = c.presented, c.expected()
	}
	return d
}

// settled is what plan, port and time decide without a look at the peer.
func (c *connection) settled() (v verdict, ok bool) {
	h, addr := c.h, c.peer.Address
	switch {
	case !c.how.replay && c.at.After(c.p.ValidUntil):
		return v.end(Deferred, c.reason(reason.PlanExpired, &reason.Expired{At: c.p.ValidUntil})), true
	case h.Requirement == Skip:
		v.details = h.Findings
		if h.Skipped == Refused {
			return v.end(Refused, h.Reason), true
		}
		return v.end(Deferred, h.Reason), true
	// TLSA6698-4-01: RFC 6698 section 4
	case addr.IsValid() && addr.Port() != 0 && addr.Port() != h.Port:
		return v.end(Refused, c.reason(reason.WrongPort, &reason.OtherPort{Port: addr.Port()})), true
	}
	return v, false
}

// undemanded is the first row of section 7: nothing is demanded.
func (c *connection) undemanded(v verdict) verdict {
	fallback := !c.p.Request.Options.NoClearFallback
	switch {
	case c.event == HandshakeDone:
		v = v.end(Encrypted, c.unproved())
	case c.event == NoSTARTTLS:
		v = v.end(Cleartext, c.unspoken(reason.ClearOffered, Skip))
	case c.event == STARTTLSRefused && !c.peer.Injected:
		v = v.end(Cleartext, c.unspoken(reason.ClearRefused, Skip))
	case !fallback:
		// Both cases left want a new connection without STARTTLS.
		if c.isOwn() {
			return v.end(Deferred, c.ownTLS(Skip, Deferred))
		}
		return v.end(Deferred, c.unspoken(reason.NoFallback, Skip))
	case c.event == STARTTLSRefused:
		v.retryClear = true
		v = v.end(Cleartext, c.unspoken(reason.ClearInjected, Skip))
	case c.isOwn():
		v.retryClear = true
		v = v.end(Cleartext, c.ownTLS(Skip, Cleartext))
	default:
		v.retryClear = true
		v = v.end(Cleartext, c.unspoken(reason.ClearHandshake, Skip))
	}
	if c.h.Ground == reason.GroundMessage {
		why := v.reason
		v.reason = c.h.Reason.of(why.Policy)
		v.reason.Evidence = &Underlying{Reason: why, Outcome: v.outcome}
	}
	return v
}

// demanded is every other row: all parts must hold.
func (c *connection) demanded(v verdict) verdict {
	var best proofs
	for _, p := range requirementParts {
		if !c.h.Requirement.Has(p.part) {
			continue
		}
		proof, ok := c.part(p.part)
		if p.part&tlsa != 0 {
			v.tlsa = proof.tlsa
		}
		if ok {
			best.add(proof)
		} else {
			v.failed = append(v.failed, proof.why)
		}
	}
	switch {
	case len(v.failed) > 0: // STS-2-01: RFC 8461 section 2; DANE7672-3.2-01: RFC 7672 section 3.2
		v.details = append(v.details, v.failed[1:]...)
		return v.end(Refused, v.failed[0])
	case best.method != "":
		v.method = best.method
		return v.end(Authenticated, best.why)
	case best.why.IsZero():
		// No part of the requirement is known: it demands nothing.
		return v.end(Refused, c.reason(reason.NotInPlan, nil))
	}
	return v.end(Encrypted, best.why)
}

// proofs keeps the strongest of several parts that hold.
type proofs struct {
	method Method
	why    Reason
}

// strengths of methods, for sums.
var strengths = map[Method]int{MethodDANEEE: 4, MethodDANETA: 3, MethodMTASTS: 2, MethodPKIX: 1}

func (p *proofs) add(q proof) {
	if p.why.IsZero() || strengths[q.method] > strengths[p.method] {
		p.method, p.why = q.method, q.why
	}
}

// reported evaluates what is only evaluated.
func (c *connection) reported(v verdict) verdict {
	v.details = append(v.details, c.h.Findings...)
	if !c.h.Waived.IsZero() {
		v.waived = true
		v.details = append(v.details, c.h.Waived)
	}
	if c.how.beforeEHLO {
		return v // the decision after the handshake reports
	}
	for _, p := range requirementParts {
		if !c.h.Report.Has(p.part) || c.h.Requirement.Has(p.part) {
			continue
		}
		if proof, ok := c.part(p.part); !ok {
			v.details = append(v.details, proof.why)
		}
	}
	return v
}

// recalled looks whether TLS was seen where there is none now.
func (c *connection) recalled(v verdict) verdict {
	m := c.memory
	if m == nil || v.outcome != Cleartext || c.isOwn() || c.h.Requirement != May {
		return v
	}
	if !c.h.Name.IsValid() {
		return v
	}
	drop := c.p.Past.TLSDrop(c.h.Name.String(), c.at)
	if drop == nil {
		return v
	}
	v.lost = drop
	until := m.Policy().Until(drop, c.at)
	switch {
	case !c.at.Before(until):
	case m.Policy().Action == memory.Defer && !c.p.Request.unheld():
		v = v.before(v.reason).end(Deferred, c.reason(reason.MemoryTLS, &reason.Lost{Drop: *drop, Hold: until}))
	default:
		v.details = append(v.details, c.reason(reason.MemoryTLS, &reason.Lost{Drop: *drop}))
	}
	return v
}

// audited lets the message go where a policy refused the connection, and says so (RFC
// 7672 section 9.1). It authenticates no host.
func (c *connection) audited(v verdict) verdict {
	if !c.p.Request.Options.Audit || c.p.Request.RequireTLS {
		return v
	}
	switch {
	case v.outcome == Refused:
		out := Encrypted
		if c.event != HandshakeDone {
			out = Cleartext
			v.retryClear = v.drop
		}
		v.waived = true
		return v.before(v.reason).end(out, c.overridden(reason.Audit, v.reason, nil, out))
	case c.h.Ground == reason.GroundAudit && v.outcome.Deliverable():
		return v.end(v.outcome, c.overridden(reason.Audit, c.h.Waived, nil, v.outcome))
	}
	return v
}

// overridden is the reason of what goes although a policy forbids it; it is reported as
// what failed.
func (c *connection) overridden(id reason.ID, failed Reason, x *exception.Exception, o Outcome) Reason {
	return c.reason(id, &Overridden{Failed: failed, Exception: x, Outcome: o}).of(failed.Policy)
}

// excepted lets the message go where the exception covers every failure, and says so. It
// authenticates no host.
func (c *connection) excepted(v verdict) verdict {
	x := c.h.Exception
	if x == nil || c.p.Request.RequireTLS || !c.at.Before(x.Ends) {
		return v
	}
	failed, out := v.reason, Encrypted
	switch {
	case c.h.Ground == reason.GroundException:
		// The host would not have been used at all.
		if !v.outcome.Deliverable() {
			return v
		}
		failed, out = c.h.Waived, v.outcome
	case v.outcome != Refused || len(v.failed) == 0:
		return v
	default:
		if c.event != HandshakeDone {
			if x.Effect == exception.EffectEncrypt {
				return v
			}
			out = Cleartext
		}
		for _, f := range v.failed {
			if !x.Covers(f.Policy) {
				return v
			}
		}
		v = v.before(v.reason)
		v.retryClear = out == Cleartext && v.drop
	}
	v.waived, v.exception = true, x
	return v.end(out, c.overridden(reason.Exception, failed, x, out))
}

// requireTLS is rows Q3 and Q4 of section 9.
func (c *connection) requireTLS(v verdict) verdict {
	switch {
	case !c.p.Request.RequireTLS:
	case c.p.Request.NullReturnPath:
		return c.bounceWithREQUIRETLS(v)
	// REQTLS-2-02: RFC 8689 section 2; REQTLS-2-04: RFC 8689 section 2
	case v.outcome != Authenticated:
		// Q3: already refused, or a plan that was not raised.
		if v.outcome.Deliverable() {
			return v.end(Refused, c.reason(reason.RequireTLSFails, nil))
		}
	case c.how.beforeEHLO:
	case !c.peer.RequireTLS: // REQTLS-2-05: RFC 8689 section 2
		v.notOffered = true
		return v.end(Refused, c.reason(reason.NoREQUIRETLS, nil))
	default:
		v.send = true // REQTLS-2-01: RFC 8689 section 2
	}
	return v
}

// bounceWithREQUIRETLS: a bounce carries the parameter where it can, and goes by the
// plain plan where it cannot (RFC 8689 section 5).
func (c *connection) bounceWithREQUIRETLS(v verdict) verdict {
	if c.event != HandshakeDone || !c.peer.RequireTLS || c.h.Strict == Skip || !v.outcome.Deliverable() {
		return v
	}
	var best proofs
	for _, p := range requirementParts {
		if !c.h.Strict.Has(p.part) {
			continue
		}
		proof, ok := c.part(p.part)
		if !ok {
			return v
		}
		best.add(proof)
	}
	if best.method == "" {
		return v
	}
	v.send, v.strict, v.method = true, true, best.method
	return v.end(Authenticated, best.why)
}

// diagnosed adds the finding to a verdict that the TLS library of this program does
// not come to with its usual settings.
func (c *connection) diagnosed(v verdict) verdict {
	if c.event != HandshakeDone {
		return v
	}
	if c.peer.Handshake == HandshakeRead {
		v.drop = true // there is no session
	}
	if c.peer.OwnTLS != nil {
		v.details = append(v.details, c.ownTLS(Skip, OutcomeNone))
	}
	return v
}
