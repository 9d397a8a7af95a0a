package answers

import (
	"hash/maphash"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/mxauth/mxauth/engine/mtapolicy"
)

// Limits of what is kept.
const (
	// DefaultMaxEntries is the number of next hops whose replies are kept. A next hop
	// without a policy takes some 300 bytes.
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
// has left, does not hold. What a warm answer needs lies together: memory that is not in
// the processor's cache is most of its price.
type keptReply struct {
	variant
	kind        mtapolicy.Kind
	until, made int64
	text        string // of the reply
	shape       *shape // the rest of it, never changed
}

// holds reports whether the reply may be given at a time.
func (k *keptReply) holds(now int64) bool { return k.made <= now && now < k.until }

// size is what a kept reply takes in addition to its bytes.
func (k *keptReply) size() int {
	n := len(k.host) + len(k.text)
	if k.shape.shared {
		return n
	}
	n += int(unsafe.Sizeof(*k.shape))
	for i := range k.shape.Deviations {
		n += int(unsafe.Sizeof(k.shape.Deviations[i])) + len(k.shape.Deviations[i].Host)
	}
	return n
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
}

// maxShapes bounds the shapes that are shared: rows, reasons and sets of deviations make some
// hundred.
const maxShapes = 1024

// shapes are those that are shared.
type shapes struct {
	mu sync.Mutex // guards m
	m  map[string]*shape
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
	x := &shape{Reply: r, shared: len(s.m) < maxShapes}
	if x.shared {
		if s.m == nil {
			s.m = map[string]*shape{}
		}
		s.m[id.String()] = x
	}
	return x
}

// An entry holds the replies for one next hop. Most have one. The entries of a shard are in a
// ring, in the order of their last use.
type entry struct {
	first      keptReply
	moved      int64 // when it came to the front
	prev, next *entry
	key        string
	more       []keptReply
}

// entrySize is what an entry takes without its texts: itself, and its place in the map.
const entrySize = int(unsafe.Sizeof(entry{})) + 48

func (e *entry) size() int {
	n := entrySize + len(e.key) + e.first.size()
	for i := range e.more {
		n += int(unsafe.Sizeof(e.more[i])) + e.more[i].size()
	}
	return n
}

// find returns the reply of a variant; nil if there is none.
func (e *entry) find(v variant) *keptReply {
	if e.first.variant == v {
		return &e.first
	}
	for i := range e.more {
		if e.more[i].variant == v {
			return &e.more[i]
		}
	}
	return nil
}

// A cache keeps replies, least recently used ones dropped first.
//
// It is no golang-lru: that moves an entry to the front of its list with every use, which
// writes to four other entries, and each is a line of memory that no cache holds. Here an
// entry that is used is moved once in a while.
type cache struct {
	seed   maphash.Seed
	shards [shards]shard
}

// moveAfter is how long an entry that is used stays where it is. The order of use is as exact
// as that; it matters where the cache is full.
const moveAfter = int64(time.Minute)

type shard struct {
	mu      sync.Mutex // guards what follows
	entries map[string]*entry
	ring    entry // its next is the entry used last, its prev the one not used for longest
	bytes   int

	maxEntries, maxBytes int
	_                    [64]byte // shards share no line of memory
}

func newCache(maxEntries, maxBytes int) *cache {
	c := &cache{seed: maphash.MakeSeed()}
	for i := range c.shards {
		s := &c.shards[i]
		s.maxEntries, s.maxBytes = max(maxEntries/shards, 1), maxBytes/shards
		s.clear()
	}
	return c
}

// clear drops everything.
func (s *shard) clear() {
	s.entries, s.bytes = map[string]*entry{}, 0
	s.ring.prev, s.ring.next = &s.ring, &s.ring
}

// pushFront puts an entry to the front of the ring.
func (s *shard) pushFront(e *entry) {
	e.prev, e.next = &s.ring, s.ring.next
	e.prev.next, e.next.prev = e, e
}

func (e *entry) unlink() { e.prev.next, e.next.prev = e.next, e.prev }

// remove drops an entry.
func (s *shard) remove(e *entry) {
	e.unlink()
	delete(s.entries, e.key)
	s.bytes -= e.size()
}

func (c *cache) shard(key string) *shard { return &c.shards[maphash.String(c.seed, key)%shards] }

// get returns the reply that holds at now.
func (c *cache) get(nextHop string, v variant, now time.Time) (k keptReply, ok bool) {
	at := now.UnixNano()
	s := c.shard(nextHop)
	s.mu.Lock()
	if e := s.entries[nextHop]; e != nil {
		if f := e.find(v); f != nil && f.holds(at) {
			k, ok = *f, true
		}
		if d := at - e.moved; d > moveAfter || d < 0 {
			e.moved = at
			e.unlink()
			s.pushFront(e)
		}
	}
	s.mu.Unlock()
	return k, ok
}

// getBytes is get for a key in a buffer, without a copy of it: get keeps no key.
func (c *cache) getBytes(nextHop []byte, v variant, now time.Time) (keptReply, bool) {
	return c.get(unsafe.String(unsafe.SliceData(nextHop), len(nextHop)), v, now)
}

// put keeps a reply in place of an older one. Replies of the next hop that no longer hold
// are dropped.
func (c *cache) put(nextHop string, k keptReply) {
	s := c.shard(nextHop)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := &entry{first: k, key: nextHop, moved: k.made}
	if o := s.entries[nextHop]; o != nil {
		keep := func(r *keptReply) {
			if r.variant != k.variant && r.holds(k.made) && len(e.more) < maxVariants-1 {
				e.more = append(e.more, *r)
			}
		}
		keep(&o.first)
		for i := range o.more {
			keep(&o.more[i])
		}
		s.remove(o)
	}
	s.bytes += e.size()
	s.entries[nextHop] = e
	s.pushFront(e)
	for (s.bytes > s.maxBytes || len(s.entries) > s.maxEntries) && len(s.entries) > 1 {
		s.remove(s.ring.prev)
	}
}

// drop forgets the replies for one next hop.
func (c *cache) drop(nextHop string) {
	s := c.shard(nextHop)
	s.mu.Lock()
	if e := s.entries[nextHop]; e != nil {
		s.remove(e)
	}
	s.mu.Unlock()
}

// purge forgets everything.
func (c *cache) purge() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.clear()
		s.mu.Unlock()
	}
}

// size returns the number of next hops and the estimated bytes.
func (c *cache) size() (entries, bytes int) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		entries += len(s.entries)
		bytes += s.bytes
		s.mu.Unlock()
	}
	return entries, bytes
}
