package engine

import (
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/rfc6125"
)

// A Summary answers for the domain: decisions of all hosts together (section 10 and
// the last section of DESIGN.md).
type Summary struct {
	Outcome Outcome
	Deliver bool
	Method  Method
	Via     rfc6125.Host // first host in order over which the message may go; zero if none, or a literal
	// EveryHost says that each host over which the message may go would be
	// authenticated, and that there is one. A host that a policy refuses, or that cannot
	// be reached or looked up now, gets no mail and does not count.
	EveryHost bool
	Reason    Reason
	// Total, Deliverable and Authenticated count the hosts: all of the plan, those over
	// which the message may go, those of them that would be authenticated.
	Total, Deliverable, Authenticated int
}

// Summarise combines the decisions of the hosts, in the order of the plan; hosts of
// one preference may be in another order than the plan was made with. A decision
// that is missing counts as deferred.
//
// The outcome is that of the first host over which the message may go now. If none
// may, it is bounced where section 2 says so or no host has an address (row O6), else
// deferred if any host is (it may yet be met), else refused.
func Summarise(p *Plan, decisions []Decision) Summary {
	s := Summary{Total: len(p.Hosts)}
	if p.MX.Outcome != OutcomeNone {
		s.Outcome, s.Reason = p.MX.Outcome, p.MX.Reason
		return s
	}
	decisions = decisions[:min(len(decisions), len(p.Hosts))]
	for i := range decisions {
		d := &decisions[i]
		if !d.Deliver {
			continue
		}
		if s.Deliverable == 0 {
			s.Outcome, s.Deliver, s.Method, s.Via, s.Reason = d.Outcome, true, d.Method, d.Host, d.Reason
		}
		s.Deliverable++
		if d.Outcome == Authenticated {
			s.Authenticated++
		}
	}
	if s.Deliver {
		s.EveryHost = s.Authenticated == s.Deliverable
		return s
	}
	s.Outcome, s.Reason = undeliverable(p, decisions)
	return s
}

// undeliverable is the outcome where the message may go over no host.
func undeliverable(p *Plan, decisions []Decision) (Outcome, Reason) {
	if p.Unusable() {
		// O6; by option the operator waits instead.
		if p.Request.Options.NoAddressDefer {
			return Deferred, p.Hosts[0].Reason
		}
		return Bounced, p.Hosts[0].Reason
	}
	// The first host that is deferred speaks for the domain, else the first that a
	// policy refused, else (hosts without address) the first.
	for i := range p.Hosts {
		if i >= len(decisions) {
			return Deferred, p.reason(reason.NoConnection, nil).about(&p.Hosts[i])
		}
		if d := &decisions[i]; d.Outcome != Refused {
			return Deferred, d.Reason
		}
	}
	for i := range decisions {
		if !p.Hosts[i].Unusable {
			return Refused, decisions[i].Reason
		}
	}
	return Deferred, reasonOf(reason.NoConnection, p.Orig, nil).in(p)
}

// Unusable reports whether there are hosts, none of which has an address to connect to
// (row O6).
func (p *Plan) Unusable() bool {
	for i := range p.Hosts {
		if !p.Hosts[i].Unusable {
			return false
		}
	}
	return len(p.Hosts) > 0
}
