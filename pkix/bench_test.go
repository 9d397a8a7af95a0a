package pkix_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"math/big"
	"testing"

	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
)

// BenchmarkVerify has, for each path, the floor beside it: its signatures alone.
func BenchmarkVerify(b *testing.B) {
	r := root(b)
	a := r.ca("a")
	leaf := a.leaf()
	ref, err := rfc6125.ParseReference("mx.example")
	if err != nil {
		b.Fatal(err)
	}
	anchor := pkix.Request{Chain: certs(leaf, a.cert), Anchors: []pkix.Anchor{pkix.CertificateAnchor(a.cert)}, At: now}
	roots := pkix.Request{Chain: certs(leaf, a.cert), Roots: pkix.NewRoots(r.cert), At: now}

	b.Run("anchor, one signature", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := pkix.Verify(anchor); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("anchor, floor", func(b *testing.B) { benchFloor(b, 1, leaf, a) })
	b.Run("root and name, two signatures", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := pkix.VerifyServer(roots, []rfc6125.Reference{ref}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("root and name, crypto/x509", func(b *testing.B) {
		b.ReportAllocs()
		pool, inter := x509.NewCertPool(), x509.NewCertPool()
		pool.AddCert(r.cert)
		inter.AddCert(a.cert)
		for b.Loop() {
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, Intermediates: inter, CurrentTime: now, DNSName: "mx.example"}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("root and name, floor", func(b *testing.B) { benchFloor(b, 2, leaf, a) })

	constrainedCA := r.ca("c", constrained(trees(dnsTree("example")), trees(dnsTree("com"))))
	req := pkix.Request{Chain: certs(constrainedCA.leaf(), constrainedCA.cert), Roots: pkix.NewRoots(r.cert), At: now}
	b.Run("constraints, two signatures", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := pkix.Verify(req); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func benchFloor(b *testing.B, n int, leaf *x509.Certificate, by *entity) {
	b.ReportAllocs()
	for b.Loop() {
		for range n {
			sum := sha256.Sum256(leaf.RawTBSCertificate)
			if !ecdsa.VerifyASN1(&by.key.PublicKey, sum[:], leaf.Signature) {
				b.Fatal("a bad signature")
			}
		}
	}
}

// BenchmarkSignatures gives the costs of signatures, from which those in signature.go
// were taken, with the cost that is booked.
func BenchmarkSignatures(b *testing.B) {
	data := make([]byte, 1000)
	bench := func(name string, alg x509.SignatureAlgorithm, key any, sig []byte) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				pkix.CheckSignature(alg, key, data, sig)
			}
			b.ReportMetric(float64(pkix.SignatureCost(alg, key, len(data))), "booked-ns")
		})
	}
	for _, bits := range []int{1024, 2048, 4096, 8192} {
		n := make([]byte, bits/8)
		rand.Read(n)
		n[0] |= 0x80
		n[len(n)-1] |= 1
		sig := make([]byte, bits/8)
		rand.Read(sig)
		sig[0] = 0
		for _, e := range []int{3, 65537, 1<<33 - 1} {
			bench(fmt.Sprintf("RSA-%d exponent %d", bits, e), x509.SHA256WithRSA, &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: e}, sig)
		}
		bench(fmt.Sprintf("RSA-%d PSS", bits), x509.SHA256WithRSAPSS, &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}, sig)
	}
	for _, curve := range []elliptic.Curve{elliptic.P224(), elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		sum := sha256.Sum256(data)
		sig, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
		if err != nil {
			b.Fatal(err)
		}
		bench(curve.Params().Name, x509.ECDSAWithSHA256, key.Public(), sig)
	}
	private := ed25519.NewKeyFromSeed(make([]byte, 32))
	bench("Ed25519", x509.PureEd25519, private.Public(), ed25519.Sign(private, data))
}

// BenchmarkHostile is the worst that a peer can ask for: the whole budget.
func BenchmarkHostile(b *testing.B) {
	r := root(b)
	var cas []*entity
	for i := range 15 {
		cas = append(cas, newEntity(b, string(rune('a'+i))))
	}
	chain := certs(cas[0].leaf())
	for _, x := range cas {
		for _, y := range cas {
			if x != y {
				chain = append(chain, x.signs(y, true))
			}
		}
	}
	req := pkix.Request{Chain: chain, Roots: pkix.NewRoots(r.cert), At: now}
	b.Run("crossed CAs", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := pkix.Verify(req); err == nil {
				b.Fatal("authenticated")
			}
		}
	})
	b.Run("floor", func(b *testing.B) { benchFloor(b, pkix.MaxSignatures, chain[0], cas[0]) })
}
