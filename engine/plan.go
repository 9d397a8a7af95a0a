package engine

import (
	"net/netip"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine/exception"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/internal/literal"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
	"github.com/mxauth/mxauth/tlsrpt"
)

// hostLookups bounds the hosts of one plan that are looked up at the same time: all of
// them, so that some whose servers are silent do not hold up the others. How many
// questions are under way is bounded by the budget of the plan.
const hostLookups = MaxHosts

// minValid is how long a plan may be decided by at least, from when it is complete and
// however soon the TTLs of what it rests on end: an answer whose TTL has ended may be used
// for the transaction in progress (RFC 1035 section 3.2.1), and connecting takes its time.
// It does not hold for ends of signatures and of cached policies, and no plan is kept in
// the cache for it.
const minValid = time.Minute

// askAgainAfter is how long a plan must have been in the making for answers that have
// ended meanwhile to be asked for again. TTLs are whole seconds.
const askAgainAfter = time.Second

// An MXState is the row M1 to M10 that the next hop came to.
type MXState struct {
	Row     string        // "M9"
	Status  dnssec.Status // of chain and MX (mxsec), Indeterminate where none
	Outcome Outcome       // OutcomeNone where there are hosts; else Bounced or Deferred
	Reason  Reason

	// Lookup is the answer for the MX records; zero where none were asked for.
	Lookup dane.Lookup
	// Records is the row that the records alone came to: Row, unless the addresses showed
	// that the best host is this server.
	Records string
	// Listed are the first hosts that the records name, in order, before this server's own
	// were dropped; More counts the others.
	Listed []MXHost
	More   int
	Unused []reason.UnusedMX
}

// An MXHost is a host with its preference.
type MXHost struct {
	Name       rfc6125.Host
	Preference uint16
}

// maxListed is how many hosts MXState.Listed holds: as many as a person reads.
const maxListed = 8

// A Plan is what must hold for each host, known before connecting. It is immutable.
type Plan struct {
	Request  Request
	Orig     rfc6125.Host // the next-hop as given; zero for a literal
	Exp      rfc6125.Name // after its CNAMEs
	MX       MXState
	STS      sts.Result
	STSAsked reason.STSAsked
	Hosts    []Host // in the order to try
	// Findings are failures that concern the domain whatever its hosts do, for the
	// report: a policy that cannot be fetched, a record that is gone.
	Findings []Reason
	// Past is what the domain once proved, with what this plan adds to it; nil if nothing
	// is remembered ([Config].Memory). Drops are what it has lost since. PastErr is why it
	// is not known what the domain once proved.
	Past    *memory.Past
	PastErr error
	Drops   []memory.Drop
	// ValidUntil is the earliest end of what the plan rests on, but not sooner than
	// a minute after it was complete unless a signature or a cached policy ends; after
	// it a decision is Deferred (plan again).
	ValidUntil time.Time
	Made       time.Time // when it was begun

	ends   time.Time // the earliest end as it is; how long the plan cache keeps it
	steady bool      // nothing failed and nothing is pending: the cache may keep it
	ties   bool      // two hosts share a preference: their order is drawn again each time
}

// A Host is one MX host of a plan.
type Host struct {
	Name        rfc6125.Host // zero for an address literal
	Literal     netip.Addr
	Preference  uint16
	Port        uint16
	Addresses   []netip.Addr
	Requirement Requirement
	// Skipped is Refused or Deferred where Requirement is Skip (or the host is
	// unusable), else OutcomeNone.
	Skipped Outcome
	// Unusable says that the host has no address, or is an alias that the options
	// refuse (rows A3, A4): no policy had a part in it.
	Unusable bool
	Reason   Reason // why this requirement
	Row      string // of the decision table, sections 2 to 5
	SNI      string // "" for a literal
	DANE     dane.Host
	// References of DANE-TA, of the STS check, and of pkix (section 6).
	DANERefs, STSRefs, PKIXRefs []rfc6125.Reference
	STSMatch                    string // the pattern that matched; "" if none
	// Report are parts that are evaluated for the report and demand nothing: a policy
	// of mode testing, MTA-STS where DANE decides, everything under TLS-Required: No.
	Report Requirement
	// Strict is what must hold to send with the REQUIRETLS parameter; Skip where that
	// is not asked or cannot be (section 9).
	Strict Requirement
	// NoDANE and NoSTS say what keeps DANE and MTA-STS from asking for more, where they do
	// not; Ground, why nothing is demanded.
	NoDANE reason.NoDANE
	NoSTS  reason.NoSTS
	Ground reason.Ground
	// Waived is the reason for which the host would be skipped, had not audit mode or
	// the message's own wish let it go; zero if none.
	Waived Reason
	// Exception is the operator's exception for this host, whether it is needed or not; nil
	// if there is none.
	Exception *exception.Exception
	// Findings are failures seen before connecting, for the report.
	Findings []Reason
}

// String returns the name of the host, or its address as SMTP writes it: "[192.0.2.1]",
// "[IPv6:2001:db8::1]" (RFC 5321 section 4.1.3).
func (h *Host) String() string {
	if h.Literal.IsValid() {
		return literal.String(h.Literal)
	}
	return h.Name.String()
}

// usable reports whether there is a host to connect to: its addresses are known.
func (h *Host) usable() bool {
	return h.Literal.IsValid() || h.DANE.Address == dane.AddressOK
}

// A Reason says which rule decided, and what the rule saw. It holds no words: package
// engine/explain makes them. The zero Reason says nothing.
type Reason struct {
	ID reason.ID `json:"id,omitempty"`
	// Policy is the type of the RFC 8460 policy entry that the reason belongs to: that of
	// the ID, or of the policy that failed where the ID is about any.
	Policy tlsrpt.PolicyType `json:"policy,omitempty"`
	Domain rfc6125.Host      `json:"domain,omitzero"` // the next hop; zero for an address literal
	Host   *Host             `json:"-"`               // the MX host, as the plan has it; nil where the reason is about the next hop
	// Plan is the plan that the reason is of, with what was looked up for the next hop; nil
	// in a reason that belongs to none.
	Plan *Plan `json:"-"`
	// Evidence is what the rule saw beyond the lookups of plan and host; nil where there
	// is nothing more.
	Evidence reason.Evidence `json:"-"`
}

// IsZero reports whether r says nothing.
func (r Reason) IsZero() bool { return r.ID == "" }

// Overridden is a failure that audit mode or an exception lets pass.
type Overridden struct {
	Failed    Reason
	Exception *exception.Exception // nil: audit mode
	Outcome   Outcome              // of the connection; OutcomeNone in a plan
}

// Underlying is the reason that another one wraps: of the connection that a message's own wish
// lets pass, or of the host that the whole message depends on.
type Underlying struct {
	Reason Reason
	// Of the decision that has the reason.
	Outcome           Outcome
	DemandsREQUIRETLS bool
}

// NoTLS is a connection that came to no TLS session.
type NoTLS struct {
	Peer Peer
	Part Requirement // the part of the requirement that needs TLS; Skip where none does
}

// IsEvidence marks the type.
func (*Overridden) IsEvidence() {}

// IsEvidence marks the type.
func (*Underlying) IsEvidence() {}

// IsEvidence marks the type.
func (*NoTLS) IsEvidence() {}

// reasonOf makes the reason of a rule about a next hop.
func reasonOf(id reason.ID, domain rfc6125.Host, ev reason.Evidence) Reason {
	return Reason{ID: id, Policy: id.Policy(), Domain: domain, Evidence: ev}
}

// in returns r for a plan, which may be under way.
func (r Reason) in(p *Plan) Reason {
	r.Plan = p
	return r
}

// about returns r for an MX host.
func (r Reason) about(h *Host) Reason {
	r.Host = h
	return r
}

// of returns r for another policy entry of the report.
func (r Reason) of(p tlsrpt.PolicyType) Reason {
	r.Policy = p
	return r
}

// reason makes a reason about the next hop, which a literal is by its only host.
func (p *Plan) reason(id reason.ID, ev reason.Evidence) Reason {
	r := reasonOf(id, p.Orig, ev).in(p)
	if !p.Orig.IsValid() && len(p.Hosts) > 0 {
		r.Host = &p.Hosts[0]
	}
	return r
}
