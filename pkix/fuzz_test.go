package pkix_test

import (
	"crypto/x509"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/mxauth/mxauth/pkix"
)

// deck is a set of certificates with every kind of fault, from which the fuzzer
// draws chains and anchors.
var deck = sync.OnceValue(func() []*x509.Certificate {
	t := new(testing.T) // newEntity reports to it what cannot happen
	r := root(t)
	a, b := r.ca("a"), r.ca("b", pathLen(0))
	limited := r.ca("limited", constrained(trees(dnsTree("example")), trees(dnsTree("x.example"))))
	old := r.ca("old", until(now.AddDate(-1, 0, 0)), from(now.AddDate(-2, 0, 0)))
	weak := r.ca("weak", usage(x509.KeyUsageCRLSign))
	cs := certs(r.cert, a.cert, b.cert, limited.cert, old.cert, weak.cert, a.signs(b, true), b.signs(a, true), a.signs(r, true),
		b.signs(limited, true), limited.signs(a, true), weak.signs(a, true), old.signs(b, true))
	for _, e := range []*entity{r, a, b, limited, old, weak} {
		cs = append(cs, e.leaf(), e.leaf(dns("x.example", "mx.com")), e.leaf(eku(x509.ExtKeyUsageClientAuth)))
	}
	return cs
})

func FuzzVerify(f *testing.F) {
	f.Add([]byte{13, 1, 2, 3}, []byte{0}, byte(0))
	f.Add([]byte{16, 1, 6, 7, 8, 9, 10}, []byte{4}, byte(1))
	f.Add([]byte{20, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, []byte{}, byte(2))
	f.Fuzz(func(t *testing.T, chain, anchors []byte, mode byte) {
		if len(chain) > 64 || len(anchors) > 8 {
			return
		}
		cs := deck()
		r := pkix.Request{At: now.AddDate(0, 0, int(mode>>3)), CNAsName: mode&4 != 0, MaxIntermediates: int(mode % 5)}
		for _, i := range chain {
			r.Chain = append(r.Chain, cs[int(i)%len(cs)])
		}
		var roots []*x509.Certificate
		for _, i := range anchors {
			c := cs[int(i)%len(cs)]
			switch i >> 6 {
			case 0:
				roots = append(roots, c)
			case 1:
				r.Anchors = append(r.Anchors, pkix.CertificateAnchor(c))
			default:
				k, err := pkix.KeyAnchor(c.RawSubjectPublicKeyInfo)
				if err != nil {
					t.Fatal(err)
				}
				r.Anchors = append(r.Anchors, k)
			}
		}
		r.Roots = pkix.NewRoots(roots...)
		checkVerify(t, r)
	})
}

// checkVerify holds what must be true of every verification.
func checkVerify(t *testing.T, r pkix.Request) {
	path, err, work := pkix.VerifyCounted(r)
	if work.Signatures > pkix.MaxSignatures+1 || work.Steps > pkix.MaxSteps+1 {
		t.Fatalf("over budget: %+v", work)
	}
	if err != nil {
		if len(path.Certs) != 0 || !path.Anchor.IsZero() || len(err.All) == 0 || !strings.HasPrefix(err.Error(), pkix.ErrUntrusted.Error()) {
			t.Fatalf("%+v, %v", path, err)
		}
		return
	}
	// Never authenticated without an anchor, and never by a path that crypto/x509
	// would not follow step by step.
	known := path.BareKey
	for _, a := range r.Anchors {
		known = known || a.Certificate() != nil && a.Certificate() == path.Anchor.Certificate()
	}
	if !known && r.Roots.Len() == 0 {
		t.Fatal("authenticated by nobody")
	}
	last := path.Certs[len(path.Certs)-1]
	if !path.BareKey && (path.Anchor.Certificate() == nil || !last.Equal(path.Anchor.Certificate())) {
		t.Fatalf("the path does not end at its anchor: %+v", path)
	}
	if path.Anchor.IsZero() || path.BareKey && len(r.Anchors) == 0 {
		t.Fatal("authenticated by no anchor")
	}
	if len(path.Certs) > pkix.MaxPath+1 || path.Certs[0] != r.Chain[0] {
		t.Fatalf("%d certificates", len(path.Certs))
	}
	for i := 1; i < len(path.Certs); i++ {
		if err := path.Certs[i-1].CheckSignatureFrom(path.Certs[i]); err != nil {
			t.Fatal(err)
		}
		for _, c := range path.Certs[:i] {
			if c.Equal(path.Certs[i]) {
				t.Fatal("a certificate stands twice on the path")
			}
		}
	}
	for _, c := range path.Certs {
		if r.At.After(c.NotAfter) || r.At.Before(c.NotBefore) {
			t.Fatalf("%s is out of date", c.Subject)
		}
	}
}

// FuzzNames gives a leaf and its CA extensions of any octets.
func FuzzNames(f *testing.F) {
	f.Add(tlv(0x30, tlv(0x82, []byte("mx.example"))), constraints(trees(dnsTree("example")), nil), tlv(0x30, o(0x0c, "Acme")))
	f.Add(tlv(0x30, tlv(0x87, []byte{1, 2, 3, 4})), constraints(nil, trees(subtree(0x87, make([]byte, 8)))), []byte{})
	f.Add(tlv(0x30, tlv(0x86, []byte("https://a/"))), constraints(nil, trees(subtree(0x86, []byte("a")))), tlv(0x30))
	f.Add(tlv(0x30, tlv(0x81, []byte("a@b"))), constraints(nil, trees(subtree(0x81, []byte("b")), dirTree(o(0x1e, "x")))), tlv(0x30, o(0x1c, "\xff\xff\xff\xff")))
	world := sync.OnceValues(func() (*entity, *x509.Certificate) {
		r := root(new(testing.T))
		return r, r.leaf()
	})
	f.Fuzz(func(t *testing.T, san, nc, subject []byte) {
		r, l := world()
		leaf, ca := extend(l, false, san, 2, 5, 29, 17), extend(r.cert, true, nc, 2, 5, 29, 30)
		for i := range leaf.Extensions[:len(leaf.Extensions)-1] {
			if fmt.Sprint(leaf.Extensions[i].Id) == "2.5.29.17" {
				leaf.Extensions[i].Value = san
			}
		}
		leaf.RawSubject = subject
		_, err, work := pkix.VerifyCounted(pkix.Request{Chain: certs(leaf), Roots: pkix.NewRoots(ca), At: now, CNAsName: true})
		if work.Signatures > 1 {
			t.Fatalf("%+v", work)
		}
		if err != nil && strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%q", err.Error())
		}
	})
}
