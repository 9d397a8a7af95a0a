package dane_test

import (
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/pkix"
)

// check asserts a verdict: the kind of error, the depth, and a trace that fits.
func check(t *testing.T, s dane.Set, p dane.Peer, o dane.Options, want error, depth int) dane.Result {
	t.Helper()
	res, err := s.Verify(p, o)
	if !errors.Is(err, want) || (err == nil) != (want == nil) {
		t.Errorf("verdict %v, want %v", err, want)
	}
	if err != nil && !errors.Is(err, dane.ErrNotAuthenticated) {
		t.Errorf("%v is not ErrNotAuthenticated", err)
	}
	if res.OK != (err == nil) || res.Depth != depth {
		t.Errorf("OK %t at depth %d, want %d, beside %v", res.OK, res.Depth, depth, err)
	}
	if len(res.Trace) != s.Len() {
		t.Fatalf("a trace of %d lines for %d records", len(res.Trace), s.Len())
	}
	ok := false
	for i, l := range res.Trace {
		if l.Record != s.Uses()[i].Record {
			t.Errorf("line %d is about %s", i, l.Record)
		}
		if l.OK != (l.Fault == dane.NoFault) || l.OK && (l.Err != nil || l.Depth < 0) {
			t.Errorf("line %d: %+v", i, l)
		}
		if l.Err != nil && !errors.Is(l.Err, dane.ErrNotAuthenticated) {
			t.Errorf("line %d: %v", i, l.Err)
		}
		ok = ok || l.OK && l.Record == res.Matched
	}
	if ok != (err == nil) || err != nil && res.Matched != (dane.Record{}) {
		t.Errorf("matched %s, trace %+v", res.Matched, res.Trace)
	}
	return res
}

func TestDANEEE(t *testing.T) {
	w := newWorld(t)
	self := issue(t, spec{cn: "self", key: 3}, nil)
	dead := issue(t, spec{dns: []string{"mx.sec.example"}, key: 3, from: now.AddDate(-3, 0, 0), until: now.AddDate(-2, 0, 0)}, w.root)
	young := issue(t, spec{dns: []string{"mx.sec.example"}, key: 3, from: now.AddDate(2, 0, 0), until: now.AddDate(3, 0, 0)}, w.root)
	other := issue(t, spec{cn: "other.example", dns: []string{"other.example"}, key: 3}, w.inter)

	t.Run("TLSA6698-6-01 every selector and matching type", func(t *testing.T) {
		for _, s := range []dane.Selector{dane.Cert, dane.SPKI} {
			for _, m := range []dane.MatchingType{dane.Full, dane.SHA2_256, dane.SHA2_512} {
				r := w.leaf.record(dane.DANEEE, s, m)
				res := check(t, set(r), chain(w.leaf, w.inter), options, nil, 0)
				if res.Matched != r {
					t.Errorf("%s: matched %s", r.Numbers(), res.Matched.Numbers())
				}
				check(t, set(self.record(dane.DANEEE, s, m)), chain(w.leaf, w.inter), options, dane.ErrNoMatch, -1)
				// The record is about the leaf, not about what else is sent.
				check(t, set(w.inter.record(dane.DANEEE, s, m)), chain(w.leaf, w.inter), options, dane.ErrNoMatch, -1)
			}
		}
	})
	t.Run("DANE7671-2-01 SHA2-512", func(t *testing.T) {
		check(t, set(w.leaf.record(3, 1, 2)), chain(w.leaf), options, nil, 0)
	})
	t.Run("TLSA6698-2.1.2-01 the data is compared exactly", func(t *testing.T) {
		for _, s := range []dane.Selector{dane.Cert, dane.SPKI} {
			for _, m := range []dane.MatchingType{dane.SHA2_256, dane.SHA2_512} {
				r := w.leaf.record(3, s, m)
				for _, i := range []int{0, len(r.Data) - 1} {
					b := []byte(r.Data)
					b[i] ^= 1
					bad := r
					bad.Data = string(b)
					check(t, set(bad), chain(w.leaf), options, dane.ErrNoMatch, -1)
				}
				// The digest of the other selector is another value.
				swapped := w.leaf.record(3, 1-s, m)
				swapped.Selector = s
				check(t, set(swapped), chain(w.leaf), options, dane.ErrNoMatch, -1)
			}
		}
	})
	t.Run("TLSA6698-2.1.1-02 no chain is asked for", func(t *testing.T) {
		check(t, set(self.record(3, 0, 1)), chain(self), options, nil, 0)
		check(t, set(w.leaf.record(3, 1, 1)), chain(w.leaf, self), options, nil, 0)
	})
	t.Run("DANE7672-3.1.1-01 dates are not looked at", func(t *testing.T) {
		check(t, set(dead.record(3, 1, 1)), chain(dead), options, nil, 0)
		check(t, set(young.record(3, 0, 1)), chain(young), options, nil, 0)
		check(t, set(dead.record(3, 1, 1)), chain(dead), dane.Options{}, nil, 0)
	})
	t.Run("DANE7672-3.2.1-01 names are not looked at", func(t *testing.T) {
		res := check(t, set(other.record(3, 1, 1)), chain(other), options, nil, 0)
		if res.Name.OK || len(res.Path.Certs) != 0 {
			t.Errorf("name %+v, path %+v", res.Name, res.Path)
		}
	})
	t.Run("DANE7671-4.2-01 a certificate without signed timestamps passes", func(t *testing.T) {
		check(t, set(w.leaf.record(3, 1, 1)), chain(w.leaf), options, nil, 0)
		check(t, set(w.root.record(2, 1, 1)), chain(w.leaf, w.inter, w.root), options, nil, 2)
	})
	t.Run("DANE7671-9-02 the weaker digest does not count", func(t *testing.T) {
		wrong := self.record(3, 1, 2)
		check(t, set(w.leaf.record(3, 1, 1), wrong), chain(w.leaf), options, dane.ErrNoMatch, -1)
		check(t, set(w.leaf.record(3, 1, 2), self.record(3, 1, 1)), chain(w.leaf), options, nil, 0)
		check(t, set(w.leaf.record(3, 1, 0), wrong, w.leaf.record(3, 1, 1)), chain(w.leaf), options, nil, 0)
	})
	t.Run("DANE7672-5-01 agility holds for SMTP", func(t *testing.T) {
		check(t, set(self.record(3, 1, 2), w.leaf.record(3, 1, 1)), chain(w.leaf), options, dane.ErrNoMatch, -1)
	})
	t.Run("any of several records is enough", func(t *testing.T) {
		res := check(t, set(self.record(3, 1, 1), w.leaf.record(3, 1, 1), self.record(3, 0, 1)), chain(w.leaf), options, nil, 0)
		if res.Trace[0].Fault != dane.FaultNoMatch || !res.Trace[1].OK || res.Trace[2].Fault != dane.FaultNotTried {
			t.Errorf("trace %+v", res.Trace)
		}
	})
	t.Run("DANE-EE is tried before DANE-TA", func(t *testing.T) {
		res := check(t, set(w.root.record(2, 1, 1), w.leaf.record(3, 1, 1)), chain(w.leaf, w.inter, w.root), options, nil, 0)
		if res.Matched.Usage != dane.DANEEE || res.Trace[0].Fault != dane.FaultNotTried {
			t.Errorf("%+v", res)
		}
	})
	t.Run("TLSA6698-4.1-04 a record that is not usable proves nothing", func(t *testing.T) {
		for _, r := range []dane.Record{w.leaf.record(0, 1, 1), w.leaf.record(1, 1, 1), w.leaf.record(4, 1, 1)} {
			res := check(t, set(r), chain(w.leaf, w.inter, w.root), options, dane.ErrNoUsable, -1)
			if f := res.Trace[0].Fault; f != dane.FaultPKIXUsage && f != dane.FaultUnknownUsage {
				t.Errorf("fault %q in the trace", f)
			}
		}
		check(t, dane.Set{}, chain(w.leaf), options, dane.ErrNoUsable, -1)
	})
	t.Run("no certificate", func(t *testing.T) {
		res := check(t, set(w.leaf.record(3, 1, 1), w.root.record(2, 1, 1)), dane.Peer{}, options, dane.ErrNoMatch, -1)
		if res.Trace[0].Fault != dane.FaultNoCert || res.Trace[1].Fault != dane.FaultNoCert {
			t.Errorf("trace %+v", res.Trace)
		}
		check(t, set(dane.Record{Usage: 3, Selector: 1, MatchingType: 1}), dane.Peer{}, options, dane.ErrNoUsable, -1)
	})
}

func TestRawKey(t *testing.T) {
	w := newWorld(t)
	p := dane.Peer{RawKey: w.leaf.RawSubjectPublicKeyInfo}
	t.Run("DANE7671-5.1-02 DANE-EE SPKI records match a bare key", func(t *testing.T) {
		for _, m := range []dane.MatchingType{dane.Full, dane.SHA2_256, dane.SHA2_512} {
			check(t, set(w.leaf.record(3, 1, m)), p, options, nil, 0)
			check(t, set(w.inter.record(3, 1, m)), p, options, dane.ErrNoMatch, -1)
		}
	})
	t.Run("RPK7250-3-01 the key is its SubjectPublicKeyInfo", func(t *testing.T) {
		check(t, set(w.leaf.record(3, 1, 1)), dane.Peer{RawKey: w.leaf.RawSubjectPublicKeyInfo}, dane.Options{}, nil, 0)
		check(t, set(w.leaf.record(3, 1, 0)), dane.Peer{RawKey: w.leaf.RawSubjectPublicKeyInfo[1:]}, dane.Options{}, dane.ErrNoMatch, -1)
	})
	t.Run("nothing else does", func(t *testing.T) {
		self := issue(t, spec{dns: []string{"mx.sec.example"}, key: 3}, nil)
		s := set(self.record(2, 1, 1), self.record(2, 1, 0), self.record(3, 0, 1), w.leaf.record(3, 1, 1))
		res := check(t, s, dane.Peer{RawKey: self.RawSubjectPublicKeyInfo}, options, dane.ErrNoMatch, -1)
		for i := range 3 {
			if res.Trace[i].Fault != dane.FaultBareKey {
				t.Errorf("trace %+v", res.Trace[i])
			}
		}
		if res.Trace[3].Fault != dane.FaultNoKeyMatch {
			t.Errorf("trace %+v", res.Trace[3])
		}
		// Not even where the data is that of the key.
		r := dane.Record{Usage: 3, Selector: 0, MatchingType: 1, Data: w.leaf.record(3, 1, 1).Data}
		check(t, set(r), p, options, dane.ErrNoMatch, -1)
	})
	t.Run("a chain comes before a bare key", func(t *testing.T) {
		check(t, set(w.leaf.record(3, 1, 1)), dane.Peer{Chain: chain(w.root).Chain, RawKey: p.RawKey}, options, dane.ErrNoMatch, -1)
	})
}

func TestDANETA(t *testing.T) {
	w := newWorld(t)
	stranger := issue(t, spec{cn: "Stranger", ca: true, key: 4}, nil)

	t.Run("TLSA6698-6-01 every selector and matching type", func(t *testing.T) {
		for _, s := range []dane.Selector{dane.Cert, dane.SPKI} {
			for _, m := range []dane.MatchingType{dane.Full, dane.SHA2_256, dane.SHA2_512} {
				full := chain(w.leaf, w.inter, w.root)
				res := check(t, set(w.root.record(2, s, m)), full, options, nil, 2)
				if !res.Name.OK || res.Name.Reference.String() != "mx.sec.example" || len(res.Path.Certs) != 3 {
					t.Errorf("name %+v path %+v", res.Name, res.Path)
				}
				check(t, set(w.inter.record(2, s, m)), full, options, nil, 1)
				check(t, set(w.inter.record(2, s, m)), chain(w.leaf, w.inter), options, nil, 1)
				check(t, set(stranger.record(2, s, m)), full, options, dane.ErrNoMatch, -1)
			}
		}
	})
	t.Run("a chain out of order", func(t *testing.T) {
		check(t, set(w.root.record(2, 1, 1)), chain(w.leaf, w.root, stranger, w.inter), options, nil, 2)
	})
	t.Run("TLSA6698-2.1.1-01 a matching certificate that is not on the path counts for nothing", func(t *testing.T) {
		for _, s := range []dane.Selector{dane.Cert, dane.SPKI} {
			for _, m := range []dane.MatchingType{dane.Full, dane.SHA2_256, dane.SHA2_512} {
				res := check(t, set(stranger.record(2, s, m)), chain(w.leaf, w.inter, w.root, stranger), options, dane.ErrPath, -1)
				if res.Trace[0].Depth != 3 || !errors.Is(res.Trace[0].Err, pkix.ErrNoAnchor) {
					t.Errorf("trace %+v", res.Trace[0])
				}
			}
		}
	})
	t.Run("DANE7671-5.2.2-01 a digest needs the certificate in the chain", func(t *testing.T) {
		for _, r := range []dane.Record{w.root.record(2, 0, 1), w.root.record(2, 1, 1), w.root.record(2, 0, 2), w.root.record(2, 1, 2)} {
			check(t, set(r), chain(w.leaf, w.inter), options, dane.ErrNoMatch, -1)
		}
	})
	t.Run("DANE7671-5.2.2-02 the certificate may be in DNS alone", func(t *testing.T) {
		check(t, set(w.root.record(2, 0, 0)), chain(w.leaf, w.inter), options, nil, 2)
		check(t, set(w.inter.record(2, 0, 0)), chain(w.leaf), options, nil, 1)
		res := check(t, set(w.root.record(2, 0, 0)), chain(w.leaf), options, dane.ErrNoMatch, -1)
		if res.Trace[0].Fault != dane.FaultNoPath {
			t.Errorf("trace %+v", res.Trace[0])
		}
	})
	t.Run("DANE7671-5.2.3-01 the key may be in DNS alone", func(t *testing.T) {
		res := check(t, set(w.root.record(2, 1, 0)), chain(w.leaf, w.inter), options, nil, 1)
		if !res.Path.BareKey || len(res.Path.Certs) != 2 {
			t.Errorf("path %+v", res.Path)
		}
		check(t, set(w.inter.record(2, 1, 0)), chain(w.leaf), options, nil, 0)
		late := options
		late.At = yearAfter.Add(time.Hour)
		check(t, set(stranger.record(2, 1, 0)), chain(issue(t, spec{key: 2}, w.root)), late, dane.ErrNoMatch, -1)
		check(t, set(stranger.record(2, 0, 0)), chain(issue(t, spec{key: 2}, w.root)), late, dane.ErrNoMatch, -1)
		check(t, set(w.root.record(2, 1, 0)), chain(issue(t, spec{key: 2}, w.root)), late, pkix.ErrExpired, -1)
		res = check(t, set(stranger.record(2, 1, 0)), chain(w.leaf, w.inter), options, dane.ErrNoMatch, -1)
		if res.Trace[0].Fault != dane.FaultKeySigned {
			t.Errorf("trace %+v", res.Trace[0])
		}
		old := issue(t, spec{cn: "Old", ca: true, key: 1, until: now.Add(-time.Hour)}, w.root)
		leaf := issue(t, spec{dns: []string{"mx.sec.example"}, key: 2}, old)
		check(t, set(w.root.record(2, 1, 0)), chain(leaf, old), options, pkix.ErrExpired, -1)
		check(t, set(w.root.record(2, 1, 0)), chain(leaf, old), dane.Options{References: options.References, At: now.Add(-2 * time.Hour)}, nil, 1)
		bad := options
		bad.References = refs("other.example")
		check(t, set(w.root.record(2, 1, 0)), chain(w.leaf, w.inter), bad, dane.ErrName, 1)
	})
	t.Run("a key whose certificate is sent is judged by that certificate", func(t *testing.T) {
		old := issue(t, spec{cn: "Root", ca: true, key: 0, until: now.Add(-time.Hour)}, nil)
		check(t, set(w.root.record(2, 1, 0)), chain(w.leaf, w.inter, old), options, pkix.ErrExpired, -1)
	})
	t.Run("two keys in DNS", func(t *testing.T) {
		res := check(t, set(stranger.record(2, 1, 0), w.root.record(2, 1, 0)), chain(w.leaf, w.inter), options, nil, 1)
		if res.Matched.Data != string(w.root.RawSubjectPublicKeyInfo) || res.Trace[0].OK {
			t.Errorf("%+v", res)
		}
	})
	t.Run("DANE7672-3.2.2-01 the name is checked", func(t *testing.T) {
		o := options
		o.References = refs("mx.other.example")
		res := check(t, set(w.root.record(2, 1, 1)), chain(w.leaf, w.inter, w.root), o, dane.ErrName, 2)
		if !errors.Is(res.Trace[0].Err, dane.ErrName) || res.Trace[0].Depth != 2 {
			t.Errorf("trace %+v", res.Trace[0])
		}
		o.References = nil
		check(t, set(w.root.record(2, 1, 1)), chain(w.leaf, w.inter, w.root), o, dane.ErrName, 2)
	})
	t.Run("DANE7672-3.2.2-02 any of several references", func(t *testing.T) {
		dom := issue(t, spec{dns: []string{"example.com"}, key: 2}, w.inter)
		o := options
		o.References = refs("exchange.example.org", "example.com")
		for _, l := range []*node{dom, issue(t, spec{dns: []string{"exchange.example.org"}, key: 2}, w.inter)} {
			res := check(t, set(w.root.record(2, 1, 1)), chain(l, w.inter, w.root), o, nil, 2)
			if res.Name.Presented != l.DNSNames[0] {
				t.Errorf("proved %+v", res.Name)
			}
		}
		t.Run("DANE7672-3.2.2-03 with the host's name alone the domain's certificate fails", func(t *testing.T) {
			o.References = refs("exchange.example.org")
			check(t, set(w.root.record(2, 1, 1)), chain(dom, w.inter, w.root), o, dane.ErrName, 2)
		})
		t.Run("DANE7672-3.2.2-04 base domain and original name", func(t *testing.T) {
			o.References = refs("expanded.example", "example.com")
			check(t, set(w.root.record(2, 1, 1)), chain(dom, w.inter, w.root), o, nil, 2)
		})
	})
	t.Run("a Common Name counts only where there is no DNS-ID", func(t *testing.T) {
		cn := issue(t, spec{cn: "mx.sec.example", key: 2}, w.inter)
		both := issue(t, spec{cn: "mx.sec.example", dns: []string{"other.example"}, key: 2}, w.inter)
		s := set(w.root.record(2, 1, 1))
		check(t, s, chain(cn, w.inter, w.root), options, nil, 2)
		check(t, s, chain(both, w.inter, w.root), options, dane.ErrName, 2)
		o := options
		o.NoCNID = true
		check(t, s, chain(cn, w.inter, w.root), o, dane.ErrName, 2)
	})
	t.Run("a self-signed leaf is its own anchor", func(t *testing.T) {
		self := issue(t, spec{cn: "self", dns: []string{"mx.sec.example"}, key: 3}, nil)
		ca := issue(t, spec{cn: "selfca", dns: []string{"mx.sec.example"}, ca: true, key: 3}, nil)
		for _, l := range []*node{self, ca} {
			for _, m := range []dane.MatchingType{dane.Full, dane.SHA2_256} {
				check(t, set(l.record(2, 0, m)), chain(l), options, nil, 0)
				check(t, set(l.record(2, 1, m)), chain(l), options, nil, 0)
			}
		}
		o := options
		o.References = refs("other.example")
		check(t, set(self.record(2, 0, 1)), chain(self), o, dane.ErrName, 0)
		o = options
		o.At = yearAfter.Add(time.Second)
		check(t, set(self.record(2, 0, 1)), chain(self), o, pkix.ErrExpired, -1)
		o.At = time.Time{}
		check(t, set(self.record(2, 0, 1)), chain(self), o, dane.ErrPath, -1)
	})
	t.Run("a leaf that is not self-signed is no anchor", func(t *testing.T) {
		for _, r := range []dane.Record{w.leaf.record(2, 0, 1), w.leaf.record(2, 1, 1), w.leaf.record(2, 0, 0), w.leaf.record(2, 1, 0)} {
			res := check(t, set(r), chain(w.leaf, w.inter, w.root), options, dane.ErrNoMatch, -1)
			if res.Trace[0].Depth != 0 || res.Trace[0].Fault != dane.FaultLeaf {
				t.Errorf("%s: trace %+v", r.Numbers(), res.Trace[0])
			}
		}
		// Subject and issuer alike, but another key signed it.
		fake := issue(t, spec{cn: "Intermediate", dns: []string{"mx.sec.example"}, key: 5}, w.inter)
		check(t, set(fake.record(2, 0, 1)), chain(fake), options, dane.ErrNoMatch, -1)
		// The other leaf of the same key is no anchor either; the trace tells the first
		// certificate that matched.
		twin := issue(t, spec{cn: "twin", dns: []string{"mx.sec.example"}, key: 2}, w.inter)
		res := check(t, set(w.leaf.record(2, 1, 1)), chain(twin, w.leaf, w.inter, w.root), options, dane.ErrPath, -1)
		if res.Trace[0].Depth != 0 {
			t.Errorf("trace %+v", res.Trace[0])
		}
	})
	t.Run("dates of every certificate are judged", func(t *testing.T) {
		oldRoot := issue(t, spec{cn: "Root", ca: true, key: 0, until: now.Add(-time.Hour)}, nil)
		oldLeaf := issue(t, spec{dns: []string{"mx.sec.example"}, key: 2, until: now.Add(-time.Hour)}, w.inter)
		newLeaf := issue(t, spec{dns: []string{"mx.sec.example"}, key: 2, from: now.Add(time.Hour)}, w.inter)
		check(t, set(oldRoot.record(2, 0, 1)), chain(w.leaf, w.inter, oldRoot), options, pkix.ErrExpired, -1)
		check(t, set(w.root.record(2, 0, 1)), chain(oldLeaf, w.inter, w.root), options, pkix.ErrExpired, -1)
		res := check(t, set(w.root.record(2, 0, 1)), chain(newLeaf, w.inter, w.root), options, pkix.ErrNotYetValid, -1)
		if !errors.Is(res.Trace[0].Err, dane.ErrPath) {
			t.Errorf("trace %+v", res.Trace[0])
		}
	})
	t.Run("DANE7672-3.1.2-01 constraints of an anchor in DNS hold", func(t *testing.T) {
		zero := issue(t, spec{cn: "Zero", ca: true, key: 6, edit: func(c *x509.Certificate) { c.MaxPathLenZero = true }}, nil)
		inter := issue(t, spec{cn: "Below", ca: true, key: 1}, zero)
		leaf := issue(t, spec{dns: []string{"mx.sec.example"}, key: 2}, inter)
		direct := issue(t, spec{dns: []string{"mx.sec.example"}, key: 2}, zero)
		check(t, set(zero.record(2, 0, 0)), chain(leaf, inter), options, pkix.ErrPathLength, -1)
		check(t, set(zero.record(2, 0, 0)), chain(direct), options, nil, 1)
		names := issue(t, spec{cn: "Names", ca: true, key: 6, edit: func(c *x509.Certificate) {
			c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{"other.example"}, true
		}}, nil)
		check(t, set(names.record(2, 0, 0)), chain(issue(t, spec{dns: []string{"mx.sec.example"}, key: 2}, names)), options, pkix.ErrConstraint, -1)
		// Whether a certificate in DNS is the end of the path is seen by its octets.
		again, err := x509.ParseCertificate(zero.Raw)
		if err != nil {
			t.Fatal(err)
		}
		check(t, set(zero.record(2, 0, 0)), chain(direct, &node{Certificate: again}), options, nil, 1)
		// Who lets no Common Name count lets it break nothing either.
		noCN := options
		noCN.NoCNID = true
		check(t, set(names.record(2, 0, 0)), chain(issue(t, spec{cn: "mx.sec.example", key: 2}, names)), noCN, dane.ErrName, 1)
		// A Common Name that serves as the name is bound by them too (doubt D3).
		check(t, set(names.record(2, 0, 0)), chain(issue(t, spec{cn: "mx.sec.example", key: 2}, names)), options, pkix.ErrConstraint, -1)
	})
	t.Run("PKIX5280-4.2-01 a critical extension that nobody knows", func(t *testing.T) {
		for _, critical := range []bool{true, false} {
			l := issue(t, spec{dns: []string{"mx.sec.example"}, key: 2, edit: unknownExtension(critical)}, w.inter)
			want, depth := error(nil), 2
			if critical {
				want, depth = pkix.ErrExtension, -1
			}
			check(t, set(w.root.record(2, 1, 1)), chain(l, w.inter, w.root), options, want, depth)
		}
	})
	t.Run("PKIX5280-4.2.1.9-01 only an authority's key signs certificates", func(t *testing.T) {
		noCA := issue(t, spec{cn: "not a CA", dns: []string{"x.sec.example"}, key: 7}, w.root)
		noSign := issue(t, spec{cn: "no keyCertSign", ca: true, key: 7, edit: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }}, w.root)
		for _, i := range []*node{noCA, noSign} {
			l := issue(t, spec{dns: []string{"mx.sec.example"}, key: 2}, i)
			check(t, set(w.root.record(2, 1, 1)), chain(l, i, w.root), options, dane.ErrPath, -1)
			check(t, set(i.record(2, 1, 1)), chain(l, i, w.root), options, dane.ErrPath, -1)
		}
	})
	t.Run("PKIX5280-4.2.1.9-02 path length", func(t *testing.T) {
		zero := issue(t, spec{cn: "Zero", ca: true, key: 6, edit: func(c *x509.Certificate) { c.MaxPathLenZero = true }}, w.root)
		below := issue(t, spec{cn: "Below", ca: true, key: 7}, zero)
		l := issue(t, spec{dns: []string{"mx.sec.example"}, key: 2}, below)
		check(t, set(w.root.record(2, 1, 1)), chain(l, below, zero, w.root), options, pkix.ErrPathLength, -1)
		check(t, set(w.root.record(2, 1, 1)), chain(issue(t, spec{dns: []string{"mx.sec.example"}, key: 2}, zero), zero, w.root), options, nil, 2)
	})
	t.Run("PKIX5280-4.2.1.12-01 the purpose of the leaf", func(t *testing.T) {
		for usage, want := range map[x509.ExtKeyUsage]error{x509.ExtKeyUsageClientAuth: pkix.ErrPurpose, x509.ExtKeyUsageServerAuth: nil, x509.ExtKeyUsageAny: nil} {
			l := issue(t, spec{dns: []string{"mx.sec.example"}, key: 2, edit: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{usage} }}, w.inter)
			depth := 2
			if want != nil {
				depth = -1
			}
			check(t, set(w.root.record(2, 1, 1)), chain(l, w.inter, w.root), options, want, depth)
		}
	})
	t.Run("PKIX5280-6.1-01 signatures are checked", func(t *testing.T) {
		forged := issue(t, spec{cn: "Intermediate", ca: true, key: 8}, stranger) // names as they should be, another key
		l := issue(t, spec{dns: []string{"mx.sec.example"}, key: 2}, forged)
		check(t, set(w.root.record(2, 1, 1)), chain(l, w.inter, w.root), options, dane.ErrPath, -1)
	})
	t.Run("PKIX5280-6.1-02 cross-signed authorities end", func(t *testing.T) {
		a := issue(t, spec{cn: "A", ca: true, key: 6}, nil)
		b := issue(t, spec{cn: "B", ca: true, key: 7}, a)
		a2 := issue(t, spec{cn: "A", ca: true, key: 6}, b)
		l := issue(t, spec{dns: []string{"mx.sec.example"}, key: 2}, b)
		check(t, set(stranger.record(2, 1, 1)), chain(l, b, a2, stranger), options, dane.ErrPath, -1)
		check(t, set(a.record(2, 0, 1)), chain(l, b, a2, a), options, nil, 2)
	})
}
