package dnssec_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
)

// TestValidatorAhead says which questions are sent at once, before the answer to any but
// the first one is there. The validator then waits for the first that it needs, which is
// one of them if there are any.
func TestValidatorAhead(t *testing.T) {
	const q = "mx.example.test. A"
	cold := []string{"example.test. DNSKEY", "example.test. DS", "test. DNSKEY", "test. DS", ". DNSKEY"}
	resigned := func(signers ...string) func(tr *tree, m *dns.Msg) {
		return func(tr *tree, m *dns.Msg) {
			z := tr.zones["example.test."]
			set := drop(m.Answer, isType(dns.TypeRRSIG))
			m.Answer = set
			for _, s := range signers {
				m.Answer = append(m.Answer, z.signAs(tr.t, s, set))
			}
		}
	}
	// deep gives a name of many labels as many sets as there are signers, each by one.
	deep := func(signers ...string) func(tr *tree, m *dns.Msg) {
		return func(tr *tree, m *dns.Msg) {
			z := tr.zones["example.test."]
			m.Answer, m.Ns = nil, nil
			for i, s := range signers {
				set := z.unsignedSet(tr.t, "a.b.c.d.e "+[]string{"A 192.0.2.1", "TXT x", "AAAA ::1", "MX 1 mx", "HINFO c o", "SRV 1 1 1 mx"}[i])
				m.Answer = append(append(m.Answer, set...), z.signAs(tr.t, s, set))
			}
		}
	}
	of := func(names ...string) (out []string) {
		for _, n := range names {
			out = append(out, n+" DNSKEY", n+" DS")
		}
		return out
	}
	for _, tt := range []struct {
		name, q string
		warm    []string // what was asked for before
		edit    func(tr *tree, m *dns.Msg)
		cfg     func(c *dnssec.ValidatorConfig)
		want    []string
	}{
		{"nothing is known", q, nil, nil, nil, cold},
		{"a denial", "nowhere.example.test. A", nil, nil, nil, cold},
		{"the zone above is known", q, []string{"mx.hashed.test. A"}, nil, nil, cold[:2]},
		{"only the root is known", q, []string{". NS"}, nil, nil, cold[:4]},
		{"all is known", q, []string{q}, nil, nil, nil},
		{"anchors at the zone", q, nil, nil, func(c *dnssec.ValidatorConfig) {
			c.Anchors = append(c.Anchors, anchor.Anchor{Zone: name(t, "example.test."), DS: c.Anchors[0].DS})
		}, cold[:1]},
		{"no anchors", q, nil, nil, func(c *dnssec.ValidatorConfig) { c.Anchors = []anchor.Anchor{} }, nil},
		{"a negative anchor", q, nil, nil, func(c *dnssec.ValidatorConfig) {
			c.NegativeAnchors = []dnssec.NegativeAnchor{{Name: name(t, "example.test.")}}
		}, nil},
		{"a signer beside the name", q, []string{q}, resigned("hashed.test.", "test."), nil, []string{"mx.example.test. DS"}},
		{"one signer many times", q, []string{". NS"}, resigned("test.", "test.", "test.", "test.", "test."), nil, cold[2:4]},
		{"only the first signer of a set", q, []string{"mx.hashed.test. A"}, resigned("example.test.", "mx.example.test."), nil, cold[:2]},
		{"a strange signer before it", q, []string{"mx.hashed.test. A"}, resigned("hashed.test.", "example.test."), nil, cold[:2]},
		{"a signer far below what is known", "a.b.c.d.e.example.test. A", []string{q}, deep("a.b.c.d.e.example.test."), nil,
			of("a.b.c.d.e.example.test.", "b.c.d.e.example.test.", "c.d.e.example.test.", "d.e.example.test.")},
		{"two sets by two signers", "a.b.c.d.e.example.test. A", []string{q}, deep("e.example.test.", "d.e.example.test."), nil,
			of("e.example.test.", "d.e.example.test.")},
		{"five sets by one signer, and one by another", "a.b.c.d.e.example.test. A", []string{q},
			deep("e.example.test.", "e.example.test.", "e.example.test.", "e.example.test.", "e.example.test.", "d.e.example.test."), nil,
			of("e.example.test.", "d.e.example.test.")},
		{"the fifth of five signers is too many", "a.b.c.d.e.example.test. A", []string{q},
			deep("e.example.test.", "d.e.example.test.", "c.d.e.example.test.", "b.c.d.e.example.test.", "a.b.c.d.e.example.test."), nil,
			of("e.example.test.", "d.e.example.test.", "c.d.e.example.test.", "b.c.d.e.example.test.")},
		{"a quarter of the questions is kept", q, nil, nil, func(c *dnssec.ValidatorConfig) { c.MaxQueries = 4 }, cold[:2]},
		{"one question more", q, nil, nil, func(c *dnssec.ValidatorConfig) { c.MaxQueries = 5 }, cold[:3]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTree(t)
				v := tr.validator(tt.cfg)
				for _, w := range tt.warm {
					if a, err := resolve(t, v, w); err != nil {
						t.Fatalf("%s: %s", w, outcome(a, err))
					}
				}
				if tt.edit != nil {
					tr.on(tt.q, func(m *dns.Msg) { tt.edit(tr, m) })
				}
				tr.delay = func(ctx context.Context, asked dns.Question) {
					if asked.Name+" "+dns.Type(asked.Qtype).String() != tt.q {
						<-ctx.Done()
					}
				}
				askedAtOnce(t, tr, v, tt.q, tt.want)
			})
		})
	}
}

// askedAtOnce asks v a question and checks what it sends, besides q itself, before it waits.
func askedAtOnce(t *testing.T, tr *tree, v *dnssec.Validator, q string, want []string) {
	t.Helper()
	tr.asked = nil
	ctx, cancel := context.WithCancel(t.Context())
	n, typ, _ := strings.Cut(q, " ")
	done := inBackground(ctx, v, question(t, n, dnssec.Type(dns.StringToType[typ])))
	synctest.Wait()
	tr.mu.Lock()
	got := slices.Sorted(slices.Values(tr.asked))
	tr.mu.Unlock()
	if want := slices.Sorted(slices.Values(append([]string{q}, want...))); !slices.Equal(got, want) {
		t.Errorf("at once:\n got %q\nwant %q", got, want)
	}
	cancel()
	<-done
}

// TestValidatorTogether says which questions are sent together with one for MX records, before any
// answer: DS and DNSKEY of the name, if the zones above it are known and signed and it is not known
// itself.
func TestValidatorTogether(t *testing.T) {
	own := []string{"example.test. DNSKEY", "example.test. DS"}
	parents := []string{"mx.hashed.test. A"}
	for _, tt := range []struct {
		name, q string
		warm    []string // what was asked for before
		cfg     func(c *dnssec.ValidatorConfig)
		want    []string
	}{
		{"the zones above are known", "example.test. MX", parents, nil, own},
		{"an unsigned zone", "unsigned.test. MX", parents, nil, []string{"unsigned.test. DNSKEY", "unsigned.test. DS"}},
		{"the zone is known", "example.test. MX", []string{"mx.example.test. A"}, nil, nil},
		{"the unsigned zone is known", "unsigned.test. MX", []string{"mx.unsigned.test. A"}, nil, nil},
		{"below an unsigned zone", "back.unsigned.test. MX", []string{"mx.unsigned.test. A"}, nil, nil},
		{"the zone above is not known", "example.test. MX", []string{". NS"}, nil, nil},
		{"nothing is known", "example.test. MX", nil, nil, nil},
		{"a host", "mx.example.test. A", parents, nil, nil},
		{"the root", ". MX", parents, nil, nil},
		{"the zones above are known no more", "example.test. MX", parents, func(c *dnssec.ValidatorConfig) { c.Zones = 1 }, nil},
		{"anchors at the zone", "example.test. MX", parents, func(c *dnssec.ValidatorConfig) {
			c.Anchors = append(c.Anchors, anchor.Anchor{Zone: name(t, "example.test."), DS: c.Anchors[0].DS})
		}, nil},
		{"no anchors", "example.test. MX", parents, func(c *dnssec.ValidatorConfig) { c.Anchors = []anchor.Anchor{} }, nil},
		{"a negative anchor", "example.test. MX", parents, func(c *dnssec.ValidatorConfig) {
			c.NegativeAnchors = []dnssec.NegativeAnchor{{Name: name(t, "example.test.")}}
		}, nil},
		{"few questions are left", "example.test. MX", parents, func(c *dnssec.ValidatorConfig) { c.MaxQueries = 1 }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTree(t)
				v := tr.validator(tt.cfg)
				for _, w := range tt.warm {
					resolve(t, v, w) // with one question left it fails
				}
				tr.delay = func(ctx context.Context, _ dns.Question) { <-ctx.Done() }
				askedAtOnce(t, tr, v, tt.q, tt.want)
			})
		})
	}
}

// TestValidatorForgottenZone: a zone that was used for a question before is not asked
// about again for the same question, even where it was pushed out of the memory meanwhile.
func TestValidatorForgottenZone(t *testing.T) {
	tr := newTree(t)
	tr.zones["example.test."].add(t, "start CNAME middle.hashed.test.")
	tr.zones["hashed.test."].add(t, "middle CNAME mx.example.test.")
	tr.edit = func(q dns.Question, m *dns.Msg) { // a resolver that hands out one step at a time
		m.Answer = drop(m.Answer, func(rr dns.RR) bool { return rr.Header().Name != q.Name })
	}
	v := tr.validator(func(c *dnssec.ValidatorConfig) { c.Zones = 1 })
	if a, err := resolve(t, v, "mx.example.test. A"); outcome(a, err) != "secure data" {
		t.Fatal(outcome(a, err))
	}
	a, err := resolve(t, v, "start.example.test. A")
	if outcome(a, err) != "secure data" || len(a.Chain) != 2 || tr.count("example.test. DNSKEY") != 1 {
		t.Errorf("%s, chain %v, keys asked for %d times", outcome(a, err), a.Chain, tr.count("example.test. DNSKEY"))
	}
	// Another question finds them gone.
	if a, err := resolve(t, v, "mx.example.test. A"); outcome(a, err) != "secure data" || tr.count("example.test. DNSKEY") != 2 {
		t.Errorf("%s, keys asked for %d times", outcome(a, err), tr.count("example.test. DNSKEY"))
	}
}

// TestValidatorStopsWithItsCaller: nothing is asked for once the caller has left.
func TestValidatorStopsWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTree(t)
		v := tr.validator()
		if a, err := resolve(t, v, ". NS"); err != nil {
			t.Fatal(outcome(a, err))
		}
		tr.delay = func(ctx context.Context, q dns.Question) {
			if q.Qtype != dns.TypeA {
				<-ctx.Done()
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := inBackground(ctx, v, question(t, "mx.example.test.", dnssec.TypeA))
		synctest.Wait()
		before := len(tr.asked)
		cancel()
		if got := <-done; got != "indeterminate timeout" || len(tr.asked) != before {
			t.Errorf("%s, asked %q", got, tr.asked[before:])
		}
	})
}
