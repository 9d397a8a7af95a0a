package dane

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/mxauth/mxauth/internal/text"
	"github.com/mxauth/mxauth/pkix"
)

// A Material is the input of TLSA records: certificates, or a key alone. The zero
// Material is nothing.
type Material struct {
	// Chain holds the certificates in the order of the file; for a server that is the
	// leaf first. Empty if the file has a key alone.
	Chain []*pkix.Certificate
	// SPKI is the DER SubjectPublicKeyInfo of the first certificate, or of the key.
	SPKI []byte
	// Kind says what SPKI was taken from: "certificate", "certificate request", "public
	// key" or "private key".
	Kind string
}

// Generate makes the record that r says of the certificate or key. For usage 2 and a
// chain of several certificates it takes the last one, the authority, else the first.
// Errors wrap [ErrRecord].
func (m Material) Generate(r Recipe) (Record, error) {
	switch {
	case len(m.Chain) == 0:
		return GenerateFromKey(r, m.SPKI)
	case r.Usage == DANETA:
		return m.generate(r, len(m.Chain)-1)
	}
	return m.generate(r, 0)
}

func (m Material) generate(r Recipe, i int) (Record, error) {
	if m.Chain[i] == nil {
		return Record{}, fmt.Errorf("%w: no certificate", ErrRecord)
	}
	return GenerateFromDER(r, m.Chain[i].Raw())
}

// Peer is what a server that used this material would present.
func (m Material) Peer() Peer {
	if len(m.Chain) == 0 {
		return Peer{RawKey: m.SPKI}
	}
	var p Peer
	for _, c := range m.Chain {
		x, err := c.X509()
		if err != nil {
			return Peer{Certs: m.Chain}
		}
		p.Chain = append(p.Chain, x)
	}
	return p
}

// ReadMaterial reads certificates or a key, PEM or DER, from the octets of the named
// file: certificates, a certificate request, a public key, or a private key, of which
// only the public half is kept. With certificates and a private key in one file, as
// mail servers have them, the certificates count, and the key must be that of the
// first. Errors wrap [ErrMaterial] and fit on one line.
func ReadMaterial(name string, data []byte) (Material, error) {
	fail := func(format string, args ...any) (Material, error) {
		return Material{}, fmt.Errorf("%s: %w: %s", name, ErrMaterial, fmt.Sprintf(format, args...))
	}
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return fail("the file is empty; expected a certificate or key, PEM or DER")
	case len(data) > MaxMaterial:
		return fail("more than %d octets; expected a certificate or key, PEM or DER", MaxMaterial)
	case bytes.Contains(data, []byte("-----BEGIN ")):
		return readPEM(data, fail)
	}
	if cs := certificatesOf(data); cs != nil {
		return Material{Chain: cs, SPKI: cs[0].SPKI(), Kind: "certificate"}, nil
	}
	for _, kind := range [...]string{"PUBLIC KEY", "PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY", "CERTIFICATE REQUEST"} {
		spki, word, err := keyOf(kind, data)
		if err == nil {
			return Material{SPKI: spki, Kind: word}, nil
		}
		if errors.Is(err, errKeyType) {
			return fail("%v", err)
		}
	}
	return fail("neither PEM nor DER of a certificate or key")
}

// certificatesOf reads certificates in DER, one after the other; nil if data is
// anything else.
func certificatesOf(data []byte) []*pkix.Certificate {
	var out []*pkix.Certificate
	for s := cryptobyte.String(data); !s.Empty(); {
		var der cryptobyte.String
		if !s.ReadASN1Element(&der, casn1.SEQUENCE) {
			return nil
		}
		c := pkix.Read(der)
		if c.Unread(pkix.FieldStructure) != "" {
			return nil
		}
		out = append(out, c)
	}
	return out
}

type failer func(format string, args ...any) (Material, error)

func readPEM(data []byte, fail failer) (Material, error) {
	var m Material
	var key []byte // the SPKI of a key in the same file as certificates
	var keyKind string
	blocks := 0
	for {
		b, rest := pem.Decode(data)
		if b == nil {
			break
		}
		data = rest
		blocks++
		switch {
		case b.Type == "CERTIFICATE" || b.Type == "TRUSTED CERTIFICATE" || b.Type == "X509 CERTIFICATE":
			c := pkix.Read(b.Bytes)
			if why := c.Unread(pkix.FieldStructure); why != "" {
				return fail("PEM block %d is marked %s and is none that can be read (%s)", blocks, b.Type, why)
			}
			m.Chain = append(m.Chain, c)
		case strings.Contains(b.Type, "ENCRYPTED") || strings.Contains(b.Headers["Proc-Type"], "ENCRYPTED"):
			if len(m.Chain) == 0 {
				return fail("the private key is encrypted; expected one without a pass phrase, its public key or its certificate")
			}
		case key == nil:
			spki, word, err := keyOf(b.Type, b.Bytes)
			if errors.Is(err, errOther) {
				continue // parameters and the like
			}
			if err != nil {
				return fail("PEM block %d, %s: %v", blocks, text.Cut(b.Type, maxInput), err)
			}
			key, keyKind = spki, word
		}
	}
	switch {
	case blocks == 0:
		return fail("a PEM header without a whole PEM block; expected a certificate or key")
	case len(m.Chain) > 0 && key != nil && keyKind == "private key" && !bytes.Equal(key, m.Chain[0].SPKI()):
		return fail("the private key is not that of the first certificate in the file")
	case len(m.Chain) > 0:
		m.SPKI, m.Kind = m.Chain[0].SPKI(), "certificate"
	case key != nil:
		m.SPKI, m.Kind = key, keyKind
	default:
		return fail("PEM without a certificate or key in it; expected one of these")
	}
	return m, nil
}

// errOther says that a PEM block is of a type that has no key.
var errOther = errors.New("not a key")

// keyOf returns the SubjectPublicKeyInfo of a key or request in a PEM block of type t,
// with the word for it.
func keyOf(t string, der []byte) (spki []byte, word string, err error) {
	var priv any
	switch t {
	case "PUBLIC KEY":
		k, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			return nil, "", err
		}
		return der, "public key", servable(k)
	case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
		r, err := x509.ParseCertificateRequest(der)
		if err != nil {
			return nil, "", err
		}
		return r.RawSubjectPublicKeyInfo, "certificate request", nil
	case "RSA PUBLIC KEY":
		k, err := x509.ParsePKCS1PublicKey(der)
		if err != nil {
			return nil, "", err
		}
		spki, err = x509.MarshalPKIXPublicKey(k)
		return spki, "public key", err
	case "PRIVATE KEY":
		priv, err = x509.ParsePKCS8PrivateKey(der)
	case "RSA PRIVATE KEY":
		priv, err = x509.ParsePKCS1PrivateKey(der)
	case "EC PRIVATE KEY":
		priv, err = x509.ParseECPrivateKey(der)
	default:
		return nil, "", errOther
	}
	if err != nil {
		return nil, "", err
	}
	k, ok := priv.(crypto.Signer) // RSA, ECDSA and Ed25519 sign; what is only there to agree on keys does not
	if !ok {
		return nil, "", servable(priv)
	}
	spki, err = x509.MarshalPKIXPublicKey(k.Public())
	return spki, "private key", err
}

// servable reports whether a TLS server can have a key like this.
func servable(pub crypto.PublicKey) error {
	switch pub.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
		return nil
	}
	return fmt.Errorf("%w (%T), expected RSA, ECDSA or Ed25519", errKeyType, pub)
}

var errKeyType = errors.New("a key of a type that no TLS server has")
