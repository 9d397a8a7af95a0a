package engine

import (
	"slices"
	"strings"
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

// kept returns the plan of the same request that still holds at now; nil if none.
// Hosts of one preference are in a new random order, in a copy (RFC 5321 section
// 5.1: the load is spread).
func (e *Engine) kept(r *Request, now time.Time) *Plan {
	if e.plans == nil {
		return nil
	}
	k, ok := keyOf(r)
	if !ok {
		return nil
	}
	p, ok := e.plans.Get(k)
	if !ok {
		return nil
	}
	if !now.Before(p.ends) {
		e.plans.Remove(k)
		return nil
	}
	if !p.ties || r.Sorted {
		return p
	}
	q := *p
	q.Hosts = slices.Clone(p.Hosts)
	shuffleTies(q.Hosts, e.c.Shuffle)
	return &q
}

// keep puts a plan into the cache, if nothing in it failed: a failed lookup is asked
// again the next time.
func (e *Engine) keep(p *Plan) {
	if e.plans == nil || !p.steady || !p.ends.After(p.Made) {
		return
	}
	if k, ok := keyOf(&p.Request); ok {
		e.plans.Add(k, p)
	}
}

// Forget drops every kept plan; the next of each is made anew. It is for operators
// who changed something that plans rest on.
func (e *Engine) Forget() {
	if e.plans != nil {
		e.plans.Purge()
	}
}
