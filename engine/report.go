package engine

import (
	"slices"
	"strings"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/tlsrpt"
)

// Report says as what the connection to host i of the plan counts in the domain's
// TLSRPT report (section 8; RFC 8460 section 4): an entry for each policy that was
// applied, both where both were evaluated, one of type no-policy-found where there
// was none. It is nil where nothing counts: the host was not reached, or the message
// is itself a report (RFC 8460 section 5.3.1).
//
// A session counts once for each entry, as compliant or not. An entry may hold
// failures and be compliant all the same: a TLSA RRset of which nothing can be used
// is such a detail, and under a policy of mode testing the message was delivered
// although the entry is not compliant.
func Report(p *Plan, i int, d Decision) []tlsrpt.Entry {
	if p == nil || p.Request.TLSRPTReport {
		return nil
	}
	if p.MX.Outcome != OutcomeNone {
		if p.MX.Reason.ResultType == "" {
			return nil
		}
		return entries(p, nil, d, []Reason{p.MX.Reason})
	}
	if i < 0 || i >= len(p.Hosts) {
		return nil
	}
	h := &p.Hosts[i]
	switch d.Reason.ID {
	case ReasonPlanExpired, ReasonNotInPlan, ReasonWrongPort:
		return nil
	case ReasonMemoryDANE, ReasonMemorySTS:
		// This server's own caution: no policy of the domain had a part in it, and nothing
		// was tried.
		return nil
	}
	if d.Reason.ID == ReasonBudget || h.Waived.ID == ReasonBudget {
		return nil // this server did not look for long enough to say what policy there is
	}
	if h.Requirement != Skip && d.Event == NoConnection {
		// RFC 8460 section 4: what failed before TLS was tried is no TLS failure.
		return nil
	}
	all := append(slices.Clone(d.Details), p.Findings...)
	if d.Reason.ID != ReasonAudit && d.Reason.ID != ReasonException { // those repeat what failed, which is among the details
		all = append([]Reason{d.Reason}, all...)
	}
	return entries(p, h, d, all)
}

// entries makes the entries and puts each failure into its own.
func entries(p *Plan, h *Host, d Decision, why []Reason) []tlsrpt.Entry {
	var out []tlsrpt.Entry
	if h != nil && reportsTLSA(h) {
		e := tlsrpt.Policy{Type: tlsrpt.PolicyTLSA, Domain: p.Orig.String()}
		if h.Name.IsValid() {
			e.Domain = h.Name.String()
		}
		if h.DANE.Base.IsValid() {
			e.Domain = h.DANE.Base.String()
		}
		if h.Reason.ID == ReasonDANERequired {
			e.Domain = p.Orig.String()
		} else {
			for _, u := range h.DANE.Set.Uses() {
				e.Strings = append(e.Strings, u.Record.String())
			}
		}
		out = append(out, tlsrpt.Entry{Policy: e})
	}
	if h != nil && reportsSTS(p) {
		e := tlsrpt.Policy{Type: tlsrpt.PolicySTS, Domain: p.Orig.String()}
		if pol := p.STS.Policy; pol != nil {
			for line := range strings.Lines(pol.Text) {
				if line = strings.TrimRight(line, "\r\n"); line != "" {
					e.Strings = append(e.Strings, line)
				}
			}
			for _, m := range pol.MX {
				e.MXHosts = append(e.MXHosts, m.String())
			}
		}
		out = append(out, tlsrpt.Entry{Policy: e})
	}
	if len(out) == 0 {
		dom := p.Orig.String()
		if dom == "" {
			return nil // an address literal has no domain that could ask for reports
		}
		out = append(out, tlsrpt.Entry{Policy: tlsrpt.Policy{Type: tlsrpt.PolicyNoFound, Domain: dom}})
	}
	for n := range out {
		e := &out[n]
		e.Compliant = true
		for _, r := range why {
			if r.ResultType == "" || r.Policy != string(e.Policy.Type) {
				continue
			}
			if r.ResultType != resultTLSAInvalid {
				e.Compliant = false
			}
			f := tlsrpt.Failure{Type: tlsrpt.ResultType(r.ResultType), ReasonCode: reasonCode(r)}
			if h != nil {
				f.MXHost = h.Name.String()
			}
			if d.Address.IsValid() {
				f.ReceivingIP = d.Address.Addr().String()
			}
			if !slices.Contains(e.Failures, f) {
				e.Failures = append(e.Failures, f)
			}
		}
	}
	return out
}

// reportsTLSA reports whether TLSA records had a say about the host.
func reportsTLSA(h *Host) bool {
	if h.Requirement == Skip && h.Reason.Policy == policyTLSA || h.Waived.Policy == policyTLSA {
		return true // the lookup failed, or DANE is demanded and not there
	}
	return h.DANE.State >= dane.Unusable
}

// reportsSTS reports whether MTA-STS had a say about the host, or failed to have one.
func reportsSTS(p *Plan) bool {
	s := stateOf(p.STS)
	if p.STS.Row == 0 && p.STS.Policy == nil {
		return false // not looked at
	}
	for _, f := range p.Findings {
		if f.Policy == policySTS && f.ResultType != "" {
			return true
		}
	}
	return !p.STS.Pending && (s == stsEnforce || s == stsTesting)
}

// reasonCode is the failure-reason-code: the word of the reason, or what others call
// the case.
func reasonCode(r Reason) string {
	switch r.ID {
	case ReasonMXBogus, ReasonAddressBogus:
		return "dnssec-bogus"
	case ReasonSTSNoMatch:
		return "sts-mx-mismatch"
	}
	return string(r.ID)
}
