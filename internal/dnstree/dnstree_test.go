package dnstree_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/internal/dnstree"
)

// RFC 4034 section 6.1 has this list of names in canonical order.
func TestOrder(t *testing.T) {
	want := []string{"example.", "a.example.", "yljkjljk.a.example.", "z.a.example.", "zabc.a.example.", "z.example.", `\001.z.example.`, "*.z.example.", `\200.z.example.`}
	var d dnstree.Denial
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, func(a, b string) int { return strings.Compare(d.Rank(a), d.Rank(b)) })
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// RFC 5155 appendix A has these hashes.
func TestHashes(t *testing.T) {
	d := dnstree.Denial{NSEC3: true, Iterations: 12, Salt: "aabbccdd"}
	for name, want := range map[string]string{"example.": "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom", "ns1.example.": "2t7b4g4vsa5smi47k61mv5bv1a22bojr"} {
		if got := d.Rank(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

var owners = map[string][]uint16{
	"example.":          {dns.TypeNS, dns.TypeSOA},
	"a.example.":        {dns.TypeA},
	"deep.ent.example.": {dns.TypeA},
	"open.example.":     {dns.TypeNS},
	"*.w.example.":      {dns.TypeMX},
}

// exists reports whether a name is an owner or above one.
func exists(name string) bool {
	for o := range owners {
		if dns.IsSubDomain(name, o) {
			return true
		}
	}
	return false
}

// TestProofs counts the records of each proof: one record may serve two ends.
func TestProofs(t *testing.T) {
	type call func(dnstree.Prover) *dnstree.Proof
	typ := func(n string) call { return func(z dnstree.Prover) *dnstree.Proof { return z.Type(n) } }
	name := func(n string) call { return func(z dnstree.Prover) *dnstree.Proof { return z.Name(n) } }
	closer := func(n string) call { return func(z dnstree.Prover) *dnstree.Proof { return z.Closer(n) } }
	for _, c := range []struct {
		what    string
		ask     call
		records [3]int // with NSEC, NSEC3 and NSEC3 with opt-out
		optOut  bool   // under opt-out
	}{
		{"an owner", typ("a.example."), [3]int{1, 1, 1}, false},
		{"an empty non-terminal", typ("ent.example."), [3]int{1, 1, 1}, false},
		{"an unsigned delegation", typ("open.example."), [3]int{1, 1, 2}, true},
		{"no such name", name("b.example."), [3]int{2, 2, 2}, true},
		{"a wildcard without the type", name("x.w.example."), [3]int{1, 2, 2}, true},
		{"an answer from the wildcard", closer("x.w.example."), [3]int{1, 1, 1}, true},
	} {
		for i, d := range []dnstree.Denial{{}, {NSEC3: true}, {NSEC3: true, OptOut: true}} {
			d.Apex = "example."
			chain := d.Chain(owners)
			p := c.ask(dnstree.Prover{Denial: d, Find: chain.Find, Exists: exists})
			if len(p.Links) != c.records[i] || p.OptOut != (c.optOut && d.OptOut) {
				t.Errorf("%s, %+v: %d records, opt-out %v", c.what, d, len(p.Links), p.OptOut)
			}
		}
	}
}

// TestChain: every record leads to the next, and those of an unsigned delegation are left
// out under opt-out alone.
func TestChain(t *testing.T) {
	for want, d := range map[int]dnstree.Denial{5: {Apex: "example."}, 7: {Apex: "example.", NSEC3: true}, 6: {Apex: "example.", NSEC3: true, OptOut: true}} {
		links := d.Chain(owners).Links()
		if len(links) != want {
			t.Errorf("%+v: %d records, want %d", d, len(links), want)
		}
		for i, l := range links {
			next := links[(i+1)%len(links)]
			switch rr := l.RR.(type) {
			case *dns.NSEC:
				if rr.NextDomain != next.Name || !slices.Contains(rr.TypeBitMap, dns.TypeNSEC) {
					t.Errorf("%s", rr)
				}
			case *dns.NSEC3:
				if !strings.EqualFold(rr.NextDomain, next.Rank) || slices.Contains(rr.TypeBitMap, dns.TypeRRSIG) != (len(owners[l.Name]) > 0 && l.Name != "open.example.") {
					t.Errorf("%s: %s", l.Name, rr)
				}
			}
		}
	}
}

func TestKeys(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	set := []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: "a.example.", Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: []byte{192, 0, 2, 1}}}
	for _, algorithm := range []uint8{0, dns.ECDSAP384SHA384, dns.ED25519, dns.RSASHA256} {
		k, err := dnstree.NewKey("example.", algorithm, dnstree.FlagZone, 0)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := k.Sign("example.", set, at, at.Add(time.Hour))
		if err != nil || sig.Verify(k.DNSKEY, set) != nil {
			t.Errorf("algorithm %d: %v, %v", algorithm, err, sig.Verify(k.DNSKEY, set))
		}
		if sig.Signature = dnstree.Flip(sig.Signature); sig.Verify(k.DNSKEY, set) == nil {
			t.Errorf("algorithm %d: a signature with a bit changed verifies", algorithm)
		}
	}
	k, err := dnstree.NewKey("example.", dnstree.UnknownAlgorithm, dnstree.FlagZone, 0)
	if err != nil {
		t.Fatal(err)
	}
	if sig, err := k.Sign("example.", set, at, at); err != nil || sig.Algorithm != dnstree.UnknownAlgorithm {
		t.Errorf("%v, %v", sig, err)
	}
}
