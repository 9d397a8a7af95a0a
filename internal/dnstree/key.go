package dnstree

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
	"time"

	"github.com/miekg/dns"
)

// A Key is a DNSKEY record with its private half.
type Key struct {
	*dns.DNSKEY
	Private crypto.Signer // nil where it is not known
}

// Flags of a DNSKEY (RFC 4034 section 2.1.1, RFC 3757, RFC 5011 section 7).
const (
	FlagZone   = 256
	FlagSEP    = 1
	FlagRevoke = 128
)

// Numbers that no validator implements: from the private end of the registries.
const (
	UnknownAlgorithm = 250
	UnknownDigest    = 250
)

// keyTTL is the TTL of new keys in seconds.
const keyTTL = 3600

func newDNSKEY(zone string, algorithm uint8, flags uint16) *dns.DNSKEY {
	return &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: zone, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: keyTTL},
		Flags: flags, Protocol: 3, Algorithm: algorithm,
	}
}

// NewKey makes a key of that many bits; 0 bits is the usual size. Algorithm 0 is that of
// P-256; one that is not implemented gets a P-256 key under its number, and [Sign] takes it.
func NewKey(zone string, algorithm uint8, flags uint16, bits int) (Key, error) {
	k := newDNSKEY(zone, algorithm, flags)
	usual := 256
	switch algorithm {
	case dns.RSASHA1, dns.RSASHA1NSEC3SHA1, dns.RSASHA256, dns.RSASHA512:
		usual = 2048
	case dns.ECDSAP384SHA384:
		usual = 384
	case dns.ECDSAP256SHA256, dns.ED25519:
	default:
		k.Algorithm = dns.ECDSAP256SHA256
	}
	if bits == 0 {
		bits = usual
	}
	private, err := k.Generate(bits)
	if err != nil {
		return Key{}, fmt.Errorf("key of %s: %w", zone, err)
	}
	if algorithm != 0 {
		k.Algorithm = algorithm
	}
	return Key{k, private.(crypto.Signer)}, nil
}

// SeededKey makes a key from the random numbers alone. It signs without random numbers, so
// that a seed makes the same signatures each time. There are two RSA keys for all zones, one
// with the flag SEP and one without.
func SeededKey(rng *rand.Rand, zone string, algorithm uint8, flags uint16) (Key, error) {
	var private crypto.Signer
	var public []byte
	switch algorithm {
	case dns.RSASHA256, dns.RSASHA512:
		k := rsaKeys()[flags&FlagSEP]
		private = k
		public = append([]byte{3, 1, 0, 1}, k.N.Bytes()...) // RFC 3110 section 2
	case dns.ECDSAP256SHA256, dns.ECDSAP384SHA384:
		curve := elliptic.P256()
		if algorithm == dns.ECDSAP384SHA384 {
			curve = elliptic.P384()
		}
		k, err := ecdsa.ParseRawPrivateKey(curve, octets(rng, curve.Params().BitSize/8))
		if err != nil {
			return Key{}, err
		}
		point, err := k.PublicKey.Bytes()
		if err != nil {
			return Key{}, err
		}
		private, public = k, point[1:] // RFC 6605 section 4: without the prefix
	case dns.ED25519:
		k := ed25519.NewKeyFromSeed(octets(rng, ed25519.SeedSize))
		private, public = k, k.Public().(ed25519.PublicKey)
	default:
		return Key{}, fmt.Errorf("no keys of algorithm %d", algorithm)
	}
	k := newDNSKEY(zone, algorithm, flags)
	k.PublicKey = base64.StdEncoding.EncodeToString(public)
	return Key{k, steady{private}}, nil
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

// steady signs without random numbers (RFC 6979).
type steady struct{ crypto.Signer }

func (s steady) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.Signer.Sign(nil, digest, opts)
}

// rsaKeys are the two RSA keys of [SeededKey], of 2048 bits. They are searched for once,
// with random numbers of their own.
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

// With returns a copy of the key whose record is altered.
func (k Key) With(edit func(*dns.DNSKEY)) Key {
	rr := *k.DNSKEY
	edit(&rr)
	return Key{&rr, k.Private}
}

// Revoked returns the key with the flag REVOKE.
func (k Key) Revoked() Key { return k.With(func(rr *dns.DNSKEY) { rr.Flags |= FlagRevoke }) }

// Draft returns the RRSIG record by which the key of a zone will sign the set, to be altered
// and then signed by [Sign].
func (k Key) Draft(zone string, set []dns.RR, from, until time.Time) *dns.RRSIG {
	h := set[0].Header()
	return &dns.RRSIG{
		Hdr:        dns.RR_Header{Name: h.Name, Rrtype: dns.TypeRRSIG, Class: dns.ClassINET, Ttl: h.Ttl},
		Algorithm:  k.Algorithm,
		KeyTag:     k.KeyTag(),
		SignerName: zone,
		Inception:  uint32(from.Unix()),
		Expiration: uint32(until.Unix()),
	}
}

// Sign returns the signature of the key of a zone over the set, valid between the two times.
func (k Key) Sign(zone string, set []dns.RR, from, until time.Time) (*dns.RRSIG, error) {
	sig := k.Draft(zone, set, from, until)
	return sig, Sign(sig, k.Private, set)
}

// Sign signs the set. The number of sig's algorithm may be one that does not exist; the
// signature is then of the key's kind.
func Sign(sig *dns.RRSIG, private crypto.Signer, set []dns.RR) error {
	number := sig.Algorithm
	switch private.Public().(type) {
	case ed25519.PublicKey, *rsa.PublicKey:
	default:
		if number != dns.ECDSAP384SHA384 {
			sig.Algorithm = dns.ECDSAP256SHA256
		}
	}
	err := sig.Sign(private, set)
	sig.Algorithm = number
	return err
}

// Flip changes one bit of a base64 text's octets.
func Flip(s string) string {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b) == 0 {
		return s
	}
	b[len(b)/2] ^= 1
	return base64.StdEncoding.EncodeToString(b)
}
