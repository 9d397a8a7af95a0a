package replay

import (
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// judge says what kind of answer e is to the question.
func (e *entry) judge(name string, typ uint16) int {
	if e.raw != nil {
		return isAnswer
	}
	switch e.rcode {
	case dns.RcodeSuccess, dns.RcodeNameError, dns.RcodeYXDomain:
	default:
		return isFailure
	}
	for _, rr := range e.answer {
		h := rr.Header()
		owner := dns.CanonicalName(h.Name)
		if owner == name && (h.Rrtype == typ || h.Rrtype == dns.TypeCNAME || typ == dns.TypeANY) {
			return isAnswer
		}
		if h.Rrtype == dns.TypeDNAME && owner != name && dns.IsSubDomain(owner, name) {
			return isAnswer
		}
	}
	soa, ns, denial := "", "", false
	for _, rr := range e.authority {
		switch h := rr.Header(); h.Rrtype {
		case dns.TypeSOA:
			soa = dns.CanonicalName(h.Name)
		case dns.TypeNS:
			ns = dns.CanonicalName(h.Name)
		case dns.TypeNSEC, dns.TypeNSEC3:
			denial = true
		}
	}
	switch {
	case typ == dns.TypeDS && soa == name && name != ".":
		return isChild
	case soa != "":
		return isDenial
	case ns != "" && len(e.answer) == 0 && e.rcode == dns.RcodeSuccess && (ns != name || typ == dns.TypeDS || !denial):
		return isUseless
	case denial, e.rcode == dns.RcodeNameError:
		return isDenial
	case len(e.answer) > 0:
		return isJunk
	}
	return isEmpty
}

// refers reports whether e is a referral to the zone that says whether it has a DS.
func (e *entry) refers(zone string) bool {
	if e.rcode != dns.RcodeSuccess || len(e.answer) > 0 {
		return false
	}
	ns, proof := false, false
	for _, rr := range e.authority {
		switch rr := rr.(type) {
		case *dns.NS:
			ns = ns || dns.CanonicalName(rr.Hdr.Name) == zone
		case *dns.DS:
			proof = proof || dns.CanonicalName(rr.Hdr.Name) == zone
		case *dns.NSEC, *dns.NSEC3:
			proof = true
		case *dns.SOA:
			return false
		}
	}
	return ns && proof
}

// fromReferral makes the answer to a DS question of a referral.
func (e *entry) fromReferral(zone string) entry {
	out := entry{rcode: dns.RcodeSuccess}
	for _, rr := range e.authority {
		covered := rr.Header().Rrtype
		if s, ok := rr.(*dns.RRSIG); ok {
			covered = s.TypeCovered
		}
		switch covered {
		case dns.TypeDS:
			if dns.CanonicalName(rr.Header().Name) == zone {
				out.answer = append(out.answer, rr)
			}
		case dns.TypeNSEC, dns.TypeNSEC3:
			out.authority = append(out.authority, rr)
		}
	}
	return out
}

// scrub leaves out what a recursive server does not pass on: records that the server
// of the zone has no business to give.
func (e *entry) scrub(zone string) entry {
	out := *e
	out.answer = nil
	for _, rr := range e.answer {
		if zone == "" || dns.IsSubDomain(zone, dns.CanonicalName(rr.Header().Name)) {
			out.answer = append(out.answer, rr)
		}
	}
	// Signatures go where their RRset is, wherever the server has put them.
	for _, section := range [][]dns.RR{e.authority, e.additional} {
		for _, rr := range section {
			if s, ok := rr.(*dns.RRSIG); ok && slices.ContainsFunc(out.answer, func(rr dns.RR) bool {
				return rr.Header().Rrtype == s.TypeCovered && strings.EqualFold(rr.Header().Name, s.Hdr.Name)
			}) {
				out.answer = append(out.answer, s)
			}
		}
	}
	return out
}
