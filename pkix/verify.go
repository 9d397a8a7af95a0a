package pkix

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"time"
)

// The search for a path.
//
// It goes from the leaf upwards, depth first: the issuers of a certificate are
// those whose subject is its issuer's name, the anchors among them first, then
// those whose key identifier fits. Each candidate must first have signed the
// certificate below it; only then is it judged, so that a reported failure is
// about a real issuer and not about one that merely has the name. What fails is
// remembered and the next candidate tried; what succeeds ends the search.
//
// The alternative, a loop over all complete paths that judges each at its end,
// does less work on good chains with many cross-signatures and far more on bad
// ones. With the results of signatures kept, the first form costs a good chain
// exactly its own signatures.
//
// What a peer can make it cost is bounded by [Work].

type verifier struct {
	r       *Request
	work    *Work
	issuers []*Certificate // what may be between leaf and anchor
	limit   int            // intermediates, self-issued ones not counted
	extend1 time.Duration  // what it costs to look for the issuers of one certificate

	path    []*Certificate
	done    Path
	fails   failures
	counted struct{ steps, names int }

	constraints map[*x509.Certificate]constraintsOf
	names       map[*x509.Certificate]*subjectNames
}

// verify is Verify with the error in its own type.
func verify(r *Request) (Path, *Error) { return newVerifier(r).run() }

func newVerifier(r *Request) *verifier {
	v := &verifier{r: r, work: r.Work, limit: max(r.MaxIntermediates, 0)}
	if r.MaxIntermediates == 0 {
		v.limit = DefaultMaxIntermediates
	}
	if v.work == nil {
		v.work = new(Work)
	}
	return v
}

func (v *verifier) run() (Path, *Error) {
	r := v.r
	chain := r.Certs
	if len(r.Chain) > 0 {
		chain = FromChain(r.Chain[:min(len(r.Chain), MaxCertificates+1)])
	}
	switch {
	case len(chain) == 0 || chain[0] == nil:
		return Path{}, alone(failure(ErrNoCert, nil, ""))
	case r.At.IsZero():
		return Path{}, alone(failure(ErrNoTime, nil, ""))
	case len(chain)+len(r.Extra) > MaxCertificates:
		return Path{}, alone(failure(ErrBudget, chain[0].view, fmt.Sprintf("more than %d certificates", MaxCertificates)))
	}
	leaf := chain[0]
	if fail := unreadable(leaf, FieldStructure); fail != nil {
		return Path{}, alone(fail)
	}
	v.path = append(make([]*Certificate, 0, 4), leaf)
	v.issuers = chain[1:]
	if len(r.Extra) > 0 {
		v.issuers = append(append([]*Certificate(nil), v.issuers...), FromChain(r.Extra)...)
	}
	v.extend1 = v.extendCost()
	// A leaf that fails by itself ends no search: whether the chain leads to an
	// anchor belongs into the trace all the same.
	good := v.judgeLeaf(leaf)
	found, out := v.extend()
	switch {
	case out != nil:
		v.fails.add(out)
	case found && good:
		return v.done, nil
	}
	return Path{}, v.fails.verdict()
}

// extendCost returns the cost of one call of extend by itself: every name, and every
// anchor, is compared, and a hostile peer makes them long and equal.
func (v *verifier) extendCost() time.Duration {
	const compare, perByte = 40 * time.Nanosecond, 8 // bytes in a nanosecond
	cost := costStep + compare*time.Duration(len(v.issuers)+len(v.r.Anchors))
	for _, c := range v.issuers {
		if c != nil {
			cost += time.Duration(len(c.view.RawSubject)) * time.Nanosecond / perByte
		}
	}
	return cost
}

// extend looks for an anchor above the last certificate of the path. An Error
// means that the work is used up and stops everything.
func (v *verifier) extend() (bool, *Error) {
	cur := v.path[len(v.path)-1]
	if out := v.work.spend(v.extend1+time.Duration(len(cur.view.RawIssuer)+len(cur.view.RawSubject)), "the search for issuers"); out != nil {
		return false, out
	}
	for _, a := range v.r.Anchors {
		if a.cert != nil && a.cert.Equal(cur) {
			return v.finish(a, false), nil
		}
	}
	if v.r.Roots.contains(cur.view) {
		return v.finish(AnchorOf(cur), false), nil
	}
	named := false // a candidate has the name of the issuer
	for _, a := range v.r.Anchors {
		switch {
		case a.key != nil:
			fail, out := v.work.signature(cur, a.key)
			if out != nil {
				return false, out
			}
			if fail == nil {
				return v.finish(a, true), nil
			}
			// The key has no name, so this says nothing about cur.
		case a.cert != nil && issued(a.cert, cur):
			named = true
			if ok, out := v.try(a.cert, true); ok || out != nil {
				return ok, out
			}
		}
	}
	for _, c := range v.r.Roots.withSubject(cur.view.RawIssuer) {
		named = true
		if ok, out := v.try(c, true); ok || out != nil {
			return ok, out
		}
	}
	// Those whose key identifier fits first: RFC 5280 section 4.2.1.1 has it for
	// just this choice, and as a hint only.
	for _, fits := range [...]bool{true, false} {
		for _, c := range v.issuers {
			if c == nil || !issued(c, cur) || keyFits(cur, c) != fits || v.onPath(c) {
				continue
			}
			named = true
			if ok, out := v.try(c, false); ok || out != nil {
				return ok, out
			}
		}
	}
	if !named {
		why, issuer := "its issuer was not presented and is no anchor", IssuerMissing
		if bytes.Equal(cur.view.RawSubject, cur.view.RawIssuer) {
			why, issuer = "it is its own issuer and no anchor", IssuerSelf
		}
		e := failure(ErrNoAnchor, cur.view, why)
		e.Issuer = issuer
		v.fails.add(e)
	}
	return false, nil
}

// issued reports whether c has the name of the issuer of cur. A certificate whose
// structure could not be read has no name.
func issued(c, cur *Certificate) bool {
	return c.view.RawSubject != nil && bytes.Equal(c.view.RawSubject, cur.view.RawIssuer)
}

// finish notes the path that was found.
func (v *verifier) finish(a Anchor, bare bool) bool {
	certs := make([]*x509.Certificate, len(v.path))
	for i, c := range v.path {
		certs[i] = c.view
	}
	v.done = Path{Certs: certs, Anchor: a, BareKey: bare}
	return true
}

// keyFits reports whether nothing in the key identifiers speaks against c as the
// issuer of cur.
func keyFits(cur, c *Certificate) bool {
	a, s := cur.view.AuthorityKeyId, c.view.SubjectKeyId
	return len(a) == 0 || len(s) == 0 || bytes.Equal(a, s)
}

// onPath reports whether c, or another certificate for the same name and key, is
// on the path already: the path through c would be a circle [PKIX5280-6.1-02].
func (v *verifier) onPath(c *Certificate) bool {
	for _, d := range v.path {
		if bytes.Equal(c.view.RawSubject, d.view.RawSubject) && bytes.Equal(c.view.RawSubjectPublicKeyInfo, d.view.RawSubjectPublicKeyInfo) {
			return true
		}
	}
	return false
}

// try judges c as the issuer of the last certificate of the path, and goes on
// from it if it may be.
func (v *verifier) try(c *Certificate, anchor bool) (bool, *Error) {
	if v.counted.steps++; v.counted.steps > maxSteps {
		return false, failure(ErrBudget, nil, fmt.Sprintf("more than %d certificates tried as issuers", maxSteps))
	}
	if out := v.work.spend(costStep, "a certificate tried as an issuer"); out != nil {
		return false, out
	}
	ok, fail, out := v.step(c, anchor)
	if fail != nil {
		v.fails.add(fail)
		out = v.work.spend(costFail, "the failures of certificates")
	}
	return ok, out
}

// step is try without its budget.
func (v *verifier) step(c *Certificate, anchor bool) (ok bool, fail, out *Error) {
	switch {
	case !anchor && v.tooLong(c):
		return false, failure(ErrPathLength, c.view, fmt.Sprintf("more than %d intermediates", v.limit)), nil
	case len(v.path) == maxPath:
		return false, failure(ErrPathLength, c.view, fmt.Sprintf("more than %d certificates", maxPath)), nil
	}
	if fail, out = v.work.signature(v.path[len(v.path)-1], c); fail != nil || out != nil {
		return false, fail, out
	}
	if fail, out = v.judgeIssuer(c, anchor); fail != nil || out != nil {
		return false, fail, out
	}
	v.path = append(v.path, c)
	if ok, out = v.extend(); !ok {
		v.path = v.path[:len(v.path)-1]
	}
	return ok, nil, out
}

// tooLong reports whether c would be one intermediate too many.
func (v *verifier) tooLong(c *Certificate) bool {
	n := v.intermediates()
	if !selfIssued(c) {
		n++
	}
	return n > v.limit
}

// intermediates counts those on the path that are not self-issued; the leaf is
// none (RFC 5280 section 4.2.1.9).
func (v *verifier) intermediates() int {
	n := 0
	for _, d := range v.path[1:] {
		if !selfIssued(d) {
			n++
		}
	}
	return n
}

func selfIssued(c *Certificate) bool { return bytes.Equal(c.view.RawSubject, c.view.RawIssuer) }

// judgeDates checks the validity of c [PKIX5280-6.1-01].
func judgeDates(cert *Certificate, at time.Time) *Error {
	if fail := unreadable(cert, FieldDates); fail != nil {
		return fail
	}
	switch c := cert.view; {
	case at.After(c.NotAfter):
		return failure(ErrExpired, c, "valid until "+c.NotAfter.UTC().Format(time.RFC3339))
	case at.Before(c.NotBefore):
		return failure(ErrNotYetValid, c, "valid from "+c.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}
