package engine

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mxauth/mxauth/rfc6125"
)

// An Event is what a connection came to (section 7). The zero Event is E0.
type Event uint8

// Events.
const (
	NoConnection    Event = iota // E0: no TCP, no greeting, no answer to EHLO or none that takes mail now
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
	// Untried says that this program did not connect, or gave up for want of time of its
	// own, so that E0 says nothing of the peer.
	Untried bool
	// Injected says that plaintext followed the reply to STARTTLS (E2): the connection
	// must be dropped whatever the requirement.
	Injected bool
	Code     int                 // SMTP reply code of E0, E1, E2; 0 if none
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

// outdated reports whether the session's version is one that does not count as TLS.
func (p *Peer) outdated() bool {
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
	Why     []Step
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
	// Code is the enhanced status code (RFC 3463) of what may not be delivered, of a
	// bounce for good or of a log line for now; "" if the message may go.
	Code string
	// Waived says that a policy forbids the connection and audit mode, or the message's
	// own wish, let the message go.
	Waived bool
	// Exception is the exception by which alone the message may go; nil if none was needed.
	Exception *Exception
	// Event is what the connection came to, Address where it went (zero if unknown).
	Event   Event
	Address netip.AddrPort
}

// Decide judges what a connection to host i of the plan showed. It is a pure function
// of its arguments and the engine's roots, does no I/O and counts nothing; a caller that
// acts on the decision says so with [Engine.Record]. It is to be called before MAIL FROM
// (RFC 3207 section 4.1); where Deliver is false the caller sends QUIT and tries the next
// host. After the plan's ValidUntil the decision is [Deferred].
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
	// unconfirmed: TLS was started, and whether it was completed was not reported.
	unconfirmed bool
}

func (e *Engine) decide(p *Plan, i int, peer Peer, at time.Time, how judging) Decision {
	j := judge{e: e, p: p, peer: peer, at: at, how: how}
	j.run(i)
	j.close()
	return j.d
}

// Record calls the observers ([Trace].Decided, [Trace].Excepted) with a decision that is
// acted on, and counts it for the exception that covers the host. [Attempt.Decision] does
// so itself.
func (e *Engine) Record(p *Plan, i int, d Decision) {
	if t := e.c.Trace.Decided; t != nil {
		t(p, i, &d)
	}
	if p != nil && i >= 0 && i < len(p.Hosts) && p.Hosts[i].Exception != nil {
		e.countException(p.Hosts[i].Exception, d.Exception != nil, e.c.Now())
	}
}

// A judge takes one decision.
type judge struct {
	e    *Engine
	p    *Plan
	h    *Host
	peer Peer
	at   time.Time
	how  judging
	d    Decision
	// failed are the parts of the requirement that do not hold.
	failed []Reason
}

// run is section 7 of the table.
func (j *judge) run(i int) {
	d := &j.d
	if j.p == nil || i < 0 || i >= len(j.p.Hosts) {
		j.end(Deferred, because(ReasonNotInPlan, "The connection was made to a host that this delivery has no plan for."))
		return
	}
	j.h = &j.p.Hosts[i]
	d.Host, d.Requirement, d.Event, d.Address = j.h.Name, j.h.Requirement, j.peer.Event, j.peer.Address
	name := j.h.label()
	switch {
	case !j.how.replay && j.at.After(j.p.ValidUntil):
		j.end(Deferred, because(ReasonPlanExpired, "What was looked up for %s ended at %s; it must be looked up again before anything is sent.", name, j.p.ValidUntil.UTC().Format(time.RFC3339)))
		return
	case j.h.Requirement == Skip && j.h.Skipped == Refused:
		j.end(Refused, j.h.Reason)
		d.Details = j.h.Findings
		return
	case j.h.Requirement == Skip:
		j.end(Deferred, j.h.Reason)
		d.Details = j.h.Findings
		return
	case j.peer.Address.IsValid() && j.peer.Address.Port() != 0 && j.peer.Address.Port() != j.h.Port:
		j.end(Refused, because(ReasonWrongPort, "The connection to %s was made to port %d, and port %d was looked up.", name, j.peer.Address.Port(), j.h.Port))
		return
	}
	if j.peer.Event == HandshakeDone && j.peer.outdated() {
		// RFC 8996: TLS 1.0 and 1.1 are no TLS.
		d.Event = HandshakeFailed
	}
	if slices.Contains(j.peer.Chain, nil) {
		// A caller's mistake. Without a leaf there is no certificate.
		if j.peer.Chain[0] == nil {
			j.peer.Chain = nil
		}
		j.peer.Chain = slices.DeleteFunc(slices.Clone(j.peer.Chain), func(c *x509.Certificate) bool { return c == nil })
	}
	j.connection()
	if j.how.unconfirmed || d.Event == NoConnection || d.Event > HandshakeDone {
		d.Event = NoConnection
		j.end(Deferred, j.noConnection())
		return
	}
	d.DropConnection = d.Event == HandshakeFailed || d.Event == STARTTLSRefused && j.peer.Injected
	j.presented()
	if j.h.Requirement == May {
		j.may()
	} else {
		j.demanded()
	}
	j.report()
	j.memory()
	j.audit()
	j.except()
	j.requireTLS()
}

// noConnection is why nothing can be said of TLS.
func (j *judge) noConnection() Reason {
	name := j.h.label()
	switch {
	case j.how.unconfirmed:
		return because(ReasonUnconfirmed, "TLS with %s was started, and the sending program did not report whether the handshake was completed.", name)
	case j.peer.Untried:
		return because(ReasonNotTried, "%s was not reached%s; the requirement there is %q.", name, j.detail(), j.h.Requirement)
	case j.peer.Code != 0:
		return because(ReasonNoConnection, "%s answered, and does not take mail now%s; if it did, the requirement would be %q.", name, j.detail(), j.h.Requirement)
	}
	return because(ReasonNoConnection, "No mail server answered at %s%s; had one answered, the requirement would have been %q.", name, j.detail(), j.h.Requirement)
}

// end sets the verdict.
func (j *judge) end(o Outcome, why Reason) {
	j.d.Outcome, j.d.Reason = o, why
}

// close fills what follows from the verdict.
func (j *judge) close() {
	d := &j.d
	d.Deliver = d.Outcome.Deliverable()
	if d.Outcome != Authenticated {
		d.Method = ""
	}
	if !d.Deliver {
		d.RetryClear, d.SendRequireTLS = false, false
		if d.Code == "" {
			d.Code = d.Reason.code()
		}
		if d.Outcome == Refused && j.demandsREQUIRETLS() && d.Reason.ID != ReasonNoREQUIRETLS && d.Reason.ID != ReasonNoAddress && d.Reason.ID != ReasonAliasRefused {
			d.Code = reasonByID[ReasonRequireTLSFails].Code
		}
	}
	if d.RetryClear {
		d.DropConnection = true
	}
	s := Step{Step: StepVerdict, Result: d.Outcome.String() + ": " + d.Reason.Text, RFC: d.Reason.RFC, ResultType: d.Reason.ResultType}
	if j.h != nil {
		s.Host, s.Row = j.h.label(), j.h.Row
	}
	d.Why = append(d.Why, s)
}

// demandsREQUIRETLS reports whether the message may go only with REQUIRETLS.
func (j *judge) demandsREQUIRETLS() bool {
	return j.p != nil && j.p.Request.RequireTLS && !j.p.Request.NullReturnPath
}

// may is the first row of section 7: nothing is demanded.
func (j *judge) may() {
	d := &j.d
	name, because := j.h.label(), because
	fallback := !j.p.Request.Options.NoClearFallback
	switch {
	case d.Event == HandshakeDone:
		j.end(Encrypted, j.unproved())
	case d.Event == NoSTARTTLS:
		j.end(Cleartext, because(ReasonClearOffered, "%s offers no TLS, and %s: the message goes in the clear.", name, j.unbound()))
	case d.Event == STARTTLSRefused && !j.peer.Injected:
		j.end(Cleartext, because(ReasonClearRefused, "%s refused to start TLS%s, and %s: the message goes in the clear.", name, j.detail(), j.unbound()))
	case !fallback:
		// Both cases left want a new connection without STARTTLS.
		j.end(Deferred, because(ReasonNoFallback, "TLS with %s failed%s, and this server is set not to fall back to clear text on a new connection.", name, j.detail()))
	case d.Event == STARTTLSRefused:
		d.RetryClear = true
		j.end(Cleartext, because(ReasonClearInjected, "Plain data stood behind the reply of %s to STARTTLS; that connection is dropped, and since %s the message may go in the clear over a new one.", name, j.unbound()))
	default:
		d.RetryClear = true
		j.end(Cleartext, because(ReasonClearHandshake, "The TLS handshake with %s failed%s, and since %s the message may go in the clear over a new connection.", name, j.detail(), j.unbound()))
	}
	if id := j.h.Reason.ID; d.Deliver || d.Outcome.Deliverable() {
		switch id {
		case ReasonTLSRequiredNo, ReasonTLSRPTReport:
			why := d.Reason
			d.Reason = j.h.Reason
			d.Reason.Text += " " + why.Text
			d.Reason.ResultType, d.Reason.Policy = why.ResultType, why.Policy
		}
	}
}

// unbound says in a clause why nothing is demanded.
func (j *judge) unbound() string {
	switch j.h.Reason.ID {
	case ReasonOpportunistic:
		return "this server is set to demand nothing"
	case ReasonTLSRequiredNo, ReasonTLSRPTReport:
		return "nothing may stop this message"
	case ReasonLiteral:
		return "nothing can be demanded of an address"
	case ReasonAudit:
		return "audit mode is on"
	case ReasonException:
		return "an exception asks for nothing"
	}
	return "no policy obliges it to"
}

// demanded is every other row: all parts must hold.
func (j *judge) demanded() {
	d := &j.d
	var failed []Reason
	var proofs proofs
	for _, p := range requirementParts {
		if !j.h.Requirement.Has(p.part) {
			continue
		}
		if method, why, ok := j.part(p.part, true); ok {
			proofs.add(method, why)
		} else {
			failed = append(failed, why)
		}
	}
	j.failed = failed
	switch {
	case len(failed) > 0:
		j.end(Refused, failed[0])
		d.Details = append(d.Details, failed[1:]...)
	case proofs.method != "":
		d.Method = proofs.method
		j.end(Authenticated, proofs.why)
	case proofs.why.IsZero():
		// No part that we know of: a requirement that nobody made.
		j.end(Refused, because(ReasonNotInPlan, "The plan for %s demands something that can not be judged.", j.h.label()))
	default:
		j.end(Encrypted, proofs.why)
	}
}

// proofs keeps the strongest of several parts that hold.
type proofs struct {
	method Method
	why    Reason
}

// strengths of methods, for sums.
var strengths = map[Method]int{MethodDANEEE: 4, MethodDANETA: 3, MethodMTASTS: 2, MethodPKIX: 1}

func (p *proofs) add(m Method, why Reason) {
	if p.why.IsZero() || strengths[m] > strengths[p.method] {
		p.method, p.why = m, why
	}
}

// report evaluates what is only evaluated.
func (j *judge) report() {
	d := &j.d
	d.Details = append(d.Details, j.h.Findings...)
	if !j.h.Waived.IsZero() {
		d.Waived = true
		d.Details = append(d.Details, j.h.Waived)
	}
	for _, p := range requirementParts {
		if !j.h.Report.Has(p.part) || j.h.Requirement.Has(p.part) {
			continue
		}
		if _, why, ok := j.part(p.part, false); !ok {
			d.Details = append(d.Details, why)
		}
	}
}

// audit lets the message go where a policy refused the connection, and says so (RFC
// 7672 section 9.1). It makes nobody authenticated.
func (j *judge) audit() {
	d := &j.d
	o := &j.p.Request.Options
	if !o.Audit || j.p.Request.RequireTLS {
		return
	}
	switch {
	case d.Outcome == Refused:
		failed := d.Reason
		d.Details = append([]Reason{failed}, d.Details...)
		d.Waived = true
		out, how := Encrypted, "encrypted"
		if d.Event != HandshakeDone {
			out, how = Cleartext, "in the clear"
			d.RetryClear = d.DropConnection
		}
		why := because(ReasonAudit, "Audit mode: the message may go to %s, %s, although a policy forbids it. %s", j.h.label(), how, failed.Text)
		why.ResultType, why.Policy = failed.ResultType, failed.Policy
		j.end(out, why)
	case j.h.Reason.ID == ReasonAudit && d.Outcome.Deliverable():
		failed := j.h.Waived
		how := "encrypted"
		if d.Outcome == Cleartext {
			how = "in the clear"
		}
		why := because(ReasonAudit, "Audit mode: the message may go to %s, %s, although a policy forbids it. %s", j.h.label(), how, failed.Text)
		why.ResultType, why.Policy = failed.ResultType, failed.Policy
		j.end(d.Outcome, why)
	}
}

// requireTLS is rows Q3 and Q4 of section 9.
func (j *judge) requireTLS() {
	d := &j.d
	if !j.p.Request.RequireTLS {
		return
	}
	if j.p.Request.NullReturnPath {
		// RFC 8689 section 5: a bounce carries the parameter where it can, and goes by
		// the plain plan where it can not.
		if d.Event != HandshakeDone || !j.peer.RequireTLS || j.h.Strict == Skip || !d.Outcome.Deliverable() {
			return
		}
		var best proofs
		for _, p := range requirementParts {
			if j.h.Strict.Has(p.part) {
				method, why, ok := j.part(p.part, false)
				if !ok {
					return
				}
				best.add(method, why)
			}
		}
		if best.method != "" {
			d.SendRequireTLS, d.Requirement, d.Method = true, j.h.Strict, best.method
			j.end(Authenticated, best.why)
		}
		return
	}
	switch {
	case d.Outcome != Authenticated:
		// Q3: already refused, or a plan that was not raised.
		if d.Outcome.Deliverable() {
			j.end(Refused, because(ReasonRequireTLSFails, "The message demands TLS on its whole way (REQUIRETLS), and %s did not prove itself.", j.h.label()))
		}
	case j.how.beforeEHLO:
	case !j.peer.RequireTLS:
		j.end(Refused, because(ReasonNoREQUIRETLS, "The message demands TLS on its whole way (REQUIRETLS), and %s does not offer to see to it further on.", j.h.label()))
	default:
		d.SendRequireTLS = true
	}
}

// connection notes what came of the connection.
func (j *judge) connection() {
	result := ""
	switch j.d.Event {
	case NoConnection:
		switch {
		case j.how.unconfirmed:
			result = "TLS started"
		case j.peer.Code != 0:
			result = "no mail is taken now"
		default:
			result = "no connection"
		}
	case NoSTARTTLS:
		result = "EHLO did not offer STARTTLS"
	case STARTTLSRefused:
		result = "STARTTLS was refused"
		if j.peer.Injected {
			result = "plain data behind the reply to STARTTLS"
		}
	case HandshakeFailed:
		result = "the TLS handshake failed"
		if j.peer.Event == HandshakeDone {
			result = "a version of TLS that does not count"
		}
	case HandshakeDone:
		result = "TLS established"
		if j.peer.TLS != "" {
			result = clip(j.peer.TLS) + " established"
		}
	default:
		result = "no connection"
	}
	s := Step{Step: StepConnection, Host: j.h.label(), Result: result + j.detail(), RFC: "3207 s.4"}
	if j.peer.Address.IsValid() {
		s.Name = j.peer.Address.String()
	}
	j.d.Why = append(make([]Step, 0, 4), s)
}

// detail is what the peer said, in brackets.
func (j *judge) detail() string {
	switch {
	case j.peer.Event == HandshakeDone && j.peer.outdated() && j.peer.TLS != "":
		return " (only " + clip(j.peer.TLS) + ")"
	case j.peer.Detail == "":
		return ""
	}
	return " (" + clip(j.peer.Detail) + ")"
}
