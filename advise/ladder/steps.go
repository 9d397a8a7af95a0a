package ladder

import (
	"errors"
	"fmt"
	"strings"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/internal/text"
)

// clean makes a foreign text one line that is safe to show.
func clean(s string) string { return text.Escape(strings.Join(strings.Fields(s), " ")) }

// RFC sections of the steps where nothing failed.
const (
	rfcAnchor  = "4033 s.5"
	rfcZones   = "4035 s.5"
	rfcMX      = "5321 s.5.1"
	rfcAddress = "7672 s.2.2.2"
	rfcTLSA    = "7672 s.2.2.3"
	rfcTLS     = "3207 s.4"
	rfcDANE    = "7672 s.3"
	rfcNames   = "9525 s.6"
)

// trunk is the first ladder as far as all hosts share it.
func trunk(p *engine.Plan) []Step {
	switch p.MX.Row {
	case "M1":
		return []Step{{Kind: MX, Status: Unused, Name: clean(p.Request.NextHop), RFC: "7672 s.2.2",
			Lines: []string{"an address is given: DNS is not asked, and neither DANE nor MTA-STS applies"}}}
	case "M2":
		return []Step{{Kind: MX, Status: Good, Name: p.Orig.String(), RFC: rfcAddress,
			Lines: []string{"this host is configured: no MX records are asked for"}}}
	}
	l := &p.MX.Lookup
	root, zones := Step{Kind: Root, RFC: rfcAnchor}, Step{Kind: Zones, Name: p.Orig.String(), RFC: rfcZones}
	mx := Step{Kind: MX, Name: p.Orig.String(), RFC: rfcMX, Reason: p.MX.Reason.ID}
	root.Status, zones.Status, mx.Status = Good, Good, Good
	root.Lines = []string{"a trust anchor of this program"}
	what := "the MX records"
	switch a := &l.Answer; {
	case l.Err != nil:
		failedTrunk(l.Err, what, &root, &zones, &mx)
	case a.Status == dnssec.Secure:
		if a.SignaturesEnd.IsZero() {
			root.Status, root.Lines = Unproved, []string{"the resolver says that it has validated the answers"}
		}
		zones.Lines = []string{"signed from the root down to here"}
	default:
		zones.Status, mx.Status = Unproved, Unproved
		zones.Lines = []string{explain.Unsigned(a.Reason)}
		if n := a.Reason.Name; n.IsValid() {
			zones.Name = clean(n.String())
		}
		switch a.Reason.Code {
		case dnssec.ReasonADClear, dnssec.ReasonNoAnchor, dnssec.ReasonNegativeAnchor:
			root.Status, root.Lines, zones.Status = Unproved, zones.Lines, Unused
			zones.Lines = []string{"nothing leads to these zones"}
		}
	}
	if l.Err == nil {
		mx.Lines = listed(p)
	}
	if p.MX.Outcome != engine.OutcomeNone {
		w := explain.Reason(p.MX.Reason)
		mx.RFC = w.RFC
		if l.Err == nil {
			mx.Status, mx.Lines = ofOutcome(p.MX.Outcome), []string{w.Text}
		}
	}
	return []Step{root, zones, mx}
}

// failedTrunk says which of the steps failed: the zone, if it is at fault, else the records.
func failedTrunk(err error, what string, root, zones, mx *Step) {
	clause := explain.LookupFault(err, what)
	mx.Status, mx.Lines = Unknown, []string{clause}
	var le *dnssec.LookupError
	if !errors.As(err, &le) {
		zones.Status = Unknown
		return
	}
	at := zones
	switch r := le.Reason; {
	case r.Code == dnssec.ReasonAnchorMismatch, r.Code == dnssec.ReasonNoUsableAnchor, r.Zone.IsValid() && r.Zone.IsRoot() && r.Type != dnssec.TypeDS:
		at = root
	case !errors.Is(err, dnssec.ErrBogus):
		zones.Status, zones.Lines = Unknown, []string{"not known"}
		return
	case r.Type != dnssec.TypeDS && r.Type != dnssec.TypeDNSKEY:
		zones.Lines = []string{"signed from the root down to here"}
		mx.Status = Broken
		return
	}
	at.Status, at.Lines = Broken, []string{clause}
	at.Reason, mx.Reason = mx.Reason, ""
	if z := le.Reason.Name; z.IsValid() && at == zones {
		at.Name = clean(z.String())
	}
	if at == root {
		zones.Status = Unknown
		zones.Lines = []string{"not known"}
	}
	mx.Lines = []string{"what is found here cannot be believed"}
}

// listed are the MX records.
func listed(p *engine.Plan) (out []string) {
	m := &p.MX
	if m.Lookup.Answer.Kind == dnssec.NoData {
		return []string{"no MX record: the domain is its own mail host"}
	}
	for i, h := range m.Listed {
		if i == MaxColumns && len(m.Listed)+m.More > MaxColumns+1 {
			return append(out, fmt.Sprintf("and %d more", len(m.Listed)-i+m.More))
		}
		out = append(out, fmt.Sprintf("%d %s", h.Preference, h.Name))
	}
	return out
}

// column is what host i of the plan came to.
func column(p *engine.Plan, i int, d *engine.Decision) Host {
	h := &p.Hosts[i]
	out := Host{Name: h.String(), Preference: h.Preference, Listed: len(p.MX.Listed) > 0, Outcome: d.Outcome, Method: d.Method}
	if h.Name.IsValid() {
		out.Unicode = other(out.Name, h.Name.Unicode)
	}
	lines := map[string][]string{}
	for _, l := range explain.HostLines(p, i, d, p.Made) {
		lines[l.Label] = append(lines[l.Label], l.Text)
	}
	end := Step{Kind: Outcome, Status: ofOutcome(d.Outcome), Name: outcomeWords(d.Outcome, d.Method), Reason: d.Reason.ID}
	if w := explain.Reason(d.Reason); w.Text != "" {
		end.Lines, end.RFC = []string{w.Text}, w.RFC
	} else {
		end.Lines = []string{"the plan is made; no connection was made"}
	}
	out.Steps = []Step{address(h, lines["alias"]), tlsa(h, d), connection(h, d, lines["connection"]), certificate(h, d, lines["certificate"]), end}
	return out
}

// address is the step of the host's addresses.
func address(h *engine.Host, alias []string) Step {
	s := Step{Kind: Address, RFC: rfcAddress, Status: Good}
	if h.Literal.IsValid() {
		s.Status, s.Lines = Unused, []string{"an address is given; DNS is not asked"}
		return s
	}
	s.Name = h.Name.String()
	for i, a := range h.Addresses {
		if i == maxListed && len(h.Addresses) > maxListed+1 {
			s.Lines = append(s.Lines, fmt.Sprintf("and %d more", len(h.Addresses)-i))
			break
		}
		s.Lines = append(s.Lines, a.String())
	}
	s.Lines = append(s.Lines, alias...)
	if h.DANE.Address != dane.AddressOK {
		s.Reason, s.Status = h.Reason.ID, Unknown
		w := explain.Reason(h.Reason)
		s.RFC, s.Lines = w.RFC, []string{w.Text}
		if h.Unusable || h.Reason.ID == reason.AddressBogus {
			s.Status = Broken
		}
		return s
	}
	for _, l := range []dane.Lookup{h.DANE.A, h.DANE.AAAA} {
		if l.Err == nil && l.Answer.Status != dnssec.Secure && l.Answer.Kind == dnssec.Data && s.Status == Good {
			s.Status = Unproved
			s.Lines = append(s.Lines, explain.Unsigned(l.Answer.Reason))
		}
	}
	return s
}

// maxListed is how many addresses or TLSA records a step shows one by one.
const maxListed = 4

// tlsa is the step of the host's TLSA records.
func tlsa(h *engine.Host, d *engine.Decision) Step {
	s := Step{Kind: TLSA, RFC: rfcTLSA, Status: Unused}
	d0 := &h.DANE
	if len(d0.TLSA) > 0 {
		s.Name = clean(d0.TLSA[len(d0.TLSA)-1].Answer.Question.Name.String())
	}
	switch {
	case h.Literal.IsValid():
		s.Lines = []string{"DANE does not apply to an address"}
	case d0.Address != dane.AddressOK:
		s.Lines = []string{"not asked for: there is no address"}
	case d0.State == dane.Failed:
		s.Reason, s.Status = h.TLSAFailure(), Unknown
		if s.Reason == reason.TLSABogus {
			s.Status = Broken
		}
		for _, l := range d0.TLSA {
			if l.Err != nil {
				s.Lines = []string{explain.LookupFault(l.Err, "the TLSA records")}
			}
		}
		if i, ok := explain.About(s.Reason); ok {
			s.RFC = i.RFC
		}
	case h.NoDANE == reason.NoDANEAddressInsecure:
		s.Lines = []string{"not asked for: the addresses are not signed"}
	case d0.State == dane.NA:
		s.Lines = []string{"not asked for"}
	case d0.State == dane.None:
		s.Status, s.Lines = Missing, []string{"none is published"}
	default:
		s.Status, s.Lines = records(d0, d)
		if d0.State == dane.Unusable {
			s.Reason, s.RFC = reason.TLSAUnusable, "7672 s.2.2"
		}
	}
	return s
}

// records says of each TLSA record whether it was used and matched.
func records(h *dane.Host, d *engine.Decision) (Status, []string) {
	status := Unproved
	var lines []string
	uses := h.Set.Uses()
	for i, u := range uses {
		if u.Usable {
			status = Good
		}
		if i >= maxListed && len(uses) > maxListed+1 {
			continue
		}
		line := short(u.Record)
		switch {
		case !u.Usable:
			line += ": not used, " + explain.UnusableRecord(u)
		case d.TLSA.OK && u.Record == d.TLSA.Matched:
			line += ": matches"
		}
		lines = append(lines, line)
	}
	if n := len(uses) - maxListed; n > 1 {
		lines = append(lines, fmt.Sprintf("and %d more", n))
	}
	return status, lines
}

// short is a record with the beginning of its data: "3 1 1 0a1b2c3d4e5f...".
func short(r dane.Record) string {
	const most = 18
	if s := r.String(); len(s) > most+3 {
		return s[:most] + "..."
	}
	return r.String()
}

// connection is the step of TCP and STARTTLS.
func connection(h *engine.Host, d *engine.Decision, lines []string) Step {
	s := Step{Kind: Connection, RFC: rfcTLS, Lines: lines}
	forbidden := func(weaker Status) Status {
		if d.Deliver {
			return weaker
		}
		return Broken
	}
	switch {
	case !d.Judged:
		s.Status, s.Lines = Unused, []string{"not made: the host is not to be used now"}
		if h.Requirement != engine.Skip {
			s.Lines = []string{"not made"}
		}
		return s
	case d.Event == engine.HandshakeDone:
		s.Status = Good
	case d.Event == engine.NoConnection:
		s.Status = Unknown
		s.Reason = d.Reason.ID
	default:
		s.Status = forbidden(Unproved)
		s.Reason = d.Reason.ID
	}
	if len(s.Lines) == 0 {
		s.Lines = []string{d.Event.String()}
	}
	return s
}

// certificate is the step of what the host presented.
func certificate(h *engine.Host, d *engine.Decision, lines []string) Step {
	s := Step{Kind: Certificate, RFC: rfcNames, Lines: lines}
	if d.Event != engine.HandshakeDone || !d.Judged {
		s.Status, s.Lines = Unused, []string{"none was shown"}
		return s
	}
	if h.Requirement&(engine.DANE|engine.HalfDANE) != 0 {
		s.RFC = rfcDANE
	}
	s.Reason = d.Reason.ID
	switch d.Outcome {
	case engine.Authenticated:
		s.Status = Good
	case engine.Encrypted:
		s.Status = Unproved
	case engine.Refused:
		s.Status = Broken
	}
	if d.Reason.ID == reason.HalfDANEMatch {
		s.Status = Good // the host is proved; that it is the domain's is not
	}
	if w := explain.Reason(d.Reason); w.RFC != "" {
		s.RFC = w.RFC
	}
	return s
}
