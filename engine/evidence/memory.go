package evidence

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/store"
)

// memoryOf is what a memory knows of a plan's domain, with what the plan and the connections
// after it added: a replay at the same time finds the losses that were noticed then, and
// one at a later time finds them noticed.
func memoryOf(ctx context.Context, m *memory.Memory, plan *engine.Plan) *Memory {
	if m == nil {
		return nil
	}
	pol := m.Policy()
	out := &Memory{Action: pol.Action, HoldSeconds: int64(pol.Hold / time.Second)}
	if plan.Past == nil {
		out.Unread = slices.ContainsFunc(plan.Findings, func(r engine.Reason) bool { return r.ID == reason.MemoryUnknown })
		return out
	}
	p, ok, err := m.Past(ctx, plan.Orig, plan.Past.Port)
	if err != nil || !ok {
		p = *plan.Past
	}
	if !p.Last().IsZero() {
		out.Past = &p
	}
	return out
}

// unread is a store that cannot be read.
type unread struct{ store.Store }

func (unread) Get(context.Context, string) (store.Entry, bool, error) {
	return store.Entry{}, false, fmt.Errorf("%w: as it was when the evidence was recorded", store.ErrUnavailable)
}

// open makes a memory that knows what the file says. The plan of a replay finds in it what
// the recorded one proved or missed, and comes to the same.
func (p *Memory) open(now func() time.Time) (_ engine.Memory, end func(), err error) {
	if p == nil {
		return nil, func() {}, nil
	}
	if p.HoldSeconds < 1 || p.HoldSeconds > int64(memory.MaxHold/time.Second) {
		return nil, nil, fmt.Errorf("%w: a memory that holds for %d s", ErrFile, p.HoldSeconds)
	}
	s, err := store.NewMemory(store.MemoryConfig{Now: now})
	if err != nil {
		return nil, nil, err
	}
	var from store.Store = s
	if p.Unread {
		from = unread{s}
	}
	m, err := memory.New(memory.Config{Store: from, Action: p.Action, Hold: time.Duration(p.HoldSeconds) * time.Second, Now: now})
	if err == nil && p.Past != nil {
		err = m.Restore(*p.Past)
	}
	end = func() {
		if m != nil {
			_ = m.Close()
		}
		_ = s.Close()
	}
	if err != nil {
		end()
		return nil, nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	return m, end, nil
}
