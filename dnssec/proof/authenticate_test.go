package proof_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec/proof"
	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/internal/dnstree"
)

// A maker is a key of example. that can sign.
type maker struct{ dnstree.Key }

func newMaker(tb testing.TB, alg uint8, bits int, flags uint16) maker {
	tb.Helper()
	k, err := dnstree.NewKey("example.", alg, flags, bits)
	if err != nil {
		tb.Fatal(err)
	}
	return maker{k}
}

func (m maker) with(edit func(k *dns.DNSKEY)) maker { return maker{m.With(edit)} }

func (m maker) sign(tb testing.TB, rrs []dns.RR, edit func(s *dns.RRSIG)) *dns.RRSIG {
	tb.Helper()
	s := m.Draft("example.", rrs, now.Add(-time.Hour), now.Add(time.Hour))
	if edit != nil {
		edit(s)
	}
	if err := dnstree.Sign(s, m.Private, rrs); err != nil {
		tb.Fatal(err)
	}
	return s
}

// group reads records into RRsets.
func group(tb testing.TB, rrs ...dns.RR) []proof.RRset {
	tb.Helper()
	var out []wire.RR
	for _, rr := range rrs {
		data, err := wire.Canonical(rr.Header().Rrtype, dataOf(tb, rr))
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, wire.RR{Owner: name(tb, rr.Header().Name), Type: rr.Header().Rrtype, Class: 1, TTL: rr.Header().Ttl, Data: data})
	}
	return proof.Group(out)
}

// keySet makes the DNSKEY set of the keys, signed by some.
func keySet(tb testing.TB, keys []maker, by ...maker) *proof.RRset {
	tb.Helper()
	var rrs, all []dns.RR
	for _, k := range keys {
		rrs = append(rrs, k.DNSKEY)
	}
	all = append(all, rrs...)
	for _, k := range by {
		all = append(all, k.sign(tb, rrs, nil))
	}
	return &group(tb, all...)[0]
}

func dsOf(tb testing.TB, k maker, digest uint8, edit func(d *dns.DS)) proof.DS {
	tb.Helper()
	d := k.ToDS(digest)
	if edit != nil {
		edit(d)
	}
	ds, ok := proof.ParseDS(dataOf(tb, d))
	if !ok {
		tb.Fatal("no DS")
	}
	return ds
}

func keyOf(tb testing.TB, m maker) proof.Key {
	tb.Helper()
	k, ok := proof.ParseKey(dataOf(tb, m.DNSKEY))
	if !ok {
		tb.Fatal("no key")
	}
	return k
}

func TestAuthenticate(t *testing.T) {
	a, b := newMaker(t, dns.ED25519, 256, 257), newMaker(t, dns.ECDSAP256SHA256, 256, 257)
	alg := proof.DefaultAlgorithms()
	spoil := func(d *dns.DS) { d.Digest = "00" + d.Digest[2:] }
	revoked := a.with(func(k *dns.DNSKEY) { k.Flags |= 0x80 })
	noZone := a.with(func(k *dns.DNSKEY) { k.Flags = 1 })
	protocol := a.with(func(k *dns.DNSKEY) { k.Protocol = 2 })
	for what, c := range map[string]struct {
		set   *proof.RRset
		trust proof.Trust
		want  error
	}{
		"a DS that fits":                      {keySet(t, []maker{a, b}, a), proof.Trust{DS: []proof.DS{dsOf(t, a, dns.SHA256, nil)}}, nil},
		"the key that fits does not sign":     {keySet(t, []maker{a, b}, b), proof.Trust{DS: []proof.DS{dsOf(t, a, dns.SHA256, nil)}}, proof.ErrNoKey},
		"unsigned":                            {keySet(t, []maker{a, b}), proof.Trust{DS: []proof.DS{dsOf(t, a, dns.SHA256, nil)}}, proof.ErrUnsigned},
		"one of two":                          {keySet(t, []maker{a, b}, b), proof.Trust{DS: []proof.DS{dsOf(t, a, dns.SHA256, nil), dsOf(t, b, dns.SHA256, nil)}}, nil},
		"no DS":                               {keySet(t, []maker{a}, a), proof.Trust{}, proof.ErrNoDS},
		"DS of an unknown algorithm":          {keySet(t, []maker{a}, a), proof.Trust{DS: []proof.DS{dsOf(t, a, dns.SHA256, func(d *dns.DS) { d.Algorithm = 250 })}}, proof.ErrNoDS},
		"DS of an unknown digest":             {keySet(t, []maker{a}, a), proof.Trust{DS: []proof.DS{dsOf(t, a, dns.SHA256, func(d *dns.DS) { d.DigestType = 3 })}}, proof.ErrNoDS},
		"another tag":                         {keySet(t, []maker{a}, a), proof.Trust{DS: []proof.DS{dsOf(t, a, dns.SHA256, func(d *dns.DS) { d.KeyTag++ })}}, proof.ErrNoMatch},
		"another algorithm":                   {keySet(t, []maker{a}, a), proof.Trust{DS: []proof.DS{dsOf(t, a, dns.SHA256, func(d *dns.DS) { d.Algorithm = 13 })}}, proof.ErrNoMatch},
		"another digest":                      {keySet(t, []maker{a}, a), proof.Trust{DS: []proof.DS{dsOf(t, a, dns.SHA256, spoil)}}, proof.ErrNoMatch},
		"SHA-1 alone":                         {keySet(t, []maker{a}, a), proof.Trust{DS: []proof.DS{dsOf(t, a, dns.SHA1, nil)}}, nil},
		"SHA-1 beside SHA-256":                {keySet(t, []maker{a}, a), proof.Trust{DS: []proof.DS{dsOf(t, a, dns.SHA1, nil), dsOf(t, a, dns.SHA256, spoil)}}, proof.ErrNoMatch},
		"SHA-1 beside SHA-384":                {keySet(t, []maker{a}, a), proof.Trust{DS: []proof.DS{dsOf(t, a, dns.SHA1, nil), dsOf(t, a, dns.SHA384, spoil)}}, proof.ErrNoMatch},
		"SHA-1 beside another's SHA-256":      {keySet(t, []maker{a}, a), proof.Trust{DS: []proof.DS{dsOf(t, a, dns.SHA1, nil), dsOf(t, b, dns.SHA256, nil)}}, nil},
		"SHA-1 beside an unknown digest":      {keySet(t, []maker{a}, a), proof.Trust{DS: []proof.DS{dsOf(t, a, dns.SHA1, nil), dsOf(t, a, dns.SHA256, func(d *dns.DS) { d.DigestType = 9 })}}, nil},
		"SHA-256 before SHA-1":                {keySet(t, []maker{a}, a), proof.Trust{DS: []proof.DS{dsOf(t, a, dns.SHA256, spoil), dsOf(t, a, dns.SHA1, nil)}}, proof.ErrNoMatch},
		"a key as the anchor":                 {keySet(t, []maker{a}, a), proof.Trust{Keys: []proof.Key{keyOf(t, a)}}, nil},
		"another key as the anchor":           {keySet(t, []maker{a}, a), proof.Trust{Keys: []proof.Key{keyOf(t, b)}}, proof.ErrNoMatch},
		"an anchor of an unknown algorithm":   {keySet(t, []maker{a}, a), proof.Trust{Keys: []proof.Key{keyOf(t, a.with(func(k *dns.DNSKEY) { k.Algorithm = 250 }))}}, proof.ErrNoDS},
		"a revoked key":                       {keySet(t, []maker{revoked}, revoked), proof.Trust{DS: []proof.DS{dsOf(t, a, dns.SHA256, nil)}}, proof.ErrRevoked},
		"a revoked key as its own DS":         {keySet(t, []maker{revoked}, revoked), proof.Trust{DS: []proof.DS{dsOf(t, revoked, dns.SHA256, nil)}}, proof.ErrNoMatch},
		"a revoked key and another that fits": {keySet(t, []maker{revoked, b}, revoked, b), proof.Trust{DS: []proof.DS{dsOf(t, a, dns.SHA256, nil), dsOf(t, b, dns.SHA256, nil)}}, nil},
		"a stranger is revoked":               {keySet(t, []maker{revoked}, revoked), proof.Trust{DS: []proof.DS{dsOf(t, b, dns.SHA256, nil)}}, proof.ErrNoMatch},
		"no zone key":                         {keySet(t, []maker{noZone}, noZone), proof.Trust{DS: []proof.DS{dsOf(t, noZone, dns.SHA256, nil)}}, proof.ErrNoMatch},
		"protocol 2":                          {keySet(t, []maker{protocol}, protocol), proof.Trust{DS: []proof.DS{dsOf(t, protocol, dns.SHA256, nil)}}, proof.ErrNoMatch},
	} {
		ks, signed, err := proof.Authenticate(c.set, c.trust, alg, now, proof.NewBudget())
		if !errors.Is(err, c.want) || (ks != nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", what, err, c.want)
		}
		if c.want == nil && (signed.TTL != 3600 || len(ks.Keys()) != len(c.set.Data)) {
			t.Errorf("%s: %+v, %d keys", what, signed, len(ks.Keys()))
		}
		if supported := c.trust.Supported(alg); supported != !errors.Is(c.want, proof.ErrNoDS) {
			t.Errorf("%s: Supported is %t", what, supported)
		}
	}
	t.Run("a key cut off is left out", func(t *testing.T) {
		set := keySet(t, []maker{a}, a)
		set.Data = append([][]byte{{1, 1}}, set.Data...)
		if _, _, err := proof.Authenticate(set, proof.Trust{Keys: []proof.Key{keyOf(t, a)}}, alg, now, proof.NewBudget()); !errors.Is(err, proof.ErrBadSignature) {
			t.Error(err)
		}
	})
	t.Run("64 keys are looked at, and no set of more", func(t *testing.T) {
		for n, want := range map[int]error{63: proof.ErrBadSignature, 64: proof.ErrBudget} {
			set := keySet(t, []maker{a}, a)
			var many [][]byte
			for i := range n {
				many = append(many, []byte{1, 0, 3, 13, byte(i)})
			}
			set.Data = append(many, set.Data...)
			if _, _, err := proof.Authenticate(set, proof.Trust{Keys: []proof.Key{keyOf(t, a)}}, alg, now, proof.NewBudget()); !errors.Is(err, want) {
				t.Errorf("%d before it: %v", n, err)
			}
		}
	})
	t.Run("revocations", func(t *testing.T) {
		old := dataOf(t, a.DNSKEY)
		for what, c := range map[string]struct {
			set  *proof.RRset
			want int
		}{
			"signed by itself":     {keySet(t, []maker{revoked, b}, revoked, b), 1},
			"signed by another":    {keySet(t, []maker{revoked, b}, b), 0},
			"not revoked":          {keySet(t, []maker{a, b}, a, b), 0},
			"revoked, no zone key": {keySet(t, []maker{a.with(func(k *dns.DNSKEY) { k.Flags = 0x81 })}, a.with(func(k *dns.DNSKEY) { k.Flags = 0x81 })), 0},
		} {
			got := proof.SelfRevoked(c.set, alg, now, proof.NewBudget())
			if len(got) != c.want || (c.want == 1 && !bytes.Equal(got[0], old)) {
				t.Errorf("%s: %x", what, got)
			}
		}
		other := *keySet(t, []maker{revoked}, revoked)
		other.Type = wire.TypeDS
		if got := proof.SelfRevoked(&other, alg, now, proof.NewBudget()); got != nil {
			t.Errorf("%x", got)
		}
	})
	t.Run("the order and number of records", func(t *testing.T) {
		rr := func(s string) dns.RR {
			r, err := dns.NewRR(s)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		x, y := rr("mx.example. 300 IN A 192.0.2.2"), rr("mx.example. 200 IN A 192.0.2.1")
		sig := a.sign(t, []dns.RR{y, rr("mx.example. 200 IN A 192.0.2.2")}, nil)
		ks := proof.NewKeySet(name(t, "example."), []proof.Key{keyOf(t, a)}, alg)
		sets := group(t, x, y, x, sig, rr("other.example. 1 IN A 192.0.2.1"))
		if len(sets) != 2 || len(sets[0].Data) != 2 || sets[0].TTL != 200 || bytes.Compare(sets[0].Data[0], sets[0].Data[1]) >= 0 {
			t.Fatalf("%+v", sets)
		}
		if _, err := ks.Verify(&sets[0], now, proof.NewBudget()); err != nil {
			t.Error(err)
		}
		alone := group(t, sig)
		if len(alone) != 1 || len(alone[0].Data) != 0 || len(alone[0].Sigs) != 1 {
			t.Errorf("%+v", alone)
		}
		var many []dns.RR
		for i := range 200 {
			many = append(many, rr(fmt.Sprintf("a%d.example. 1 IN A 192.0.2.1", i)))
		}
		if got := len(group(t, many...)); got != 128 {
			t.Errorf("%d RRsets", got)
		}
		if sig, ok := proof.ParseRRSIG(dataOf(t, sig), 9); !ok || sig.TTL != 9 || sig.Signer != name(t, "example.") || len(sig.Signature) != 64 {
			t.Errorf("%+v %t", sig, ok)
		}
		if sig, ok := proof.ParseRRSIG(make([]byte, 19), 0); !ok || !sig.Signer.IsRoot() || len(sig.Signature) != 0 {
			t.Errorf("the shortest: %+v %t", sig, ok)
		}
	})
	t.Run("wildcards", func(t *testing.T) {
		ks := proof.NewKeySet(name(t, "example."), []proof.Key{keyOf(t, a)}, alg)
		w, err := dns.NewRR("*.w.example. 300 IN A 192.0.2.2")
		if err != nil {
			t.Fatal(err)
		}
		sig := a.sign(t, []dns.RR{w}, nil)
		at := func(owner string) (proof.Signed, error) {
			rr, s := dns.Copy(w), dns.Copy(sig)
			rr.Header().Name, s.Header().Name = owner, owner
			return ks.Verify(&group(t, rr, s)[0], now, proof.NewBudget())
		}
		if got, err := at("*.w.example."); err != nil || got.Encloser.IsValid() {
			t.Errorf("itself: %+v %v", got, err)
		}
		if got, err := at("a.b.w.example."); err != nil || got.Encloser != name(t, "w.example.") {
			t.Errorf("made from it: %+v %v", got, err)
		}
		if _, err := at("w.example."); !errors.Is(err, proof.ErrBadSignature) {
			t.Errorf("its encloser: %v", err)
		}
		if _, err := at("example."); !errors.Is(err, proof.ErrLabels) {
			t.Errorf("above it: %v", err)
		}
		// The wildcard would stand above the zone.
		rr := group(t, w, sig)
		rr[0].Owner, rr[0].Sigs[0].Labels = name(t, "w.example."), 0
		if _, err := ks.Verify(&rr[0], now, proof.NewBudget()); !errors.Is(err, proof.ErrLabels) {
			t.Error(err)
		}
		// And it would be longer than a name may be.
		long := strings.Repeat(strings.Repeat("a", 63)+".", 3) + strings.Repeat("b", 53) + ".example."
		deep := group(t, w, sig)
		deep[0].Owner = name(t, "c."+long[2:])
		deep[0].Sigs[0].Labels = uint8(deep[0].Owner.NumLabels() - 1)
		if _, err := ks.Verify(&deep[0], now, proof.NewBudget()); err == nil {
			t.Error("no error")
		}
	})
	t.Run("so many keys of one tag are tried", func(t *testing.T) {
		set := group(t, mustRR(t, "mx.example. 300 IN A 192.0.2.2"))
		sig := a.sign(t, []dns.RR{mustRR(t, "mx.example. 300 IN A 192.0.2.2")}, nil)
		s, _ := proof.ParseRRSIG(dataOf(t, sig), 300)
		set[0].Sigs = []proof.RRSIG{s}
		for n, want := range map[int]error{3: nil, 4: proof.ErrBudget} {
			var keys []proof.Key
			for range n {
				k := keyOf(t, newMaker(t, dns.ED25519, 256, 257))
				k.Tag = s.KeyTag
				keys = append(keys, k)
			}
			keys = append(keys, keyOf(t, a))
			b := proof.NewBudget()
			if _, err := proof.NewKeySet(name(t, "example."), keys, alg).Verify(&set[0], now, b); !errors.Is(err, want) {
				t.Errorf("%d before it: %v", n, err)
			}
			if want == nil && (b.Signatures != proof.MaxSignatures-4 || b.Failures != proof.MaxFailures-3) {
				t.Errorf("%+v", b)
			}
		}
	})
	t.Run("failures cost", func(t *testing.T) {
		set := group(t, mustRR(t, "mx.example. 300 IN A 192.0.2.2"))
		sig := a.sign(t, []dns.RR{mustRR(t, "mx.example. 300 IN A 192.0.2.3")}, nil)
		s, _ := proof.ParseRRSIG(dataOf(t, sig), 300)
		ks := proof.NewKeySet(name(t, "example."), []proof.Key{keyOf(t, a)}, alg)
		for n, want := range map[int]error{proof.MaxFailures: proof.ErrBadSignature, proof.MaxFailures + 1: proof.ErrBudget} {
			set[0].Sigs = nil
			for range n {
				set[0].Sigs = append(set[0].Sigs, s)
			}
			if _, err := ks.Verify(&set[0], now, proof.NewBudget()); !errors.Is(err, want) {
				t.Errorf("%d: %v", n, err)
			}
		}
	})
	t.Run("errors speak", func(t *testing.T) {
		if got := (&proof.Error{Kind: proof.ErrNoDS}).Error(); got != proof.ErrNoDS.Error() {
			t.Error(got)
		}
		if got := (&proof.Error{Kind: proof.ErrNoDS, Text: "x"}).Error(); got != proof.ErrNoDS.Error()+": x" {
			t.Error(got)
		}
	})
	t.Run("dates", func(t *testing.T) {
		ks := proof.NewKeySet(name(t, "example."), []proof.Key{keyOf(t, a)}, alg)
		rr := mustRR(t, "mx.example. 300 IN A 192.0.2.2")
		for _, c := range []struct {
			from, until time.Duration
			want        error
		}{{0, 0, nil}, {-1, 1, nil}, {1, 2, proof.ErrNotYetValid}, {-2, -1, proof.ErrExpired}} {
			sig := a.sign(t, []dns.RR{rr}, func(s *dns.RRSIG) {
				s.Inception, s.Expiration = uint32(now.Add(c.from*time.Second).Unix()), uint32(now.Add(c.until*time.Second).Unix())
			})
			if _, err := ks.Verify(&group(t, rr, sig)[0], now, proof.NewBudget()); !errors.Is(err, c.want) {
				t.Errorf("%+v: %v", c, err)
			}
		}
	})
	t.Run("key tags of odd lengths", func(t *testing.T) {
		// RFC 4034 appendix B: octets in even places count 256 times.
		if got := proof.KeyTag([]byte{1, 2, 3}); got != 0x0402 {
			t.Errorf("%#x", got)
		}
		sum := uint32(0xffff + 0xff05 + 0xffff + 0xff00)
		if got := proof.KeyTag([]byte{0xff, 0xff, 0xff, 5, 0xff, 0xff, 0xff}); got != uint16(sum+sum>>16) {
			t.Errorf("%#x", got)
		}
	})
}

func mustRR(tb testing.TB, s string) dns.RR {
	tb.Helper()
	rr, err := dns.NewRR(s)
	if err != nil {
		tb.Fatal(err)
	}
	return rr
}
