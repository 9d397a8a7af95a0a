package pkix_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
)

func TestPaths(t *testing.T) {
	r := root(t)
	a := r.ca("a")
	b := a.ca("b")
	leaf := b.leaf()
	t.Run("PKIX5280-6.1-01 a good chain, in any order", func(t *testing.T) {
		for _, chain := range [][]*x509.Certificate{
			certs(leaf, b.cert, a.cert),
			certs(leaf, a.cert, b.cert),
			certs(leaf, a.cert, nil, r.cert, b.cert, b.cert, newEntity(t, "x").signs(newEntity(t, "y"), true)),
		} {
			path, err := pkix.Verify(pkix.Request{Chain: chain, Roots: pkix.NewRoots(r.cert), At: now})
			if err != nil {
				t.Fatal(err)
			}
			if len(path.Certs) != 4 || path.Certs[0] != leaf || path.Certs[3] != r.cert || path.Anchor.Certificate() != r.cert || path.BareKey {
				t.Errorf("%d certificates, anchor %v", len(path.Certs), path.Anchor)
			}
		}
	})
	t.Run("no path", func(t *testing.T) {
		want(t, verify(certs(r.cert), leaf), pkix.ErrNoAnchor, "CN=mx.example", "not presented")
		want(t, verify(certs(r.cert), leaf, b.cert), pkix.ErrNoAnchor, "CN=b")
		want(t, verify(nil, leaf, b.cert, a.cert), pkix.ErrNoAnchor)
		want(t, verify(nil, leaf, b.cert, a.cert, r.cert), pkix.ErrNoAnchor, "its own issuer")
		want(t, verify(certs(root(t).cert), leaf, b.cert, a.cert, r.cert), pkix.ErrSignature)
		_, err := pkix.Verify(pkix.Request{Chain: certs(leaf, b.cert, a.cert), At: now})
		want(t, err, pkix.ErrNoAnchor)
	})
	t.Run("certificates from elsewhere complete the chain and are no anchors", func(t *testing.T) {
		req := pkix.Request{Chain: certs(leaf), Extra: certs(a.cert, b.cert), Roots: pkix.NewRoots(r.cert), At: now}
		if _, err := pkix.Verify(req); err != nil {
			t.Error(err)
		}
		req.Roots = nil
		_, err := pkix.Verify(req)
		want(t, err, pkix.ErrNoAnchor)
	})
	t.Run("the caller's slices are left alone", func(t *testing.T) {
		chain := make([]*x509.Certificate, 2, 5)
		chain[0], chain[1] = leaf, b.cert
		if _, err := pkix.Verify(pkix.Request{Chain: chain, Extra: certs(a.cert), Roots: pkix.NewRoots(r.cert), At: now}); err != nil {
			t.Error(err)
		}
		if chain[:3][2] != nil {
			t.Error("the chain's spare room was written to")
		}
	})
	t.Run("a leaf that is an anchor", func(t *testing.T) {
		for _, req := range []pkix.Request{{Roots: pkix.NewRoots(leaf)}, {Anchors: []pkix.Anchor{pkix.CertificateAnchor(leaf)}}} {
			req.Chain, req.At = certs(leaf), now
			path, err := pkix.Verify(req)
			if err != nil || len(path.Certs) != 1 || path.Anchor.Certificate() != leaf {
				t.Errorf("%v, %v", path, err)
			}
		}
	})
	t.Run("an intermediate that is an anchor ends the path", func(t *testing.T) {
		path, err := pkix.Verify(pkix.Request{Chain: certs(leaf, b.cert, a.cert), Anchors: []pkix.Anchor{{}, pkix.CertificateAnchor(b.cert)}, At: now})
		if err != nil || len(path.Certs) != 2 || path.Anchor.Certificate() != b.cert {
			t.Errorf("%v, %v", path, err)
		}
		// It need not be presented.
		if _, err := pkix.Verify(pkix.Request{Chain: certs(leaf), Anchors: []pkix.Anchor{pkix.CertificateAnchor(b.cert)}, At: now}); err != nil {
			t.Error(err)
		}
	})
	t.Run("bad requests", func(t *testing.T) {
		_, err := pkix.Verify(pkix.Request{At: now})
		want(t, err, pkix.ErrNoCert)
		_, err = pkix.Verify(pkix.Request{Chain: certs(nil, leaf), At: now})
		want(t, err, pkix.ErrNoCert)
		_, err = pkix.Verify(pkix.Request{Chain: certs(leaf)})
		want(t, err, pkix.ErrNoTime)
		_, err = pkix.VerifyServer(pkix.Request{At: now}, nil)
		want(t, err, pkix.ErrNoCert)
	})
}

func TestBareKeys(t *testing.T) {
	r := root(t)
	a := r.ca("a", until(now.AddDate(-1, 0, 0)), from(now.AddDate(-2, 0, 0)), constrained(nil, trees(dnsTree("example"))))
	leaf := a.leaf()
	key := func(spki []byte) pkix.Anchor {
		k, err := pkix.KeyAnchor(spki)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	// The key has no dates, no name and no constraints of its own.
	path, err := pkix.Verify(pkix.Request{Chain: certs(leaf), Anchors: []pkix.Anchor{key(r.cert.RawSubjectPublicKeyInfo), key(a.cert.RawSubjectPublicKeyInfo)}, At: now})
	if err != nil || !path.BareKey || len(path.Certs) != 1 || path.Anchor.PublicKey() == nil || path.Anchor.Certificate() != nil {
		t.Errorf("%+v, %v", path, err)
	}
	// Above an intermediate.
	b := r.ca("b")
	path, err = pkix.Verify(pkix.Request{Chain: certs(b.leaf(), b.cert), Anchors: []pkix.Anchor{key(r.cert.RawSubjectPublicKeyInfo)}, At: now})
	if err != nil || !path.BareKey || len(path.Certs) != 2 {
		t.Errorf("%+v, %v", path, err)
	}
	// Another key.
	_, err = pkix.Verify(pkix.Request{Chain: certs(leaf, a.cert), Anchors: []pkix.Anchor{key(b.cert.RawSubjectPublicKeyInfo)}, At: now})
	want(t, err, pkix.ErrExpired)
	_, err = pkix.Verify(pkix.Request{Chain: certs(leaf), Anchors: []pkix.Anchor{key(b.cert.RawSubjectPublicKeyInfo)}, At: now})
	want(t, err, pkix.ErrNoAnchor)
	// A self-signed leaf under its own key.
	self := newEntity(t, "self")
	path, err = pkix.Verify(pkix.Request{Chain: certs(self.signs(self, false)), Anchors: []pkix.Anchor{key(self.signs(self, false).RawSubjectPublicKeyInfo)}, At: now})
	if err != nil || !path.BareKey {
		t.Errorf("%+v, %v", path, err)
	}

	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	edKey := ed25519.NewKeyFromSeed(make([]byte, 32))
	var names []string
	for _, public := range []any{rsaKey.Public(), edKey.Public()} {
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		a := key(der)
		if a.IsZero() || a.PublicKey() == nil {
			t.Errorf("%v", a)
		}
		names = append(names, a.String())
	}
	if strings.Join(names, ", ") != "a bare RSA key, a bare Ed25519 key" {
		t.Errorf("%q", names)
	}
	x25519 := []byte{0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00}
	for name, spki := range map[string][]byte{"empty": nil, "junk": []byte("junk"), "X25519": append(x25519, make([]byte, 32)...)} {
		if a, err := pkix.KeyAnchor(spki); !errors.Is(err, pkix.ErrMalformed) || !a.IsZero() || strings.Contains(err.Error(), "signs no") != (name == "X25519") {
			t.Errorf("%s: %v, %v", name, a, err)
		}
	}
}

func TestAnchorValues(t *testing.T) {
	r := root(t)
	z, c := pkix.Anchor{}, pkix.CertificateAnchor(r.cert)
	if !z.IsZero() || z.PublicKey() != nil || z.Certificate() != nil || z.String() != "no anchor" || !pkix.CertificateAnchor(nil).IsZero() {
		t.Error("the zero Anchor is something")
	}
	if c.IsZero() || c.PublicKey() != r.cert.PublicKey || c.String() != "CN=root" {
		t.Errorf("%v", c)
	}
	k, err := pkix.KeyAnchor(r.cert.RawSubjectPublicKeyInfo)
	if err != nil || k.IsZero() || k.String() != "a bare ECDSA key" || !k.PublicKey().(*ecdsa.PublicKey).Equal(r.key.Public()) {
		t.Errorf("%v, %v", k, err)
	}
}

func TestDates(t *testing.T) {
	past, future := now.AddDate(0, 0, -1), now.AddDate(0, 0, 1)
	r := root(t)
	a := r.ca("a")
	t.Run("leaf", func(t *testing.T) {
		want(t, verify(certs(r.cert), a.leaf(until(past)), a.cert), pkix.ErrExpired, "CN=mx.example", "2024-05-31T12:00:00Z")
		want(t, verify(certs(r.cert), a.leaf(from(future)), a.cert), pkix.ErrNotYetValid, "CN=mx.example", "2024-06-02T12:00:00Z")
		want(t, verify(certs(r.cert), a.leaf(until(now)), a.cert), nil)
		want(t, verify(certs(r.cert), a.leaf(from(now)), a.cert), nil)
		want(t, verify(certs(r.cert), a.leaf(until(now.Add(-time.Second))), a.cert), pkix.ErrExpired)
		want(t, verify(certs(r.cert), a.leaf(from(now.Add(time.Second))), a.cert), pkix.ErrNotYetValid)
	})
	t.Run("intermediate", func(t *testing.T) {
		b := r.ca("b", until(past))
		want(t, verify(certs(r.cert), b.leaf(), b.cert), pkix.ErrExpired, "CN=b")
		// Another certificate of the same CA is good.
		want(t, verify(certs(r.cert), b.leaf(), b.cert, r.signs(b, true)), nil)
	})
	t.Run("anchor (D8)", func(t *testing.T) {
		old := root(t, until(past))
		want(t, verify(certs(old.cert), old.leaf()), pkix.ErrExpired, "CN=root")
		_, err := pkix.Verify(pkix.Request{Chain: certs(old.leaf()), Anchors: []pkix.Anchor{pkix.CertificateAnchor(old.cert)}, At: now})
		want(t, err, pkix.ErrExpired, "CN=root")
	})
	t.Run("an expired leaf below nobody known is both", func(t *testing.T) {
		err := verify(nil, a.leaf(until(past)))
		want(t, err, pkix.ErrExpired)
		if kinds(err) != "expired, no path to an anchor" {
			t.Errorf("%s", kinds(err))
		}
	})
}

func TestCAs(t *testing.T) {
	r := root(t)
	t.Run("PKIX5280-4.2.1.9-01 no key signs without the CA mark and keyCertSign", func(t *testing.T) {
		for _, changes := range map[string][]change{
			"not a CA":       {notCA},
			"no constraints": {noBasic},
			"no keyCertSign": {usage(x509.KeyUsageCRLSign)},
			"leaf's usage":   {usage(x509.KeyUsageDigitalSignature)},
			"no usage":       {usage(0), rawExt(true, []byte{3, 1, 0}, 2, 5, 29, 15)},
		} {
			a := r.ca("a", changes...)
			want(t, verify(certs(r.cert), a.leaf(), a.cert), pkix.ErrPurpose, "CN=a")
			// Nor as an anchor.
			want(t, verify(certs(a.cert), a.leaf()), pkix.ErrPurpose, "CN=a")
		}
		a := r.ca("a", usage(0))
		want(t, verify(certs(r.cert), a.leaf(), a.cert), nil)
	})
	t.Run("version 1", func(t *testing.T) {
		e := root(t)
		v1 := *e.cert
		v1.Version, v1.BasicConstraintsValid, v1.IsCA, v1.KeyUsage, v1.Extensions = 1, false, false, 0, nil
		// The caller vouches for an anchor, nobody for an intermediate.
		_, err := pkix.Verify(pkix.Request{Chain: certs(e.leaf()), Anchors: []pkix.Anchor{pkix.CertificateAnchor(&v1)}, At: now})
		want(t, err, nil)
		a := r.ca("a")
		mid := *a.cert
		mid.Version, mid.BasicConstraintsValid, mid.IsCA, mid.KeyUsage, mid.Extensions = 1, false, false, 0, nil
		want(t, verify(certs(r.cert), a.leaf(), &mid), pkix.ErrPurpose)
		two := v1
		two.Version = 2
		_, err = pkix.Verify(pkix.Request{Chain: certs(e.leaf()), Anchors: []pkix.Anchor{pkix.CertificateAnchor(&two)}, At: now})
		want(t, err, nil)
		three := v1
		three.Version = 3
		_, err = pkix.Verify(pkix.Request{Chain: certs(e.leaf()), Anchors: []pkix.Anchor{pkix.CertificateAnchor(&three)}, At: now})
		want(t, err, pkix.ErrPurpose)
	})
	t.Run("PKIX5280-4.2.1.9-02 pathLenConstraint limits the intermediates below", func(t *testing.T) {
		zero := r.ca("zero", pathLen(0))
		want(t, verify(certs(r.cert), zero.leaf(), zero.cert), nil)
		below := zero.ca("below")
		want(t, verify(certs(r.cert), below.leaf(), below.cert, zero.cert), pkix.ErrPathLength, "CN=zero")
		one := r.ca("one", pathLen(1))
		b := one.ca("b")
		c := b.ca("c")
		want(t, verify(certs(r.cert), b.leaf(), b.cert, one.cert), nil)
		want(t, verify(certs(r.cert), c.leaf(), c.cert, b.cert, one.cert), pkix.ErrPathLength, "allows 1", "are 2")
		// The anchor's holds too (RFC 7672 section 3.1.2).
		_, err := pkix.Verify(pkix.Request{Chain: certs(c.leaf(), c.cert, b.cert), Anchors: []pkix.Anchor{pkix.CertificateAnchor(one.cert)}, At: now})
		want(t, err, pkix.ErrPathLength)
		// Self-issued certificates are not counted.
		again := newEntity(t, "zero")
		again.cert = zero.signs(again, true)
		want(t, verify(certs(r.cert), again.leaf(), again.cert, zero.cert), nil)
		// Zero in a certificate that was made and not parsed means none.
		unset := *zero.cert
		unset.MaxPathLenZero = false
		want(t, verify(certs(r.cert), below.leaf(), below.cert, &unset), nil)
		// A leaf is not counted, even if it is a CA.
		want(t, verify(certs(r.cert), zero.signs(newEntity(t, "ca-leaf"), true), zero.cert), nil)
	})
	t.Run("PKIX5280-4.2.1.12-01 an extended key usage must allow servers", func(t *testing.T) {
		for _, c := range []struct {
			usages []x509.ExtKeyUsage
			kind   error
		}{
			{[]x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, nil},
			{[]x509.ExtKeyUsage{x509.ExtKeyUsageAny}, nil},
			{[]x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}, nil},
			{[]x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, pkix.ErrPurpose},
			{[]x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection, x509.ExtKeyUsageCodeSigning}, pkix.ErrPurpose},
			{nil, nil},
		} {
			want(t, verify(certs(r.cert), r.leaf(eku(c.usages...))), c.kind)
			a := r.ca("a", eku(c.usages...))
			want(t, verify(certs(r.cert), a.leaf(), a.cert), c.kind)
			want(t, verify(certs(a.cert), a.leaf()), c.kind)
		}
		none := r.leaf(rawExt(false, tlv(0x30), 2, 5, 29, 37))
		want(t, verify(certs(r.cert), none), pkix.ErrPurpose)
		unknown := func(c *x509.Certificate) { c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 2, 3}} }
		want(t, verify(certs(r.cert), r.leaf(unknown)), pkix.ErrPurpose, "serverAuth")
	})
}

func TestExtensions(t *testing.T) {
	r := root(t)
	t.Run("PKIX5280-4.2-01 unknown critical extensions", func(t *testing.T) {
		bad := rawExt(true, []byte{5, 0}, 1, 3, 6, 1, 4, 1, 99999, 1)
		want(t, verify(certs(r.cert), r.leaf(bad)), pkix.ErrExtension, "1.3.6.1.4.1.99999.1", "CN=mx.example")
		a := r.ca("a", bad)
		want(t, verify(certs(r.cert), a.leaf(), a.cert), pkix.ErrExtension, "CN=a")
		want(t, verify(certs(a.cert), a.leaf()), pkix.ErrExtension)
		ok := rawExt(false, []byte{5, 0}, 1, 3, 6, 1, 4, 1, 99999, 1)
		b := r.ca("b", ok)
		want(t, verify(certs(r.cert), b.leaf(ok), b.cert), nil)
		for _, oid := range [][]int{{2, 5, 29, 99}, {2, 5, 29}, {2, 5, 30, 15}, {2, 6, 29, 15}, {1, 5, 29, 15}, {2, 5, 29, 15, 1}} {
			want(t, verify(certs(r.cert), extend(r.leaf(), true, []byte{5, 0}, oid...)), pkix.ErrExtension)
		}
	})
	t.Run("critical extensions that are understood", func(t *testing.T) {
		for _, arc := range []int{15, 17, 19, 30, 32, 33, 37, 54} {
			leaf := r.leaf(eku(x509.ExtKeyUsageServerAuth))
			want(t, verify(certs(r.cert), extend(leaf, true, tlv(0x30), 2, 5, 29, arc)), nil)
		}
	})
	t.Run("a policy that is required", func(t *testing.T) {
		for _, c := range []struct {
			value []byte
			kind  error
		}{
			{tlv(0x30, tlv(0x81, []byte{0})), nil},
			{tlv(0x30, tlv(0x80, []byte{0})), pkix.ErrExtension},
			{tlv(0x30, tlv(0x80, []byte{3}), tlv(0x81, []byte{0})), pkix.ErrExtension},
			{tlv(0x30, tlv(0x81, []byte{0}), tlv(0x80, []byte{0})), pkix.ErrExtension},
			{tlv(0x30), pkix.ErrExtension},
			{append(tlv(0x30, tlv(0x81, []byte{0})), 0), pkix.ErrExtension},
			{nil, pkix.ErrExtension},
		} {
			for _, critical := range []bool{true, false} {
				want(t, verify(certs(r.cert), extend(r.leaf(), critical, c.value, 2, 5, 29, 36)), c.kind)
			}
		}
	})
}

func TestSignatures(t *testing.T) {
	r := root(t)
	other := root(t) // the same name, another key
	leaf := r.leaf()
	want(t, verify(certs(other.cert), leaf), pkix.ErrSignature, "CN=mx.example", "not made by CN=root")
	want(t, verify(certs(other.cert, r.cert), leaf), nil)
	want(t, verify(certs(r.cert, other.cert), leaf), nil)
	forged := *leaf
	forged.RawTBSCertificate = append([]byte(nil), leaf.RawTBSCertificate...)
	forged.RawTBSCertificate[20] ^= 1
	want(t, verify(certs(r.cert), &forged), pkix.ErrSignature)
	for _, alg := range []x509.SignatureAlgorithm{x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1} {
		old := *leaf
		old.SignatureAlgorithm = alg
		want(t, verify(certs(r.cert), &old), pkix.ErrSignature, "broken", alg.String())
	}
	t.Run("SHA-1", func(t *testing.T) {
		// A good signature all the same.
		old := *leaf
		old.SignatureAlgorithm = x509.ECDSAWithSHA1
		sum := sha1.Sum(old.RawTBSCertificate)
		sig, err := ecdsa.SignASN1(rand.Reader, r.key, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		old.Signature = sig
		if err := r.cert.CheckSignature(old.SignatureAlgorithm, old.RawTBSCertificate, old.Signature); err != nil {
			t.Fatal(err)
		}
		want(t, verify(certs(r.cert), &old), pkix.ErrSignature)
	})
	unknown := *leaf
	unknown.SignatureAlgorithm = 0
	want(t, verify(certs(r.cert), &unknown), pkix.ErrSignature)
	t.Run("RSA keys of any size are not worked with", func(t *testing.T) {
		for bits, words := range map[uint]string{8192: "not made by", 8193: "more than 8192 bits"} {
			huge := *r.cert
			one := big.NewInt(1)
			n := new(big.Int).Lsh(one, bits-1)
			huge.PublicKey, huge.PublicKeyAlgorithm = &rsa.PublicKey{N: n.Add(n, one), E: 65537}, x509.RSA
			l := *leaf
			l.SignatureAlgorithm = x509.SHA256WithRSA
			want(t, verify(certs(&huge), &l), pkix.ErrSignature, words)
		}
	})
}

func TestRanking(t *testing.T) {
	r := root(t)
	past := now.AddDate(0, 0, -1)
	a := newEntity(t, "a")
	// Four certificates of one CA, each with its own fault, and a stranger's.
	expired := r.signs(a, true, until(past))
	purpose := r.signs(a, true, eku(x509.ExtKeyUsageClientAuth))
	ext := r.signs(a, true, rawExt(true, []byte{5, 0}, 1, 2, 3))
	constraint := r.signs(a, true, constrained(nil, trees(dnsTree("example"))))
	length := r.signs(newEntity(t, "a"), true) // another key
	orphan := newEntity(t, "gone").signs(a, true)
	a.cert = expired
	leaf := a.leaf()
	err := verify(certs(r.cert), leaf, orphan, length, ext, purpose, constraint, expired)
	want(t, err, pkix.ErrExpired, "CN=a")
	if got := kinds(err); got != "expired, no path to an anchor, unknown critical extension, wrong purpose, name constraint, bad signature" {
		t.Errorf("%s", got)
	}
	want(t, verify(certs(r.cert), leaf, orphan, length, ext, purpose, constraint), pkix.ErrConstraint)
	want(t, verify(certs(r.cert), leaf, orphan, length, ext, purpose), pkix.ErrPurpose)
	want(t, verify(certs(r.cert), leaf, orphan, length, ext), pkix.ErrExtension)
	want(t, verify(certs(r.cert), leaf, orphan, length), pkix.ErrSignature)
	want(t, verify(certs(r.cert), leaf, orphan), pkix.ErrNoAnchor)
	// Failures that say the same are told once, whichever certificate they are about.
	twin := *length
	if got := kinds(verify(certs(r.cert), leaf, length, &twin)); got != "bad signature" {
		t.Errorf("%s", got)
	}
	// The same failure once, and its signature too.
	_, _, work := pkix.VerifyCounted(pkix.Request{Chain: certs(leaf, length, length, length), Roots: pkix.NewRoots(r.cert), At: now})
	if work.Signatures != 1 || work.Steps != 3 {
		t.Errorf("%+v", work)
	}
	err = verify(certs(r.cert), leaf, length, length, length)
	if got := kinds(err); got != "bad signature" {
		t.Errorf("%s", got)
	}
}

func TestFailuresAreBounded(t *testing.T) {
	r := root(t)
	a := newEntity(t, "a")
	a.cert = r.signs(a, true)
	chain := certs(a.leaf())
	for i := range 60 {
		chain = append(chain, r.signs(a, true, rawExt(true, []byte{5, 0}, 1, 2, 3, i)))
	}
	chain = append(chain, r.signs(a, true, until(now.AddDate(0, 0, -1))))
	err := verify(certs(r.cert), chain...)
	want(t, err, pkix.ErrExpired)
	var e *pkix.Error
	if errors.As(err, &e); len(e.All) != 32 {
		t.Errorf("%d failures", len(e.All))
	}
	// A less specific one, once the list is full, does not displace another.
	err = verify(certs(r.cert), append(chain[:61:61], newEntity(t, "gone").signs(a, true))...)
	want(t, err, pkix.ErrExtension)
	if strings.Contains(kinds(err), "no path") {
		t.Errorf("%s", kinds(err))
	}
}

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

func TestVerifyServer(t *testing.T) {
	r := root(t)
	ref := func(s string) []rfc6125.Reference {
		x, err := rfc6125.ParseReference(s)
		if err != nil {
			t.Fatal(err)
		}
		return []rfc6125.Reference{x}
	}
	req := pkix.Request{Chain: certs(r.leaf()), Roots: pkix.NewRoots(r.cert), At: now}
	res, err := pkix.VerifyServer(req, ref("mx.example"))
	if err != nil || !res.Match.OK || res.Match.Reference != ref("mx.example")[0] || len(res.Path.Certs) != 2 {
		t.Errorf("%+v, %v", res, err)
	}
	res, err = pkix.VerifyServer(req, ref("other.example"))
	want(t, err, pkix.ErrName, "CN=mx.example", "expected other.example")
	var e *pkix.Error
	if errors.As(err, &e); len(e.Presented) != 2 || e.Presented[0] != "mx.example" || e.Presented[1] != "CN=mx.example" || res.Match.OK || res.Path.Certs != nil {
		t.Errorf("%+v, %+v", e, res)
	}
	_, err = pkix.VerifyServer(req, nil)
	want(t, err, pkix.ErrName, "no name is expected")
	_, err = pkix.VerifyServer(req, append(ref("a.example"), ref("b.example")...))
	want(t, err, pkix.ErrName, "a.example or b.example")
	// A bad path and a wrong name: both are told, the path first.
	bad := req
	bad.Roots = nil
	res, err = pkix.VerifyServer(bad, ref("other.example"))
	want(t, err, pkix.ErrNoAnchor)
	if kinds(err) != "no path to an anchor, no presented name matches" || res.Match.OK {
		t.Errorf("%s", kinds(err))
	}
	_, err = pkix.VerifyServer(bad, ref("mx.example"))
	want(t, err, pkix.ErrNoAnchor)
	if kinds(err) != "no path to an anchor" {
		t.Errorf("%s", kinds(err))
	}
	// Common Names.
	cn := req
	cn.Chain = certs(r.leaf(dns()))
	_, err = pkix.VerifyServer(cn, ref("mx.example"))
	want(t, err, pkix.ErrName)
	cn.Names = rfc6125.Options{CNID: true}
	if res, err = pkix.VerifyServer(cn, ref("mx.example")); err != nil || res.Match.Kind != rfc6125.CNID {
		t.Errorf("%+v, %v", res, err)
	}
	a := r.ca("a", constrained(nil, trees(dnsTree("example"))))
	cn.Chain = certs(a.leaf(dns()), a.cert)
	_, err = pkix.VerifyServer(cn, ref("mx.example"))
	want(t, err, pkix.ErrConstraint) // the option binds the name as well
}

func TestErrorText(t *testing.T) {
	r := root(t)
	evil := newEntity(t, "a\x1b[31m\nb\u202e"+strings.Repeat("x", 500))
	err := verify(certs(r.cert), r.signs(evil, false, until(now.AddDate(-1, 0, 0))))
	want(t, err, pkix.ErrExpired)
	if s := err.Error(); strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) || len(s) > 400 {
		t.Errorf("%q", s)
	}
	for n, cut := range map[int]bool{117: false, 118: true} { // CN= before it
		err = verify(nil, r.signs(newEntity(t, strings.Repeat("x", n)), false))
		if want(t, err, pkix.ErrNoAnchor); strings.Contains(err.Error(), "...") != cut {
			t.Errorf("%d: %v", n, err)
		}
	}
	nameless := newEntity(t, "")
	err = verify(nil, r.signs(nameless, false, func(c *x509.Certificate) { c.SerialNumber = big.NewInt(0xabc) }))
	want(t, err, pkix.ErrNoAnchor, "serial number abc")
	want(t, verify(certs(root(t).cert), extend(&x509.Certificate{RawIssuer: root(t).cert.RawSubject, NotAfter: now.AddDate(1, 0, 0)}, false, nil, 1)), pkix.ErrSignature)
	if e := (&pkix.Error{Kind: pkix.ErrNoCert}); e.Error() != "certificate not trusted: no certificate presented" || !errors.Is(e, pkix.ErrUntrusted) {
		t.Errorf("%v", e)
	}
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
		// 1 + 499*501 is the limit itself.
		for n, kind := range map[[2]int]error{{499, 501}: nil, {500, 500}: pkix.ErrBudget} {
			b := r.ca("b", constrained(nil, tree[:n[1]]))
			_, err, work := pkix.VerifyCounted(pkix.Request{Chain: certs(b.leaf(rawSAN(many[:n[0]]...)), b.cert), Roots: pkix.NewRoots(r.cert), At: now})
			if (err == nil) != (kind == nil) || err != nil && err.Kind != kind || work.Names != n[0]*n[1]+1 {
				t.Errorf("%v: %v, %+v", n, err, work)
			}
		}
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

// A hostile graph in which every step succeeds and every path is too long, so
// that only the count of steps can end it: layers of three certificates each for
// one name and key, 66 signatures and 3 to the ninth paths.
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

func TestCollect(t *testing.T) {
	fail := func(kind error, subject, detail string) *pkix.Error {
		return &pkix.Error{Kind: kind, Subject: subject, Detail: detail}
	}
	for i, c := range []struct {
		list []*pkix.Error
		n    int
	}{
		{[]*pkix.Error{fail(pkix.ErrExpired, "a", "x"), fail(pkix.ErrExpired, "a", "x")}, 1},
		{[]*pkix.Error{fail(pkix.ErrExpired, "a", "x"), fail(pkix.ErrPurpose, "a", "x")}, 2},
		{[]*pkix.Error{fail(pkix.ErrExpired, "a", "x"), fail(pkix.ErrExpired, "b", "x")}, 2},
		{[]*pkix.Error{fail(pkix.ErrExpired, "a", "x"), fail(pkix.ErrExpired, "a", "y")}, 2},
	} {
		if v := pkix.Collect(c.list...); len(v.All) != c.n || v.Kind != pkix.ErrExpired || v.Subject != "a" || v.Detail != "x" {
			t.Errorf("%d: %+v", i, v)
		}
	}
	// Of several of one rank the first is reported, and the full list keeps it.
	var list []*pkix.Error
	for i := range 40 {
		list = append(list, fail(pkix.ErrPurpose, fmt.Sprint(i), ""))
	}
	if v := pkix.Collect(list...); v.Subject != "0" || len(v.All) != 32 || v.All[31].(*pkix.Error).Subject != "31" {
		t.Errorf("%+v", v)
	}
	if v := pkix.Collect(append(list, fail(pkix.ErrExpired, "late", ""))...); v.Subject != "late" || len(v.All) != 32 {
		t.Errorf("%+v", v)
	}
	if v := pkix.Collect(fail(pkix.ErrName, "a", ""), fail(pkix.ErrBudget, "b", "")); v.Kind != pkix.ErrBudget {
		t.Errorf("%+v", v)
	}
}

func TestAnchorsOfOneName(t *testing.T) {
	r, other := root(t), root(t)
	anchors := []pkix.Anchor{pkix.CertificateAnchor(other.cert), pkix.CertificateAnchor(r.cert)}
	path, err := pkix.Verify(pkix.Request{Chain: certs(r.leaf()), Anchors: anchors, At: now})
	if err != nil || path.Anchor.Certificate() != r.cert {
		t.Errorf("%v, %v", path, err)
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
	// An absent identifier speaks against nobody, and one that differs is tried last.
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
