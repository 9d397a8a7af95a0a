package pkix

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"

	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Extensions that are processed here or need no processing, by the last arc of
// id-ce (2.5.29.x).
const (
	ceSubjectKeyID      = 14
	ceKeyUsage          = 15
	ceSubjectAltName    = 17
	ceBasicConstraints  = 19
	ceNameConstraints   = 30
	cePolicies          = 32
	cePolicyMappings    = 33
	ceAuthorityKeyID    = 35
	cePolicyConstraints = 36
	ceExtKeyUsage       = 37
	ceInhibitAnyPolicy  = 54
)

// idCE returns the last arc of an OID below id-ce, else -1.
func idCE(oid asn1.ObjectIdentifier) int {
	if len(oid) == 4 && oid[0] == 2 && oid[1] == 5 && oid[2] == 29 {
		return oid[3]
	}
	return -1
}

// unreadable refuses a certificate of which one of the fields could not be read:
// what it says there is not known.
func unreadable(c *Certificate, fields ...Field) *Error {
	for _, f := range fields {
		if why := c.Unread(f); why != "" {
			return failure(ErrMalformed, c.view, "its "+f.String()+" cannot be read: "+why)
		}
	}
	return nil
}

// judgeLeaf notes every failure of the leaf by itself and reports whether there
// was none. A keyUsage without digitalSignature or keyEncipherment is left to TLS:
// RFC 5280 section 6.1 does not ask for them in the last certificate, and a CA
// certificate may be one. A key that cannot be read is left to TLS too.
func (v *verifier) judgeLeaf(c *Certificate) bool {
	good := true
	note := func(fail *Error) {
		if fail != nil {
			v.fails.add(fail)
			good = false
		}
	}
	note(unreadable(c, FieldVersion, FieldExtensions))
	note(judgeDates(c, v.r.At))
	note(judgeExtensions(c))
	note(judgePurpose(c))
	if err := CheckKey(c.view.PublicKey); err != nil {
		note(failure(ErrKey, c.view, err.Error()))
	}
	return good
}

// judgeIssuer says why c may not be the issuer of the path so far; that it
// signed the last certificate of it has been checked.
func (v *verifier) judgeIssuer(c *Certificate, anchor bool) (fail, out *Error) {
	if fail := unreadable(c, FieldVersion, FieldExtensions); fail != nil {
		return fail, nil
	}
	if fail := judgeDates(c, v.r.At); fail != nil {
		return fail, nil
	}
	if fail := judgeExtensions(c); fail != nil {
		return fail, nil
	}
	if fail := judgeCA(c, anchor); fail != nil {
		return fail, nil
	}
	if fail := judgePurpose(c); fail != nil {
		return fail, nil
	}
	// RFC 5280 section 4.2.1.9 [PKIX5280-4.2.1.9-02].
	x := c.view
	if limit := x.MaxPathLen; x.BasicConstraintsValid && (limit > 0 || limit == 0 && x.MaxPathLenZero) {
		if n := v.intermediates(); n > limit {
			return failure(ErrPathLength, x, fmt.Sprintf("it allows %d intermediates below, here are %d", limit, n)), nil
		}
	}
	return v.judgeConstraints(c)
}

// judgeCA refuses a key that signs certificates without being a CA's
// [PKIX5280-4.2.1.9-01]. A certificate of version 1 or 2 has no extensions to say
// so: it is a CA if the caller made it an anchor, and never an intermediate (RFC
// 5280 section 6.1.4 (k)).
func judgeCA(c *Certificate, anchor bool) *Error {
	if fail := unreadable(c, FieldBasicConstraints, FieldKeyUsage); fail != nil {
		return fail
	}
	switch x := c.view; {
	case x.Version < 3 && anchor:
		return nil
	case !x.BasicConstraintsValid || !x.IsCA:
		return failure(ErrPurpose, x, "it is not marked as a CA")
	case x.KeyUsage&x509.KeyUsageCertSign == 0 && has(x, ceKeyUsage):
		return failure(ErrPurpose, x, "its keyUsage does not let it sign certificates")
	}
	return nil
}

// has reports whether c has the extension of this arc of id-ce: one that names no
// usage at all is not the same as none, though both leave a field empty.
func has(c *x509.Certificate, arc int) bool {
	for i := range c.Extensions {
		if idCE(c.Extensions[i].Id) == arc {
			return true
		}
	}
	return false
}

// judgePurpose wants serverAuth or any where there is an extended key usage: in
// the leaf [PKIX5280-4.2.1.12-01], and in issuers by the practice of every TLS
// library, which reads an issuer's as the purposes that it may issue for.
func judgePurpose(c *Certificate) *Error {
	if fail := unreadable(c, FieldExtKeyUsage); fail != nil {
		return fail
	}
	if !has(c.view, ceExtKeyUsage) {
		return nil
	}
	for _, u := range c.view.ExtKeyUsage {
		if u == x509.ExtKeyUsageServerAuth || u == x509.ExtKeyUsageAny {
			return nil
		}
	}
	fail := failure(ErrPurpose, c.view, "its extended key usage has no serverAuth")
	fail.NotServer = true
	return fail
}

// judgeExtensions refuses critical extensions that are not processed here
// [PKIX5280-4.2-01].
func judgeExtensions(cert *Certificate) *Error {
	c := cert.view
	for i := range c.Extensions {
		e := &c.Extensions[i]
		arc := idCE(e.Id)
		if arc == cePolicyConstraints {
			// RFC 5280 section 4.2.1.11. Without requireExplicitPolicy nothing
			// depends on policies, and with it no policy is known that would do.
			if requiresPolicy(e.Value) {
				return failure(ErrExtension, c, "it requires a certificate policy, and none is configured")
			}
			continue
		}
		if !e.Critical {
			continue
		}
		switch arc {
		case ceKeyUsage, ceSubjectAltName, ceBasicConstraints, ceNameConstraints, cePolicies, cePolicyMappings, ceExtKeyUsage, ceInhibitAnyPolicy:
		default:
			return failure(ErrExtension, c, e.Id.String())
		}
	}
	return nil
}

// requiresPolicy reports whether a policyConstraints extension has a
// requireExplicitPolicy, or cannot be read.
func requiresPolicy(der []byte) bool {
	body, ok := inside(der, casn1.SEQUENCE)
	if !ok {
		return true
	}
	// inhibitPolicyMapping [1] alone.
	return !body.SkipASN1(casn1.Tag(1).ContextSpecific()) || !body.Empty()
}
