package explain

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/reason"
)

// A Line is one line of evidence: what was seen, in few words. [Step] has it all.
type Line struct{ Label, Text string }

// PlanLines say what was found for the domain.
func PlanLines(p *engine.Plan) (out []Line) {
	m := &p.MX
	switch {
	case m.Row == "M1" || m.Row == "M2" || m.Lookup.Err != nil:
	case m.Lookup.Answer.Kind == dnssec.NoData && m.Outcome == engine.OutcomeNone:
		out = append(out, Line{"mx", "no MX record: the domain itself is its mail host" + validated(m.Status)})
	case len(m.Listed) > 0:
		out = append(out, Line{"mx", listed(m) + validated(m.Status)})
	}
	for i, a := range m.Lookup.Answer.Chain {
		if i == maxAliasLines {
			out = append(out, Line{"alias", fmt.Sprintf("and %d more", len(m.Lookup.Answer.Chain)-i)})
			break
		}
		out = append(out, Line{"alias", fmt.Sprintf("%s is an alias (%s) of %s", a.Owner, a.Type, a.Target)})
	}
	if l, ok := policyLine(p); ok {
		out = append(out, l)
	}
	return out
}

// maxAliasLines bounds the aliases that are shown one by one.
const maxAliasLines = 3

// validated says that DNSSEC validation succeeded.
func validated(s dnssec.Status) string {
	if s == dnssec.Secure {
		return "; DNSSEC valid"
	}
	return ""
}

// policyLine is what MTA-STS said.
func policyLine(p *engine.Plan) (Line, bool) {
	r := &p.STS
	if p.STSAsked != reason.STSWasAsked && p.STSAsked != reason.STSLeft {
		return Line{}, false
	}
	if q := r.Policy; q != nil {
		text := fmt.Sprintf("policy of mode %s", q.Mode)
		if len(q.MX) > 0 {
			text += " for " + list(texts(q.MX))
		}
		if r.Cached {
			text += ", kept from " + moment(r.Fetched)
		}
		return Line{"mta-sts", text + ", valid until " + day(r.Expires)}, true
	}
	switch all := recordTexts(r.Answer); {
	case len(all) == 1:
		return Line{"mta-sts", fmt.Sprintf("TXT %s", quoted(all[0]))}, true
	case len(all) > 1:
		var each []string
		for _, t := range all {
			each = append(each, quoted(t))
		}
		return Line{"mta-sts", "TXT " + list(each)}, true
	}
	return Line{}, false
}

// maxRecordLines bounds the TLSA records that are shown one by one.
const maxRecordLines = 6

// HostLines say what was found for a host, and what its connection showed; at is when.
func HostLines(p *engine.Plan, i int, d *engine.Decision, at time.Time) (out []Line) {
	h := &p.Hosts[i]
	for _, a := range []*dnssec.Answer{&h.DANE.A.Answer, &h.DANE.AAAA.Answer} {
		if len(a.Chain) > 0 {
			out = append(out, Line{"alias", fmt.Sprintf("%s is an alias of %s; an MX record should name the host itself (RFC 2181 section 10.3)", h, a.Final)})
			break
		}
	}
	if len(h.Addresses) > 1 || !d.Address.IsValid() && len(h.Addresses) > 0 {
		out = append(out, Line{"address", list(texts(h.Addresses))})
	}
	out = append(out, tlsaLines(h, d)...)
	if !d.Judged {
		return out
	}
	c := connection(h.String(), d)
	text := c.Result
	if c.Name != "" {
		text = c.Name + ", " + text
	}
	if d.Event != engine.NoConnection || len(out) == 0 {
		out = append(out, Line{"connection", strings.TrimSuffix(text, " established")})
	}
	if d.Event == engine.HandshakeDone {
		out = append(out, Line{"certificate", certificateLine(d, at)})
		if key := keyLine(d); key != "" {
			out = append(out, Line{"key", key})
		}
	}
	return append(out, otherLines(d, at)...)
}

// tlsaLines are the TLSA records with what each came to.
func tlsaLines(h *engine.Host, d *engine.Decision) (out []Line) {
	uses := h.DANE.Set.Uses()
	if len(uses) == 0 {
		return nil
	}
	owner := tlsaOwner(h, h.DANE.Base)
	for n, u := range uses {
		if n == maxRecordLines {
			return append(out, Line{"tlsa", fmt.Sprintf("and %d more", len(uses)-n)})
		}
		result := "not compared"
		switch {
		case !u.Usable:
			result = "not used: " + whyUnusable(u)
		case d.TLSA.OK && u.Record == d.TLSA.Matched:
			result = "matches"
			if kind := KeyOf(&d.Peer); kind != "" {
				result += " the " + kind + " certificate"
			}
		case matchesOther(d, u.Record):
			result = "matches the " + d.Peer.Other.KeyKind().String() + " certificate"
		default:
			for i, t := range d.TLSA.Trace {
				switch {
				case t.Record != u.Record || t.Fault == dane.NoFault:
				case t.Depth < 0 && t.Err == nil:
					result = "no match"
				case errors.Is(t.Err, dane.ErrName):
					result = "the name is wrong"
				case t.Err != nil:
					result = "the chain is not valid"
				default:
					result = clip(RecordResult(h.DANE.Set, i, t))
				}
			}
		}
		text := fmt.Sprintf("%s %s: %s", owner, recordOf(u.Record), result)
		if n > 0 {
			text = fmt.Sprintf("%s: %s", recordOf(u.Record), result)
		}
		out = append(out, Line{"tlsa", text})
	}
	return out
}
