package pkix

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
)

// An Anchor is where a path may end: a certificate, or a bare public key. The
// zero Anchor ends nothing. It is immutable.
type Anchor struct {
	cert *Certificate
	spki []byte
	key  *Certificate // of a bare key: a certificate that holds it alone
}

// CertificateAnchor returns an anchor that is a certificate. Its constraints
// (path length, names) and its dates hold for the path (RFC 7672 section 3.1.2,
// RFC 7671 section 5.2.3; doubt D8). It need not be self-signed, and its own
// signature is not checked: the caller confirms it. A nil c gives the zero
// Anchor.
func CertificateAnchor(c *x509.Certificate) Anchor { return Anchor{cert: FromX509(c)} }

// AnchorOf is [CertificateAnchor] for a certificate that was read by [Read].
func AnchorOf(c *Certificate) Anchor { return Anchor{cert: c} }

// KeyAnchor returns an anchor that is a bare key, a DER SubjectPublicKeyInfo
// (RFC 6698 usage 2, selector 1, matching type 0). It has no name, no dates and
// no constraints: what it signed is below it. An error wraps [ErrMalformed] and
// says that the key does not parse.
func KeyAnchor(spki []byte) (Anchor, error) {
	k, err := ReadKey(spki)
	if err != nil {
		return Anchor{}, err
	}
	if err := CheckKey(k); err != nil {
		return Anchor{}, fmt.Errorf("%w: public key: %w", ErrMalformed, err)
	}
	key := &x509.Certificate{PublicKey: k}
	switch k.(type) {
	case *rsa.PublicKey:
		key.PublicKeyAlgorithm = x509.RSA
	case *ecdsa.PublicKey:
		key.PublicKeyAlgorithm = x509.ECDSA
	case ed25519.PublicKey:
		key.PublicKeyAlgorithm = x509.Ed25519
	}
	return Anchor{spki: bytes.Clone(spki), key: FromX509(key)}, nil
}

// IsZero reports whether a ends nothing.
func (a Anchor) IsZero() bool { return a.cert == nil && a.key == nil }

// Certificate returns the certificate of a, nil if it is a bare key; of one that
// crypto/x509 does not parse, what could be read of it ([Certificate.View]).
func (a Anchor) Certificate() *x509.Certificate {
	if a.cert == nil {
		return nil
	}
	return a.cert.view
}

// PublicKey returns the key of a; nil for the zero Anchor.
func (a Anchor) PublicKey() crypto.PublicKey {
	switch {
	case a.cert != nil:
		return a.cert.view.PublicKey
	case a.key != nil:
		return a.key.view.PublicKey
	}
	return nil
}

// String names a for people.
func (a Anchor) String() string {
	switch {
	case a.cert != nil:
		return a.cert.String()
	case a.key != nil:
		return "a bare " + a.key.view.PublicKeyAlgorithm.String() + " key"
	}
	return "no anchor"
}
