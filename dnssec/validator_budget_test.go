package dnssec_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
)

func TestValidatorBudget(t *testing.T) {
	t.Run("DNSSEC4034-B-01 two keys with one tag are both tried", func(t *testing.T) {
		tr := collide(t, 2)
		tr.want("mx.example.test. A", "secure data")
	})
	t.Run("DNSSEC4035-5.3.1-05 all that fit are tried, to a limit", func(t *testing.T) {
		collide(t, 4).want("mx.example.test. A", "secure data")
		collide(t, 5).want("mx.example.test. A", "indeterminate budget-exceeded")
	})
	t.Run("DNSSEC4035-5.4-05 the work for one answer is bounded", func(t *testing.T) {
		tr := newTree(t)
		tr.on("mx.example.test. A", func(m *dns.Msg) { // many signatures that do not verify
			for i, rr := range m.Answer {
				if s, ok := rr.(*dns.RRSIG); ok {
					m.Answer = m.Answer[:i]
					for n := range 200 {
						b := dns.Copy(s).(*dns.RRSIG)
						b.Signature = fmt.Sprintf("%03d", n) + "A" + b.Signature[4:]
						m.Answer = append(m.Answer, b)
					}
					break
				}
			}
		})
		a, err := tr.get("mx.example.test. A")
		if outcome(a, err) != "indeterminate budget-exceeded" || !errors.Is(err, dnssec.ErrBudget) || errors.Is(err, dnssec.ErrBogus) {
			t.Error(outcome(a, err))
		}
		if tr.count("mx.example.test. A") != 1 {
			t.Errorf("asked %q: out of budget ends the work", tr.asked)
		}
	})
	t.Run("questions", func(t *testing.T) {
		tr := newTree(t)
		tr.want(tlsa, "indeterminate budget-exceeded", func(c *dnssec.ValidatorConfig) { c.MaxQueries = 3 })
		if len(tr.asked) != 3 {
			t.Errorf("asked %q", tr.asked)
		}
		newTree(t).want(tlsa, "secure data", func(c *dnssec.ValidatorConfig) { c.MaxQueries = 6 })
	})
	t.Run("octets", func(t *testing.T) {
		newTree(t).want(tlsa, "indeterminate budget-exceeded", func(c *dnssec.ValidatorConfig) { c.MaxBytes = 500 })
		// What is counted is the memory that the replies take, which is more than their octets
		// on the wire, and each reply once, however often it is used.
		tr := newTree(t)
		var wire atomic.Int64
		tr.want(tlsa, "secure data", func(c *dnssec.ValidatorConfig) {
			c.Upstream = upstreamFunc(func(ctx context.Context, query []byte) (dnssec.Response, error) {
				r, err := tr.Exchange(ctx, query)
				wire.Add(int64(len(r.Message)))
				return r, err
			})
		})
		bytes := func(n int64) func(*dnssec.ValidatorConfig) {
			return func(c *dnssec.ValidatorConfig) { c.MaxBytes = int(n) }
		}
		tr.want(tlsa, "indeterminate budget-exceeded", bytes(wire.Load()))
		tr.want(tlsa, "secure data", bytes(16*wire.Load()))
	})
	t.Run("a deep unsigned name", func(t *testing.T) {
		tr := newTree(t)
		deep := strings.Repeat("a.", 100) + "example.test."
		tr.hook = func(q dns.Question) (*dns.Msg, error) { // every name of it exists, says the resolver, without proof
			if q.Qtype == dns.TypeA {
				rr, _ := dns.NewRR(q.Name + " 3600 IN A 192.0.2.1")
				return &dns.Msg{Answer: []dns.RR{rr}}, nil
			}
			return nil, nil
		}
		a, err := tr.get(deep + " A")
		if !errors.Is(err, dnssec.ErrBogus) || len(tr.asked) > dnssec.DefaultMaxQueries {
			t.Errorf("%s after %d questions", outcome(a, err), len(tr.asked))
		}
	})
}

// collide gives example.test n keys with one tag, of which the last signs.
func collide(t *testing.T, n int) *tree {
	tr := newTree(t)
	z := tr.zones["example.test."]
	real := z.keys[0]
	real.sign = "data"
	real.Flags = 0xff01 // the last in canonical order
	tag := real.KeyTag()
	ksk := newTestKey(t, z.apex, dns.ED25519, 256, 257)
	ksk.sign = "keys"
	z.ds = []dns.RR{ksk.ToDS(dns.SHA256)}
	z.keys = []*testKey{ksk}
	// The tag is a sum of 16-bit words, so swapping two words of a key keeps it. A point
	// must be on the curve to be tried at all, so other keys of that tag are looked for.
	for len(z.keys) < n {
		k := newTestKey(t, z.apex, dns.ECDSAP256SHA256, 256, 0)
		for f := 0; f < 0xff00 && k.KeyTag() != tag; f++ {
			if f&0x180 == 0x100 {
				k.Flags = uint16(f)
			}
		}
		if k.KeyTag() == tag {
			k.sign = "none"
			z.keys = append(z.keys, k)
		}
	}
	z.keys = append(z.keys, real)
	return tr
}
