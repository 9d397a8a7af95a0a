package wire

import (
	"encoding/binary"

	"github.com/mxauth/mxauth/rfc6125"
)

// DefaultUDPSize is the size that queries advertise: what arrives without
// fragmentation (RFC 6891 section 6.2.3, DNS Flag Day 2020), and more than the
// 1220 octets of RFC 4035 section 4.1.
const DefaultUDPSize = 1232

// A Query is one question to be asked of a recursive resolver; RD is always set.
type Query struct {
	ID   uint16
	Name rfc6125.Name
	Type uint16
	// CD asks for data whether or not the resolver can validate it (RFC 4035
	// section 4.9.2), AD for the resolver's verdict (RFC 6840 section 5.7).
	CD, AD bool
	// DO asks for the DNSSEC records (RFC 3225).
	DO bool
	// Signal goes into the RFC 6975 options DAU, DHU and N3U, if DO is set.
	Signal Signal
}

// A Signal says which algorithms the asker understands (RFC 6975). The zero
// Signal sends nothing.
type Signal struct {
	Algorithms  []uint8 // DAU
	Digests     []uint8 // DHU
	NSEC3Hashes []uint8 // N3U
}

// Append appends the message in wire form to b.
func (q Query) Append(b []byte) []byte {
	flags := uint16(flagRD)
	if q.CD {
		flags |= flagCD
	}
	if q.AD {
		flags |= flagAD
	}
	b = binary.BigEndian.AppendUint16(b, q.ID)
	b = binary.BigEndian.AppendUint16(b, flags)
	b = append(b, 0, 1, 0, 0, 0, 0, 0, 1)
	b = q.Name.AppendWire(b)
	b = binary.BigEndian.AppendUint16(b, q.Type)
	b = binary.BigEndian.AppendUint16(b, ClassIN)
	// The OPT record (RFC 6891 section 6.1.2): root, type, size, extended rcode
	// and version 0, flags, options.
	b = append(b, 0, 0, TypeOPT)
	b = binary.BigEndian.AppendUint16(b, DefaultUDPSize) // DNSSEC4035-4.1-02: RFC 4035 section 4.1
	b = append(b, 0, 0)
	do := uint16(0)
	if q.DO {
		do = 1 << 15
	}
	b = binary.BigEndian.AppendUint16(b, do)
	at := len(b)
	b = append(b, 0, 0)
	if q.DO { // only with DO. EDNS6975-4-01: RFC 6975 section 4
		b = appendOption(b, 5, q.Signal.Algorithms)
		b = appendOption(b, 6, q.Signal.Digests)
		b = appendOption(b, 7, q.Signal.NSEC3Hashes)
	}
	binary.BigEndian.PutUint16(b[at:], uint16(len(b)-at-2))
	return b
}

func appendOption(b []byte, code uint16, list []uint8) []byte {
	if len(list) == 0 {
		return b
	}
	b = binary.BigEndian.AppendUint16(b, code)
	b = binary.BigEndian.AppendUint16(b, uint16(len(list)))
	return append(b, list...)
}
