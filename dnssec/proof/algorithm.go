package proof

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"math/big"
)

// Numbers of the IANA registry "DNS Security Algorithm Numbers" (as of 2025-11,
// after RFC 9904, 9905 and 9906).
const (
	RSASHA1          = 5
	RSASHA1NSEC3SHA1 = 7
	RSASHA256        = 8
	RSASHA512        = 10
	ECDSAP256SHA256  = 13
	ECDSAP384SHA384  = 14
	ED25519          = 15
)

// A PublicKey checks signatures. Verify reports whether sig, in the form that
// RRSIG has for the algorithm, is one over data. It is safe for concurrent use.
type PublicKey interface {
	Verify(data, sig []byte) bool
}

// An Algorithm makes a key of the public key field of a DNSKEY record. Errors
// wrap [ErrKey] or [ErrKeySize].
type Algorithm func(key []byte) (PublicKey, error)

// Algorithms are the algorithms that a validator supports, by number. A number
// that is not in it makes a zone insecure if nothing else signs it.
type Algorithms map[uint8]Algorithm

// Bounds of RSA keys. RFC 5702 section 2.1 and 2.2 allow 512 (for SHA-256) and
// 1024 (for SHA-512) to 4096 bits; the floor of 1024 for all is a policy, and what
// Go's crypto/rsa has too.
const (
	MinRSABits = 1024
	MaxRSABits = 4096
)

// DefaultAlgorithms returns what a validator supports if nothing else is said: 8,
// 10, 13, 14 and 15. Ed448 (16) is absent since Go's library has none. RSA with
// SHA-1 (5 and 7) is absent by RFC 9905 section 2; see [SHA1Algorithms].
func DefaultAlgorithms() Algorithms {
	return Algorithms{ // ALG8624-3.1-01: RFC 8624 section 3.1; ALG8624-3.1-02: RFC 8624 section 3.1
		RSASHA256:       RSA(crypto.SHA256, MinRSABits),
		RSASHA512:       RSA(crypto.SHA512, MinRSABits),
		ECDSAP256SHA256: ecdsaAlgorithm(elliptic.P256(), 32),
		ECDSAP384SHA384: ecdsaAlgorithm(elliptic.P384(), 48),
		ED25519:         ed25519Algorithm,
	}
}

// SHA1Algorithms returns algorithms 5 and 7, which an operator may add to those of
// [DefaultAlgorithms] (RFC 9905 section 2: validation stays available).
func SHA1Algorithms() Algorithms {
	return Algorithms{ // ALG8624-3.1-04: RFC 8624 section 3.1; ALG9905-2-02: RFC 9905 section 2
		RSASHA1:          RSA(crypto.SHA1, MinRSABits),
		RSASHA1NSEC3SHA1: RSA(crypto.SHA1, MinRSABits),
	}
}

type rsaKey struct {
	pub  *rsa.PublicKey // nil: see verifyByHand
	n, e *big.Int
	hash crypto.Hash
}

// RSA returns the RSA algorithm (RFC 3110, RFC 5702) with the hash, which is SHA-1,
// SHA-256 or SHA-512, for keys of minBits to [MaxRSABits] bits. WARNING: a minBits
// below [MinRSABits] is for checking old test data only; [DefaultAlgorithms] has safe
// bounds.
func RSA(hash crypto.Hash, minBits int) Algorithm {
	return func(key []byte) (PublicKey, error) {
		// RFC 3110 section 2: one octet of exponent length, or a zero and two.
		if len(key) < 3 {
			return nil, errorf(ErrKey, "RSA key of %d octets", len(key))
		}
		n, rest := int(key[0]), key[1:]
		if n == 0 {
			n, rest = int(key[1])<<8|int(key[2]), key[3:]
		}
		if n == 0 || n >= len(rest) {
			return nil, errorf(ErrKey, "RSA key cut off")
		}
		e := new(big.Int).SetBytes(rest[:n])
		m := new(big.Int).SetBytes(rest[n:])
		// RSA5702-2.1-01: RFC 5702 section 2.1
		if bits := m.BitLen(); bits < minBits || bits > MaxRSABits {
			return nil, errorf(ErrKeySize, "RSA key of %d bits", bits)
		}
		// RFC 3110 section 2 allows exponents of any length. A check costs as many
		// squarings as the exponent has bits; those in use have at most 33 (2^32+1).
		if e.BitLen() > maxExponentBits || e.Bit(0) == 0 || e.BitLen() < 2 || m.Bit(0) == 0 {
			return nil, errorf(ErrKey, "RSA exponent or modulus out of bounds")
		}
		k := &rsaKey{hash: hash, n: m, e: e}
		if e.BitLen() <= 31 && m.BitLen() >= 1024 {
			k.pub = &rsa.PublicKey{N: m, E: int(e.Int64())}
		}
		return k, nil
	}
}

// maxExponentBits bounds the exponent of an RSA key.
const maxExponentBits = 64

// Verify checks PKCS #1 v1.5 padding over the full length of the modulus (RFC 5702
// section 3). A signature of another length fails.
func (k *rsaKey) Verify(data, sig []byte) bool {
	var sum []byte
	switch k.hash {
	case crypto.SHA256:
		h := sha256.Sum256(data)
		sum = h[:]
	case crypto.SHA512:
		h := sha512.Sum512(data)
		sum = h[:]
	default:
		h := sha1.Sum(data)
		sum = h[:]
	}
	if k.pub != nil {
		// RSA5702-3-01: RFC 5702 section 3
		return rsa.VerifyPKCS1v15(k.pub, k.hash, sum, sig) == nil
	}
	return k.verifyByHand(sum, sig)
}

// verifyByHand is for what crypto/rsa does not take: an exponent above 2^31-1, and the
// short keys of old test data. Everything in it is public, so its timing reveals nothing.
func (k *rsaKey) verifyByHand(sum, sig []byte) bool {
	size := (k.n.BitLen() + 7) / 8
	s := new(big.Int).SetBytes(sig)
	if len(sig) != size || s.Cmp(k.n) >= 0 {
		return false
	}
	// RFC 8017 section 9.2: 0, 1, eight or more times 255, 0, DigestInfo.
	var prefix []byte
	switch k.hash {
	case crypto.SHA1:
		prefix = []byte{0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14}
	case crypto.SHA256:
		prefix = []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}
	case crypto.SHA512:
		prefix = []byte{0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40}
	default:
		return false
	}
	pad := size - 3 - len(prefix) - len(sum)
	if pad < 8 {
		return false
	}
	want := make([]byte, 0, size)
	want = append(want, 0, 1)
	want = append(want, bytes.Repeat([]byte{255}, pad)...)
	want = append(want, 0)
	want = append(append(want, prefix...), sum...)
	got := make([]byte, size)
	new(big.Int).Exp(s, k.e, k.n).FillBytes(got)
	return bytes.Equal(got, want)
}

type ecdsaKey struct {
	pub  *ecdsa.PublicKey
	size int // octets of r, and of s
}

// ecdsaAlgorithm is ECDSA with the curve (RFC 6605 section 4): the key is the
// uncompressed point without its prefix octet, the signature r and s of size
// octets each.
func ecdsaAlgorithm(curve elliptic.Curve, size int) Algorithm {
	return func(key []byte) (PublicKey, error) {
		if len(key) != 2*size {
			return nil, errorf(ErrKey, "ECDSA key of %d octets", len(key))
		}
		pub, err := ecdsa.ParseUncompressedPublicKey(curve, append([]byte{4}, key...))
		if err != nil {
			return nil, errorf(ErrKey, "ECDSA key is no point of the curve")
		}
		return &ecdsaKey{pub, size}, nil
	}
}

func (k *ecdsaKey) Verify(data, sig []byte) bool {
	if len(sig) != 2*k.size { // ECDSA6605-4-01: RFC 6605 section 4
		return false
	}
	var buf [2 + 2*(3+48)]byte // SEQUENCE of two INTEGERs, all lengths below 128
	der := buf[:2]
	der = appendInteger(der, sig[:k.size])
	der = appendInteger(der, sig[k.size:])
	der[0], der[1] = 0x30, byte(len(der)-2)
	if k.size == 48 {
		h := sha512.Sum384(data)
		return ecdsa.VerifyASN1(k.pub, h[:], der)
	}
	h := sha256.Sum256(data)
	return ecdsa.VerifyASN1(k.pub, h[:], der)
}

// appendInteger appends the DER form of an unsigned integer.
func appendInteger(der, n []byte) []byte {
	for len(n) > 1 && n[0] == 0 {
		n = n[1:]
	}
	if n[0] >= 0x80 {
		der = append(der, 2, byte(len(n)+1), 0)
	} else {
		der = append(der, 2, byte(len(n)))
	}
	return append(der, n...)
}

type ed25519Key ed25519.PublicKey

// ed25519Algorithm is Ed25519 (RFC 8080 section 3).
func ed25519Algorithm(key []byte) (PublicKey, error) {
	if len(key) != ed25519.PublicKeySize {
		return nil, errorf(ErrKey, "Ed25519 key of %d octets", len(key))
	}
	return ed25519Key(append([]byte(nil), key...)), nil
}

func (k ed25519Key) Verify(data, sig []byte) bool {
	return len(sig) == ed25519.SignatureSize && ed25519.Verify(ed25519.PublicKey(k), data, sig)
}
