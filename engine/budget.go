package engine

import (
	"context"

	"github.com/mxauth/mxauth/dnssec"
)

// lookups are what the DNS lookups of a plan are paid from.
type lookups struct {
	budget *dnssec.Budget
	domain *dnssec.Share // of the next hop itself: MX records and the TXT record of MTA-STS
}

// newLookups returns a budget for a next hop, whose time begins now.
func newLookups(n nextHop, limits dnssec.Limits) lookups {
	name := n.host.String()
	if !n.host.IsValid() {
		name = n.address.String()
	}
	b := dnssec.NewBudget(name, limits)
	return lookups{budget: b, domain: b.Share(name)}
}

// left is what a plan that is made a second time, because answers ended meanwhile, may
// spend: what the first time has left of each amount, so that a plan costs no more in all
// than its limits say. Of the time it has all once more. That of the first time has passed,
// mostly in the fetch of a policy, and a plan without time would find nothing.
func (l lookups) left() dnssec.Limits {
	limits := l.budget.Limits()
	for r, n := range l.budget.Spent() {
		limits.Amounts[r] = max(limits.Amounts[r]-n, 1) // 0 means the default
	}
	return limits
}

// of returns the context of the questions about one host. Each host has a share of the
// budget, so that one which costs much leaves enough for the others; what they have found
// is kept when the budget ends.
func (l lookups) of(ctx context.Context, h *Host) (context.Context, context.CancelFunc) {
	return l.budget.Share(h.Name.String()).Context(ctx)
}

// spent reports to the observer what the lookups cost.
func (l lookups) spent(e *Engine, n nextHop) {
	if t := e.c.Trace.Spent; t != nil {
		t(n.host, l.budget.Spent(), l.budget.Limits())
	}
}
