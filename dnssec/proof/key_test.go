package proof_test

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec/proof"
)

func TestAlgorithms(t *testing.T) {
	alg := proof.DefaultAlgorithms()
	t.Run("ECDSA6605-4-01 lengths of signatures", func(t *testing.T) {
		for _, a := range []struct {
			n    uint8
			bits int
		}{{dns.ECDSAP256SHA256, 256}, {dns.ECDSAP384SHA384, 384}} {
			set, ks, _, _, _ := signedSet(t, a.n, a.bits)
			sig := bytes.Clone(set.Sigs[0].Signature)
			for _, s := range [][]byte{sig[1:], append([]byte{0}, sig...), sig[:len(sig)-1], append(bytes.Clone(sig), 0), asn1Signature(t, sig), nil} {
				set.Sigs[0].Signature = s
				if _, err := ks.Verify(set, now, proof.NewBudget()); !errors.Is(err, proof.ErrBadSignature) {
					t.Errorf("%d octets: %v", len(s), err)
				}
			}
			set.Sigs[0].Signature = sig
			if _, err := ks.Verify(set, now, proof.NewBudget()); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("ECDSA6605-4-02 the key is a point of the curve", func(t *testing.T) {
		for n, size := range map[uint8]int{proof.ECDSAP256SHA256: 64, proof.ECDSAP384SHA384: 96} {
			for _, l := range []int{0, size - 1, size + 1} {
				if k, err := alg[n](make([]byte, l)); !errors.Is(err, proof.ErrKey) || k != nil {
					t.Errorf("%d octets: %v", l, err)
				}
			}
			off := bytes.Repeat([]byte{1}, size)
			if k, err := alg[n](off); !errors.Is(err, proof.ErrKey) || k != nil {
				t.Errorf("off the curve: %v", err)
			}
		}
	})
	t.Run("EDDSA8080-3-01 lengths", func(t *testing.T) {
		for l, ok := range map[int]bool{0: false, 31: false, 32: true, 33: false, 57: false} {
			if _, err := alg[proof.ED25519](make([]byte, l)); (err == nil) != ok {
				t.Errorf("key of %d octets: %v", l, err)
			}
		}
		set, ks, _, _, _ := signedSet(t, dns.ED25519, 256)
		sig := set.Sigs[0].Signature
		for _, s := range [][]byte{sig[:63], append(bytes.Clone(sig), 0), nil} {
			set.Sigs[0].Signature = s
			if _, err := ks.Verify(set, now, proof.NewBudget()); !errors.Is(err, proof.ErrBadSignature) {
				t.Errorf("signature of %d octets: %v", len(s), err)
			}
		}
	})
	rsaKey := func(e *big.Int, bits uint) []byte {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		n.SetBit(n, 0, 1)
		eb := e.Bytes()
		out := append([]byte{byte(len(eb))}, eb...)
		if len(eb) > 255 {
			out = append([]byte{0, byte(len(eb) >> 8), byte(len(eb))}, eb...)
		}
		return append(out, n.Bytes()...)
	}
	t.Run("RSA5702-2.1-01 sizes", func(t *testing.T) {
		e := big.NewInt(65537)
		for _, a := range []uint8{proof.RSASHA256, proof.RSASHA512} {
			for bits, want := range map[uint]error{511: proof.ErrKeySize, 1023: proof.ErrKeySize, 1024: nil, 4096: nil, 4097: proof.ErrKeySize} {
				if _, err := alg[a](rsaKey(e, bits)); !errors.Is(err, want) {
					t.Errorf("algorithm %d, %d bits: %v", a, bits, err)
				}
			}
		}
	})
	t.Run("forms of RSA keys", func(t *testing.T) {
		long := new(big.Int).Lsh(big.NewInt(1), 64) // 65 bits
		long.SetBit(long, 0, 1)
		for what, c := range map[string]struct {
			key []byte
			ok  bool
		}{
			"usual":                   {rsaKey(big.NewInt(65537), 2048), true},
			"exponent 3":              {rsaKey(big.NewInt(3), 2048), true},
			"exponent 2^32+1":         {rsaKey(big.NewInt(1<<32+1), 2048), true},
			"exponent 2^64+1":         {rsaKey(long, 2048), false},
			"exponent 1":              {rsaKey(big.NewInt(1), 2048), false},
			"even exponent":           {rsaKey(big.NewInt(4), 2048), false},
			"two octets of length":    {append([]byte{0, 0, 1, 3}, rsaKey(big.NewInt(3), 2048)[2:]...), true},
			"empty":                   {nil, false},
			"exponent to the end":     {[]byte{3, 1, 0, 1}, false},
			"exponent beyond the end": {[]byte{200, 1, 0, 1}, false},
			"no exponent":             {[]byte{0, 0, 0, 1, 2, 3}, false},
		} {
			if _, err := alg[proof.RSASHA256](c.key); (err == nil) != c.ok {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
	t.Run("RSA5702-3-01 padding over the whole modulus", func(t *testing.T) {
		set, ks, _, _, _ := signedSet(t, dns.RSASHA256, 1024)
		sig := set.Sigs[0].Signature
		for _, s := range [][]byte{sig[1:], append([]byte{0}, sig...), bytes.Repeat([]byte{0}, len(sig)), bytes.Repeat([]byte{255}, len(sig)), nil} {
			set.Sigs[0].Signature = s
			if _, err := ks.Verify(set, now, proof.NewBudget()); !errors.Is(err, proof.ErrBadSignature) {
				t.Errorf("%x: %v", s, err)
			}
		}
	})
	t.Run("RSA by hand", func(t *testing.T) {
		// A key of exponent 2^32+1 and one of 512 bits, which crypto/rsa takes neither of.
		for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA512} {
			p, _ := new(big.Int).SetString("d131e4f0b0b54ffcc4fb0e8b41bdc3f1b0f80aa1d7e36dea9d2ac8b5ee5d6a0cf5e8a9b0c5b96a0bd7f9e5b0d37d0a4c5d8f5c1a2b3c4d5e6f708192a3b4c5d7", 16)
			q, _ := new(big.Int).SetString("f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f81", 16)
			for !p.ProbablyPrime(20) {
				p.Add(p, big.NewInt(2))
			}
			for !q.ProbablyPrime(20) {
				q.Add(q, big.NewInt(2))
			}
			n := new(big.Int).Mul(p, q)
			e := big.NewInt(1<<32 + 1)
			phi := new(big.Int).Mul(new(big.Int).Sub(p, big.NewInt(1)), new(big.Int).Sub(q, big.NewInt(1)))
			d := new(big.Int).ModInverse(e, phi)
			if d == nil {
				t.Skip("the exponent does not fit the primes")
			}
			pub, err := proof.RSA(h, 512)(append(append([]byte{5}, e.Bytes()...), n.Bytes()...))
			if err != nil {
				t.Fatal(err)
			}
			prefix := map[crypto.Hash]string{
				crypto.SHA1:   "3021300906052b0e03021a05000414",
				crypto.SHA256: "3031300d060960864801650304020105000420",
				crypto.SHA512: "3051300d060960864801650304020305000440",
			}[h]
			info, _ := hex.DecodeString(prefix)
			w := h.New()
			w.Write([]byte("data"))
			tail := append(append([]byte{0}, info...), w.Sum(nil)...)
			size := (n.BitLen() + 7) / 8
			em := append([]byte{0, 1}, bytes.Repeat([]byte{255}, size-2-len(tail))...)
			em = append(em, tail...)
			sign := func(em []byte) []byte {
				return new(big.Int).Exp(new(big.Int).SetBytes(em), d, n).FillBytes(make([]byte, size))
			}
			good := sign(em)
			if !pub.Verify([]byte("data"), good) {
				t.Errorf("%v: a good signature fails", h)
			}
			short := append(append([]byte{0, 1}, bytes.Repeat([]byte{255}, 8)...), tail...)
			short = append(short, make([]byte, size-len(short))...)
			for what, s := range map[string][]byte{
				"other data": sign(append(bytes.Clone(em[:size-1]), em[size-1]^1)), "short padding": sign(short),
				"cut": good[1:], "longer": append([]byte{0}, good...), "above the modulus": new(big.Int).Add(new(big.Int).SetBytes(good), n).Bytes(),
			} {
				if pub.Verify([]byte("data"), s) {
					t.Errorf("%v: %s verifies", h, what)
				}
			}
		}
	})
	t.Run("ALG9904-1-01 the table of algorithms", func(t *testing.T) {
		for n := range 256 {
			_, def := alg[uint8(n)]
			_, old := proof.SHA1Algorithms()[uint8(n)]
			if want := n == 8 || n == 10 || n == 13 || n == 14 || n == 15; def != want {
				t.Errorf("algorithm %d by default: %t", n, def)
			}
			if want := n == 5 || n == 7; old != want {
				t.Errorf("algorithm %d as an option: %t", n, old)
			}
		}
	})
}

func TestKeys(t *testing.T) {
	t.Run("DNSSEC4034-B-02 key tags", func(t *testing.T) {
		for _, line := range []string{
			". IN DNSKEY 257 3 8 AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3+/4RgWOq7HrxRixHlFlExOLAJr5emLvN7SWXgnLh4+B5xQlNVz8Og8kvArMtNROxVQuCaSnIDdD5LKyWbRd2n9WGe2R8PzgCmr3EgVLrjyBxWezF0jLHwVN8efS3rCj/EWgvIWgb9tarpVUDK/b58Da+sqqls3eNbuv7pr+eoZG+SrDK6nWeL3c6H5Apxz7LjVc1uTIdsIXxuOLYA4/ilBmSVIzuDWfdRUfhHdY6+cn8HFRm+2hM8AnXGXws9555KrUB5qihylGa8subX2Nn6UwNR1AkUTV74bU=",
			"example.net. IN DNSKEY 257 3 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==",
		} {
			rr, err := dns.NewRR(line)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := proof.KeyTag(dataOf(t, rr)), rr.(*dns.DNSKEY).KeyTag(); got != want {
				t.Errorf("%s: %d, want %d", line, got, want)
			}
		}
		if proof.KeyTag([]byte{1, 0, 3, 1, 9}) != 0 || proof.KeyTag([]byte{1, 0, 3, 1, 9, 8, 7}) != 0x0908 {
			t.Error("algorithm 1 (RFC 6840 section 5.5: the third and second last octets)")
		}
	})
	t.Run("DNSSEC4034-5.1.4-01 DS digests", func(t *testing.T) {
		_, ks, k, _, _ := signedSet(t, dns.ECDSAP256SHA256, 256)
		for _, d := range []uint8{dns.SHA1, dns.SHA256, dns.SHA384} {
			ds, ok := proof.ParseDS(dataOf(t, k.ToDS(d)))
			if !ok || !ds.Matches(name(t, "EXAMPLE.test."), ks.Keys()[0]) || ds.Matches(name(t, "example."), ks.Keys()[0]) {
				t.Errorf("digest %d", d)
			}
			cut := ds
			cut.Hash = cut.Hash[:len(cut.Hash)-1]
			if cut.Matches(ks.Zone, ks.Keys()[0]) {
				t.Errorf("digest %d cut off matches", d)
			}
			for _, edit := range []func(*proof.DS){
				func(d *proof.DS) { d.KeyTag++ }, func(d *proof.DS) { d.Algorithm++ }, func(d *proof.DS) { d.Digest = 3 },
			} {
				other := ds
				edit(&other)
				if other.Matches(ks.Zone, ks.Keys()[0]) {
					t.Errorf("%+v matches", other)
				}
			}
		}
	})
	t.Run("records cut off", func(t *testing.T) {
		if _, ok := proof.ParseKey([]byte{1, 1, 3}); ok {
			t.Error("key")
		}
		if _, ok := proof.ParseDS([]byte{1, 1, 3}); ok {
			t.Error("DS")
		}
		if _, ok := proof.ParseRRSIG(make([]byte, 18), 0); ok {
			t.Error("RRSIG")
		}
		if _, ok := proof.ParseRRSIG(append(make([]byte, 18), 5, 'a'), 0); ok {
			t.Error("RRSIG with a name cut off")
		}
	})
	t.Run("who may sign what", func(t *testing.T) {
		for _, c := range []struct {
			zone, owner string
			typ         uint16
			want        bool
		}{
			{"example.", "a.example.", dns.TypeA, true}, {"example.", "example.", dns.TypeA, true},
			{"example.", "evilexample.", dns.TypeA, false}, {"a.example.", "example.", dns.TypeA, false},
			{"example.", "example.", dns.TypeDS, false}, {"example.", "a.example.", dns.TypeDS, true},
			{"example.", "a.example.", dns.TypeDNSKEY, false}, {"example.", "example.", dns.TypeDNSKEY, true},
			{"example.", "a.example.", dns.TypeSOA, false}, {"example.", "a.example.", dns.TypeNS, false},
			{"example.", "a.example.", dns.TypeNSEC3PARAM, false}, {".", "a.", dns.TypeDS, true},
		} {
			if got := proof.CanSign(name(t, c.zone), name(t, c.owner), c.typ); got != c.want {
				t.Errorf("%+v: %t", c, got)
			}
		}
	})
	t.Run("the zero budget allows nothing", func(t *testing.T) {
		set, ks, _, _, _ := signedSet(t, dns.ED25519, 256)
		if _, err := ks.Verify(set, now, new(proof.Budget)); !errors.Is(err, proof.ErrBudget) {
			t.Error(err)
		}
		b := &proof.Budget{Signatures: 1}
		if _, err := ks.Verify(set, now, b); err != nil || b.Signatures != 0 {
			t.Errorf("%v, %+v", err, b)
		}
	})
	t.Run("signatures that disagree on labels", func(t *testing.T) {
		set, ks, _, _, _ := signedSet(t, dns.ED25519, 256)
		other := set.Sigs[0]
		other.Labels--
		set.Sigs = append(set.Sigs, other)
		if _, err := ks.Verify(set, now, proof.NewBudget()); !errors.Is(err, proof.ErrLabels) {
			t.Error(err)
		}
		set.Sigs[1].KeyTag++ // no key made that one
		if _, err := ks.Verify(set, now, proof.NewBudget()); err != nil {
			t.Error(err)
		}
	})
	t.Run("what a signature says of itself", func(t *testing.T) {
		set, ks, _, s, _ := signedSet(t, dns.ED25519, 256)
		got, err := ks.Verify(set, now, proof.NewBudget())
		if err != nil || got.TTL != 3600 || !got.Expires.Equal(time.Unix(int64(s.Expiration), 0)) || got.Algorithm != 15 || got.KeyTag != s.KeyTag || got.Encloser.IsValid() {
			t.Errorf("%+v %v", got, err)
		}
		set.TTL = 5
		set.Sigs[0].TTL = 4
		if got, _ := ks.Verify(set, now, proof.NewBudget()); got.TTL != 4 {
			t.Errorf("%+v", got)
		}
	})
	t.Run("the error that explains most", func(t *testing.T) {
		set, ks, _, _, _ := signedSet(t, dns.ED25519, 256)
		good := set.Sigs[0]
		with := func(edits ...func(*proof.RRSIG)) error {
			set.Sigs = nil
			for _, e := range edits {
				s := good
				e(&s)
				set.Sigs = append(set.Sigs, s)
			}
			_, err := ks.Verify(set, now, proof.NewBudget())
			return err
		}
		signer := func(s *proof.RRSIG) { s.Signer = name(t, "test.") }
		alg := func(s *proof.RRSIG) { s.Algorithm = 250 }
		tag := func(s *proof.RRSIG) { s.KeyTag++ }
		bad := func(s *proof.RRSIG) { s.Signature = append([]byte{9}, s.Signature[1:]...) }
		expired := func(s *proof.RRSIG) { s.Expiration = s.Inception }
		early := func(s *proof.RRSIG) { s.Inception = s.Expiration }
		for _, c := range []struct {
			edits []func(*proof.RRSIG)
			want  error
		}{
			{nil, proof.ErrUnsigned},
			{[]func(*proof.RRSIG){signer}, proof.ErrSigner},
			{[]func(*proof.RRSIG){signer, alg}, proof.ErrAlgorithm},
			{[]func(*proof.RRSIG){tag, alg}, proof.ErrNoKey},
			{[]func(*proof.RRSIG){tag, early}, proof.ErrNotYetValid},
			{[]func(*proof.RRSIG){expired, early}, proof.ErrExpired},
			{[]func(*proof.RRSIG){bad, expired}, proof.ErrBadSignature},
			{[]func(*proof.RRSIG){expired, bad, signer}, proof.ErrBadSignature},
		} {
			if err := with(c.edits...); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		}
	})
}

// FuzzVerify alters what was signed, or the signature: what is altered never verifies.
func FuzzVerify(f *testing.F) {
	set, ks, _, _, _ := signedSet(f, dns.ED25519, 256)
	f.Add(uint16(3), byte(1), true)
	f.Add(uint16(40), byte(0x80), false)
	f.Fuzz(func(t *testing.T, at uint16, bits byte, data bool) {
		s := *set
		s.Data = [][]byte{bytes.Clone(set.Data[0])}
		s.Sigs = []proof.RRSIG{set.Sigs[0]}
		s.Sigs[0].Signature = bytes.Clone(set.Sigs[0].Signature)
		b := s.Sigs[0].Signature
		if data {
			b = s.Data[0]
		}
		b[int(at)%len(b)] ^= bits
		if _, err := ks.Verify(&s, now, proof.NewBudget()); (err == nil) != (bits == 0) {
			t.Errorf("%d %x: %v", at, bits, err)
		}
	})
}

func TestShortKeys(t *testing.T) {
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
