package mtapolicy

import (
	"errors"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/reason"
)

// A state says what the plan does with a host. The zero state is held.
type state uint8

const (
	held   state = iota // not now: a lookup failed, or this machine waits
	open                // may be used; the requirement says what it must prove
	barred              // a policy or an option forbids it
	absent              // it has no address
)

// A hold says why a host is held.
type hold uint8

const (
	holdOurs    hold = iota // a reason that the mail server does not share
	holdAddress             // the address lookup failed: the mail server finds no address either
	holdTLSA                // the TLSA lookup failed: the mail server's own lookup fails as well
)

// A host is one host of the plan as this package sees it.
type host struct {
	*engine.Host
	state   state
	hold    hold // if held
	lowered bool // an exception lowered it; state is what it was without
}

// label is the host's name, or "" for an address literal.
func (h *host) label() string {
	if h.Name.IsValid() {
		return h.Name.String()
	}
	return ""
}

// needs reports whether the host is open and one of the parts is required of it.
func (h *host) needs(parts engine.Requirement) bool {
	return h.state == open && h.Requirement&parts != 0
}

// tlsaPossible reports whether the mail server may find TLSA records for a host that the
// plan excludes: they are there, the lookup failed here, or nothing was looked up.
func (h *host) tlsaPossible() bool {
	switch h.state {
	case barred:
		return h.DANE.State == dane.Usable || h.DANE.State == dane.NA || h.DANE.Address == dane.AddressAlias
	case held:
		return h.hold == holdOurs && (h.DANE.State == dane.Usable || h.DANE.State == dane.Failed || h.DANE.State == dane.NA)
	}
	return false
}

// read sorts the hosts of a plan.
func read(p *engine.Plan) []host {
	hosts := make([]host, len(p.Hosts))
	for i := range p.Hosts {
		h := host{Host: &p.Hosts[i]}
		switch {
		case h.Unusable && h.DANE.Address == dane.AddressAlias:
			h.state = barred // mx-alias = refuse
		case h.Unusable:
			h.state = absent
		case h.Reason.ID == reason.Audit:
			h.state = barred // audit mode lowered it
		case h.Requirement != engine.Skip && h.Exception != nil && !h.Waived.IsZero():
			h.lowered = true
			h.state, h.hold = held, holdOurs
			if !waits(h.Waived.ID) {
				h.state = barred
			} else {
				h.hold = holdOf(h.Host, h.Waived.ID)
			}
		case h.Requirement != engine.Skip && (h.Literal.IsValid() || len(h.Addresses) > 0):
			h.state = open
		case h.Requirement != engine.Skip:
			h.state = absent
		case h.Skipped == engine.Refused:
			h.state = barred
		default:
			h.state, h.hold = held, holdOf(h.Host, h.Reason.ID)
		}
		hosts[i] = h
	}
	return hosts
}

// waits reports whether a host with this reason waits, rather than being forbidden.
func waits(id reason.ID) bool {
	switch id {
	case reason.STSNoMatch, reason.NoMethod, reason.AliasRefused, reason.RequireTLSMX, reason.RequireTLSLiteral:
		return false
	}
	return true
}

// holdOf sorts the causes of a hold. A cause that is not known to be shared is ours alone.
func holdOf(h *engine.Host, id reason.ID) hold {
	switch id {
	case reason.AddressBogus, reason.AddressFailed:
		if shared(h.DANE.A.Err) && shared(h.DANE.AAAA.Err) {
			return holdAddress
		}
	case reason.TLSABogus, reason.TLSALookupFailed, reason.TLSATimeout:
		failed := false
		for _, l := range h.DANE.TLSA {
			if l.Err != nil {
				failed = true
				if !shared(l.Err) {
					return holdOurs
				}
			}
		}
		if failed {
			return holdTLSA
		}
	}
	return holdOurs
}

// shared reports whether a failed lookup fails in the mail server's resolver too. The
// validity dates of signatures are not: resolvers allow for a clock that is off, and we
// do not. Limits of this program are not either.
func shared(err error) bool {
	if err == nil {
		return true
	}
	var le *dnssec.LookupError
	if !errors.As(err, &le) {
		return false
	}
	switch le.Reason.Code {
	case dnssec.ReasonTimeout, dnssec.ReasonServFail, dnssec.ReasonUpstreamBogus,
		dnssec.ReasonSignatureMissing, dnssec.ReasonSignatureInvalid, dnssec.ReasonSignatureKey,
		dnssec.ReasonSignatureSigner, dnssec.ReasonSignatureLabels, dnssec.ReasonKeysMissing,
		dnssec.ReasonNoKeyForDS, dnssec.ReasonDenialMissing, dnssec.ReasonDenialInvalid,
		dnssec.ReasonAliasLoop, dnssec.ReasonAliasForged, dnssec.ReasonWildcard:
		return true
	}
	return false
}
