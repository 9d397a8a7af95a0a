package dnssec_test

import (
	"fmt"
	"testing"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
)

// TestValidatorProofInTheAnswer: an answer from an unsigned zone may bring the proof that it
// is unsigned (RFC 4035 section 5.2). Where it is good, the DS is not asked for; where it
// is not, it changes nothing.
func TestValidatorProofInTheAnswer(t *testing.T) {
	const below, apex = "mx.unsigned.test. A", "unsigned.test. MX"
	unsigned := "unsigned.test."
	proof := func(tr *tree, m *dns.Msg) { tr.zones["test."].match(tr, m, unsigned) }
	// by adds a record of a zone that denies, signed in the name of signer.
	by := func(zone, owner, signer string) func(tr *tree, m *dns.Msg) {
		return func(tr *tree, m *dns.Msg) {
			n := &dns.NSEC{Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: 300},
				NextDomain: "zz." + zone, TypeBitMap: []uint16{dns.TypeNS, dns.TypeRRSIG, dns.TypeNSEC}}
			m.Ns = append(m.Ns, n, tr.zones["test."].signAs(t, signer, []dns.RR{n}))
		}
	}
	rootSOA := func(tr *tree, m *dns.Msg) {
		m.Ns = append(m.Ns, tr.zones["."].signed(tr, ".", dns.TypeSOA)...)
	}
	foreign := func(tr *tree, m *dns.Msg) { tr.zones["hashed.test."].match(tr, m, "mx.hashed.test.") }
	for _, tt := range []struct {
		name, q string
		parent  *testNSEC3
		ns      []func(tr *tree, m *dns.Msg)
		asked   int
	}{
		{"a name below the cut", below, nil, parts(proof), 0},
		{"the cut itself", apex, nil, parts(proof), 0},
		{"none", below, nil, nil, 1},
		{"NSEC3", below, &testNSEC3{iterations: 1}, parts(proof), 0},
		{"an opt-out span says only that there may be a cut", below, &testNSEC3{optOut: true}, parts(proof), 1},
		{"behind a signed SOA record", below, nil, parts(rootSOA, proof), 0},
		{"behind that of another zone", below, nil, parts(foreign, proof), 0},
		{"one by the unsigned zone alone", below, nil, parts(by(unsigned, unsigned, unsigned)), 1},
		{"one with a broken signature", below, nil, parts(by("test.", unsigned, ".")), 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := newTree(t)
			tr.zones["test."].nsec3 = tt.parent
			tr.on(tt.q, func(m *dns.Msg) {
				for _, add := range tt.ns {
					add(tr, m)
				}
			})
			a, err := tr.get(tt.q)
			if a.Status != dnssec.Insecure || err != nil || tr.count("unsigned.test. DS") != tt.asked {
				t.Errorf("%s, asked %q", outcome(a, err), tr.asked)
			}
		})
	}
	t.Run("one by a name that is no zone", func(t *testing.T) {
		tr := newTree(t)
		tr.on("deep.ent.below.example.test. A", func(m *dns.Msg) {
			m.Answer = drop(m.Answer, isType(dns.TypeRRSIG))
			by("example.test.", "deep.ent.below.example.test.", "below.example.test.")(tr, m)
		})
		tr.want("deep.ent.below.example.test. A", "bogus signature-missing")
	})
}

// TestValidatorCutsMove: a zone that is known to be cut out is not signed for by the zone
// above it; unless the cut is gone. The DS at a cut is the upper zone's own.
func TestValidatorCutsMove(t *testing.T) {
	tr := newTree(t)
	v := tr.validator()
	const q = "mx.example.test. A"
	for _, known := range []string{q, "example.test. DS"} {
		if a, err := resolve(t, v, known); outcome(a, err) != "secure data" {
			t.Fatalf("%s: %s", known, outcome(a, err))
		}
	}
	delete(tr.zones, "example.test.")
	tr.zones["test."].add(t, "mx.example A 192.0.2.77")
	clear(tr.zones["test."].sigs)
	if a, err := resolve(t, v, q); outcome(a, err) != "secure data" {
		t.Errorf("after the cut is gone: %s (%s)", outcome(a, err), a.Reason)
	}
	if n := tr.count("example.test. DS"); n != 3 {
		t.Errorf("the DS was asked for %d times: for the chain, for itself, and for whether it is still there", n)
	}
}

// TestValidatorDenialRecords says which records of an authority section are looked at.
func TestValidatorDenialRecords(t *testing.T) {
	without := func(typ uint16) func(tr *tree, z *testZone, m *dns.Msg) {
		return func(_ *tree, _ *testZone, m *dns.Msg) {
			m.Ns = drop(m.Ns, func(rr dns.RR) bool { return isType(typ)(rr) || covers(typ)(rr) })
		}
	}
	// first puts four signed sets before the rest, each by another signer.
	first := func(tr *tree, z *testZone, m *dns.Msg) {
		var sets []dns.RR
		for i, signer := range []string{"a.b.c.e.example.test.", "b.c.e.example.test.", "c.e.example.test.", "e.example.test."} {
			set, _ := dns.NewRR(fmt.Sprintf("x%d.%s 300 IN TXT x", i, signer))
			sets = append(sets, set, z.signAs(tr.t, signer, []dns.RR{set}))
		}
		m.Ns = append(sets, m.Ns...)
	}
	fromWildcard := func(tr *tree, z *testZone, m *dns.Msg) {
		n := &dns.NSEC{Hdr: dns.RR_Header{Name: "*.example.test.", Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: 300},
			NextDomain: "zz.example.test.", TypeBitMap: []uint16{dns.TypeA, dns.TypeRRSIG, dns.TypeNSEC}}
		m.Ns = made("mx.example.test.", []dns.RR{n, z.signAs(tr.t, z.apex, []dns.RR{n})})
	}
	exhausted := func(tr *tree, z *testZone, m *dns.Msg) {
		broken := &dns.Msg{}
		z.match(tr, broken, "alias.example.test.")
		manySignatures(broken.Ns, &broken.Ns)
		m.Ns = append(m.Ns, broken.Ns...)
	}
	none := func(*tree, *testZone, *dns.Msg) {}
	for _, tt := range []struct {
		name, q string
		edit    func(tr *tree, z *testZone, m *dns.Msg)
		want    string
	}{
		{"NSEC without a SOA record", "mx.example.test. TXT", without(dns.TypeSOA), "secure nodata"},
		{"NSEC without a SOA record, NXDOMAIN", "nowhere.example.test. A", without(dns.TypeSOA), "secure nxdomain"},
		{"NSEC3 without a SOA record", "mx.hashed.test. TXT", without(dns.TypeSOA), "secure nodata"},
		{"NSEC3 without a SOA record, NXDOMAIN", "nowhere.hashed.test. A", without(dns.TypeSOA), "secure nxdomain"},
		{"a SOA record without NSEC", "mx.example.test. TXT", without(dns.TypeNSEC), "bogus denial-missing"},
		{"a SOA record of an unsigned zone", "mx.unsigned.test. TXT", none, "insecure nodata unsigned-delegation"},
		{"nothing, at the apex of an unsigned zone", "unsigned.test. TXT", without(dns.TypeSOA), "insecure nodata unsigned-delegation"},
		{"at the apex", "example.test. TXT", none, "secure nodata"},
		{"at the apex, NSEC3", "hashed.test. TXT", none, "secure nodata"},
		{"at the root", ". TXT", none, "secure nodata"},
		{"other sets take no place", "a.b.c.e.example.test. A", first, "secure nxdomain"},
		{"a record made from a wildcard", "mx.example.test. TXT", fromWildcard, "bogus signature-labels"},
		{"out of budget beside a good proof", "mx.example.test. TXT", exhausted, "indeterminate budget-exceeded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := newTree(t)
			tr.on(tt.q, func(m *dns.Msg) { tt.edit(tr, tr.zones["example.test."], m) })
			tr.want(tt.q, tt.want)
		})
	}
}

// TestValidatorWildcardOpen: an opt-out span denies a name, but no wildcard beside it. That
// does for NODATA (erratum 3441 of RFC 5155) and not for NXDOMAIN, which is then to be
// explained by an unsigned delegation; so the DS is asked for.
func TestValidatorWildcardOpen(t *testing.T) {
	const q = "nowhere.opt.test. A"
	for rcode, want := range map[int]string{dns.RcodeSuccess: "insecure nodata opt-out", dns.RcodeNameError: "indeterminate servfail"} {
		tr := answering(t, q, func(tr *tree, _ *testZone, m *dns.Msg) {
			z := tr.zones["opt.test."]
			m.Rcode = rcode
			m.Ns = z.signed(tr, z.apex, dns.TypeSOA)
			z.match(tr, m, z.apex)
			z.cover(tr, m, "nowhere.opt.test.", "nowhere.opt.test.")
		})
		tr.on("nowhere.opt.test. DS", func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure; m.Answer, m.Ns = nil, nil })
		tr.want(q, want)
	}
	// With the proof for the wildcard it may be either.
	newTree(t).want(q, "insecure nxdomain opt-out")
}

// TestValidatorDSOutOfReach: where it cannot be seen whether a cut is on the way, records
// without a signature are neither bogus nor unsigned; those with a wrong one are bogus.
func TestValidatorDSOutOfReach(t *testing.T) {
	for _, tt := range []struct {
		name, q string
		edit    func(m *dns.Msg)
		want    string
	}{
		{"unsigned data", "mx.example.test. A", func(m *dns.Msg) { m.Answer = drop(m.Answer, isType(dns.TypeRRSIG)) }, "indeterminate servfail"},
		{"no proof", "mx.example.test. TXT", func(m *dns.Msg) { m.Ns = nil }, "indeterminate servfail"},
		{"data of a wrong signature", "mx.example.test. A", func(m *dns.Msg) { m.Answer[0].(*dns.A).A[3]++ }, "bogus signature-invalid"},
		{"a proof of a wrong signature", "mx.example.test. TXT", func(m *dns.Msg) {
			for _, rr := range m.Ns {
				if n, ok := rr.(*dns.NSEC); ok {
					n.NextDomain = "other.example.test."
				}
			}
		}, "bogus signature-invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := newTree(t)
			tr.on(tt.q, tt.edit)
			tr.on("mx.example.test. DS", func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure; m.Answer, m.Ns = nil, nil })
			tr.want(tt.q, tt.want)
		})
	}
}
