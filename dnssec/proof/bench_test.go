package proof_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec/proof"
	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/internal/dnstree"
)

// signedSet makes a TLSA RRset, its signature, and the key that made it.
func signedSet(tb testing.TB, alg uint8, bits int) (*proof.RRset, *proof.KeySet, *dns.DNSKEY, *dns.RRSIG, []byte) {
	tb.Helper()
	k, err := dnstree.NewKey("example.test.", alg, dnstree.FlagZone+dnstree.FlagSEP, bits)
	if err != nil {
		tb.Fatal(err)
	}
	rr, err := dns.NewRR("_25._tcp.mx.example.test. 3600 IN TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000000")
	if err != nil {
		tb.Fatal(err)
	}
	s, err := k.Sign(k.Hdr.Name, []dns.RR{rr}, now.Add(-time.Hour), now.Add(time.Hour))
	if err != nil {
		tb.Fatal(err)
	}
	m := new(dns.Msg)
	m.SetQuestion(rr.Header().Name, dns.TypeTLSA)
	m.Response = true
	m.Answer = []dns.RR{rr, s}
	m.Ns = []dns.RR{k.DNSKEY}
	b, err := m.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	p, err := wire.Parse(b)
	if err != nil {
		tb.Fatal(err)
	}
	key, ok := proof.ParseKey(p.Authority[0].Data)
	if !ok {
		tb.Fatal("no key")
	}
	set := &proof.Group(p.Answer)[0]
	ks := proof.NewKeySet(key0(tb, p), []proof.Key{key}, proof.DefaultAlgorithms())
	// What is signed, put together once more from the library's point of view.
	data := signedOctets(tb, s, rr)
	return set, ks, k.DNSKEY, s, data
}

// BenchmarkRRSIG compares a check of a signature with the bare public key operation on
// the same octets.
func BenchmarkRRSIG(b *testing.B) {
	for _, alg := range []struct {
		name string
		n    uint8
		bits int
	}{{"P256", dns.ECDSAP256SHA256, 256}, {"Ed25519", dns.ED25519, 256}, {"RSA2048", dns.RSASHA256, 2048}} {
		set, ks, k, s, data := signedSet(b, alg.n, alg.bits)
		raw := floor(b, k, s, data)
		b.Run(alg.name+"/check", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ks.Verify(set, now, proof.NewBudget()); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(alg.name+"/floor", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !raw() {
					b.Fatal("bad signature")
				}
			}
		})
		// Both in turn, and the fastest run of each: what else the machine does then
		// falls on neither.
		b.Run(alg.name+"/ratio", func(b *testing.B) {
			ours, theirs := time.Hour, time.Hour
			for b.Loop() {
				start := time.Now()
				for range 8 {
					if _, err := ks.Verify(set, now, proof.NewBudget()); err != nil {
						b.Fatal(err)
					}
				}
				mid := time.Now()
				for range 8 {
					raw()
				}
				ours, theirs = min(ours, mid.Sub(start)), min(theirs, time.Since(mid))
			}
			b.ReportMetric(float64(ours)/float64(theirs), "x-floor")
		})
	}
}

// floor returns the bare operation: hash and public key, everything parsed before.
func floor(tb testing.TB, k *dns.DNSKEY, s *dns.RRSIG, data []byte) func() bool {
	tb.Helper()
	pub, err1 := base64.StdEncoding.DecodeString(k.PublicKey)
	sig, err2 := base64.StdEncoding.DecodeString(s.Signature)
	if err1 != nil || err2 != nil {
		tb.Fatal(err1, err2)
	}
	switch k.Algorithm {
	case dns.ED25519:
		return func() bool { return ed25519.Verify(pub, data, sig) }
	case dns.ECDSAP256SHA256:
		p, err := ecdsa.ParseUncompressedPublicKey(p256(), append([]byte{4}, pub...))
		if err != nil {
			tb.Fatal(err)
		}
		der := asn1Signature(tb, sig)
		return func() bool { h := sha256.Sum256(data); return ecdsa.VerifyASN1(p, h[:], der) }
	}
	n := int(pub[0])
	p := &rsa.PublicKey{E: int(new(big.Int).SetBytes(pub[1 : 1+n]).Int64()), N: new(big.Int).SetBytes(pub[1+n:])}
	return func() bool {
		h := sha256.Sum256(data)
		return rsa.VerifyPKCS1v15(p, crypto.SHA256, h[:], sig) == nil
	}
}

// BenchmarkHashName is one NSEC3 hash at the iteration limit.
func BenchmarkHashName(b *testing.B) {
	n := name(b, "_25._tcp.mx.example.test.")
	for _, it := range []uint16{0, 150} {
		b.Run(map[uint16]string{0: "0", 150: "150"}[it], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				proof.HashName(n, it, []byte{1, 2, 3, 4})
			}
		})
	}
}
