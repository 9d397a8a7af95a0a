package engine

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mxauth/mxauth/rfc6125"
)

// A planKey is a request as a map key: all of it that a plan depends on.
type planKey struct {
	nextHop    string
	names      string // of Options.Names, joined
	port       uint16
	level      Level
	insecureMX InsecureMX
	daneAndSTS DANEAndSTS
	unknownSTS STSUndetermined
	flags      uint16
}

// keyOf returns the key of a request; ok is false for one whose plan is not kept,
// because a function of the operator's is part of it.
func keyOf(r *Request) (k planKey, ok bool) {
	o := &r.Options
	if o.TLSA.Forbid != nil || o.TLSA.Strength != nil {
		return k, false
	}
	k = planKey{nextHop: r.NextHop, port: r.Port, level: r.Level, insecureMX: o.InsecureMX, daneAndSTS: o.DANEAndSTS, unknownSTS: o.STSUndetermined}
	for i, set := range [...]bool{r.Smarthost, r.Sorted, r.RequireTLS, r.TLSRequiredNo, r.NullReturnPath, r.TLSRPTReport,
		o.RefuseMXAlias, o.NoCNID, o.NoClearFallback, o.Audit, o.NoAddressDefer, o.LowerAll} {
		if set {
			k.flags |= 1 << i
		}
	}
	if len(o.Names) > 0 {
		k.names = joined(o.Names)
	}
	return k, true
}

// joined makes one string of the names; their order counts.
func joined(names []rfc6125.Host) string {
	var b strings.Builder
	for _, n := range names {
		b.WriteString(n.String())
		b.WriteByte(' ')
	}
	return b.String()
}

// A keptPlan is an entry of the cache of plans.
type keptPlan struct {
	plan *Plan
	size int64 // bytes of memory, as [planLRU.Add] counts them
	// orders are the plan with its hosts of one preference in each order, put together
	// when it is drawn first. Nil: there are no such hosts, or more orders than
	// [maxOrders]; those are drawn in a copy each time.
	orders []atomic.Pointer[Plan]
}

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
