package upstream

import (
	"encoding/binary"
	"errors"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/internal/fault"
)

// Parts of a DNS message (RFC 1035 section 4.1.1), as far as a transport looks.
const (
	headerLen  = 12
	maxMessage = wire.MaxMessage

	rcodeNoError  = wire.RcodeNoError
	rcodeFormErr  = wire.RcodeFormErr
	rcodeServFail = wire.RcodeServFail
	rcodeNXDomain = wire.RcodeNXDomain
	rcodeNotImp   = wire.RcodeNotImp
	rcodeRefused  = wire.RcodeRefused

	typeOPT = wire.TypeOPT
)

// errQuery says that the caller handed in something that is no query.
var errQuery = fault.New("upstream", "not a query with one question")

// A query is a message to be sent, with the place where its question ends.
type query struct {
	msg         []byte // the caller's; never changed, never kept after Exchange
	questionEnd int
}

// parseQuery checks that msg is a standard query with exactly one question.
func parseQuery(msg []byte) (query, error) {
	if len(msg) > maxMessage {
		return query{}, &failure{dnssec.ErrMalformed, errQuery}
	}
	if len(msg) < headerLen || msg[2]&0xf8 != 0 || binary.BigEndian.Uint16(msg[4:]) != 1 {
		return query{}, &failure{dnssec.ErrMalformed, errQuery}
	}
	end, ok := questionEnd(msg)
	if !ok {
		return query{}, &failure{dnssec.ErrMalformed, errQuery}
	}
	return query{msg, end}, nil
}

// questionEnd returns where the first question of msg ends. Its name must be
// uncompressed: there is nothing before it to point to.
func questionEnd(msg []byte) (int, bool) {
	for i := headerLen; i < len(msg); i += 1 + int(msg[i]) {
		switch {
		case msg[i] > 63:
			return 0, false
		case msg[i] == 0:
			return i + 5, i+5 <= len(msg)
		}
	}
	return 0, false
}

// withID returns a copy of q under another id, with room before it for the
// length octets of TCP.
func (q query) withID(id uint16) []byte {
	b := make([]byte, 2+len(q.msg))
	binary.BigEndian.PutUint16(b, uint16(len(q.msg))) // DOT7858-3.3-01: RFC 7858 section 3.3
	copy(b[2:], q.msg)
	binary.BigEndian.PutUint16(b[2:], id)
	return b
}

// checkingDisabled reports whether CD is set (RFC 4035 section 3.2.2).
func (q query) checkingDisabled() bool { return q.msg[3]&0x10 != 0 }

// id is the caller's.
func (q query) id() uint16 { return binary.BigEndian.Uint16(q.msg) }

// answeredBy reports whether msg is a response to q that was sent under id: QR
// set, the same opcode, id and question, letters of the name in any case
// (RFC 7858 section 3.3, RFC 5452 section 9.1).
func (q query) answeredBy(msg []byte, id uint16) bool {
	if len(msg) < headerLen || binary.BigEndian.Uint16(msg) != id || msg[2]&0xf8 != 0x80 {
		return false
	}
	if binary.BigEndian.Uint16(msg[4:]) != 1 {
		return q.refusedBy(msg)
	}
	if len(msg) < q.questionEnd {
		return false
	}
	name := q.questionEnd - 4
	for i := headerLen; i < name; i++ {
		if lower(msg[i]) != lower(q.msg[i]) {
			return false
		}
	}
	// DOT7858-3.3-02: RFC 7858 section 3.3
	return string(msg[name:q.questionEnd]) == string(q.msg[name:q.questionEnd])
}

// refusedBy reports whether msg is the bare header by which old servers say that
// they did not understand: FORMERR or NOTIMP without any section (RFC 6891
// section 7).
func (q query) refusedBy(msg []byte) bool {
	rc := rcode(msg)
	return (rc == rcodeFormErr || rc == rcodeNotImp) && len(msg) == headerLen &&
		binary.BigEndian.Uint64(msg[4:]) == 0
}

// finish gives an accepted answer the caller's id and, if it came without one,
// the caller's question.
func (q query) finish(msg []byte) []byte {
	if len(msg) == headerLen {
		msg = append(msg, q.msg[headerLen:q.questionEnd]...)
		binary.BigEndian.PutUint16(msg[4:], 1)
	}
	binary.BigEndian.PutUint16(msg, q.id())
	return msg
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func rcode(msg []byte) int { return int(msg[3] & 0x0f) }

func truncated(msg []byte) bool { return msg[2]&0x02 != 0 }

// errRecords says that the records of a message cannot be separated.
var errRecords = &failure{dnssec.ErrMalformed, errors.New("records run past the end of the message")}

// walk calls f, which may be nil, with the offset of the TYPE field of each record after
// the questions of msg. It fails if there are fewer records than the header promises.
// Octets after them are left alone.
func walk(msg []byte, f func(at int)) error {
	if len(msg) < headerLen {
		return errRecords
	}
	at := headerLen
	for n := binary.BigEndian.Uint16(msg[4:]); n > 0; n-- {
		var ok bool
		if at, ok = skipName(msg, at); !ok || at+4 > len(msg) {
			return errRecords
		}
		at += 4
	}
	records := int(binary.BigEndian.Uint16(msg[6:])) + int(binary.BigEndian.Uint16(msg[8:])) + int(binary.BigEndian.Uint16(msg[10:]))
	for ; records > 0; records-- {
		var ok bool
		if at, ok = skipName(msg, at); !ok || at+10 > len(msg) {
			return errRecords
		}
		next := at + 10 + int(binary.BigEndian.Uint16(msg[at+8:]))
		if next > len(msg) {
			return errRecords
		}
		if f != nil {
			f(at)
		}
		at = next
	}
	return nil
}

// skipName returns what follows the name at an offset; a compression pointer
// ends a name and is not followed.
func skipName(msg []byte, at int) (int, bool) {
	for at < len(msg) {
		switch c := msg[at]; {
		case c == 0:
			return at + 1, true
		case c >= 0xc0:
			return at + 2, at+2 <= len(msg)
		case c > 63:
			return 0, false
		default:
			at += 1 + int(c)
		}
	}
	return 0, false
}

// reduceTTLs takes age seconds from the TTL of every record, down to zero: the
// time that an HTTP cache has kept the message (RFC 8484 section 5.1). msg has
// been walked before.
func reduceTTLs(msg []byte, age uint32) {
	_ = walk(msg, func(at int) {
		if binary.BigEndian.Uint16(msg[at:]) == typeOPT {
			return // its TTL field holds flags
		}
		ttl := binary.BigEndian.Uint32(msg[at+4:])
		binary.BigEndian.PutUint32(msg[at+4:], ttl-min(ttl, age))
	})
}
