package engine

import (
	"math/rand/v2"
	"slices"
	"strings"
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

// maxOrders bounds the orders of one plan that are kept: all of three equal hosts, or
// of two pairs of equal ones.
const maxOrders = 6

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

// kept returns the plan of the same request that still holds at now; nil if none.
func (e *Engine) kept(r *Request, now time.Time) *Plan {
	if e.plans == nil {
		return nil
	}
	key, ok := keyOf(r)
	if !ok {
		return nil
	}
	k, ok := e.plans.Get(key)
	if !ok {
		return nil
	}
	if !now.Before(k.plan.ends) {
		e.plans.Remove(key)
		return nil
	}
	if !k.plan.ties || r.Sorted {
		return k.plan
	}
	return k.drawn(e.c.Shuffle)
}

// keep puts a plan into the cache, if nothing in it failed: a failed lookup is asked
// again the next time.
func (e *Engine) keep(p *Plan) {
	if e.plans == nil || !p.steady || !p.ends.After(p.Made) {
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
	e.plans.Add(key, k)
}

// Forget drops every kept plan; the next of each is made anew. It is for operators
// who changed something that plans rest on.
func (e *Engine) Forget() {
	if e.plans != nil {
		e.plans.Purge()
	}
}
