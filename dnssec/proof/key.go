package proof

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"sync"
	"time"

	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/rfc6125"
)

// Bits of the DNSKEY flags field.
const (
	flagZone   = 0x0100 // RFC 4034 section 2.1.1
	flagRevoke = 0x0080 // RFC 5011 section 7
)

// A Key is one DNSKEY record (RFC 4034 section 2).
type Key struct {
	Flags     uint16
	Protocol  uint8
	Algorithm uint8
	Tag       uint16
	Data      []byte // the RDATA

	parsed *parsed // shared by copies
}

// parsed is the public key, made at first use: a set may hold many keys that are
// never needed.
type parsed struct {
	once sync.Once
	pub  PublicKey
	err  error
}

// ParseKey reads the RDATA of a DNSKEY record. ok is false if it is cut off.
func ParseKey(data []byte) (k Key, ok bool) {
	if len(data) < 4 {
		return Key{}, false
	}
	return Key{
		Flags:     binary.BigEndian.Uint16(data),
		Protocol:  data[2],
		Algorithm: data[3],
		Tag:       KeyTag(data),
		Data:      data,
		parsed:    new(parsed),
	}, true
}

// Revoked reports the REVOKE bit (RFC 5011 section 7).
func (k Key) Revoked() bool { return k.Flags&flagRevoke != 0 }

// ZoneKey reports whether the record is a key for signing zones at all (RFC 4034
// section 2.1.1 and 2.1.2). The SEP bit and reserved bits mean nothing here.
func (k Key) ZoneKey() bool { return k.Flags&flagZone != 0 && k.Protocol == 3 }

// usable reports whether the key may sign anything (RFC 5011 section 2.1: a
// revoked key signs only its own set, to say that it is revoked).
func (k Key) usable() bool { return k.ZoneKey() && !k.Revoked() }

func (k *Key) public(a Algorithm) (PublicKey, error) {
	k.parsed.once.Do(func() { k.parsed.pub, k.parsed.err = a(k.Data[4:]) })
	return k.parsed.pub, k.parsed.err
}

// Unrevoked returns the RDATA with the REVOKE bit cleared.
func (k Key) Unrevoked() []byte {
	d := bytes.Clone(k.Data)
	d[1] &^= flagRevoke
	return d
}

// KeyTag computes the tag of DNSKEY RDATA (RFC 4034 appendix B; B.1 for algorithm
// 1). It does not identify a key uniquely.
func KeyTag(data []byte) uint16 {
	if len(data) >= 4 && data[3] == 1 {
		if len(data) < 7 {
			return 0
		}
		return binary.BigEndian.Uint16(data[len(data)-3:])
	}
	var sum uint32
	for i, c := range data {
		if i&1 == 0 {
			sum += uint32(c) << 8
		} else {
			sum += uint32(c)
		}
	}
	return uint16(sum + sum>>16&0xffff) // DNSSEC4034-B-02: RFC 4034 appendix B
}

// A KeySet is the DNSKEY RRset of a zone, or the part of it that is believed. It
// is immutable and safe for concurrent use.
type KeySet struct {
	Zone       rfc6125.Name
	keys       []Key
	algorithms Algorithms
}

// NewKeySet returns a set of keys that the caller believes.
func NewKeySet(zone rfc6125.Name, keys []Key, a Algorithms) *KeySet {
	return &KeySet{Zone: zone, keys: keys, algorithms: a}
}

// Keys returns the keys; the caller must not change them.
func (ks *KeySet) Keys() []Key { return ks.keys }

// Compact returns ks with copies of the keys, so that it keeps no message alive that they
// were read from.
func (ks *KeySet) Compact() *KeySet {
	n := 0
	for _, k := range ks.keys {
		n += len(k.Data)
	}
	block := make([]byte, 0, n)
	keys := make([]Key, len(ks.keys))
	for i, k := range ks.keys {
		from := len(block)
		block = append(block, k.Data...)
		k.Data = block[from:len(block):len(block)]
		keys[i] = k
	}
	return &KeySet{Zone: ks.Zone, keys: keys, algorithms: ks.algorithms}
}

// Size estimates the memory that a compact ks takes once all its keys have been used.
func (ks *KeySet) Size() int {
	const (
		sizeSet = 64
		sizeKey = 56 + 48 + 160 // the Key, what is parsed of it, and the numbers of that
	)
	n := sizeSet + ks.Zone.WireLen()
	for _, k := range ks.keys {
		n += sizeKey + 2*len(k.Data) // the record, and the numbers
	}
	return n + n/8
}

// A DS is a delegation signer record (RFC 4034 section 5), from a parent zone or
// as a trust anchor.
type DS struct {
	KeyTag    uint16
	Algorithm uint8
	Digest    uint8 // digest type
	Hash      []byte
}

// Digest types (IANA registry "Digest Algorithms", as of 2025-11).
const (
	SHA1   = 1
	SHA256 = 2
	SHA384 = 4
)

// digestLen are the lengths of the digests that are supported. Any other length
// never matches (RFC 4509 section 2), and type 0 is none (RFC 8624 section 3.3).
func digestLen(digest uint8) int {
	switch digest {
	case SHA1: // ALG8624-3.3-01: RFC 8624 section 3.3
		return sha1.Size
	case SHA256:
		return sha256.Size
	case SHA384:
		return sha512.Size384
	}
	return 0 // ALG8624-3.3-02: RFC 8624 section 3.3
}

// ParseDS reads the RDATA of a DS record. ok is false if it is cut off.
func ParseDS(data []byte) (ds DS, ok bool) {
	if len(data) < 4 {
		return DS{}, false
	}
	return DS{binary.BigEndian.Uint16(data), data[2], data[3], data[4:]}, true
}

// Matches reports whether ds is the digest of the key at owner (RFC 4034 section
// 5.1.4). It is false for a digest that is not supported.
func (ds DS) Matches(owner rfc6125.Name, key Key) bool {
	return ds.KeyTag == key.Tag && ds.Algorithm == key.Algorithm && ds.digestOf(owner, key.Data)
}

func (ds DS) digestOf(owner rfc6125.Name, data []byte) bool {
	if len(ds.Hash) != digestLen(ds.Digest) { // DS4509-2-01: RFC 4509 section 2
		return false
	}
	buf := make([]byte, 0, 512)
	buf = append(owner.AppendWire(buf), data...)
	switch ds.Digest {
	case SHA1:
		h := sha1.Sum(buf)
		return bytes.Equal(h[:], ds.Hash)
	case SHA256:
		h := sha256.Sum256(buf)
		return bytes.Equal(h[:], ds.Hash)
	case SHA384:
		h := sha512.Sum384(buf)
		return bytes.Equal(h[:], ds.Hash)
	}
	return false
}

// Trust holds what the keys of a zone are compared with: the DS records of its parent,
// or trust anchors as DS and DNSKEY.
type Trust struct {
	DS   []DS
	Keys []Key
}

// usableDS returns the DS records that count: algorithm and digest supported (RFC
// 4035 section 5.2, RFC 6840 section 5.2), and none with SHA-1 where a stronger
// digest is present (RFC 4509 section 3). The rule of RFC 4509 goes by the
// algorithm of the key, so that a SHA-256 digest for a key of one algorithm does
// not take away the only digest there is for another's.
func usableDS(all []DS, a Algorithms) []DS {
	var stronger [256]bool // algorithms that have a digest stronger than SHA-1
	for _, ds := range all {
		if ds.Digest == SHA256 || ds.Digest == SHA384 {
			stronger[ds.Algorithm] = true
		}
	}
	var out []DS
	for _, ds := range all {
		// DNSSEC6840-5.2-01: RFC 6840 section 5.2; ALG9905-2-01: RFC 9905 section 2
		if a[ds.Algorithm] == nil || digestLen(ds.Digest) == 0 || ds.Digest == SHA1 && stronger[ds.Algorithm] {
			continue
		}
		out = append(out, ds)
	}
	return out
}

// Authenticate proves the DNSKEY RRset of a zone: some key in it fits a DS record
// or anchor of t, is a zone key, is not revoked, and signs the set (RFC 4035
// section 5 and 5.2). Any one will do. Errors wrap [ErrNoDS] (the zone counts as
// unsigned), [ErrNoMatch], [ErrRevoked], [ErrBudget], or say why the signature of
// the key that fits is no good.
func Authenticate(set *RRset, t Trust, a Algorithms, now time.Time, b *Budget) (*KeySet, Signed, error) {
	if len(set.Data) > maxKeys || len(t.DS) > maxDS {
		return nil, Signed{}, errorf(ErrBudget, "%d DNSKEY and %d DS records", len(set.Data), len(t.DS))
	}
	ds := usableDS(t.DS, a)
	anchors := make([]Key, 0, len(t.Keys))
	for _, k := range t.Keys {
		if a[k.Algorithm] != nil {
			anchors = append(anchors, k)
		}
	}
	if len(ds)+len(anchors) == 0 {
		return nil, Signed{}, errorf(ErrNoDS, "%s", set.Owner)
	}
	all := make([]Key, 0, len(set.Data))
	for _, d := range set.Data {
		if k, ok := ParseKey(d); ok {
			all = append(all, k)
		}
	}
	var fits []Key
	revoked := false
	v := voucher{owner: set.Owner, ds: ds, anchors: anchors, budget: b}
	for _, k := range all {
		// DNSSEC4034-2.1.1-01: RFC 4034 section 2.1.1; DNSSEC4034-2.1.1-02: RFC 4034 section 2.1.1
		// DNSSEC4034-2.1.2-01: RFC 4034 section 2.1.2
		if !k.ZoneKey() || k.Revoked() && revoked {
			continue
		}
		data := k.Data
		if k.Revoked() {
			data = k.Unrevoked()
		}
		switch ok, err := v.vouches(data, k.Algorithm); {
		case err != nil:
			return nil, Signed{}, err
		case ok && k.Revoked():
			revoked = true
		case ok:
			fits = append(fits, k)
		}
	}
	if len(fits) == 0 {
		if revoked {
			return nil, Signed{}, errorf(ErrRevoked, "%s", set.Owner)
		}
		return nil, Signed{}, errorf(ErrNoMatch, "%s", set.Owner)
	}
	// DNSSEC4035-5-01: RFC 4035 section 5
	signed, err := NewKeySet(set.Owner, fits, a).Verify(set, now, b)
	if err != nil {
		return nil, Signed{}, err
	}
	if signed.Encloser.IsValid() {
		return nil, Signed{}, errorf(ErrLabels, "a DNSKEY set made from a wildcard")
	}
	return NewKeySet(set.Owner, all, a), signed, nil
}

// A voucher compares the keys of one zone with its DS records and anchors.
type voucher struct {
	owner      rfc6125.Name
	ds         []DS
	anchors    []Key
	budget     *Budget
	mismatches int // digests that did not match
}

// vouches reports whether a DS record or an anchor is for the key. Its error wraps
// [ErrBudget].
func (v *voucher) vouches(data []byte, algorithm uint8) (bool, error) {
	for _, k := range v.anchors {
		if bytes.Equal(k.Data, data) {
			return true, nil
		}
	}
	tag := KeyTag(data)
	for _, d := range v.ds {
		if d.KeyTag != tag || d.Algorithm != algorithm {
			continue
		}
		if err := v.budget.digest(); err != nil {
			return false, err
		}
		if d.digestOf(v.owner, data) {
			return true, nil
		}
		if v.mismatches++; v.mismatches > maxMismatches {
			return false, errorf(ErrBudget, "more than %d digests of keys with the tag of a DS record do not match it", maxMismatches)
		}
	}
	return false, nil
}

// SelfRevoked returns those keys of the set that carry the REVOKE bit and prove it
// by signing the set (RFC 5011 section 2.1), in the form that they had before.
func SelfRevoked(set *RRset, a Algorithms, now time.Time, b *Budget) [][]byte {
	var out [][]byte
	if set.Type != wire.TypeDNSKEY || len(set.Data) > maxKeys {
		return nil
	}
	for _, d := range set.Data {
		k, ok := ParseKey(d)
		if !ok || !k.ZoneKey() || !k.Revoked() {
			continue
		}
		// Let the key count as a usable one for this one check: its tag is that of
		// the revoked form, its flags are not looked at any further.
		k.Flags &^= flagRevoke
		if _, err := NewKeySet(set.Owner, []Key{k}, a).Verify(set, now, b); err == nil {
			out = append(out, k.Unrevoked())
		}
	}
	return out
}

// Supported reports whether anything in t has an algorithm and a digest that count.
func (t Trust) Supported(a Algorithms) bool {
	if len(usableDS(t.DS, a)) > 0 {
		return true
	}
	for _, k := range t.Keys {
		if a[k.Algorithm] != nil {
			return true
		}
	}
	return false
}
