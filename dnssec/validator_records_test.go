package dnssec_test

import (
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/internal/dnstree"
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
	s := z.keys[0].Draft(z.apex, set, z.from, z.until)
	edit(s)
	if err := dnstree.Sign(s, z.keys[0].Private, set); err != nil {
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
	t.Run("the TTL in the zone is that of the signature", func(t *testing.T) {
		tr := newTree(t)
		tr.on(q, func(m *dns.Msg) {
			for _, rr := range m.Answer {
				rr.Header().Ttl = 7
			}
		})
		if a, err := tr.get(q); err != nil || a.OriginalTTL != 3600 || a.Records[0].TTL != 7 {
			t.Errorf("%+v, %v", a, err)
		}
		if a, err := tr.get("mx.unsigned.test. A"); err != nil || a.OriginalTTL != 0 {
			t.Errorf("not signed: %+v, %v", a, err)
		}
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
	for _, c := range []struct {
		name string
		edit func(z *testZone) // keys[0] signs the keys, keys[1] the data
		want string
	}{
		{"DNSSEC4034-2.1.1-01 a key without the zone flag verifies nothing", func(z *testZone) { z.keys[1].Flags = 1 }, "bogus signature-key"},
		{"DNSSEC4034-2.1.1-02 SEP and reserved flags mean nothing", func(z *testZone) { z.keys[0].Flags, z.keys[1].Flags = 256, 258 }, "secure data"},
		{"DNSSEC4034-2.1.2-01 protocol is 3", func(z *testZone) { z.keys[1].Protocol = 2 }, "bogus signature-key"},
		{"a revoked key signs nothing", func(z *testZone) { z.keys[1].Flags |= 0x80 }, "bogus signature-key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := newTree(t)
			z := tr.zones["example.test."].withKeys(t, "keys", "data")
			c.edit(z)
			z.ds = []dns.RR{z.keys[0].ToDS(dns.SHA256)}
			tr.want(q, c.want)
		})
	}
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
	t.Run("the signatures of the chain end it too", func(t *testing.T) {
		for _, apex := range []string{".", "test.", "example.test."} {
			for _, q := range []string{q, "nowhere.example.test. A"} {
				tr := newTree(t)
				tr.zones[apex].until = testTime.Add(time.Minute)
				if a, err := tr.get(q); err != nil || !a.Expires.Equal(testTime.Add(time.Minute)) {
					t.Errorf("%s, %s: %s %v", apex, q, a.Expires, err)
				}
			}
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
