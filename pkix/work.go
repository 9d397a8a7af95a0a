package pkix

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/mxauth/mxauth/internal/text"
)

// DefaultWork is the limit of a [Work] whose Limit is zero. A peer's chain of three
// P-384 signatures takes a quarter of it, one of three RSA keys of 4,096 bits a
// twentieth; a hostile peer can make a sender spend no more on one connection.
const DefaultWork = 20 * time.Millisecond

// Limits of one verification that hold whatever the work costs.
const (
	// MaxCertificates is how many certificates of a peer are looked at: TLS
	// messages could carry some hundreds; a sane peer sends five.
	MaxCertificates = 256
	// maxSignatures bounds public-key operations, as crypto/x509 and rustls do.
	maxSignatures = 100
	// maxSteps bounds the certificates that are tried as issuers. The most tangled
	// cross-signed hierarchies in use need some twenty.
	maxSteps = 1_000
	// maxPath bounds a path including self-issued certificates.
	maxPath = 16
)

// Costs of work that is no signature, in the same measure.
const (
	costStep = 2 * time.Microsecond  // a certificate tried as an issuer
	costName = 80 * time.Nanosecond  // a name compared with a constraint
	costFail = 10 * time.Microsecond // the text of a failure
	costRead = 20                    // nanoseconds for a byte of names or constraints read
)

// A Work bounds the work of verifications that share it, as rustls's webpki does:
// each signature, name and step counts by what it costs, as time on the machine
// that the costs were measured on, so the outcome does not hang on how busy this
// one is. When the limit is reached the verification ends with [ErrBudget].
//
// A chain and its keys come from the peer: one signature by an RSA key of 8,192
// bits with a large exponent costs as much as twenty by usual keys, so a count of
// signatures bounds little.
//
// The zero Work allows [DefaultWork]. A Work remembers the signatures that it has
// seen, so a second verification over the same certificates is cheap. It must not
// be used by two goroutines at a time.
type Work struct {
	// Limit is the most that may be spent in all; zero means DefaultWork.
	Limit time.Duration

	spent      time.Duration
	signatures int
	signed     []signatureCheck
}

// signatureCheck is the result of one check: whether parent's key signed child.
type signatureCheck struct {
	child, parent *x509.Certificate
	fail          *Error // nil if it did
}

// spend books the cost of what. It returns an error, and books nothing, if that
// is more than what is left.
func (w *Work) spend(cost time.Duration, what string) *Error {
	limit := w.Limit
	if limit == 0 {
		limit = DefaultWork
	}
	if w.spent+cost > limit {
		w.spent = limit // what is cheaper does not go on after it
		return failure(ErrBudget, nil, "more work than the "+limit.String()+" that one verification may take, at "+what)
	}
	w.spent += cost
	return nil
}

// signature reports whether the key of parent signed child. out says that the work
// is used up.
func (w *Work) signature(child, parent *Certificate) (fail, out *Error) {
	for i := range w.signed {
		if s := &w.signed[i]; s.child == child.view && s.parent == parent.view {
			return s.fail, nil
		}
	}
	c, key := child.view, parent.view.PublicKey
	cost := signatureCost(c.SignatureAlgorithm, key, len(c.RawTBSCertificate))
	if w.signatures++; w.signatures > maxSignatures {
		return nil, failure(ErrBudget, nil, fmt.Sprintf("more than %d signatures checked", maxSignatures))
	}
	if cost > costP256 { // else the text is made for nothing
		out = w.spend(cost, "a signature by "+keyText(key))
	} else {
		out = w.spend(cost, "a signature")
	}
	if out != nil {
		return nil, out
	}
	fail = signatureFailure(child, parent)
	w.signed = append(w.signed, signatureCheck{child.view, parent.view, fail})
	return fail, nil
}

func signatureFailure(child, parent *Certificate) *Error {
	c := child.view
	if why := child.Unread(FieldAlgorithm); why != "" {
		return failure(ErrSignature, c, why)
	}
	switch c.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		// Collisions can be made to order: what was signed is not known.
		return failure(ErrSignature, c, "made with "+c.SignatureAlgorithm.String()+", which is broken")
	}
	key := parent.view.PublicKey
	if why := parent.Unread(FieldKey); why != "" {
		return failure(ErrSignature, c, "made by "+subjectText(parent.view)+" with "+why)
	}
	if err := CheckKey(key); err != nil {
		return failure(ErrSignature, c, "made with "+err.Error())
	}
	if err := checkSignature(c.SignatureAlgorithm, key, c.RawTBSCertificate, c.Signature); err != nil {
		return failure(ErrSignature, c, "not made by "+subjectText(parent.view)+" ("+text.ASCII(err.Error(), maxShown)+")")
	}
	return nil
}
