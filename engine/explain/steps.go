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
	"github.com/mxauth/mxauth/sts"
	"github.com/mxauth/mxauth/tlsrpt"
)

// A Step is one line of the ordered why: what was looked up, its security status,
// which record or name decided.
type Step struct {
	Step       string            `json:"step"`                  // stable word, see the constants
	Host       string            `json:"host,omitempty"`        // the MX host it is about
	Name       string            `json:"name,omitempty"`        // what was asked or compared
	Type       string            `json:"type,omitempty"`        // DNS type
	Status     string            `json:"status,omitempty"`      // security status
	Result     string            `json:"result,omitempty"`      // what came out, one line, safe for a terminal
	Row        string            `json:"row,omitempty"`         // row of the decision table
	RFC        string            `json:"rfc,omitempty"`         // "7672 s.2.2.2"
	ResultType tlsrpt.ResultType `json:"result_type,omitempty"` // RFC 8460
}

// The words of steps.
const (
	StepNextHop     = "next-hop"    // what kind of next hop it is
	StepMX          = "mx"          // the MX lookup, or a record of it that is not used
	StepSTSRecord   = "sts-txt"     // the TXT record of MTA-STS
	StepSTSPolicy   = "sts-policy"  // its policy: fetched, cached, or why not
	StepMemory      = "memory"      // what the domain once proved and does not now
	StepAddress     = "address"     // A and AAAA of a host
	StepTLSA        = "tlsa"        // a TLSA lookup
	StepTLSARecord  = "tlsa-record" // a record of a TLSA RRset that does not count, or what it matched
	StepRequirement = "requirement" // what must hold for a host
	StepConnection  = "connection"  // the result of the TCP connection and of STARTTLS
	StepCertificate = "certificate" // what the peer presented, and what was made of it
	StepVerdict     = "verdict"     // the decision
)

// Plan lists what was looked up for the next hop.
func Plan(p *engine.Plan) []Step {
	var out []Step
	if p.STSAsked == reason.STSNoClient {
		out = append(out, Step{Step: StepSTSRecord, Name: p.Orig.String(), Result: "MTA-STS is not looked at: no client is configured"})
	}
	switch p.MX.Row {
	case "M1":
		out = append(out, Step{Step: StepNextHop, Name: p.Request.NextHop, Row: "M1", RFC: "7672 s.2.2",
			Result: "an address literal: neither DANE nor MTA-STS applies"})
	case "M2":
		out = append(out, Step{Step: StepNextHop, Name: p.Orig.String(), Row: "M2", RFC: "7672 s.2.2.2",
			Result: "a configured host: no MX lookup, its name is as good as signed"})
	default:
		out = append(out, mx(p)...)
	}
	out = append(out, policy(p)...)
	if p.PastErr != nil {
		out = append(out, Step{Step: StepMemory, Name: p.Orig.String(), RFC: byID[reason.MemoryTLS].RFC,
			Result: "it is not known what the domain once proved: " + clip(p.PastErr.Error())})
	}
	for i := range p.Drops {
		d := &p.Drops[i]
		id := reason.MemoryDANE
		if d.OfSTS() {
			id = reason.MemorySTS
		}
		out = append(out, Step{Step: StepMemory, Name: p.Orig.String(), Result: drop(engine.Reason{Domain: p.Orig}, d), RFC: byID[id].RFC})
	}
	return out
}

// mx lists the MX lookup, its aliases, and the records that are not used.
func mx(p *engine.Plan) []Step {
	m := &p.MX
	a := &m.Lookup.Answer
	var out, late []Step
	for _, c := range a.Chain {
		out = append(out, alias(StepMX, "", c))
	}
	for _, u := range m.Unused {
		s := Step{Step: StepMX, Name: p.Orig.String(), Type: "MX", Result: unused(u), Row: u.Row, RFC: "5321 s.5.1"}
		if u.Late {
			late = append(late, s)
		} else {
			out = append(out, s)
		}
	}
	w := Reason(m.Reason)
	s := Step{Step: StepMX, Name: p.Orig.String(), Type: "MX", Status: m.Status.String(), Row: m.Records}
	if err := m.Lookup.Err; err != nil {
		s.RFC, s.Result, s.ResultType = w.RFC, clip(failedLookup(err, "the MX records")), w.ResultType
		return append(out, s)
	}
	s.RFC = "5321 s.5.1"
	switch {
	case a.Kind == dnssec.NXDomain:
		s.Result, s.RFC = "no such domain", ""
	case a.Kind == dnssec.NoData:
		s.Result = "no MX records: the domain itself is its mail host (implicit MX)"
	case m.Records == "M6":
		s.Result = "null MX"
	case m.Records == "M8":
		s.Result = "no usable MX record"
	default:
		s.Result = listed(m)
	}
	out = append(out, s)
	if m.Outcome != engine.OutcomeNone && len(late) == 0 {
		out = append(out, Step{Step: StepVerdict, Result: w.Text, Row: m.Row, RFC: w.RFC})
	}
	return append(out, late...)
}

// listed lists the hosts with their preferences, as the records have them.
func listed(m *engine.MXState) string {
	var b strings.Builder
	for i, h := range m.Listed {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s (%d)", h.Name, h.Preference)
	}
	if m.More > 0 {
		fmt.Fprintf(&b, " and %d more", m.More)
	}
	return b.String()
}

// unused says why an MX record is not used.
func unused(u reason.UnusedMX) string {
	switch u.Why {
	case reason.MXNotHost:
		return fmt.Sprintf("%d %s: not a host name, not used", u.Preference, u.Name)
	case reason.MXRoot:
		return "the root as an MX host in addition to others: not used"
	case reason.MXTooMany:
		return fmt.Sprintf("only the first %d hosts are looked at", engine.MaxHosts)
	case reason.MXSelf:
		return fmt.Sprintf("%s is this server: it and every host of preference %d or worse is dropped", u.Self, u.Preference)
	}
	return "a malformed MX record"
}

// policy lists what MTA-STS said.
func policy(p *engine.Plan) []Step {
	left := p.STSAsked == reason.STSLeft
	if !left && p.STSAsked != reason.STSWasAsked {
		return nil
	}
	r := &p.STS
	row := r.Row.String()
	if left && r.Policy == nil {
		return []Step{{Step: StepSTSPolicy, Name: p.Orig.String(), Row: row, RFC: "8461 s.3.3", Result: whyLeft(p)}}
	}
	txt := Step{Step: StepSTSRecord, Name: "_mta-sts." + p.Orig.String(), Type: "TXT", Status: r.Answer.Status.String(), Row: row, RFC: "8461 s.3.1"}
	switch {
	case r.TXTErr == nil:
		txt.Result = fmt.Sprintf("id %q", clip(r.Record.ID))
	case errors.Is(r.TXTErr, sts.ErrNoRecord):
		txt.Result = "no record"
		if r.Answer.Kind == dnssec.Data {
			txt.Result = "no record that counts"
			if c, _, ok := recordFault(p); ok {
				txt.Result = c
			}
		}
	case left:
		txt.Result = "not waited for: the kept policy is applied"
	default:
		txt.Result = clip(failedLookup(r.TXTErr, "the TXT record"))
	}
	pol := Step{Step: StepSTSPolicy, Name: p.Orig.String(), Row: row, RFC: "8461 s.3.3", Result: "none"}
	if q := r.Policy; q != nil {
		how := "fetched"
		if r.Cached {
			how = "kept from " + r.Fetched.UTC().Format(time.RFC3339)
		}
		pol.Result = fmt.Sprintf("mode %s, %s, holds until %s", q.Mode, how, r.Expires.UTC().Format(time.RFC3339))
	}
	if r.Policy == nil && r.StoreErr != nil {
		pol.Result = "not known: the store cannot say whether one is kept (" + clip(r.StoreErr.Error()) + ")"
	}
	switch {
	case r.Pending && r.Policy == nil:
		pol.Result = notYet(r)
	case r.Pending && !left:
		pol.Result += "; what applies now is " + notYet(r)
	}
	for _, f := range p.Findings {
		if _, ok := f.Evidence.(*reason.PolicyFailed); ok {
			pol.ResultType = resultType(f)
			if r.FetchErr != nil {
				pol.Result += "; " + policyFile(p, r.FetchErr).clause
			}
		}
	}
	return []Step{txt, pol}
}

// notYet says in a clause why there is no outcome yet.
func notYet(r *sts.Result) string {
	switch {
	case errors.Is(r.FetchErr, sts.ErrNoTurn):
		return "not known yet, because of a limit of this server: " + shortage(r.FetchErr)
	case r.TXTErr != nil:
		return "not known yet: no answer to the question for the record"
	}
	return "not known yet: the policy host has not answered, and the fetch goes on"
}

// whyLeft says why MTA-STS was not waited for.
func whyLeft(p *engine.Plan) string {
	for i := range p.Hosts {
		if h := &p.Hosts[i]; h.DANE.Address == dane.AddressOK && h.DANE.State != dane.Failed {
			return "not waited for: DANE alone decides for every host"
		}
	}
	return "not waited for: no mail host can be used now, whatever it says"
}

// Host lists what was looked up for a host, and what must hold for it.
func Host(h *engine.Host) []Step {
	var out []Step
	if !h.Literal.IsValid() {
		out = lookups(h)
	}
	w := Reason(h.Reason)
	return append(out, Step{Step: StepRequirement, Host: h.String(), Result: h.Requirement.String() + ": " + w.Text,
		Row: h.Row, RFC: w.RFC, ResultType: w.ResultType})
}

// lookups lists the addresses and TLSA records of a host.
func lookups(h *engine.Host) (out []Step) {
	d := &h.DANE
	name := h.Name.String()
	aliases := d.A.Answer.Chain
	if len(aliases) == 0 {
		aliases = d.AAAA.Answer.Chain
	}
	for _, c := range aliases {
		s := alias(StepAddress, name, c)
		s.Result += " (an MX host should not be an alias: RFC 2181 section 10.3)"
		out = append(out, s)
	}
	for _, l := range []struct {
		t dnssec.Type
		l dane.Lookup
	}{{dnssec.TypeA, d.A}, {dnssec.TypeAAAA, d.AAAA}} {
		s := answer(h, StepAddress, l.l)
		s.Name, s.Type, s.Row, s.RFC = name, l.t.String(), d.Row, "7672 s.2.2.2"
		out = append(out, s)
	}
	for _, l := range d.TLSA {
		for _, c := range l.Answer.Chain {
			out = append(out, alias(StepTLSA, name, c))
		}
		s := answer(h, StepTLSA, l)
		s.Name, s.Type, s.RFC = l.Answer.Question.Name.String(), "TLSA", "7672 s.2.2.3"
		out = append(out, s)
	}
	unused := 0
	for _, u := range d.Set.Uses() {
		if u.Usable {
			continue
		}
		if unused++; unused <= maxRecordSteps {
			out = append(out, Step{Step: StepTLSARecord, Host: name, Name: clip(u.Record.String()), Type: "TLSA",
				Result: "not used: " + whyUnusable(u), RFC: "7672 s.3.1", ResultType: tlsrpt.TLSAInvalid})
		}
	}
	if unused > maxRecordSteps {
		out = append(out, Step{Step: StepTLSARecord, Host: name, Type: "TLSA",
			Result: fmt.Sprintf("%d more are not used either", unused-maxRecordSteps), RFC: "7672 s.3.1", ResultType: tlsrpt.TLSAInvalid})
	}
	return out
}

// maxRecordSteps bounds the TLSA records of one host that are named because they are not
// used: a set of a thousand would fill the explanation with a line for each.
const maxRecordSteps = 32

// answer is a lookup as a step, without its question.
func answer(h *engine.Host, step string, l dane.Lookup) Step {
	s := Step{Step: step, Host: h.Name.String(), Status: l.Answer.Status.String()}
	switch {
	case l.Err != nil:
		s.Result = clip(failedLookup(l.Err, "the records"))
		if step == StepTLSA {
			s.ResultType = byID[h.TLSAFailure()].ResultType
		}
	case l.Answer.Kind == dnssec.Data && step == StepAddress:
		var addrs []string
		for _, r := range l.Answer.Records {
			addrs = append(addrs, r.Addr().String())
		}
		s.Result = list(addrs)
	case l.Answer.Kind == dnssec.Data:
		s.Result = fmt.Sprintf("%d records", len(l.Answer.Records))
		if len(l.Answer.Records) == 1 {
			s.Result = "1 record"
		}
	case l.Answer.Kind == dnssec.NXDomain:
		s.Result = "no such name"
	case l.Answer.Kind == dnssec.NoData:
		s.Result = "no records"
	default:
		s.Result = "not asked"
	}
	if r := l.Answer.Reason; r.Code != "" && l.Err == nil {
		s.Result += " (" + unsigned(r) + ")"
	}
	return s
}

// alias is one step of an alias chain with its own status.
func alias(step, host string, c dnssec.Alias) Step {
	return Step{Step: step, Host: host, Name: c.Owner.String(), Type: c.Type.String(), Status: c.Status.String(),
		Result: "an alias of " + c.Target.String(), RFC: "7672 s.2.1.3"}
}

// Steps lists what a connection to host i of the plan came to, what was compared, and the
// verdict.
func Steps(p *engine.Plan, i int, d engine.Decision) []Step {
	var h *engine.Host
	name, row := "", ""
	if p != nil && i >= 0 && i < len(p.Hosts) {
		h = &p.Hosts[i]
		name, row = h.String(), h.Row
	}
	var out []Step
	if h != nil && d.Judged {
		out = append(out, connection(name, &d))
		if d.Event == engine.HandshakeDone {
			out = append(out, Step{Step: StepCertificate, Host: name, Result: certificateShown(&d), RFC: "9525 s.6"})
		}
		out = append(out, compared(h, name, &d)...)
		if d.Lost != nil {
			out = append(out, Step{Step: StepMemory, Host: name, Result: drop(engine.Reason{Domain: p.Orig}, d.Lost), RFC: byID[reason.MemoryTLS].RFC})
		}
	}
	w := Reason(d.Reason)
	return append(out, Step{Step: StepVerdict, Host: name, Row: row, Result: d.Outcome.String() + ": " + w.Text, RFC: w.RFC, ResultType: w.ResultType})
}

// connection returns the step that says how the connection ended.
func connection(name string, d *engine.Decision) Step {
	result := ""
	switch d.Event {
	case engine.NoSTARTTLS:
		result = "EHLO did not offer STARTTLS"
	case engine.STARTTLSRefused:
		result = "STARTTLS was refused"
		if d.Peer.Injected {
			result = "unencrypted data after the reply to STARTTLS"
		}
	case engine.HandshakeFailed:
		result = "the TLS handshake failed"
		switch {
		case d.Peer.Event != engine.HandshakeDone:
		case d.Peer.Handshake == engine.HandshakeRead:
			result = "the TLS handshake could not be completed by this program"
		default:
			result = "a version of TLS that does not count"
		}
	case engine.HandshakeDone:
		result = "TLS established"
		if d.Peer.TLS != "" {
			result = clip(d.Peer.TLS) + " established"
		}
		if d.Peer.OtherKey {
			result = clip(d.Peer.TLS) + " (second connection, for the " + KeyOf(&d.Peer) + " certificate)"
		}
		if d.Peer.Handshake == engine.HandshakeRead {
			result = clip(d.Peer.TLS) + " handshake read as far as the signature that proves the key, not completed"
		}
	default:
		switch {
		case d.Reason.ID == reason.Unconfirmed:
			result = "TLS started"
		case d.Peer.Code != 0:
			result = "no mail is taken now"
		default:
			result = "no connection"
		}
	}
	detail := endedBy(&d.Peer)
	if detail == " ("+result+")" {
		detail = ""
	}
	s := Step{Step: StepConnection, Host: name, Result: result + detail, RFC: "3207 s.4"}
	if d.Address.IsValid() {
		s.Name = d.Address.String()
	}
	return s
}

// certificateShown is what the peer presented.
func certificateShown(d *engine.Decision) string {
	switch {
	case len(d.Peer.Chain) > 0 && len(d.Presented) == 0:
		return "a certificate without names"
	case len(d.Peer.Chain) > 0:
		return "a certificate for " + list(d.Presented)
	case len(d.Peer.RawKey) > 0:
		return "a bare public key"
	}
	return "no certificate"
}

// compared lists the TLSA records that were held against the peer: the one that matches,
// or why none does.
func compared(h *engine.Host, name string, d *engine.Decision) (out []Step) {
	if d.TLSA.OK {
		return []Step{{Step: StepTLSARecord, Host: name, Name: record(d.TLSA.Matched), Type: "TLSA", Result: "matches", RFC: "7672 s.3"}}
	}
	for i, t := range d.TLSA.Trace {
		out = append(out, Step{Step: StepTLSARecord, Host: name, Name: clip(t.Record.String()), Type: "TLSA",
			Result: clip(RecordResult(h.DANE.Set, i, t)), RFC: "7672 s.3"})
	}
	return out
}
