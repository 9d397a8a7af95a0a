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
	"github.com/mxauth/mxauth/dnssec/proof"
)

// resign replaces the signatures over the answer's set by one that edit has altered
// before it was made.
func resign(t testing.TB, z *testZone, m *dns.Msg, typ uint16, edit func(s *dns.RRSIG)) {
	var set []dns.RR
	for _, rr := range m.Answer {
		if rr.Header().Rrtype == typ {
			set = append(set, rr)
		}
	}
	s := &dns.RRSIG{
		Hdr:       dns.RR_Header{Name: set[0].Header().Name, Rrtype: dns.TypeRRSIG, Class: dns.ClassINET, Ttl: 3600},
		Algorithm: z.keys[0].Algorithm, KeyTag: z.keys[0].KeyTag(), SignerName: z.apex,
		Inception: uint32(z.from.Unix()), Expiration: uint32(z.until.Unix()),
	}
	edit(s)
	if err := s.Sign(z.keys[0].priv, set); err != nil {
		t.Fatal(err)
	}
	m.Answer = append(drop(m.Answer, covers(typ)), s)
}

func TestValidatorSignatures(t *testing.T) {
	const q = "mx.example.test. A"
	dates := func(from, until time.Duration) func(*dns.RRSIG) {
		return func(s *dns.RRSIG) {
			s.Inception, s.Expiration = uint32(testTime.Add(from).Unix()), uint32(testTime.Add(until).Unix())
		}
	}
	signed := func(t *testing.T, edit func(*dns.RRSIG)) *tree {
		tr := newTree(t)
		tr.on(q, func(m *dns.Msg) { resign(t, tr.zones["example.test."], m, dns.TypeA, edit) })
		return tr
	}
	t.Run("DNSSEC4035-5.3.1-03 edge seconds are valid", func(t *testing.T) {
		signed(t, dates(0, time.Hour)).want(q, "secure data")
		signed(t, dates(-time.Hour, 0)).want(q, "secure data")
		signed(t, dates(time.Second, time.Hour)).want(q, "bogus signature-not-yet-valid")
		signed(t, dates(-time.Hour, -time.Second)).want(q, "bogus signature-expired")
	})
	t.Run("DNSSEC4034-3.1.5-01 serial arithmetic", func(t *testing.T) {
		for _, now := range []time.Time{
			time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC), // 2^31
			time.Date(2106, 2, 7, 6, 28, 16, 0, time.UTC), // 2^32
		} {
			tr := newTree(t)
			for _, z := range tr.zones {
				z.from, z.until = now.Add(-time.Hour), now.Add(time.Hour)
			}
			at := func(now time.Time) func(*dnssec.ValidatorConfig) {
				return func(c *dnssec.ValidatorConfig) { c.Now = func() time.Time { return now } }
			}
			tr.want(q, "secure data", at(now))
			tr.want(q, "secure data", at(now.Add(time.Hour)))
			tr.want(q, "bogus signature-expired", at(now.Add(time.Hour+time.Second)))
			tr.want(q, "bogus signature-not-yet-valid", at(now.Add(-time.Hour-time.Second)))
		}
	})
	t.Run("DNSSEC4034-3.1.8.1-01 other TTLs and order do not matter, other data does", func(t *testing.T) {
		tr := newTree(t)
		tr.zones["example.test."].add(t, "mx A 192.0.2.2\nmx A 192.0.2.3")
		tr.on(q, func(m *dns.Msg) {
			m.Answer[0], m.Answer[2] = m.Answer[2], m.Answer[0]
			for _, rr := range m.Answer {
				rr.Header().Ttl = 7
			}
		})
		tr.want(q, "secure data")
		tr.on(q, func(m *dns.Msg) { m.Answer = m.Answer[1:] })
		tr.want(q, "bogus signature-invalid")
	})
	t.Run("DNSSEC4034-6.3-01 a duplicate is kept once", func(t *testing.T) {
		tr := newTree(t)
		tr.on(q, func(m *dns.Msg) { m.Answer = append(m.Answer, m.Answer[0]) })
		a, err := tr.get(q)
		if outcome(a, err) != "secure data" || len(a.Records) != 1 {
			t.Errorf("%s, %d records", outcome(a, err), len(a.Records))
		}
	})
	t.Run("DNSSEC4034-6.2-01 letter case of names in RDATA", func(t *testing.T) {
		tr := newTree(t)
		tr.on("upper.example.test. MX", func(m *dns.Msg) { m.Answer[0].(*dns.MX).Mx = "mX.eXAMPLE.teST." })
		a, err := tr.get("upper.example.test. MX")
		if outcome(a, err) != "secure data" {
			t.Fatal(outcome(a, err))
		}
		if mx, err := a.Records[0].MX(); err != nil || mx.Host != name(t, "mx.example.test.") {
			t.Errorf("%v, %v", mx, err)
		}
	})
	t.Run("DNSSEC6840-5.1-01 letter case of HINFO and NSEC counts", func(t *testing.T) {
		tr := newTree(t)
		tr.want("host.example.test. HINFO", "secure data")
		tr.on("host.example.test. HINFO", func(m *dns.Msg) { m.Answer[0].(*dns.HINFO).Cpu = "cpu" })
		tr.want("host.example.test. HINFO", "bogus signature-invalid")
		tr = newTree(t)
		z := tr.zones["example.test."]
		mixed := &dns.NSEC{Hdr: dns.RR_Header{Name: "mx.example.test.", Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: 300},
			NextDomain: "_25._tcp.MX.example.test.", TypeBitMap: []uint16{dns.TypeA, dns.TypeRRSIG, dns.TypeNSEC}}
		tr.on("mx.example.test. TXT", func(m *dns.Msg) {
			m.Ns = append(z.signed(tr, z.apex, dns.TypeSOA), mixed, signSet(t, z.keys[0], z.apex, []dns.RR{mixed}, z.from, z.until))
		})
		tr.want("mx.example.test. TXT", "secure nodata")
	})
	t.Run("DNSSEC4035-5.3.1-01 a signature of another zone or type", func(t *testing.T) {
		tr := newTree(t)
		above := tr.zones["test."]
		tr.on(q, func(m *dns.Msg) {
			set := drop(m.Answer, isType(dns.TypeRRSIG))
			m.Answer = append(set, signSet(t, above.keys[0], above.apex, set, above.from, above.until))
		})
		v := tr.validator()
		if a, err := resolve(t, v, "example.test. MX"); err != nil {
			t.Fatal(outcome(a, err))
		}
		// The cut is known now, so the zone above it has no business there.
		if a, err := resolve(t, v, q); outcome(a, err) != "bogus signature-signer" {
			t.Error(outcome(a, err))
		}
		tr = newTree(t)
		side := tr.zones["hashed.test."]
		tr.on(q, func(m *dns.Msg) {
			set := drop(m.Answer, isType(dns.TypeRRSIG))
			m.Answer = append(set, signSet(t, side.keys[0], side.apex, set, side.from, side.until))
		})
		tr.want(q, "bogus signature-signer")
		tr = newTree(t)
		tr.on(q, func(m *dns.Msg) { // covers another type
			for _, rr := range m.Answer {
				if s, ok := rr.(*dns.RRSIG); ok {
					s.TypeCovered = dns.TypeAAAA
				}
			}
		})
		tr.want(q, "bogus signature-missing")
	})
	t.Run("label by label: a key of example.test signs nothing of evilexample.test", func(t *testing.T) {
		tr := newTree(t)
		z := tr.zones["example.test."]
		tr.zone("evilexample.test.", "mx A 192.0.2.66")
		tr.on("mx.evilexample.test. A", func(m *dns.Msg) {
			set := drop(m.Answer, isType(dns.TypeRRSIG))
			m.Answer = append(set, signSet(t, z.keys[0], z.apex, set, z.from, z.until))
		})
		tr.want("mx.evilexample.test. A", "bogus signature-signer")
	})
	t.Run("DNSSEC4035-5.3.1-02 more labels than the owner has", func(t *testing.T) {
		tr := newTree(t)
		tr.on(q, func(m *dns.Msg) {
			for _, rr := range m.Answer {
				if s, ok := rr.(*dns.RRSIG); ok {
					s.Labels = 4
				}
			}
		})
		tr.want(q, "bogus signature-labels")
	})
	t.Run("DNSSEC4035-5.3.1-04 an unknown tag is passed over", func(t *testing.T) {
		tr := newTree(t)
		stale := newTestKey(t, "example.test.", dns.ECDSAP256SHA256, 256, 257)
		z := tr.zones["example.test."]
		other := func(m *dns.Msg) *dns.RRSIG {
			return signSet(t, stale, z.apex, drop(m.Answer, isType(dns.TypeRRSIG)), z.from, z.until)
		}
		tr.on(q, func(m *dns.Msg) { m.Answer = append([]dns.RR{other(m)}, m.Answer...) })
		tr.want(q, "secure data")
		tr.on(q, func(m *dns.Msg) { m.Answer = append(drop(m.Answer, isType(dns.TypeRRSIG)), other(m)) })
		tr.want(q, "bogus signature-key")
	})
	t.Run("DNSSEC6840-5.12-01 extra signatures are disregarded", func(t *testing.T) {
		tr := newTree(t)
		z := tr.zones["example.test."]
		stale := newTestKey(t, z.apex, dns.ED25519, 256, 257)
		tr.on(q, func(m *dns.Msg) {
			m.Answer = append([]dns.RR{signSet(t, stale, z.apex, drop(m.Answer, isType(dns.TypeRRSIG)), z.from, z.until)}, m.Answer...)
		})
		tr.want(q, "secure data")
	})
	t.Run("DNSSEC6840-5.4-01 one good signature suffices", func(t *testing.T) {
		tr := newTree(t)
		broken := func(m *dns.Msg) *dns.RRSIG {
			for _, rr := range m.Answer {
				if s, ok := rr.(*dns.RRSIG); ok {
					b := dns.Copy(s).(*dns.RRSIG)
					b.Signature = "AAAA" + b.Signature[4:]
					return b
				}
			}
			return nil
		}
		tr.on(q, func(m *dns.Msg) { m.Answer = append([]dns.RR{broken(m)}, m.Answer...) })
		tr.want(q, "secure data")
		tr.on(q, func(m *dns.Msg) { m.Answer = append(drop(m.Answer, isType(dns.TypeRRSIG)), broken(m)) })
		tr.want(q, "bogus signature-invalid")
	})
	t.Run("DNSSEC4035-4.2-01 and wildcards", func(t *testing.T) {
		newTree(t).want("any.thing.wild.example.test. A", "secure data")
	})
	for _, id := range []string{"DNSSEC4035-5.3.3-01 without the proof of no closer name", "NSEC3-5155-8.8-01 without the cover of the next closer name"} {
		t.Run(id, func(t *testing.T) {
			for _, zone := range []string{"example.test.", "hashed.test."} {
				q := "foo.wild." + zone + " A"
				tr := newTree(t)
				tr.want(q, "secure data")
				tr.on(q, func(m *dns.Msg) { m.Ns = nil })
				tr.want(q, "bogus denial-missing")
				z := tr.zones[zone]
				tr.on(q, func(m *dns.Msg) { z.match(tr, m, "alias."+zone) })
				tr.want(q, "bogus wildcard-unproved")
			}
		})
	}
	t.Run("DNSSEC4034-2.1.1-01 a key without the zone flag verifies nothing", func(t *testing.T) {
		tr := newTree(t)
		z := tr.zones["example.test."].withKeys(t, "keys", "data")
		z.keys[1].Flags = 1
		z.ds = []dns.RR{z.keys[0].ToDS(dns.SHA256)}
		tr.want(q, "bogus signature-key")
	})
	t.Run("DNSSEC4034-2.1.1-02 SEP and reserved flags mean nothing", func(t *testing.T) {
		tr := newTree(t)
		z := tr.zones["example.test."].withKeys(t, "keys", "data")
		z.keys[0].Flags, z.keys[1].Flags = 256, 258
		z.ds = []dns.RR{z.keys[0].ToDS(dns.SHA256)}
		tr.want(q, "secure data")
	})
	t.Run("DNSSEC4034-2.1.2-01 protocol is 3", func(t *testing.T) {
		tr := newTree(t)
		z := tr.zones["example.test."].withKeys(t, "keys", "data")
		z.keys[1].Protocol = 2
		z.ds = []dns.RR{z.keys[0].ToDS(dns.SHA256)}
		tr.want(q, "bogus signature-key")
	})
	t.Run("a revoked key signs nothing", func(t *testing.T) {
		tr := newTree(t)
		z := tr.zones["example.test."].withKeys(t, "keys", "data")
		z.keys[1].Flags |= 0x80
		z.ds = []dns.RR{z.keys[0].ToDS(dns.SHA256)}
		tr.want(q, "bogus signature-key")
	})
	t.Run("DNSSEC4035-5.3.3-02 TTL and end", func(t *testing.T) {
		tr := newTree(t)
		tr.on(q, func(m *dns.Msg) {
			for _, rr := range m.Answer {
				rr.Header().Ttl = 1 << 20
			}
		})
		a, err := tr.get(q)
		if err != nil || a.Records[0].TTL != 3600 || !a.Expires.Equal(testTime.Add(time.Hour)) {
			t.Errorf("inflated: %d %s %v", a.Records[0].TTL, a.Expires, err)
		}
		a, err = signed(t, dates(-time.Hour, 5*time.Minute)).get(q)
		if err != nil || !a.Expires.Equal(testTime.Add(5*time.Minute)) {
			t.Errorf("signature end: %s %v", a.Expires, err)
		}
	})
	t.Run("TLSA6698-8.2-01 kept no longer than TTL and signature", func(t *testing.T) {
		a, err := newTree(t).get(tlsa)
		if err != nil || a.Expires.After(testTime.Add(time.Hour)) || !a.Received.Equal(testTime) {
			t.Errorf("%s %s %v", a.Expires, a.Received, err)
		}
	})
	t.Run("DNSSEC4035-4.5-01 the smallest TTL ends the whole", func(t *testing.T) {
		tr := newTree(t)
		tr.on("alias.example.test. A", func(m *dns.Msg) {
			for _, rr := range m.Answer {
				if rr.Header().Name == "mx.example.test." {
					rr.Header().Ttl = 30
				}
			}
		})
		a, err := tr.get("alias.example.test. A")
		if err != nil || !a.Expires.Equal(testTime.Add(30*time.Second)) {
			t.Errorf("%s %v", a.Expires, err)
		}
	})
	t.Run("AGGR8198-5.4-01 DNS2308-5-01 negative lifetimes", func(t *testing.T) {
		a, err := newTree(t).get("nowhere.example.test. A")
		if err != nil || !a.Expires.Equal(testTime.Add(300*time.Second)) {
			t.Errorf("%s %v", a.Expires, err)
		}
	})
	t.Run("DNS2308-5-01 a denial ends with SOA minimum and TTL", func(t *testing.T) {
		for _, q := range []string{"nowhere.example.test. A", "nowhere.unsigned.test. A"} {
			tr := newTree(t)
			tr.on(q, func(m *dns.Msg) {
				for _, rr := range m.Ns {
					if rr.Header().Rrtype == dns.TypeSOA {
						rr.Header().Ttl = 60
					}
				}
			})
			if a, err := tr.get(q); err != nil || !a.Expires.Equal(testTime.Add(60*time.Second)) {
				t.Errorf("%s: %s %v", q, a.Expires, err)
			}
		}
	})
}

func TestValidatorDenial(t *testing.T) {
	t.Run("DNSSEC4035-5.4-01 NODATA and NXDOMAIN need their proofs", func(t *testing.T) {
		for q, want := range map[string]string{"mx.example.test. TXT": "secure nodata", "a.nowhere.example.test. A": "secure nxdomain"} {
			tr := newTree(t)
			tr.want(q, want)
			var n int
			tr.on(q, func(m *dns.Msg) {
				n = 0
				for _, rr := range m.Ns {
					if rr.Header().Rrtype == dns.TypeNSEC {
						n++
					}
				}
			})
			tr.want(q, want)
			for i := range n { // without any one of them
				tr := newTree(t)
				tr.on(q, func(m *dns.Msg) {
					k := -1
					m.Ns = drop(m.Ns, func(rr dns.RR) bool {
						if rr.Header().Rrtype == dns.TypeNSEC {
							k++
							return k == i
						}
						return false
					})
				})
				if a, err := tr.get(q); !errors.Is(err, dnssec.ErrBogus) {
					t.Errorf("%s without NSEC %d: %s", q, i, outcome(a, err))
				}
			}
		}
	})
	t.Run("DNSSEC4035-5.4-02 unsigned NSEC proves nothing", func(t *testing.T) {
		for _, q := range []string{"mx.example.test. TXT", "mx.hashed.test. TXT"} {
			tr := newTree(t)
			tr.on(q, func(m *dns.Msg) {
				m.Ns = drop(m.Ns, func(rr dns.RR) bool { return covers(dns.TypeNSEC)(rr) || covers(dns.TypeNSEC3)(rr) })
			})
			tr.want(q, "bogus denial-missing")
		}
	})
	for _, id := range []string{"DNSSEC4035-5.4-03 a question whose proof is incomplete is asked once more"} {
		t.Run(id, func(t *testing.T) {
			tr := newTree(t)
			n := 0
			tr.on("mx.example.test. TXT", func(m *dns.Msg) {
				if n++; n == 1 {
					m.Ns = m.Ns[:2]
				}
			})
			tr.want("mx.example.test. TXT", "secure nodata")
			if got := tr.count("mx.example.test. TXT"); got != 2 {
				t.Errorf("asked %d times", got)
			}
			tr = newTree(t)
			tr.on("mx.example.test. TXT", func(m *dns.Msg) { m.Ns = m.Ns[:2] })
			tr.want("mx.example.test. TXT", "bogus denial-missing")
			if got := tr.count("mx.example.test. TXT"); got != 2 {
				t.Errorf("asked %d times", got)
			}
		})
	}
	t.Run("NSEC3-5155-8.4-01 NXDOMAIN needs encloser and wildcard", func(t *testing.T) {
		const q = "nowhere.hashed.test. A"
		for i := range 3 {
			tr := newTree(t)
			tr.want(q, "secure nxdomain")
			tr.on(q, func(m *dns.Msg) {
				var sets []string
				for _, rr := range m.Ns {
					if rr.Header().Rrtype == dns.TypeNSEC3 {
						sets = append(sets, rr.Header().Name)
					}
				}
				if i < len(sets) {
					m.Ns = drop(m.Ns, func(rr dns.RR) bool { return rr.Header().Name == sets[i] })
				} else {
					m.Ns = nil
				}
			})
			if a, err := tr.get(q); !errors.Is(err, dnssec.ErrBogus) {
				t.Errorf("without NSEC3 %d: %s", i, outcome(a, err))
			}
		}
	})
	t.Run("NSEC3-5155-9.2-01 what rests on opt-out is insecure", func(t *testing.T) {
		tr := newTree(t)
		tr.want("nowhere.opt.test. A", "insecure nxdomain opt-out")
		tr.want("foo.wild.opt.test. A", "insecure data opt-out")
		tr.want("mx.unsigned.opt.test. A", "insecure data opt-out")
		tr.want("mx.opt.test. TXT", "secure nodata")
	})
	many := func(t *testing.T, n uint16) *tree {
		tr := newTree(t)
		tr.zones["hashed.test."].nsec3.iterations = n
		return tr
	}
	t.Run("NSEC3-9276-3.2-01 limit and limit+1", func(t *testing.T) {
		many(t, 150).want("nowhere.hashed.test. A", "secure nxdomain")
		many(t, 151).want("nowhere.hashed.test. A", "insecure nxdomain nsec3-iterations")
		many(t, 151).want("foo.wild.hashed.test. A", "insecure data nsec3-iterations")
		few := func(n int) func(*dnssec.ValidatorConfig) {
			return func(c *dnssec.ValidatorConfig) { c.MaxNSEC3Iterations = n }
		}
		many(t, 1).want("nowhere.hashed.test. A", "insecure nxdomain nsec3-iterations", few(-1))
		many(t, 0).want("nowhere.hashed.test. A", "secure nxdomain", few(-1))
		many(t, 10).want("nowhere.hashed.test. A", "secure nxdomain", few(10))
		many(t, 11).want("nowhere.hashed.test. A", "insecure nxdomain nsec3-iterations", few(10))
	})
	t.Run("NSEC3-9276-4-01 one limit", func(t *testing.T) {
		for _, n := range []uint16{151, 500, 2500, 65535} {
			many(t, n).want("nowhere.hashed.test. A", "insecure nxdomain nsec3-iterations")
		}
	})
	for _, id := range []string{"NSEC3-9276-3.2-02", "NSEC3-5155-10.3-01"} {
		t.Run(id+" iterations altered without a signature", func(t *testing.T) {
			tr := newTree(t)
			tr.on("nowhere.hashed.test. A", func(m *dns.Msg) {
				for _, rr := range m.Ns {
					if n, ok := rr.(*dns.NSEC3); ok {
						n.Iterations = 5000
					}
				}
			})
			tr.want("nowhere.hashed.test. A", "bogus signature-invalid")
		})
	}
	t.Run("NSEC3-9276-3.2-03 EDE 27, only if verified", func(t *testing.T) {
		a, err := many(t, 151).get("nowhere.hashed.test. A")
		if err != nil || a.Reason.EDE != dnssec.EDEUnsupportedIterations {
			t.Errorf("%d %v", a.Reason.EDE, err)
		}
		tr := many(t, 151)
		tr.edit = func(_ dns.Question, m *dns.Msg) { m.Ns = drop(m.Ns, covers(dns.TypeNSEC3)) }
		if a, _ := tr.get("nowhere.hashed.test. A"); a.Reason.EDE == dnssec.EDEUnsupportedIterations {
			t.Errorf("EDE %d", a.Reason.EDE)
		}
	})
	t.Run("a delegation denied with too many iterations is insecure", func(t *testing.T) {
		tr := newTree(t)
		tr.zones["test."].nsec3 = &testNSEC3{iterations: 200}
		tr.want("mx.unsigned.test. A", "insecure data nsec3-iterations")
		tr.want("mx.example.test. A", "secure data")
	})
	t.Run("DNSSEC6840-2.1-01 NSEC and NSEC3 with one algorithm", func(t *testing.T) {
		for _, zone := range []string{"example.test.", "hashed.test."} {
			tr := newTree(t)
			z := tr.zones[zone]
			z.keys = []*testKey{newTestKey(t, z.apex, dns.RSASHA256, 1024, 257)}
			tr.want("nowhere."+zone+" A", "secure nxdomain")
		}
	})
	t.Run("NSEC3-5155-8.9-01 an unsigned delegation", func(t *testing.T) {
		tr := newTree(t)
		tr.zones["test."].nsec3 = &testNSEC3{}
		tr.want("mx.unsigned.test. A", "insecure data unsigned-delegation")
		tr.on("unsigned.test. DS", func(m *dns.Msg) { m.Ns = drop(m.Ns, isType(dns.TypeNSEC3)) })
		tr.want("mx.unsigned.test. A", "bogus denial-missing")
	})
	t.Run("a denial with a forged SOA record is bogus", func(t *testing.T) {
		tr := newTree(t)
		tr.on("mx.example.test. TXT", func(m *dns.Msg) { m.Ns[0].(*dns.SOA).Minttl = 1 << 30 })
		tr.want("mx.example.test. TXT", "bogus signature-invalid")
	})
}

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
		t.Run(id+" the DNAME vouches for the CNAME that it makes", func(t *testing.T) {
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

func TestValidatorBudget(t *testing.T) {
	t.Run("DNSSEC4034-B-01 two keys with one tag are both tried", func(t *testing.T) {
		tr := collide(t, 2)
		tr.want("mx.example.test. A", "secure data")
	})
	t.Run("DNSSEC4035-5.3.1-05 all that fit are tried, to a limit", func(t *testing.T) {
		collide(t, 4).want("mx.example.test. A", "secure data")
		collide(t, 5).want("mx.example.test. A", "bogus budget-exceeded")
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
		if outcome(a, err) != "bogus budget-exceeded" || !errors.Is(err, dnssec.ErrBogus) {
			t.Error(outcome(a, err))
		}
		if tr.count("mx.example.test. A") != 1 {
			t.Errorf("asked %q: out of budget ends the work", tr.asked)
		}
	})
	t.Run("questions", func(t *testing.T) {
		tr := newTree(t)
		tr.want(tlsa, "bogus budget-exceeded", func(c *dnssec.ValidatorConfig) { c.MaxQueries = 3 })
		if len(tr.asked) != 3 {
			t.Errorf("asked %q", tr.asked)
		}
		newTree(t).want(tlsa, "secure data", func(c *dnssec.ValidatorConfig) { c.MaxQueries = 6 })
	})
	t.Run("octets", func(t *testing.T) {
		newTree(t).want(tlsa, "bogus budget-exceeded", func(c *dnssec.ValidatorConfig) { c.MaxBytes = 500 })
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
	_ = proof.MaxFailures
}
