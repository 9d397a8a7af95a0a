package wire

import (
	"errors"

	"github.com/mxauth/mxauth/rfc6125"
)

// Types with a meaning for this package or for DNSSEC.
const (
	TypeA          = 1
	TypeNS         = 2
	TypeCNAME      = 5
	TypeSOA        = 6
	TypeDNAME      = 39
	TypeOPT        = 41
	TypeDS         = 43
	TypeRRSIG      = 46
	TypeNSEC       = 47
	TypeDNSKEY     = 48
	TypeNSEC3      = 50
	TypeNSEC3PARAM = 51
	TypeANY        = 255
)

// A layout describes where in the RDATA of a type names are.
type layout struct {
	skip    int  // octets before the first name
	strings int  // character-strings after those octets (NAPTR)
	names   int  // names in a row
	keep    bool // letters stay as they are
}

// layoutOf returns the layout of the types whose RDATA has names that may be
// compressed (RFC 3597 section 4) or that the canonical form puts into lower case
// (RFC 4034 section 6.2, as corrected by RFC 6840 section 5.1: NSEC is not put
// into lower case, RRSIG is, HINFO has no names).
func layoutOf(typ uint16) (layout, bool) {
	switch typ {
	case TypeNS, TypeCNAME, TypeDNAME, 3, 4, 7, 8, 9, 12, 23: // MD MF MB MG MR PTR NSAP-PTR
		return layout{names: 1}, true
	case TypeSOA, 14, 17: // MINFO RP
		return layout{names: 2}, true
	case 15, 18, 21, 36: // MX AFSDB RT KX
		return layout{skip: 2, names: 1}, true
	case 26: // PX
		return layout{skip: 2, names: 2}, true
	case 33: // SRV
		return layout{skip: 6, names: 1}, true
	case 35: // NAPTR
		return layout{skip: 4, strings: 3, names: 1}, true
	case TypeRRSIG, 24: // SIG
		return layout{skip: 18, names: 1}, true
	case 30: // NXT
		return layout{names: 1}, true
	case TypeNSEC:
		return layout{names: 1, keep: true}, true
	}
	return layout{}, false
}

// rdata brings the RDATA at msg[start:end] into canonical form.
func (p *parser) rdata(typ uint16, start, end int) ([]byte, error) {
	// Names may expand beyond the room that is left. To let the arena grow would keep all of
	// its earlier, smaller copies in use.
	if cap(p.arena)-len(p.arena) < end-start+maxExpansion {
		var err error
		if p.scratch, err = appendCanonical(p.scratch[:0], typ, p.msg, start, end); err != nil {
			return nil, err
		}
		if n := len(p.scratch); cap(p.arena)-len(p.arena) < n {
			p.block(max(n, arenaBlock))
		}
		return p.keep(append(p.arena, p.scratch...))
	}
	out, err := appendCanonical(p.arena, typ, p.msg, start, end)
	if err != nil {
		return nil, err
	}
	return p.keep(out)
}

const (
	// maxExpansion is the most that the names of one record may expand by: two of them.
	maxExpansion = 2 * 255
	// arenaBlock is the size of a further block, for messages whose names expand.
	arenaBlock = 4096
)

// block begins a new arena. The one before stays in use by the records in it.
func (p *parser) block(size int) {
	p.arena = make([]byte, 0, size)
	p.held += size
}

// keep takes out as the arena and returns what is new in it.
func (p *parser) keep(out []byte) ([]byte, error) {
	from := len(p.arena)
	if p.total += len(out) - from; p.total > maxExpanded {
		return nil, errors.New("names expand to too many octets")
	}
	p.arena = out
	return out[from:len(out):len(out)], nil
}

// Canonical returns RDATA of the type, given uncompressed, in the canonical form
// of RFC 4034 section 6.2: names of the types listed there in lower case, the
// rest as it is. An error says that the names in it cannot be read.
func Canonical(typ uint16, data []byte) ([]byte, error) {
	return appendCanonical(make([]byte, 0, len(data)), typ, data, 0, len(data))
}

// appendCanonical appends the canonical form of msg[start:end] to dst.
func appendCanonical(dst []byte, typ uint16, msg []byte, start, end int) ([]byte, error) {
	lay, ok := layoutOf(typ)
	if !ok {
		if typ == 38 {
			return appendA6(dst, msg, start, end)
		}
		return append(dst, msg[start:end]...), nil
	}
	at := start + lay.skip
	for range lay.strings {
		if at >= end {
			return nil, errors.New("cut off")
		}
		at += 1 + int(msg[at])
	}
	if at > end {
		return nil, errors.New("cut off")
	}
	dst = append(dst, msg[start:at]...)
	for range lay.names {
		var err error
		if dst, at, err = appendName(dst, msg, at, end, lay.keep); err != nil {
			return nil, err
		}
	}
	return append(dst, msg[at:end]...), nil
}

// appendA6 is appendCanonical for A6 (RFC 2874 section 3.1): a prefix length, the
// octets of the address that it leaves, and a name unless it is 0.
func appendA6(dst, msg []byte, start, end int) ([]byte, error) {
	if start >= end {
		return append(dst, msg[start:end]...), nil
	}
	prefix := int(msg[start])
	at := start + 1 + (128-min(prefix, 128)+7)/8
	if prefix == 0 || at >= end {
		return append(dst, msg[start:end]...), nil
	}
	dst = append(dst, msg[start:at]...)
	dst, at, err := appendName(dst, msg, at, end, false)
	if err != nil {
		return nil, err
	}
	return append(dst, msg[at:end]...), nil
}

// appendName expands the name at off, which must end before end.
func appendName(dst, msg []byte, off, end int, keep bool) (out []byte, next int, err error) {
	from := len(dst)
	out, next, err = expand(msg[:end], off, dst)
	if err != nil {
		return nil, 0, err
	}
	if !keep {
		for i := from; out[i] != 0; i += 1 + int(out[i]) {
			for j := i + 1; j <= i+int(out[i]); j++ {
				if c := out[j]; 'A' <= c && c <= 'Z' {
					out[j] = c + 'a' - 'A'
				}
			}
		}
	}
	return out, next, nil
}

// NameAt reads the uncompressed name at the front of data and returns what comes
// after it. Errors wrap [rfc6125.ErrName].
func NameAt(data []byte) (n rfc6125.Name, rest []byte, err error) {
	end := 0
	for end < len(data) && data[end] != 0 && data[end] < 64 && end < 255 {
		end += 1 + int(data[end])
	}
	if end >= len(data) {
		end = len(data) - 1
	}
	n, err = rfc6125.NameFromWire(data[:end+1])
	if err != nil {
		return rfc6125.Name{}, nil, err
	}
	return n, data[end+1:], nil
}
