package pkix_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/pkix"
)

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

func TestAnchorsOfOneName(t *testing.T) {
	r, other := root(t), root(t)
	anchors := []pkix.Anchor{pkix.CertificateAnchor(other.cert), pkix.CertificateAnchor(r.cert)}
	path, err := pkix.Verify(pkix.Request{Chain: certs(r.leaf()), Anchors: anchors, At: now})
	if err != nil || path.Anchor.Certificate() != r.cert {
		t.Errorf("%v, %v", path, err)
	}
}
