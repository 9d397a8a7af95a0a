package pkix_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
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
