package proof

import (
	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/rfc6125"
)

// A Denial says what the NSEC or NSEC3 records of one zone prove of a name. The zero
// Denial proves nothing.
type Denial struct {
	// NXDomain: the name does not exist and no wildcard matches it. Otherwise
	// it, or the wildcard, exists without the type.
	NXDomain bool
	// Delegation: the name is a zone cut without DS records (RFC 6840 section
	// 4.4), so what is below it is unsigned.
	Delegation bool
	// OptOut: the proof rests on a span that leaves out unsigned delegations
	// (RFC 5155 section 6), so the name may be one, or lie below one. Nothing that
	// rests on it is secure (section 9.2).
	OptOut bool
	// WildcardOpen, only with OptOut: that no wildcard matches the name is not
	// proved. It does for a name said to exist without the type (erratum 3441 of RFC
	// 5155 section 8.5), not for one said not to exist.
	WildcardOpen bool
	// Iterations: the records have more iterations than are computed; they were
	// not looked at (RFC 9276 section 3.2). The zone's denials count as unsigned.
	Iterations bool
}

// Records are the NSEC and NSEC3 records of one zone, their signatures verified
// and none of them made from a wildcard.
type Records struct {
	Zone  rfc6125.Name
	NSEC  []NSEC
	NSEC3 []NSEC3
	// MaxIterations is the most that is computed for an NSEC3 hash.
	MaxIterations uint16
}

// maxDenialRecords bounds the records of one proof. Three are enough for any
// (encloser, next closer, wildcard); an alias chain brings a few for each step.
const maxDenialRecords = 64

// Add adds the records of a verified RRset of type NSEC or NSEC3. Those that are
// malformed, or of an unknown kind, are left out.
func (r *Records) Add(set *RRset) {
	if len(r.NSEC)+len(r.NSEC3) >= maxDenialRecords {
		return
	}
	for _, d := range set.Data {
		switch set.Type {
		case wire.TypeNSEC:
			if n, ok := ParseNSEC(set.Owner, d); ok {
				r.NSEC = append(r.NSEC, n)
			}
		case wire.TypeNSEC3:
			if n, ok := ParseNSEC3(r.Zone, set.Owner, d); ok {
				r.NSEC3 = append(r.NSEC3, n)
			}
		}
	}
}

// Deny proves that name has no records of the type: it does not exist, or exists
// without them. For type DS the question is that of the parent zone; the answer
// says then whether name is a delegation. Errors wrap [ErrNotDenied] or
// [ErrBudget].
func (r *Records) Deny(name rfc6125.Name, typ uint16, b *Budget) (Denial, error) {
	if !name.IsSubdomainOf(r.Zone) {
		return Denial{}, errorf(ErrNotDenied, "%s is not in %s", name, r.Zone)
	}
	if len(r.NSEC) > 0 { // DNSSEC6840-2.1-01: RFC 6840 section 2.1
		if d, ok := r.denyNSEC(name, typ); ok {
			return d, nil
		}
	}
	if len(r.NSEC3) > 0 {
		return r.denyNSEC3(name, typ, b)
	}
	return Denial{}, errorf(ErrNotDenied, "%s", name)
}

// DenyCloser proves that an RRset at name was rightly made from the wildcard below
// encloser: nothing exists between the two (RFC 4035 section 5.3.4, RFC 5155
// section 8.8). The Denial has only OptOut and Iterations.
func (r *Records) DenyCloser(name, encloser rfc6125.Name, b *Budget) (Denial, error) {
	for _, n := range r.NSEC {
		if n.covers(r.Zone, name) && n.encloser(name) == encloser {
			return Denial{}, nil
		}
	}
	if len(r.NSEC3) == 0 {
		return Denial{}, errorf(ErrNotDenied, "no proof that %s is made from a wildcard", name)
	}
	h, err := r.hasher(b)
	if err != nil || h == nil {
		return Denial{Iterations: err == nil}, err
	}
	next := name.Ancestor(encloser.NumLabels() + 1)
	n, err := h.cover(next) // NSEC3-5155-8.8-01: RFC 5155 section 8.8
	if err != nil {
		return Denial{}, err
	}
	if n == nil {
		return Denial{}, errorf(ErrNotDenied, "no proof that %s is made from a wildcard", name)
	}
	return Denial{OptOut: n.OptOut()}, nil
}
