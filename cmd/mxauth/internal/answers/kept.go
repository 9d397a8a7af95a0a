package answers

import (
	"strings"
	"sync"
	"unsafe"

	"github.com/mxauth/mxauth/engine/mtapolicy"
)

// Limits of what is kept.
const (
	// DefaultMaxEntries is the number of replies that are kept. That of a domain without a
	// policy takes some 100 bytes.
	DefaultMaxEntries = 1_000_000
	// DefaultMaxBytes bounds the kept replies in bytes, as estimated.
	DefaultMaxBytes = 512 << 20
	// shards is the number of independent parts, so that cores do not wait for each other.
	shards = 64
	// maxVariants bounds the forms, ports and hosts kept for one next hop: Exim asks for each
	// host, and a plan has at most 64.
	maxVariants = 72
)

// A variant is one of the ways in which a next hop can be asked about.
type variant struct {
	host string // of form PerHost; "" for the domain as a whole
	port uint16
	form mtapolicy.Form
}

// A keptReply is a reply with its end. Its times are those of the clock on the wall, in
// Unix nanoseconds: what was made before a suspend, or in a future that a corrected clock
// has left, does not hold.
type keptReply struct {
	variant
	kind        mtapolicy.Kind
	until, made int64
	text        string // of the reply
	shape       *shape // the rest of it, never changed
}

// full is the reply as it was made.
func (k *keptReply) full() mtapolicy.Reply {
	r := k.shape.Reply
	r.Text = k.text
	return r
}

// A shape is a reply without its text. Domains have few, so they share them.
type shape struct {
	mtapolicy.Reply
	shared bool
	id     uint32 // of a shared one
}

// size is what a shape of one's own takes.
func (x *shape) size() int {
	n := int(unsafe.Sizeof(*x))
	for i := range x.Deviations {
		n += int(unsafe.Sizeof(x.Deviations[i])) + len(x.Deviations[i].Host)
	}
	return n
}

// maxShapes bounds the shapes that are shared: rows, reasons and sets of deviations make some
// hundred.
const maxShapes = 1024

// shapes are those that are shared.
type shapes struct {
	mu   sync.Mutex // guards what follows
	m    map[string]*shape
	list []*shape // by id
}

// of returns the shape of a reply. One that names a host is its own.
func (s *shapes) of(r mtapolicy.Reply) *shape {
	r.Text = ""
	var id strings.Builder
	id.WriteByte(byte(r.Kind))
	for _, w := range []string{string(r.Row), string(r.Reason), string(r.Would)} {
		id.WriteString(w)
		id.WriteByte(' ')
	}
	for _, d := range r.Deviations {
		if d.Host != "" {
			return &shape{Reply: r}
		}
		id.WriteString(string(d.ID))
		id.WriteByte(' ')
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.m[id.String()]; x != nil {
		return x
	}
	x := &shape{Reply: r, shared: len(s.m) < maxShapes, id: uint32(len(s.list))}
	if x.shared {
		if s.m == nil {
			s.m = map[string]*shape{}
		}
		s.m[id.String()] = x
		s.list = append(s.list, x)
	}
	return x
}

// at returns the shared shape of an id.
func (s *shapes) at(id uint32) *shape {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list[id]
}
