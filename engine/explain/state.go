package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// What the domain publishes now, as far as sentences and advice depend on it.

// A mechanism is the result of DANE or MTA-STS where it authenticates no host.
type mechanism struct {
	clause string // why not: "mx.example.org has no TLSA records"
	there  bool   // something is published for it, which does not count
	known  bool   // it was looked at, and the clause is about the domain
	cures  []Cure // what makes it count
}

// A Cure is something to do, with lines that are ready to copy.
type Cure struct {
	Text  string
	Lines []string
}

func cure(text string, lines ...string) Cure { return Cure{text, lines} }

// tlsaOwner is the owner name of a host's TLSA records, without the dot at its end.
func tlsaOwner(h *engine.Host, base rfc6125.Host) string {
	if !base.IsValid() {
		base = h.Name
	}
	port := h.Port
	if port == 0 {
		port = dane.DefaultPort
	}
	if n, err := dane.Owner(base, port); err == nil {
		return n.String()
	}
	return base.String()
}

// foreign reports whether a name lies outside of the domain: its zone has most likely
// another owner.
func foreign(p *engine.Plan, name string) bool {
	if p == nil || !p.Orig.IsValid() || name == "" {
		return false
	}
	own := p.Orig.String()
	under := func(a, b string) bool { return a == b || strings.HasSuffix(a, "."+b) }
	if under(name, own) || under(own, name) && !registry(name) {
		return false
	}
	_, parent, _ := strings.Cut(own, ".")
	return registry(parent) || !under(name, parent)
}

// registry reports whether names below this one are most likely of different owners: it is
// a top-level domain, or one such as co.uk or com.au.
func registry(name string) bool {
	second, top, ok := strings.Cut(name, ".")
	return !ok || !strings.Contains(top, ".") && len(top) == 2 && len(second) <= 3
}

// by puts in front of a cure who has to do it, if that is not the domain's owner.
func by(p *engine.Plan, name, text string) string {
	if foreign(p, name) {
		return fmt.Sprintf("Ask the operator of %s, which is not part of %s: %s", name, p.Orig, lower(text))
	}
	return text
}

// answerOf is the address answer that decided whether the host counts as signed.
func answerOf(h *engine.Host) *dnssec.Answer {
	if h.DANE.A.Err == nil && h.DANE.A.Answer.Status != dnssec.Indeterminate {
		return &h.DANE.A.Answer
	}
	return &h.DANE.AAAA.Answer
}

// daneOf says why DANE does not authenticate the host.
func daneOf(p *engine.Plan, h *engine.Host) mechanism {
	if h == nil {
		return mechanism{clause: "DANE does not apply"}
	}
	name := h.String()
	switch h.NoDANE {
	case reason.NoDANELiteral:
		return mechanism{clause: "DANE does not apply to an address"}
	case reason.NoDANELevel:
		return mechanism{clause: "DANE is not used at this level"}
	case reason.NoDANENotAsked:
		return mechanism{clause: "DANE was not looked up"}
	case reason.NoDANEMXSkipped, reason.NoDANEMXInsecure:
		m := mechanism{clause: unsignedMX(p, h), known: true, there: h.DANE.State >= dane.Unusable}
		m.cures = signMX(p)
		return m
	case reason.NoDANEUnusable:
		return mechanism{clause: fmt.Sprintf("none of the TLSA records at %s can be used for mail (%s)", tlsaOwner(h, h.DANE.Base), unusable(h.DANE.Set)), there: true, known: true}
	case reason.NoDANEAddressInsecure:
		r := answerOf(h).Reason
		m := mechanism{clause: fmt.Sprintf("DANE cannot be used, because %s", unsigned(r)), known: true}
		switch r.Code {
		case dnssec.ReasonUnsupportedAlgorithm, dnssec.ReasonNSEC3Iterations:
			m.there = true // somebody took the trouble to sign
		case dnssec.ReasonADClear, dnssec.ReasonNoAnchor, dnssec.ReasonNegativeAnchor:
			m.known = false
		}
		if c := unsignedCure(r); c.text != "" {
			m.cures = append(m.cures, cure(by(p, c.zone.String(), capital(c.text)+".")))
		}
		return m
	case reason.NoDANENoRecords:
		return noRecords(p, h)
	}
	return mechanism{clause: fmt.Sprintf("DANE does not apply to %s", name)}
}

// noRecords says where TLSA records were looked for, and what is in their place.
func noRecords(p *engine.Plan, h *engine.Host) mechanism {
	name := h.String()
	for _, l := range h.DANE.TLSA {
		a := &l.Answer
		owner := a.Question.Name.String()
		switch {
		case len(a.Chain) > 0 && a.Status == dnssec.Insecure:
			m := mechanism{known: true, there: true}
			m.clause = fmt.Sprintf("the TLSA name %s is an alias (CNAME) of %s, and %s, so TLSA records there do not count", owner, a.Final, unsigned(a.Reason))
			text := fmt.Sprintf("Put the TLSA records at %s itself, in place of the CNAME", owner)
			if c := unsignedCure(a.Reason); c.text != "" {
				text += fmt.Sprintf("; or let the operator of %s %s", c.zone, c.text)
			}
			m.cures = []Cure{cure(text + ".")}
			return m
		case len(a.Chain) > 0:
			return mechanism{
				known: true, there: true,
				clause: fmt.Sprintf("the TLSA name %s is an alias (CNAME) of %s, where there are no TLSA records", owner, a.Final),
				cures:  []Cure{cure(fmt.Sprintf("Publish the TLSA records at %s, where the CNAME %s leads, or at %s in place of the CNAME", a.Final, owner, owner))},
			}
		case a.Kind == dnssec.Data && a.Status == dnssec.Insecure:
			return mechanism{known: true, there: true, clause: fmt.Sprintf("the TLSA records at %s do not count: %s", owner, unsigned(a.Reason)),
				cures: []Cure{cure(by(p, unsignedCure(a.Reason).zone.String(), sentence(unsignedCure(a.Reason).text)))}}
		}
	}
	m := mechanism{known: true, clause: fmt.Sprintf("%s has no TLSA records (at %s)", name, tlsaOwner(h, h.Name))}
	if a := answerOf(h); len(a.Chain) > 0 && a.Status == dnssec.Insecure {
		m.clause += fmt.Sprintf("; it is an alias (CNAME) of %s, where TLSA records would not count, because %s", a.Final, unsigned(a.Reason))
	}
	return m
}

// unsignedMX is the clause that says that the choice of host is not proven.
func unsignedMX(p *engine.Plan, h *engine.Host) string {
	if p == nil {
		return "the MX record is not signed (DNSSEC)"
	}
	why := ""
	if r := p.MX.Lookup.Answer.Reason; r.Code != "" {
		why = ": " + unsigned(r)
	}
	if h != nil && h.Name == p.Orig {
		return fmt.Sprintf("the answer that %s has no MX record is not signed%s", p.Orig, why)
	}
	return fmt.Sprintf("the MX record of %s does not count as signed%s", p.Orig, why)
}

// signMX is what makes the MX record count as signed.
func signMX(p *engine.Plan) []Cure {
	if p == nil {
		return nil
	}
	r := p.MX.Lookup.Answer.Reason
	if c := unsignedCure(r); c.text != "" {
		return []Cure{cure(by(p, c.zone.String(), capital(c.text)+"."))}
	}
	return nil
}

// whatRecord is how sentences call the record of a domain.
func whatRecord(domain string) string {
	return fmt.Sprintf("the MTA-STS record (TXT at %s)", recordName(domain))
}

// stsOf says why MTA-STS does not authenticate the host.
func stsOf(p *engine.Plan, h *engine.Host) mechanism {
	why := reason.NoSTSNotAsked
	if h != nil {
		why = h.NoSTS
	}
	if p == nil || !p.Orig.IsValid() {
		return mechanism{clause: "MTA-STS is not used"}
	}
	domain := p.Orig.String()
	switch why {
	case reason.NoSTSTesting:
		clause := fmt.Sprintf("the MTA-STS policy of %s is in mode testing, in which senders only report", domain)
		if pol := p.STS.Policy; pol != nil && h.STSMatch == "" && h.Name.IsValid() {
			clause = fmt.Sprintf("the MTA-STS policy of %s is in mode testing, and it does not list the MX host %s (it lists %s)", domain, h.Name, list(texts(pol.MX)))
		}
		return mechanism{clause: clause, there: true, known: true}
	case reason.NoSTSModeNone:
		if pol := p.STS.Policy; pol != nil && pol.Mode == sts.ModeEnforce {
			return mechanism{clause: fmt.Sprintf("the MTA-STS policy of %s is in mode enforce", domain), known: true}
		}
		return mechanism{clause: fmt.Sprintf("the MTA-STS policy of %s says mode none, which switches it off", domain), there: true, known: true}
	case reason.NoSTSPending:
		return mechanism{clause: fmt.Sprintf("the MTA-STS policy of %s is not known yet", domain)}
	case reason.NoSTSStore:
		return mechanism{clause: fmt.Sprintf("the store cannot say whether an MTA-STS policy of %s is kept", domain)}
	case reason.NoSTSUnknown:
		m := mechanism{clause: failedLookup(p.STS.TXTErr, whatRecord(domain)), there: true, known: true}
		if fix := lookupCure(p.STS.TXTErr); fix.text != "" {
			m.cures = []Cure{cure(by(p, fix.zone.String(), fix.text))}
		}
		return m
	case reason.NoSTSFetch:
		f := policyFile(p, p.STS.FetchErr)
		return mechanism{clause: f.clause, there: true, known: true, cures: []Cure{cure(f.cure)}}
	case reason.NoSTSNone:
		if clause, fix, ok := recordFault(p); ok {
			return mechanism{clause: clause, there: true, known: true, cures: []Cure{recordCure(p, fix)}}
		}
		return mechanism{clause: fmt.Sprintf("%s has no MTA-STS policy", domain), known: true}
	}
	return mechanism{clause: "MTA-STS is not used at this level"}
}

// patternNote explains why a wildcard of the policy does not match the host, where
// that is a likely mistake.
func patternNote(p *engine.Plan, h *engine.Host, patterns []sts.Pattern) string {
	for _, q := range patterns {
		base, ok := strings.CutPrefix(q.String(), "*.")
		name := h.Name.String()
		switch {
		case !ok:
		case name == base:
			return fmt.Sprintf("`*.%s` matches names with exactly one label before %s, not for %s itself", base, base, base)
		case strings.HasSuffix(name, "."+base):
			return fmt.Sprintf("`*.%s` matches exactly one label, and %s has more", base, name)
		}
	}
	if a := answerOf(h); len(a.Chain) > 0 && slices.ContainsFunc(patterns, func(q sts.Pattern) bool {
		t, err := rfc6125.HostFromName(a.Final)
		return err == nil && q.Match(t)
	}) {
		return fmt.Sprintf("it lists the alias target %s, and the name in the MX record counts", a.Final)
	}
	return ""
}
