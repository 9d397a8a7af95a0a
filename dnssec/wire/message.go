// Package wire reads DNS messages and writes DNS questions (RFC 1035 section 4,
// RFC 6891), as far as a stub needs it: header, question, the answer and authority
// sections, and the EDNS options of the additional section.
//
// It exists in addition to a full DNS library for one reason: DNSSEC signs octets. Parse
// brings every record straight into the canonical form of RFC 4034 section 6.2
// (names uncompressed, and in lower case where the RFC says so), so that a
// signature is checked over what was received, without a detour through text.
//
// Everything here is a pure function of its input, bounded by the 65535 octets of
// a message, and never panics on foreign bytes.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mxauth/mxauth/rfc6125"
)

// ErrMessage is wrapped by every error of [Parse]: the octets are no DNS message.
var ErrMessage = errors.New("malformed DNS message")

// Limits of a message.
const (
	headerLen = 12
	// MaxMessage is the most that the two length octets of TCP can announce.
	MaxMessage = 65535
	// maxRecords bounds the records of a message that are kept. The smallest record
	// has 11 octets, so a message could hold 5957; the largest honest RRsets have a
	// few hundred.
	maxRecords = 3000
	// maxExpanded bounds the octets that the RDATA of one message may come to when
	// its compressed names are expanded: twice the largest message. Only names of the
	// types of RFC 1035 are compressed, and RRsets of those with more than a few dozen
	// records are not made by honest owners.
	maxExpanded = 2 * MaxMessage
	// maxPointers bounds the compression pointers followed for one name. A name has
	// at most 127 labels.
	maxPointers = 127
)

// Bits of the second 16 bits of the header (RFC 1035 section 4.1.1, RFC 4035
// section 3).
const (
	flagQR = 1 << 15
	flagAA = 1 << 10
	flagTC = 1 << 9
	flagRD = 1 << 8
	flagRA = 1 << 7
	flagAD = 1 << 5
	flagCD = 1 << 4
)

// Response codes that a stub meets (RFC 1035 section 4.1.1, RFC 2136, RFC 6891).
const (
	RcodeNoError  = 0
	RcodeFormErr  = 1
	RcodeServFail = 2
	RcodeNXDomain = 3
	RcodeNotImp   = 4
	RcodeRefused  = 5
	RcodeYXDomain = 6
	RcodeBadVers  = 16
)

// ClassIN is the only class that mxauth asks for.
const ClassIN = 1

// A Message is a DNS message that was read. The zero Message is none.
type Message struct {
	ID       uint16
	flags    uint16
	Rcode    int      // with the upper bits of EDNS, if there is an OPT record
	Question Question // the first question; zero if there is none
	// NumQuestions is the count in the header; a response has 1.
	NumQuestions int
	Answer       []RR
	Authority    []RR
	// EDNS is set if there is an OPT record; DO is its flag, UDPSize its size.
	EDNS    bool
	DO      bool
	UDPSize uint16
	Errors  []ExtendedError
	// Size is how many bytes of memory the message takes, by an estimate that a test
	// holds against the heap. It may be many times the length on the wire.
	Size int
}

// A Question is the question of a message.
type Question struct {
	Name  rfc6125.Name
	Type  uint16
	Class uint16
}

// An RR is one resource record.
type RR struct {
	Owner rfc6125.Name
	Type  uint16
	Class uint16
	TTL   uint32 // seconds; values above 2^31-1 are read as 0 (RFC 2181 section 8)
	// Data is the RDATA in canonical form (see [Canonical]).
	Data []byte
}

// An ExtendedError is an RFC 8914 option as received: its text is unescaped.
type ExtendedError struct {
	Code uint16
	Text string
}

// Response reports the QR bit.
func (m *Message) Response() bool { return m.flags&flagQR != 0 }

// Truncated reports the TC bit.
func (m *Message) Truncated() bool { return m.flags&flagTC != 0 }

// AuthenticData reports the AD bit.
func (m *Message) AuthenticData() bool { return m.flags&flagAD != 0 }

// CheckingDisabled reports the CD bit.
func (m *Message) CheckingDisabled() bool { return m.flags&flagCD != 0 }

// RecursionDesired reports the RD bit.
func (m *Message) RecursionDesired() bool { return m.flags&flagRD != 0 }

// RecursionAvailable reports the RA bit.
func (m *Message) RecursionAvailable() bool { return m.flags&flagRA != 0 }

// Opcode is the kind of the message: 0 for a query.
func (m *Message) Opcode() int { return int(m.flags>>11) & 15 }

// Parse reads a message. It keeps no reference to b. Records of a class other
// than IN are left out. Octets after the last record are ignored, as everyone
// does. Errors wrap [ErrMessage].
func Parse(b []byte) (*Message, error) {
	if len(b) < headerLen || len(b) > MaxMessage {
		return nil, fmt.Errorf("%w: %d octets", ErrMessage, len(b))
	}
	m := &Message{
		ID:           binary.BigEndian.Uint16(b),
		flags:        binary.BigEndian.Uint16(b[2:]),
		NumQuestions: int(binary.BigEndian.Uint16(b[4:])),
	}
	m.Rcode = int(m.flags & 15)
	p := parser{msg: b, off: headerLen}
	for i := range m.NumQuestions {
		n, err := p.name()
		if err != nil {
			return nil, fmt.Errorf("%w: question: %w", ErrMessage, err)
		}
		if p.off+4 > len(b) {
			return nil, fmt.Errorf("%w: question cut off", ErrMessage)
		}
		if i == 0 {
			m.Question = Question{n, binary.BigEndian.Uint16(b[p.off:]), binary.BigEndian.Uint16(b[p.off+2:])}
		}
		p.off += 4
	}
	an, ns, ar := int(binary.BigEndian.Uint16(b[6:])), int(binary.BigEndian.Uint16(b[8:])), int(binary.BigEndian.Uint16(b[10:]))
	if an+ns+ar > maxRecords {
		return nil, fmt.Errorf("%w: %d records", ErrMessage, an+ns+ar)
	}
	p.block(len(b))
	var err error
	if m.Answer, err = p.section(an); err != nil {
		return nil, fmt.Errorf("%w: answer section: %w", ErrMessage, err)
	}
	if m.Authority, err = p.section(ns); err != nil {
		return nil, fmt.Errorf("%w: authority section: %w", ErrMessage, err)
	}
	if err := p.additional(m, ar); err != nil {
		return nil, fmt.Errorf("%w: additional section: %w", ErrMessage, err)
	}
	m.Size = sizeMessage + p.held + p.held/8 + sizeRR*(cap(m.Answer)+cap(m.Authority))
	for _, e := range m.Errors {
		m.Size += sizeError + len(e.Text)
	}
	return m, nil
}

// Overhead of the parts of a message in memory, on 64-bit systems. The allocator rounds
// blocks of bytes up, by an eighth at most.
const (
	sizeMessage = 256
	sizeRR      = 48
	sizeName    = 8
	sizeError   = 32
)

// A parser walks through a message.
type parser struct {
	msg     []byte
	off     int
	arena   []byte // RDATA is appended here, until it is full
	scratch []byte // for RDATA that may not fit
	held    int    // octets of all arenas and of the names
	// total counts the RDATA octets made so far, against maxExpanded.
	total int
	// seen remembers the names that began at an offset, since most owners of a
	// message are pointers to a few names.
	seen [8]struct {
		off  int
		name rfc6125.Name
	}
	nseen int
}

// name reads a possibly compressed name and moves on after it.
func (p *parser) name() (rfc6125.Name, error) {
	at := p.off
	if at+1 < len(p.msg) && p.msg[at]&0xc0 == 0xc0 {
		at = int(p.msg[at]&0x3f)<<8 | int(p.msg[at+1])
		for _, s := range p.seen[:min(p.nseen, len(p.seen))] {
			if s.off == at {
				p.off += 2
				return s.name, nil
			}
		}
	}
	var buf [255]byte
	w, next, err := expand(p.msg, p.off, buf[:0])
	if err != nil {
		return rfc6125.Name{}, err
	}
	n, err := rfc6125.NameFromWire(w)
	if err != nil {
		return rfc6125.Name{}, err
	}
	p.off = next
	s := &p.seen[p.nseen%len(p.seen)]
	s.off, s.name = at, n
	p.nseen++
	p.held += n.WireLen() + sizeName
	return n, nil
}

// expand appends the uncompressed form of the name at off to dst, letters as
// they are, and returns the offset after the name. Pointers may only go back
// (RFC 1035 section 4.1.4: "a prior occurrence").
func expand(msg []byte, off int, dst []byte) (name []byte, next int, err error) {
	start := len(dst)
	limit := off // every pointer must point before this
	for pointers := 0; ; {
		if off >= len(msg) {
			return nil, 0, errors.New("name cut off")
		}
		c := int(msg[off])
		switch {
		case c == 0:
			if next == 0 {
				next = off + 1
			}
			return append(dst, 0), next, nil
		case c < 64:
			if off+1+c > len(msg) {
				return nil, 0, errors.New("label cut off")
			}
			if len(dst)-start+1+c > 254 {
				return nil, 0, errors.New("name longer than 255 octets")
			}
			dst = append(dst, msg[off:off+1+c]...)
			off += 1 + c
		case c >= 0xc0:
			if off+1 >= len(msg) {
				return nil, 0, errors.New("name cut off")
			}
			if next == 0 {
				next = off + 2
			}
			to := (c&0x3f)<<8 | int(msg[off+1])
			if pointers++; to >= limit || pointers > maxPointers {
				return nil, 0, errors.New("compression pointer does not point back")
			}
			off, limit = to, to
		default:
			return nil, 0, errors.New("unknown label type")
		}
	}
}

// section reads n records and keeps those of class IN.
func (p *parser) section(n int) ([]RR, error) {
	if n == 0 {
		return nil, nil
	}
	out := make([]RR, 0, min(n, 64))
	for range n {
		rr, start, end, err := p.header()
		if err != nil {
			return nil, err
		}
		if rr.Class != ClassIN || rr.Type == TypeOPT {
			p.off = end
			continue
		}
		if rr.Data, err = p.rdata(rr.Type, start, end); err != nil {
			return nil, fmt.Errorf("RDATA of type %d: %w", rr.Type, err)
		}
		p.off = end
		out = append(out, rr)
	}
	return out, nil
}

// header reads what precedes the RDATA and says where that lies.
func (p *parser) header() (rr RR, start, end int, err error) {
	if rr.Owner, err = p.name(); err != nil {
		return rr, 0, 0, err
	}
	if p.off+10 > len(p.msg) {
		return rr, 0, 0, errors.New("record cut off")
	}
	h := p.msg[p.off:]
	rr.Type, rr.Class, rr.TTL = binary.BigEndian.Uint16(h), binary.BigEndian.Uint16(h[2:]), binary.BigEndian.Uint32(h[4:])
	if rr.TTL > 1<<31-1 && rr.Type != TypeOPT {
		rr.TTL = 0
	}
	start = p.off + 10
	end = start + int(binary.BigEndian.Uint16(h[8:]))
	if end > len(p.msg) {
		return rr, 0, 0, errors.New("RDATA cut off")
	}
	return rr, start, end, nil
}

// additional looks through the additional section for the OPT record (RFC 6891
// section 6.1.1: at most one).
func (p *parser) additional(m *Message, n int) error {
	for range n {
		rr, start, end, err := p.header()
		if err != nil {
			return err
		}
		p.off = end
		if rr.Type != TypeOPT {
			continue
		}
		if m.EDNS {
			return errors.New("two OPT records")
		}
		m.EDNS = true
		m.UDPSize = rr.Class
		m.Rcode |= int(rr.TTL>>24) << 4
		m.DO = rr.TTL&(1<<15) != 0
		m.Errors = extendedErrors(p.msg[start:end])
	}
	return nil
}

// maxExtendedErrors bounds the RFC 8914 options that are kept: a resolver sends
// one or two.
const maxExtendedErrors = 8

// extendedErrors reads the options of an OPT record; options that are cut off
// are left out.
func extendedErrors(b []byte) []ExtendedError {
	const optionEDE = 15
	var out []ExtendedError
	for len(b) >= 4 && len(out) < maxExtendedErrors {
		code, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		b = b[4:]
		if n > len(b) {
			break
		}
		if code == optionEDE && n >= 2 {
			out = append(out, ExtendedError{binary.BigEndian.Uint16(b), string(b[2:n])})
		}
		b = b[n:]
	}
	return out
}
