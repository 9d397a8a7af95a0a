package pkix

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Limits of RSA keys.
const (
	// minRSABits is the smallest modulus that proves anything. Keys of 1,024 bits
	// are in use on mail servers, and some generators leave the top bit out; OpenSSL
	// refuses 768 bits at its default security level and accepts 1,023.
	minRSABits = 1023
	// maxRSABits bounds the cost of one signature; crypto/tls has the same limit.
	maxRSABits = 8192
	// maxExponentBits bounds the cost as well: an exponent is below 2^33. Nearly all
	// are 65537; OpenSSL allows 64 bits, for moduli of up to 3,072.
	maxExponentBits = 33
)

// A KeyError says why [CheckKey] does not accept an RSA key.
type KeyError struct {
	Bits     int  // of the modulus; the fault if neither of the others is set
	Exponent bool // the exponent is too large
	Number   bool // a number in it is even or too small
}

// Error returns what the key is: "an RSA key of 512 bits, fewer than 1023".
func (e *KeyError) Error() string {
	switch {
	case e.Exponent:
		return fmt.Sprintf("an RSA key with an exponent of more than %d bits", maxExponentBits)
	case e.Number:
		return "an RSA key with an even or too small number in it"
	case e.Bits < minRSABits:
		return fmt.Sprintf("an RSA key of %d bits, fewer than %d", e.Bits, minRSABits)
	}
	return fmt.Sprintf("an RSA key of %d bits, more than %d", e.Bits, maxRSABits)
}

// CheckKey returns a [*KeyError] if a public key is too weak, or too costly to use, to prove
// who a server is; nil if it is accepted. A key of another type than RSA is accepted as it
// is, and so is nil, a key that could not be read.
func CheckKey(key crypto.PublicKey) error {
	k, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil
	}
	bits := k.N.BitLen()
	switch {
	case bits < minRSABits, bits > maxRSABits:
		return &KeyError{Bits: bits}
	case int64(k.E)>>maxExponentBits != 0:
		return &KeyError{Bits: bits, Exponent: true}
	case k.E < 3 || k.E%2 == 0 || k.N.Bit(0) == 0:
		return &KeyError{Bits: bits, Number: true}
	}
	return nil
}

// ReadKey reads a DER SubjectPublicKeyInfo, of a peer that presented a bare key or
// from a [Certificate]. It takes more than crypto/x509 (RSA without NULL, large RSA
// exponents). An error wraps [ErrMalformed] and says what the key is.
func ReadKey(spki []byte) (crypto.PublicKey, error) {
	key, _, _, why := readKey(spki)
	if why != "" {
		return nil, fmt.Errorf("%w: public key: %s", ErrMalformed, why)
	}
	return key, nil
}

// UnreadKey says what a DER SubjectPublicKeyInfo is that [ReadKey] does not read: "an
// Ed448 key, which this program cannot use"; "" if it does.
func UnreadKey(spki []byte) string {
	_, _, _, why := readKey(spki)
	return why
}

var (
	oidRSA       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidRSAPSS    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidDSA       = asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}
	oidECDSA     = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidX25519    = asn1.ObjectIdentifier{1, 3, 101, 110}
	oidEd25519   = asn1.ObjectIdentifier{1, 3, 101, 112}
	oidEd448     = asn1.ObjectIdentifier{1, 3, 101, 113}
	oidSecp256k1 = asn1.ObjectIdentifier{1, 3, 132, 0, 10}
)

// curves are those that signatures can be checked on.
var curves = []struct {
	oid   asn1.ObjectIdentifier
	curve elliptic.Curve
}{
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}, elliptic.P256()},
	{asn1.ObjectIdentifier{1, 3, 132, 0, 34}, elliptic.P384()},
	{asn1.ObjectIdentifier{1, 3, 132, 0, 35}, elliptic.P521()},
	{asn1.ObjectIdentifier{1, 3, 132, 0, 33}, elliptic.P224()},
}

// readKey reads a SubjectPublicKeyInfo. odd is what crypto/x509 refuses in a key
// that was read, why says that and why it was not.
func readKey(spki []byte) (key crypto.PublicKey, alg x509.PublicKeyAlgorithm, odd, why string) {
	body, ok := inside(spki, casn1.SEQUENCE)
	var ai cryptobyte.String
	var oid asn1.ObjectIdentifier
	var bits asn1.BitString
	if !ok || !body.ReadASN1(&ai, casn1.SEQUENCE) || !ai.ReadASN1ObjectIdentifier(&oid) || !body.ReadASN1BitString(&bits) {
		return nil, 0, "", "not a SubjectPublicKeyInfo"
	}
	data := bits.RightAlign()
	switch {
	case oid.Equal(oidRSA):
		key, odd, why := readRSA(ai, data)
		if key == nil {
			return nil, x509.RSA, "", why // not a typed nil
		}
		return key, x509.RSA, odd, ""
	case oid.Equal(oidECDSA):
		key, odd, why := readECDSA(ai, data)
		if key == nil {
			return nil, x509.ECDSA, "", why
		}
		return key, x509.ECDSA, odd, ""
	case oid.Equal(oidEd25519):
		if !ai.Empty() || len(data) != ed25519.PublicKeySize {
			return nil, x509.Ed25519, "", "a malformed Ed25519 key"
		}
		return ed25519.PublicKey(data), x509.Ed25519, "", ""
	case oid.Equal(oidDSA):
		return nil, x509.DSA, "", "a DSA key, which this program cannot use"
	case oid.Equal(oidRSAPSS):
		return nil, 0, "", "an RSA key for PSS signatures only, which this program cannot use"
	case oid.Equal(oidEd448):
		return nil, 0, "", "an Ed448 key, which this program cannot use"
	case oid.Equal(oidX25519):
		return nil, 0, "", "an X25519 key, which signs nothing"
	}
	return nil, 0, "", "a key of the unknown algorithm " + oid.String()
}

func readRSA(params cryptobyte.String, data []byte) (key *rsa.PublicKey, odd, why string) {
	if params.Empty() {
		odd = "an RSA key without the parameter NULL" // RFC 3279 section 2.3.1
	} else if string(params) != "\x05\x00" {
		return nil, "", "an RSA key with unknown parameters"
	}
	n, e := new(big.Int), new(big.Int)
	body, ok := inside(data, casn1.SEQUENCE)
	if !ok || !body.ReadASN1Integer(n) || !body.ReadASN1Integer(e) || n.Sign() <= 0 || e.Sign() <= 0 {
		return nil, "", "a malformed RSA key"
	}
	if int64(int(e.Int64())) != e.Int64() || !e.IsInt64() {
		return nil, "", fmt.Sprintf("an RSA key with an exponent of %d bits", e.BitLen())
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, odd, ""
}

// readECDSA reads a key on a named curve. Explicit parameters are not compared
// with those of named curves: that is how a forged curve got in elsewhere
// (CVE-2020-0601).
func readECDSA(params cryptobyte.String, data []byte) (key *ecdsa.PublicKey, odd, why string) {
	if params.PeekASN1Tag(casn1.SEQUENCE) {
		return nil, "", "an elliptic curve that is written out in parameters, not named"
	}
	var oid asn1.ObjectIdentifier
	if !params.ReadASN1ObjectIdentifier(&oid) {
		return nil, "", "an elliptic curve key without a curve"
	}
	for _, c := range curves {
		if !oid.Equal(c.oid) {
			continue
		}
		if key, err := ecdsa.ParseUncompressedPublicKey(c.curve, data); err == nil {
			return key, "", ""
		}
		if x, y := elliptic.UnmarshalCompressed(c.curve, data); x != nil {
			size := (c.curve.Params().BitSize + 7) / 8
			point := append(x.FillBytes(make([]byte, size)), y.FillBytes(make([]byte, size))...)
			if key, err := ecdsa.ParseUncompressedPublicKey(c.curve, append([]byte{4}, point...)); err == nil {
				return key, "an elliptic curve key with a compressed point", ""
			}
		}
		return nil, "", "an elliptic curve key that is not a point of " + c.curve.Params().Name
	}
	if oid.Equal(oidSecp256k1) {
		return nil, "", "a key on the curve secp256k1, which this program cannot use"
	}
	return nil, "", "a key on the curve " + oid.String() + ", which this program cannot use"
}

// canSign reports whether key is of a type that signs certificates here.
func canSign(key crypto.PublicKey) bool {
	switch key.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}
