// Package certtest writes certificates that no library would write, for tests and
// for the lab: a serial number of -5, an underscore in a PrintableString, a
// subjectAltName entry of five bytes.
//
//	key := certtest.NewKey()
//	c := certtest.New("mx.example.org", key.SPKI)
//	c.Serial = certtest.TLV(0x02, []byte{0xfb})
//	der := certtest.NewCA().Issue(c)
//
// [Kinds] lists what is seen on mail servers. Every field of a [Certificate] is the
// DER of that field, so anything can be written.
package certtest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"time"
)

// Now is inside the dates of the certificates of this package.
var Now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// TLV returns one DER element: tag, length in the shortest form, parts.
func TLV(tag byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	out := []byte{tag}
	switch n := len(body); {
	case n < 0x80:
		out = append(out, byte(n))
	case n < 0x100:
		out = append(out, 0x81, byte(n))
	case n < 0x10000:
		out = append(out, 0x82, byte(n>>8), byte(n))
	case n < 0x1000000:
		out = append(out, 0x83, byte(n>>16), byte(n>>8), byte(n))
	default:
		out = append(out, 0x84, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(out, body...)
}

// Tags of DER elements.
const (
	Boolean         = 0x01
	Integer         = 0x02
	BitString       = 0x03
	OctetString     = 0x04
	Null            = 0x05
	OID             = 0x06
	UTF8String      = 0x0c
	Sequence        = 0x30
	Set             = 0x31
	PrintableString = 0x13
	IA5String       = 0x16
	UTCTime         = 0x17
	GeneralizedTime = 0x18
	UniversalString = 0x1c
)

// ID returns an object identifier.
func ID(arcs ...int) []byte {
	der, err := asn1.Marshal(asn1.ObjectIdentifier(arcs))
	if err != nil {
		panic(err) // arcs are written down in this repository
	}
	return der
}

// Name returns a Name of one attribute, by the last arc of id-at (3 is the common
// name).
func Name(attribute int, tag byte, text string) []byte {
	return TLV(Sequence, TLV(Set, TLV(Sequence, ID(2, 5, 4, attribute), TLV(tag, []byte(text)))))
}

// Extension returns an extension. A nil critical leaves the mark out; else it is the
// byte of the BOOLEAN.
func Extension(critical []byte, value []byte, id ...int) []byte {
	var mark []byte
	if critical != nil {
		mark = TLV(Boolean, critical)
	}
	return TLV(Sequence, ID(id...), mark, TLV(OctetString, value))
}

// Critical marks an extension as critical, as DER has it.
var Critical = []byte{0xff}

// SAN returns a subjectAltName of these GeneralNames.
func SAN(names ...[]byte) []byte { return Extension(nil, TLV(Sequence, names...), 2, 5, 29, 17) }

// DNSName returns the GeneralName of a host.
func DNSName(host string) []byte { return TLV(0x82, []byte(host)) }

// Signature algorithms, as AlgorithmIdentifiers.
var (
	ECDSAWithSHA256 = TLV(Sequence, ID(1, 2, 840, 10045, 4, 3, 2))
	ECDSAWithSHA384 = TLV(Sequence, ID(1, 2, 840, 10045, 4, 3, 3))
	SHA256WithRSA   = TLV(Sequence, ID(1, 2, 840, 113549, 1, 1, 11), TLV(Null))
	MD5WithRSA      = TLV(Sequence, ID(1, 2, 840, 113549, 1, 1, 4), TLV(Null))
)

// A Certificate holds the DER of each field, tag and length included. [New] makes
// one in which nothing is odd.
type Certificate struct {
	Version    []byte // [0] EXPLICIT INTEGER; nil for version 1
	Serial     []byte
	Algorithm  []byte // inner
	Issuer     []byte
	NotBefore  []byte
	NotAfter   []byte
	Subject    []byte
	SPKI       []byte
	Extensions [][]byte // nil leaves the list out
	Outer      []byte   // outer algorithm; nil is Algorithm
	Tail       []byte   // after the extensions, within what is signed
	// Private is the key that [Kind].Change put in the place of the server's; nil if it
	// put none there, or one that crypto does not have.
	Private crypto.Signer
}

// New returns a version 3 certificate of host, valid around [Now], with a
// subjectAltName, to be signed with ECDSA and SHA-256.
func New(host string, spki []byte) *Certificate {
	return &Certificate{
		Version:    TLV(0xa0, TLV(Integer, []byte{2})),
		Serial:     TLV(Integer, []byte{0x01, 0x23, 0x45, 0x67}),
		Algorithm:  ECDSAWithSHA256,
		NotBefore:  TLV(UTCTime, []byte("260101000000Z")),
		NotAfter:   TLV(UTCTime, []byte("270301000000Z")),
		Subject:    Name(3, UTF8String, host),
		SPKI:       spki,
		Extensions: [][]byte{SAN(DNSName(host))},
	}
}

// TBS returns what is signed.
func (c *Certificate) TBS() []byte {
	var extensions []byte
	if c.Extensions != nil {
		extensions = TLV(0xa3, TLV(Sequence, c.Extensions...))
	}
	return TLV(Sequence, c.Version, c.Serial, c.Algorithm, c.Issuer, TLV(Sequence, c.NotBefore, c.NotAfter),
		c.Subject, c.SPKI, extensions, c.Tail)
}

// Sign returns the certificate with a signature by key.
func (c *Certificate) Sign(key *ecdsa.PrivateKey) []byte {
	tbs := c.TBS()
	sum := sha256.Sum256(tbs)
	sig, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		panic(err) // the random source of the system has ended
	}
	return c.WithSignature(tbs, sig)
}

// WithSignature puts the parts of a certificate together.
func (c *Certificate) WithSignature(tbs, signature []byte) []byte {
	outer := c.Outer
	if outer == nil {
		outer = c.Algorithm
	}
	return TLV(Sequence, tbs, outer, TLV(BitString, []byte{0}, signature))
}

// A CA signs certificates with a P-256 key.
type CA struct {
	Key  *ecdsa.PrivateKey
	Name []byte
	DER  []byte // its own certificate, self-signed
}

// NewCA makes a CA. Changes alter its own certificate before it is signed.
func NewCA(changes ...func(*Certificate)) *CA {
	key := NewKey()
	ca := &CA{Key: key.Private.(*ecdsa.PrivateKey), Name: Name(3, UTF8String, "example CA")}
	c := New("ca.example", key.SPKI)
	c.Subject, c.Issuer = ca.Name, ca.Name
	c.Extensions = [][]byte{
		Extension(Critical, TLV(Sequence, TLV(Boolean, Critical)), 2, 5, 29, 19),
		Extension(Critical, TLV(BitString, []byte{2, 0x04}), 2, 5, 29, 15), // keyCertSign
	}
	for _, f := range changes {
		f(c)
	}
	ca.Name = c.Subject
	ca.DER = c.Sign(ca.Key)
	return ca
}

// Issue signs c, with the CA as its issuer.
func (ca *CA) Issue(c *Certificate) []byte {
	c.Issuer = ca.Name
	return c.Sign(ca.Key)
}

// A Key is a server's key.
type Key struct {
	SPKI []byte
	// Private is nil for a key that crypto cannot use.
	Private crypto.Signer
}

// NewKey makes a P-256 key.
func NewKey() Key {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // the random source of the system has ended
	}
	return Key{SPKI: marshal(key.Public()), Private: key}
}

func marshal(key crypto.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(fmt.Sprintf("certtest: %v", err)) // keys of this package are of known types
	}
	return der
}
