package evidence

import (
	"context"
	"fmt"
	"time"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/store"
)

// memoryOf is what a memory knows of a plan's domain, with what the plan and the connections
// after it added: a replay at the same time finds the losses that were noticed then, and
// one at a later time finds them noticed.
func memoryOf(ctx context.Context, m *engine.Memory, plan *engine.Plan) *Memory {
	if m == nil {
		return nil
	}
	out := &Memory{Action: m.Action(), HoldSeconds: int64(m.Hold() / time.Second)}
	if plan.Past == nil {
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

// open makes a memory that knows what the file says. The plan of a replay finds in it what
// the recorded one proved or missed, and comes to the same.
func (p *Memory) open(now func() time.Time) (m *engine.Memory, end func(), err error) {
	if p == nil {
		return nil, func() {}, nil
	}
	if p.HoldSeconds < 1 || p.HoldSeconds > int64(engine.MaxHold/time.Second) {
		return nil, nil, fmt.Errorf("%w: a memory that holds for %d s", ErrFile, p.HoldSeconds)
	}
	s, err := store.NewMemory(store.MemoryConfig{Now: now})
	if err != nil {
		return nil, nil, err
	}
	m, err = engine.NewMemory(engine.MemoryConfig{Store: s, Action: p.Action, Hold: time.Duration(p.HoldSeconds) * time.Second, Now: now})
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
