package proof

import (
	"bytes"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"strings"

	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/rfc6125"
)

// An NSEC3 is an NSEC with hashed names (RFC 5155 section 3).
type NSEC3 struct {
	Hash, Next [sha1.Size]byte // of the owner, and of the name that follows
	Flags      uint8
	Iterations uint16
	Salt       []byte
	Types      Types
}

// OptOut reports whether unsigned delegations may lie in the gap after the owner
// (RFC 5155 section 6).
func (n NSEC3) OptOut() bool { return n.Flags&1 != 0 }

var base32hex = base32.HexEncoding.WithPadding(base32.NoPadding)

// HashString prints a hash as owners have it: base32hex without padding, in lower
// case.
func HashString(h [sha1.Size]byte) string { return strings.ToLower(base32hex.EncodeToString(h[:])) }

// ParseNSEC3 reads the RDATA of an NSEC3 record of the zone. ok is false if it is
// malformed, its owner is not one label below the apex, its hash algorithm is
// unknown (RFC 5155 section 8.1) or its flags are (section 8.2).
func ParseNSEC3(zone, owner rfc6125.Name, data []byte) (n NSEC3, ok bool) {
	// NSEC3-5155-8.1-01: RFC 5155 section 8.1; NSEC3-5155-8.2-01: RFC 5155 section 8.2
	if len(data) < 5 || data[0] != 1 || data[1] > 1 || owner.Parent() != zone {
		return NSEC3{}, false
	}
	h, err := base32hex.DecodeString(strings.ToUpper(owner.Label(0)))
	if err != nil || len(h) != sha1.Size {
		return NSEC3{}, false
	}
	n.Hash = [sha1.Size]byte(h)
	n.Flags = data[1]
	n.Iterations = binary.BigEndian.Uint16(data[2:])
	salt, rest := int(data[4]), data[5:]
	if len(rest) < salt+1+sha1.Size || rest[salt] != sha1.Size {
		return NSEC3{}, false
	}
	n.Salt = rest[:salt]
	n.Next = [sha1.Size]byte(rest[salt+1:])
	n.Types, ok = ParseTypes(rest[salt+1+sha1.Size:])
	return n, ok
}

// HashName computes the NSEC3 hash of a name (RFC 5155 section 5): iterations+1
// rounds over the lower-case wire form. The caller bounds the iterations.
func HashName(name rfc6125.Name, iterations uint16, salt []byte) [sha1.Size]byte {
	buf := make([]byte, 0, 255+255)
	h := sha1.Sum(append(name.AppendWire(buf), salt...))
	for range iterations {
		buf = append(buf[:0], h[:]...)
		h = sha1.Sum(append(buf, salt...))
	}
	return h
}

// covers reports whether the hash falls into the gap after the owner's.
func (n *NSEC3) covers(h [sha1.Size]byte) bool {
	after := bytes.Compare(n.Hash[:], h[:]) < 0
	before := bytes.Compare(h[:], n.Next[:]) < 0
	if bytes.Compare(n.Hash[:], n.Next[:]) < 0 {
		return after && before
	}
	// The last record of the zone; with a single record its ends are equal.
	return after || before
}

// CoversName reports whether the record covers the hash of the name; it is for
// tables of facts, and takes no account of budgets.
func (n *NSEC3) CoversName(name rfc6125.Name) bool {
	return n.covers(HashName(name, n.Iterations, n.Salt))
}

// A hasher looks names up among the NSEC3 records of a zone, each name hashed
// once.
type hasher struct {
	records    []NSEC3
	iterations uint16
	salt       []byte
	budget     *Budget
	known      map[rfc6125.Name][sha1.Size]byte
}

// hasher returns one for the records; nil if they have too many iterations. RFC
// 5155 section 8.2 lets answers that mix parameters of one zone be refused, and we
// do.
func (r *Records) hasher(b *Budget) (*hasher, error) {
	first := &r.NSEC3[0]
	for i := range r.NSEC3 {
		n := &r.NSEC3[i]
		if n.Iterations != first.Iterations || !bytes.Equal(n.Salt, first.Salt) {
			return nil, errorf(ErrNotDenied, "NSEC3 records of %s with different parameters", r.Zone)
		}
	}
	if first.Iterations > r.MaxIterations {
		return nil, nil
	}
	return &hasher{r.NSEC3, first.Iterations, first.Salt, b, make(map[rfc6125.Name][sha1.Size]byte, 8)}, nil
}

func (h *hasher) hash(name rfc6125.Name) ([sha1.Size]byte, error) {
	if v, ok := h.known[name]; ok {
		return v, nil
	}
	if err := h.budget.hash(h.iterations, len(h.salt)); err != nil {
		return [sha1.Size]byte{}, err
	}
	v := HashName(name, h.iterations, h.salt)
	h.known[name] = v
	return v, nil
}

// match returns the record of the name, nil if there is none.
func (h *hasher) match(name rfc6125.Name) (*NSEC3, error) {
	v, err := h.hash(name)
	if err != nil {
		return nil, err
	}
	for i := range h.records {
		if h.records[i].Hash == v {
			return &h.records[i], nil
		}
	}
	return nil, nil
}

// cover returns a record that covers the name, nil if there is none. One without
// opt-out is preferred, since it proves more.
func (h *hasher) cover(name rfc6125.Name) (*NSEC3, error) {
	v, err := h.hash(name)
	if err != nil {
		return nil, err
	}
	var found *NSEC3
	for i := range h.records {
		if n := &h.records[i]; n.covers(v) && (found == nil || !n.OptOut()) {
			found = n
		}
	}
	return found, nil
}

// encloser is the closest encloser proof (RFC 5155 section 8.3): the longest
// ancestor of name that has a record, and the cover of the name one label longer.
func (h *hasher) encloser(zone, name rfc6125.Name) (encloser rfc6125.Name, next *NSEC3, err error) {
	closer := name
	for a := name.Parent(); a.IsValid() && a.IsSubdomainOf(zone); closer, a = a, a.Parent() {
		m, err := h.match(a)
		if err != nil {
			return rfc6125.Name{}, nil, err
		}
		if m == nil {
			continue
		}
		// The record must come from the right zone, and must not be overruled by a
		// DNAME (section 8.3, RFC 6840 section 4.1).
		if !m.Types.deniesBelow() { // NSEC3-5155-8.3-02: RFC 5155 section 8.3
			return rfc6125.Name{}, nil, errorf(ErrNotDenied, "%s is a zone cut or has a DNAME", a)
		}
		n, err := h.cover(closer) // NSEC3-5155-8.3-01: RFC 5155 section 8.3
		if err != nil {
			return rfc6125.Name{}, nil, err
		}
		if n == nil {
			return rfc6125.Name{}, nil, errorf(ErrNotDenied, "nothing covers %s", closer)
		}
		return a, n, nil
	}
	return rfc6125.Name{}, nil, errorf(ErrNotDenied, "no closest encloser of %s", name)
}

// denyNSEC3 is Deny by NSEC3 records (RFC 5155 sections 8.4 to 8.7, 8.9).
func (r *Records) denyNSEC3(name rfc6125.Name, typ uint16, b *Budget) (Denial, error) {
	h, err := r.hasher(b)
	if err != nil || h == nil {
		return Denial{Iterations: err == nil}, err
	}
	m, err := h.match(name)
	if err != nil {
		return Denial{}, err
	}
	if m != nil {
		if !m.Types.denies(typ, name.IsRoot()) { // NSEC3-5155-8.5-01: RFC 5155 section 8.5
			return Denial{}, errorf(ErrNotDenied, "the NSEC3 record of %s allows the type", name)
		}
		// NSEC3-5155-8.9-01: RFC 5155 section 8.9
		return Denial{Delegation: typ == wire.TypeDS && m.Types.delegation()}, nil
	}
	encloser, next, err := h.encloser(r.Zone, name)
	if err != nil {
		return Denial{}, err
	}
	out := Denial{OptOut: next.OptOut()}
	// NSEC3-5155-8.6-01: RFC 5155 section 8.6
	if out.OptOut && typ == wire.TypeDS {
		return out, nil // RFC 5155 section 8.6: no more is needed
	}
	wildcard, err := encloser.Child("*")
	if err != nil {
		out.NXDomain = true // such a wildcard would be longer than a name may be
		return out, nil
	}
	w, err := h.match(wildcard)
	if err != nil {
		return Denial{}, err
	}
	if w != nil {
		// NSEC3-5155-8.7-01: RFC 5155 section 8.7
		if w.Types.denies(typ, false) && !w.Types.delegation() {
			return out, nil
		}
		return Denial{}, errorf(ErrNotDenied, "%s has the type", wildcard)
	}
	c, err := h.cover(wildcard) // NSEC3-5155-8.4-01: RFC 5155 section 8.4
	if err != nil {
		return Denial{}, err
	}
	if c != nil {
		out.NXDomain = true
		// The denial of the wildcard is no weaker than that of the name: a wildcard
		// is never a delegation that opt-out leaves out, so its own span may have it.
		return out, nil
	}
	if out.OptOut {
		// RFC 5155 section 8.5 as corrected by erratum 3441: the name may be an empty
		// non-terminal above unsigned delegations.
		out.WildcardOpen = true
		return out, nil
	}
	return Denial{}, errorf(ErrNotDenied, "nothing covers %s", wildcard)
}
