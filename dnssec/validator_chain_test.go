package dnssec_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/dnssec/proof"
)

// keysOf returns the zone of a tree with n keys that do as they are told.
func (z *testZone) withKeys(t testing.TB, signs ...string) *testZone {
	z.keys = nil
	for i, s := range signs {
		k := defaultKey(t, z.apex, i)
		k.sign = s
		z.keys = append(z.keys, k)
	}
	return z
}

const tlsa = "_25._tcp.mx.example.test. TLSA"

func TestValidatorChain(t *testing.T) {
	t.Run("DNSSEC4033-5-01 secure: anchor, chain and signatures", func(t *testing.T) {
		newTree(t).want(tlsa, "secure data")
	})
	t.Run("DNSSEC4033-5-02 insecure: signed proof that there is no DS", func(t *testing.T) {
		tr := newTree(t)
		tr.want("mx.unsigned.test. A", "insecure data unsigned-delegation")
		tr.on("unsigned.test. DS", func(m *dns.Msg) { m.Ns = drop(m.Ns, covers(dns.TypeNSEC)) })
		tr.want("mx.unsigned.test. A", "bogus denial-missing")
	})
	t.Run("DNSSEC4033-5-03 bogus: stripped signatures", func(t *testing.T) {
		tr := newTree(t)
		tr.on(tlsa, func(m *dns.Msg) { m.Answer = drop(m.Answer, isType(dns.TypeRRSIG)) })
		tr.want(tlsa, "bogus signature-missing")
	})
	t.Run("DNSSEC4033-5-03 bogus: data that NSEC says exists", func(t *testing.T) {
		tr := newTree(t)
		z := tr.zones["example.test."]
		tr.on(tlsa, func(m *dns.Msg) {
			m.Answer = nil
			m.Ns = z.signed(tr, z.apex, dns.TypeSOA)
			z.match(tr, m, "_25._tcp.mx.example.test.")
		})
		tr.want(tlsa, "bogus denial-invalid")
	})
	t.Run("DNSSEC4033-5-04 no anchor covers the name", func(t *testing.T) {
		newTree(t).want(tlsa, "insecure data no-anchor", func(c *dnssec.ValidatorConfig) { c.Anchors = []anchor.Anchor{} })
	})
	t.Run("DANE7672-2.1.1-02 no anchor and no DS are the same status", func(t *testing.T) {
		a, err1 := newTree(t).get("mx.unsigned.test. A")
		b, err2 := newTree(t).get("mx.unsigned.test. A", func(c *dnssec.ValidatorConfig) { c.Anchors = []anchor.Anchor{} })
		if err1 != nil || err2 != nil || a.Status != dnssec.Insecure || b.Status != a.Status || a.FirstStatus() != b.FirstStatus() {
			t.Errorf("%v %v, %v %v", a.Status, err1, b.Status, err2)
		}
	})
	t.Run("DANE7672-2.1.1-06 denial is an answer", func(t *testing.T) {
		for _, q := range []string{"mx.example.test. TXT", "nowhere.example.test. A", "mx.unsigned.test. TXT", "nowhere.unsigned.test. A"} {
			if a, err := newTree(t).get(q); err != nil || a.Kind == dnssec.Data {
				t.Errorf("%s: %v, %v", q, a.Kind, err)
			}
		}
	})
	t.Run("DNSSEC4035-4.3-01 the four states", func(t *testing.T) {
		tr := newTree(t)
		tr.want("mx.example.test. A", "secure data")
		tr.want("mx.unsigned.test. A", "insecure data unsigned-delegation")
		tr.on("mx.hashed.test. A", func(m *dns.Msg) { m.Answer[0].(*dns.A).A[3]++ })
		tr.want("mx.hashed.test. A", "bogus signature-invalid")
		tr.hook = func(q dns.Question) (*dns.Msg, error) {
			if q.Name == "example.test." && q.Qtype == dns.TypeDNSKEY {
				return nil, fmt.Errorf("%w: no answer", dnssec.ErrTimeout)
			}
			return nil, nil
		}
		tr.want("mx.example.test. A", "indeterminate timeout")
	})
	t.Run("DNSSEC4035-4.3-02 a DNSKEY that cannot be had is no unsigned zone", func(t *testing.T) {
		for _, typ := range []uint16{dns.TypeDNSKEY, dns.TypeDS} {
			tr := newTree(t)
			tr.hook = func(q dns.Question) (*dns.Msg, error) {
				if q.Name == "example.test." && q.Qtype == typ {
					return nil, fmt.Errorf("%w: no answer", dnssec.ErrTimeout)
				}
				return nil, nil
			}
			a, err := tr.get(tlsa)
			if !errors.Is(err, dnssec.ErrTimeout) || a.Status != dnssec.Indeterminate || a.Reason.Type != dnssec.Type(typ) {
				t.Errorf("%s %v", a.Status, err)
			}
		}
	})
	t.Run("DNSSEC4035-5-01 the anchor's key is there, a zone key, and signs", func(t *testing.T) {
		tr := newTree(t)
		root := tr.zones["."].withKeys(t, "keys", "all")
		only := func(i int) func(*dnssec.ValidatorConfig) {
			return func(c *dnssec.ValidatorConfig) { c.Anchors = tr.anchors()[i : i+1] }
		}
		tr.want(tlsa, "secure data", only(0))
		root.keys[0].sign = "none" // the anchor's key does not sign the set
		clear(root.sigs)
		tr.want(tlsa, "bogus signature-key", only(0))
		gone := tr.anchors()[:1]
		root.keys = root.keys[1:] // nor is it there
		clear(root.sigs)
		tr.want(tlsa, "bogus anchor-mismatch", func(c *dnssec.ValidatorConfig) { c.Anchors = gone })
	})
	t.Run("DNSSEC4035-4.4-01 two anchors, one retired", func(t *testing.T) {
		tr := newTree(t)
		old := newTestKey(t, ".", dns.ECDSAP256SHA256, 256, 257)
		a, err := anchor.Parse(strings.NewReader(old.ToDS(dns.SHA256).String() + "\n" + tr.zones["."].keys[0].ToDS(dns.SHA256).String()))
		if err != nil {
			t.Fatal(err)
		}
		tr.want(tlsa, "secure data", func(c *dnssec.ValidatorConfig) { c.Anchors = a })
		tr.want(tlsa, "bogus anchor-mismatch", func(c *dnssec.ValidatorConfig) { c.Anchors = a[:1] })
	})
	t.Run("DNSSEC4035-5-02 missing records do not make a zone unsigned", func(t *testing.T) {
		tr := newTree(t)
		for _, k := range []string{tlsa, "example.test. DNSKEY"} {
			tr.on(k, func(m *dns.Msg) { m.Answer = drop(m.Answer, isType(dns.TypeRRSIG)) })
		}
		tr.want(tlsa, "bogus signature-missing")
	})
	t.Run("DNSSEC4035-5.1-01 an island is unsigned", func(t *testing.T) {
		tr := newTree(t)
		tr.zone("island.unsigned.test.", "mx A 192.0.2.1")
		tr.zones["island.unsigned.test."].ds = []dns.RR{}
		tr.want("mx.island.unsigned.test. A", "insecure data unsigned-delegation")
		tr.want("mx.island.unsigned.test. A", "secure data", func(c *dnssec.ValidatorConfig) {
			c.Anchors = append(c.Anchors, tr.anchorsOf("island.unsigned.test.")...)
		})
	})
	t.Run("DNSSEC4035-5.2-01 each condition on DS and key", func(t *testing.T) {
		for what, edit := range map[string]func(ds *dns.DS){
			"tag":       func(ds *dns.DS) { ds.KeyTag++ },
			"algorithm": func(ds *dns.DS) { ds.Algorithm = dns.RSASHA256 },
			"digest":    func(ds *dns.DS) { ds.Digest = "00" + ds.Digest[2:] },
		} {
			tr := newTree(t)
			ds := tr.zones["example.test."].keys[0].ToDS(dns.SHA256)
			edit(ds)
			tr.zones["example.test."].ds = []dns.RR{ds}
			if a, err := tr.get(tlsa); outcome(a, err) != "bogus no-key-for-ds" {
				t.Errorf("%s: %s", what, outcome(a, err))
			}
		}
		tr := newTree(t)
		z := tr.zones["example.test."].withKeys(t, "data", "all")
		z.ds = []dns.RR{z.keys[0].ToDS(dns.SHA256)} // a key that does not sign the keys
		tr.want(tlsa, "bogus signature-key")
		tr = newTree(t)
		z = tr.zones["example.test."].withKeys(t, "all", "all")
		z.keys[0].Flags = 0 // no zone key
		z.ds = []dns.RR{z.keys[0].ToDS(dns.SHA256)}
		tr.want(tlsa, "bogus no-key-for-ds")
	})
	t.Run("DNSSEC4035-5.2-02 the DS is asked for", func(t *testing.T) {
		tr := newTree(t)
		tr.want(tlsa, "secure data")
		if tr.count("example.test. DS") != 1 || tr.count("test. DS") != 1 {
			t.Errorf("asked %q", tr.asked)
		}
	})
	t.Run("DNSSEC4035-5.2-03 the child's own denial of its DS proves nothing", func(t *testing.T) {
		tr := newTree(t)
		z := tr.zones["example.test."]
		tr.on("example.test. DS", func(m *dns.Msg) {
			m.Answer = nil
			m.Ns = z.signed(tr, z.apex, dns.TypeSOA)
			z.match(tr, m, z.apex)
		})
		tr.on(tlsa, func(m *dns.Msg) { m.Answer = drop(m.Answer, isType(dns.TypeRRSIG)) })
		tr.want(tlsa, "bogus denial-missing")
	})
	t.Run("DNSSEC4035-4.2-02 a DS signed by the child is bogus", func(t *testing.T) {
		tr := newTree(t)
		z := tr.zones["example.test."]
		tr.on("example.test. DS", func(m *dns.Msg) {
			set := drop(m.Answer, isType(dns.TypeRRSIG))
			m.Answer = append(set, signSet(t, z.keys[0], z.apex, set, z.from, z.until))
		})
		tr.want(tlsa, "bogus signature-signer")
	})
	t.Run("DNSSEC4035-5.2-04 only unknown algorithms: unsigned", func(t *testing.T) {
		tr := newTree(t)
		ds := tr.zones["example.test."].keys[0].ToDS(dns.SHA256)
		ds.Algorithm = 250
		tr.zones["example.test."].ds = []dns.RR{ds}
		tr.want(tlsa, "insecure data unsupported-algorithm")
	})
	t.Run("DNSSEC6840-5.2-01 only unknown digests: unsigned", func(t *testing.T) {
		tr := newTree(t)
		ds := tr.zones["example.test."].keys[0].ToDS(dns.SHA256)
		ds.DigestType = 250
		tr.zones["example.test."].ds = []dns.RR{ds}
		tr.want(tlsa, "insecure data unsupported-algorithm")
		// One that is known counts: the other is disregarded.
		good := tr.zones["example.test."].keys[0].ToDS(dns.SHA256)
		tr.zones["example.test."].ds = []dns.RR{ds, good}
		clear(tr.zones["test."].sigs)
		tr.want(tlsa, "secure data")
	})
	t.Run("DNSSEC6840-5.3-01 private algorithms are unsupported", func(t *testing.T) {
		for _, alg := range []uint8{253, 254} {
			tr := newTree(t)
			ds := tr.zones["example.test."].keys[0].ToDS(dns.SHA256)
			ds.Algorithm = alg
			tr.zones["example.test."].ds = []dns.RR{ds}
			tr.want(tlsa, "insecure data unsupported-algorithm")
		}
	})
	t.Run("DNSSEC6840-5.10-01 of nested anchors any success counts", func(t *testing.T) {
		tr := newTree(t)
		stale := newTestKey(t, "example.test.", dns.ECDSAP256SHA256, 256, 257)
		a, err := anchor.Parse(strings.NewReader(stale.ToDS(dns.SHA256).String()))
		if err != nil {
			t.Fatal(err)
		}
		tr.want(tlsa, "secure data", func(c *dnssec.ValidatorConfig) { c.Anchors = append(c.Anchors, a...) })
		tr.want(tlsa, "bogus anchor-mismatch", func(c *dnssec.ValidatorConfig) { c.Anchors = a })
	})
	t.Run("DNSSEC6840-5.11-01 one path is enough", func(t *testing.T) {
		tr := newTree(t)
		z := tr.zones["example.test."].withKeys(t, "all", "none")
		broken := z.keys[0].ToDS(dns.SHA256)
		broken.Digest = "00" + broken.Digest[2:]
		broken.DigestType = dns.SHA256
		other := newTestKey(t, z.apex, dns.ED25519, 256, 257) // in the set, and signs nothing
		other.sign = "none"
		z.keys = append(z.keys, other)
		z.ds = []dns.RR{broken, z.keys[0].ToDS(dns.SHA384), other.ToDS(dns.SHA256)}
		tr.want(tlsa, "secure data")
	})
	t.Run("DS4509-3-01 SHA-1 is ignored beside SHA-256", func(t *testing.T) {
		tr := newTree(t)
		z := tr.zones["example.test."]
		bad := z.keys[0].ToDS(dns.SHA256)
		bad.Digest = "00" + bad.Digest[2:]
		z.ds = []dns.RR{z.keys[0].ToDS(dns.SHA1), bad}
		tr.want(tlsa, "bogus no-key-for-ds")
		z.ds = []dns.RR{z.keys[0].ToDS(dns.SHA1)}
		clear(tr.zones["test."].sigs)
		tr.want(tlsa, "secure data")
	})
	t.Run("DS4509-2-01 a truncated digest never matches", func(t *testing.T) {
		tr := newTree(t)
		z := tr.zones["example.test."]
		short := z.keys[0].ToDS(dns.SHA256)
		short.Digest = short.Digest[:62]
		z.ds = []dns.RR{short}
		tr.want(tlsa, "bogus no-key-for-ds")
	})
	t.Run("ALG8624-3.3-01 digests SHA-1, SHA-256 and SHA-384", func(t *testing.T) {
		for _, d := range []uint8{dns.SHA1, dns.SHA256, dns.SHA384} {
			tr := newTree(t)
			z := tr.zones["example.test."]
			z.ds = []dns.RR{z.keys[0].ToDS(d)}
			tr.want(tlsa, "secure data")
		}
	})
	t.Run("ALG8624-3.3-02 digest type 0 is none", func(t *testing.T) {
		tr := newTree(t)
		z := tr.zones["example.test."]
		none := z.keys[0].ToDS(dns.SHA256)
		none.DigestType, none.Digest = 0, ""
		z.ds = []dns.RR{none, z.keys[0].ToDS(dns.SHA256)}
		tr.want(tlsa, "secure data")
		z.ds = []dns.RR{none}
		clear(tr.zones["test."].sigs)
		tr.want(tlsa, "insecure data unsupported-algorithm")
	})
	t.Run("ALG8624-3.1-01 RSAMD5 and DSA are unsupported", func(t *testing.T) {
		for _, alg := range []uint8{1, 3, 6} {
			tr := newTree(t)
			ds := tr.zones["example.test."].keys[0].ToDS(dns.SHA256)
			ds.Algorithm = alg
			tr.zones["example.test."].ds = []dns.RR{ds}
			tr.want(tlsa, "insecure data unsupported-algorithm")
		}
	})
	for _, alg := range []struct {
		n    uint8
		bits int
		id   string
	}{
		{dns.RSASHA256, 1024, "ALG8624-3.1-02 RSASHA256"}, {dns.RSASHA512, 1024, "ALG8624-3.1-02 RSASHA512"},
		{dns.ECDSAP256SHA256, 256, "ALG8624-3.1-02 ECDSAP256SHA256"},
		{dns.ECDSAP384SHA384, 384, "ALG8624-3.1-03 ECDSAP384SHA384"}, {dns.ED25519, 256, "ALG8624-3.1-03 ED25519"},
	} {
		t.Run(alg.id+" validates", func(t *testing.T) {
			tr := newTree(t)
			z := tr.zones["example.test."]
			z.keys = []*testKey{newTestKey(t, z.apex, alg.n, alg.bits, 257)}
			tr.want(tlsa, "secure data")
			tr.on(tlsa, func(m *dns.Msg) { m.Answer[0].(*dns.TLSA).Usage = 2 })
			tr.want(tlsa, "bogus signature-invalid")
		})
	}
	t.Run("ALG8624-3.1-03 Ed448 is unsupported", func(t *testing.T) {
		tr := newTree(t)
		ds := tr.zones["example.test."].keys[0].ToDS(dns.SHA256)
		ds.Algorithm = dns.ED448
		tr.zones["example.test."].ds = []dns.RR{ds}
		tr.want(tlsa, "insecure data unsupported-algorithm")
	})
	sha1Zone := func(t *testing.T, alg uint8) *tree {
		tr := newTree(t)
		z := tr.zones["example.test."]
		z.keys = []*testKey{newTestKey(t, z.apex, alg, 1024, 257)}
		return tr
	}
	for _, alg := range []uint8{dns.RSASHA1, dns.RSASHA1NSEC3SHA1} {
		t.Run(fmt.Sprintf("ALG9905-2-01 a DS of algorithm %d alone is insecure", alg), func(t *testing.T) {
			sha1Zone(t, alg).want(tlsa, "insecure data unsupported-algorithm")
		})
		t.Run(fmt.Sprintf("ALG9905-2-02 and ALG8624-3.1-04: algorithm %d with the option", alg), func(t *testing.T) {
			sha1Zone(t, alg).want(tlsa, "secure data", withSHA1)
		})
	}
	t.Run("ALG8624-3.1-04 RSA with SHA-1 is implemented", func(t *testing.T) {
		tr := sha1Zone(t, dns.RSASHA1)
		tr.on(tlsa, func(m *dns.Msg) { m.Answer[0].(*dns.TLSA).Usage = 2 })
		tr.want(tlsa, "bogus signature-invalid", withSHA1)
	})
	t.Run("ALG9905-2-03 signed only by SHA-1 in a zone with a strong DS: bogus", func(t *testing.T) {
		tr := newTree(t)
		z := tr.zones["example.test."]
		weak := newTestKey(t, z.apex, dns.RSASHA1, 1024, 256)
		weak.sign = "data"
		z.keys[0].sign = "keys"
		z.keys = append(z.keys, weak)
		z.ds = []dns.RR{z.keys[0].ToDS(dns.SHA256)}
		tr.want(tlsa, "bogus signature-algorithm")
		tr.want(tlsa, "secure data", withSHA1)
	})
	t.Run("RSA5702-2.1-01 key sizes out of bounds", func(t *testing.T) {
		short := func(c *dnssec.ValidatorConfig) {
			c.Algorithms = proof.DefaultAlgorithms()
			c.Algorithms[proof.RSASHA256] = proof.RSA(crypto.SHA256, 2048)
		}
		tr := newTree(t)
		z := tr.zones["example.test."]
		z.keys = []*testKey{newTestKey(t, z.apex, dns.RSASHA256, 1024, 257)}
		tr.want(tlsa, "secure data")
		tr.want(tlsa, "bogus key-size", short)
	})
	t.Run("TLSA6698-8.3-01 nothing but the records is believed", func(t *testing.T) {
		tr := newTree(t)
		tr.on(tlsa, func(m *dns.Msg) { m.AuthenticatedData = true; m.Answer = drop(m.Answer, isType(dns.TypeRRSIG)) })
		tr.want(tlsa, "bogus signature-missing")
	})
	t.Run("DNSSEC4035-4.9.3-01 and DNSSEC4035-4.6-02: AD in answers means nothing", func(t *testing.T) {
		tr := newTree(t)
		tr.edit = func(_ dns.Question, m *dns.Msg) { m.AuthenticatedData = true }
		tr.want("mx.unsigned.test. A", "insecure data unsigned-delegation")
		tr.on("mx.example.test. A", func(m *dns.Msg) { m.Answer[0].(*dns.A).A[3]++ })
		tr.want("mx.example.test. A", "bogus signature-invalid")
	})
	t.Run("DNSSEC6840-5.6-01 DO of answers is ignored", func(t *testing.T) {
		tr := newTree(t)
		tr.edit = func(_ dns.Question, m *dns.Msg) { m.Extra = nil }
		tr.want(tlsa, "secure data")
	})
	t.Run("DNSSEC4035-4.1-01 DNSSEC4035-4.1-02 DNSSEC4035-4.6-01 DNSSEC4035-4.9.2-01 DNSSEC6840-5.9-01 EDNS6891-6.2.3-01 query bytes", func(t *testing.T) {
		tr := newTree(t)
		tr.want(tlsa, "secure data")
		for _, b := range tr.raw {
			var m dns.Msg
			if err := m.Unpack(b); err != nil {
				t.Fatal(err)
			}
			o := m.IsEdns0()
			if o == nil || !o.Do() || o.UDPSize() != 1232 || len(o.Option) != 0 || !m.CheckingDisabled || m.AuthenticatedData || !m.RecursionDesired {
				t.Errorf("query %s", &m)
			}
		}
	})
	for _, id := range []string{"DNSSEC4035-4.1-02", "DNSSEC4035-4.6-01", "DNSSEC4035-4.9.2-01", "DNSSEC6840-5.9-01", "EDNS6891-6.2.3-01"} {
		t.Run(id+" query bytes", func(t *testing.T) {
			tr := newTree(t)
			tr.want("mx.example.test. A", "secure data")
			var m dns.Msg
			if err := m.Unpack(tr.raw[0]); err != nil || m.IsEdns0().UDPSize() < 1220 || m.IsEdns0().UDPSize() > 1232 || m.AuthenticatedData || !m.CheckingDisabled {
				t.Errorf("%v, %s", err, &m)
			}
		})
	}
	t.Run("EDNS6975-4.1.1-01 algorithms are signalled if asked for", func(t *testing.T) {
		tr := newTree(t)
		tr.want("mx.example.test. A", "secure data", func(c *dnssec.ValidatorConfig) { c.SignalAlgorithms = true })
		var m dns.Msg
		if err := m.Unpack(tr.raw[0]); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range m.IsEdns0().Option {
			switch o := o.(type) {
			case *dns.EDNS0_DAU:
				got = append(got, fmt.Sprint("DAU", o.AlgCode))
			case *dns.EDNS0_DHU:
				got = append(got, fmt.Sprint("DHU", o.AlgCode))
			case *dns.EDNS0_N3U:
				got = append(got, fmt.Sprint("N3U", o.AlgCode))
			}
		}
		if want := []string{"DAU[8 10 13 14 15]", "DHU[1 2 4]", "N3U[1]"}; !slices.Equal(got, want) {
			t.Errorf("options %q, want %q", got, want)
		}
	})
	t.Run("EDNS6975-4-01 no reserved codes, and ignored in answers", func(t *testing.T) {
		tr := newTree(t)
		tr.edit = func(_ dns.Question, m *dns.Msg) {
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_DAU{Code: dns.EDNS0DAU, AlgCode: []uint8{5}}}
		}
		tr.want(tlsa, "secure data", func(c *dnssec.ValidatorConfig) {
			c.SignalAlgorithms = true
			c.Algorithms = proof.DefaultAlgorithms()
			c.Algorithms[253] = c.Algorithms[13]
		})
		var m dns.Msg
		if err := m.Unpack(tr.raw[0]); err != nil {
			t.Fatal(err)
		}
		if d := m.IsEdns0().Option[0].(*dns.EDNS0_DAU); slices.Contains(d.AlgCode, 253) {
			t.Errorf("DAU %v", d.AlgCode)
		}
	})
	t.Run("EDNS6891-6.2.2-01 a resolver without EDNS", func(t *testing.T) {
		tr := newTree(t)
		tr.hook = func(dns.Question) (*dns.Msg, error) {
			return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeFormatError}}, nil
		}
		tr.want(tlsa, "indeterminate formerr")
		if len(tr.asked) != 1 {
			t.Errorf("asked %q", tr.asked)
		}
	})
	t.Run("two round trips", func(t *testing.T) {
		tr := newTree(t)
		v := tr.validator()
		if a, err := resolve(t, v, "mx.hashed.test. A"); outcome(a, err) != "secure data" {
			t.Fatal(outcome(a, err))
		}
		tr.asked = nil
		// The first question is answered at once. DS and DNSKEY wait for each other.
		arrived := make(chan string, 2)
		both := make(chan struct{})
		tr.delay = func(ctx context.Context, q dns.Question) {
			if q.Qtype == dns.TypeTLSA {
				return
			}
			arrived <- dns.Type(q.Qtype).String()
			select {
			case <-both:
			case <-ctx.Done():
			case <-time.After(10 * time.Second):
				t.Errorf("%s waits alone", q.Name)
			}
		}
		go func() {
			<-arrived
			<-arrived
			close(both)
		}()
		if a, err := resolve(t, v, tlsa); outcome(a, err) != "secure data" || len(tr.asked) != 3 {
			t.Errorf("%s, asked %q", outcome(a, err), tr.asked)
		}
		tr.asked = nil
		if a, err := resolve(t, v, "mx.example.test. A"); outcome(a, err) != "secure data" || len(tr.asked) != 1 {
			t.Errorf("a known zone: %s, asked %q", outcome(a, err), tr.asked)
		}
	})
}

func TestValidatorCore(t *testing.T) {
	t.Run("BCP9364-2-01 NSEC3 and SHA-2 are core, DSA is not", func(t *testing.T) {
		tr := newTree(t)
		tr.want("nowhere.hashed.test. A", "secure nxdomain")
		z := tr.zones["hashed.test."]
		z.ds = []dns.RR{z.keys[0].ToDS(dns.SHA256)}
		tr.want("mx.hashed.test. A", "secure data")
		dsa := z.keys[0].ToDS(dns.SHA256)
		dsa.Algorithm = dns.DSA
		z.ds = []dns.RR{dsa}
		clear(tr.zones["test."].sigs)
		tr.want("mx.hashed.test. A", "insecure data unsupported-algorithm")
	})
}
