package dnssec_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
)

// signAs signs a set in the name of any signer, with the key of the zone.
func (z *testZone) signAs(t testing.TB, signer string, set []dns.RR) *dns.RRSIG {
	return signSet(t, z.keys[0], signer, set, z.from, z.until)
}

// island adds a zone below unsigned.test that is signed, and that nothing confirms.
func (tr *tree) island() *testZone {
	z := tr.zone("island.unsigned.test.", "mx A 192.0.2.1")
	z.ds = []dns.RR{}
	return z
}

// withAnchorOf adds the anchors of a zone to those of the root.
func withAnchorOf(tr *tree, apex string) func(*dnssec.ValidatorConfig) {
	return func(c *dnssec.ValidatorConfig) { c.Anchors = append(c.Anchors, tr.anchorsOf(apex)...) }
}

// TestValidatorSigners says whose signatures count for what (RFC 4035 section 5.3.1):
// those of the zone that holds the records, which is a zone and is reached by a chain.
func TestValidatorSigners(t *testing.T) {
	const a, txt = "mx.example.test. A", "mx.example.test. TXT"
	signedBy := func(signers ...string) func(tr *tree, z *testZone, m *dns.Msg) {
		return func(tr *tree, z *testZone, m *dns.Msg) {
			set := z.records(tr, "mx.example.test.", dns.TypeA)
			m.Answer = append(m.Answer, set...)
			for _, s := range signers {
				m.Answer = append(m.Answer, z.signAs(tr.t, s, set))
			}
		}
	}
	// deniedBy is a denial of mx TXT by some signer, who is right in all but who he is.
	deniedBy := func(signer string) func(tr *tree, z *testZone, m *dns.Msg) {
		return func(tr *tree, z *testZone, m *dns.Msg) {
			z.match(tr, m, "mx.example.test.")
			set := drop(m.Ns, isType(dns.TypeRRSIG))
			m.Ns = append(set, z.signAs(tr.t, signer, set))
		}
	}
	for _, tt := range []struct {
		name, q string
		build   func(tr *tree, z *testZone, m *dns.Msg)
		want    string
	}{
		{"the zone", a, signedBy("example.test."), "secure data"},
		{"a name that is no zone", a, signedBy("mx.example.test."), "bogus signature-signer"},
		{"the zone above, with a key of the zone", a, signedBy("test."), "bogus signature-key"},
		{"an unsigned zone beside it", a, signedBy("unsigned.test."), "bogus signature-signer"},
		{"another signer several times, then the zone", a,
			signedBy("hashed.test.", "hashed.test.", "hashed.test.", "hashed.test.", "hashed.test.", "example.test."), "secure data"},
		{"too many others, then the zone", a,
			signedBy("w.test.", "x.test.", "y.test.", "z.test.", "example.test."), "bogus signature-signer"},
		{"three others, then the zone", a, signedBy("x.test.", "y.test.", "z.test.", "example.test."), "secure data"},
		{"denial by the zone", txt, deniedBy("example.test."), "secure nodata"},
		{"denial by a name that is no zone", txt, deniedBy("mx.example.test."), "bogus signature-signer"},
		{"denial by the zone above, with a key of the zone", txt, deniedBy("test."), "bogus signature-key"},
		{"denial by an unsigned zone beside it", txt, func(tr *tree, z *testZone, m *dns.Msg) {
			soa := tr.zones["unsigned.test."].signed(tr, "unsigned.test.", dns.TypeSOA)
			m.Ns = append(soa, z.signAs(tr.t, "unsigned.test.", soa))
		}, "bogus denial-missing"},
	} {
		t.Run(tt.name, func(t *testing.T) { answering(t, tt.q, tt.build).want(tt.q, tt.want) })
	}
	t.Run("denial of an empty non-terminal by it", func(t *testing.T) {
		const q = "deep.ent.below.example.test. TXT"
		answering(t, q, func(tr *tree, z *testZone, m *dns.Msg) {
			z.match(tr, m, "deep.ent.below.example.test.")
			set := drop(m.Ns, isType(dns.TypeRRSIG))
			m.Ns = append(set, z.signAs(tr.t, "below.example.test.", set))
		}).want(q, "bogus signature-signer")
	})
}

// TestValidatorFirstFailureIsTold: of failures alike the first one is told, and one about
// what is there before one about what is not.
func TestValidatorFirstFailureIsTold(t *testing.T) {
	const q = "mx.example.test. A"
	for _, tt := range []struct {
		name, want, text string
		sigs             func(tr *tree, z *testZone, set []dns.RR) []*dns.RRSIG
	}{
		{"two strangers", "bogus signature-signer", "hashed.test", func(tr *tree, z *testZone, set []dns.RR) []*dns.RRSIG {
			return []*dns.RRSIG{z.signAs(t, "hashed.test.", set), z.signAs(t, "opt.test.", set)}
		}},
		{"old, and not by the key", "bogus signature-expired", "expired", func(tr *tree, z *testZone, set []dns.RR) []*dns.RRSIG {
			return []*dns.RRSIG{signSet(t, z.keys[0], z.apex, set, z.from, testTime.Add(-time.Hour)), z.signAs(t, "test.", set)}
		}},
		{"not by the key, and old", "bogus signature-key", "", func(tr *tree, z *testZone, set []dns.RR) []*dns.RRSIG {
			return []*dns.RRSIG{z.signAs(t, "test.", set), signSet(t, z.keys[0], z.apex, set, z.from, testTime.Add(-time.Hour))}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := answering(t, q, func(tr *tree, z *testZone, m *dns.Msg) {
				m.Answer = z.records(tr, "mx.example.test.", dns.TypeA)
				for _, s := range tt.sigs(tr, z, m.Answer[:1:1]) {
					m.Answer = append(m.Answer, s)
				}
			})
			if a, err := tr.get(q); outcome(a, err) != tt.want || !strings.Contains(a.Reason.Text, tt.text) {
				t.Errorf("%s (want %s): %s", outcome(a, err), tt.want, a.Reason.Text)
			}
		})
	}
}

// TestValidatorIslands: what is signed below an unsigned zone is unsigned, with whatever
// proof, but for an anchor of its own; and then no one above it can take that away.
func TestValidatorIslands(t *testing.T) {
	data, absent := "mx.island.unsigned.test. A", "mx.island.unsigned.test. TXT"
	newIsland := func(t *testing.T) *tree {
		tr := newTree(t)
		tr.island()
		return tr
	}
	t.Run("without an anchor", func(t *testing.T) {
		newIsland(t).want(data, "insecure data unsigned-delegation")
		newIsland(t).want(absent, "insecure nodata unsigned-delegation")
		newIsland(t).want("nowhere.island.unsigned.test. A", "insecure nxdomain unsigned-delegation")
	})
	t.Run("with an anchor", func(t *testing.T) {
		for q, want := range map[string]string{data: "secure data", absent: "secure nodata", "nowhere.island.unsigned.test. A": "secure nxdomain"} {
			tr := newIsland(t)
			tr.want(q, want, withAnchorOf(tr, "island.unsigned.test."))
		}
	})
	t.Run("with an anchor, denied by a zone above", func(t *testing.T) {
		tr := newIsland(t)
		z := tr.zones["island.unsigned.test."]
		tr.on(absent, func(m *dns.Msg) {
			soa := tr.zones["unsigned.test."].signed(tr, "unsigned.test.", dns.TypeSOA)
			m.Ns = append(soa, z.signAs(t, "unsigned.test.", soa))
		})
		tr.want(absent, "bogus signature-signer", withAnchorOf(tr, z.apex))
	})
	t.Run("without any anchor", func(t *testing.T) {
		none := func(c *dnssec.ValidatorConfig) { c.Anchors = []anchor.Anchor{} }
		for q, want := range map[string]string{
			"mx.example.test. A": "insecure data no-anchor", "mx.example.test. TXT": "insecure nodata no-anchor",
			"nowhere.hashed.test. A": "insecure nxdomain no-anchor", "www.d.example.test. A": "insecure data no-anchor",
		} {
			newTree(t).want(q, want, none)
		}
		tr := newTree(t) // a proof beside records without one
		tr.on("foo.wild.example.test. A", func(m *dns.Msg) { m.Answer = drop(m.Answer, isType(dns.TypeRRSIG)) })
		tr.want("foo.wild.example.test. A", "insecure data no-anchor", none)
	})
	t.Run("an anchor that does not count at its time ends it, whatever is above", func(t *testing.T) {
		tr := newTree(t)
		late := tr.anchorsOf("example.test.")
		late[0].From = testTime.Add(time.Second)
		tr.want("mx.example.test. A", "indeterminate no-usable-anchor", func(c *dnssec.ValidatorConfig) { c.Anchors = append(c.Anchors, late...) })
	})
	t.Run("an anchor that does needs no DS", func(t *testing.T) {
		tr := newTree(t)
		tr.want("mx.example.test. A", "secure data", withAnchorOf(tr, "example.test."))
		if n := tr.count("example.test. DS") + tr.count(". DNSKEY"); n != 0 {
			t.Errorf("asked %q", tr.asked)
		}
	})
}

// TestValidatorUnusableKey: the tag of a key is the sum of its words, so a key with two of
// them swapped has the same one, and is no point on the curve.
func TestValidatorUnusableKey(t *testing.T) {
	tr := newTree(t)
	z := tr.zones["example.test."].withKeys(t, "keys", "data")
	z.ds = []dns.RR{z.keys[0].ToDS(dns.SHA256)}
	tr.want("mx.example.test. A", "secure data")
	broken, err := base64.StdEncoding.DecodeString(z.keys[1].PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	broken[0], broken[1], broken[2], broken[3] = broken[2], broken[3], broken[0], broken[1]
	z.keys[1].PublicKey = base64.StdEncoding.EncodeToString(broken)
	delete(z.sigs, "example.test."+fmt.Sprint(dns.TypeDNSKEY))
	tr.want("mx.example.test. A", "bogus key-unusable")
}

func TestValidatorMostTelling(t *testing.T) {
	const q = "mx.example.test. A"
	sign := func(tr *tree, apex, signer string, broken bool) *dns.RRSIG {
		z := tr.zones[apex]
		s := signSet(t, z.keys[0], signer, z.records(tr, "mx.example.test.", dns.TypeA), z.from, z.until)
		if broken {
			s.Signature = "AAAA" + s.Signature[4:]
		}
		return s
	}
	for _, first := range []bool{true, false} {
		tr := newTree(t)
		good := tr.zones["example.test."].records(tr, "mx.example.test.", dns.TypeA)
		bad := sign(tr, "example.test.", "example.test.", true)
		foreign := signSet(t, tr.zones["hashed.test."].keys[0], "hashed.test.", good, testTime.Add(-time.Hour), testTime.Add(time.Hour))
		tr.on(q, func(m *dns.Msg) {
			m.Answer = drop(m.Answer, isType(dns.TypeRRSIG))
			if first {
				m.Answer = append(m.Answer, bad, foreign)
			} else {
				m.Answer = append(m.Answer, foreign, bad)
			}
		})
		tr.want(q, "bogus signature-invalid")
	}
	t.Run("so many signers are tried", func(t *testing.T) {
		tr := newTree(t)
		good := tr.zones["example.test."].records(tr, "mx.example.test.", dns.TypeA)
		tr.on(q, func(m *dns.Msg) {
			real := m.Answer[len(m.Answer)-1]
			m.Answer = drop(m.Answer, isType(dns.TypeRRSIG))
			for i := range 4 {
				m.Answer = append(m.Answer, signSet(t, tr.zones["hashed.test."].keys[0], fmt.Sprintf("z%d.test.", i), good, testTime.Add(-time.Hour), testTime.Add(time.Hour)))
			}
			m.Answer = append(m.Answer, real)
		})
		tr.want(q, "bogus signature-signer")
	})
}
