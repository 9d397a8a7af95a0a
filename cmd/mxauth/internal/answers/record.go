package answers

import (
	"unsafe"

	"github.com/mxauth/mxauth/engine/mtapolicy"
)

// A record is a kept reply in one piece of memory without pointers: this header, and after it the
// next hop, the host and the text. It never changes.
//
// With 40,000 domains the price of a warm answer is that of memory which is in none of the
// processor's caches. A struct with a key, a text and a place in a map is six such pieces, a record
// is one, which the processor reads ahead; and the garbage collector does not look into it.
type record struct {
	until, made int64
	textLen     uint32
	shape       uint32 // of those that are shared; noShape: it has one of its own
	port        uint16
	hopLen      uint16
	hostLen     uint16
	form        mtapolicy.Form
	kind        mtapolicy.Kind
}

// noShape is the shape of a record whose reply shares none.
const noShape = 1<<32 - 1

// recordHead is the size of the header.
const recordHead = int(unsafe.Sizeof(record{}))

// newRecord makes a record.
func newRecord(nextHop string, k *keptReply) *record {
	n := recordHead + len(nextHop) + len(k.host) + len(k.text)
	// Words, for the alignment of the header, and more than it takes: a pointer to an empty text at
	// the end would be one to what lies after the record.
	words := make([]uint64, n/8+1)
	r := (*record)(unsafe.Pointer(unsafe.SliceData(words)))
	*r = record{until: k.until, made: k.made, textLen: uint32(len(k.text)), shape: noShape, port: k.port, hopLen: uint16(len(nextHop)),
		hostLen: uint16(len(k.host)), form: k.form, kind: k.kind}
	if k.shape.shared {
		r.shape = k.shape.id
	}
	body := unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(r), recordHead)), n-recordHead)
	body = body[copy(body, nextHop):]
	copy(body[copy(body, k.host):], k.text)
	return r
}

// part is a part of what follows the header.
func (r *record) part(from, size int) string {
	return unsafe.String((*byte)(unsafe.Add(unsafe.Pointer(r), recordHead+from)), size)
}

func (r *record) nextHop() string { return r.part(0, int(r.hopLen)) }
func (r *record) host() string    { return r.part(int(r.hopLen), int(r.hostLen)) }
func (r *record) text() string    { return r.part(int(r.hopLen)+int(r.hostLen), int(r.textLen)) }

// is reports whether the record is that of a next hop in a variant.
func (r *record) is(nextHop string, v variant) bool {
	return r.port == v.port && r.form == v.form && r.nextHop() == nextHop && r.host() == v.host
}

// holds reports whether the reply may be given at a time.
func (r *record) holds(now int64) bool { return r.made <= now && now < r.until }

// size is what the record takes, with its place in a table.
func (r *record) size() int {
	return recordHead + int(r.hopLen) + int(r.hostLen) + int(r.textLen) + placeSize
}
