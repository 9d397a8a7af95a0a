package engine

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// drawn returns the plan in a new random order of the hosts of one preference (RFC
// 5321 section 5.1: the load is spread).
func (k *keptPlan) drawn(shuffle func(int, func(i, j int))) *Plan {
	if shuffle != nil || len(k.orders) == 0 {
		q := *k.plan
		q.Hosts = slices.Clone(k.plan.Hosts)
		shuffleTies(q.Hosts, shuffle)
		return &q
	}
	n := rand.IntN(len(k.orders))
	if p := k.orders[n].Load(); p != nil {
		return p
	}
	q := *k.plan
	q.Hosts = slices.Clone(k.plan.Hosts)
	arrangeTies(q.Hosts, n)
	k.orders[n].Store(&q) // one of another goroutine is the same
	return &q
}

// A planCache keeps plans until the earliest end of what they rest on. It may be used by
// many goroutines at once. A nil planCache keeps nothing.
type planCache struct {
	plans   *planLRU
	shuffle func(int, func(i, j int)) // nil: math/rand/v2

	mu     sync.Mutex // guards purged, and adding to plans
	purged uint64     // calls of purge
}

func newPlanCache(most int, bytes int64, shuffle func(int, func(i, j int))) (*planCache, error) {
	plans, err := newPlanLRU(most, bytes)
	return &planCache{plans: plans, shuffle: shuffle}, err
}

// get returns the plan of the same request that still holds at now; nil if none.
func (c *planCache) get(r *Request, now time.Time) *Plan {
	if c == nil {
		return nil
	}
	key, ok := keyOf(r)
	if !ok {
		return nil
	}
	k, ok := c.plans.Get(key)
	if !ok {
		return nil
	}
	if !now.Before(k.plan.ends) {
		c.plans.Remove(key)
		return nil
	}
	if !k.plan.ties || r.Sorted {
		return k.plan
	}
	return k.drawn(c.shuffle)
}

// put keeps a plan, if nothing in it failed: a failed lookup is asked again the next time.
// purged is what [planCache.purges] said when the plan was begun: one that was begun before
// a purge rests on what the operator has changed.
func (c *planCache) put(p *Plan, now time.Time, purged uint64) {
	if _, ok := p.Keep(); c == nil || !ok || !p.ends.After(now) {
		return
	}
	key, ok := keyOf(&p.Request)
	if !ok {
		return
	}
	k := &keptPlan{plan: p}
	if n := orders(p.Hosts); n <= maxOrders {
		k.orders = make([]atomic.Pointer[Plan], n)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if purged == c.purged {
		c.plans.Add(key, k)
	}
}

// purges returns how often the cache was emptied.
func (c *planCache) purges() uint64 {
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.purged
}

// purge drops every plan, and keeps none that is being made.
func (c *planCache) purge() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.purged++
	c.plans.Purge()
}

// remove drops the plan of a request.
func (c *planCache) remove(r *Request) {
	if c == nil {
		return
	}
	if key, ok := keyOf(r); ok {
		c.plans.Remove(key)
	}
}
