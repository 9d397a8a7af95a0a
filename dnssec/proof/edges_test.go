package proof_test

import (
	"bytes"
	"crypto"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"testing"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec/proof"
)

// TestHashBudget lets the budget end at every hash of a proof in turn.
func TestHashBudget(t *testing.T) {
	apex := n3{match: "example.", types: "NS SOA"}
	for _, c := range []struct {
		recs   *proof.Records
		closer bool
		hashes int
	}{
		{nsec3s(t, apex, n3{cover: "n.example.", types: "A"}, n3{cover: "*.example.", types: "A"}), false, 5}, // a.b.n, b.n, n, example, *
		{nsec3s(t, apex, n3{cover: "n.example.", types: "A"}, n3{match: "*.example.", types: "A"}), false, 5},
		{nsec3s(t, n3{match: "a.b.n.example.", types: "A"}), false, 1},
		{nsec3s(t, n3{cover: "n.example.", types: "A"}), true, 1},
	} {
		q := name(t, "a.b.n.example.")
		for rounds := range c.hashes + 1 {
			b := &proof.Budget{HashRounds: rounds}
			var err error
			if c.closer {
				_, err = c.recs.DenyCloser(q, name(t, "example."), b)
			} else {
				_, err = c.recs.Deny(q, dns.TypeMX, b)
			}
			if want := rounds < c.hashes; errors.Is(err, proof.ErrBudget) != want || (err == nil) == want || b.HashRounds < 0 {
				t.Errorf("%d of %d rounds: %v", rounds, c.hashes, err)
			}
		}
	}
}

// TestCovers tries the ends of a gap, and the last gap of a zone.
func TestCovers(t *testing.T) {
	n := name(t, "n.example.")
	h := proof.HashName(n, 0, nil)
	at := func(by int64) [20]byte { x := h; step(x[:], by); return x }
	for _, c := range []struct {
		owner, next [20]byte
		want        bool
	}{
		{at(-1), at(1), true}, {at(-1), h, false}, {h, at(1), false}, {at(1), at(2), false}, {at(-2), at(-1), false},
		{at(2), at(1), true}, {at(-1), at(-2), true}, {at(1), at(-1), false}, {at(1), h, false}, {h, at(-1), false}, {at(1), at(1), true}, {h, h, false},
	} {
		data := append([]byte{1, 0, 0, 0, 0, 20}, c.next[:]...)
		owner, err := name(t, "example.").Child(base32.HexEncoding.EncodeToString(c.owner[:]))
		if err != nil {
			t.Fatal(err)
		}
		r, ok := proof.ParseNSEC3(name(t, "example."), owner, data)
		if !ok || r.CoversName(n) != c.want {
			t.Errorf("%x to %x: %t", c.owner, c.next, r.CoversName(n))
		}
	}
}

func TestTypesRaw(t *testing.T) {
	for _, c := range []struct {
		types proof.Types
		typ   uint16
		want  bool
	}{
		{proof.Types{0, 2, 0xff}, 8, false}, {proof.Types{0, 3, 0xff}, 16, false}, {proof.Types{0, 1, 0xff, 0x80, 1, 0xff}, 8, false},
		{proof.Types{0}, 1, false}, {proof.Types{0, 1}, 1, false}, {proof.Types{1, 1}, 1, false}, {proof.Types{1, 5, 0, 0, 1, 0x40}, 1, false},
		{proof.Types{0, 1, 0x40, 1, 1, 0x40}, 257, true}, {proof.Types{0, 1, 0x40, 1, 1, 0x40}, 1, true}, {proof.Types{0, 2, 0, 0x80}, 8, true}, {proof.Types{0, 2, 0, 0x01}, 15, true},
	} {
		if got := c.types.Has(c.typ); got != c.want {
			t.Errorf("%x, type %d: %t", []byte(c.types), c.typ, got)
		}
	}
	if _, ok := proof.ParseTypes([]byte{0, 1, 1, 5}); ok {
		t.Error("a window of one octet")
	}
}

func TestKeyEdges(t *testing.T) {
	if got := proof.KeyTag([]byte{1, 0, 3, 1}); got != 0 {
		t.Errorf("algorithm 1 without a key: %d", got)
	}
	if got := proof.KeyTag([]byte{1, 0, 3, 1, 0, 7}); got != 0 {
		t.Errorf("algorithm 1 with two octets: %d", got)
	}
	if _, err := proof.DefaultAlgorithms()[proof.RSASHA256]([]byte{3, 1, 0, 1}); !errors.Is(err, proof.ErrKey) {
		t.Error(err)
	}
	// A modulus that has no room for the padding of SHA-512.
	pub, err := proof.RSA(crypto.SHA512, 512)(append([]byte{1, 3, 0x80}, append(make([]byte, 62), 1)...))
	if err != nil {
		t.Fatal(err)
	}
	if pub.Verify([]byte("x"), make([]byte, 64)) {
		t.Error("zeros verify")
	}
	other, err := proof.RSA(crypto.MD5, 512)(append([]byte{1, 3, 0x80}, append(make([]byte, 62), 1)...))
	if err != nil {
		t.Fatal(err)
	}
	if other.Verify([]byte("x"), make([]byte, 64)) {
		t.Error("a hash that is not supported")
	}
}

// TestIntegers has ECDSA signatures whose numbers begin with each kind of octet.
func TestIntegers(t *testing.T) {
	k := newMaker(t, dns.ECDSAP256SHA256, 256, 257)
	rr := mustRR(t, "mx.example. 300 IN A 192.0.2.2")
	ks := proof.NewKeySet(name(t, "example."), []proof.Key{keyOf(t, k)}, proof.DefaultAlgorithms())
	seen := map[string]bool{}
	for range 20000 {
		sig := k.sign(t, []dns.RR{rr}, nil)
		raw, err := base64.StdEncoding.DecodeString(sig.Signature)
		if err != nil {
			t.Fatal(err)
		}
		kind := ""
		for _, b := range []byte{raw[0], raw[32]} {
			switch {
			case b == 0:
				kind = "zero"
			case b == 0x80:
				kind = "high"
			case b == 0x7f:
				kind = "low"
			}
		}
		if kind == "" || seen[kind] {
			continue
		}
		seen[kind] = true
		if _, err := ks.Verify(&group(t, rr, sig)[0], now, proof.NewBudget()); err != nil {
			t.Errorf("%s, %x: %v", kind, raw, err)
		}
		if len(seen) == 3 {
			return
		}
	}
	t.Errorf("only %v were seen", seen)
}

func TestUnusableKeys(t *testing.T) {
	good := newMaker(t, dns.ED25519, 256, 257)
	rr := mustRR(t, "mx.example. 300 IN A 192.0.2.2")
	sig := good.sign(t, []dns.RR{rr}, nil)
	k := keyOf(t, good)
	broken, _ := proof.ParseKey(append(bytes.Clone(k.Data[:4]), 1, 2, 3))
	broken.Tag = k.Tag
	set := &group(t, rr, sig)[0]
	if _, err := proof.NewKeySet(name(t, "example."), []proof.Key{broken}, proof.DefaultAlgorithms()).Verify(set, now, proof.NewBudget()); !errors.Is(err, proof.ErrKey) {
		t.Error(err)
	}
	if _, err := proof.NewKeySet(name(t, "example."), []proof.Key{broken, k}, proof.DefaultAlgorithms()).Verify(set, now, proof.NewBudget()); err != nil {
		t.Error(err)
	}
	// A signature of another zone that names other labels does not count.
	other := set.Sigs[0]
	other.Signer, other.Labels = name(t, "test."), 1
	set.Sigs = append(set.Sigs, other)
	if _, err := proof.NewKeySet(name(t, "example."), []proof.Key{k}, proof.DefaultAlgorithms()).Verify(set, now, proof.NewBudget()); err != nil {
		t.Error(err)
	}
}
