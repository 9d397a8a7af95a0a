package hostile

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"sync"
	"testing"

	"github.com/miekg/dns"
	"github.com/mxauth/mxauth/internal/dnstree"
)

// A KeyKind is a kind of zone keys.
type KeyKind uint8

// Kinds of keys.
const (
	ECDSA   KeyKind = iota // P-256
	P384                   // the slowest usual one to check
	RSA4096                // with the exponent 65537
	RSASlow                // RSA of 4096 bits with the exponent 2^31-1
)

// primes are those of the RSA keys; to find them takes a second.
var primes = sync.OnceValues(func() ([2]*big.Int, error) {
	var out [2]*big.Int
	for i := range out {
		for {
			p, err := rand.Prime(rand.Reader, 2048)
			if err != nil {
				return out, err
			}
			if usable(p, slowExponent) && usable(p, usualExponent) {
				out[i] = p
				break
			}
		}
	}
	return out, nil
})

const (
	usualExponent = 65537
	slowExponent  = 1<<31 - 1
)

var one = big.NewInt(1)

// usable reports whether an exponent, a prime, can be had with the prime p.
func usable(p *big.Int, e int64) bool {
	return new(big.Int).Mod(p, big.NewInt(e)).Cmp(one) != 0
}

func newKey(tb testing.TB, kind KeyKind) *key {
	tb.Helper()
	algorithm := uint8(dns.ECDSAP256SHA256)
	switch kind {
	case P384:
		algorithm = dns.ECDSAP384SHA384
	case RSA4096:
		return rsaKey(tb, usualExponent)
	case RSASlow:
		return rsaKey(tb, slowExponent)
	}
	k, err := dnstree.NewKey(".", algorithm, dnstree.FlagZone+dnstree.FlagSEP, 0)
	if err != nil {
		tb.Fatal(err)
	}
	return &key{k}
}

func rsaKey(tb testing.TB, e int64) *key {
	tb.Helper()
	p, err := primes()
	if err != nil {
		tb.Fatal(err)
	}
	phi := new(big.Int).Mul(new(big.Int).Sub(p[0], one), new(big.Int).Sub(p[1], one))
	n := new(big.Int).Mul(p[0], p[1])
	priv := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: int(e)}, D: new(big.Int).ModInverse(big.NewInt(e), phi), Primes: p[:]}
	priv.Precompute()
	eb := big.NewInt(e).Bytes()
	return &key{dnstree.Key{Private: priv, DNSKEY: &dns.DNSKEY{
		Hdr: header(".", dns.TypeDNSKEY), Flags: dnstree.FlagZone + dnstree.FlagSEP, Protocol: 3, Algorithm: dns.RSASHA256,
		PublicKey: base64.StdEncoding.EncodeToString(append(append([]byte{byte(len(eb))}, eb...), n.Bytes()...)),
	}}}
}
