package engine

import (
	"context"
	"errors"

	"github.com/mxauth/mxauth/dnssec"
)

// dnsBudget returns what the DNS lookups of the plan may cost. Its time begins with the
// first call.
func (w *work) dnsBudget() *dnssec.Budget {
	if w.budget == nil {
		w.budget = dnssec.NewBudget(w.label(), w.c.DNSLimits)
	}
	return w.budget
}

// domainShare returns the share of the next hop itself: of the questions for MX and for the
// TXT record of MTA-STS.
func (w *work) domainShare() *dnssec.Share {
	if w.share == nil {
		w.share = w.dnsBudget().Share(w.label())
	}
	return w.share
}

// lookupsOf returns the context of the questions about one host. Each host has a share
// of the budget, so that one which costs much leaves enough for the others; what they have
// found is kept when the budget ends.
func (w *work) lookupsOf(ctx context.Context, h *Host) (context.Context, context.CancelFunc) {
	return w.dnsBudget().Share(h.label()).Context(ctx)
}

// spent reports to the observer what the lookups cost.
func (w *work) spent() {
	if t := w.c.Trace.Spent; t != nil && w.budget != nil {
		t(w.Orig, w.budget.Spent(), w.budget.Limits())
	}
}

// outOfBudget reports whether one of the lookups failed because the DNS work for a plan is
// bounded. Nothing is known then of the records, and nothing is reported about them.
func outOfBudget(errs ...error) bool {
	for _, err := range errs {
		if errors.Is(err, dnssec.ErrBudget) {
			return true
		}
	}
	return false
}

// budgetText says what was used up, and where.
func budgetText(errs ...error) string {
	var le *dnssec.LookupError
	for _, err := range errs {
		if errors.Is(err, dnssec.ErrBudget) && errors.As(err, &le) {
			if s := le.Reason.String(); s != "" {
				return clip(s)
			}
		}
	}
	return "the lookups cost more than they may"
}
