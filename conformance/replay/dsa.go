package replay

import (
	"crypto"
	//lint:ignore SA1019 old test data is signed with nothing else
	"crypto/dsa"
	"crypto/sha1"
	"encoding/asn1"
	"errors"
	"maps"
	"math/big"

	"github.com/mxauth/mxauth/dnssec/proof"
)

// Numbers of the algorithms that only old test data needs.
const (
	algDSA          = 3
	algDSANSEC3SHA1 = 6
)

// minOldRSABits is the floor for RSA keys of old test data.
const minOldRSABits = 512

// Algorithms returns the default algorithms of a validator and those
// that published test data of 2006 to 2015 was signed with: RSA with SHA-1, RSA keys
// from 512 bits on, and DSA.
//
// WARNING: this is for reading old vectors only. RFC 8624 section 3.1 forbids DSA and
// RFC 9905 section 2 RSA with SHA-1; a validator of real names uses
// [proof.DefaultAlgorithms]. The short RSA keys need GODEBUG=rsa1024min=0 besides.
func Algorithms() proof.Algorithms {
	a := maps.Clone(proof.DefaultAlgorithms())
	a[proof.RSASHA256] = proof.RSA(crypto.SHA256, minOldRSABits)
	a[proof.RSASHA512] = proof.RSA(crypto.SHA512, minOldRSABits)
	a[proof.RSASHA1] = proof.RSA(crypto.SHA1, minOldRSABits)
	a[proof.RSASHA1NSEC3SHA1] = proof.RSA(crypto.SHA1, minOldRSABits)
	a[algDSA] = parseDSA
	a[algDSANSEC3SHA1] = parseDSA
	return a
}

type dsaKey struct{ pub dsa.PublicKey }

// parseDSA reads a DSA key (RFC 2536 section 2): T, Q of 20 octets, then P, G and Y
// of 64+8T octets each.
func parseDSA(key []byte) (proof.PublicKey, error) {
	if len(key) < 1 || key[0] > 8 {
		return nil, errors.New("DSA key with a bad T")
	}
	n := 64 + 8*int(key[0])
	if len(key) != 1+20+3*n {
		return nil, errors.New("DSA key of a bad length")
	}
	b := key[1:]
	num := func(n int) *big.Int {
		v := new(big.Int).SetBytes(b[:n])
		b = b[n:]
		return v
	}
	k := &dsaKey{}
	k.pub.Q = num(20)
	k.pub.P = num(n)
	k.pub.G = num(n)
	k.pub.Y = num(n)
	if k.pub.P.Sign() == 0 || k.pub.Q.Sign() == 0 {
		return nil, errors.New("DSA key of zeros")
	}
	return k, nil
}

// Verify takes a signature of 41 octets (RFC 2536 section 3: T, r, s), or the DER
// form that Unbound's test data has.
func (k *dsaKey) Verify(data, sig []byte) bool {
	h := sha1.Sum(data)
	if len(sig) == 41 {
		r, s := new(big.Int).SetBytes(sig[1:21]), new(big.Int).SetBytes(sig[21:])
		return dsa.Verify(&k.pub, h[:], r, s)
	}
	var v struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(sig, &v); err != nil || len(rest) > 0 {
		return false
	}
	return dsa.Verify(&k.pub, h[:], v.R, v.S)
}
