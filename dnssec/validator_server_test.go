package dnssec_test

import (
	"context"
	"errors"
	"testing"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
)

// TestValidatorNamesTheServer: the server that decided is named; silence is no one's.
func TestValidatorNamesTheServer(t *testing.T) {
	silent := func(kind error) func(tr *tree) {
		return func(tr *tree) {
			tr.hook = func(q dns.Question) (*dns.Msg, error) {
				if q.Qtype == dns.TypeDNSKEY {
					return nil, kind
				}
				return nil, nil
			}
		}
	}
	for _, tt := range []struct {
		name   string
		edit   func(tr *tree)
		server string
	}{
		{"alias loop", func(tr *tree) { tr.zones["example.test."].add(t, "a1 CNAME a1") }, "tree"},
		{"refused", func(tr *tree) {
			tr.edit = func(_ dns.Question, m *dns.Msg) { m.Rcode = dns.RcodeRefused }
		}, "tree"},
		{"no key in time", silent(dnssec.ErrTimeout), ""},
		{"no way to the keys", silent(dnssec.ErrUnreachable), ""},
	} {
		tr := newTree(t)
		tt.edit(tr)
		tr.zones["example.test."].add(t, "a0 CNAME a1")
		_, err := tr.get("a0.example.test. A")
		var le *dnssec.LookupError
		if !errors.As(err, &le) || le.Server != tt.server {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestValidatorNamesTheServerOfTheKeys: of several servers the one is named that gave the
// records that failed.
func TestValidatorNamesTheServerOfTheKeys(t *testing.T) {
	broken := func(m *dns.Msg) {
		for _, rr := range m.Answer {
			if s, ok := rr.(*dns.RRSIG); ok {
				s.Signature = "AAAA" + s.Signature[4:]
			}
		}
	}
	for broke, server := range map[string]string{"mx.example.test. A": "A", "example.test. DNSKEY": "DNSKEY", "test. DNSKEY": "DNSKEY"} {
		tr := newTree(t)
		tr.on(broke, broken)
		_, err := tr.get("mx.example.test. A", func(c *dnssec.ValidatorConfig) {
			c.Upstream = upstreamFunc(func(ctx context.Context, query []byte) (dnssec.Response, error) {
				r, err := tr.Exchange(ctx, query)
				var q dns.Msg
				if err := q.Unpack(query); err != nil {
					return dnssec.Response{}, err
				}
				r.Server = dns.Type(q.Question[0].Qtype).String()
				return r, err
			})
		})
		var le *dnssec.LookupError
		if !errors.As(err, &le) || !errors.Is(err, dnssec.ErrBogus) || le.Server != server {
			t.Errorf("%s: %v", broke, err)
		}
	}
}
