package proof

import (
	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/rfc6125"
)

// An NSEC says which name follows its owner in the zone, and which types the owner
// has (RFC 4034 section 4).
type NSEC struct {
	Owner, Next rfc6125.Name
	Types       Types
}

// ParseNSEC reads the RDATA of an NSEC record. ok is false if it is malformed.
func ParseNSEC(owner rfc6125.Name, data []byte) (n NSEC, ok bool) {
	next, rest, err := wire.NameAt(data)
	if err != nil {
		return NSEC{}, false
	}
	t, ok := ParseTypes(rest)
	if !ok {
		return NSEC{}, false
	}
	return NSEC{owner, next, t}, true
}

// covers reports whether name falls into the gap after the owner, so that it has
// no records of its own. It is false where the record may not speak of name: it
// belongs to another zone, or its owner is a cut or has a DNAME above name.
func (n NSEC) covers(zone, name rfc6125.Name) bool {
	if !n.Owner.IsSubdomainOf(zone) || !n.Next.IsSubdomainOf(zone) || !name.IsSubdomainOf(zone) {
		return false
	}
	if n.Owner.Compare(name) >= 0 {
		return false
	}
	// The last record of a zone points to the apex; no other points back.
	if n.Next != zone && (n.Next.Compare(n.Owner) <= 0 || n.Next.Compare(name) <= 0) {
		return false
	}
	// DNSSEC6840-4.1-01: RFC 6840 section 4.1; DNSSEC6840-4.1-02: RFC 6840 section 4.1
	return !name.IsSubdomainOf(n.Owner) || n.Types.deniesBelow()
}

// encloser is the closest ancestor of name that exists, given that n covers name:
// the longest one that it shares with either end of the gap.
func (n NSEC) encloser(name rfc6125.Name) rfc6125.Name {
	for a := name.Parent(); a.IsValid(); a = a.Parent() {
		if n.Owner.IsSubdomainOf(a) || n.Next.IsSubdomainOf(a) {
			return a
		}
	}
	return rfc6125.RootName()
}

// denyNSEC is Deny by NSEC records (RFC 4035 section 5.4).
func (r *Records) denyNSEC(name rfc6125.Name, typ uint16) (Denial, bool) {
	for _, n := range r.NSEC {
		if n.Owner == name {
			if !n.Owner.IsSubdomainOf(r.Zone) || !n.Types.denies(typ, name.IsRoot()) {
				continue
			}
			return Denial{Delegation: typ == wire.TypeDS && n.Types.delegation()}, true
		}
	}
	for _, n := range r.NSEC {
		if !n.covers(r.Zone, name) {
			continue
		}
		if n.Next.IsSubdomainOf(name) {
			return Denial{}, true // an empty non-terminal
		}
		encloser := n.encloser(name)
		wildcard, err := encloser.Child("*")
		if err != nil {
			// A wildcard here would be longer than a name may be.
			return Denial{NXDomain: true}, true
		}
		for _, w := range r.NSEC {
			switch {
			case w.Owner == wildcard:
				if w.Types.denies(typ, false) && !w.Types.delegation() {
					return Denial{}, true
				}
			case w.covers(r.Zone, wildcard):
				// An asterisk that is an empty non-terminal still matches the name
				// (RFC 4592 section 2.2.3), without any type.
				return Denial{NXDomain: !w.Next.IsSubdomainOf(wildcard)}, true
			}
		}
	}
	return Denial{}, false
}
