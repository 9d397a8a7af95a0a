package dane

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"math"
	"slices"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/internal/text"
	"github.com/mxauth/mxauth/pkix"
)

// A UsePolicy says which records this operator lets count; the zero UsePolicy takes
// what RFC 7672 section 3.1 and RFC 7671 section 9 take. It has no way to let usages
// 0 and 1 count (RFC 7672 section 3.1.3, RFC 7671 section 4).
type UsePolicy struct {
	// Forbid drops a record for a reason of the operator's own; nil drops none. It is
	// asked only about records that are usable otherwise, before digest agility.
	Forbid func(Record) (why string)
	// Strength orders digests, strongest first (RFC 7671 section 9); nil means
	// SHA2-512, then SHA2-256. A digest that is not listed is not usable. Full(0) is no
	// digest: it counts whether it is listed or not.
	Strength []MatchingType
}

// defaultStrength is the order of RFC 7671 section 9, by length.
var defaultStrength = [...]MatchingType{SHA2_512, SHA2_256}

// A RecordUse is the verdict on one record of a TLSA RRset, before any connection.
type RecordUse struct {
	Record Record
	Usable bool
	Fault  Fault // why it is not usable; NoFault if it is
	// What the fault is about.
	Stronger MatchingType // of FaultOutranked: the digest that is present
	Octets   uint16       // of FaultMalformed: the length of the RDATA
	Local    string       // of FaultForbidden: what UsePolicy.Forbid returned, cut
}

// A Set is a TLSA RRset, judged for SMTP. It is immutable and may be used by many
// goroutines at once. The zero Set holds nothing.
type Set struct {
	uses   []RecordUse
	usable []preparedRecord // the usable ones, DANE-EE before DANE-TA, else in the order given
	ee     int              // how many of them are DANE-EE
}

// A preparedRecord is a usable one with what can be made of it before any peer is
// seen.
type preparedRecord struct {
	use    int // index in Set.uses
	record Record
	kind   uint8 // which of the values of a certificate it is compared with
	anchor pkix.Anchor
	cert   *pkix.Certificate // of a 2 0 0 record
	key    bool              // anchor is the bare key of a 2 1 0 record
	trace  []RecordResult    // of a DANE-EE record: the trace if it is the one that matches
}

// kindOf numbers the value of a certificate that r is compared with, one for each
// selector and matching type, which are known ones.
func kindOf(r Record) uint8 {
	return uint8(r.Selector)*3 + uint8(r.MatchingType)
}

// NewSet judges the records: usages 0 and 1, unknown selectors and matching types,
// digests of a wrong length, full data that does not parse and what p forbids are
// not usable; of each (usage, selector) only Full and the strongest digest are kept.
func NewSet(records []Record, p UsePolicy) Set {
	s := Set{uses: make([]RecordUse, len(records))}
	for i, r := range records {
		s.uses[i] = RecordUse{Record: r}
	}
	s.judge(p)
	return s
}

// setFromDNS is [NewSet] for the records of an answer. One that is shorter than
// its three numbers is in the set as the zero Record and is not usable (RFC 6698
// sections 2.1 and 4.1): the set is not empty, so RFC 7672 section 2.2 asks for TLS
// even if there is nothing else in it.
func setFromDNS(records []dnssec.Record, p UsePolicy) Set {
	s := Set{uses: make([]RecordUse, len(records))}
	for i, d := range records {
		r, err := RecordFromDNS(d)
		s.uses[i].Record = r
		if err != nil {
			s.uses[i].Fault, s.uses[i].Octets = FaultMalformed, uint16(min(len(d.Data), math.MaxUint16))
		}
	}
	s.judge(p)
	return s
}

// judge fills the rest of s from the records in s.uses; one that has a fault already
// is not looked at.
func (s *Set) judge(p UsePolicy) {
	strength := p.Strength
	if strength == nil {
		strength = defaultStrength[:]
	}
	var best [2][2]int // per usage and selector: rank of the strongest digest present
	for u := range best {
		best[u] = [2]int{len(strength), len(strength)} // none yet
	}
	for i := range s.uses {
		u := &s.uses[i]
		if u.Fault != NoFault {
			continue
		}
		if i >= MaxRecords {
			u.Fault = FaultTooMany
			continue
		}
		if u.Fault = unusable(u.Record, strength); u.Fault == NoFault && p.Forbid != nil {
			if why := p.Forbid(u.Record); why != "" {
				u.Fault, u.Local = FaultForbidden, text.Cut(why, maxInput)
			}
		}
		if u.Fault != NoFault || u.Record.MatchingType == Full {
			continue
		}
		b := &best[u.Record.Usage-DANETA][u.Record.Selector]
		*b = min(*b, slices.Index(strength, u.Record.MatchingType))
	}
	// RFC 7671 section 9: unusable records are gone by now, so that a malformed one
	// cannot push out a good one of a weaker digest (DANE7671-9-03).
	for i := range s.uses {
		u := &s.uses[i]
		if u.Fault != NoFault {
			continue
		}
		if r := u.Record; r.MatchingType != Full {
			// DANE7672-5-01: RFC 7672 section 5
			if b := best[r.Usage-DANETA][r.Selector]; slices.Index(strength, r.MatchingType) != b {
				u.Fault, u.Stronger = FaultOutranked, strength[b]
				continue
			}
		}
		u.Usable = true
	}
	s.prepare()
}

// maxTraces is up to how many records the traces of all matches are made beforehand:
// then a match of DANE-EE, the most frequent of all verdicts, allocates nothing. Their
// size goes with the square of the records.
const maxTraces = 8

// prepare fills s.usable.
func (s *Set) prepare() {
	for _, usage := range [...]Usage{DANEEE, DANETA} {
		for i, u := range s.uses {
			if u.Usable && u.Record.Usage == usage {
				s.usable = append(s.usable, prepare(u.Record, i))
			}
		}
		if usage == DANEEE {
			s.ee = len(s.usable)
		}
	}
	if len(s.uses) <= maxTraces {
		for i := range s.ee {
			s.usable[i].trace = s.provedTrace(i)
		}
	}
}

// unusable returns why r cannot be used for SMTP; NoFault if it can.
func unusable(r Record, strength []MatchingType) Fault {
	switch {
	case r.Usage == PKIXTA || r.Usage == PKIXEE: // TLSA6698-6-01: RFC 6698 section 6
		return FaultPKIXUsage
	case r.Usage > DANEEE: // TLSA6698-4.1-04: RFC 6698 section 4.1
		return FaultUnknownUsage
	case r.Selector > SPKI:
		return FaultUnknownSelector
	case r.MatchingType > SHA2_512:
		return FaultUnknownMatching
	case r.MatchingType == Full:
		return fullUnusable(r)
	}
	// TLSA6698-4.1-05: RFC 6698 section 4.1
	if len(r.Data) != r.MatchingType.Size() {
		return FaultLength
	}
	if !slices.Contains(strength, r.MatchingType) { // TLSA6698-4.1-06: RFC 6698 section 4.1
		return FaultDigestOff
	}
	return NoFault
}

// Size returns how many octets the digest of a matching type has; 0 for Full and for
// numbers that are unknown.
func (m MatchingType) Size() int {
	switch m {
	case SHA2_256:
		return sha256.Size
	case SHA2_512:
		return sha512.Size
	}
	return 0
}

// fullUnusable returns the fault of a Full(0) record whose data does not have the structure
// that its selector names.
//
// The structure is what counts, not whether crypto/x509 reads it: a certificate with
// a curve or a serial number that Go refuses is a certificate still, and a record that
// nothing will match is safer than one that drops out and leaves the host without
// authentication.
func fullUnusable(r Record) Fault {
	if r.Selector == SPKI {
		var key keyShape
		if rest, err := asn1.Unmarshal([]byte(r.Data), &key); err != nil || len(rest) > 0 {
			return FaultNotKey
		}
		return NoFault
	}
	if pkix.Read([]byte(r.Data)).Unread(pkix.FieldStructure) != "" {
		return FaultNotCert
	}
	return NoFault
}

// The outer structure of a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
type (
	algShape struct {
		Algorithm  asn1.ObjectIdentifier
		Parameters asn1.RawValue `asn1:"optional"`
	}
	keyShape struct {
		Algorithm algShape
		Key       asn1.BitString
	}
)

// prepare makes of a usable record what does not depend on the peer.
func prepare(r Record, use int) preparedRecord {
	p := preparedRecord{use: use, record: r, kind: kindOf(r)}
	if r.Usage != DANETA || r.MatchingType != Full {
		return p
	}
	if r.Selector == SPKI {
		// RFC 7671 section 5.2.3. A key of an algorithm that pkix does not know cannot
		// be tried as an anchor; a certificate that holds it can match all the same.
		if a, err := pkix.KeyAnchor([]byte(r.Data)); err == nil {
			p.anchor, p.key = a, true
		}
		return p
	}
	if c := pkix.Read([]byte(r.Data)); c.Unread(pkix.FieldStructure) == "" {
		p.anchor, p.cert = pkix.AnchorOf(c), c
	}
	return p
}

// Uses lists every record with its verdict, in the order given.
func (s Set) Uses() []RecordUse { return slices.Clone(s.uses) }

// Usable lists the records that count, DANE-EE first, else in the order given.
func (s Set) Usable() []Record {
	out := make([]Record, len(s.usable))
	for i, p := range s.usable {
		out[i] = p.record
	}
	return out
}

// Len counts all records, usable or not.
func (s Set) Len() int { return len(s.uses) }

// HasUsage reports whether a usable record of that usage is in s.
func (s Set) HasUsage(u Usage) bool {
	return slices.ContainsFunc(s.usable, func(p preparedRecord) bool { return p.record.Usage == u })
}

// WantsRawKey reports whether a usable record can match a bare public key (RFC 7250):
// a client whose TLS has them may offer them only then (RFC 7671 section 5.1).
func (s Set) WantsRawKey() bool {
	// RPK7250-4.1-01: RFC 7250 section 4.1
	return slices.ContainsFunc(s.usable, func(p preparedRecord) bool { return p.record.Usage == DANEEE && p.record.Selector == SPKI })
}
