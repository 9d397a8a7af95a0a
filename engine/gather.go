package engine

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/sts"
)

// gathered is all that a plan is made of: what DNS, MTA-STS, the memory and the operator
// say about one request. Nothing after it asks anybody.
type gathered struct {
	at    time.Time
	next  nextHop
	mx    mxReading
	hosts []Host // in the order to try, with their lookups and nothing else

	asked STSAsked
	sts   sts.Result

	past       *recalled // nil: the memory was not asked
	memory     MemoryAction
	hold       time.Duration
	exceptions *Exceptions
}

// gather does all I/O of a plan: MX and TXT records and the cached policy together, then
// the addresses of all hosts, each host's TLSA records as soon as its addresses are known.
func (e *Engine) gather(ctx context.Context, r *Request, n nextHop, now time.Time) gathered {
	g := gathered{at: now, next: n}
	policy := e.startSTS(ctx, r, n)
	past := e.startRecall(ctx, n)
	g.mx = e.lookUpMX(ctx, r, n)
	g.hosts = g.mx.hosts
	if g.mx.state.Outcome == OutcomeNone && n.kind != kindLiteral {
		e.lookUpHosts(ctx, r, &g)
	}
	g.asked, g.sts = policy.end(e, r, &g)
	g.past = past.end()
	if e.c.Memory != nil {
		g.memory, g.hold = e.c.Memory.c.Action, e.c.Memory.c.Hold
	}
	if e.c.Exceptions != nil {
		g.exceptions = e.c.Exceptions()
	}
	return g
}

// lookUpMX asks for the MX records of a domain; of other next hops there are none.
func (e *Engine) lookUpMX(ctx context.Context, r *Request, n nextHop) mxReading {
	if n.kind != kindDomain {
		return withoutMX(n)
	}
	start := e.c.Now()
	// RFC 5321 section 5.1: the name is a fully qualified one, no search list. The
	// resolver follows the aliases of the domain (RFC 7672 section 2.2.1); the answer
	// is secure only if every step is (section 2.1.3).
	a, err := e.c.Resolver.Resolve(ctx, dnssec.Question{Name: n.host.Name(), Type: dnssec.TypeMX})
	m := readMX(mxQuestion{request: r, next: n, own: e.c.OwnHosts, shuffle: e.c.Shuffle}, dane.Lookup{Answer: a, Err: err})
	if t := e.c.Trace.GotMX; t != nil {
		t(n.host, m.state, e.c.Now().Sub(start))
	}
	return m
}

// lookUpHosts asks for addresses and TLSA records of all hosts together.
func (e *Engine) lookUpHosts(ctx context.Context, r *Request, g *gathered) {
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
		group.Go(func() error {
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

// skipsTLSA reports whether TLSA records are not looked up (section 4).
func skipsTLSA(r *Request, mx mxSec) bool {
	switch {
	case !r.Level.usesDANE(), mx == mxNone:
		return true
	case mx == mxInsecure && r.Options.InsecureMX == InsecureMXMay && r.Level != LevelDANEOnly:
		return true
	}
	// A TLSRPT report goes whatever DANE says (RFC 8460 section 5.3.1); at a level
	// that does not bow to it the records are needed as ever.
	return r.TLSRPTReport && r.weakened()
}
