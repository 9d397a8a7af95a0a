package engine

import (
	"context"

	"github.com/mxauth/mxauth/dnssec"
)

// lookups are what the DNS lookups of a plan are paid from. One that is made a second time,
// because answers ended meanwhile, has a budget of its own: the time of the first has passed.
type lookups struct {
	budget *dnssec.Budget
	domain *dnssec.Share // of the next hop itself: MX records and the TXT record of MTA-STS
}

// newLookups returns a fresh budget for a next hop.
func (e *Engine) newLookups(n nextHop) lookups {
	name := n.host.String()
	if !n.host.IsValid() {
		name = n.address.String()
	}
	b := dnssec.NewBudget(name, e.c.DNSLimits)
	return lookups{budget: b, domain: b.Share(name)}
}

// of returns the context of the questions about one host. Each host has a share of the
// budget, so that one which costs much leaves enough for the others; what they have found
// is kept when the budget ends.
func (l lookups) of(ctx context.Context, h *Host) (context.Context, context.CancelFunc) {
	return l.budget.Share(h.Name.String()).Context(ctx)
}

// spent tells the observer what the lookups cost.
func (l lookups) spent(e *Engine, n nextHop) {
	if t := e.c.Trace.Spent; t != nil {
		t(n.host, l.budget.Spent(), l.budget.Limits())
	}
}
