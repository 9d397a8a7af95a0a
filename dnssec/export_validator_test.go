package dnssec

import "context"

// Waiting counts the callers that wait for exchanges.
func (v *Validator) Waiting() int {
	v.flights.mu.Lock()
	defer v.flights.mu.Unlock()
	n := 0
	for _, f := range v.flights.m {
		n += f.refs
	}
	return n
}

// Turns says what the turns have: how many are free, the bytes of replies that are held, and
// the plans that have something there.
func (v *Validator) Turns() (free, held, plans int) {
	v.turns.mu.Lock()
	defer v.turns.mu.Unlock()
	return v.turns.free, v.turns.held, len(v.turns.plans)
}

// Hold counts bytes of a reply in for a share, Let out.
func (v *Validator) Hold(s *Share, n int) error { return v.turns.hold(s, n) }
func (v *Validator) Let(s *Share, n int)        { v.turns.let(s, n) }

// Bounds of the bytes that all plans hold.
const (
	MaxHeld   = maxHeld
	HeldFloor = heldFloor
)

// MaxPlanSpare is how many second sockets a plan may have.
const MaxPlanSpare = maxPlanSpare

// Spend pays from a share.
func (s *Share) Spend(r Resource, n int) error { return s.pay(r, n) }

// CheckRDATA is checkRDATA.
var CheckRDATA = checkRDATA

// BudgetError is budgetError.
type BudgetError = budgetError

// CheckValidating is the method of StubConfig.
func CheckValidating(ctx context.Context, up Upstream) error {
	return StubConfig{Upstream: up}.CheckValidating(ctx)
}

// ShortAlone is the error of a question without a plan that has used up a resource.
func ShortAlone(r Resource) error {
	s := NewBudget("alone", Limits{}).Share("alone")
	s.alone = true
	return s.short(r, false)
}
