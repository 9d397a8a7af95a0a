package engine

import (
	"errors"
	"slices"

	"github.com/mxauth/mxauth/sts"
)

// awaited reports whether what MTA-STS says can change the requirement of a host.
func awaited(r *Request, g *gathered) bool {
	pending := *g
	pending.asked, pending.sts = STSWasAsked, sts.Result{Pending: true}
	return slices.ContainsFunc(pending.hosts, func(h Host) bool {
		return h.usable() && awaitsSTS(factsOf(r, &pending, &h))
	})
}

// policyFailure is what rows S2, S4, S7, S8 and S9 report; zero if there is nothing to.
func policyFailure(g *gathered) Reason {
	if g.asked != STSWasAsked || g.sts.Pending {
		return Reason{}
	}
	r := &g.sts
	// Without a policy in force (none, or mode none) a record that is gone or cannot
	// be looked up is no failure to report; one that announces a policy which then
	// cannot be fetched always is (RFC 8461 section 6).
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
	case s == stsPending, s == stsNoTurn:
		return NoSTSPending
	case s == stsNoStore:
		return NoSTSStore
	case s == stsUnknown:
		return NoSTSUnknown
	case g.sts.Policy != nil:
		return NoSTSModeNone
	case g.sts.FetchErr != nil:
		return NoSTSFetch
	}
	return NoSTSNone
}
