package dnssec_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
)

func TestValidatorTypes(t *testing.T) {
	any := func(t *testing.T, edit func(m *dns.Msg)) *tree {
		tr := newTree(t)
		z := tr.zones["example.test."]
		tr.hook = func(q dns.Question) (*dns.Msg, error) {
			if q.Qtype != dns.TypeANY {
				return nil, nil
			}
			m := &dns.Msg{Answer: append(z.signed(tr, "mx.example.test.", dns.TypeA), z.signed(tr, "mx.example.test.", dns.TypeAAAA)...)}
			edit(m)
			return m, nil
		}
		return tr
	}
	t.Run("ANY: every set is proved", func(t *testing.T) {
		a, err := any(t, func(*dns.Msg) {}).get("mx.example.test. ANY")
		if outcome(a, err) != "secure data" || len(a.Records) != 2 || !a.Expires.Equal(testTime.Add(time.Hour)) {
			t.Errorf("%s %v", outcome(a, err), a.Records)
		}
		any(t, func(m *dns.Msg) { m.Answer = drop(m.Answer, covers(dns.TypeAAAA)) }).want("mx.example.test. ANY", "bogus signature-missing")
		any(t, func(m *dns.Msg) { // what belongs to other names does not matter
			rr, _ := dns.NewRR("other.example.test. 1 IN A 192.0.2.1")
			m.Answer = append(m.Answer, rr)
		}).want("mx.example.test. ANY", "secure data")
		newTree(t).want("mx.unsigned.test. ANY", "insecure nodata unsigned-delegation")
	})
	t.Run("RRSIG: nothing is known of signatures", func(t *testing.T) {
		tr := newTree(t)
		z := tr.zones["example.test."]
		tr.hook = func(q dns.Question) (*dns.Msg, error) {
			if q.Qtype != dns.TypeRRSIG {
				return nil, nil
			}
			return &dns.Msg{Answer: z.signed(tr, "mx.example.test.", dns.TypeA)[1:]}, nil
		}
		a, err := tr.get("mx.example.test. RRSIG")
		if outcome(a, err) != "insecure data unsigned-type" || len(a.Records) != 1 || !a.Expires.Equal(testTime.Add(time.Hour)) {
			t.Errorf("%s %v %s", outcome(a, err), a.Records, a.Expires)
		}
		tr.want("other.example.test. RRSIG", "bogus denial-missing")
	})
}

func TestValidatorAsksAgain(t *testing.T) {
	// once alters the first response to a question.
	once := func(tr *tree, q string, edit func(m *dns.Msg)) {
		n := 0
		tr.on(q, func(m *dns.Msg) {
			if n++; n == 1 {
				edit(m)
			}
		})
	}
	alter := map[string]func(m *dns.Msg){
		"unsigned":  func(m *dns.Msg) { m.Answer = drop(m.Answer, isType(dns.TypeRRSIG)) },
		"malformed": func(m *dns.Msg) { m.Answer = drop(m.Answer, func(dns.RR) bool { return true }) },
		"broken": func(m *dns.Msg) {
			for _, rr := range m.Answer {
				if s, ok := rr.(*dns.RRSIG); ok {
					s.Signature = "AAAA" + s.Signature[4:]
				}
			}
		},
	}
	for _, q := range []string{"mx.example.test. A", "example.test. DNSKEY", "example.test. DS", "test. DNSKEY", ". DNSKEY"} {
		for what, edit := range alter {
			t.Run(q+" "+what, func(t *testing.T) {
				tr := newTree(t)
				once(tr, q, edit)
				tr.want("mx.example.test. A", "secure data")
				if n := tr.count(q); n != 2 {
					t.Errorf("asked %d times", n)
				}
				tr = newTree(t)
				tr.on(q, edit)
				a, err := tr.get("mx.example.test. A")
				if err == nil || tr.count(q) > 3 { // once more for whether the upstream strips
					t.Errorf("%s, asked %d times", outcome(a, err), tr.count(q))
				}
			})
		}
	}
	t.Run("a failure is not asked again", func(t *testing.T) {
		for _, q := range []string{"mx.example.test. A", "example.test. DNSKEY", "example.test. DS"} {
			tr := newTree(t)
			tr.hook = func(asked dns.Question) (*dns.Msg, error) {
				if asked.Name+" "+dns.Type(asked.Qtype).String() == q {
					return nil, fmt.Errorf("%w: no answer", dnssec.ErrUnreachable)
				}
				return nil, nil
			}
			tr.want("mx.example.test. A", "indeterminate unreachable")
			if n := tr.count(q); n != 1 {
				t.Errorf("%s: asked %d times", q, n)
			}
		}
	})
}

func TestValidatorDelegated(t *testing.T) {
	// The answer from an unsigned zone brings the proof that it is unsigned.
	with := func(t *testing.T, edit func(z *testZone, tr *tree, m *dns.Msg)) *tree {
		tr := newTree(t)
		tr.on("mx.unsigned.test. A", func(m *dns.Msg) { edit(tr.zones["test."], tr, m) })
		return tr
	}
	proof := func(z *testZone, tr *tree, m *dns.Msg) { z.match(tr, m, "unsigned.test.") }
	t.Run("then its DS is not asked for", func(t *testing.T) {
		tr := with(t, proof)
		tr.want("mx.unsigned.test. A", "insecure data unsigned-delegation")
		if tr.count("unsigned.test. DS") != 0 {
			t.Errorf("asked %q", tr.asked)
		}
		tr = newTree(t)
		tr.on("mx.unsigned.test. TXT", func(m *dns.Msg) { proof(tr.zones["test."], tr, m) })
		tr.want("mx.unsigned.test. TXT", "insecure nodata unsigned-delegation")
		if tr.count("unsigned.test. DS") != 0 {
			t.Errorf("asked %q", tr.asked)
		}
	})
	for what, edit := range map[string]func(z *testZone, tr *tree, m *dns.Msg){
		"unsigned proof":        func(z *testZone, tr *tree, m *dns.Msg) { proof(z, tr, m); m.Ns = drop(m.Ns, covers(dns.TypeNSEC)) },
		"proof of another name": func(z *testZone, tr *tree, m *dns.Msg) { z.match(tr, m, "ns.test.") },
		"proof by another zone": func(_ *testZone, tr *tree, m *dns.Msg) {
			z := tr.zones["hashed.test."]
			z.match(tr, m, "mx.hashed.test.")
		},
		"proof of a signed zone": func(z *testZone, tr *tree, m *dns.Msg) { z.match(tr, m, "example.test.") },
	} {
		t.Run(what, func(t *testing.T) {
			tr := with(t, edit)
			tr.want("mx.unsigned.test. A", "insecure data unsigned-delegation")
			if tr.count("unsigned.test. DS") != 1 {
				t.Errorf("asked %q", tr.asked)
			}
		})
	}
	t.Run("a signed zone is not unsigned by another's proof", func(t *testing.T) {
		tr := newTree(t)
		tr.on(tlsa, func(m *dns.Msg) {
			m.Answer = drop(m.Answer, isType(dns.TypeRRSIG))
			tr.zones["test."].match(tr, m, "unsigned.test.")
		})
		tr.want(tlsa, "bogus signature-missing")
	})
	t.Run("an anchor below the cut holds", func(t *testing.T) {
		tr := newTree(t)
		tr.zone("island.unsigned.test.", "mx A 192.0.2.1")
		tr.zones["island.unsigned.test."].ds = []dns.RR{}
		tr.on("mx.island.unsigned.test. A", func(m *dns.Msg) {
			m.Answer = drop(m.Answer, isType(dns.TypeRRSIG))
			proof(tr.zones["test."], tr, m)
		})
		tr.want("mx.island.unsigned.test. A", "bogus signature-missing", func(c *dnssec.ValidatorConfig) {
			c.Anchors = append(c.Anchors, tr.anchorsOf("island.unsigned.test.")...)
		})
		// So it does where a signature names a zone above it, which is unsigned.
		tr.on("mx.island.unsigned.test. A", func(m *dns.Msg) {
			s := signSet(t, tr.zones["test."].keys[0], "unsigned.test.", m.Answer, testTime.Add(-time.Hour), testTime.Add(time.Hour))
			m.Answer = append(m.Answer, s)
		})
		tr.want("mx.island.unsigned.test. A", "bogus signature-signer", func(c *dnssec.ValidatorConfig) {
			c.Anchors = append(c.Anchors, tr.anchorsOf("island.unsigned.test.")...)
		})
	})
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

func TestValidatorAskedForAlias(t *testing.T) {
	const q = "www.d.example.test. CNAME"
	answer := func(t *testing.T, edit func(m *dns.Msg)) *tree {
		tr := newTree(t)
		tr.hook = func(asked dns.Question) (*dns.Msg, error) {
			if asked.Qtype != dns.TypeCNAME {
				return nil, nil
			}
			m := new(dns.Msg)
			tr.answer(m, "www.d.example.test.", dns.TypeA, 0)
			m.Answer = drop(m.Answer, func(rr dns.RR) bool { return rr.Header().Name == "www.target.example.test." })
			edit(m)
			return m, nil
		}
		return tr
	}
	target := func(s string) func(m *dns.Msg) {
		return func(m *dns.Msg) {
			for i, rr := range m.Answer {
				if c, ok := rr.(*dns.CNAME); ok {
					c = dns.Copy(c).(*dns.CNAME)
					c.Target = s
					m.Answer[i] = c
				}
			}
		}
	}
	a, err := answer(t, func(*dns.Msg) {}).get(q)
	if outcome(a, err) != "secure data" || len(a.Records) != 1 || len(a.Chain) != 0 {
		t.Errorf("%s %v", outcome(a, err), a.Records)
	}
	answer(t, target("mx.example.test.")).want(q, "bogus alias-forged")
	answer(t, func(m *dns.Msg) { m.Answer = drop(m.Answer, covers(dns.TypeDNAME)) }).want(q, "bogus signature-missing")
	// Without the DNAME it is asked for; see also TestValidatorDNAMEExpiredInCache.
	noDNAME := func(m *dns.Msg) { m.Answer = drop(m.Answer, isType(dns.TypeDNAME)) }
	answer(t, noDNAME).want(q, "secure data")
	tr := answer(t, noDNAME)
	tr.edit = func(_ dns.Question, m *dns.Msg) { noDNAME(m) }
	tr.want(q, "bogus signature-missing")
}

func TestValidatorRcodes(t *testing.T) {
	for _, c := range []struct {
		q     string
		rcode int
		want  string
	}{
		{"example.test. DNSKEY", dns.RcodeServerFailure, "indeterminate servfail"},
		{"example.test. DNSKEY", dns.RcodeRefused, "indeterminate refused"},
		{"example.test. DNSKEY", dns.RcodeNameError, "bogus keys-missing"},
		{"example.test. DS", dns.RcodeServerFailure, "indeterminate servfail"},
		{"example.test. DS", dns.RcodeRefused, "indeterminate refused"},
		{"example.test. DS", dns.RcodeNameError, "bogus denial-missing"},
		{"mx.example.test. A", dns.RcodeNotImplemented, "indeterminate rcode"},
		{"mx.example.test. A", dns.RcodeBadVers, "indeterminate formerr"},
	} {
		tr := newTree(t)
		tr.hook = func(q dns.Question) (*dns.Msg, error) {
			if q.Name+" "+dns.Type(q.Qtype).String() == c.q {
				return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: c.rcode}}, nil
			}
			return nil, nil
		}
		a, err := tr.get("mx.example.test. A")
		if got := outcome(a, err); got != c.want {
			t.Errorf("%s with %s: %s, want %s", c.q, dns.RcodeToString[c.rcode], got, c.want)
		}
	}
	// An unsigned zone: no SOA record, with and without servers.
	for what, c := range map[string]struct {
		m    *dns.Msg
		want string
	}{
		"empty":                 {&dns.Msg{}, "insecure nodata unsigned-delegation"},
		"NXDOMAIN with servers": {&dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeNameError}, Ns: []dns.RR{&dns.NS{Hdr: dns.RR_Header{Name: "unsigned.test.", Rrtype: dns.TypeNS, Class: 1, Ttl: 5}, Ns: "a."}}}, "insecure nxdomain unsigned-delegation"},
	} {
		tr := newTree(t)
		tr.hook = func(q dns.Question) (*dns.Msg, error) {
			if q.Name == "mx.unsigned.test." && q.Qtype == dns.TypeA {
				return c.m.Copy(), nil
			}
			return nil, nil
		}
		a, err := tr.get("mx.unsigned.test. A")
		if got := outcome(a, err); got != c.want || a.Expires.After(testTime) {
			t.Errorf("%s: %s until %s, want %s", what, got, a.Expires, c.want)
		}
	}
}
