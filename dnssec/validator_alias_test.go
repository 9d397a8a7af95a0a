package dnssec_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
)

func TestValidatorAliases(t *testing.T) {
	t.Run("DANE7672-2.1.3-01 chains up to the limit", func(t *testing.T) {
		for n, want := range map[int]string{dnssec.MaxAliases: "secure data", dnssec.MaxAliases + 1: "indeterminate alias-limit"} {
			tr := newTree(t)
			z := tr.zones["example.test."]
			for i := range n {
				to := fmt.Sprintf("c%d", i+1)
				if i == n-1 {
					to = "mx"
				}
				z.add(t, fmt.Sprintf("c%d CNAME %s", i, to))
			}
			tr.want("c0.example.test. A", want)
			// The same when the resolver hands out one step at a time.
			tr.edit = func(q dns.Question, m *dns.Msg) {
				m.Answer = drop(m.Answer, func(rr dns.RR) bool { return rr.Header().Name != q.Name })
			}
			tr.want("c0.example.test. A", want)
		}
	})
	t.Run("DANE7672-2.1.3-02 a bogus step fails the lookup", func(t *testing.T) {
		tr := newTree(t)
		tr.zones["example.test."].add(t, "a0 CNAME a1\na1 CNAME mx")
		tr.on("a0.example.test. A", func(m *dns.Msg) {
			m.Answer = drop(m.Answer, func(rr dns.RR) bool { return covers(dns.TypeCNAME)(rr) && rr.Header().Name == "a1.example.test." })
		})
		a, err := tr.get("a0.example.test. A")
		if outcome(a, err) != "bogus signature-missing" || len(a.Records) != 0 || len(a.Chain) != 1 || a.Chain[0].Status != dnssec.Secure {
			t.Errorf("%s %v", outcome(a, err), a.Chain)
		}
	})
	t.Run("DANE7672-2.1.3-03 secure, insecure, secure is insecure", func(t *testing.T) {
		tr := newTree(t)
		tr.zones["hashed.test."].add(t, "start CNAME back.unsigned.test.")
		a, err := tr.get("start.hashed.test. A")
		if outcome(a, err) != "insecure data unsigned-delegation" || len(a.Chain) != 2 ||
			a.Chain[0].Status != dnssec.Secure || a.Chain[1].Status != dnssec.Insecure || a.Final != name(t, "mx.example.test.") {
			t.Errorf("%s %v", outcome(a, err), a.Chain)
		}
	})
	t.Run("DANE7672-2.1.3-04 the status of the first step is known", func(t *testing.T) {
		a, err := newTree(t).get("out.example.test. A")
		if err != nil || a.FirstStatus() != dnssec.Secure || a.Status != dnssec.Insecure {
			t.Errorf("%s %s %v", a.FirstStatus(), a.Status, err)
		}
	})
	t.Run("DNAME6672-5.3.3-01 as strong as the weakest step", func(t *testing.T) {
		tr := newTree(t)
		tr.want("alias.example.test. A", "secure data")
		tr.want("out.example.test. A", "insecure data unsigned-delegation")
		tr.on("out.example.test. A", func(m *dns.Msg) { m.Answer[0].(*dns.CNAME).Target = "mx.example.test." })
		tr.want("out.example.test. A", "bogus signature-invalid")
	})
	for _, id := range []string{"DNSSEC4035-4.8-01", "DNAME6672-5.3.1-01"} {
		t.Run(id+" the DNAME confirms the CNAME that it makes", func(t *testing.T) {
			tr := newTree(t)
			a, err := tr.get("www.d.example.test. A")
			if outcome(a, err) != "secure data" || len(a.Chain) != 1 || a.Chain[0].Type != dnssec.TypeDNAME || a.Final != name(t, "www.target.example.test.") {
				t.Errorf("%s %v", outcome(a, err), a.Chain)
			}
			tr.on("www.d.example.test. A", func(m *dns.Msg) {
				m.Answer = drop(m.Answer, isType(dns.TypeCNAME)) // the resolver leaves it to us
			})
			tr.want("www.d.example.test. A", "secure data")
			tr = newTree(t)
			tr.on("www.d.example.test. A", func(m *dns.Msg) {
				for _, rr := range m.Answer {
					if c, ok := rr.(*dns.CNAME); ok {
						c.Target = "mx.example.test."
					}
				}
			})
			tr.want("www.d.example.test. A", "bogus alias-forged")
			tr = newTree(t)
			tr.on("www.d.example.test. A", func(m *dns.Msg) { m.Answer = drop(m.Answer, covers(dns.TypeDNAME)) })
			tr.want("www.d.example.test. A", "bogus signature-missing")
		})
	}
	t.Run("loops", func(t *testing.T) {
		tr := newTree(t)
		tr.zones["example.test."].add(t, "l0 CNAME l1\nl1 CNAME l0\nself CNAME self")
		tr.want("l0.example.test. A", "indeterminate alias-loop")
		tr.want("self.example.test. A", "indeterminate alias-loop")
		if _, err := tr.get("l0.example.test. A"); !errors.Is(err, dnssec.ErrAliasLoop) {
			t.Error(err)
		}
	})
	t.Run("a CNAME that is asked for is no alias", func(t *testing.T) {
		a, err := newTree(t).get("alias.example.test. CNAME")
		if outcome(a, err) != "secure data" || len(a.Chain) != 0 || len(a.Records) != 1 {
			t.Errorf("%s %v", outcome(a, err), a)
		}
	})
	t.Run("an alias beside data is malformed", func(t *testing.T) {
		tr := newTree(t)
		z := tr.zones["example.test."]
		tr.on("mx.example.test. A", func(m *dns.Msg) {
			c, _ := dns.NewRR("mx.example.test. 3600 IN CNAME alias.example.test.")
			m.Answer = append(m.Answer, c, signSet(t, z.keys[0], z.apex, []dns.RR{c}, z.from, z.until))
		})
		tr.want("mx.example.test. A", "indeterminate malformed")
	})
	t.Run("the denial behind an alias", func(t *testing.T) {
		tr := newTree(t)
		tr.zones["example.test."].add(t, "dead CNAME nowhere")
		tr.want("dead.example.test. A", "secure nxdomain")
		tr.on("dead.example.test. A", func(m *dns.Msg) { m.Ns = nil; m.Rcode = 0 }) // then it is asked for
		tr.want("dead.example.test. A", "secure nxdomain")
		if tr.count("nowhere.example.test. A") != 1 {
			t.Errorf("asked %q", tr.asked)
		}
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
