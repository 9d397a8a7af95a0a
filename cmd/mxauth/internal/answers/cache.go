package answers

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/mxauth/mxauth/engine/mtapolicy"
)

// A cache keeps replies. Those that have not been used for long are dropped first.
//
// It is neither a map nor golang-lru, since the memory that they touch for an answer costs more than
// all else of it (see [record]): a lookup here reads a place in a table that the processor's cache
// holds and one record, takes no lock, and writes nothing but, now and then, a bit of the place.
type cache struct {
	seed   maphash.Seed
	shapes *shapes
	shards [shards]shard
}

// A shard is a part of the cache. Its table is read without a lock and written under it.
type shard struct {
	table atomic.Pointer[table]

	mu      sync.Mutex // guards what follows, and writing to the table
	own     map[*record]*shape
	entries int
	bytes   int
	hand    int // where the search for an unused reply goes on

	maxEntries, maxBytes int
	_                    [64]byte // shards share no line of memory
}

// A table has places for records. A record is at the first free place from its home on, which its
// next hop determines, so that all variants of one are found together. The number of places is a
// power of two, and at least a quarter of them is free.
type table struct{ places []place }

// A place holds a record. A reader that looks while records are moved may miss one, which is why a
// miss is looked up once more under the lock; it takes no other for it, since it compares.
type place struct {
	tag    atomic.Uint64 // 0: free
	record atomic.Pointer[record]
}

// Bits of a tag. Above them is the hash of the next hop, and between that and them 16 bits of the
// variant.
const (
	tagUsed  = 1 // the reply was given since the hand passed
	tagTaken = 2
	hopShift = 18
)

// placeSize is what a record takes in a table that is filled as tables are.
const placeSize = 2 * int(unsafe.Sizeof(place{}))

// minPlaces is the number of places in an empty shard.
const minPlaces = 8

// newCache makes a cache of at most so many replies and bytes.
func newCache(maxEntries, maxBytes int, x *shapes) *cache {
	c := &cache{seed: maphash.MakeSeed(), shapes: x}
	for i := range c.shards {
		s := &c.shards[i]
		s.maxEntries, s.maxBytes = max(maxEntries/shards, 1), maxBytes/shards
		s.clear()
	}
	return c
}

// tagOf is the tag of a record, from the hash of its next hop.
func (c *cache) tagOf(hash uint64, v variant) uint64 {
	low := uint64(v.port)<<2 ^ uint64(v.form)
	if v.host != "" {
		low ^= maphash.String(c.seed, v.host)
	}
	return hash>>hopShift<<hopShift | low<<48>>46 | tagTaken
}

// home is where the search for a tag begins.
func (t *table) home(tag uint64) int { return int(tag>>hopShift) & (len(t.places) - 1) }

// find returns the place of a record; nil if there is none.
func (t *table) find(tag uint64, nextHop string, v variant) (*place, *record) {
	mask := len(t.places) - 1
	for i, left := t.home(tag), len(t.places); left > 0; i, left = i+1, left-1 {
		p := &t.places[i&mask]
		switch p.tag.Load() &^ tagUsed {
		case 0:
			return nil, nil
		case tag:
			if r := p.record.Load(); r != nil && r.is(nextHop, v) {
				return p, r
			}
		}
	}
	return nil, nil
}

// use notes that a reply is given.
func (p *place) use() {
	if tag := p.tag.Load(); tag&tagUsed == 0 && tag != 0 {
		p.tag.CompareAndSwap(tag, tag|tagUsed)
	}
}

// peek returns kind and text of the reply that holds at now, without waiting. It may miss one.
// nextHop is not kept.
func (c *cache) peek(nextHop []byte, v variant, now time.Time) (kind mtapolicy.Kind, text string, ok bool) {
	hash := maphash.Bytes(c.seed, nextHop)
	t := c.shards[hash%shards].table.Load()
	p, r := t.find(c.tagOf(hash, v), unsafe.String(unsafe.SliceData(nextHop), len(nextHop)), v)
	if r == nil || !r.holds(now.UnixNano()) {
		return 0, "", false
	}
	p.use()
	return r.kind, r.text(), true
}

// locked returns the shard of a next hop, locked, with its table and the hash.
func (c *cache) locked(nextHop string) (s *shard, t *table, hash uint64) {
	hash = maphash.String(c.seed, nextHop)
	s = &c.shards[hash%shards]
	s.mu.Lock()
	return s, s.table.Load(), hash
}

// get returns the reply that holds at now.
func (c *cache) get(nextHop string, v variant, now time.Time) (k keptReply, ok bool) {
	s, t, hash := c.locked(nextHop)
	defer s.mu.Unlock()
	p, r := t.find(c.tagOf(hash, v), nextHop, v)
	if r == nil || !r.holds(now.UnixNano()) {
		return keptReply{}, false
	}
	p.use()
	k = keptReply{variant: v, kind: r.kind, until: r.until, made: r.made, text: r.text()}
	if r.shape == noShape {
		k.shape = s.own[r]
	} else {
		k.shape = c.shapes.at(r.shape)
	}
	return k, true
}

// put keeps a reply in place of an older one. Replies for the next hop that no longer hold are
// dropped, and the one made first if there are too many.
func (c *cache) put(nextHop string, k keptReply) {
	r := newRecord(nextHop, &k)
	s, t, hash := c.locked(nextHop)
	defer s.mu.Unlock()
	tag := c.tagOf(hash, k.variant)
	if p, old := t.find(tag, nextHop, k.variant); old != nil {
		s.count(old, -1)
		p.record.Store(r)
		p.tag.Store(tag | tagUsed)
		s.count(r, +1)
	} else {
		if (s.entries+1)*4 > len(t.places)*3 {
			t = s.grow(t)
		}
		s.count(r, +1)
		t.insert(tag|tagUsed, r)
	}
	if r.shape == noShape {
		if s.own == nil {
			s.own = map[*record]*shape{}
		}
		s.own[r] = k.shape
		s.bytes += k.shape.size()
	}
	n, first := 0, -1
	s.each(t, hash, nextHop, func(i int, o *record) (drop bool) {
		if o != r && !o.holds(k.made) {
			return true
		}
		if n++; o != r && (first < 0 || o.made < t.places[first].record.Load().made) {
			first = i
		}
		return false
	})
	if n > maxVariants {
		s.remove(t, first)
	}
	for s.entries > 1 && (s.bytes > s.maxBytes || s.entries > s.maxEntries) {
		s.evict(t)
	}
}

// drop forgets the replies for one next hop.
func (c *cache) drop(nextHop string) {
	s, t, hash := c.locked(nextHop)
	defer s.mu.Unlock()
	s.each(t, hash, nextHop, func(int, *record) bool { return true })
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

// size returns the number of replies and the estimated bytes.
func (c *cache) size() (entries, bytes int) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		entries += s.entries
		bytes += s.bytes
		s.mu.Unlock()
	}
	return entries, bytes
}

// clear drops everything.
func (s *shard) clear() {
	s.table.Store(&table{make([]place, minPlaces)})
	s.own, s.entries, s.bytes, s.hand = nil, 0, 0, 0
}

// count adds a record to what is counted, or takes it off with n -1, and its own shape then.
func (s *shard) count(r *record, n int) {
	s.entries += n
	s.bytes += n * r.size()
	if x := s.own[r]; n < 0 && x != nil {
		s.bytes -= x.size()
		delete(s.own, r)
	}
}

// grow doubles a table.
func (s *shard) grow(old *table) *table {
	t := &table{make([]place, 2*len(old.places))}
	for i := range old.places {
		if tag := old.places[i].tag.Load(); tag != 0 {
			t.insert(tag, old.places[i].record.Load())
		}
	}
	s.table.Store(t)
	s.hand = 0
	return t
}

// insert puts a record at the first free place.
func (t *table) insert(tag uint64, r *record) {
	mask := len(t.places) - 1
	i := t.home(tag)
	for t.places[i].tag.Load() != 0 {
		i = (i + 1) & mask
	}
	t.places[i].record.Store(r)
	t.places[i].tag.Store(tag)
}

// each calls f with each record for a next hop, and removes those for which f returns true.
func (s *shard) each(t *table, hash uint64, nextHop string, f func(i int, r *record) (drop bool)) {
	mask := len(t.places) - 1
	for i := t.home(hash); t.places[i].tag.Load() != 0; {
		p := &t.places[i]
		if p.tag.Load()>>hopShift == hash>>hopShift {
			if r := p.record.Load(); r.nextHop() == nextHop && f(i, r) {
				s.remove(t, i) // and look at what has moved there
				continue
			}
		}
		i = (i + 1) & mask
	}
}

// remove takes the record at a place off, and moves those after it that belong nearer to their homes.
func (s *shard) remove(t *table, i int) {
	s.count(t.places[i].record.Load(), -1)
	mask := len(t.places) - 1
	for j := i; ; {
		j = (j + 1) & mask
		tag := t.places[j].tag.Load()
		if tag == 0 {
			break
		}
		// Distances from home, around the end of the table.
		if (j-t.home(tag))&mask >= (j-i)&mask {
			t.places[i].record.Store(t.places[j].record.Load())
			t.places[i].tag.Store(tag)
			i = j
		}
	}
	t.places[i].tag.Store(0)
	t.places[i].record.Store(nil)
}

// evict drops a reply that was not given since the hand passed it last.
func (s *shard) evict(t *table) {
	mask := len(t.places) - 1
	for {
		s.hand &= mask
		p := &t.places[s.hand]
		switch tag := p.tag.Load(); {
		case tag == 0:
		case tag&tagUsed == 0:
			s.remove(t, s.hand)
			return
		default:
			p.tag.CompareAndSwap(tag, tag&^tagUsed)
		}
		s.hand++
	}
}
