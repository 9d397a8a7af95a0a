package engine

import (
	"reflect"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

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

// keptPlanOverhead is what an entry takes beside the plan: in the map, in the list of
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
