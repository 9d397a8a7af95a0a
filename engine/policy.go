package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/sts"
)

// An stsLookup is the question to MTA-STS that runs beside those to DNS.
type stsLookup struct {
	cancel context.CancelFunc
	result chan sts.Result // one value, then nothing
	start  time.Time
}

// startSTS begins the lookup where MTA-STS can have a say: not at levels that ignore
// it, not for literals (RFC 8461 section 3.4), not for TLSRPT reports. The Policy
// Domain is the next hop as given, never an alias target or a parent (section 3).
func (w *work) startSTS(ctx context.Context) *stsLookup {
	r := &w.Request
	w.state = stsNone
	if w.next.kind == kindLiteral || !r.Level.usesSTS() || r.TLSRPTReport && r.weakened() {
		return nil
	}
	if w.c.STS == nil {
		w.Why = append(w.Why, Step{Step: StepSTSRecord, Name: w.Orig.String(), Result: "MTA-STS is not looked at: no client is configured"})
		return nil
	}
	ctx, cancel := context.WithCancel(dnssec.WithShare(ctx, w.domainShare()))
	l := &stsLookup{cancel: cancel, result: make(chan sts.Result, 1), start: w.c.Now()}
	go func() { l.result <- w.c.STS.Lookup(ctx, w.Orig) }()
	return l
}

// endSTS takes the result, waiting for it only if a host's requirement could change
// with it. It always waits until the lookup's goroutine has returned.
func (w *work) endSTS() {
	if w.sts == nil {
		return
	}
	awaits := w.c.AwaitSTS
	w.state = stsPending
	for i := range w.Hosts {
		h := &w.Hosts[i]
		awaits = awaits || h.usable() && awaitsSTS(w.facts(h))
	}
	left := false
	if !awaits {
		select {
		case r := <-w.sts.result:
			w.sts.result <- r
		default:
			left = true
			w.sts.cancel()
		}
	}
	r := <-w.sts.result
	w.sts.cancel()
	// What was left behind says nothing about a record or a policy, unless that came
	// from the cache. What came all the same is as good as if it had been waited for.
	left = left && r.Pending
	if left && r.Policy == nil {
		r = sts.Result{Domain: w.Orig, Row: sts.S12, Pending: true}
	}
	if t := w.c.Trace.GotSTS; t != nil {
		t(r, w.c.Now().Sub(w.sts.start))
	}
	w.STS = r
	w.state = stateOf(r)
	w.until(r.Until)
	if w.MX.Outcome != Bounced && (left || w.state == stsUnknown || r.Pending) {
		w.steady = false // what is not known now may be known the next time
	}
	w.policySteps(left)
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

// policySteps writes down what MTA-STS said, and keeps its failures for the report.
func (w *work) policySteps(left bool) {
	r := &w.STS
	name := "_mta-sts." + w.Orig.String()
	row := r.Row.String()
	if r.Pending && r.Policy == nil {
		w.Why = append(w.Why, Step{Step: StepSTSPolicy, Name: w.Orig.String(), Row: row, RFC: "8461 s.3.3",
			Result: "not waited for: DANE alone decides for every host"})
		return
	}
	txt := Step{Step: StepSTSRecord, Name: name, Type: "TXT", Status: r.Answer.Status.String(), Row: row, RFC: "8461 s.3.1"}
	switch {
	case r.TXTErr == nil:
		txt.Result = fmt.Sprintf("id %q", clip(r.Record.ID))
	case errors.Is(r.TXTErr, sts.ErrNoRecord):
		txt.Result = "no record"
		if r.Answer.Kind == dnssec.Data {
			txt.Result = clip(r.TXTErr.Error())
		}
	case left:
		txt.Result = "not waited for: the kept policy is applied"
	default:
		txt.Result = lookupText(r.TXTErr)
	}
	pol := Step{Step: StepSTSPolicy, Name: w.Orig.String(), Row: row, RFC: "8461 s.3.3", Result: "none"}
	if p := r.Policy; p != nil {
		how := "fetched"
		if r.Cached {
			how = "kept from " + r.Fetched.UTC().Format(time.RFC3339)
		}
		pol.Result = fmt.Sprintf("mode %s, %s, holds until %s", p.Mode, how, r.Expires.UTC().Format(time.RFC3339))
	}
	if !left {
		if f := w.policyFailure(); !f.IsZero() {
			w.Findings = append(w.Findings, f)
			pol.ResultType = f.ResultType
			if r.FetchErr != nil {
				pol.Result += "; " + clip(r.FetchErr.Error())
			}
		}
	}
	w.Why = append(w.Why, txt, pol)
}

// policyFailure is what rows S2, S4, S7, S8 and S9 report.
func (w *work) policyFailure() Reason {
	r := &w.STS
	// Without a policy in force (none, or mode none) a record that is gone or can not
	// be looked up is no failure to report; one that announces a policy which then
	// can not be fetched always is (RFC 8461 section 6).
	inForce := r.Policy != nil && r.Policy.Mode != sts.ModeNone
	switch {
	case r.TXTErr == nil && r.FetchErr == nil:
		return Reason{}
	case r.TXTErr == nil && errors.Is(r.FetchErr, sts.ErrFetchWebPKI):
		return because(ReasonSTSWebPKI, "%s announces an MTA-STS policy, and its policy host could not prove to be mta-sts.%s (%s).", w.Orig, w.Orig, clip(r.FetchErr.Error()))
	case r.TXTErr == nil && errors.Is(r.FetchErr, sts.ErrPolicy):
		return because(ReasonSTSInvalid, "%s announces an MTA-STS policy, and what its policy host serves is malformed (%s).", w.Orig, clip(r.FetchErr.Error()))
	case r.TXTErr == nil:
		return because(ReasonSTSFetch, "%s announces an MTA-STS policy, and it could not be fetched (%s).", w.Orig, clip(r.FetchErr.Error()))
	case errors.Is(r.TXTErr, sts.ErrNoRecord) && inForce:
		return because(ReasonSTSRecordGone, "The MTA-STS record of %s is gone or malformed (%s), and the policy of %s still holds.", w.Orig, clip(r.TXTErr.Error()), r.Fetched.UTC().Format(time.DateOnly))
	case errors.Is(r.TXTErr, sts.ErrNoRecord), r.Policy != nil && !inForce:
		return Reason{}
	}
	return because(ReasonSTSRecordFail, "Whether %s has an MTA-STS record could not be found out (%s).", w.Orig, lookupText(r.TXTErr))
}
