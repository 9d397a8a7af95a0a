package engine

import (
	"context"
	"slices"
	"time"

	"github.com/mxauth/mxauth/engine/exception"
	"github.com/mxauth/mxauth/internal/fault"
)

// Plan makes the plan of one delivery. It asks DNS and MTA-STS under ctx. An error
// wraps [ErrRequest], or is ctx's.
//
// MX, TXT and the kept policy are looked up together, then the addresses of all
// hosts, each host's TLSA records as soon as its addresses are known. Where DANE
// alone decides for every host, the plan does not wait for the policy host and says so
// (STS.Pending). A plan of the same request is kept in memory until the earliest end
// of what it rests on, unless something failed.
func (e *Engine) Plan(ctx context.Context, r Request) (*Plan, error) {
	start := e.c.Now()
	if p := e.plans.get(&r, start); p != nil {
		e.planned(p, true, start)
		return p, nil
	}
	purged := e.plans.purges()
	p, err := e.planAnew(ctx, r, start)
	if err != nil {
		return nil, err
	}
	e.plans.put(p, e.c.Now(), purged)
	e.planned(p, false, start)
	return p, nil
}

// planAnew plans without the cache of plans.
func (e *Engine) planAnew(ctx context.Context, r Request, now time.Time) (*Plan, error) {
	n, err := r.check(e.c.STS != nil)
	if err != nil {
		return nil, err
	}
	r.Options.Names = slices.Clone(r.Options.Names)
	g := e.gather(ctx, &r, n, now)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	p, lost := makePlan(r, g)
	for _, d := range lost {
		e.dropped(p.Orig, d)
	}
	return p, nil
}

// planned reports a plan to the observers.
func (e *Engine) planned(p *Plan, cached bool, start time.Time) {
	if t := e.c.Trace.Planned; t != nil {
		t(p, cached, e.c.Now().Sub(start))
	}
}

// Decide judges what a connection to host i of the plan showed. It is a pure function
// of its arguments and the engine's roots, does no I/O and counts nothing; a caller that
// acts on the decision says so with [Engine.Record]. It is to be called before MAIL FROM
// (RFC 3207 section 4.1); where Deliver is false the caller sends QUIT and tries the next
// host. After the plan's ValidUntil the decision is [Deferred].
func (e *Engine) Decide(p *Plan, i int, peer Peer, at time.Time) Decision {
	return e.decide(p, i, peer, at, judgeOptions{})
}

// Replay is [Engine.Decide] for a plan that was made in another time: what it rests
// on was in force then, so ValidUntil is not looked at. At is the time by which
// certificates are judged.
func (e *Engine) Replay(p *Plan, i int, peer Peer, at time.Time) Decision {
	return e.decide(p, i, peer, at, judgeOptions{replay: true})
}

// Diagnose decides on a peer that package engine/probe looked at once more after a
// handshake had failed ([Peer].Handshake, [Peer].OwnTLS), and records the decision. It is
// no decision to send by.
func (e *Engine) Diagnose(p *Plan, i int, peer Peer) Decision {
	d := e.decide(p, i, peer, e.c.Now(), judgeOptions{})
	e.Record(p, i, d)
	return d
}

func (e *Engine) decide(p *Plan, i int, peer Peer, at time.Time, how judgeOptions) Decision {
	return judge(local{roots: e.roots, rootsErr: e.rootsErr, memory: e.c.Memory}, p, i, peer, at, how)
}

// Record calls the observers ([Trace].Decided, [Trace].Excepted) with a decision that is
// acted on, and counts it for the exception that covers the host. [Attempt.Decision] does
// so itself.
func (e *Engine) Record(p *Plan, i int, d Decision) {
	if t := e.c.Trace.Decided; t != nil {
		t(p, i, &d)
	}
	if p == nil || i < 0 || i >= len(p.Hosts) || p.Hosts[i].Exception == nil {
		return
	}
	x, needed := p.Hosts[i].Exception, d.Exception != nil
	e.uses.count(x.ID, needed, e.c.Now())
	if t := e.c.Trace.Excepted; t != nil {
		t(x, needed)
	}
}

// LookAgain is the second half of O8: before a message is bounced because of an
// enforced MTA-STS policy, the domain is asked whether it has changed (RFC 8461
// section 5.1). If it has, changed is true and next is a new plan for one more
// attempt; otherwise the message may go back, and the caller says so with
// [Circumstances].Looked. An error is ctx's.
func (e *Engine) LookAgain(ctx context.Context, p *Plan) (next *Plan, changed bool, err error) {
	if e.c.STS == nil || !p.Orig.IsValid() {
		return nil, false, nil
	}
	r := e.c.STS.Lookup(ctx, p.Orig)
	if ctx.Err() != nil {
		return nil, false, context.Cause(ctx)
	}
	if r.Policy != nil && p.STS.Policy != nil && r.ID == p.STS.ID && r.Policy.Text == p.STS.Policy.Text {
		return nil, false, nil
	}
	e.plans.remove(&p.Request)
	next, err = e.planAnew(ctx, p.Request, e.c.Now())
	if err != nil {
		return nil, false, fault.Errorf("engine", "plan after a changed policy: %w", err)
	}
	return next, true, nil
}

// Forget drops every kept plan, and keeps none that is being made. It is for operators
// who changed something that plans rest on.
func (e *Engine) Forget() { e.plans.purge() }

// ExceptionUses returns the counts since the engine was made, in the order of the ids. An
// exception keeps its count when the set is read again.
func (e *Engine) ExceptionUses() []exception.Use { return e.uses.list() }
