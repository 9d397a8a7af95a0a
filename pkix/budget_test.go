package pkix_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/pkix"
)

func TestMaxIntermediates(t *testing.T) {
	r := root(t)
	chain := func(n int) []*x509.Certificate {
		e, cs := r, certs()
		for i := range n {
			e = e.ca(fmt.Sprint("ca", i))
			cs = append(cs, e.cert)
		}
		return append(certs(e.leaf()), cs...)
	}
	for _, c := range []struct {
		limit, n int
		kind     error
	}{
		{0, pkix.DefaultMaxIntermediates, nil},
		{0, pkix.DefaultMaxIntermediates + 1, pkix.ErrPathLength},
		{1, 1, nil},
		{1, 2, pkix.ErrPathLength},
		{-1, 0, nil},
		{-1, 1, pkix.ErrPathLength},
		{100, 14, nil},
		{100, 15, pkix.ErrPathLength}, // 17 certificates
	} {
		_, err := pkix.Verify(pkix.Request{Chain: chain(c.n), Roots: pkix.NewRoots(r.cert), At: now, MaxIntermediates: c.limit})
		want(t, err, c.kind)
	}
	// A self-issued one is not counted, and an anchor is none.
	again := newEntity(t, "root")
	again.cert = r.signs(again, true)
	_, err := pkix.Verify(pkix.Request{Chain: certs(again.leaf(), again.cert), Roots: pkix.NewRoots(r.cert), At: now, MaxIntermediates: -1})
	want(t, err, nil)
	a := r.ca("a")
	_, err = pkix.Verify(pkix.Request{Chain: certs(a.leaf()), Anchors: []pkix.Anchor{pkix.CertificateAnchor(a.cert)}, At: now, MaxIntermediates: -1})
	want(t, err, nil)
}

func TestBudgets(t *testing.T) {
	r := root(t)
	t.Run("PKIX5280-6.1-02 circles and crossings end", func(t *testing.T) {
		// 15 CAs, each signed by each, and none by an anchor: without a budget
		// there are more paths than atoms.
		var cas []*entity
		for i := range 15 {
			cas = append(cas, newEntity(t, fmt.Sprint("ca", i)))
		}
		chain := certs(cas[0].leaf())
		for _, a := range cas {
			for _, b := range cas {
				if a != b {
					chain = append(chain, a.signs(b, true))
				}
			}
		}
		start := time.Now()
		err := verify(certs(r.cert), chain...)
		want(t, err, pkix.ErrBudget)
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("it took %s", d)
		}
	})
	t.Run("a circle of two", func(t *testing.T) {
		a, b := newEntity(t, "a"), newEntity(t, "b")
		want(t, verify(certs(r.cert), a.leaf(), a.signs(b, true), b.signs(a, true)), pkix.ErrNoAnchor)
	})
	t.Run("many certificates", func(t *testing.T) {
		leaf := r.leaf()
		chain := certs(leaf)
		for len(chain) < pkix.MaxCertificates {
			chain = append(chain, leaf)
		}
		want(t, verify(certs(r.cert), chain...), nil)
		want(t, verify(certs(r.cert), append(chain, leaf)...), pkix.ErrBudget, "256")
		_, err := pkix.Verify(pkix.Request{Chain: chain, Extra: certs(leaf), Roots: pkix.NewRoots(r.cert), At: now})
		want(t, err, pkix.ErrBudget)
	})
	t.Run("signatures", func(t *testing.T) {
		// Strangers with the issuer's name: each costs one signature.
		strangers := func(n int) []*x509.Certificate {
			cs := certs(r.leaf())
			other := newEntity(t, "root")
			for range n {
				cs = append(cs, other.signs(other, true, func(c *x509.Certificate) { c.SubjectKeyId = r.cert.SubjectKeyId }))
			}
			return append(cs, r.cert)
		}
		// The good one is last, and known only as an intermediate below an anchor.
		top := newEntity(t, "top")
		top.cert = top.signs(top, true)
		good := top.signs(r, true)
		for n, kind := range map[int]error{98: nil, 99: pkix.ErrBudget} {
			chain := strangers(n)
			chain[len(chain)-1] = good
			err := verify(certs(top.cert), chain...)
			want(t, err, kind)
		}
	})
	t.Run("names", func(t *testing.T) {
		many := make([][]byte, 600)
		for i := range many {
			many[i] = tlv(0x82, fmt.Appendf(nil, "h%d.example", i))
		}
		tree := make([][]byte, 600)
		for i := range tree {
			tree[i] = dnsTree(fmt.Sprintf("x%d.example", i))
		}
		a := r.ca("a", constrained(nil, tree))
		want(t, verify(certs(r.cert), a.leaf(rawSAN(many...)), a.cert), pkix.ErrBudget, "names")
		want(t, verify(certs(r.cert), a.leaf(rawSAN(many[:400]...)), a.cert), nil)
		_, err, work := pkix.VerifyCounted(pkix.Request{Chain: certs(a.leaf(rawSAN(many[:400]...)), a.cert), Roots: pkix.NewRoots(r.cert), At: now})
		if err != nil || work.Names != 400*600+1 {
			t.Errorf("%v, %+v", err, work)
		}
	})
	t.Run("a limit is met exactly", func(t *testing.T) {
		a := r.ca("a", constrained(trees(dnsTree("example")), nil))
		req := pkix.Request{Chain: certs(a.leaf(), a.cert), Roots: pkix.NewRoots(r.cert), At: now}
		_, _, work := pkix.VerifyCounted(req)
		for limit, kind := range map[time.Duration]error{work.Spent: nil, work.Spent - 1: pkix.ErrBudget} {
			req.Work = &pkix.Work{Limit: limit}
			_, err := pkix.Verify(req)
			want(t, err, kind)
		}
		// Those that share it have it once, and a signature that was checked costs
		// nothing again.
		req.Certs, req.Chain = pkix.FromChain(req.Chain), nil
		req.Work = &pkix.Work{Limit: 2*work.Spent - 2*pkix.SignatureCost(x509.ECDSAWithSHA256, r.key.Public(), 0)}
		for range 2 {
			_, err := pkix.Verify(req)
			want(t, err, nil)
		}
		_, err := pkix.Verify(req)
		want(t, err, pkix.ErrBudget)
	})
	t.Run("bare keys", func(t *testing.T) {
		// Each of another pointer, none of them right: the budget ends it, and its
		// end is no success.
		var keys []pkix.Anchor
		for range pkix.MaxSignatures + 1 {
			k, err := pkix.KeyAnchor(newEntity(t, "x").signs(newEntity(t, "y"), false).RawSubjectPublicKeyInfo)
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, k)
		}
		_, err := pkix.Verify(pkix.Request{Chain: certs(r.leaf()), Anchors: keys, At: now})
		want(t, err, pkix.ErrBudget)
		_, err = pkix.Verify(pkix.Request{Chain: certs(r.leaf()), Anchors: keys[1:], At: now})
		want(t, err, pkix.ErrNoAnchor)
	})
}

func TestStepBudget(t *testing.T) {
	layers := make([]*entity, 10)
	for i := range layers {
		layers[i] = newEntity(t, fmt.Sprint("layer", i))
	}
	chain := certs(layers[0].leaf())
	for i := range len(layers) - 1 {
		for range 3 {
			chain = append(chain, layers[i+1].signs(layers[i], true))
		}
	}
	_, err, work := pkix.VerifyCounted(pkix.Request{Chain: chain, Roots: pkix.NewRoots(root(t).cert), At: now})
	if err == nil || err.Kind != pkix.ErrBudget || !strings.Contains(err.Error(), "tried as issuers") || work.Steps != pkix.MaxSteps+1 || work.Signatures > pkix.MaxSignatures {
		t.Errorf("%v, %+v", err, work)
	}
}

func TestKeyIdentifiers(t *testing.T) {
	// Two certificates of one name and different keys: the identifier finds the
	// right one with one signature, and a wrong identifier is only a hint.
	r := root(t)
	right := r.ca("a", func(c *x509.Certificate) { c.SubjectKeyId = []byte{1} })
	wrong := r.ca("a", func(c *x509.Certificate) { c.SubjectKeyId = []byte{2} })
	leaf := right.leaf()
	if string(leaf.AuthorityKeyId) != "\x01" {
		t.Fatal("no identifier")
	}
	want(t, verify(certs(r.cert), leaf, wrong.cert, right.cert), nil)
	misleading := *right.cert
	misleading.SubjectKeyId = []byte{9}
	want(t, verify(certs(r.cert), leaf, wrong.cert, &misleading), nil)
	// An absent identifier speaks against no one, and one that differs is tried last.
	bare := *right.cert
	bare.SubjectKeyId = nil
	anonymous := *leaf
	anonymous.AuthorityKeyId = nil
	for i, c := range []struct {
		chain      []*x509.Certificate
		signatures int
	}{
		{certs(leaf, wrong.cert, right.cert), 2},
		{certs(leaf, wrong.cert, &bare), 2},
		{certs(leaf, &misleading, wrong.cert, right.cert), 2},
		{certs(&anonymous, wrong.cert, right.cert), 3},
		{certs(&anonymous, right.cert, wrong.cert), 2},
	} {
		_, err, work := pkix.VerifyCounted(pkix.Request{Chain: c.chain, Roots: pkix.NewRoots(r.cert), At: now})
		if err != nil || work.Signatures != c.signatures {
			t.Errorf("%d: %v, %+v", i, err, work)
		}
	}
	// Both failures are told.
	err := verify(nil, leaf, wrong.cert, right.cert)
	if got := kinds(err); got != "no path to an anchor, bad signature" && got != "bad signature, no path to an anchor" {
		t.Errorf("%s", got)
	}
}

// TestCostOrder: a signature costs more where it takes longer.
func TestCostOrder(t *testing.T) {
	ec := func(c elliptic.Curve) *ecdsa.PublicKey { return &ecdsa.PublicKey{Curve: c} }
	rsaKey := func(bits uint, e int) *rsa.PublicKey {
		return &rsa.PublicKey{N: new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), bits), big.NewInt(1)), E: e}
	}
	cost := func(id x509.SignatureAlgorithm, key crypto.PublicKey) time.Duration {
		return pkix.SignatureCost(id, key, 1000)
	}
	for _, c := range []struct {
		name       string
		less, more time.Duration
	}{
		{"no key and Ed25519", cost(x509.PureEd25519, nil), cost(x509.PureEd25519, make(ed25519.PublicKey, ed25519.PublicKeySize))},
		{"Ed25519 and P-256", cost(x509.PureEd25519, make(ed25519.PublicKey, ed25519.PublicKeySize)), cost(x509.ECDSAWithSHA256, ec(elliptic.P256()))},
		{"P-256 and P-224, which has no assembly", cost(x509.ECDSAWithSHA256, ec(elliptic.P256())), cost(x509.ECDSAWithSHA256, ec(elliptic.P224()))},
		{"P-224 and P-384", cost(x509.ECDSAWithSHA256, ec(elliptic.P224())), cost(x509.ECDSAWithSHA256, ec(elliptic.P384()))},
		{"P-384 and P-521", cost(x509.ECDSAWithSHA256, ec(elliptic.P384())), cost(x509.ECDSAWithSHA256, ec(elliptic.P521()))},
		{"RSA of 2,048 and 4,096 bits", cost(x509.SHA256WithRSA, rsaKey(2048, 65537)), cost(x509.SHA256WithRSA, rsaKey(4096, 65537))},
		{"RSA of a small and a large exponent", cost(x509.SHA256WithRSA, rsaKey(2048, 3)), cost(x509.SHA256WithRSA, rsaKey(2048, 1<<32+1))},
		{"RSA and RSA-PSS with SHA-256", cost(x509.SHA256WithRSA, rsaKey(2048, 3)), cost(x509.SHA256WithRSAPSS, rsaKey(2048, 3))},
		{"RSA and RSA-PSS with SHA-384", cost(x509.SHA384WithRSA, rsaKey(2048, 3)), cost(x509.SHA384WithRSAPSS, rsaKey(2048, 3))},
		{"RSA and RSA-PSS with SHA-512", cost(x509.SHA512WithRSA, rsaKey(2048, 3)), cost(x509.SHA512WithRSAPSS, rsaKey(2048, 3))},
		{"1,000 and 2,000 bytes", pkix.SignatureCost(0, nil, 1000), pkix.SignatureCost(0, nil, 2000)},
	} {
		if c.less >= c.more || c.less <= 0 {
			t.Errorf("%s: %s and %s", c.name, c.less, c.more)
		}
	}
}

// TestKeyIsNamed: where the work ends at a signature, the error names the key.
func TestKeyIsNamed(t *testing.T) {
	leaf := certtest.New("mx.example.org", certtest.NewKey().SPKI)
	key := certtest.NewRSA(2048, 1<<32+15)
	ca := authority("ca", key.SPKI(true))
	ca.Issuer, leaf.Issuer = ca.Subject, ca.Subject
	_, err := pkix.Verify(pkix.Request{Certs: pkix.ReadChain([][]byte{leaf.SignRSA(key)}), At: certtest.Now,
		Anchors: []pkix.Anchor{pkix.AnchorOf(pkix.Read(ca.SignRSA(key)))}, Work: &pkix.Work{Limit: 10 * time.Microsecond}})
	want(t, err, pkix.ErrBudget, "a signature by an RSA key of 2048 bits with the exponent 4294967311")
}

// TestNamesAreBooked: under name constraints the bytes of the names are booked as read,
// those of other extensions as hashed only.
func TestNamesAreBooked(t *testing.T) {
	r := root(t)
	limited := r.ca("limited", constrained(trees(dnsTree("example")), nil))
	spent := func(changes ...change) time.Duration {
		_, err, counted := pkix.VerifyCounted(pkix.Request{Chain: certs(limited.leaf(changes...), limited.cert), Roots: pkix.NewRoots(r.cert), At: now, Work: &pkix.Work{Limit: time.Hour}})
		if err != nil {
			t.Fatal(err)
		}
		return counted.Spent
	}
	const size = 50_000
	plain := spent()
	other := spent(rawExt(false, make([]byte, size), 1, 2, 3)) - plain
	// One name of a form that is not constrained.
	names := spent(rawSAN(tlv(0x82, []byte("mx.example")), tlv(0x88, bytes.Repeat([]byte{42}, size)))) - plain
	if names < other+size*10*time.Nanosecond || other <= 0 {
		t.Errorf("%d bytes cost %s as a name and %s as another extension", size, names, other)
	}
}
