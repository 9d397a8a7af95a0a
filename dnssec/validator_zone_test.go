package dnssec_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
)

// TestValidatorWildcardDS: no delegation is made by a wildcard (RFC 4592 section 4.4).
func TestValidatorWildcardDS(t *testing.T) {
	tr := newTree(t)
	z := tr.zones["example.test."]
	sub := tr.zone("sub.example.test.", "mx A 192.0.2.1")
	tr.hook = func(q dns.Question) (*dns.Msg, error) {
		if q.Name != sub.apex || q.Qtype != dns.TypeDS {
			return nil, nil
		}
		ds := sub.keys[0].ToDS(dns.SHA256)
		ds.Hdr.Name, ds.Hdr.Ttl = "*.example.test.", 3600
		m := &dns.Msg{Answer: made(sub.apex, []dns.RR{ds, z.signAs(t, z.apex, []dns.RR{ds})})}
		n := &dns.NSEC{Hdr: dns.RR_Header{Name: "ns.example.test.", Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: 300},
			NextDomain: "target.example.test.", TypeBitMap: []uint16{dns.TypeA}}
		m.Ns = []dns.RR{n, z.signAs(t, z.apex, []dns.RR{n})}
		return m, nil
	}
	tr.want("mx.sub.example.test. A", "bogus wildcard-unproved")
	// Asked for by itself it is a record like any other.
	tr.want("sub.example.test. DS", "secure data")
}

// TestValidatorKeepsZones: what a zone is found to be is kept for as long as the records
// say that it rests on, be it signed or not; what has no lifetime takes no place.
func TestValidatorKeepsZones(t *testing.T) {
	unsupported := func(tr *tree) {
		ds := tr.zones["example.test."].keys[0].ToDS(dns.SHA256)
		ds.Algorithm, ds.Hdr.Ttl = 250, 600
		tr.zones["example.test."].ds = []dns.RR{ds}
	}
	for _, tt := range []struct {
		name, q, proof string
		edit           func(tr *tree)
		keeps          time.Duration
	}{
		{"signed: TTL of the keys and the DS", "mx.example.test. A", "example.test. DS", func(*tree) {}, time.Hour},
		{"signed: TTL of the DS", "mx.example.test. A", "example.test. DS", func(tr *tree) {
			ds := tr.zones["example.test."].keys[0].ToDS(dns.SHA256)
			ds.Hdr.Ttl = 60
			tr.zones["example.test."].ds = []dns.RR{ds}
		}, time.Minute},
		{"signed: TTL of the keys", "mx.example.test. A", "example.test. DNSKEY", func(tr *tree) {
			tr.zones["example.test."].keys[0].Hdr.Ttl = 60
		}, time.Minute},
		{"unsigned: TTL of the denial", "mx.unsigned.test. A", "unsigned.test. DS", func(*tree) {}, 5 * time.Minute},
		{"unsupported: TTL of the DS", "mx.example.test. A", "example.test. DS", unsupported, 10 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := newTree(t)
			tt.edit(tr)
			now := testTime
			v := tr.validator(func(c *dnssec.ValidatorConfig) { c.Now = func() time.Time { return now } })
			for i, step := range []struct {
				at   time.Duration
				want int
			}{{0, 1}, {tt.keeps - time.Second, 1}, {tt.keeps, 2}} {
				now = testTime.Add(step.at)
				if a, err := resolve(t, v, tt.q); err != nil || tr.count(tt.proof) != step.want {
					t.Errorf("%d: %s, %s asked for %d times, want %d", i, outcome(a, err), tt.proof, tr.count(tt.proof), step.want)
				}
			}
		})
	}
	t.Run("no lifetime", func(t *testing.T) {
		tr := newTree(t)
		v := tr.validator(func(c *dnssec.ValidatorConfig) { c.Anchors, c.Zones = tr.anchorsOf("example.test."), 1 })
		for _, q := range []string{"mx.example.test. A", "mx.unsigned.test. A", "mx.example.test. A"} {
			if a, err := resolve(t, v, q); err != nil {
				t.Fatalf("%s: %s", q, outcome(a, err))
			}
		}
		if n := tr.count("example.test. DNSKEY"); n != 1 {
			t.Errorf("the keys were asked for %d times", n)
		}
	})
}

// TestValidatorWalkEnds: below a name that does not exist nothing is looked for.
func TestValidatorWalkEnds(t *testing.T) {
	const q = "a.b.c.nowhere.example.test. A"
	tr := answering(t, q, func(tr *tree, z *testZone, m *dns.Msg) {
		put(m, z.unsignedSet(t, "a.b.c.nowhere A 192.0.2.1"))
	})
	tr.want(q, "bogus signature-missing")
	if tr.count("nowhere.example.test. DS") != 1 || tr.count("c.nowhere.example.test. DS") != 0 {
		t.Errorf("asked %q", tr.asked)
	}
}

// TestValidatorNestedAnchors: where the anchors of a zone fail, those above it may do; but
// only by the proof that it is a zone.
func TestValidatorNestedAnchors(t *testing.T) {
	stale := anchor.Anchor{Zone: name(t, "example.test.")}
	stale.DS = newTree(t).anchorsOf("hashed.test.")[0].DS
	both := func(c *dnssec.ValidatorConfig) { c.Anchors = append(c.Anchors, stale) }
	newTree(t).want("mx.example.test. A", "secure data", both)
	tr := newTree(t)
	tr.hook = func(q dns.Question) (*dns.Msg, error) {
		if q.Name != "example.test." || q.Qtype != dns.TypeDS {
			return nil, nil
		}
		z := tr.zones["test."] // says that it is no cut
		n := &dns.NSEC{Hdr: dns.RR_Header{Name: "example.test.", Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: 300},
			NextDomain: "hashed.test.", TypeBitMap: []uint16{dns.TypeA}}
		return &dns.Msg{Ns: []dns.RR{n, z.signAs(t, z.apex, []dns.RR{n})}}, nil
	}
	tr.want("mx.example.test. A", "bogus anchor-mismatch", both)
}

// TestValidatorAnchorsOfNoUse says what is wrong with them, since only an administrator can
// correct it.
func TestValidatorAnchorsOfNoUse(t *testing.T) {
	tr := newTree(t)
	a, err := tr.get("mx.example.test. A", func(c *dnssec.ValidatorConfig) { c.Anchors[0].DS.Algorithm = 250 })
	if outcome(a, err) != "insecure data unsupported-algorithm" || a.Reason.Text != "the trust anchors of . have only algorithms or digests that are not supported" {
		t.Errorf("%s: %s", outcome(a, err), a.Reason.Text)
	}
	a, err = tr.get("mx.example.test. A", func(c *dnssec.ValidatorConfig) { c.Anchors = anchor.Root() })
	if outcome(a, err) != "bogus anchor-mismatch" || !strings.HasPrefix(a.Reason.Text, "no key of . fits a trust anchor") {
		t.Errorf("%s: %s", outcome(a, err), a.Reason.Text)
	}
}

// TestValidatorRevocations: RFC 5011 section 2.1. An anchor that revokes itself is one no
// more, which is said once; other keys that do so are no one's business.
func TestValidatorRevocations(t *testing.T) {
	const said = "a trust anchor is revoked"
	keys := func(tr *tree) []anchor.Anchor {
		var text strings.Builder
		for _, k := range tr.zones["."].keys {
			text.WriteString(k.DNSKEY.String() + "\n")
		}
		a, err := anchor.Parse(strings.NewReader(text.String()))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, tt := range []struct {
		name    string
		anchors func(tr *tree) []anchor.Anchor // of the two keys, the first of which is revoked
		want    string
		said    int
	}{
		{"both are DS anchors", (*tree).anchors, "secure data", 1},
		{"both are keys", keys, "secure data", 1},
		{"the revoked one is the only one", func(tr *tree) []anchor.Anchor { return tr.anchors()[:1] }, "indeterminate no-usable-anchor", 1},
		{"the revoked one is the only one, a key", func(tr *tree) []anchor.Anchor { return keys(tr)[:1] }, "indeterminate no-usable-anchor", 1},
		{"the revoked one is none", func(tr *tree) []anchor.Anchor { return tr.anchors()[1:] }, "secure data", 0},
		{"the revoked one is none, keys", func(tr *tree) []anchor.Anchor { return keys(tr)[1:] }, "secure data", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := newTree(t)
			root := tr.zones["."].withKeys(t, "keys", "all")
			anchors := tt.anchors(tr)
			root.keys[0].Flags |= 0x80
			var log bytes.Buffer
			now := testTime
			v := tr.validator(func(c *dnssec.ValidatorConfig) {
				c.Anchors, c.Now = anchors, func() time.Time { return now }
				c.Logger = slog.New(slog.NewTextHandler(&log, nil))
			})
			for i := range 3 { // each time the keys are proved again
				now = testTime.Add(time.Duration(i) * 2 * time.Hour)
				if a, err := resolve(t, v, "mx.example.test. A"); outcome(a, err) != tt.want {
					t.Errorf("%d: %s (want %s): %s", i, outcome(a, err), tt.want, a.Reason)
				}
			}
			if n := strings.Count(log.String(), said); n != tt.said {
				t.Errorf("said %d times, want %d:\n%s", n, tt.said, &log)
			}
		})
	}
}

// TestValidatorStripped: signatures that lack are the upstream's fault only if it does not
// even pass on those of a trust anchor's zone.
func TestValidatorStripped(t *testing.T) {
	const q = "mx.example.test. A"
	strip := func(tr *tree, questions ...string) {
		for _, q := range questions {
			tr.on(q, func(m *dns.Msg) { m.Answer = drop(m.Answer, isType(dns.TypeRRSIG)) })
		}
	}
	only := func(apex string) func(*tree, *dnssec.ValidatorConfig) {
		return func(tr *tree, c *dnssec.ValidatorConfig) { c.Anchors = tr.anchorsOf(apex) }
	}
	for _, tt := range []struct {
		name, q  string
		anchors  func(*tree, *dnssec.ValidatorConfig)
		stripped []string
		want     string
	}{
		{"all but the root", q, nil, []string{q, "example.test. DNSKEY", "example.test. DS", "test. DNSKEY", "test. DS"}, "bogus signature-missing"},
		{"the root too", q, nil, []string{q, ". DNSKEY"}, "indeterminate upstream-strips-dnssec"},
		{"the anchored zone", q, only("example.test."), []string{q, "example.test. DNSKEY"}, "indeterminate upstream-strips-dnssec"},
		{"all but the anchored zone", q, only("example.test."), []string{q, ". DNSKEY"}, "bogus signature-missing"},
		{"the root decides, where it has an anchor", q, func(tr *tree, c *dnssec.ValidatorConfig) {
			c.Anchors = append(c.Anchors, tr.anchorsOf("example.test.")...)
		}, []string{q, "example.test. DNSKEY"}, "bogus signature-missing"},
		{"behind an alias from outside of all anchors", "back.unsigned.test. A", only("example.test."),
			[]string{"back.unsigned.test. A", "mx.example.test. A", "example.test. DNSKEY"}, "indeterminate upstream-strips-dnssec"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := newTree(t)
			strip(tr, tt.stripped...)
			tr.want(tt.q, tt.want, func(c *dnssec.ValidatorConfig) {
				if tt.anchors != nil {
					tt.anchors(tr, c)
				}
			})
		})
	}
	// later lets the keys of the root come as edit says from the second time on.
	later := func(tr *tree, edit func() (*dns.Msg, error)) {
		n := 0
		tr.hook = func(q dns.Question) (*dns.Msg, error) {
			if q.Name != "." || q.Qtype != dns.TypeDNSKEY {
				return nil, nil
			}
			if n++; n == 1 {
				return nil, nil
			}
			return edit()
		}
		strip(tr, q)
	}
	for what, tt := range map[string]struct {
		edit func(tr *tree) (*dns.Msg, error)
		want string
	}{
		"it strips them from now on": {func(tr *tree) (*dns.Msg, error) {
			return &dns.Msg{Answer: tr.zones["."].records(tr, ".", dns.TypeDNSKEY)}, nil
		}, "indeterminate upstream-strips-dnssec"},
		"it has none from now on": {func(*tree) (*dns.Msg, error) { return &dns.Msg{}, nil }, "indeterminate upstream-strips-dnssec"},
		"it knows no root from now on": {func(*tree) (*dns.Msg, error) {
			return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeNameError}}, nil
		}, "indeterminate upstream-strips-dnssec"},
		"it fails": {func(*tree) (*dns.Msg, error) {
			return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeServerFailure}}, nil
		}, "bogus signature-missing"},
		"it is silent": {func(*tree) (*dns.Msg, error) {
			return nil, fmt.Errorf("%w: no answer", dnssec.ErrTimeout)
		}, "bogus signature-missing"},
	} {
		t.Run(what, func(t *testing.T) {
			tr := newTree(t)
			later(tr, func() (*dns.Msg, error) { return tt.edit(tr) })
			if a, err := tr.get(q); outcome(a, err) != tt.want || tr.count(". DNSKEY") != 2 {
				t.Errorf("%s (want %s), asked %q", outcome(a, err), tt.want, tr.asked)
			}
		})
	}
}

// TestValidatorSignerOutOfReach: a signature may name a zone below an unsigned one, whose
// DS no one there needs to know.
func TestValidatorSignerOutOfReach(t *testing.T) {
	for what, fail := range map[string]func() (*dns.Msg, error){
		"SERVFAIL": func() (*dns.Msg, error) { return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeServerFailure}}, nil },
		"silence":  func() (*dns.Msg, error) { return nil, fmt.Errorf("%w: no answer", dnssec.ErrTimeout) },
		"no proof": func() (*dns.Msg, error) { return &dns.Msg{}, nil },
	} {
		for _, q := range []string{"mx.island.unsigned.test. A", "mx.island.unsigned.test. TXT"} {
			t.Run(what+" "+q, func(t *testing.T) {
				tr := newTree(t)
				tr.island()
				tr.hook = func(asked dns.Question) (*dns.Msg, error) {
					if asked.Name != "island.unsigned.test." || asked.Qtype != dns.TypeDS {
						return nil, nil
					}
					return fail()
				}
				a, err := tr.get(q)
				if err != nil || a.Status != dnssec.Insecure || a.Reason.Code != dnssec.ReasonUnsignedDelegation || errors.Is(err, dnssec.ErrLookup) {
					t.Error(outcome(a, err))
				}
			})
		}
	}
}
