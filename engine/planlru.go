package engine

import (
	"reflect"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/golang-lru/v2/simplelru"

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

// A planLRU keeps plans, the one that was used last the longest. It bounds their
// number and their bytes. It may be used by many goroutines at once.
type planLRU struct {
	most int64 // bytes of all plans
	one  int64 // bytes of one plan

	mu    sync.Mutex // guards all below
	lru   *simplelru.LRU[planKey, *keptPlan]
	bytes int64
}

// newPlanLRU returns a cache of at most so many plans and bytes, both above 0.
func newPlanLRU(plans int, bytes int64) (*planLRU, error) {
	c := &planLRU{most: bytes, one: min(maxKeptPlan, max(bytes/keptPlanShare, 1))}
	var err error
	c.lru, err = simplelru.NewLRU(plans, func(_ planKey, k *keptPlan) { c.bytes -= k.size })
	return c, err
}

// Get returns a plan and counts it as used.
func (c *planLRU) Get(key planKey) (*keptPlan, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lru.Get(key)
}

// Add keeps a plan, and drops others for it where there is no room. A plan that is too
// large is not kept; nor is the one that it would have replaced.
func (c *planLRU) Add(key planKey, k *keptPlan) {
	k.size = k.heapSize(&key, c.one)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Remove(key)
	if k.size > c.one {
		return
	}
	c.bytes += k.size
	c.lru.Add(key, k)
	for c.bytes > c.most {
		c.lru.RemoveOldest()
	}
}

// Remove drops a plan.
func (c *planLRU) Remove(key planKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Remove(key)
}

// Purge drops all plans.
func (c *planLRU) Purge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Purge()
}

// keptPlanOverhead is what an entry takes in addition to the plan: in the map, in the list of
// the LRU, and in the map that heapSize does not see.
const keptPlanOverhead = 512

// heapSize estimates the memory of k, with all orders that may still be made.
func (k *keptPlan) heapSize(key *planKey, most int64) int64 {
	n := keptPlanOverhead + heapSize(k.plan, most) + heapSize(key, most)
	order := int64(reflect.TypeFor[Plan]().Size()) + int64(len(k.plan.Hosts))*int64(reflect.TypeFor[Host]().Size())
	return n + int64(len(k.orders))*order
}

// Limits of one kept plan.
const (
	// maxKeptPlan bounds one kept plan, so that no domain takes the room of many others.
	// A plan of 20 hosts, the largest MX sets in use, with four TLSA records each takes
	// about half of it. A larger plan is made again for each delivery.
	maxKeptPlan = 256 << 10
	// keptPlanShare is the part of a smaller bound that one plan may take.
	keptPlanShare = 16
)
