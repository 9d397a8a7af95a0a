package pkix_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
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
		// The caller confirms an anchor, no one for an intermediate.
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
			err := verify(certs(r.cert), r.leaf(eku(c.usages...)))
			want(t, err, c.kind)
			if e := (*pkix.Error)(nil); errors.As(err, &e) && !e.NotServer {
				t.Errorf("%v: %+v", c.usages, e)
			}
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
		for bits, words := range map[uint]string{8192: "not made by", 8193: "more than 8192"} {
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

// A hostile graph in which every step succeeds and every path is too long, so
// that only the count of steps can end it: layers of three certificates each for
// one name and key, 66 signatures and 3 to the ninth paths.
