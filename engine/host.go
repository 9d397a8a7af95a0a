package engine

import (
	"errors"
	"slices"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine/exception"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

// A hostCase is what the rules for one host look at in addition to the host's own lookups.
type hostCase struct {
	r    *Request
	g    *gatheredFacts
	m    *recollection
	plan *Plan // under way, for reasons to point to
	self *Host // where the ruled host will be, for reasons to point to
}

func (c hostCase) reason(id reason.ID, ev reason.Evidence) Reason {
	return c.g.reason(id, ev).in(c.plan).about(c.self)
}

// ruleHost is sections 4, 5, 6 and 9 of the table for one host whose lookups have
// ended. It returns the host with what was ruled.
func ruleHost(c hostCase, h Host) Host {
	if !h.usable() {
		return c.addressless(h)
	}
	if asked := c.g.asked == reason.STSWasAsked || c.g.asked == reason.STSLeft; asked && h.Name.IsValid() && c.g.sts.Policy != nil {
		// The name in the MX record counts, never an alias target (RFC 8461 section
		// 4.1). For an implicit MX that is the domain itself.
		if p, ok := c.g.sts.Policy.Match(h.Name); ok {
			h.STSMatch = p.String()
		}
	}
	h.NoDANE, h.NoSTS = noDANE(c, &h), noSTS(c.g)
	r := combine(factsOf(c.r, c.g, &h))
	h.Requirement, h.Skipped, h.Row = r.requirement, r.skipped, r.row
	h.Report, h.Strict, h.Ground = r.report, r.strict, r.ground
	h.Reason = c.ruled(&h, r.reason)
	if r.waived != "" {
		h.Waived = c.ruled(&h, r.waived)
	}
	h.Findings = c.findings(&h, r)
	// SID9525-6.1.1-01: RFC 9525 section 6.1.1
	h.SNI, h.DANERefs, h.STSRefs, h.PKIXRefs = identities(c, &h)
	return c.excepted(c.held(h))
}

// addressless is rows A1, A3 and A4.
func (c hostCase) addressless(h Host) Host {
	d := &h.DANE
	h.Requirement, h.Row = Skip, d.Row
	switch d.Address {
	case dane.AddressNone:
		h.Unusable, h.Skipped = true, Refused
		h.Reason = c.reason(reason.NoAddress, nil)
	case dane.AddressAlias:
		h.Unusable, h.Skipped = true, Refused
		h.Reason = c.reason(reason.AliasRefused, nil)
	default:
		h.Skipped = Deferred // DANE7672-2.2.2-08: RFC 7672 section 2.2.2
		id, err := reason.AddressFailed, firstError(d.A.Err, d.AAAA.Err)
		for _, e := range [...]error{d.AAAA.Err, d.A.Err} {
			if errors.Is(e, dnssec.ErrBudget) && id == reason.AddressFailed {
				id, err = reason.Budget, e
			}
			if errors.Is(e, dnssec.ErrBogus) {
				id, err = reason.AddressBogus, e
			}
		}
		h.Reason = c.reason(id, &reason.LookupFailed{Err: err})
	}
	if h.Unusable && c.r.Options.NoAddressDefer {
		// O6: a denial that is not signed can be forged; the operator prefers to wait.
		h.Skipped = Deferred
	}
	return h
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return dnssec.ErrLookup
}

// ruled makes the reason of a ruling on a usable host.
func (c hostCase) ruled(h *Host, id reason.ID) Reason {
	switch id {
	case reason.TLSALookupFailed:
		return c.tlsaFailure(h)
	case reason.STSNoMatch:
		return c.reason(id, c.patterns())
	case reason.STSStore:
		return c.reason(id, &reason.PolicyUnknown{Err: c.g.sts.StoreErr})
	case reason.STSNoTurn:
		return c.reason(id, &reason.PolicyUnknown{Err: c.g.sts.FetchErr})
	case reason.STSPending:
		return c.reason(id, &reason.PolicyUnknown{Record: c.g.sts.TXTErr != nil || c.g.sts.Row == sts.S12})
	case reason.Names:
		return c.reason(id, &reason.ConfiguredNames{Names: c.r.Options.Names})
	case reason.TLSRequiredNo:
		if c.r.TLSRPTReport && !c.r.TLSRequiredNo {
			id = reason.TLSRPTReport
		}
	case reason.NoPolicy:
		if h.Literal.IsValid() {
			id = reason.Literal
		}
	}
	return c.reason(id, nil)
}

// patterns are those of the domain's policy.
func (c hostCase) patterns() *reason.PolicyHosts {
	if c.g.sts.Policy == nil {
		return &reason.PolicyHosts{}
	}
	return &reason.PolicyHosts{Patterns: c.g.sts.Policy.MX}
}

// noDANE says why DANE asks nothing (or not enough) of the host.
func noDANE(c hostCase, h *Host) reason.NoDANE {
	d := &h.DANE
	switch {
	case h.Literal.IsValid():
		return reason.NoDANELiteral
	case !c.r.Level.usesDANE():
		return reason.NoDANELevel
	case c.g.mx.sec == mxInsecure && c.g.mx.viaMX && d.State != dane.Usable && c.r.Options.InsecureMX == InsecureMXMay:
		return reason.NoDANEMXSkipped
	case c.g.mx.sec == mxInsecure && d.State >= dane.Unusable:
		return reason.NoDANEMXInsecure
	case d.State == dane.Unusable:
		return reason.NoDANEUnusable
	case d.State == dane.NA && skipsTLSA(c.r, c.g.mx.sec):
		return reason.NoDANENotAsked
	case d.State == dane.NA:
		return reason.NoDANEAddressInsecure
	case d.State == dane.None:
		return reason.NoDANENoRecords
	}
	return reason.NoDANEOther
}

// tlsaFailure is row T1, by what failed.
func (c hostCase) tlsaFailure(h *Host) Reason {
	id, owner, err := h.tlsaFailure()
	return c.reason(id, &reason.LookupFailed{Owner: owner, Err: err})
}

// TLSAFailure returns the reason for which a lookup of the host's TLSA records failed.
func (h *Host) TLSAFailure() reason.ID {
	id, _, _ := h.tlsaFailure()
	return id
}

func (h *Host) tlsaFailure() (id reason.ID, owner rfc6125.Name, err error) {
	err = dnssec.ErrLookup
	for _, l := range h.DANE.TLSA {
		if l.Err != nil {
			owner, err = l.Answer.Question.Name, l.Err
		}
	}
	var le *dnssec.LookupError
	switch {
	case errors.As(err, &le) && le.Reason.Code == dnssec.ReasonNSEC3Iterations:
		id = reason.TLSAUnproved
	case errors.Is(err, dnssec.ErrBudget):
		id = reason.Budget
	case errors.Is(err, dnssec.ErrBogus):
		id = reason.TLSABogus
	case errors.Is(err, dnssec.ErrTimeout), errors.Is(err, dnssec.ErrUnreachable):
		id = reason.TLSATimeout
	default:
		id = reason.TLSALookupFailed
	}
	return id, owner, err
}

// findings are what was seen of the host before connecting and decides nothing, for the
// report.
func (c hostCase) findings(h *Host, r demand) (out []Reason) {
	if h.DANE.State == dane.Unusable && r.reason != reason.TLSAUnusable {
		out = append(out, c.reason(reason.TLSAUnusable, nil))
	}
	if s := factsOf(c.r, c.g, h).sts; (s == stsTesting || s == stsEnforce) && h.STSMatch == "" && h.Name.IsValid() &&
		r.reason != reason.STSNoMatch && r.waived != reason.STSNoMatch {
		out = append(out, c.reason(reason.STSNoMatch, c.patterns()))
	}
	return out
}

// identities is section 6: the name for SNI, and the names that count for each method.
func identities(c hostCase, h *Host) (sni string, daneRefs, stsRefs, pkixRefs []rfc6125.Reference) {
	judged := h.Requirement | h.Report | h.Strict
	base, names := h.DANE.Base, c.r.Options.Names
	sni = h.Name.String() // STS-7.1-01: RFC 8461 section 7.1
	switch {
	case base.IsValid() && (judged&tlsa != 0 || h.Requirement == Encrypt):
		// RFC 7672 section 8.1, also where MTA-STS would name the MX host.
		sni = base.String() // DANE7672-8.1-01: RFC 7672 section 8.1
	case (h.Requirement | h.Strict).Has(PKIX) && !h.Requirement.Has(STS) && len(names) > 0:
		sni = names[0].String()
	}
	if judged&tlsa != 0 && h.DANE.Set.HasUsage(dane.DANETA) {
		daneRefs = referencesOfDANE(c, base)
	}
	if judged.Has(STS) {
		stsRefs = []rfc6125.Reference{rfc6125.NewReference(h.Name)}
	}
	if judged.Has(PKIX) {
		for _, n := range names {
			pkixRefs = append(pkixRefs, rfc6125.NewReference(n))
		}
		if len(pkixRefs) == 0 && h.Name.IsValid() { // REQTLS-4.2.1-01: RFC 8689 section 4.2.1
			pkixRefs = []rfc6125.Reference{rfc6125.NewReference(h.Name)}
		}
	}
	return sni, daneRefs, stsRefs, pkixRefs
}

// referencesOfDANE are the names of which DANE-TA must prove one (RFC 7672 section
// 3.2.2), the TLSA base domain first.
func referencesOfDANE(c hostCase, base rfc6125.Host) []rfc6125.Reference {
	orig := c.g.next.host
	names := []rfc6125.Host{base} // DANE7671-7-01: RFC 7671 section 7
	switch {
	// SID9525-6.1.1-02: RFC 9525 section 6.1.1
	case c.g.mx.sec != mxSecure:
		// The next hop was not the one who chose this host, as far as is proven: its
		// names do not count.
	case c.g.mx.viaMX:
		names = append(names, orig) // DANE7672-3.2.2-02: RFC 7672 section 3.2.2
		if exp, err := rfc6125.HostFromName(c.g.mx.exp); err == nil {
			names = append(names, exp)
		}
	default:
		// No MX was used: the host is the next hop, and the base domain may be its
		// expansion.
		names = append(names, orig) // DANE7672-3.2.2-04: RFC 7672 section 3.2.2
	}
	var refs []rfc6125.Reference
	for _, n := range names {
		if r := rfc6125.NewReference(n); !slices.Contains(refs, r) {
			refs = append(refs, r)
		}
	}
	return refs
}

// held keeps mail from a host while a drop of its domain is open, if the host need not
// prove itself now.
//
// It does the same while it is not known whether there is a drop, unless an entry is
// damaged: that would last until somebody repairs it.
func (c hostCase) held(h Host) Host {
	if c.g.memory.Action != memory.Defer || h.Requirement == Skip || h.Requirement&(DANE|STS|PKIX) != 0 || c.r.unheld() {
		return h
	}
	if c.m.unknown && !errors.Is(c.m.err, store.ErrDamaged) {
		h.Requirement, h.Skipped, h.Ground = Skip, Deferred, reason.GroundNone
		h.Reason = c.reason(reason.MemoryUnknown, &reason.MemoryUnread{Err: c.m.err, Hold: true})
		return h
	}
	for _, d := range c.m.drops {
		if d.Open(c.g.at) {
			h.Requirement, h.Skipped, h.Ground = Skip, Deferred, reason.GroundNone
			h.Reason = c.reason(reasonOfDrop(&d), &reason.Lost{Drop: d, Hold: d.Until})
			return h
		}
	}
	return h
}

// excepted looks for an exception for a host whose requirement is ruled, and lowers what
// would keep the host from being used at all. A failed lookup of addresses leaves no host
// to go to, so nothing is lowered there.
func (c hostCase) excepted(h Host) Host {
	if c.r.RequireTLS || h.Requirement == May {
		return h
	}
	x := c.g.exceptions.Find(c.g.next.host, h.Name, c.g.at)
	if x == nil {
		return h
	}
	h.Exception = x
	if h.Requirement != Skip || !x.Covers(h.Reason.Policy) {
		return h
	}
	h.Waived, h.Ground = h.Reason, reason.GroundException
	h.Report |= demanded(factsOf(c.r, c.g, &h))
	h.Requirement, h.Skipped = May, OutcomeNone
	if x.Effect == exception.EffectEncrypt {
		h.Requirement = Encrypt
	}
	h.Reason = c.reason(reason.Exception, &Overridden{Failed: h.Waived, Exception: x})
	return h
}
