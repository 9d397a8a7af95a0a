package dnssec_test

import (
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
)

// signedSet reads records, which are one RRset, and signs them.
func (z *testZone) signedSet(t testing.TB, records string) []dns.RR {
	t.Helper()
	var only testZone
	only.apex = z.apex
	only.add(t, records)
	return append(only.rrs, signSet(t, z.keys[0], z.apex, only.rrs, z.from, z.until))
}

// made gives the records another owner, as a server does that makes them from a wildcard.
func made(owner string, rrs []dns.RR) []dns.RR {
	for _, rr := range rrs {
		rr.Header().Name = owner
	}
	return rrs
}

// unsignedSet is signedSet without the signature.
func (z *testZone) unsignedSet(t testing.TB, records string) []dns.RR {
	return drop(z.signedSet(t, records), isType(dns.TypeRRSIG))
}

// answering makes the tree answer one question with what build puts into a message.
func answering(t testing.TB, q string, build func(tr *tree, z *testZone, m *dns.Msg)) *tree {
	tr := newTree(t)
	tr.hook = func(asked dns.Question) (*dns.Msg, error) {
		if asked.Name+" "+dns.Type(asked.Qtype).String() != q {
			return nil, nil
		}
		m := new(dns.Msg)
		build(tr, tr.zones["example.test."], m)
		return m, nil
	}
	return tr
}

// put adds sets to the answer section.
func put(m *dns.Msg, sets ...[]dns.RR) {
	for _, s := range sets {
		m.Answer = append(m.Answer, s...)
	}
}

// TestValidatorDNAME follows RFC 6672 section 5.3 and RFC 4035 section 4.8: an unsigned
// CNAME is as good as the DNAME that makes it, and no better.
func TestValidatorDNAME(t *testing.T) {
	const under = "x.e.w.example.test."
	// 254 octets, so that no label fits below it.
	long := "a" + strings.Repeat(strings.Repeat("a", 62)+".", 4)
	// fromWildcard is a DNAME at e.w made from *.w, with all the proof that there can be.
	fromWildcard := func(tr *tree, z *testZone, m *dns.Msg) {
		if !z.exists(tr, "*.w.example.test.") {
			z.add(tr.t, "*.w DNAME target")
		}
		put(m, made("e.w.example.test.", z.signedSet(tr.t, "*.w DNAME target")))
		z.cover(tr, m, "e.w.example.test.", "e.w.example.test.")
	}
	tooLong := func(tr *tree, z *testZone, m *dns.Msg) { put(m, z.signedSet(tr.t, "e.w DNAME "+long)) }
	two := func(tr *tree, z *testZone, m *dns.Msg) {
		put(m, z.signedSet(tr.t, "e.w DNAME aside\ne.w DNAME target"))
	}
	cname := func(to string) func(tr *tree, z *testZone, m *dns.Msg) {
		return func(tr *tree, z *testZone, m *dns.Msg) { put(m, z.unsignedSet(tr.t, "x.e.w CNAME "+to)) }
	}
	for _, tt := range []struct {
		name  string
		typ   string
		parts []func(tr *tree, z *testZone, m *dns.Msg)
		rcode int
		want  string
	}{
		{"made from a wildcard", "A", parts(fromWildcard, cname("x.target")), 0, "bogus wildcard-unproved"},
		{"made from a wildcard, alone", "A", parts(fromWildcard), 0, "bogus wildcard-unproved"},
		{"made from a wildcard, its alias asked for", "CNAME", parts(fromWildcard, cname("x.target")), 0, "bogus alias-forged"},
		{"two of them", "A", parts(two, cname("x.aside")), 0, "indeterminate malformed"},
		{"two of them, the first's alias asked for", "CNAME", parts(two, cname("x.aside")), 0, "bogus alias-forged"},
		{"two of them, the second's alias asked for", "CNAME", parts(two, cname("x.target")), 0, "bogus alias-forged"},
		{"too long a name", "A", parts(tooLong), 0, "indeterminate malformed"},
		{"too long a name: YXDOMAIN (RFC 6672 section 2.2)", "A", parts(tooLong), dns.RcodeYXDomain, "indeterminate rcode"},
		{"two aliases below it", "CNAME", parts(tooLong, cname("x.target\nx.e.w CNAME x.aside")), 0, "bogus alias-forged"},
		{"an alias of its own below it", "CNAME", parts(
			func(tr *tree, z *testZone, m *dns.Msg) { put(m, z.signedSet(tr.t, "e.w DNAME target")) },
			func(tr *tree, z *testZone, m *dns.Msg) { put(m, z.signedSet(tr.t, "x.e.w CNAME mx")) }), 0, "secure data"},
		{"signed records below it", "A", parts(
			func(tr *tree, z *testZone, m *dns.Msg) { put(m, z.signedSet(tr.t, "e.w DNAME target")) },
			func(tr *tree, z *testZone, m *dns.Msg) { put(m, z.signedSet(tr.t, "x.e.w A 192.0.2.5")) }), 0, "secure data"},
		{"unsigned records below it", "A", parts(
			func(tr *tree, z *testZone, m *dns.Msg) { put(m, z.signedSet(tr.t, "e.w DNAME target")) },
			func(tr *tree, z *testZone, m *dns.Msg) { put(m, z.unsignedSet(tr.t, "x.e.w A 192.0.2.5")) }), 0, "bogus signature-missing"},
		{"a question for its alias is not led on by it", "CNAME", parts(
			func(tr *tree, z *testZone, m *dns.Msg) {
				put(m, z.signedSet(tr.t, "e.w DNAME target"), z.signedSet(tr.t, "x.target CNAME mx"))
			}), 0, "bogus denial-missing"},
		{"a question for all is not led on by it", "ANY", parts(
			func(tr *tree, z *testZone, m *dns.Msg) {
				put(m, z.signedSet(tr.t, "e.w DNAME target"), z.signedSet(tr.t, "x.target A 192.0.2.5"))
			}), 0, "bogus denial-missing"},
		{"the closest of two counts", "A", parts(
			func(tr *tree, z *testZone, m *dns.Msg) {
				put(m, z.signedSet(tr.t, "w DNAME aside"), z.signedSet(tr.t, "e.w DNAME target"), z.signedSet(tr.t, "x.target A 192.0.2.5"))
			}), 0, "secure data"},
		{"the closest of two counts, in any order", "A", parts(
			func(tr *tree, z *testZone, m *dns.Msg) {
				put(m, z.signedSet(tr.t, "e.w DNAME target"), z.signedSet(tr.t, "w DNAME aside"), z.signedSet(tr.t, "x.target A 192.0.2.5"))
			}), 0, "secure data"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := under + " " + tt.typ
			answering(t, q, func(tr *tree, z *testZone, m *dns.Msg) {
				m.Rcode = tt.rcode
				for _, p := range tt.parts {
					p(tr, z, m)
				}
			}).want(q, tt.want)
		})
	}
}

func parts[F any](fs ...F) []F { return fs }

// TestValidatorBadAliases: what is wrong with a signed CNAME is said of its owner.
func TestValidatorBadAliases(t *testing.T) {
	const q = "a.example.test. A"
	for _, tt := range []struct {
		name, records string
		want          string
		text          string
	}{
		{"two targets", "a CNAME mx\na CNAME ns", "indeterminate malformed", "an alias with two targets, or with none that can be read"},
		{"itself", "a CNAME a", "indeterminate alias-loop", "the alias at a.example.test leads back to a.example.test"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := answering(t, q, func(tr *tree, z *testZone, m *dns.Msg) { put(m, z.signedSet(tr.t, tt.records)) })
			a, err := tr.get(q)
			if outcome(a, err) != tt.want || a.Reason.Name != name(t, "a.example.test.") || a.Reason.Type != dnssec.TypeCNAME || a.Reason.Text != tt.text {
				t.Errorf("%s: %+v", outcome(a, err), a.Reason)
			}
			if len(a.Chain) != 0 || a.Final != a.Question.Name || !a.Expires.IsZero() {
				t.Errorf("beside the error: %+v", a)
			}
		})
	}
}
