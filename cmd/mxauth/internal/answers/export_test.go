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

// A CacheKey is all that a kept reply is found by.
type CacheKey struct {
	NextHop, Host string
	Port          uint16
	Form          mtapolicy.Form
}

func (k CacheKey) variant() variant { return variant{host: k.Host, port: k.Port, form: k.Form} }

// PutUnderTag keeps the reply of one key under the tag of another, as if the hashes of both were equal.
func (c *Cache) PutUnderTag(tagged, key CacheKey, r mtapolicy.Reply, made, until time.Time) {
	rec := newRecord(key.NextHop, &keptReply{variant: key.variant(), kind: r.Kind, text: r.Text, shape: c.x.of(r),
		made: made.UnixNano(), until: until.UnixNano()})
	s, t, hash := c.c.locked(tagged.NextHop)
	defer s.mu.Unlock()
	s.count(rec, +1)
	t.insert(c.c.tagOf(hash, tagged.variant()), rec)
}

// PutKey, PeekKey and GetKey are Put, Peek and Get for any key.
func (c *Cache) PutKey(key CacheKey, r mtapolicy.Reply, made, until time.Time) {
	c.c.put(key.NextHop, keptReply{variant: key.variant(), kind: r.Kind, text: r.Text, shape: c.x.of(r),
		made: made.UnixNano(), until: until.UnixNano()})
}

func (c *Cache) PeekKey(key CacheKey, now time.Time) (text string, ok bool) {
	_, text, ok = c.c.peek([]byte(key.NextHop), key.variant(), now)
	return text, ok
}

func (c *Cache) GetKey(key CacheKey, now time.Time) (text string, ok bool) {
	k, ok := c.c.get(key.NextHop, key.variant(), now)
	return k.text, ok
}
