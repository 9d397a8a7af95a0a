package proof_test

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"testing"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec/proof"
	"github.com/mxauth/mxauth/dnssec/wire"
)

// sameTag returns n junk DNSKEY records of about the size, of algorithm 13, that have the
// key tag.
func sameTag(n, size int, tag uint16) [][]byte {
	var out [][]byte
	for i := range n {
		d := append([]byte{1, 1, 3, proof.ECDSAP256SHA256, 255, byte(i)}, bytes.Repeat([]byte{byte(i)}, size&^1)...)
		at := len(d) - 2
		for proof.KeyTag(d) != tag { // the sum carries, so once is not always enough
			binary.BigEndian.PutUint16(d[at:], binary.BigEndian.Uint16(d[at:])+tag-proof.KeyTag(d))
		}
		out = append(out, d)
	}
	return out
}

// counter is a Pay function that counts.
type counter map[proof.Work]int

func (c counter) pay(w proof.Work, n int) error { c[w] += n; return nil }

// TestHashTrap: DS records times DNSKEY records (CVE-2023-50387). What is bounded is
// counted, not timed: the digests of keys.
func TestHashTrap(t *testing.T) {
	owner := name(t, "example.test.")
	set, _, k, _, _ := signedSet(t, dns.ECDSAP256SHA256, 256)
	good, _ := proof.ParseDS(dataOf(t, k.ToDS(dns.SHA384)))
	junkDS := func(n int) (out []proof.DS) {
		for i := range n {
			d := good
			d.Hash = bytes.Repeat([]byte{byte(i), byte(i >> 8), 1}, len(good.Hash)/3)
			out = append(out, d)
		}
		return out
	}
	keys := *set
	keys.Owner, keys.Type, keys.Sigs = owner, wire.TypeDNSKEY, nil
	for _, c := range []struct {
		what    string
		keys    int // junk of the tag, with the real one behind them
		ds      int // junk before the real one
		want    error
		digests int
	}{
		{"an honest zone", 0, 0, proof.ErrUnsigned, 1},
		{"a collision of tags", 1, 0, proof.ErrUnsigned, 2},
		{"a few of both", 1, 3, proof.ErrUnsigned, 8},
		{"one key, many DS records", 0, 63, proof.ErrBudget, 9},
		{"many keys, one DS record", 63, 0, proof.ErrBudget, 9},
		{"many of both", 63, 63, proof.ErrBudget, 9},
		{"more DS records than any zone has", 63, 990, proof.ErrBudget, 0},
		{"more keys than any zone has", 64, 0, proof.ErrBudget, 0},
	} {
		t.Run(c.what, func(t *testing.T) {
			keys.Data = append(sameTag(c.keys, 990, good.KeyTag), dataOf(t, k))
			paid := counter{}
			b := proof.NewBudget()
			b.Pay = paid.pay
			_, _, err := proof.Authenticate(&keys, proof.Trust{DS: append(junkDS(c.ds), good)}, proof.DefaultAlgorithms(), now, b)
			if !errors.Is(err, c.want) || paid[proof.DigestWork] != c.digests || proof.MaxDigests-b.Digests != c.digests {
				t.Errorf("%v after %v, want %v after %d", err, paid, c.want, c.digests)
			}
		})
	}
	t.Run("a question has so many digests", func(t *testing.T) {
		keys.Data = [][]byte{dataOf(t, k)}
		b := &proof.Budget{Digests: 1}
		for _, want := range []error{proof.ErrUnsigned, proof.ErrBudget} {
			if _, _, err := proof.Authenticate(&keys, proof.Trust{DS: []proof.DS{good}}, proof.DefaultAlgorithms(), now, b); !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		}
	})
}

// TestPay: each kind of work is paid for before it is done, and is not done if it cannot
// be.
func TestPay(t *testing.T) {
	broke := fmt.Errorf("%w: the payer says no", proof.ErrBudget)
	refuse := func(what proof.Work) func(proof.Work, int) error {
		return func(w proof.Work, _ int) error {
			if w == what {
				return broke
			}
			return nil
		}
	}
	set, ks, k, _, _ := signedSet(t, dns.ED25519, 256)
	ds, _ := proof.ParseDS(dataOf(t, k.ToDS(dns.SHA256)))
	keys := &proof.RRset{Owner: ks.Zone, Type: wire.TypeDNSKEY, Data: [][]byte{dataOf(t, k)}}
	hashed := nsec3s(t, n3{match: "example.", types: "SOA NS"}, n3{cover: "a.example.", types: "A"}, n3{cover: "*.example.", types: "A"})
	for what, c := range map[proof.Work]func(*proof.Budget) error{
		proof.SignatureWork: func(b *proof.Budget) error { _, err := ks.Verify(set, now, b); return err },
		proof.DigestWork: func(b *proof.Budget) error {
			_, _, err := proof.Authenticate(keys, proof.Trust{DS: []proof.DS{ds}}, proof.DefaultAlgorithms(), now, b)
			return err
		},
		proof.HashWork: func(b *proof.Budget) error { _, err := hashed.Deny(name(t, "a.example."), 1, b); return err },
	} {
		b := proof.NewBudget()
		b.Pay = refuse(what)
		if err := c(b); !errors.Is(err, proof.ErrBudget) {
			t.Errorf("work %d is not refused: %v", what, err)
		}
		paid := counter{}
		b = proof.NewBudget()
		b.Pay = paid.pay
		if err := c(b); errors.Is(err, proof.ErrBudget) || paid[what] == 0 {
			t.Errorf("work %d: %v, paid %v", what, err, paid)
		}
	}
}

// TestSignaturesOfASet: a set with more signatures than any zone makes is not looked at.
func TestSignaturesOfASet(t *testing.T) {
	set, ks, _, _, _ := signedSet(t, dns.ED25519, 256)
	other := set.Sigs[0]
	other.KeyTag++ // costs nothing to refuse
	for n, want := range map[int]error{31: nil, 32: proof.ErrBudget} {
		many := *set
		many.Sigs = nil
		for range n {
			many.Sigs = append(many.Sigs, other)
		}
		many.Sigs = append(many.Sigs, set.Sigs[0])
		if _, err := ks.Verify(&many, now, proof.NewBudget()); !errors.Is(err, want) {
			t.Errorf("%d before it: %v", n, err)
		}
	}
}

// TestKeyCost: a check is weighted by what it costs, which the owner of the key chooses.
func TestKeyCost(t *testing.T) {
	rsa := func(bits int, e *big.Int) int {
		n := new(big.Int).SetBit(big.NewInt(1), bits-1, 1)
		k, err := proof.RSA(crypto.SHA256, 1024)(append(append([]byte{byte(len(e.Bytes()))}, e.Bytes()...), n.Bytes()...))
		if err != nil {
			t.Fatal(err)
		}
		return proof.KeyCost(k)
	}
	f4 := big.NewInt(65537)
	usual := rsa(2048, f4)
	if usual < 10 || usual > 200 {
		t.Errorf("RSA-2048 costs %d microseconds", usual)
	}
	for _, c := range []struct {
		what        string
		cost        int
		least, most int // times the usual one
	}{
		{"RSA-4096", rsa(4096, f4), 4, 4},
		{"RSA-2048, exponent 2^31-1", rsa(2048, big.NewInt(1<<31-1)), 2, 3},
		{"RSA-4096, exponent 2^31-1", rsa(4096, big.NewInt(1<<31-1)), 8, 12},
		{"RSA-4096, exponent 2^64-1", rsa(4096, new(big.Int).SetUint64(1<<64-1)), 15, 25},
		{"a key that does not say", proof.KeyCost(foreignKey{}), 15, 25},
	} {
		if got := (c.cost + usual/2) / usual; got < c.least || got > c.most {
			t.Errorf("%s costs %d, %d times RSA-2048", c.what, c.cost, got)
		}
	}
}

type foreignKey struct{}

func (foreignKey) Verify(data, sig []byte) bool { return false }

// TestHashCost: a long salt makes each round of an NSEC3 hash cost more.
func TestHashCost(t *testing.T) {
	for salt, want := range map[int]int{0: 1, 8: 1, 35: 1, 36: 2, 99: 2, 255: 5} {
		r := nsec3s(t, n3{match: "a.example.", types: "A"})
		r.NSEC3[0].Salt = make([]byte, salt)
		r.NSEC3[0].Hash = proof.HashName(name(t, "a.example."), 0, r.NSEC3[0].Salt)
		paid := counter{}
		b := proof.NewBudget()
		b.Pay = paid.pay
		if _, err := r.Deny(name(t, "a.example."), 16, b); err != nil || paid[proof.HashWork] != want || proof.MaxHashRounds-b.HashRounds != want {
			t.Errorf("a salt of %d octets: %v, paid %v, want %d", salt, err, paid, want)
		}
	}
}

// TestCompact: the copy of a set of keys does what the set does.
func TestCompact(t *testing.T) {
	set, ks, _, _, _ := signedSet(t, dns.ED25519, 256)
	c := ks.Compact()
	if _, err := c.Verify(set, now, proof.NewBudget()); err != nil || c.Zone != ks.Zone || len(c.Keys()) != len(ks.Keys()) || !bytes.Equal(c.Keys()[0].Data, ks.Keys()[0].Data) {
		t.Errorf("%v %+v", err, c)
	}
	if &c.Keys()[0].Data[0] == &ks.Keys()[0].Data[0] {
		t.Error("the octets are shared")
	}
	if c.Size() < len(c.Keys()[0].Data) {
		t.Errorf("%d bytes", c.Size())
	}
}

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
