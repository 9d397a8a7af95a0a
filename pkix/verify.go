package pkix

import (
	"bytes"
	"crypto/rsa"
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

// The budget of one verification. Each count is for all paths together.
const (
	// MaxCertificates is how many certificates of a peer are looked at: TLS
	// messages could carry some hundreds; a sane peer sends five.
	MaxCertificates = 256
	// maxSignatures bounds public-key operations, as crypto/x509 and rustls do:
	// a tenth of a second at worst.
	maxSignatures = 100
	// maxSteps bounds the certificates that are tried as issuers.
	maxSteps = 10_000
	// maxNameChecks bounds comparisons of a name with a constraint.
	maxNameChecks = 250_000
	// maxPath bounds a path including self-issued certificates.
	maxPath = 16
	// maxRSABits bounds the cost of one check of an RSA signature; crypto/tls
	// has the same limit.
	maxRSABits = 8192
)

type verifier struct {
	r       *Request
	issuers []*x509.Certificate // what may stand between leaf and anchor
	limit   int                 // intermediates, self-issued ones not counted

	path   []*x509.Certificate
	done   Path
	fails  failures
	budget struct{ signatures, steps, names int }

	signed      []signature // results so far
	constraints map[*x509.Certificate]constraintsOf
	names       map[*x509.Certificate]*subjectNames
}

// signature is a result of a check: whether parent's key signed child.
type signature struct {
	child, parent *x509.Certificate
	fail          *Error // nil if it did
}

// verify is Verify with the error in its own type.
func verify(r *Request) (Path, *Error) { return newVerifier(r).run() }

func newVerifier(r *Request) *verifier {
	if r.MaxIntermediates == 0 {
		return &verifier{r: r, limit: DefaultMaxIntermediates}
	}
	return &verifier{r: r, limit: max(r.MaxIntermediates, 0)}
}

func (v *verifier) run() (Path, *Error) {
	r := v.r
	switch {
	case len(r.Chain) == 0 || r.Chain[0] == nil:
		return Path{}, alone(failure(ErrNoCert, nil, ""))
	case r.At.IsZero():
		return Path{}, alone(failure(ErrNoTime, nil, ""))
	case len(r.Chain)+len(r.Extra) > MaxCertificates:
		return Path{}, alone(failure(ErrBudget, r.Chain[0], fmt.Sprintf("more than %d certificates", MaxCertificates)))
	}
	v.path = append(make([]*x509.Certificate, 0, 4), r.Chain[0])
	v.issuers = r.Chain[1:]
	if len(r.Extra) > 0 {
		v.issuers = append(append([]*x509.Certificate(nil), v.issuers...), r.Extra...)
	}
	// A leaf that fails by itself ends no search: whether the chain leads to an
	// anchor belongs into the trace all the same.
	good := v.judgeLeaf(r.Chain[0])
	found, out := v.extend()
	switch {
	case out != nil:
		v.fails.add(out)
	case found && good:
		return v.done, nil
	}
	return Path{}, v.fails.verdict()
}

// extend looks for an anchor above the last certificate of the path. An Error
// means that the budget is used up and stops everything.
func (v *verifier) extend() (bool, *Error) {
	cur := v.path[len(v.path)-1]
	for _, a := range v.r.Anchors {
		if a.cert != nil && a.cert.Equal(cur) {
			return v.finish(a, false), nil
		}
	}
	if v.r.Roots.contains(cur) {
		return v.finish(CertificateAnchor(cur), false), nil
	}
	named := false // somebody has the name of the issuer
	for _, a := range v.r.Anchors {
		switch {
		case a.key != nil:
			fail, out := v.checkSignature(cur, a.key)
			if out != nil {
				return false, out
			}
			if fail == nil {
				return v.finish(a, true), nil
			}
			// The key has no name, so this says nothing about cur.
		case a.cert != nil && bytes.Equal(a.cert.RawSubject, cur.RawIssuer):
			named = true
			if ok, out := v.try(a.cert, true); ok || out != nil {
				return ok, out
			}
		}
	}
	for _, c := range v.r.Roots.withSubject(cur.RawIssuer) {
		named = true
		if ok, out := v.try(c, true); ok || out != nil {
			return ok, out
		}
	}
	// Those whose key identifier fits first: RFC 5280 section 4.2.1.1 has it for
	// just this choice, and as a hint only.
	for _, fits := range [...]bool{true, false} {
		for _, c := range v.issuers {
			if c == nil || !bytes.Equal(c.RawSubject, cur.RawIssuer) || keyFits(cur, c) != fits || v.onPath(c) {
				continue
			}
			named = true
			if ok, out := v.try(c, false); ok || out != nil {
				return ok, out
			}
		}
	}
	if !named {
		why := "its issuer was not presented and is no anchor"
		if bytes.Equal(cur.RawSubject, cur.RawIssuer) {
			why = "it is its own issuer and no anchor"
		}
		v.fails.add(failure(ErrNoAnchor, cur, why))
	}
	return false, nil
}

// finish notes the path that was found.
func (v *verifier) finish(a Anchor, bare bool) bool {
	v.done = Path{Certs: v.path, Anchor: a, BareKey: bare}
	return true
}

// keyFits reports whether nothing in the key identifiers speaks against c as the
// issuer of cur.
func keyFits(cur, c *x509.Certificate) bool {
	return len(cur.AuthorityKeyId) == 0 || len(c.SubjectKeyId) == 0 || bytes.Equal(cur.AuthorityKeyId, c.SubjectKeyId)
}

// onPath reports whether c, or another certificate for the same name and key, is
// on the path already: the path through c would be a circle [PKIX5280-6.1-02].
func (v *verifier) onPath(c *x509.Certificate) bool {
	for _, d := range v.path {
		if bytes.Equal(c.RawSubject, d.RawSubject) && bytes.Equal(c.RawSubjectPublicKeyInfo, d.RawSubjectPublicKeyInfo) {
			return true
		}
	}
	return false
}

// try judges c as the issuer of the last certificate of the path, and goes on
// from it if it may be.
func (v *verifier) try(c *x509.Certificate, anchor bool) (bool, *Error) {
	v.budget.steps++
	if v.budget.steps > maxSteps {
		return false, failure(ErrBudget, nil, fmt.Sprintf("more than %d certificates tried as issuers", maxSteps))
	}
	switch {
	case !anchor && v.tooLong(c):
		v.fails.add(failure(ErrPathLength, c, fmt.Sprintf("more than %d intermediates", v.limit)))
		return false, nil
	case len(v.path) == maxPath:
		v.fails.add(failure(ErrPathLength, c, fmt.Sprintf("more than %d certificates", maxPath)))
		return false, nil
	}
	fail, out := v.checkSignature(v.path[len(v.path)-1], c)
	if out != nil {
		return false, out
	}
	if fail == nil {
		if fail, out = v.judgeIssuer(c, anchor); out != nil {
			return false, out
		}
	}
	if fail != nil {
		v.fails.add(fail)
		return false, nil
	}
	v.path = append(v.path, c)
	ok, out := v.extend()
	if !ok {
		v.path = v.path[:len(v.path)-1]
	}
	return ok, out
}

// tooLong reports whether c would be one intermediate too many.
func (v *verifier) tooLong(c *x509.Certificate) bool {
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

func selfIssued(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, c.RawIssuer) }

// checkSignature reports whether the key of parent signed child; an anchor's bare
// key comes as a certificate that holds nothing else.
func (v *verifier) checkSignature(child, parent *x509.Certificate) (fail, out *Error) {
	for _, s := range v.signed {
		if s.child == child && s.parent == parent {
			return s.fail, nil
		}
	}
	v.budget.signatures++
	if v.budget.signatures > maxSignatures {
		return nil, failure(ErrBudget, nil, fmt.Sprintf("more than %d signatures checked", maxSignatures))
	}
	fail = signatureFailure(child, parent)
	v.signed = append(v.signed, signature{child, parent, fail})
	return fail, nil
}

func signatureFailure(child, parent *x509.Certificate) *Error {
	switch child.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		// Collisions can be made to order: nobody knows what was signed.
		return failure(ErrSignature, child, "made with "+child.SignatureAlgorithm.String()+", which is broken")
	}
	if k, ok := parent.PublicKey.(*rsa.PublicKey); ok && k.N.BitLen() > maxRSABits {
		return failure(ErrSignature, child, fmt.Sprintf("made with an RSA key of more than %d bits", maxRSABits))
	}
	if err := parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature); err != nil {
		return failure(ErrSignature, child, "not made by "+subjectText(parent)+" ("+printable(err.Error())+")")
	}
	return nil
}

// judgeDates checks the validity of c [PKIX5280-6.1-01].
func judgeDates(c *x509.Certificate, at time.Time) *Error {
	switch {
	case at.After(c.NotAfter):
		return failure(ErrExpired, c, "valid until "+c.NotAfter.UTC().Format(time.RFC3339))
	case at.Before(c.NotBefore):
		return failure(ErrNotYetValid, c, "valid from "+c.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}
