package proof

import "github.com/mxauth/mxauth/dnssec/wire"

// Types is the type bit map of an NSEC or NSEC3 record (RFC 4034 section 4.1.2).
type Types []byte

// ParseTypes reads a bit map that fills b. ok is false if its windows are cut off,
// of a forbidden length or out of order.
func ParseTypes(b []byte) (t Types, ok bool) {
	last := -1
	for rest := b; len(rest) > 0; {
		if len(rest) < 2 || int(rest[0]) <= last || rest[1] == 0 || rest[1] > 32 || len(rest) < 2+int(rest[1]) {
			return nil, false
		}
		last = int(rest[0])
		rest = rest[2+int(rest[1]):]
	}
	return Types(b), true
}

// Has reports whether the type is in the map. Octets that are missing count as
// zero. Pseudo-types and type 0, which are never data, are ignored (RFC 4034
// section 4.1.2, RFC 5155 section 3.2.1).
func (t Types) Has(typ uint16) bool {
	// DNSSEC4034-4.1.2-01: RFC 4034 section 4.1.2; NSEC3-5155-3.2.1-01: RFC 5155 section 3.2.1
	if typ == 0 || typ == wire.TypeOPT || (typ >= 128 && typ <= 255) {
		return false
	}
	for len(t) >= 2 {
		n := int(t[1])
		if t[0] == byte(typ>>8) {
			i := int(typ&0xff) >> 3
			return i < n && 2+i < len(t) && t[2+i]&(0x80>>(typ&7)) != 0
		}
		if len(t) < 2+n {
			return false
		}
		t = t[2+n:]
	}
	return false
}

// delegation reports whether the owner is a zone cut seen from above: NS without
// SOA (RFC 6840 section 4.1).
func (t Types) delegation() bool { return t.Has(wire.TypeNS) && !t.Has(wire.TypeSOA) }

// deniesBelow reports whether the record may deny names below its owner: it is no
// delegation and has no DNAME (RFC 6840 section 4.1).
func (t Types) deniesBelow() bool { return !t.delegation() && !t.Has(wire.TypeDNAME) }

// denies reports whether the record, whose owner is the name asked for, proves
// that there is no typ and nothing that would replace it.
func (t Types) denies(typ uint16, root bool) bool {
	// RFC 6840 section 4.3: a CNAME would have been the answer.
	// DNSSEC6840-4.3-01: RFC 6840 section 4.3; DNSSEC4035-5.4-04: RFC 4035 section 5.4
	if t.Has(typ) || t.Has(wire.TypeCNAME) {
		return false
	}
	if typ == wire.TypeDS {
		// RFC 4035 section 5.2: the parent's record. That with SOA is the child's;
		// only the root has no parent.
		return root || !t.Has(wire.TypeSOA) // DNSSEC4035-5.2-03: RFC 4035 section 5.2
	}
	// RFC 6840 section 4.1: the parent's record says nothing else about the child.
	return !t.delegation()
}
