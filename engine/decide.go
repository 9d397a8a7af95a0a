package engine

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/rfc6125"
)

// An Event is what a connection came to (section 7). The zero Event is E0.
type Event uint8

// Events.
const (
	NoConnection    Event = iota // E0: no TCP, no greeting, no answer to EHLO
	NoSTARTTLS                   // E1: EHLO did not offer STARTTLS
	STARTTLSRefused              // E2: 4yz, 5yz, junk, plaintext after 220
	HandshakeFailed              // E3: alert, no common version, disconnect
	HandshakeDone                // E4: a chain or a raw key was presented
)

var eventWords = [...]string{"no-connection", "no-starttls", "starttls-refused", "handshake-failed", "handshake-done"}

// String returns the word of the event: "no-connection", "no-starttls",
// "starttls-refused", "handshake-failed", "handshake-done".
func (e Event) String() string { return enumString(eventWords[:], int(e)) }

// MarshalText prints e as [Event.String] does.
func (e Event) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText reads what [Event.MarshalText] prints.
func (e *Event) UnmarshalText(b []byte) error {
	i, err := word("event", eventWords[:], string(b))
	*e = Event(i)
	return err
}

// A Peer is what one connection showed.
type Peer struct {
	Event Event
	// Address is the address and port of the plan that was dialled; zero if unknown.
	// A port that is not the plan's is refused.
	Address netip.AddrPort
	Detail  string // for people: the reply, the alert; escaped when printed
	// Injected says that plaintext followed the reply to STARTTLS (E2): the connection
	// must be dropped whatever the requirement.
	Injected bool
	Code     int                 // SMTP reply code of E1, E2; 0 if none
	Chain    []*x509.Certificate // E4: as sent, leaf first
	RawKey   []byte              // E4: SubjectPublicKeyInfo in place of a chain (RFC 7250)
	TLS      string              // E4: "TLS 1.3"
	// Version is the TLS version of E4 as in crypto/tls, for callers that have it; 0
	// if not. What is older than TLS 1.2, here or in TLS, is not TLS (RFC 8996).
	Version uint16
	// RequireTLS: EHLO inside TLS offered REQUIRETLS (Q4). An offer before TLS counts
	// for nothing (RFC 3207 section 4.2).
	RequireTLS bool
}

// Outdated reports whether the session's version is one that does not count as TLS.
func (p *Peer) Outdated() bool {
	if p.Version != 0 && p.Version < tls.VersionTLS12 {
		return true
	}
	if p.TLS == "" || p.TLS == "TLS 1.3" || p.TLS == "TLS 1.2" {
		return false // as crypto/tls writes them
	}
	v := strings.ToLower(strings.ReplaceAll(p.TLS, " ", ""))
	v = strings.TrimSuffix(v, ".0")
	return strings.HasPrefix(v, "ssl") || v == "tls1" || v == "tlsv1" || v == "tls1.1" || v == "tlsv1.1"
}

// A Decision is what one connection turned out to be. The zero Decision lets nothing
// pass.
type Decision struct {
	Host    rfc6125.Host
	Outcome Outcome
	Deliver bool
	Method  Method
	// Requirement is what had to hold. Under audit mode it is the one that failed.
	Requirement Requirement
	Reason      Reason
	// Details are further findings, for reports: each policy's own failure, also of
	// what was only evaluated.
	Details []Reason
	// Presented are the names of the leaf; Expected the references that were compared.
	// Both are safe for a terminal.
	Presented, Expected []string
	// DropConnection: plaintext was injected, or TLS was tried and failed; nothing more
	// may be said on this connection.
	DropConnection bool
	// RetryClear: the message may go, but only over a new connection without STARTTLS.
	RetryClear bool
	// SendRequireTLS: MAIL FROM may (and if the message asks for it, must) carry the
	// REQUIRETLS parameter (RFC 8689 section 2). Never set otherwise.
	SendRequireTLS bool
	// DemandsREQUIRETLS: the message may go only with the REQUIRETLS parameter.
	DemandsREQUIRETLS bool
	// NoREQUIRETLS: the peer proved itself, and does not offer the REQUIRETLS that the
	// message demands (Q4).
	NoREQUIRETLS bool
	// Waived says that a policy forbids the connection and audit mode, or the message's
	// own wish, let the message go.
	Waived bool
	// Exception is the exception by which alone the message may go; nil if none was needed.
	Exception *Exception
	// Event is what the connection came to, Address where it went (zero if unknown).
	Event   Event
	Address netip.AddrPort
	// Judged says that what the peer showed was looked at; false where plan, port or time
	// settle the matter. Peer is what it showed; an Event of Peer that is not Event is a
	// session of a TLS version that does not count.
	Judged bool
	Peer   Peer
	// TLSA is what the records of a demanded DANE check came to.
	TLSA dane.Result
	// Lost is the TLS that the host has spoken before and does not now; nil if none.
	Lost *Drop
}

// Decide judges what a connection to host i of the plan showed. It is a pure function
// of its arguments and asks nobody. It is to be called before MAIL FROM (RFC 3207
// section 4.1); where Deliver is false the caller sends QUIT and tries the next host.
// After the plan's ValidUntil the decision is [Deferred].
func (e *Engine) Decide(p *Plan, i int, peer Peer, at time.Time) Decision {
	return e.decide(p, i, peer, at, judging{})
}

// Replay is [Engine.Decide] for a plan that was made in another time: what it rests
// on was in force then, so ValidUntil is not looked at. At is the time by which
// certificates are judged.
func (e *Engine) Replay(p *Plan, i int, peer Peer, at time.Time) Decision {
	return e.decide(p, i, peer, at, judging{replay: true})
}

// judging says how a decision is taken.
type judging struct {
	replay     bool // ValidUntil is not looked at
	beforeEHLO bool // EHLO inside TLS has not been said: whether REQUIRETLS is offered is not known
	quiet      bool // the observers are not told
}

func (e *Engine) decide(p *Plan, i int, peer Peer, at time.Time, how judging) Decision {
	d := e.judge(p, i, peer, at, how)
	if how.quiet {
		return d
	}
	if t := e.c.Trace.Decided; t != nil {
		seen := d // the observer's own, so that d need not be on the heap
		t(p, i, &seen)
	}
	if p != nil && i >= 0 && i < len(p.Hosts) && p.Hosts[i].Exception != nil {
		e.countException(p.Hosts[i].Exception, d.Exception != nil, at)
	}
	return d
}

// judge is section 7 of the table.
func (e *Engine) judge(p *Plan, i int, peer Peer, at time.Time, how judging) Decision {
	if p == nil || i < 0 || i >= len(p.Hosts) {
		var domain rfc6125.Host
		if p != nil {
			domain = p.Orig
		}
		return Decision{Outcome: Deferred, Reason: reasonOf(ReasonNotInPlan, domain, nil)}
	}
	c := connection{e: e, p: p, h: &p.Hosts[i], peer: peer, event: peer.Event, at: at, how: how}
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
	if c.event == NoConnection || c.event > HandshakeDone {
		c.event = NoConnection
		return c.decision(verdict{judged: true, outcome: Deferred, reason: c.unspoken(ReasonNoConnection, Skip)})
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
	return c.decision(c.requireTLS(c.excepted(c.audited(c.recalled(c.reported(v))))))
}

// A connection is what one decision rests on. Nothing changes it once the peer is known.
type connection struct {
	e         *Engine
	p         *Plan
	h         *Host
	peer      Peer
	event     Event // that of the peer, unless its TLS version does not count
	at        time.Time
	how       judging
	presented []string // names of the leaf
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
	exception *Exception
	lost      *Drop

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
		Event: c.event, Address: c.peer.Address, Judged: v.judged, Peer: c.peer, TLSA: v.tlsa, Lost: v.lost,
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

// reason makes a reason about the host.
func (c *connection) reason(id ReasonID, ev Evidence) Reason {
	return reasonOf(id, c.p.Orig, ev).about(c.h)
}

// settled is what plan, port and time decide without a look at the peer.
func (c *connection) settled() (v verdict, ok bool) {
	h, addr := c.h, c.peer.Address
	switch {
	case !c.how.replay && c.at.After(c.p.ValidUntil):
		return v.end(Deferred, c.reason(ReasonPlanExpired, &Expired{c.p.ValidUntil})), true
	case h.Requirement == Skip:
		v.details = h.Findings
		if h.Skipped == Refused {
			return v.end(Refused, h.Reason), true
		}
		return v.end(Deferred, h.Reason), true
	case addr.IsValid() && addr.Port() != 0 && addr.Port() != h.Port:
		return v.end(Refused, c.reason(ReasonWrongPort, &OtherPort{addr.Port()})), true
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
		v = v.end(Cleartext, c.unspoken(ReasonClearOffered, Skip))
	case c.event == STARTTLSRefused && !c.peer.Injected:
		v = v.end(Cleartext, c.unspoken(ReasonClearRefused, Skip))
	case !fallback:
		// Both cases left want a new connection without STARTTLS.
		return v.end(Deferred, c.unspoken(ReasonNoFallback, Skip))
	case c.event == STARTTLSRefused:
		v.retryClear = true
		v = v.end(Cleartext, c.unspoken(ReasonClearInjected, Skip))
	default:
		v.retryClear = true
		v = v.end(Cleartext, c.unspoken(ReasonClearHandshake, Skip))
	}
	if c.h.Ground == GroundMessage {
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
	case len(v.failed) > 0:
		v.details = append(v.details, v.failed[1:]...)
		return v.end(Refused, v.failed[0])
	case best.method != "":
		v.method = best.method
		return v.end(Authenticated, best.why)
	case best.why.IsZero():
		// No part that we know of: a requirement that nobody made.
		return v.end(Refused, c.reason(ReasonNotInPlan, nil))
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
	m := c.e.c.Memory
	if m == nil || v.outcome != Cleartext || c.h.Requirement != May {
		return v
	}
	drop := c.p.tlsDrop(c.h, c.at)
	if drop == nil {
		return v
	}
	v.lost = drop
	until := drop.Noted.Add(m.c.Hold)
	switch {
	case m.c.Action == MemoryAccept || !c.at.Before(until):
	case m.c.Action == MemoryDefer && !c.p.Request.unheld():
		v = v.before(v.reason).end(Deferred, c.reason(ReasonMemoryTLS, &Lost{Drop: *drop, Hold: until}))
	default:
		v.details = append(v.details, c.reason(ReasonMemoryTLS, &Lost{Drop: *drop}))
	}
	return v
}

// audited lets the message go where a policy refused the connection, and says so (RFC
// 7672 section 9.1). It makes nobody authenticated.
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
		return v.before(v.reason).end(out, c.overridden(ReasonAudit, v.reason, nil, out))
	case c.h.Ground == GroundAudit && v.outcome.Deliverable():
		return v.end(v.outcome, c.overridden(ReasonAudit, c.h.Waived, nil, v.outcome))
	}
	return v
}

// overridden is the reason of what goes although a policy forbids it; it is reported as
// what failed.
func (c *connection) overridden(id ReasonID, failed Reason, x *Exception, o Outcome) Reason {
	return c.reason(id, &Overridden{Failed: failed, Exception: x, Outcome: o}).of(failed.Policy)
}

// excepted lets the message go where the exception covers every failure, and says so. It
// makes nobody authenticated.
func (c *connection) excepted(v verdict) verdict {
	x := c.h.Exception
	if x == nil || c.p.Request.RequireTLS || !c.at.Before(x.Ends) {
		return v
	}
	failed, out := v.reason, Encrypted
	switch {
	case c.h.Ground == GroundException:
		// The host would not have been used at all.
		if !v.outcome.Deliverable() {
			return v
		}
		failed, out = c.h.Waived, v.outcome
	case v.outcome != Refused || len(v.failed) == 0:
		return v
	default:
		if c.event != HandshakeDone {
			if x.Effect == EffectEncrypt {
				return v
			}
			out = Cleartext
		}
		for _, f := range v.failed {
			if !x.covers(f) {
				return v
			}
		}
		v = v.before(v.reason)
		v.retryClear = out == Cleartext && v.drop
	}
	v.waived, v.exception = true, x
	return v.end(out, c.overridden(ReasonException, failed, x, out))
}

// requireTLS is rows Q3 and Q4 of section 9.
func (c *connection) requireTLS(v verdict) verdict {
	switch {
	case !c.p.Request.RequireTLS:
	case c.p.Request.NullReturnPath:
		return c.bounceWithREQUIRETLS(v)
	case v.outcome != Authenticated:
		// Q3: already refused, or a plan that was not raised.
		if v.outcome.Deliverable() {
			return v.end(Refused, c.reason(ReasonRequireTLSFails, nil))
		}
	case c.how.beforeEHLO:
	case !c.peer.RequireTLS:
		v.notOffered = true
		return v.end(Refused, c.reason(ReasonNoREQUIRETLS, nil))
	default:
		v.send = true
	}
	return v
}

// bounceWithREQUIRETLS: a bounce carries the parameter where it can, and goes by the
// plain plan where it can not (RFC 8689 section 5).
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
