package lab

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"math/big"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/internal/dnstree"
)

// A keyRing keeps one set of keys a zone name, so that a zone that changes hands by
// Forge keeps its keys.
type keyRing struct {
	mu   sync.Mutex // guards sets
	sets map[ringKey][2][]dnstree.Key
}

type ringKey struct {
	apex      string
	algorithm uint8
	split     bool
	colliding int
}

// of returns the zone's keys and those that only look like its.
func (r *keyRing) of(apex string, spec Zone) (own, alike []dnstree.Key, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sets == nil {
		r.sets = map[ringKey][2][]dnstree.Key{}
	}
	k := ringKey{apex, spec.Algorithm, spec.Split, spec.Colliding}
	if set, ok := r.sets[k]; ok {
		return set[0], set[1], nil
	}
	if spec.Split {
		zsk, err := newKey(apex, spec.Algorithm, dnstree.FlagZone)
		if err != nil {
			return nil, nil, err
		}
		own = append(own, zsk)
	}
	sep, err := newKey(apex, spec.Algorithm, dnstree.FlagZone+dnstree.FlagSEP)
	if err != nil {
		return nil, nil, err
	}
	own = append(own, sep)
	if spec.Colliding > 0 {
		if alike, err = collide(own[0], spec.Colliding); err != nil {
			return nil, nil, err
		}
	}
	r.sets[k] = [2][]dnstree.Key{own, alike}
	return own, alike, nil
}

// newKey makes a key of a zone with the TTL that the zones have.
func newKey(apex string, algorithm uint8, flags uint16) (dnstree.Key, error) {
	k, err := dnstree.NewKey(apex, algorithm, flags, 0)
	if err == nil {
		k.Hdr.Ttl = usualTTL
	}
	return k, err
}

// collide makes n keys of the tag of k. A tag is a sum of 16-bit words (RFC 4034
// appendix B), so a key whose words are shuffled has the same one; of a shuffled
// Ed25519 key every second is a point of the curve, of an RSA modulus all are numbers.
func collide(k dnstree.Key, n int) ([]dnstree.Key, error) {
	raw, err := base64.StdEncoding.DecodeString(k.PublicKey)
	if err != nil {
		return nil, err
	}
	from, usable := 0, func([]byte) bool { return true }
	switch k.Algorithm {
	case dns.ED25519:
		usable = onEdwards25519
	case dns.RSASHA256, dns.RSASHA512:
		from = 4 // length and exponent 65537, which end on an even octet
	default:
		return nil, errors.New("keys that collide are made for algorithms 8, 10 and 15")
	}
	var out []dnstree.Key
	for len(out) < n {
		b := slices.Clone(raw)
		words := (len(b) - from) / 2
		for i := words - 2; i > 0; i-- { // the last word stays: an RSA modulus is odd
			j := rand.IntN(i + 1)
			for o := range 2 {
				x, y := from+2*i+o, from+2*j+o
				b[x], b[y] = b[y], b[x]
			}
		}
		if !usable(b) || slices.Equal(b, raw) {
			continue
		}
		rr := *k.DNSKEY
		rr.PublicKey = base64.StdEncoding.EncodeToString(b)
		if rr.KeyTag() != k.KeyTag() {
			return nil, errors.New("key tags differ")
		}
		out = append(out, dnstree.Key{DNSKEY: &rr})
	}
	return out, nil
}

// onEdwards25519 reports whether the octets are a compressed point of the curve:
// (y*y-1)/(d*y*y+1) has a root modulo 2^255-19 (RFC 8032 section 5.1.3).
func onEdwards25519(b []byte) bool {
	if len(b) != ed25519.PublicKeySize {
		return false
	}
	le := slices.Clone(b)
	slices.Reverse(le)
	le[0] &= 0x7f
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	y := new(big.Int).SetBytes(le)
	if y.Cmp(p) >= 0 {
		return false
	}
	d := new(big.Int).Mul(big.NewInt(-121665), new(big.Int).ModInverse(big.NewInt(121666), p))
	yy := new(big.Int).Mul(y, y)
	num := new(big.Int).Sub(yy, big.NewInt(1))
	den := new(big.Int).Add(new(big.Int).Mul(d, yy), big.NewInt(1))
	q := num.Mul(num, den) // has a root exactly if num/den has one
	return big.Jacobi(q.Mod(q, p), p) >= 0
}

// strangers are the keys of [WrongKey]: one an algorithm, of no zone.
var strangers sync.Map

func stranger(algorithm uint8) (dnstree.Key, error) {
	if v, ok := strangers.Load(algorithm); ok {
		return v.(dnstree.Key), nil
	}
	k, err := newKey("stranger.invalid.", algorithm, dnstree.FlagZone)
	if err == nil {
		strangers.Store(algorithm, k)
	}
	return k, err
}

// usualLife is how long signatures are valid, and how long ago they were made.
const usualLife = 10 * 24 * time.Hour

// signed returns the records of an owner with their signatures, broken as the spec of
// the zone says. The caller must not change them.
func (z *zone) signed(owner string, typ uint16, rrs []dns.RR) []dns.RR {
	if len(rrs) == 0 || z.spec.Sign == Unsigned {
		return rrs
	}
	if z.cuts[owner] != nil && typ == dns.TypeNS {
		return rrs // no authority, no signature (RFC 4035 section 2.2)
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	k := rrKey{owner, typ, 0}
	if set := z.data[owner][typ]; typ == dns.TypeCNAME && len(set) == 2 && rrs[0] == set[1] {
		k.face = 1
	}
	if out, ok := z.sigs[k]; ok {
		return out
	}
	if z.sigs == nil {
		z.sigs = map[rrKey][]dns.RR{}
	}
	out := z.makeSigned(owner, typ, rrs)
	z.sigs[k] = out
	return out
}

// makeSigned signs one RRset. Signing fails only for a spec that newZone refused.
func (z *zone) makeSigned(owner string, typ uint16, rrs []dns.RR) []dns.RR {
	signer := z.keys[0]
	if typ == dns.TypeDNSKEY {
		signer = z.keys[len(z.keys)-1]
	}
	life := z.spec.Lasts.Duration()
	if life == 0 {
		life = usualLife
	}
	now := z.now()
	sig := signer.Draft(z.apex, rrs, now.Add(-usualLife), now.Add(life))
	private := signer.Private
	has := func(w BreakWord) bool { return z.broken(w, owner, typ) }
	if has(Stripped) {
		return rrs
	}
	if has(Expired) {
		sig.Expiration = uint32(now.Add(-24 * time.Hour).Unix())
	}
	if has(NotYetValid) {
		sig.Inception = uint32(now.Add(24 * time.Hour).Unix())
	}
	if has(WrongSigner) {
		sig.SignerName = dnstree.Parent(z.apex)
	}
	if has(WrongKey) {
		k, err := stranger(signer.Algorithm)
		if err != nil {
			return rrs
		}
		private, sig.KeyTag = k.Private, k.KeyTag()
	}
	out := slices.Clone(rrs)
	if err := dnstree.Sign(sig, private, rrs); err != nil {
		return out
	}
	if has(BadSignature) {
		sig.Signature = dnstree.Flip(sig.Signature)
	}
	if has(Forged) {
		for i, rr := range out {
			out[i] = forge(rr)
		}
	}
	for range z.false {
		bad := *sig
		bad.Signature = scramble(sig.Signature)
		out = append(out, &bad)
	}
	return append(out, sig)
}

// broken reports whether the zone is broken in that way at an RRset.
func (z *zone) broken(w BreakWord, owner string, typ uint16) bool {
	return slices.ContainsFunc(z.spec.Break, func(b Break) bool {
		return b.What == w &&
			(b.Name == "" || fqdn(b.Name) == owner) &&
			(b.Type == "" || dns.StringToType[b.Type] == typ)
	})
}

// scramble makes a worthless signature of the same shape.
func scramble(s string) string {
	b, _ := base64.StdEncoding.DecodeString(s)
	for i := range b {
		b[i] = byte(rand.IntN(256))
	}
	if len(b) == ed25519.SignatureSize {
		b[len(b)-1] &= 0x0f // an S below the group's order, or it is not even tried
	} else {
		b[0] &= 0x3f
	}
	return base64.StdEncoding.EncodeToString(b)
}

// forge changes the data of a record.
func forge(rr dns.RR) dns.RR {
	out := dns.Copy(rr)
	switch r := out.(type) {
	case *dns.A:
		r.A = r.A.To4()
		r.A[3] ^= 1
	case *dns.AAAA:
		r.AAAA[15] ^= 1
	case *dns.MX:
		r.Preference ^= 1
	case *dns.TXT:
		r.Txt[0] += " "
	case *dns.TLSA:
		r.MatchingType ^= 3
	case *dns.CNAME:
		r.Target = "forged." + r.Target
	case *dns.DS:
		r.KeyTag ^= 1
	}
	return out
}
