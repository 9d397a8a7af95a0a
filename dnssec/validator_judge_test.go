package dnssec_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
)

// TestValidatorChainBreaksOff: where a response follows an alias only in part, the rest is
// asked for, unless the response itself tells the end (RFC 2308 section 2.2, RFC 6604
// section 3).
func TestValidatorChainBreaksOff(t *testing.T) {
	noNSEC := func(m *dns.Msg) {
		m.Ns = drop(m.Ns, func(rr dns.RR) bool { return isType(dns.TypeNSEC)(rr) || covers(dns.TypeNSEC)(rr) })
	}
	onlyAlias := func(m *dns.Msg) {
		m.Answer = drop(m.Answer, func(rr dns.RR) bool { return !isType(dns.TypeCNAME)(rr) && !covers(dns.TypeCNAME)(rr) })
	}
	for _, tt := range []struct {
		name, alias, end string // end is the question that follows
		edit             func(m *dns.Msg)
		asked            int // how often end is asked for
		want             string
	}{
		{"data follows", "a0 CNAME mx", "mx.example.test. A", func(*dns.Msg) {}, 0, "secure data"},
		{"into a signed zone", "a0 CNAME mx", "mx.example.test. A", onlyAlias, 1, "secure data"},
		{"into an unsigned zone", "a0 CNAME mx.unsigned.test.", "mx.unsigned.test. A", onlyAlias, 1, "insecure data unsigned-delegation"},
		{"into an unsigned zone, with its denial", "a0 CNAME ns2.unsigned.test.", "ns2.unsigned.test. A", func(*dns.Msg) {}, 0, "insecure nxdomain unsigned-delegation"},
		{"into an unsigned zone, NXDOMAIN without a SOA record", "a0 CNAME ns2.unsigned.test.", "ns2.unsigned.test. A", func(m *dns.Msg) { m.Ns = nil }, 0, "insecure nxdomain unsigned-delegation"},
		{"into a signed zone, with its denial", "a0 CNAME nowhere", "nowhere.example.test. A", func(*dns.Msg) {}, 0, "secure nxdomain"},
		{"into a signed zone, a denial without proof", "a0 CNAME nowhere", "nowhere.example.test. A", noNSEC, 1, "secure nxdomain"},
		{"into a signed zone, NODATA without proof", "a0 CNAME host", "host.example.test. A", noNSEC, 1, "secure nodata"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := newTree(t)
			tr.zones["example.test."].add(t, tt.alias)
			tr.on("a0.example.test. A", tt.edit)
			a, err := tr.get("a0.example.test. A")
			if outcome(a, err) != tt.want || len(a.Chain) != 1 || tr.count(tt.end) != tt.asked {
				t.Errorf("%s (want %s), chain %v, asked %q", outcome(a, err), tt.want, a.Chain, tr.asked)
			}
		})
	}
	t.Run("out of budget is the end of it", func(t *testing.T) {
		tr := newTree(t)
		tr.zones["example.test."].add(t, "a0 CNAME nowhere")
		tr.on("a0.example.test. A", func(m *dns.Msg) { manySignatures(m.Ns, &m.Ns) })
		tr.want("a0.example.test. A", "indeterminate budget-exceeded")
		if tr.count("nowhere.example.test. A") != 0 {
			t.Errorf("asked %q", tr.asked)
		}
	})
}

// manySignatures puts two hundred broken ones in the place of each NSEC signature.
func manySignatures(in []dns.RR, out *[]dns.RR) {
	*out = drop(in, covers(dns.TypeNSEC))
	for _, rr := range in {
		if !covers(dns.TypeNSEC)(rr) {
			continue
		}
		for n := range 200 {
			b := dns.Copy(rr).(*dns.RRSIG)
			b.Signature = fmt.Sprintf("%03d", n) + "A" + b.Signature[4:]
			*out = append(*out, b)
		}
	}
}

// TestValidatorSignaturesAlone: signatures without what they sign are no records.
func TestValidatorSignaturesAlone(t *testing.T) {
	sigs := func(tr *tree, m *dns.Msg) {
		m.Ns = nil
		m.Answer = drop(tr.zones["example.test."].signed(tr, "mx.example.test.", dns.TypeA), isType(dns.TypeA))
	}
	for _, q := range []string{"mx.example.test. A", "mx.example.test. ANY"} {
		t.Run(q, func(t *testing.T) {
			answering(t, q, func(tr *tree, _ *testZone, m *dns.Msg) { sigs(tr, m) }).want(q, "bogus denial-missing")
			answering(t, q, func(tr *tree, z *testZone, m *dns.Msg) {
				sigs(tr, m)
				m.Ns = z.signed(tr, z.apex, dns.TypeSOA)
				z.match(tr, m, "ns.example.test.")
			}).want(q, "bogus denial-invalid")
		})
	}
	t.Run("nor do records of another name answer a question for all", func(t *testing.T) {
		const q = "ns.example.test. ANY"
		answering(t, q, func(tr *tree, z *testZone, m *dns.Msg) {
			put(m, z.signed(tr, "mx.example.test.", dns.TypeA))
		}).want(q, "bogus denial-missing")
	})
}

// TestValidatorFirstReasonStays: of several insecure steps the first one is the reason.
func TestValidatorFirstReasonStays(t *testing.T) {
	tr := newTree(t)
	tr.zones["unsigned.test."].add(t, "a0 CNAME foo.wild.opt.test.")
	a, err := tr.get("a0.unsigned.test. A")
	if outcome(a, err) != "insecure data unsigned-delegation" || a.Reason.Name != name(t, "unsigned.test.") || a.Records == nil {
		t.Errorf("%s: %+v", outcome(a, err), a.Reason)
	}
	tr = newTree(t)
	tr.zones["opt.test."].add(t, "*.out CNAME mx.unsigned.test.")
	a, err = tr.get("foo.out.opt.test. A")
	if outcome(a, err) != "insecure data opt-out" || a.Reason.Name != name(t, "foo.out.opt.test.") {
		t.Errorf("%s: %+v", outcome(a, err), a.Reason)
	}
}

// TestValidatorAnswerBesideAnError: a failure leaves nothing that could be taken for an
// answer, and nothing of the part that failed.
func TestValidatorAnswerBesideAnError(t *testing.T) {
	unproved := func(tr *tree) { tr.on("foo.wild.example.test. A", func(m *dns.Msg) { m.Ns = nil }) }
	for _, tt := range []struct {
		q, want string
		edit    func(tr *tree)
	}{
		{"foo.wild.example.test. A", "bogus denial-missing", unproved},
		{"mx.example.test. A", "bogus signature-missing", func(tr *tree) {
			tr.on("mx.example.test. A", func(m *dns.Msg) { m.Answer = drop(m.Answer, isType(dns.TypeRRSIG)) })
		}},
		{"mx.example.test. TXT", "bogus denial-missing", func(tr *tree) {
			tr.on("mx.example.test. TXT", func(m *dns.Msg) { m.Ns = nil })
		}},
		{"mx.example.test. TXT", "bogus signature-invalid", func(tr *tree) {
			tr.on("mx.example.test. TXT", func(m *dns.Msg) { m.Ns[0].(*dns.SOA).Serial++ })
		}},
	} {
		tr := newTree(t)
		tt.edit(tr)
		a, err := tr.get(tt.q)
		if outcome(a, err) != tt.want || a.Kind != 0 || a.Records != nil || !a.Expires.IsZero() || !a.SignaturesEnd.IsZero() {
			t.Errorf("%s: %s, %+v", tt.q, outcome(a, err), a)
		}
		var le *dnssec.LookupError
		if !errors.As(err, &le) || le.Server != "tree" || le.Question != a.Question || le.Reason != a.Reason {
			t.Errorf("%s: %#v", tt.q, err)
		}
	}
}

// TestValidatorStripsWarm: all keys are known, so what the upstream takes away is missed
// in the answer alone; still it is the upstream's fault and not the zone's.
func TestValidatorStripsWarm(t *testing.T) {
	for _, q := range []string{"example.test. MX", "example.test. TXT", "test. SOA", ". NS", ". TXT"} {
		t.Run(q, func(t *testing.T) {
			tr := newTree(t)
			v := tr.validator()
			if a, err := resolve(t, v, "mx.example.test. A"); err != nil {
				t.Fatal(outcome(a, err))
			}
			tr.edit = func(_ dns.Question, m *dns.Msg) {
				m.Answer, m.Ns = drop(m.Answer, isType(dns.TypeRRSIG)), drop(m.Ns, isType(dns.TypeRRSIG))
			}
			if a, err := resolve(t, v, q); outcome(a, err) != "indeterminate upstream-strips-dnssec" {
				t.Error(outcome(a, err))
			}
			// Where only the answer lacks them, the upstream is not to blame.
			tr.edit = nil
			tr.on(q, func(m *dns.Msg) {
				m.Answer, m.Ns = drop(m.Answer, isType(dns.TypeRRSIG)), drop(m.Ns, isType(dns.TypeRRSIG))
			})
			if a, err := resolve(t, v, q); !errors.Is(err, dnssec.ErrBogus) {
				t.Error(outcome(a, err))
			}
		})
	}
	t.Run("without anchors nobody can strip anything", func(t *testing.T) {
		tr := newTree(t)
		tr.edit = func(_ dns.Question, m *dns.Msg) { m.Answer = drop(m.Answer, isType(dns.TypeRRSIG)) }
		tr.want("example.test. MX", "insecure data no-anchor", func(c *dnssec.ValidatorConfig) { c.Anchors = []anchor.Anchor{} })
	})
}
