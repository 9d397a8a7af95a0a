package engine

import (
	"errors"
	"slices"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

// A hostCase is what the rules for one host look at beside the host's own lookups.
type hostCase struct {
	r    *Request
	g    *gathered
	m    *recollection
	plan *Plan // under way, for reasons to point to
	self *Host // where the ruled host will be, for reasons to point to
}

func (c hostCase) reason(id ReasonID, ev Evidence) Reason {
	return c.g.reason(id, ev).in(c.plan).about(c.self)
}

// ruleHost is sections 4, 5, 6 and 9 of the table for one host whose lookups have
// ended. It returns the host with what was ruled.
func ruleHost(c hostCase, h Host) Host {
	if !h.usable() {
		return c.addressless(h)
	}
	if asked := c.g.asked == STSWasAsked || c.g.asked == STSLeft; asked && h.Name.IsValid() && c.g.sts.Policy != nil {
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
		h.Reason = c.reason(ReasonNoAddress, nil)
	case dane.AddressAlias:
		h.Unusable, h.Skipped = true, Refused
		h.Reason = c.reason(ReasonAliasRefused, nil)
	default:
		h.Skipped = Deferred // DANE7672-2.2.2-08: RFC 7672 section 2.2.2
		id, err := ReasonAddressFailed, firstError(d.A.Err, d.AAAA.Err)
		for _, e := range [...]error{d.AAAA.Err, d.A.Err} {
			if errors.Is(e, dnssec.ErrBudget) && id == ReasonAddressFailed {
				id, err = ReasonBudget, e
			}
			if errors.Is(e, dnssec.ErrBogus) {
				id, err = ReasonAddressBogus, e
			}
		}
		h.Reason = c.reason(id, &LookupFailed{Err: err})
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
func (c hostCase) ruled(h *Host, id ReasonID) Reason {
	switch id {
	case ReasonTLSALookupFailed:
		return c.tlsaFailure(h)
	case ReasonSTSNoMatch:
		return c.reason(id, c.patterns())
	case ReasonSTSStore:
		return c.reason(id, &PolicyUnknown{Err: c.g.sts.StoreErr})
	case ReasonSTSNoTurn:
		return c.reason(id, &PolicyUnknown{Err: c.g.sts.FetchErr})
	case ReasonSTSPending:
		return c.reason(id, &PolicyUnknown{Record: c.g.sts.TXTErr != nil || c.g.sts.Row == sts.S12})
	case ReasonNames:
		return c.reason(id, &ConfiguredNames{c.r.Options.Names})
	case ReasonTLSRequiredNo:
		if c.r.TLSRPTReport && !c.r.TLSRequiredNo {
			id = ReasonTLSRPTReport
		}
	case ReasonNoPolicy:
		if h.Literal.IsValid() {
			id = ReasonLiteral
		}
	}
	return c.reason(id, nil)
}

// patterns are those of the domain's policy.
func (c hostCase) patterns() *PolicyHosts {
	if c.g.sts.Policy == nil {
		return &PolicyHosts{}
	}
	return &PolicyHosts{c.g.sts.Policy.MX}
}

// noDANE says why DANE asks nothing (or not enough) of the host.
func noDANE(c hostCase, h *Host) NoDANE {
	d := &h.DANE
	switch {
	case h.Literal.IsValid():
		return NoDANELiteral
	case !c.r.Level.usesDANE():
		return NoDANELevel
	case c.g.mx.sec == mxInsecure && c.g.mx.viaMX && d.State != dane.Usable && c.r.Options.InsecureMX == InsecureMXMay:
		return NoDANEMXSkipped
	case c.g.mx.sec == mxInsecure && d.State >= dane.Unusable:
		return NoDANEMXInsecure
	case d.State == dane.Unusable:
		return NoDANEUnusable
	case d.State == dane.NA && skipsTLSA(c.r, c.g.mx.sec):
		return NoDANENotAsked
	case d.State == dane.NA:
		return NoDANEAddressInsecure
	case d.State == dane.None:
		return NoDANENoRecords
	}
	return NoDANEOther
}

// tlsaFailure is row T1, by what failed.
func (c hostCase) tlsaFailure(h *Host) Reason {
	id, owner, err := h.tlsaFailure()
	return c.reason(id, &LookupFailed{Owner: owner, Err: err})
}

// TLSAFailure returns the reason for which a lookup of the host's TLSA records failed.
func (h *Host) TLSAFailure() ReasonID {
	id, _, _ := h.tlsaFailure()
	return id
}

func (h *Host) tlsaFailure() (id ReasonID, owner rfc6125.Name, err error) {
	err = dnssec.ErrLookup
	for _, l := range h.DANE.TLSA {
		if l.Err != nil {
			owner, err = l.Answer.Question.Name, l.Err
		}
	}
	var le *dnssec.LookupError
	switch {
	case errors.As(err, &le) && le.Reason.Code == dnssec.ReasonNSEC3Iterations:
		id = ReasonTLSAUnproved
	case errors.Is(err, dnssec.ErrBudget):
		id = ReasonBudget
	case errors.Is(err, dnssec.ErrBogus):
		id = ReasonTLSABogus
	case errors.Is(err, dnssec.ErrTimeout), errors.Is(err, dnssec.ErrUnreachable):
		id = ReasonTLSATimeout
	default:
		id = ReasonTLSALookupFailed
	}
	return id, owner, err
}

// findings are what was seen of the host before connecting and decides nothing, for the
// report.
func (c hostCase) findings(h *Host, r ruling) (out []Reason) {
	if h.DANE.State == dane.Unusable && r.reason != ReasonTLSAUnusable {
		out = append(out, c.reason(ReasonTLSAUnusable, nil))
	}
	if s := factsOf(c.r, c.g, h).sts; (s == stsTesting || s == stsEnforce) && h.STSMatch == "" && h.Name.IsValid() &&
		r.reason != ReasonSTSNoMatch && r.waived != ReasonSTSNoMatch {
		out = append(out, c.reason(ReasonSTSNoMatch, c.patterns()))
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
		h.Requirement, h.Skipped, h.Ground = Skip, Deferred, GroundNone
		h.Reason = c.reason(ReasonMemoryUnknown, &MemoryUnread{Err: c.m.err, Hold: true})
		return h
	}
	for _, d := range c.m.drops {
		if d.Open(c.g.at) {
			h.Requirement, h.Skipped, h.Ground = Skip, Deferred, GroundNone
			h.Reason = c.reason(reasonOfDrop(&d), &Lost{Drop: d, Hold: d.Until})
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
	x := c.g.exceptions.find(c.g.next.host, h.Name, c.g.at)
	if x == nil {
		return h
	}
	h.Exception = x
	if h.Requirement != Skip || !x.covers(h.Reason.Policy) {
		return h
	}
	h.Waived, h.Ground = h.Reason, GroundException
	h.Report |= demanded(factsOf(c.r, c.g, &h))
	h.Requirement, h.Skipped = May, OutcomeNone
	if x.Effect == EffectEncrypt {
		h.Requirement = Encrypt
	}
	h.Reason = c.reason(ReasonException, &Overridden{Failed: h.Waived, Exception: x})
	return h
}
