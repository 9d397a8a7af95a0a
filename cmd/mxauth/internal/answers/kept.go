package answers

import (
	"hash/maphash"
	"sync"
	"time"
	"unsafe"

	"github.com/hashicorp/golang-lru/v2/simplelru"

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
	// overhead is the estimated size of an entry without its texts: the entry, its place in
	// the list and in the map.
	overhead = 240
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
	until, made int64
	reply       *mtapolicy.Reply // shared, never changed
}

// holds reports whether the reply may be given at a time.
func (k *keptReply) holds(now time.Time) bool {
	n := now.UnixNano()
	return k.made <= n && n < k.until
}

func (k *keptReply) size() int {
	n := int(unsafe.Sizeof(*k)) + len(k.host)
	if _, ok := plainNotFound[k.reply.Row]; ok && k.reply == plainNotFound[k.reply.Row] {
		return n
	}
	n += int(unsafe.Sizeof(*k.reply)) + len(k.reply.Text)
	for i := range k.reply.Deviations {
		n += int(unsafe.Sizeof(k.reply.Deviations[i])) + len(k.reply.Deviations[i].Host)
	}
	return n
}

// plainNotFound are the replies of most domains, which need only one copy.
var plainNotFound = map[mtapolicy.Row]*mtapolicy.Reply{
	mtapolicy.P4:  {Kind: mtapolicy.NotFound, Row: mtapolicy.P4},
	mtapolicy.P11: {Kind: mtapolicy.NotFound, Row: mtapolicy.P11},
}

// shared returns the one copy of a reply without a text, or a new copy.
func shared(r mtapolicy.Reply) *mtapolicy.Reply {
	if s := plainNotFound[r.Row]; s != nil && r.Kind == mtapolicy.NotFound && len(r.Deviations) == 0 && r.Reason == "" && r.Would == "" {
		return s
	}
	return &r
}

// An entry holds the replies for one next hop. Most have one.
type entry struct {
	first keptReply
	more  []keptReply
}

func (e *entry) size(key string) int {
	n := overhead + len(key) + e.first.size()
	for i := range e.more {
		n += e.more[i].size()
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
type cache struct {
	seed   maphash.Seed
	shards [shards]shard
}

type shard struct {
	mu    sync.Mutex // guards what follows
	lru   *simplelru.LRU[string, *entry]
	bytes int
	max   int
}

func newCache(maxEntries, maxBytes int) *cache {
	c := &cache{seed: maphash.MakeSeed()}
	for i := range c.shards {
		s := &c.shards[i]
		s.max = maxBytes / shards
		s.lru, _ = simplelru.NewLRU(max(maxEntries/shards, 1), func(key string, e *entry) { s.bytes -= e.size(key) })
	}
	return c
}

func (c *cache) shard(key string) *shard { return &c.shards[maphash.String(c.seed, key)%shards] }

// get returns the reply that holds at now.
func (c *cache) get(nextHop string, v variant, now time.Time) (keptReply, bool) {
	s := c.shard(nextHop)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.lru.Get(nextHop)
	if !ok {
		return keptReply{}, false
	}
	k := e.find(v)
	if k == nil || !k.holds(now) {
		return keptReply{}, false
	}
	return *k, true
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
	e := &entry{first: k}
	if o, ok := s.lru.Peek(nextHop); ok {
		now := time.Unix(0, k.made)
		keep := func(r *keptReply) {
			if r.variant != k.variant && r.holds(now) && len(e.more) < maxVariants-1 {
				e.more = append(e.more, *r)
			}
		}
		keep(&o.first)
		for i := range o.more {
			keep(&o.more[i])
		}
		s.lru.Remove(nextHop)
	}
	s.bytes += e.size(nextHop)
	s.lru.Add(nextHop, e)
	for s.bytes > s.max && s.lru.Len() > 1 {
		s.lru.RemoveOldest()
	}
}

// drop forgets the replies for one next hop.
func (c *cache) drop(nextHop string) {
	s := c.shard(nextHop)
	s.mu.Lock()
	s.lru.Remove(nextHop)
	s.mu.Unlock()
}

// purge forgets everything.
func (c *cache) purge() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.lru.Purge()
		s.bytes = 0
		s.mu.Unlock()
	}
}

// size returns the number of next hops and the estimated bytes.
func (c *cache) size() (entries, bytes int) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		entries += s.lru.Len()
		bytes += s.bytes
		s.mu.Unlock()
	}
	return entries, bytes
}
