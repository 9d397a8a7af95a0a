package dnssec_test

import (
	"context"
	"errors"
	"fmt"
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
