package engine

import (
	"errors"
	"slices"

	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/sts"
)

// awaited reports whether what MTA-STS says can change the requirement of a host.
func awaited(r *Request, g *gatheredFacts) bool {
	pending := *g
	pending.asked, pending.sts = reason.STSWasAsked, sts.Result{Pending: true}
	return slices.ContainsFunc(pending.hosts, func(h Host) bool {
		return h.usable() && awaitsSTS(factsOf(r, &pending, &h))
	})
}

// policyFailure is what rows S2, S4, S7, S8 and S9 report; zero if there is nothing to.
func policyFailure(g *gatheredFacts) Reason {
	if g.asked != reason.STSWasAsked || g.sts.Pending {
		return Reason{}
	}
	r := &g.sts
	// Without a policy in force (none, or mode none) a record that is gone or cannot
	// be looked up is no failure to report; one that announces a policy which then
	// cannot be fetched always is (RFC 8461 section 6).
	inForce := r.Policy != nil && r.Policy.Mode != sts.ModeNone
	because := func(id reason.ID, err error) Reason {
		return g.reason(id, &reason.PolicyFailed{Err: err, Fetched: r.Fetched})
	}
	switch {
	case r.TXTErr == nil && r.FetchErr == nil:
		return Reason{}
	case r.TXTErr == nil && errors.Is(r.FetchErr, sts.ErrFetchWebPKI):
		return because(reason.STSWebPKI, r.FetchErr)
	case r.TXTErr == nil && errors.Is(r.FetchErr, sts.ErrPolicy):
		return because(reason.STSInvalid, r.FetchErr)
	case r.TXTErr == nil:
		return because(reason.STSFetch, r.FetchErr)
	case errors.Is(r.TXTErr, sts.ErrNoRecord) && inForce:
		return because(reason.STSRecordGone, r.TXTErr)
	case errors.Is(r.TXTErr, sts.ErrNoRecord), r.Policy != nil && !inForce:
		return Reason{}
	}
	return because(reason.STSRecordFail, r.TXTErr)
}

// noSTS says why MTA-STS asks nothing of a host.
func noSTS(g *gatheredFacts) reason.NoSTS {
	s := stateOf(g.sts)
	switch {
	case g.asked != reason.STSWasAsked && g.asked != reason.STSLeft:
		return reason.NoSTSNotAsked
	case s == stsTesting:
		return reason.NoSTSTesting
	case s == stsPending, s == stsNoTurn:
		return reason.NoSTSPending
	case s == stsNoStore:
		return reason.NoSTSStore
	case s == stsUnknown:
		return reason.NoSTSUnknown
	case g.sts.Policy != nil:
		return reason.NoSTSModeNone
	case g.sts.FetchErr != nil:
		return reason.NoSTSFetch
	}
	return reason.NoSTSNone
}
