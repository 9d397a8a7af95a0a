package answers

import (
	"time"

	"github.com/mxauth/mxauth/engine/mtapolicy"
)

// A Cache is the cache of replies.
type Cache struct {
	c *cache
	x shapes
}

// NewCache makes a cache of at most so many replies and bytes.
func NewCache(maxEntries, maxBytes int) *Cache {
	c := &Cache{}
	c.c = newCache(maxEntries, maxBytes, &c.x)
	return c
}

// MaxVariants is the number of replies for one next hop.
const MaxVariants = maxVariants

// Put keeps a reply for a host of a next hop.
func (c *Cache) Put(nextHop, host string, r mtapolicy.Reply, made, until time.Time) {
	c.c.put(nextHop, keptReply{variant: variant{host: host, form: mtapolicy.PerHost}, kind: r.Kind, text: r.Text, shape: c.x.of(r),
		made: made.UnixNano(), until: until.UnixNano()})
}

// Peek looks without the lock, Get with it.
func (c *Cache) Peek(nextHop, host string, now time.Time) (text string, ok bool) {
	_, text, ok = c.c.peek([]byte(nextHop), variant{host: host, form: mtapolicy.PerHost}, now)
	return text, ok
}

func (c *Cache) Get(nextHop, host string, now time.Time) (mtapolicy.Reply, bool) {
	k, ok := c.c.get(nextHop, variant{host: host, form: mtapolicy.PerHost}, now)
	if !ok {
		return mtapolicy.Reply{}, false
	}
	return k.full(), true
}

func (c *Cache) Drop(nextHop string)        { c.c.drop(nextHop) }
func (c *Cache) Purge()                     { c.c.purge() }
func (c *Cache) Size() (entries, bytes int) { return c.c.size() }
