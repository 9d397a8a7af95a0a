package probe_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"

	"github.com/mxauth/mxauth/engine/probe"
	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/internal/tlswire"
	"github.com/mxauth/mxauth/pkix"
)

// signedBy makes a flight with a signature by a key of certtest.
func signedBy(t testing.TB, spki []byte, key crypto.Signer, scheme tlswire.Scheme, opts crypto.SignerOpts) *tlswire.Flight {
	t.Helper()
	data := []byte("randoms and parameters")
	sum := sha256.Sum256(data)
	digest := sum[:]
	if opts.HashFunc() == 0 {
		digest = data
	}
	sig, err := key.Sign(rand.Reader, digest, opts)
	if err != nil {
		t.Fatal(err)
	}
	return &tlswire.Flight{Suite: 0xc02f, Group: 29, Chain: [][]byte{certtest.NewCA().Issue(certtest.New("mx.example.org", spki))}, Scheme: scheme, Signed: data, Signature: sig}
}

// TestPossession: a signature proves a key if it is made with it, by an algorithm of it,
// over what was sent.
func TestPossession(t *testing.T) {
	ec, rsaKey := certtest.NewKey(), certtest.NewRSA(2048, 65537)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edSPKI := certtest.TLV(certtest.Sequence, certtest.TLV(certtest.Sequence, certtest.ID(1, 3, 101, 112)), certtest.TLV(certtest.BitString, []byte{0}, ed.Public().(ed25519.PublicKey)))
	var pss certtest.Served
	for _, k := range certtest.Kinds() {
		if k.Name == "rsa-pss" {
			pss = k.Server(certtest.NewCA(), "mx.example.org")
		}
	}
	flights := map[string]*tlswire.Flight{
		"ECDSA":   signedBy(t, ec.SPKI, ec.Private, tlswire.ECDSAWithSHA256, crypto.SHA256),
		"RSA":     signedBy(t, rsaKey.SPKI(true), rsaKey, tlswire.RSAWithSHA256, crypto.SHA256),
		"Ed25519": signedBy(t, edSPKI, ed, tlswire.Ed25519, crypto.Hash(0)),
		"RSA-PSS": signedBy(t, pss.SPKI, pss.Key, tlswire.RSAPSSKeySHA256, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}),
	}
	schemes := []tlswire.Scheme{
		tlswire.ECDSAWithSHA256, tlswire.ECDSAWithSHA384, tlswire.ECDSAWithSHA512, tlswire.ECDSAWithSHA1, tlswire.RSAWithSHA256, tlswire.RSAWithSHA384,
		tlswire.RSAWithSHA512, tlswire.RSAWithSHA1, tlswire.RSAPSSKeySHA256, tlswire.RSAPSSKeySHA384, tlswire.RSAPSSKeySHA512, tlswire.Ed25519,
	}
	for name, f := range flights {
		if why, ok := probe.Possession(f); !ok || why != "" {
			t.Errorf("%s: %v %q", name, ok, why)
		}
		for _, s := range schemes {
			g := *f
			g.Scheme = s
			if _, ok := probe.Possession(&g); ok && s != f.Scheme {
				t.Errorf("%s with scheme %04x", name, uint16(s))
			}
		}
		for other, g := range flights {
			h := *f
			h.Chain = g.Chain
			if _, ok := probe.Possession(&h); ok && other != name {
				t.Errorf("the signature of %s with the certificate of %s", name, other)
			}
		}
		g := *f
		g.Signed = append([]byte("x"), g.Signed...)
		if _, ok := probe.Possession(&g); ok {
			t.Errorf("%s over other bytes", name)
		}
		g = *f
		g.Signature = nil
		if _, ok := probe.Possession(&g); ok {
			t.Errorf("%s without a signature", name)
		}
	}
}

// FuzzPossession: whatever is sent, what counts as proved is proved by the standard
// library too, where it knows the key.
func FuzzPossession(f *testing.F) {
	ec := certtest.NewKey()
	made := signedBy(f, ec.SPKI, ec.Private, tlswire.ECDSAWithSHA256, crypto.SHA256)
	f.Add(made.Chain[0], uint16(made.Suite), uint16(made.Scheme), made.Signed, made.Signature)
	f.Fuzz(func(t *testing.T, cert []byte, suite, scheme uint16, signed, signature []byte) {
		why, ok := probe.Possession(&tlswire.Flight{Suite: tlswire.Suite(suite), Chain: [][]byte{cert}, Scheme: tlswire.Scheme(scheme), Signed: signed, Signature: signature})
		if !ok || why != "" {
			return
		}
		key, err := pkix.ReadKey(pkix.Read(cert).SPKI())
		sum := sha256.Sum256(signed)
		switch k := key.(type) {
		case *ecdsa.PublicKey:
			if tlswire.Scheme(scheme) == tlswire.ECDSAWithSHA256 && !ecdsa.VerifyASN1(k, sum[:], signature) {
				t.Fatal("not signed")
			}
		case ed25519.PublicKey:
			if !ed25519.Verify(k, signed, signature) {
				t.Fatal("not signed")
			}
		default:
			if err == nil && len(signature) == 0 {
				t.Fatal("no signature")
			}
		}
	})
}
