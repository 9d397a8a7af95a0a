package dnssec

import (
	"context"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/mxauth/mxauth/rfc6125"
)

// A zoneCache keeps zones, the least recently used of which go first when there are too
// many or they take too much memory. It is safe for use by many goroutines at once.
type zoneCache struct {
	most int // bytes

	mu    sync.Mutex // guards all below
	lru   *simplelru.LRU[rfc6125.Name, *zone]
	bytes int
}

func newZoneCache(zones, bytes int) *zoneCache {
	c := &zoneCache{most: bytes}
	// The size is above zero, so there is no error.
	c.lru, _ = simplelru.NewLRU[rfc6125.Name, *zone](zones, func(n rfc6125.Name, z *zone) { c.bytes -= z.size(n) })
	return c
}

// sizeZone is the memory of a zone without its keys and texts, with its place in the cache.
const sizeZone = 640

// size estimates the memory of a zone that is kept under a name.
func (z *zone) size(name rfc6125.Name) int {
	// A name may be the end of a longer one, all of which is in memory then.
	n := sizeZone + 255 + name.WireLen() + len(z.reason.Text) + z.reason.Name.WireLen()
	if z.keys != nil {
		n += z.keys.Size()
	}
	return n
}

// Get returns the zone of the name.
func (c *zoneCache) Get(name rfc6125.Name) (*zone, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lru.Get(name)
}

// Peek is Get, and no use of the zone.
func (c *zoneCache) Peek(name rfc6125.Name) (*zone, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lru.Peek(name)
}

// Add keeps a zone. From then on it must not be changed.
func (c *zoneCache) Add(name rfc6125.Name, z *zone) {
	size := z.size(name)
	if size > c.most {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Remove(name) // Add does not call the eviction function for a value that it replaces
	c.lru.Add(name, z)
	for c.bytes += size; c.bytes > c.most; {
		c.lru.RemoveOldest()
	}
}

// Remove forgets a zone.
func (c *zoneCache) Remove(name rfc6125.Name) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Remove(name)
}

// proofs lets the questions of one plan that need the same zone at the same time prove it
// once. Plans do not wait for each other: one that is out of turns would hold up the
// others.
//
// A task that waits here waits for an ancestor of every zone that it proves itself, since
// the proof of a zone needs only those above it. So no two can wait for each other.
type proofs struct {
	mu sync.Mutex // guards m
	m  map[proofKey]*zoneProof
}

type proofKey struct {
	plan *Budget
	name rfc6125.Name
}

// A zoneProof is under way until done is closed; then zone is set.
type zoneProof struct {
	by   *Share
	done chan struct{}
	zone *zone
}

// begin returns what another question of the plan proves, after waiting for it; or a
// function to end the proof that the caller has to make; or neither, if ctx has ended.
func (p *proofs) begin(ctx context.Context, s *Share, name rfc6125.Name) (*zone, func(*zone)) {
	key := proofKey{s.of, name}
	p.mu.Lock()
	proof := p.m[key]
	if proof == nil {
		proof = &zoneProof{by: s, done: make(chan struct{})}
		if p.m == nil {
			p.m = make(map[proofKey]*zoneProof)
		}
		p.m[key] = proof
		p.mu.Unlock()
		return nil, func(z *zone) {
			proof.zone = z
			p.mu.Lock()
			delete(p.m, key)
			p.mu.Unlock()
			close(proof.done)
		}
	}
	p.mu.Unlock()
	if proof.by != s {
		proof.by.await(1)
		defer proof.by.await(-1)
	}
	select {
	case <-proof.done:
		return proof.zone, nil
	case <-ctx.Done():
		return nil, nil
	}
}

// underWay reports whether a question of the plan proves the zone now, and so has asked for
// what it needs.
func (p *proofs) underWay(s *Share, name rfc6125.Name) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.m[proofKey{s.of, name}] != nil
}
