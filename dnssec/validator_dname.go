package dnssec

import (
	"github.com/mxauth/mxauth/dnssec/proof"
	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/rfc6125"
)

// maxDNAMEQuestions bounds the names asked for a DNAME that could have made one CNAME.
// The first question finds it unless the DNAME's owner and its target begin with the same
// labels, and each further question allows for one such label.
const maxDNAMEQuestions = 8

// A redirection is a DNAME and the alias it makes of one name (RFC 6672 section 2.3).
type redirection struct {
	proven                 // verdict on the DNAME set
	owner     rfc6125.Name // of the DNAME
	target    rfc6125.Name // of the alias; invalid if the DNAME makes none
	fetched   bool         // the DNAME was asked for: it did not come with the alias
	malformed bool         // more than one DNAME, or one without a readable target
}

// redirectionIn judges the DNAME closest above name in r. It returns nil if r has none.
func (t *task) redirectionIn(r *reply, name rfc6125.Name) *redirection {
	set := dnameAbove(r.answer, name)
	if set == nil {
		return nil
	}
	if p, _ := t.v.covering(name, t.now); p != nil && !set.Owner.IsSubdomainOf(p.zone) {
		// There is a zone below it, which has a trust anchor, and below a DNAME there is none.
		err := &proof.Error{Kind: proof.ErrSigner, Text: p.zone.String() + " is a zone of its own"}
		return &redirection{proven: proven{verdict: bogus(set.Owner, TypeDNAME, err)}, owner: set.Owner}
	}
	d := &redirection{proven: t.verify(r, set), owner: set.Owner}
	if !d.ok() {
		return d
	}
	if d.wildcard {
		// RFC 6672 section 3.3 warns of DNAME at a wildcard; what it makes depends on what
		// a resolver has seen before, so it proves nothing.
		d.verdict = bogusBy(set.Owner, TypeDNAME, ReasonWildcard, EDEBogus, "a DNAME made from a wildcard")
		return d
	}
	target, err := substitute(name, wire.RR{Owner: set.Owner, Data: set.Data[0]})
	if d.malformed = err != nil || len(set.Data) > 1; !d.malformed {
		d.target = target
	}
	return d
}

// bareAlias judges a CNAME that has no signature and came without a DNAME above it. That
// is how a zone answers that is not signed. It is also how a recursive resolver answers
// from its cache after a DNAME has expired there and the CNAME made from it has not:
// Unbound keeps both, each with a TTL of its own. Then the DNAME is asked for, since it
// is what proves the alias (RFC 4035 section 4.8, RFC 6672 section 5.3.1).
//
// If it returns a redirection, that is proved.
func (t *task) bareAlias(r *reply, cname *proof.RRset) (proven, *redirection) {
	if p, _ := t.v.covering(cname.Owner, t.now); p == nil || p.zone == cname.Owner {
		return t.verify(r, cname), nil // nothing covers it, or its own anchor does and not what lies above
	}
	z := t.delegated(r, cname.Owner)
	if z == nil {
		z = t.walk(cname.Owner.Parent())
	}
	switch {
	case z.status == Insecure && z.reason.Code != ReasonNSEC3Iterations:
		return unsigned(cname, r, z), nil
	case z.final, z.status == Indeterminate:
		return proven{verdict: z.verdict}, nil
	}
	// The signature of the DNAME proves its zone, so it counts where the denials on the way
	// down are bad, too, and where there are only too many iterations in them.
	d, why := t.findRedirection(cname)
	switch {
	case d != nil:
		return d.proven, d
	case why.final:
		return proven{verdict: why}, nil
	case z.status == Insecure:
		return unsigned(cname, r, z), nil
	case !z.ok():
		return proven{verdict: moreTelling(why, z.verdict)}, nil
	}
	// A zone without DS that has a CNAME at its apex, which it must not have, is unsigned
	// even so.
	if z := t.zone(cname.Owner); z.status == Insecure {
		return unsigned(cname, r, z), nil
	}
	if why.kind == nil {
		why = bogus(cname.Owner, TypeCNAME, proof.ErrUnsigned)
		why.reason.Text += ", and no DNAME above it makes the alias"
	}
	return proven{verdict: why}, nil
}

// aliasThere judges that the owner of a CNAME is an alias, whatever its target: by the
// CNAME's signature, or by the DNAME above it, below which nothing else exists (RFC 6672
// section 2.4).
func (t *task) aliasThere(r *reply, cname *proof.RRset) proven {
	if len(cname.Sigs) > 0 {
		return t.verify(r, cname)
	}
	if d := t.redirectionIn(r, cname.Owner); d != nil {
		return d.proven
	}
	p, _ := t.bareAlias(r, cname)
	return p
}

// findRedirection asks for the DNAME that made a CNAME and proves it. The walk to the
// CNAME's parent has been made and has found no unsigned zone. It returns nil if there is
// no such DNAME; a verdict with a kind then says why that is not certain.
func (t *task) findRedirection(cname *proof.RRset) (*redirection, verdict) {
	var why verdict
	target, err := targetOf(cname)
	if err != nil {
		return nil, why
	}
	// A DNAME replaces the end of the name and keeps the labels in front of it. So its
	// owner is the CNAME's without at least one and at most this many labels. The longest
	// such end comes last: below a DNAME there is no other (RFC 6672 section 2.4).
	owner := cname.Owner
	first := max(owner.NumLabels()-sameLabels(owner, target), t.apexLabels(owner.Parent()))
	for labels := first; labels < min(owner.NumLabels(), first+maxDNAMEQuestions); labels++ {
		q := Question{owner.Ancestor(labels), TypeDNAME}
		r, fail := t.get(q)
		if fail != nil {
			return nil, *fail
		}
		if r.msg.Rcode != wire.RcodeNoError && r.msg.Rcode != wire.RcodeNXDomain {
			return nil, t.rcodeVerdict(r, q)
		}
		t.sendAhead(r)
		d := t.redirectionIn(r, owner)
		switch {
		case d == nil:
		case d.ok() && !d.malformed:
			d.fetched = true
			return d, verdict{}
		case d.ok():
			// It makes no name, and so not this alias.
		default:
			t.forget(q) // ask again if the whole is tried again
			why = moreTelling(why, d.verdict)
		}
	}
	return nil, why
}

// sameLabels returns how many labels at the front of two names are the same.
func sameLabels(a, b rfc6125.Name) int {
	n := 0
	for n < a.NumLabels() && n < b.NumLabels() && a.Label(n) == b.Label(n) {
		n++
	}
	return n
}

// apexLabels returns the number of labels of the deepest zone at or above name that the
// task has met; 0, which is the root, if it has met none.
func (t *task) apexLabels(name rfc6125.Name) int {
	for a := name; a.IsValid(); a = a.Parent() {
		if z := t.zones[a]; z != nil && z.ok() && z.cut {
			return a.NumLabels()
		}
	}
	return 0
}
