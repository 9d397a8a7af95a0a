package answers

import (
	"hash/maphash"
	"sync"
	"time"

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
	// overhead is the estimated size of an entry without its texts.
	overhead = 240
	// maxVariants bounds the forms, ports and hosts kept for one next hop: Exim asks for each
	// host, and a plan has at most 64.
	maxVariants = 72
)

// A variant is one of the ways in which a next hop can be asked about.
type variant struct {
	form mtapolicy.Form
	port uint16
	host string // of form PerHost; "" for the domain as a whole
}

// A keptReply is a reply with its end.
type keptReply struct {
	variant
	until time.Time
	made  time.Time
	reply mtapolicy.Reply
}

func (k *keptReply) size() int {
	n := len(k.reply.Text) + len(k.host) + 64
	for i := range k.reply.Deviations {
		n += 32 + len(k.reply.Deviations[i].Host)
	}
	return n
}

// An entry holds the replies for one next hop.
type entry struct{ replies []keptReply }

func (e *entry) size(key string) int {
	n := overhead + len(key)
	for i := range e.replies {
		n += e.replies[i].size()
	}
	return n
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
	for i := range e.replies {
		if k := &e.replies[i]; k.variant == v {
			return *k, now.Before(k.until)
		}
	}
	return keptReply{}, false
}

// put keeps a reply in place of an older one.
func (c *cache) put(nextHop string, k keptReply) {
	s := c.shard(nextHop)
	s.mu.Lock()
	defer s.mu.Unlock()
	replies := []keptReply{k}
	if e, ok := s.lru.Peek(nextHop); ok {
		for _, o := range e.replies {
			if o.variant != k.variant && k.made.Before(o.until) && len(replies) < maxVariants {
				replies = append(replies, o)
			}
		}
		s.lru.Remove(nextHop)
	}
	e := &entry{replies: replies}
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
