package engine

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/mxauth/mxauth/sts"
)

// An stsLookup is the question to MTA-STS that runs while DNS is asked; nil: it is not asked.
type stsLookup struct {
	asked  STSAsked
	cancel context.CancelFunc
	result chan sts.Result // one value
	start  time.Time
}

// startSTS begins the lookup where MTA-STS can have a say: not at levels that ignore
// it, not for literals (RFC 8461 section 3.4), not for TLSRPT reports. The Policy
// Domain is the next hop as given, never an alias target or a parent (section 3).
func (e *Engine) startSTS(ctx context.Context, r *Request, n nextHop) stsLookup {
	if n.kind == kindLiteral || !r.Level.usesSTS() || r.TLSRPTReport && r.weakened() {
		return stsLookup{}
	}
	if e.c.STS == nil {
		return stsLookup{asked: STSNoClient}
	}
	ctx, cancel := context.WithCancel(ctx)
	l := stsLookup{asked: STSWasAsked, cancel: cancel, result: make(chan sts.Result, 1), start: e.c.Now()}
	go func() { l.result <- e.c.STS.Lookup(ctx, n.host) }()
	return l
}

// end takes the result, waiting for it only if a host's requirement could change with it.
// It always waits until the lookup's goroutine has returned.
func (l stsLookup) end(e *Engine, r *Request, g *gathered) (STSAsked, sts.Result) {
	if l.asked != STSWasAsked {
		return l.asked, sts.Result{}
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
	// What was left behind says nothing about a record or a policy, unless that came
	// from the cache. What came all the same is as good as if it had been waited for.
	left = left && res.Pending
	if left && res.Policy == nil {
		res = sts.Result{Domain: g.next.host, Row: sts.S12, Pending: true}
	}
	if t := e.c.Trace.GotSTS; t != nil {
		t(res, e.c.Now().Sub(l.start))
	}
	if left {
		return STSLeft, res
	}
	return STSWasAsked, res
}

// awaited reports whether what MTA-STS says can change the requirement of a host.
func awaited(r *Request, g *gathered) bool {
	pending := *g
	pending.asked, pending.sts = STSWasAsked, sts.Result{Pending: true}
	return slices.ContainsFunc(pending.hosts, func(h Host) bool {
		return h.usable() && awaitsSTS(factsOf(r, &pending, &h))
	})
}

// stateOf is S of section 3.
func stateOf(r sts.Result) stsState {
	switch {
	case r.Policy != nil && r.Policy.Mode == sts.ModeEnforce:
		return stsEnforce
	case r.Policy != nil && r.Policy.Mode == sts.ModeTesting:
		return stsTesting
	case r.Policy != nil:
		return stsNone
	case r.Pending:
		return stsPending
	case r.Row == sts.S2, r.TXTErr != nil && !errors.Is(r.TXTErr, sts.ErrNoRecord):
		// Not known, which is not absent; also where the store can not say.
		return stsUnknown
	}
	return stsNone
}

// policyFailure is what rows S2, S4, S7, S8 and S9 report; zero if there is nothing to.
func policyFailure(g *gathered) Reason {
	if g.asked != STSWasAsked {
		return Reason{}
	}
	r := &g.sts
	// Without a policy in force (none, or mode none) a record that is gone or can not
	// be looked up is no failure to report; one that announces a policy which then
	// can not be fetched always is (RFC 8461 section 6).
	inForce := r.Policy != nil && r.Policy.Mode != sts.ModeNone
	because := func(id ReasonID, err error) Reason {
		return g.reason(id, &PolicyFailed{Err: err, Fetched: r.Fetched})
	}
	switch {
	case r.TXTErr == nil && r.FetchErr == nil:
		return Reason{}
	case r.TXTErr == nil && errors.Is(r.FetchErr, sts.ErrFetchWebPKI):
		return because(ReasonSTSWebPKI, r.FetchErr)
	case r.TXTErr == nil && errors.Is(r.FetchErr, sts.ErrPolicy):
		return because(ReasonSTSInvalid, r.FetchErr)
	case r.TXTErr == nil:
		return because(ReasonSTSFetch, r.FetchErr)
	case errors.Is(r.TXTErr, sts.ErrNoRecord) && inForce:
		return because(ReasonSTSRecordGone, r.TXTErr)
	case errors.Is(r.TXTErr, sts.ErrNoRecord), r.Policy != nil && !inForce:
		return Reason{}
	}
	return because(ReasonSTSRecordFail, r.TXTErr)
}

// noSTS says why MTA-STS asks nothing of a host.
func noSTS(g *gathered) NoSTS {
	s := stateOf(g.sts)
	switch {
	case g.asked != STSWasAsked && g.asked != STSLeft:
		return NoSTSNotAsked
	case s == stsTesting:
		return NoSTSTesting
	case s == stsUnknown:
		return NoSTSUnknown
	case g.sts.Policy != nil:
		return NoSTSModeNone
	case g.sts.FetchErr != nil:
		return NoSTSFetch
	}
	return NoSTSNone
}
