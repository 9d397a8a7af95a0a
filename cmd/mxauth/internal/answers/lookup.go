package answers

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/mtapolicy"
)

// Limits of lookups.
const (
	// DefaultMaxLookups is the number of plans that are made side by side. A plan of a slow
	// domain takes as long as lookupTime, and a Postfix with its default of 100 processes
	// makes 400 such plans in that time.
	DefaultMaxLookups = 1000
	// maxWaiting bounds the lookups that run or wait for a turn, as a multiple of those that
	// run. What comes beyond is answered TryLater at once.
	maxWaiting = 8
	// lookupTime bounds a lookup that goes on after its clients have left: as long as RFC
	// 8461 section 3.3 suggests for the fetch of a policy.
	lookupTime = time.Minute
)

// A callID names a lookup: all that its reply depends on.
type callID struct {
	nextHop string
	variant
}

// A call is a lookup under way, which all that ask the same wait for.
type call struct {
	id    callID
	begun time.Time // by the monotonic clock
	done  chan struct{}
	kept  keptReply // to be read after done is closed; until is 0 if it is not kept
	warm  bool      // there was nothing to look up
	stale bool      // what it rests on has changed since it began; guarded by Answers.mu
}

// join returns the kept reply as a call that has ended, the call that looks it up already
// (joined), or a new one. It is nil if too many are under way.
func (a *Answers) join(key mtapolicy.Key, v variant) (c *call, joined bool) {
	id := callID{key.NextHop, v}
	a.mu.Lock()
	defer a.mu.Unlock()
	// A call that ends is kept under the lock, so that none falls between the two.
	if k, ok := a.cache.get(key.NextHop, v, a.c.Now()); ok {
		return &call{kept: k, warm: true}, false
	}
	if c := a.calls[id]; c != nil {
		return c, true
	}
	switch {
	case a.closed:
		return &call{kept: a.keptOf(v, mtapolicy.Failed("shutting down")), warm: true}, false
	case len(a.calls) >= maxWaiting*a.c.MaxLookups:
		return nil, false
	}
	c = &call{id: id, begun: time.Now(), done: make(chan struct{})}
	a.calls[id] = c
	a.wg.Go(func() { a.run(c, key) })
	return c, false
}

// keptOf is a reply that is not kept yet.
func (a *Answers) keptOf(v variant, r mtapolicy.Reply) keptReply {
	return keptReply{variant: v, kind: r.Kind, text: r.Text, shape: a.shapes.of(r)}
}

// run waits for a turn, looks up, and keeps the reply.
func (a *Answers) run(c *call, key mtapolicy.Key) {
	ctx, cancel := context.WithTimeout(a.ctx, lookupTime)
	defer cancel()
	var until time.Time
	now := a.c.Now()
	select {
	case a.turns <- struct{}{}:
		reply, hold := a.lookUp(ctx, key, c.id.variant)
		<-a.turns
		now = a.c.Now()
		c.kept, until = a.keptOf(c.id.variant, reply), hold(now)
	case <-ctx.Done():
		c.kept = a.keptOf(c.id.variant, mtapolicy.Failed(fmt.Sprintf("%s: too many lookups are under way", key)))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	defer close(c.done)
	if !c.stale {
		delete(a.calls, c.id)
	}
	if !c.stale && !until.IsZero() && a.ctx.Err() == nil {
		c.kept.made, c.kept.until = now.UnixNano(), until.UnixNano()
		a.cache.put(key.NextHop, c.kept)
	}
}

// lookUp makes the plan and the reply, and says until when it holds.
func (a *Answers) lookUp(ctx context.Context, key mtapolicy.Key, v variant) (reply mtapolicy.Reply, hold func(now time.Time) time.Time) {
	hold = func(now time.Time) time.Time { return now.Add(TempHold) }
	defer func() {
		// One domain on which the engine panics must not take the mail of all others.
		if p := recover(); p != nil {
			a.c.Logger.Error("internal error; this is a bug of mxauth", "key", key.String(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			reply = mtapolicy.Failed("internal error")
		}
	}()
	request := a.c.Request
	request.NextHop, request.Port = key.NextHop, key.Port
	plan, err := a.c.Plan(ctx, request)
	switch {
	case err == nil && v.form == mtapolicy.PerHost:
		reply, err = mtapolicy.Exim(plan, v.host)
	case err == nil:
		options := a.c.Options
		options.Form = v.form
		reply, err = mtapolicy.Postfix(plan, options)
	case !errors.Is(err, engine.ErrRequest):
		return mtapolicy.Failed(fmt.Sprintf("%s: the lookups did not end in time", key)), hold
	}
	if err != nil {
		return mtapolicy.Failed(err.Error()), hold
	}
	if reply.Kind != mtapolicy.TryLater {
		hold = func(now time.Time) time.Time { return holdOf(plan, now) }
	}
	return reply, hold
}

// holdOf is how long the reply of a plan holds.
func holdOf(p *engine.Plan, now time.Time) time.Time {
	until, ok := p.Keep()
	if least := now.Add(MinHold); !ok || until.Before(least) {
		until = least
	}
	if most := now.Add(MaxHold); until.After(most) {
		until = most
	}
	for i := range p.Hosts {
		if x := p.Hosts[i].Exception; x != nil && x.Ends.Before(until) {
			until = x.Ends
		}
	}
	return until
}
