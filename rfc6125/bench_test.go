package rfc6125_test

import (
	"crypto/x509"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/rfc6125"
)

// The bound of the project: a match against three presented names takes at most
// 60 ns and allocates nothing. The floor is the comparison of the text alone.

func BenchmarkMatch(b *testing.B) {
	three := offer("mail.example.org", "*.example.net", "mx1.example.org")
	for _, c := range []struct {
		name string
		refs []rfc6125.Reference
		want bool
	}{
		{"last of 3", refs("mx1.example.org"), true},
		{"wildcard", refs("mx1.example.net"), true},
		{"none of 3", refs("mx2.example.org"), false},
		{"second reference", refs("mx2.example.org", "mx1.example.org"), true},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if three.Match(c.refs, rfc6125.Options{}).OK != c.want {
					b.Fatal("wrong verdict")
				}
			}
		})
	}
	b.Run("floor", func(b *testing.B) {
		b.ReportAllocs()
		names := []string{"mail.example.org", "mx0.example.org", "mx1.example.org"}
		for b.Loop() {
			n := 0
			for _, s := range names {
				if s == "mx1.example.org" {
					n++
				}
			}
			if n != 1 {
				b.Fatal(n)
			}
		}
	})
}

func BenchmarkPresentedBy(b *testing.B) {
	cert := certificate(b, san(dnsName("mail.example.org"), dnsName("*.example.net"), dnsName("mx1.example.org")), "mx")
	b.Run("3 names", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if len(rfc6125.PresentedBy(cert).Names()) != 4 {
				b.Fatal("names are lost")
			}
		}
	})
	b.Run("floor", func(b *testing.B) { // parsing the whole certificate
		b.ReportAllocs()
		for b.Loop() {
			if _, err := x509.ParseCertificate(cert.Raw); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkParseHost(b *testing.B) {
	for _, s := range []string{"mx1.example.org", "bücher.example", "xn--bcher-kva.example"} {
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := rfc6125.ParseHost(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("floor", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if strings.ToLower("MX1.example.org") == "" {
				b.Fatal("empty")
			}
		}
	})
}

func BenchmarkName(b *testing.B) {
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := rfc6125.ParseName("_25._tcp.mx1.example.org"); err != nil {
				b.Fatal(err)
			}
		}
	})
	n, m := mustName(b, "_25._tcp.mx1.example.org"), mustName(b, "_25._tcp.mx2.example.org")
	b.Run("compare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if n.Compare(m) != -1 {
				b.Fatal("wrong order")
			}
		}
	})
	b.Run("floor", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if strings.Compare("_25._tcp.mx1.example.org", "_25._tcp.mx2.example.org") != -1 {
				b.Fatal("wrong order")
			}
		}
	})
}
