package dane_test

import (
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/rfc6125"
)

// Each benchmark has a floor beside it: what the cryptography alone costs, in the same
// run. The limits are 1.5 times the floor and one allocation for 3 1 1, and 1.08 times
// for DANE-TA (leaf and intermediate, P-256).

func BenchmarkFloor311(b *testing.B) {
	w := newWorld(b)
	want := w.leaf.record(3, 1, 1).Data
	b.ReportAllocs()
	for b.Loop() {
		d := sha256.Sum256(w.leaf.RawSubjectPublicKeyInfo)
		if string(d[:]) != want {
			b.Fatal("no match")
		}
	}
}

func BenchmarkVerify311(b *testing.B) {
	w := newWorld(b)
	benchmarkVerify(b, set(w.leaf.record(3, 1, 1)), chain(w.leaf, w.inter))
}

// floorTA is two hashes, one check of a signature and a match of a name.
func floorTA(b *testing.B, spki bool) {
	w := newWorld(b)
	s := dane.Selector(dane.Cert)
	if spki {
		s = dane.SPKI
	}
	want := w.inter.record(2, s, 1).Data
	name := rfc6125.PresentedBy(w.leaf.Certificate)
	of := func(n *node) []byte {
		if spki {
			return n.RawSubjectPublicKeyInfo
		}
		return n.Raw
	}
	b.ReportAllocs()
	for b.Loop() {
		if d := sha256.Sum256(of(w.leaf)); string(d[:]) == want {
			b.Fatal("the leaf matches")
		}
		if d := sha256.Sum256(of(w.inter)); string(d[:]) != want {
			b.Fatal("no match")
		}
		if err := w.inter.CheckSignature(w.leaf.SignatureAlgorithm, w.leaf.RawTBSCertificate, w.leaf.Signature); err != nil {
			b.Fatal(err)
		}
		if !name.Match(options.References, rfc6125.Options{}).OK {
			b.Fatal("no name")
		}
	}
}

func BenchmarkFloor211(b *testing.B) { floorTA(b, true) }

func BenchmarkVerify211(b *testing.B) {
	w := newWorld(b)
	benchmarkVerify(b, set(w.inter.record(2, 1, 1)), chain(w.leaf, w.inter))
}

func BenchmarkVerify311MissThen211(b *testing.B) {
	w := newWorld(b)
	benchmarkVerify(b, set(w.root.record(3, 1, 1), w.inter.record(2, 1, 1)), chain(w.leaf, w.inter))
}

func BenchmarkFloor201(b *testing.B) { floorTA(b, false) }

func BenchmarkVerify201(b *testing.B) {
	w := newWorld(b)
	benchmarkVerify(b, set(w.inter.record(2, 0, 1)), chain(w.leaf, w.inter))
}

func BenchmarkNewSet(b *testing.B) {
	w := newWorld(b)
	rs := []dane.Record{w.leaf.record(3, 1, 1), w.inter.record(2, 1, 1)}
	b.ReportAllocs()
	for b.Loop() {
		if set(rs...).Len() != 2 {
			b.Fatal("lost")
		}
	}
}

func benchmarkVerify(b *testing.B, s dane.Set, p dane.Peer) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Verify(p, options); err != nil {
			b.Fatal(err)
		}
	}
}

// Ratio benchmarks take turns between floor and package, so that what else the machine
// does weighs on both, and report the median of the ratios: "x-floor".

func BenchmarkRatio311(b *testing.B) {
	w := newWorld(b)
	want := w.leaf.record(3, 1, 1).Data
	s, p := set(w.leaf.record(3, 1, 1)), chain(w.leaf, w.inter)
	ratio(b, 2000, func() bool {
		d := sha256.Sum256(w.leaf.RawSubjectPublicKeyInfo)
		return string(d[:]) == want
	}, func() bool {
		_, err := s.Verify(p, options)
		return err == nil
	})
}

func BenchmarkRatio211(b *testing.B) {
	w := newWorld(b)
	ratioTA(b, w, dane.SPKI, w.inter.record(2, 1, 1))
}

func BenchmarkRatio201(b *testing.B) {
	w := newWorld(b)
	ratioTA(b, w, dane.Cert, w.inter.record(2, 0, 1))
}

func BenchmarkRatio311MissThen211(b *testing.B) {
	w := newWorld(b)
	ratioTA(b, w, dane.SPKI, w.root.record(3, 1, 1), w.inter.record(2, 1, 1))
}

func ratioTA(b *testing.B, w pki, sel dane.Selector, rs ...dane.Record) {
	s, p := set(rs...), chain(w.leaf, w.inter)
	name := rfc6125.PresentedBy(w.leaf.Certificate)
	want := w.inter.record(2, sel, 1).Data
	leaf, inter := w.leaf.RawSubjectPublicKeyInfo, w.inter.RawSubjectPublicKeyInfo
	if sel == dane.Cert {
		leaf, inter = w.leaf.Raw, w.inter.Raw
	}
	ratio(b, 20, func() bool {
		d, e := sha256.Sum256(leaf), sha256.Sum256(inter)
		return string(d[:]) != want && string(e[:]) == want &&
			w.inter.CheckSignature(w.leaf.SignatureAlgorithm, w.leaf.RawTBSCertificate, w.leaf.Signature) == nil &&
			name.Match(options.References, rfc6125.Options{}).OK
	}, func() bool {
		_, err := s.Verify(p, options)
		return err == nil
	})
}

func ratio(b *testing.B, batch int, floor, ours func() bool) {
	timed := func(f func() bool) time.Duration {
		start := time.Now()
		for range batch {
			if !f() {
				b.Fatal("wrong verdict")
			}
		}
		return time.Since(start)
	}
	var ratios []float64
	for b.Loop() {
		f := timed(floor)
		ratios = append(ratios, float64(timed(ours))/float64(f))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "x-floor")
}
