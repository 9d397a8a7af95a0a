package proof

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/rfc6125"
)

// An RRset is all records of one owner and type in a section, with the signatures
// that came with them. Class is IN.
type RRset struct {
	Owner rfc6125.Name
	Type  uint16
	TTL   uint32   // seconds, the smallest of its records
	Data  [][]byte // canonical RDATA, in canonical order, no two alike (RFC 4034 section 6.3)
	Sigs  []RRSIG  // those that cover Type
}

// An RRSIG is a signature (RFC 4034 section 3).
type RRSIG struct {
	Covered     uint16
	Algorithm   uint8
	Labels      uint8
	OriginalTTL uint32 // seconds
	Expiration  uint32 // seconds, serial arithmetic
	Inception   uint32 // seconds, serial arithmetic
	KeyTag      uint16
	Signer      rfc6125.Name
	Signature   []byte
	TTL         uint32 // seconds, that of the RRSIG record itself
	head        []byte // RDATA without the signature: the front of what is signed
}

// ParseRRSIG reads the RDATA, in canonical form. ok is false if it is cut off.
func ParseRRSIG(data []byte, ttl uint32) (sig RRSIG, ok bool) {
	if len(data) < 19 {
		return RRSIG{}, false
	}
	signer, rest, err := wire.NameAt(data[18:])
	if err != nil {
		return RRSIG{}, false
	}
	return RRSIG{
		Covered:     binary.BigEndian.Uint16(data),
		Algorithm:   data[2],
		Labels:      data[3],
		OriginalTTL: binary.BigEndian.Uint32(data[4:]),
		Expiration:  binary.BigEndian.Uint32(data[8:]),
		Inception:   binary.BigEndian.Uint32(data[12:]),
		KeyTag:      binary.BigEndian.Uint16(data[16:]),
		Signer:      signer,
		Signature:   rest,
		TTL:         ttl,
		head:        data[:len(data)-len(rest)],
	}, true
}

// Group sorts the records of a section into RRsets, in the order in which they
// first appear, each with the signatures over it. A signature over an RRset that
// is not there becomes an RRset without Data.
func Group(section []wire.RR) []RRset {
	sets := make([]RRset, 0, 4)
	find := func(owner rfc6125.Name, typ uint16) *RRset {
		for i := range sets {
			if sets[i].Type == typ && sets[i].Owner == owner {
				return &sets[i]
			}
		}
		sets = append(sets, RRset{Owner: owner, Type: typ, TTL: 1<<32 - 1})
		return &sets[len(sets)-1]
	}
	// A section of a thousand owners would make the search above quadratic: no
	// answer needs more than this many RRsets (an alias chain, a denial for each).
	const maxSets = 128
	for _, rr := range section {
		if len(sets) >= maxSets {
			break
		}
		if rr.Type == wire.TypeRRSIG {
			if sig, ok := ParseRRSIG(rr.Data, rr.TTL); ok {
				s := find(rr.Owner, sig.Covered)
				s.Sigs = append(s.Sigs, sig)
			}
			continue
		}
		s := find(rr.Owner, rr.Type)
		s.Data = append(s.Data, rr.Data)
		s.TTL = min(s.TTL, rr.TTL)
	}
	for i := range sets {
		if len(sets[i].Data) > 1 {
			slices.SortFunc(sets[i].Data, bytes.Compare)
			// DNSSEC4034-6.3-01: RFC 4034 section 6.3
			sets[i].Data = slices.CompactFunc(sets[i].Data, bytes.Equal)
		}
	}
	return sets
}

// A Signed is a signature that verified.
type Signed struct {
	// TTL is the smallest of the RRset's TTL, the RRSIG's own and its original TTL,
	// in seconds (RFC 4035 section 5.3.3). The end of the signature is in Expires.
	TTL     uint32
	Expires time.Time
	// Encloser is set if the RRset was made from a wildcard: it is the wildcard
	// without its asterisk. That no closer name exists is then still to be proved.
	Encloser rfc6125.Name
	// Algorithm and KeyTag are those of the key.
	Algorithm uint8
	KeyTag    uint16
}

var errUnsigned = &Error{Kind: ErrUnsigned}

// Verify checks that a key of ks has signed set, at the time now. One good
// signature suffices (RFC 6840 section 5.4, 5.11). Signatures whose signer is not
// the zone of ks are passed over. Errors wrap a sentinel of this package.
func (ks *KeySet) Verify(set *RRset, now time.Time, b *Budget) (Signed, error) {
	var err error = errUnsigned
	if len(set.Sigs) > maxSignatures {
		return Signed{}, errorf(ErrBudget, "%d signatures over one set of records", len(set.Sigs))
	}
	if len(set.Sigs) > 1 && !ks.labelsAgree(set) {
		return Signed{}, errorf(ErrLabels, "signatures that disagree on how many there are")
	}
	for i := range set.Sigs {
		got, e := ks.verify(set, &set.Sigs[i], now, b)
		if e == nil {
			return got, nil // DNSSEC6840-5.11-01: RFC 6840 section 5.11
		}
		if err = worse(err, e); rank(err) == rank(ErrBudget) {
			break
		}
	}
	return Signed{}, err
}

// labelsAgree reports whether the signatures that a key of ks may have made name the
// same number of labels. An RRset has one owner in its zone, so those that do not are
// put together from different RRsets.
func (ks *KeySet) labelsAgree(set *RRset) bool {
	labels := -1
	for i := range set.Sigs {
		sig := &set.Sigs[i]
		if sig.Signer != ks.Zone || sig.Covered != set.Type || int(sig.Labels) == labels {
			continue
		}
		for j := range ks.keys {
			if k := &ks.keys[j]; k.Tag == sig.KeyTag && k.Algorithm == sig.Algorithm {
				if labels >= 0 {
					return false
				}
				labels = int(sig.Labels)
				break
			}
		}
	}
	return true
}

// verify checks one signature by the rules of RFC 4035 section 5.3.1, cheap ones
// first.
func (ks *KeySet) verify(set *RRset, sig *RRSIG, now time.Time, b *Budget) (Signed, error) {
	// DNSSEC4035-5.3.1-01: RFC 4035 section 5.3.1
	if sig.Covered != set.Type || sig.Signer != ks.Zone || !CanSign(ks.Zone, set.Owner, set.Type) {
		return Signed{}, errorf(ErrSigner, "%s", sig.Signer)
	}
	// RFC 4034 section 3.1.3: neither the root nor the asterisk counts.
	labels := set.Owner.NumLabels()
	if set.Owner.IsWildcard() {
		labels--
	}
	// DNSSEC4035-5.3.1-02: RFC 4035 section 5.3.1
	if int(sig.Labels) > labels || int(sig.Labels) < ks.Zone.NumLabels() {
		return Signed{}, errorf(ErrLabels, "%d", sig.Labels)
	}
	algorithm := ks.algorithms[sig.Algorithm]
	if algorithm == nil { // ALG9905-2-03: RFC 9905 section 2
		return Signed{}, errorf(ErrAlgorithm, "%d", sig.Algorithm)
	}
	// RFC 4034 section 3.1.5: serial number arithmetic, both ends valid.
	t := uint32(now.Unix())
	// DNSSEC4034-3.1.5-01: RFC 4034 section 3.1.5; DNSSEC4035-5.3.1-03: RFC 4035 section 5.3.1
	if int32(sig.Expiration-t) < 0 {
		return Signed{}, timed(ErrExpired, "at ", serialTime(sig.Expiration, now))
	}
	if int32(t-sig.Inception) < 0 {
		return Signed{}, timed(ErrNotYetValid, "before ", serialTime(sig.Inception, now))
	}
	owner := set.Owner
	var encloser rfc6125.Name
	if int(sig.Labels) < labels {
		encloser = owner.Ancestor(int(sig.Labels)) // DNSSEC4035-4.2-01: RFC 4035 section 4.2
		var err error
		if owner, err = encloser.Child("*"); err != nil {
			return Signed{}, errorf(ErrLabels, "%d", sig.Labels)
		}
	}
	var err error
	var data []byte
	tried := 0
	for i := range ks.keys {
		k := &ks.keys[i]
		// DNSSEC4034-B-01: RFC 4034 appendix B; DNSSEC4035-5.3.1-04: RFC 4035 section 5.3.1
		// DNSSEC4035-5.3.1-05: RFC 4035 section 5.3.1
		if k.Tag != sig.KeyTag || k.Algorithm != sig.Algorithm || !k.usable() {
			continue
		}
		if tried++; tried > maxSameTag {
			return Signed{}, errorf(ErrBudget, "more than %d keys with tag %d", maxSameTag, sig.KeyTag)
		}
		pub, e := k.public(algorithm)
		if e != nil {
			err = worse(err, e)
			continue
		}
		if data == nil {
			data = signedData(set, sig, owner)
		}
		if e := b.check(pub, len(data)); e != nil {
			return Signed{}, e
		}
		if pub.Verify(data, sig.Signature) {
			return Signed{
				// DNSSEC4035-5.3.3-02: RFC 4035 section 5.3.3
				TTL:       min(set.TTL, sig.TTL, sig.OriginalTTL),
				Expires:   now.Add(time.Duration(int32(sig.Expiration-t)) * time.Second).Truncate(time.Second),
				Encloser:  encloser,
				Algorithm: k.Algorithm,
				KeyTag:    k.Tag,
			}, nil
		}
		err = worse(err, errorf(ErrBadSignature, "algorithm %d, key tag %d", sig.Algorithm, sig.KeyTag))
		if e := b.fail(); e != nil {
			return Signed{}, e
		}
	}
	if err == nil {
		// DNSSEC6840-5.12-01: RFC 6840 section 5.12
		err = errorf(ErrNoKey, "algorithm %d, key tag %d", sig.Algorithm, sig.KeyTag)
	}
	return Signed{}, err
}

// CanSign reports whether the zone may hold an RRset of the type at owner, as far
// as the names alone show (RFC 4035 section 5.3.1): owner is in the zone, a DS is
// below its apex, and what belongs to an apex is at it.
func CanSign(zone, owner rfc6125.Name, typ uint16) bool {
	switch typ {
	case wire.TypeDS:
		return zone != owner && owner.IsSubdomainOf(zone)
	case wire.TypeDNSKEY, wire.TypeSOA, wire.TypeNSEC3PARAM, wire.TypeNS:
		// A delegation's NS set is never signed (RFC 4035 section 2.2).
		return zone == owner
	}
	return owner.IsSubdomainOf(zone)
}

// signedData returns the signed data of RFC 4034 section 3.1.8.1: the RRSIG's RDATA without
// the signature, then the records in order, each with the owner as it is in the
// zone and the original TTL.
func signedData(set *RRset, sig *RRSIG, owner rfc6125.Name) []byte {
	n := len(sig.head)
	for _, d := range set.Data {
		n += owner.WireLen() + 10 + len(d)
	}
	b := make([]byte, 0, n)
	b = append(b, sig.head...) // DNSSEC4034-3.1.8.1-01: RFC 4034 section 3.1.8.1
	for _, d := range set.Data {
		b = owner.AppendWire(b)
		b = binary.BigEndian.AppendUint16(b, set.Type)
		b = binary.BigEndian.AppendUint16(b, wire.ClassIN)
		b = binary.BigEndian.AppendUint32(b, sig.OriginalTTL)
		b = binary.BigEndian.AppendUint16(b, uint16(len(d)))
		b = append(b, d...)
	}
	return b
}

// serialTime is the moment nearest to now that a 32-bit time can mean.
func serialTime(t uint32, now time.Time) time.Time {
	return now.Add(time.Duration(int32(t-uint32(now.Unix()))) * time.Second).UTC().Truncate(time.Second)
}

// timed makes an Error of a signature that is outside of its time.
func timed(kind error, word string, at time.Time) error {
	return &Error{Kind: kind, Text: word + at.Format("2006-01-02 15:04:05 UTC"), At: at}
}
