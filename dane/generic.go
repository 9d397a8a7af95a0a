package dane

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
)

// GenericOptions of [VerifyGeneric].
type GenericOptions struct {
	Options
	// Roots are those that PKIX-TA and PKIX-EE need.
	Roots *pkix.Roots
	// EENames has DANE-EE records ask for a name as well.
	EENames bool
}

// VerifyGeneric judges a peer by all four usages of RFC 6698, as applications other
// than SMTP do.
//
// WARNING: it is here to compare this package with test suites of RFC 6698, and must
// not decide about mail: RFC 7672 section 3.1.3 has usages 0 and 1 unusable, and
// [Set.Verify] is what an SMTP client calls.
//
// DANE usages are tried first. A result that rests on PKIX-TA or PKIX-EE has the record
// and the path; its trace is empty.
func VerifyGeneric(records []Record, p Peer, o GenericOptions) (Result, error) {
	res, err := NewSet(records, UsePolicy{}).Verify(p, o.Options)
	if p.sent() == 0 {
		return res, err
	}
	chain := p.certs()
	if err == nil && o.EENames && res.Matched.Usage == DANEEE {
		if m := chain[0].Presented().Match(o.References, rfc6125.Options{CNID: !o.NoCNID}); !m.OK {
			return Result{Depth: res.Depth}, ErrName
		}
	}
	if errors.Is(err, ErrNoUsable) {
		err = ErrNoMatch
	}
	better := func(r Result, e error) {
		if e == nil || specific(e) > specific(err) {
			res, err = r, e
		}
	}
	var extra []*x509.Certificate // RFC 6698 section 2.1.1: certificates in DNS may be on the path
	for _, r := range records {
		if c, err := x509.ParseCertificate([]byte(r.Data)); err == nil { // a digest is none
			extra = append(extra, c)
		}
	}
	for _, r := range records {
		if r.Usage > PKIXEE || r.Selector > SPKI || r.MatchingType > SHA2_512 || err == nil {
			continue
		}
		better(verifyPKIX(r, chain, extra, o))
	}
	return res, err
}

// specific ranks the kinds of failure.
func specific(err error) int {
	switch {
	case errors.Is(err, ErrName):
		return 2
	case errors.Is(err, ErrPath):
		return 1
	}
	return 0
}

// verifyPKIX judges by one record of usage 0 or 1: the path must end at a WebPKI root
// and the record match a certificate on it, usage 1 the leaf.
func verifyPKIX(r Record, chain []*pkix.Certificate, extra []*x509.Certificate, o GenericOptions) (Result, error) {
	p := preparedRecord{record: r, kind: kindOf(r)}
	matches := func(c *x509.Certificate) bool {
		return (&values{raw: c.Raw, spki: c.RawSubjectPublicKeyInfo}).match(&p)
	}
	if r.Usage == PKIXEE && !matches(chain[0].View()) {
		return Result{Depth: -1}, ErrNoMatch
	}
	path, err := pkix.Verify(pkix.Request{Certs: chain, Extra: extra, Roots: o.Roots, At: o.At})
	res := Result{Depth: -1, Path: path}
	if r.Usage == PKIXEE {
		res.Depth = 0
	}
	if err != nil {
		return res, fmt.Errorf("%w: %w", ErrPath, err)
	}
	if r.Usage == PKIXTA {
		i := slices.IndexFunc(path.Certs[1:], matches)
		if i < 0 {
			return res, ErrNoMatch
		}
		res.Depth = i + 1
	}
	if res.Name = chain[0].Presented().Match(o.References, rfc6125.Options{}); !res.Name.OK {
		return res, ErrName
	}
	res.OK, res.Matched = true, r
	return res, nil
}
