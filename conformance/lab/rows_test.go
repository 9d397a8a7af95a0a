package lab_test

import (
	"strings"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/sts"
)

// met lists the rows of the decision table, by the ids of [lab.Rows], that a check went
// through: read from what the check found, not from what the world says of itself.
func met(w lab.World, v mxauth.Verdict) map[string]bool {
	rows := map[string]bool{v.Plan.MX.Row: true, v.Plan.STS.Row.String(): true}
	for _, s := range explain.Plan(v.Plan) {
		rows[s.Row] = true
	}
	switch v.Plan.STS.Row.String() {
	case "S3", "S4", "S6", "S7":
		rows["6/fetch"] = true
	}
	if v.Plan.Request.Level != engine.LevelDefault {
		rows["level/"+v.Plan.Request.Level.String()] = true
	}
	if v.Plan.Request.Options.Audit {
		rows["7/audit"] = true
	}
	for i := range v.Plan.Hosts {
		h := &v.Plan.Hosts[i]
		for _, s := range explain.Host(h) {
			for _, r := range strings.Fields(s.Row) {
				rows[r] = true
				if strings.HasPrefix(r, "C") {
					for _, c := range columns(v.Plan, h) {
						rows[r+"/"+c] = true
					}
				}
			}
		}
		tlsaRows(v.Plan, h, rows)
		shown(v.Plan, h, rows)
		for _, a := range v.Hosts[i].Addresses {
			if a.Peer.Event == engine.NoConnection {
				rows["7/E0"] = true
			} else {
				rows["7/"+word(h.Requirement)+"/E"+string('0'+rune(a.Peer.Event))] = true
			}
		}
	}
	return rows
}

// columns are the columns of the C rows that a host's MTA-STS part may be in: any, if
// no one waited for the policy.
func columns(p *engine.Plan, h *engine.Host) []string {
	switch {
	case p.STS.Pending:
		return []string{"nothing", "sts", "skip"}
	case p.STS.Policy == nil || p.STS.Policy.Mode != sts.ModeEnforce:
		return []string{"nothing"}
	}
	if _, ok := p.STS.Policy.Match(h.Name); ok {
		return []string{"sts"}
	}
	return []string{"skip"}
}

// tlsaRows adds T1 to T3 and R1 to R9.
func tlsaRows(p *engine.Plan, h *engine.Host, rows map[string]bool) {
	for _, l := range h.DANE.TLSA {
		switch {
		case l.Err != nil, l.Answer.Reason.Code == dnssec.ReasonNSEC3Iterations:
			rows["T1"] = true
		case l.Answer.Status == dnssec.Secure && l.Answer.Kind == dnssec.Data:
			rows["T2"] = true
		default:
			rows["T3"] = true
		}
	}
	if h.DANE.Address != dane.AddressOK {
		return
	}
	secure := p.MX.Status == dnssec.Secure
	switch s := h.DANE.State; {
	case s == dane.Failed:
		rows["R1"] = true
	case secure && s == dane.Usable:
		rows["R2"] = true
	case secure && s == dane.Unusable:
		rows["R3"] = true
	case secure:
		rows["R4"] = true
	case p.Request.Options.InsecureMX == engine.InsecureMXMay:
		rows["R5"] = true
	case s != dane.Usable && s != dane.Unusable:
		rows["R9"] = true
	case p.Request.Options.InsecureMX == engine.InsecureMXEncrypt:
		rows["R6"] = true
	case s == dane.Usable:
		rows["R7"] = true
	default:
		rows["R8"] = true
	}
}

// shown adds the rows of section 6.
func shown(p *engine.Plan, h *engine.Host, rows map[string]bool) {
	ta := h.DANE.Set.HasUsage(dane.DANETA)
	switch w := word(h.Requirement); {
	case w == "skip":
	case w == "dane" && ta && (p.MX.Row == "M2" || p.MX.Row == "M5"):
		rows["6/dane-ta-no-mx"] = true
	case w == "dane" && ta:
		rows["6/dane-ta"] = true
	case w == "dane":
		rows["6/dane-ee"] = true
	case w == "half-dane" && !ta: // the table has no row for it: as dane-ee
		rows["6/dane-ee"] = true
	default:
		rows["6/"+w] = true
	}
}

// word is the requirement in the words of the row ids.
func word(r engine.Requirement) string {
	if s := r.String(); !strings.Contains(s, "+") {
		return s
	}
	return "sum"
}
