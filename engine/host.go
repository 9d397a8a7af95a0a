package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/rfc6125"
)

// usable reports whether there is a host to connect to: its addresses are known.
func (h *Host) usable() bool {
	return h.Literal.IsValid() || h.DANE.Address == dane.AddressOK
}

// ruleHost is sections 4, 5, 6 and 9 of the table for one host whose lookups have
// ended.
func (w *work) ruleHost(h *Host) {
	h.dnsSteps()
	if !h.usable() {
		w.addressless(h)
		h.step(StepRequirement, h.Requirement.String()+": "+h.Reason.Text, h.Reason)
		return
	}
	if h.Name.IsValid() && w.STS.Policy != nil && w.sts != nil {
		// The name in the MX record counts, never an alias target (RFC 8461 section
		// 4.1). For an implicit MX that is the domain itself.
		if p, ok := w.STS.Policy.Match(h.Name); ok {
			h.STSMatch = p.String()
		}
	}
	if h.Name.IsValid() {
		h.Lacks = w.whyNoDANE(h) + ", and " + w.whyNoSTS()
	}
	r := combine(w.facts(h))
	h.Requirement, h.Skipped, h.Row = r.requirement, r.skipped, r.row
	h.Report, h.Strict = r.report, r.strict
	h.Reason = w.explain(h, r.reason)
	if r.waived != "" {
		h.Waived = w.explain(h, r.waived)
	}
	w.findings(h)
	w.identify(h)
	w.hold(h)
	w.except(h)
	h.step(StepRequirement, h.Requirement.String()+": "+h.Reason.Text, h.Reason)
}

// addressless is rows A1, A3 and A4.
func (w *work) addressless(h *Host) {
	d := &h.DANE
	h.Requirement, h.Row = Skip, d.Row
	switch d.Address {
	case dane.AddressNone:
		h.Unusable, h.Skipped = true, Refused
		h.Reason = because(ReasonNoAddress, "The mail host %s has no address.", h.label())
	case dane.AddressAlias:
		h.Unusable, h.Skipped = true, Refused
		h.Reason = because(ReasonAliasRefused, "The mail host %s is an alias of %s, and this server is set to refuse such hosts.", h.label(), d.Final)
	default:
		h.Skipped = Deferred
		err := firstError(d.A.Err, d.AAAA.Err)
		if errors.Is(d.A.Err, dnssec.ErrBogus) || errors.Is(d.AAAA.Err, dnssec.ErrBogus) {
			if !errors.Is(err, dnssec.ErrBogus) {
				err = d.AAAA.Err
			}
			h.Reason = because(ReasonAddressBogus, "The addresses of the mail host %s can not be trusted, because the DNSSEC check of the answer failed (%s); it is not used now.", h.label(), lookupText(err))
		} else {
			h.Reason = because(ReasonAddressFailed, "The addresses of the mail host %s could not be looked up (%s); it is not used now.", h.label(), lookupText(err))
		}
		if h.Reason.ID == ReasonAddressFailed && outOfBudget(d.A.Err, d.AAAA.Err) {
			h.Reason = because(ReasonBudget, "The addresses of the mail host %s could not be looked up: %s; it is not used now.", h.label(), budgetText(d.A.Err, d.AAAA.Err))
		}
	}
	if h.Unusable && w.Request.Options.NoAddressDefer {
		// O6: a denial that is not signed can be forged; the operator prefers to wait.
		h.Skipped = Deferred
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return dnssec.ErrLookup
}

// explain makes the reason of a ruling, with the names of the case.
func (w *work) explain(h *Host, id ReasonID) Reason {
	name, dom := h.label(), w.label()
	switch id {
	case ReasonDANE:
		return because(id, "%s has signed TLSA records (DANE, at %s) and must match them.", name, h.DANE.Base)
	case ReasonHalfDANE:
		return because(id, "%s has signed TLSA records and must match them; but %s, so it will not count as authenticated.", name, unsignedMX(w.Orig, h))
	case ReasonTLSAUnusable:
		return because(id, "%s has signed TLSA records, none of which can be used for mail (%s); so TLS is demanded and its certificate is not judged.", name, unusableText(h.DANE.Set))
	case ReasonTLSALookupFailed:
		return tlsaFailure(h)
	case ReasonSTS:
		return because(id, "The MTA-STS policy of %s is enforced and lists %s (%q): it must use TLS and show a certificate of that name from a public CA.", dom, name, clip(h.STSMatch))
	case ReasonSTSNoMatch:
		return because(id, "The MTA-STS policy of %s does not list %s (it lists %s), so mail may not go there.", dom, name, w.patterns())
	case ReasonSTSUndetermined:
		return because(id, "Whether %s has an MTA-STS policy could not be found out, and this server is set to wait for that.", dom)
	case ReasonDANERequired:
		return because(id, "This server delivers to %s only where DANE authenticates the host, and %s.", dom, w.whyNoDANE(h))
	case ReasonNoMethod:
		return because(id, "This server delivers to %s only where the host proves itself, and nothing tells what %s must prove: %s, there is no enforced MTA-STS policy, and no names are configured.", dom, name, w.whyNoDANE(h))
	case ReasonNames:
		return because(id, "%s must prove one of the configured names (%s) with a certificate of a trusted CA.", name, hostList(w.Request.Options.Names))
	case ReasonRequireTLSPKIX:
		return because(id, "The message demands TLS on its whole way (REQUIRETLS), so %s must prove its name with a certificate of a trusted CA.", name)
	case ReasonRequireTLSMX:
		return because(id, "The message demands TLS on its whole way (REQUIRETLS), and nothing proves that %s is a mail host of %s: the MX record is not signed and no enforced MTA-STS policy lists the host.", name, dom)
	case ReasonRequireTLSLiteral:
		return because(id, "The message demands TLS on its whole way (REQUIRETLS), and no certificate can prove the address %s as a name.", name)
	case ReasonOpportunistic:
		return because(id, "This server is set to authenticate nobody for %s; TLS is used if %s offers it.", dom, name)
	case ReasonTLSRequiredNo:
		if w.Request.TLSRPTReport && !w.Request.TLSRequiredNo {
			return because(ReasonTLSRPTReport, "The message is a report about TLS failures, which goes to %s whatever its policies say.", name)
		}
		return because(id, "The sender asked for delivery even without TLS (TLS-Required: No), so nothing is demanded of %s.", name)
	case ReasonAudit:
		return because(id, "Audit mode: %s would not be used, and the message may go there all the same.", name)
	}
	if h.Literal.IsValid() {
		return because(ReasonLiteral, "%s is an address, to which neither DANE nor MTA-STS applies; nothing is demanded, TLS is used if offered.", name)
	}
	return because(ReasonNoPolicy, "Nothing is demanded of %s, TLS is used if offered: %s.", name, h.Lacks)
}

// whyNoDANE says in a clause why DANE asks nothing (or not enough) of the host.
func (w *work) whyNoDANE(h *Host) string {
	d := &h.DANE
	name := h.label()
	switch {
	case h.Literal.IsValid():
		return "DANE does not apply to an address"
	case !w.Request.Level.usesDANE():
		return "DANE is not looked at on this level"
	case w.mx == mxInsecure && w.viaMX && d.State != dane.Usable && w.Request.Options.InsecureMX == InsecureMXMay:
		return fmt.Sprintf("the MX record of %s is not signed (DNSSEC), so DANE is not looked at", w.Orig)
	case w.mx == mxInsecure && d.State >= dane.Unusable:
		return fmt.Sprintf("%s, so it is not proven that %s is its host", unsignedMX(w.Orig, h), name)
	case d.State == dane.Unusable:
		return fmt.Sprintf("none of the TLSA records of %s can be used for mail", name)
	case d.State == dane.NA && w.skipsTLSA():
		return "DANE was not looked up"
	case d.State == dane.NA:
		return fmt.Sprintf("the addresses of %s are not signed (DNSSEC), so DANE can not apply", name)
	case d.State == dane.None:
		return fmt.Sprintf("%s has no signed TLSA records (DANE)", name)
	}
	return fmt.Sprintf("DANE does not apply to %s", name)
}

// unsignedMX says in a clause that the choice of host is not proven.
func unsignedMX(domain rfc6125.Host, h *Host) string {
	if h.Name == domain {
		return fmt.Sprintf("the answer that %s has no MX record is not signed (DNSSEC)", domain)
	}
	return fmt.Sprintf("the MX record of %s that names it is not signed (DNSSEC)", domain)
}

// whyNoSTS says in a clause why MTA-STS asks nothing of the host.
func (w *work) whyNoSTS() string {
	switch {
	case w.sts == nil:
		return "MTA-STS is not looked at"
	case w.state == stsTesting:
		return fmt.Sprintf("the MTA-STS policy of %s is in mode testing", w.Orig)
	case w.state == stsUnknown:
		return fmt.Sprintf("whether %s has an MTA-STS policy could not be found out", w.Orig)
	case w.STS.Policy != nil:
		return fmt.Sprintf("the MTA-STS policy of %s is in mode none", w.Orig)
	case w.STS.FetchErr != nil:
		return fmt.Sprintf("the MTA-STS policy that %s announces could not be fetched", w.Orig)
	}
	return fmt.Sprintf("%s has no MTA-STS policy", w.Orig)
}

// patterns lists what the policy names.
func (w *work) patterns() string {
	if w.STS.Policy == nil {
		return "nothing"
	}
	var names []string
	for _, p := range w.STS.Policy.MX {
		names = append(names, p.String())
	}
	return list(names)
}

// tlsaFailure is row T1, by what failed.
func tlsaFailure(h *Host) Reason {
	owner, err := "its TLSA name", error(dnssec.ErrLookup)
	for _, l := range h.DANE.TLSA {
		if l.Err != nil {
			owner, err = l.Answer.Question.Name.String(), l.Err
		}
	}
	var le *dnssec.LookupError
	switch {
	case errors.As(err, &le) && le.Reason.Code == dnssec.ReasonNSEC3Iterations:
		return because(ReasonTLSAUnproved, "The zone of %s is signed, and its proof that there are no TLSA records at %s uses so many NSEC3 iterations that it proves nothing; the host is not used now.", h.label(), owner)
	case outOfBudget(err):
		return because(ReasonBudget, "Whether %s has TLSA records could not be found out: %s; that is not the same as having none, so it is not used now.", h.label(), budgetText(err))
	case errors.Is(err, dnssec.ErrBogus):
		return because(ReasonTLSABogus, "The DNSSEC check of the TLSA records of %s failed (%s, %s); somebody may be suppressing them, so it is not used now.", h.label(), owner, lookupText(err))
	case errors.Is(err, dnssec.ErrTimeout), errors.Is(err, dnssec.ErrUnreachable):
		return because(ReasonTLSATimeout, "The question for TLSA records of %s got no answer (%s, %s); that is not the same as having none, so it is not used now.", h.label(), owner, lookupText(err))
	}
	return because(ReasonTLSALookupFailed, "Whether %s has TLSA records could not be found out (%s, %s); that is not the same as having none, so it is not used now.", h.label(), owner, lookupText(err))
}

// findings keeps what was seen of the host before connecting, for the report.
func (w *work) findings(h *Host) {
	if h.DANE.State == dane.Unusable && h.Reason.ID != ReasonTLSAUnusable {
		h.Findings = append(h.Findings, w.explain(h, ReasonTLSAUnusable))
	}
	if (w.state == stsTesting || w.state == stsEnforce) && h.STSMatch == "" && h.Name.IsValid() &&
		h.Reason.ID != ReasonSTSNoMatch && h.Waived.ID != ReasonSTSNoMatch {
		h.Findings = append(h.Findings, w.explain(h, ReasonSTSNoMatch))
	}
}

// identify is section 6: the name for SNI, and the names that count for each method.
func (w *work) identify(h *Host) {
	judged := h.Requirement | h.Report | h.Strict
	base := h.DANE.Base
	h.SNI = h.Name.String()
	switch {
	case base.IsValid() && (judged&tlsa != 0 || h.Requirement == Encrypt):
		// RFC 7672 section 8.1, also where MTA-STS would name the MX host.
		h.SNI = base.String()
	case (h.Requirement | h.Strict).Has(PKIX) && !h.Requirement.Has(STS) && len(w.Request.Options.Names) > 0:
		h.SNI = w.Request.Options.Names[0].String()
	}
	if judged&tlsa != 0 && h.DANE.Set.HasUsage(dane.DANETA) {
		h.DANERefs = w.daneRefs(h)
	}
	if judged.Has(STS) {
		h.STSRefs = []rfc6125.Reference{rfc6125.NewReference(h.Name)}
	}
	if judged.Has(PKIX) {
		for _, n := range w.Request.Options.Names {
			h.PKIXRefs = append(h.PKIXRefs, rfc6125.NewReference(n))
		}
		if len(h.PKIXRefs) == 0 && h.Name.IsValid() {
			h.PKIXRefs = []rfc6125.Reference{rfc6125.NewReference(h.Name)}
		}
	}
}

// daneRefs are the names of which DANE-TA must prove one (RFC 7672 section 3.2.2),
// the TLSA base domain first.
func (w *work) daneRefs(h *Host) []rfc6125.Reference {
	base := h.DANE.Base
	names := []rfc6125.Host{base}
	switch {
	case w.mx != mxSecure:
		// The next hop was not the one who chose this host, as far as is proven: its
		// names do not count.
	case w.viaMX:
		names = append(names, w.Orig)
		if exp, err := rfc6125.HostFromName(w.Exp); err == nil {
			names = append(names, exp)
		}
	default:
		// No MX was used: the host is the next hop, and the base domain may be its
		// expansion.
		names = append(names, w.Orig)
	}
	var refs []rfc6125.Reference
	for _, n := range names {
		if r := rfc6125.NewReference(n); !slices.Contains(refs, r) {
			refs = append(refs, r)
		}
	}
	return refs
}

// dnsSteps writes down the lookups of the host.
func (h *Host) dnsSteps() {
	if h.Literal.IsValid() {
		return
	}
	d := &h.DANE
	name := h.Name.String()
	aliases := d.A.Answer.Chain
	if len(aliases) == 0 {
		aliases = d.AAAA.Answer.Chain
	}
	for _, c := range aliases {
		s := aliasStep(StepAddress, name, c)
		s.Result += " (an MX host should not be an alias: RFC 2181 section 10.3)"
		h.Why = append(h.Why, s)
	}
	for _, l := range []struct {
		t dnssec.Type
		l dane.Lookup
	}{{dnssec.TypeA, d.A}, {dnssec.TypeAAAA, d.AAAA}} {
		s := h.lookupStep(StepAddress, l.l)
		s.Name, s.Type, s.Row, s.RFC = name, l.t.String(), d.Row, "7672 s.2.2.2"
		h.Why = append(h.Why, s)
	}
	for _, l := range d.TLSA {
		for _, c := range l.Answer.Chain {
			h.Why = append(h.Why, aliasStep(StepTLSA, name, c))
		}
		s := h.lookupStep(StepTLSA, l)
		s.Name, s.Type, s.RFC = l.Answer.Question.Name.String(), "TLSA", "7672 s.2.2.3"
		h.Why = append(h.Why, s)
	}
	unused := 0
	for _, u := range d.Set.Uses() {
		if u.Usable {
			continue
		}
		if unused++; unused <= maxRecordSteps {
			h.Why = append(h.Why, Step{Step: StepTLSARecord, Host: name, Name: clip(u.Record.String()), Type: "TLSA",
				Result: "not used: " + clip(u.Why), RFC: "7672 s.3.1", ResultType: resultTLSAInvalid})
		}
	}
	if unused > maxRecordSteps {
		h.Why = append(h.Why, Step{Step: StepTLSARecord, Host: name, Type: "TLSA",
			Result: fmt.Sprintf("%d more are not used either", unused-maxRecordSteps), RFC: "7672 s.3.1", ResultType: resultTLSAInvalid})
	}
}

// maxRecordSteps bounds the TLSA records of one host that are named because they are not
// used: a set of a thousand would fill the plan with a line for each.
const maxRecordSteps = 32

// lookupStep is a lookup as a step, without its question.
func (h *Host) lookupStep(step string, l dane.Lookup) Step {
	s := Step{Step: step, Host: h.Name.String(), Status: l.Answer.Status.String()}
	switch {
	case l.Err != nil:
		s.Result = lookupText(l.Err)
		if step == StepTLSA {
			s.ResultType = tlsaFailure(h).ResultType
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
	default:
		s.Result = l.Answer.Kind.String()
	}
	if r := l.Answer.Reason.String(); r != "" && l.Err == nil {
		s.Result += " (" + clip(r) + ")"
	}
	return s
}

// step adds a line about the host.
func (h *Host) step(step, result string, why Reason) {
	h.Why = append(h.Why, Step{Step: step, Host: h.label(), Result: result, Row: h.Row, RFC: why.RFC, ResultType: why.ResultType})
}

// unusableText says why no record of the set can be used.
func unusableText(s dane.Set) string {
	var b []string
	for _, u := range s.Uses() {
		if !u.Usable {
			r := u.Record
			b = append(b, fmt.Sprintf("%d %d %d: %s", r.Usage, r.Selector, r.MatchingType, clip(u.Why)))
		}
	}
	return list(b)
}

// clipAt is how many octets of a foreign text go into a line for people.
const clipAt = 200

// clip cuts a text and takes out what does not belong on a terminal.
func clip(s string) string {
	safe := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r > 0x7f {
			return '?'
		}
		return r
	}, s)
	if len(safe) > clipAt {
		return safe[:clipAt] + "..."
	}
	return safe
}

// list joins names for a sentence; beyond a handful it only counts.
func list(names []string) string {
	const most = 6
	if len(names) == 0 {
		return "nothing"
	}
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

func hostList(hosts []rfc6125.Host) string {
	var names []string
	for _, h := range hosts {
		names = append(names, h.String())
	}
	return list(names)
}
