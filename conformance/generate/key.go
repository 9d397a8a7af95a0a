package generate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"sync"

	"github.com/miekg/dns"
)

// A key is a DNSKEY with its private half.
type key struct {
	rr   *dns.DNSKEY
	priv crypto.Signer
}

// Algorithms are those that the zones are signed with.
var Algorithms = []uint8{dns.ECDSAP256SHA256, dns.ED25519, dns.ECDSAP384SHA384, dns.RSASHA256, dns.RSASHA512}

// Flags of a DNSKEY (RFC 4034 section 2.1.1, RFC 3757, RFC 5011 section 7).
const (
	flagZone   = 256
	flagSEP    = 1
	flagRevoke = 128
)

// newKey makes a key from the random numbers alone.
func newKey(rng *rand.Rand, apex string, algorithm uint8, flags uint16) (*key, error) {
	var priv crypto.Signer
	var public []byte
	switch algorithm {
	case dns.RSASHA256, dns.RSASHA512:
		k := rsaKeys()[flags&flagSEP]
		priv = k
		public = append([]byte{3, 1, 0, 1}, k.N.Bytes()...) // RFC 3110 section 2
	case dns.ECDSAP256SHA256, dns.ECDSAP384SHA384:
		curve := elliptic.P256()
		if algorithm == dns.ECDSAP384SHA384 {
			curve = elliptic.P384()
		}
		k, err := ecdsa.ParseRawPrivateKey(curve, octets(rng, curve.Params().BitSize/8))
		if err != nil {
			return nil, err
		}
		point, err := k.PublicKey.Bytes()
		if err != nil {
			return nil, err
		}
		priv, public = k, point[1:] // RFC 6605 section 4: without the prefix
	case dns.ED25519:
		k := ed25519.NewKeyFromSeed(octets(rng, ed25519.SeedSize))
		priv, public = k, k.Public().(ed25519.PublicKey)
	default:
		return nil, fmt.Errorf("no keys of algorithm %d", algorithm)
	}
	return &key{priv: steady{priv}, rr: &dns.DNSKEY{
		Hdr:   header(apex, dns.TypeDNSKEY),
		Flags: flags, Protocol: 3, Algorithm: algorithm,
		PublicKey: base64.StdEncoding.EncodeToString(public),
	}}, nil
}

// octets are n random octets; the first is small, so that they are below the order of
// a curve.
func octets(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	b[0] &= 0x7f
	return b
}

// steady signs without random numbers (RFC 6979), so that a seed makes the same
// signatures each time.
type steady struct{ crypto.Signer }

func (s steady) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.Signer.Sign(nil, digest, opts)
}

// rsaKeys are the two RSA keys of all zones, of 2048 bits: the first signs data, the
// second keys. They are searched for once, with random numbers of their own.
var rsaKeys = sync.OnceValue(func() (keys [2]*rsa.PrivateKey) {
	rng := rand.New(rand.NewPCG(2048, 65537))
	e := big.NewInt(65537)
	for i := range keys {
		p, q := prime(rng, 1024), prime(rng, 1024)
		one := big.NewInt(1)
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		k := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537}, D: new(big.Int).ModInverse(e, phi), Primes: []*big.Int{p, q}}
		k.Precompute()
		keys[i] = k
	}
	return keys
})

// prime finds a prime of that many bits whose two highest are set, and to which 65537
// is a good exponent.
func prime(rng *rand.Rand, bits int) *big.Int {
	b := octets(rng, bits/8)
	b[0] |= 0xc0
	b[len(b)-1] |= 1
	p := new(big.Int).SetBytes(b)
	for two := big.NewInt(2); ; p.Add(p, two) {
		left := new(big.Int).Mod(p, big.NewInt(65537))
		if left.Cmp(big.NewInt(1)) != 0 && p.ProbablyPrime(10) {
			return p
		}
	}
}

// strangers holds a key an algorithm that is no zone's.
var strangers = sync.OnceValues(func() (map[uint8]*key, error) {
	rng := rand.New(rand.NewPCG(0, 0))
	out := map[uint8]*key{}
	for _, a := range Algorithms {
		k, err := newKey(rng, "stranger.", a, flagZone+flagSEP)
		if err != nil {
			return nil, err
		}
		out[a] = k
	}
	return out, nil
})

// header is that of a record with the usual TTL.
func header(owner string, typ uint16) dns.RR_Header {
	return dns.RR_Header{Name: owner, Rrtype: typ, Class: dns.ClassINET, Ttl: usualTTL}
}

// usualTTL is the TTL of records in seconds.
const usualTTL = 300
