package dnssec_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
)

func TestValidatorUpstream(t *testing.T) {
	strip := func(_ dns.Question, m *dns.Msg) {
		m.Answer = drop(m.Answer, isType(dns.TypeRRSIG))
		m.Ns = drop(m.Ns, func(rr dns.RR) bool {
			return isType(dns.TypeRRSIG)(rr) || isType(dns.TypeNSEC)(rr) || isType(dns.TypeNSEC3)(rr)
		})
	}
	t.Run("a resolver that strips is no bogus zone", func(t *testing.T) {
		for _, q := range []string{tlsa, "mx.unsigned.test. A", "nowhere.example.test. A", "alias.example.test. A"} {
			tr := newTree(t)
			tr.edit = strip
			a, err := tr.get(q)
			if outcome(a, err) != "indeterminate upstream-strips-dnssec" || !errors.Is(err, dnssec.ErrIndeterminate) {
				t.Errorf("%s: %s", q, outcome(a, err))
			}
			// So it is when the keys are known already.
			tr.edit = nil
			v := tr.validator()
			if a, err := resolve(t, v, "mx.example.test. A"); err != nil {
				t.Fatal(outcome(a, err))
			}
			tr.edit = strip
			if a, err := resolve(t, v, q); outcome(a, err) != "indeterminate upstream-strips-dnssec" {
				t.Errorf("%s, warm: %s", q, outcome(a, err))
			}
		}
	})
	t.Run("nor is one that has no DNSKEY of the root", func(t *testing.T) {
		tr := newTree(t)
		tr.edit = func(q dns.Question, m *dns.Msg) {
			strip(q, m)
			if q.Qtype == dns.TypeDNSKEY || q.Qtype == dns.TypeDS {
				m.Answer = nil
			}
		}
		tr.want(tlsa, "indeterminate upstream-strips-dnssec")
	})
	t.Run("a resolver that answers CD with SERVFAIL", func(t *testing.T) {
		tr := newTree(t)
		tr.hook = func(dns.Question) (*dns.Msg, error) {
			return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeServerFailure}}, nil
		}
		a, err := tr.get(tlsa)
		if outcome(a, err) != "indeterminate upstream-servfail-with-cd" || !errors.Is(err, dnssec.ErrIndeterminate) {
			t.Error(outcome(a, err))
		}
	})
	t.Run("one that validates in spite of CD says so", func(t *testing.T) {
		tr := newTree(t)
		tr.hook = func(q dns.Question) (*dns.Msg, error) {
			if q.Qtype != dns.TypeTLSA {
				return nil, nil
			}
			m := &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeServerFailure}}
			m.SetEdns0(1232, true)
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: 7, ExtraText: "old\x1b[1m"}}
			return m, nil
		}
		a, err := tr.get(tlsa)
		if outcome(a, err) != "indeterminate upstream-servfail-with-cd" || len(a.EDE) != 1 || a.EDE[0].Code != 7 || strings.Contains(a.EDE[0].Text, "\x1b") {
			t.Errorf("%s %v", outcome(a, err), a.EDE)
		}
	})
	t.Run("a plain SERVFAIL", func(t *testing.T) {
		tr := newTree(t)
		tr.hook = func(q dns.Question) (*dns.Msg, error) {
			if q.Qtype != dns.TypeTLSA {
				return nil, nil
			}
			return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeServerFailure}}, nil
		}
		a, err := tr.get(tlsa)
		if outcome(a, err) != "indeterminate servfail" || !errors.Is(err, dnssec.ErrServFail) {
			t.Error(outcome(a, err))
		}
	})
	t.Run("REFUSED", func(t *testing.T) {
		tr := newTree(t)
		tr.hook = func(dns.Question) (*dns.Msg, error) {
			return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeRefused}}, nil
		}
		tr.want(tlsa, "indeterminate refused")
	})
	t.Run("a server that refers to others", func(t *testing.T) {
		tr := newTree(t)
		tr.hook = func(q dns.Question) (*dns.Msg, error) {
			if q.Name != "mx.unsigned.test." || q.Qtype != dns.TypeA {
				return nil, nil
			}
			ns, _ := dns.NewRR("unsigned.test. 300 IN NS ns.unsigned.test.")
			return &dns.Msg{Ns: []dns.RR{ns}}, nil
		}
		tr.want("mx.unsigned.test. A", "indeterminate referral")
	})
	t.Run("below an unsigned zone no DS needs to be had", func(t *testing.T) {
		tr := newTree(t)
		tr.hook = func(q dns.Question) (*dns.Msg, error) {
			if q.Qtype == dns.TypeDS && q.Name == "mx.unsigned.test." {
				return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeServerFailure}}, nil
			}
			return nil, nil
		}
		tr.want("mx.unsigned.test. A", "insecure data unsigned-delegation")
	})
	t.Run("a question without a name", func(t *testing.T) {
		a, err := newTree(t).validator().Resolve(context.Background(), dnssec.Question{Type: dnssec.TypeA})
		if outcome(a, err) != "indeterminate malformed" {
			t.Error(outcome(a, err))
		}
	})
	t.Run("configuration", func(t *testing.T) {
		_, err := dnssec.NewValidator(dnssec.ValidatorConfig{MaxQueries: -1, MaxBytes: -1, Zones: -1, ExchangeTimeout: -1, MaxNSEC3Iterations: 1 << 20,
			NegativeAnchors: []dnssec.NegativeAnchor{{}}})
		if err == nil {
			t.Fatal("no error")
		}
		for _, word := range []string{"Upstream", "MaxQueries", "MaxBytes", "Zones", "ExchangeTimeout", "MaxNSEC3Iterations", "negative trust anchor"} {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%q is not in %v", word, err)
			}
		}
	})
	t.Run("negative anchors", func(t *testing.T) {
		tr := newTree(t)
		tr.on(tlsa, func(m *dns.Msg) { m.Answer = drop(m.Answer, isType(dns.TypeRRSIG)) })
		nta := func(n string, until time.Time) func(*dnssec.ValidatorConfig) {
			return func(c *dnssec.ValidatorConfig) {
				c.NegativeAnchors = []dnssec.NegativeAnchor{{Name: name(t, n), Reason: "broken\nzone", Until: until}}
			}
		}
		tr.want(tlsa, "insecure data negative-anchor", nta("example.test.", time.Time{}))
		tr.want(tlsa, "insecure data negative-anchor", nta("test.", testTime.Add(time.Second)))
		tr.want(tlsa, "bogus signature-missing", nta("example.test.", testTime))
		tr.want(tlsa, "bogus signature-missing", nta("hashed.test.", time.Time{}))
		if a, _ := tr.get(tlsa, nta("example.test.", time.Time{})); strings.Contains(a.Reason.Text, "\n") {
			t.Errorf("%q", a.Reason.Text)
		}
		// An anchor below it holds.
		tr.want(tlsa, "bogus signature-missing", func(c *dnssec.ValidatorConfig) {
			nta("test.", time.Time{})(c)
			c.Anchors = append(c.Anchors, tr.anchorsOf("example.test.")...)
		})
	})
}
