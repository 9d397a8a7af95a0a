package engine

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/sts"
)

// gather does all I/O of a plan: MX and TXT records and the cached policy together, then
// the addresses of all hosts, each host's TLSA records as soon as its addresses are known.
func (e *Engine) gather(ctx context.Context, r *Request, n nextHop, now time.Time) gatheredFacts {
	past := e.startRecall(ctx, n)
	paid := newLookups(n, e.c.DNSLimits)
	g := e.ask(ctx, r, gatheredFacts{at: now, next: n}, nil, paid)
	if g.hasEnded(e.c.Now()) && ctx.Err() == nil {
		// Once: what has ended after that is used all the same.
		g = e.ask(ctx, r, gatheredFacts{at: now, next: n}, &g, newLookups(n, paid.left()))
	}
	if g.past = past.end(); e.c.Memory != nil {
		g.memory = e.c.Memory.Policy()
	}
	if e.c.Exceptions != nil {
		g.exceptions = e.c.Exceptions()
	}
	if ctx.Err() == nil {
		e.compare(r, &g)
	}
	g.done = e.c.Now()
	return g
}

// compare compares what the domain once proved with what was found now, and has the
// memory note it.
func (e *Engine) compare(r *Request, g *gatheredFacts) {
	if g.past == nil || g.past.err != nil || g.mx.state.Outcome != OutcomeNone {
		return // there is nothing to compare, or a domain without mail hosts
	}
	u := g.past.past.Compare(g.next.host, g.next.port, stateNow(r, g), g.memory, g.at)
	g.past.update, g.past.noted = &u, true
	if u.Changed {
		g.past.noted = e.c.Memory.LearnPlan(g.next.host, u, g.past.forgets)
	}
}

// ask asks DNS and MTA-STS. before is what was gathered before, of which something has
// ended; nil if this is the first time.
func (e *Engine) ask(ctx context.Context, r *Request, g gatheredFacts, before *gatheredFacts, paid lookups) gatheredFacts {
	var policy stsLookup
	defer paid.spent(e, g.next)
	if before != nil && before.asked == reason.STSWasAsked && !before.policyEnded(e.c.Now()) {
		// A fetch, and the wait for one, is made once for a plan.
		policy = answered(before.sts, e.c.Now())
	} else if !e.c.AwaitSTS {
		policy = e.startSTS(ctx, r, g.next, paid)
	}
	g.mx = e.lookUpMX(ctx, r, g.next, paid)
	g.hosts = g.mx.hosts
	if e.c.AwaitSTS && policy.asked == reason.STSNotAsked && g.mx.state.Outcome == OutcomeNone {
		// Not before: whether it is asked must not depend on which answer comes first.
		policy = e.startSTS(ctx, r, g.next, paid)
	}
	if g.mx.state.Outcome == OutcomeNone && g.next.kind != kindLiteral {
		e.lookUpHosts(ctx, r, &g, paid)
	}
	g.asked, g.sts = policy.end(e, r, &g)
	return g
}

// lookUpMX asks for the MX records of a domain; of other next hops there are none.
func (e *Engine) lookUpMX(ctx context.Context, r *Request, n nextHop, paid lookups) mxReading {
	if n.kind != kindDomain {
		return withoutMX(n)
	}
	start := e.c.Now()
	ctx, done := paid.domain.Context(ctx)
	defer done()
	// RFC 5321 section 5.1: the name is a fully qualified one, no search list. The
	// resolver follows the aliases of the domain (RFC 7672 section 2.2.1); the answer
	// is secure only if every step is (section 2.1.3).
	// SMTP5321-5.1-01: RFC 5321 section 5.1
	a, err := e.c.Resolver.Resolve(ctx, dnssec.Question{Name: n.host.Name(), Type: dnssec.TypeMX})
	m := readMX(mxQuestion{request: r, next: n, own: e.c.OwnHosts, shuffle: e.c.Shuffle}, dane.Lookup{Answer: a, Err: err})
	if t := e.c.Trace.GotMX; t != nil {
		t(n.host, m.state, e.c.Now().Sub(start))
	}
	return m
}

// lookUpHosts asks for addresses and TLSA records of all hosts together.
func (e *Engine) lookUpHosts(ctx context.Context, r *Request, g *gatheredFacts, paid lookups) {
	o := dane.DiscoverOptions{
		Port:        g.next.port,
		RefuseAlias: r.Options.RefuseMXAlias,
		SkipTLSA:    skipsTLSA(r, g.mx.sec),
		Policy:      r.Options.TLSA,
	}
	var group errgroup.Group
	group.SetLimit(hostLookups)
	for i := range g.hosts {
		h := &g.hosts[i]
		ctx, done := paid.of(ctx, h)
		group.Go(func() error {
			defer done()
			start := e.c.Now()
			h.DANE = dane.Discover(ctx, e.c.Resolver, h.Name, o)
			h.Addresses = h.DANE.Addresses
			if t := e.c.Trace.GotHost; t != nil {
				t(h, e.c.Now().Sub(start))
			}
			return nil
		})
	}
	group.Wait() // the functions return no error
	if g.next.kind == kindDomain {
		g.mx = g.mx.withoutOwnAddresses(g.next, e.c.OwnAddresses)
		g.hosts = g.mx.hosts
	}
}

// An stsLookup is the question to MTA-STS that runs while DNS is asked; nil: it is not asked.
type stsLookup struct {
	asked  reason.STSAsked
	cancel context.CancelFunc
	result chan sts.Result // one value
	start  time.Time
}

// startSTS begins the lookup where MTA-STS can have a say: not at levels that ignore
// it, not for literals (RFC 8461 section 3.4), not for TLSRPT reports. The Policy
// Domain is the next hop as given, never an alias target or a parent (section 3).
func (e *Engine) startSTS(ctx context.Context, r *Request, n nextHop, paid lookups) stsLookup {
	if n.kind == kindLiteral || !r.Level.usesSTS() || r.TLSRPTReport && r.weakened() {
		return stsLookup{}
	}
	if e.c.STS == nil {
		return stsLookup{asked: reason.STSNoClient}
	}
	ctx, cancel := context.WithCancel(paid.domain.With(ctx))
	l := stsLookup{asked: reason.STSWasAsked, cancel: cancel, result: make(chan sts.Result, 1), start: e.c.Now()}
	go func() { l.result <- e.c.STS.Lookup(ctx, n.host) }() // STS-3.4-01: RFC 8461 section 3.4
	return l
}

// answered is a question whose answer is there.
func answered(r sts.Result, now time.Time) stsLookup {
	l := stsLookup{asked: reason.STSWasAsked, cancel: func() {}, result: make(chan sts.Result, 1), start: now}
	l.result <- r
	return l
}

// end takes the result, waiting for it only if a host's requirement could change with it.
// It always waits until the lookup's goroutine has returned.
func (l stsLookup) end(e *Engine, r *Request, g *gatheredFacts) (reason.STSAsked, sts.Result) {
	if l.asked != reason.STSWasAsked {
		return l.asked, sts.Result{}
	}
	if g.mx.state.Outcome != OutcomeNone {
		// There is no host to which a policy could apply, whatever it says.
		l.cancel()
		<-l.result
		return reason.STSNotAsked, sts.Result{}
	}
	left := false
	if !e.c.AwaitSTS && !awaited(r, g) {
		select {
		case r := <-l.result:
			l.result <- r
		default:
			left = true
			l.cancel()
		}
	}
	res := <-l.result
	l.cancel()
	// A lookup that was not waited for says nothing about a record or a policy, unless that came
	// from the cache. What came all the same is as good as if it had been waited for.
	left = left && res.Pending
	if left && res.Policy == nil {
		res = sts.Result{Domain: g.next.host, Row: sts.S12, Pending: true}
	}
	if t := e.c.Trace.GotSTS; t != nil {
		t(res, e.c.Now().Sub(l.start))
	}
	if left {
		return reason.STSLeft, res
	}
	return reason.STSWasAsked, res
}

// memoryPatience bounds what a plan waits for the memory.
const memoryPatience = 2 * time.Second

// A recall is the question to the memory that runs while DNS is asked.
type recall struct {
	cancel context.CancelFunc
	result chan pastState // one value
}

// startRecall asks the memory where it can have a say: about domains whose mail hosts are
// looked up.
func (e *Engine) startRecall(ctx context.Context, n nextHop) *recall {
	if e.c.Memory == nil || n.kind != kindDomain {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, memoryPatience)
	r := &recall{cancel: cancel, result: make(chan pastState, 1)}
	go func() {
		p, forgets, err := e.c.Memory.Recall(ctx, n.host, n.port)
		r.result <- pastState{past: p, forgets: forgets, err: err}
	}()
	return r
}

// end waits for the answer of the memory; nil if it was not asked.
func (r *recall) end() *pastState {
	if r == nil {
		return nil
	}
	p := <-r.result
	r.cancel()
	return &p
}
