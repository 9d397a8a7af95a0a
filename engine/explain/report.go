package explain

import (
	"slices"
	"strings"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/sts"
	"github.com/mxauth/mxauth/tlsrpt"
)

// maxReportedPolicy bounds the octets of a policy's text, and those of its patterns, in a
// report: its owner has it, and every connection would carry it.
const maxReportedPolicy = 4 << 10

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
func Report(p *engine.Plan, i int, d engine.Decision) []tlsrpt.Entry {
	if p == nil || p.Request.TLSRPTReport {
		return nil
	}
	if p.MX.Outcome != engine.OutcomeNone {
		if resultType(p.MX.Reason) == "" {
			return nil
		}
		return entries(p, nil, d, []engine.Reason{p.MX.Reason})
	}
	if i < 0 || i >= len(p.Hosts) {
		return nil
	}
	h := &p.Hosts[i]
	switch d.Reason.ID {
	case reason.PlanExpired, reason.NotInPlan, reason.WrongPort:
		return nil
	case reason.MemoryDANE, reason.MemorySTS:
		// This server's own caution: no policy of the domain had a part in it, and nothing
		// was tried.
		return nil
	}
	if d.Reason.ID == reason.Budget || h.Waived.ID == reason.Budget {
		return nil // this server did not look for long enough to say what policy there is
	}
	if d.Peer.Handshake == engine.HandshakeRead || d.Event == engine.HandshakeFailed && d.Peer.OwnTLS != nil {
		// This program's TLS library is at fault, so there was no session to count and there
		// is no failure of the domain (RFC 8460 section 4.3).
		return nil
	}
	if h.Requirement != engine.Skip && d.Event == engine.NoConnection {
		// RFC 8460 section 4: what failed before TLS was tried is no TLS failure.
		return nil
	}
	all := append(slices.Clone(d.Details), p.Findings...)
	if d.Reason.ID != reason.Audit && d.Reason.ID != reason.Exception { // those repeat what failed, which is among the details
		all = append([]engine.Reason{d.Reason}, all...)
	}
	return entries(p, h, d, all)
}

// entries makes the entries and puts each failure into its own.
func entries(p *engine.Plan, h *engine.Host, d engine.Decision, why []engine.Reason) []tlsrpt.Entry {
	var out []tlsrpt.Entry
	if h != nil && reportsTLSA(h) {
		e := tlsrpt.Policy{Type: tlsrpt.PolicyTLSA, Domain: p.Orig.String()}
		if h.Name.IsValid() {
			e.Domain = h.Name.String()
		}
		if h.DANE.Base.IsValid() {
			e.Domain = h.DANE.Base.String()
		}
		if h.Reason.ID == reason.DANERequired {
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
			room := maxReportedPolicy
			for line := range strings.Lines(pol.Text) {
				if room -= len(line); room < 0 {
					break
				}
				if line = strings.TrimRight(line, "\r\n"); line != "" {
					e.Strings = append(e.Strings, line)
				}
			}
			room = maxReportedPolicy
			for _, m := range pol.MX {
				host := m.String()
				if room -= len(host); room < 0 {
					break
				}
				e.MXHosts = append(e.MXHosts, host)
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
			t := resultType(r)
			if t == "" || r.Policy != e.Policy.Type {
				continue
			}
			if t != tlsrpt.TLSAInvalid {
				e.Compliant = false
			}
			f := tlsrpt.Failure{Type: t, ReasonCode: reasonCode(r)}
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
func reportsTLSA(h *engine.Host) bool {
	if h.Requirement == engine.Skip && h.Reason.Policy == tlsrpt.PolicyTLSA || h.Waived.Policy == tlsrpt.PolicyTLSA {
		return true // the lookup failed, or DANE is demanded and not there
	}
	return h.DANE.State >= dane.Unusable
}

// reportsSTS reports whether MTA-STS had a say about the host, or failed to have one.
func reportsSTS(p *engine.Plan) bool {
	if p.STS.Row == 0 && p.STS.Policy == nil {
		return false // not looked at
	}
	for _, f := range p.Findings {
		if f.Policy == tlsrpt.PolicySTS && resultType(f) != "" {
			return true
		}
	}
	return !p.STS.Pending && p.STS.Policy != nil && (p.STS.Policy.Mode == sts.ModeEnforce || p.STS.Policy.Mode == sts.ModeTesting)
}

// reasonCode is the failure-reason-code: the word of the reason, or what others call
// the case.
func reasonCode(r engine.Reason) string {
	switch r.ID {
	case reason.MXBogus, reason.AddressBogus:
		return "dnssec-bogus"
	case reason.STSNoMatch:
		return "sts-mx-mismatch"
	}
	return string(r.ID)
}
