package certtest

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"io"
	"math/big"
	"sync"
)

// An RSAKey is an RSA key of any size and exponent, also of those that crypto/rsa
// does not make. It signs by PKCS #1 v1.5 and SHA-256.
type RSAKey struct {
	N, E, d *big.Int

	primes [2]*big.Int
}

// NewRSA makes a key with a modulus of exactly bits and the exponent e, which must be
// a prime.
func NewRSA(bits int, e int64) *RSAKey {
	one, exp := big.NewInt(1), big.NewInt(e)
	for {
		p, err := rand.Prime(rand.Reader, (bits+1)/2)
		if err != nil {
			panic(err) // the random source of the system has ended
		}
		q, err := rand.Prime(rand.Reader, bits-(bits+1)/2)
		if err != nil {
			panic(err)
		}
		n, primes := new(big.Int).Mul(p, q), [2]*big.Int{new(big.Int).Set(p), new(big.Int).Set(q)}
		phi := new(big.Int).Mul(p.Sub(p, one), q.Sub(q, one))
		d := new(big.Int).ModInverse(exp, phi)
		if n.BitLen() == bits && d != nil {
			return &RSAKey{n, exp, d, primes}
		}
	}
}

// SPKI returns the SubjectPublicKeyInfo, with the parameter NULL or without.
func (k *RSAKey) SPKI(null bool) []byte {
	var params []byte
	if null {
		params = TLV(Null)
	}
	key := TLV(Sequence, integer(k.N), integer(k.E))
	return TLV(Sequence, TLV(Sequence, ID(1, 2, 840, 113549, 1, 1, 1), params), TLV(BitString, []byte{0}, key))
}

func integer(n *big.Int) []byte {
	b := n.Bytes()
	if len(b) == 0 || b[0]&0x80 != 0 {
		b = append([]byte{0}, b...)
	}
	return TLV(Integer, b)
}

// crypto returns the key for crypto/rsa, which makes signatures of PSS.
func (k *RSAKey) crypto() *rsa.PrivateKey {
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: k.N, E: int(k.E.Int64())}, D: k.d, Primes: k.primes[:]}
	key.Precompute()
	return key
}

// Public returns the public key. Its exponent must fit an int.
func (k *RSAKey) Public() crypto.PublicKey {
	return &rsa.PublicKey{N: k.N, E: int(k.E.Int64())}
}

// Sign signs a SHA-256 digest (PKCS #1 v1.5).
func (k *RSAKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != crypto.SHA256 || len(digest) != sha256.Size {
		return nil, errors.New("certtest: only SHA-256")
	}
	size := (k.N.BitLen() + 7) / 8
	t := append([]byte("\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"), digest...)
	em := make([]byte, size)
	em[1] = 1
	for i := 2; i < size-len(t)-1; i++ {
		em[i] = 0xff
	}
	copy(em[size-len(t):], t)
	return new(big.Int).Exp(new(big.Int).SetBytes(em), k.d, k.N).FillBytes(em), nil
}

// SignRSA returns the certificate with a signature by an RSA key; Algorithm is set.
func (c *Certificate) SignRSA(key *RSAKey) []byte {
	c.Algorithm = SHA256WithRSA
	tbs := c.TBS()
	sum := sha256.Sum256(tbs)
	sig, err := key.Sign(nil, sum[:], crypto.SHA256)
	if err != nil {
		panic(err) // the digest is one of SHA-256
	}
	return c.WithSignature(tbs, sig)
}

// Keys that are slow to make, each made once.
var (
	rsa2048  = sync.OnceValue(func() *RSAKey { return NewRSA(2048, 65537) })
	rsa1023  = sync.OnceValue(func() *RSAKey { return NewRSA(1023, 65537) })
	rsa512   = sync.OnceValue(func() *RSAKey { return NewRSA(512, 65537) })
	rsaLarge = sync.OnceValue(func() *RSAKey { return NewRSA(2048, 1<<32+15) }) // the first prime above 2^32
)

// explicitP256 is a P-256 key whose curve is written out (RFC 3279 section 2.3.5).
func explicitP256(key Key) []byte {
	p := elliptic.P256().Params()
	point := key.SPKI[len(key.SPKI)-65:]
	a := new(big.Int).Sub(p.P, big.NewInt(3))
	octets := func(n *big.Int) []byte { return TLV(OctetString, n.FillBytes(make([]byte, 32))) }
	generator := append(append([]byte{4}, p.Gx.FillBytes(make([]byte, 32))...), p.Gy.FillBytes(make([]byte, 32))...)
	params := TLV(Sequence,
		TLV(Integer, []byte{1}),
		TLV(Sequence, ID(1, 2, 840, 10045, 1, 1), integer(p.P)),
		TLV(Sequence, octets(a), octets(p.B)),
		TLV(OctetString, generator), integer(p.N), TLV(Integer, []byte{1}))
	return TLV(Sequence, TLV(Sequence, ID(1, 2, 840, 10045, 2, 1), params), TLV(BitString, []byte{0}, point))
}

// compressedP256 is a P-256 key whose point is compressed (RFC 5480 section 2.2).
func compressedP256(key Key) []byte {
	point := key.SPKI[len(key.SPKI)-65:]
	curve := TLV(Sequence, ID(1, 2, 840, 10045, 2, 1), ID(1, 2, 840, 10045, 3, 1, 7))
	return spki(curve, append([]byte{2 + point[64]&1}, point[1:33]...))
}

// spki is a SubjectPublicKeyInfo of any algorithm.
func spki(algorithm []byte, key []byte) []byte {
	return TLV(Sequence, algorithm, TLV(BitString, []byte{0}, key))
}

// secp256k1 is the generator of that curve as a key.
func secp256k1() []byte {
	g, _ := new(big.Int).SetString("0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8", 16)
	return spki(TLV(Sequence, ID(1, 2, 840, 10045, 2, 1), ID(1, 3, 132, 0, 10)), g.FillBytes(make([]byte, 65)))
}

// dsa is a DSA key of the shape of one of 1,024 bits; its numbers are random.
func dsa() []byte {
	number := func(bits int) []byte {
		b := make([]byte, bits/8)
		rand.Read(b)
		b[0] = b[0]&0x7f | 0x40
		return TLV(Integer, b)
	}
	return spki(TLV(Sequence, ID(1, 2, 840, 10040, 4, 1), TLV(Sequence, number(1024), number(160), number(1024))), number(1024))
}
