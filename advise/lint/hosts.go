package lint

import (
	"errors"
	"fmt"
	"slices"

	"github.com/mxauth/mxauth/advise/survey"
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/probe"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// mx judges the MX records.
func (r *report) mx() {
	p := r.snap.Plan
	dom := p.Orig
	if p.MX.Row == "M3" {
		do := "Repair the zone or its name servers: a resolver that checks DNSSEC must be able to answer for the MX records of " + dom.String() + "."
		switch {
		case explain.OwnFault(r.snap.MX.Err) != explain.NoHint:
			do = "Repair the resolver of this machine, or name another one (`mxauth resolver` tests it), and try again. Nothing is known about the domain."
		case errors.Is(r.snap.MX.Err, dnssec.ErrTimeout):
			do = "If other domains cannot be looked up either, repair the resolver of this machine (`mxauth resolver` tests it). Else see that every name server of the zone of " + dom.String() + " answers."
		}
		r.add(MXFailed, rfc6125.Host{}, do, "%s", explain.Text(p.MX.Reason)).saw("%s", mxCause(r.snap))
		return
	}
	if p.MX.Row == "M4" {
		r.add(MXNoDomain, rfc6125.Host{}, "Look for a misspelt name; else register the domain, or delegate it in its parent zone.",
			"The domain %s does not exist, so mail to it comes back.", dom).saw("%s MX: no such domain (%s)", dom, signed(p.MX.Status))
		return
	}
	if p.MX.Row == "M5" && len(p.Hosts) > 0 {
		r.implicit()
	}
	var real []string
	null := false
	for _, rec := range r.snap.MX.Answer.Records {
		m, err := rec.MX()
		switch {
		case err != nil:
		case m.Host.IsRoot():
			null = true
		default:
			if _, err := rfc6125.HostFromName(m.Host); err != nil {
				r.add(MXNotAHost, rfc6125.Host{}, "Publish an MX record with the name of the host in place of "+m.Host.String()+"; that name has the A or AAAA record.",
					"An MX record of %s names %s, which is no host name; senders skip it.", dom, m.Host).saw("%s MX %d %s", dom, m.Preference, m.Host).steps(r.mxSteps()...)
				continue
			}
			h, _ := rfc6125.HostFromName(m.Host)
			if why := wrongName(h, dom); why != "" {
				r.mxWrongName(h, why, m.Preference)
			}
			real = append(real, m.Host.String())
		}
	}
	if null && len(real) > 0 {
		f := r.add(MXNullMixed, rfc6125.Host{}, "Remove the record with the dot. If the domain takes no mail, remove the others instead.",
			"%s says in one MX record that it takes no mail, and names mail hosts in others.", dom)
		f.saw("%s MX 0 .", dom)
		for _, n := range real {
			f.saw("%s MX %s", dom, n)
		}
		f.steps(r.mxSteps()...)
	}
	if recs := r.mxRecords(); null && len(recs) == 1 && len(r.mxSteps()) > 0 {
		m, _ := r.snap.MX.Answer.Records[0].MX()
		r.add(MXNullPreference, rfc6125.Host{}, "Publish it with preference 0 if the domain takes no mail; else name the mail host.",
			"The only MX record of %s names no host (a dot), which says that the domain takes no mail; but its preference is %d, and a record that says so has 0.", dom, m.Preference).
			saw("%s MX %d .", dom, m.Preference).steps(r.mxSteps()...)
	}
	if p.MX.Status != dnssec.Insecure || len(p.Hosts) == 0 || p.MX.Row == "M2" {
		return
	}
	var withTLSA []string
	for i := range p.Hosts {
		if s := p.Hosts[i].DANE.State; s == dane.Usable || s == dane.Unusable {
			withTLSA = append(withTLSA, p.Hosts[i].Name.String())
		}
	}
	if len(withTLSA) > 0 {
		f := r.add(MXUnsignedTLSA, rfc6125.Host{}, signZone(dom),
			"The TLSA records of the hosts prove nothing for %s, because the MX records that name them are not signed: an attacker can name another host there.", dom)
		f.saw("%s MX: %s", dom, signed(p.MX.Status))
		for _, n := range withTLSA {
			f.saw("%s: signed TLSA records", n)
		}
		return
	}
	r.add(MXUnsigned, rfc6125.Host{}, signZone(dom)+" Until then an MTA-STS policy of mode enforce is what keeps mail away from a forged host.",
		"The MX records of %s are not signed (DNSSEC), so an attacker on the path can name another host.", dom).saw("%s MX: %s", dom, signed(p.MX.Status))
}

// mxWrongName reports an MX record whose name cannot be that of a mail server.
func (r *report) mxWrongName(h rfc6125.Host, why string, preference uint16) {
	dom := r.snap.Plan.Orig
	do := "Put the full name of the mail server into the MX record, with a dot at its end."
	meant, ok := survey.Meant(h, dom)
	if ok && r.snap.Exists[meant] {
		do = "Name " + meant.String() + ". in the MX record, with the dot at its end."
	}
	r.add(MXWrongName, h, do, "An MX record of %s names %s, which cannot be its mail server (%s); senders skip it.", dom, h, why).
		saw("%s. MX %d %s.", dom, preference, h).steps(r.mxSteps()...)
}

// implicit judges a domain without MX records.
func (r *report) implicit() {
	p := r.snap.Plan
	dom := p.Orig
	h := &p.Hosts[0]
	owner, target := dom.Name(), dom.Name()
	if len(chainOf(&h.DANE)) > 0 { // an alias can have no other record
		owner, target = h.DANE.Final, h.DANE.Final
	}
	var listed, known rfc6125.Host // by the policy; by a usual name
	pol, announced := r.policy()
	if pol != nil && announced && pol.Mode == sts.ModeEnforce {
		if _, ok := pol.Match(dom); !ok {
			for _, m := range pol.MX {
				if l, err := rfc6125.ParseHost(m.String()); err == nil && r.snap.Exists[l] && !listed.IsValid() {
					listed = l
				}
			}
		}
	}
	for _, l := range []string{"mx", "mx1", "mail", "smtp"} {
		if n, err := dom.Name().Child(l); err == nil {
			if k, err := rfc6125.HostFromName(n); err == nil && r.snap.Exists[k] && !known.IsValid() {
				known = k
			}
		}
	}
	publish := func(f *Finding, to rfc6125.Name) {
		f.steps(Step{Kind: StepPublish, Text: "Publish the MX record.", Owner: owner.FQDN(), Type: "MX", Records: []string{mxLine(owner, 10, to)}})
	}
	if h.DANE.Address == dane.AddressNone {
		do := fmt.Sprintf("Publish an MX record with the name of the mail server. If the domain takes no mail, say so: %s. MX 0 .", dom)
		f := r.add(MXNone, rfc6125.Host{}, do, "%s has no MX record and no address of its own, so there is no host that takes its mail.", dom).
			saw("%s MX: no records (%s)", dom, signed(p.MX.Status)).saw("%s A and AAAA: none", dom)
		switch {
		case listed.IsValid():
			publish(f, listed.Name())
		case known.IsValid():
			publish(f, known.Name())
		}
		return
	}
	f := r.add(MXImplicit, rfc6125.Host{}, "Publish an MX record, so that the mail host is named on purpose.",
		"%s has no MX record, so senders take the domain itself for its mail host.", dom).saw("%s MX: no records (%s)", dom, signed(p.MX.Status))
	if listed.IsValid() {
		f.Text = fmt.Sprintf("%s has no MX record, so senders take the domain itself for its mail host, which its MTA-STS policy does not list; the policy lists %s.", dom, listed)
		target = listed.Name()
	}
	publish(f, target)
}

// mxCause is why the MX records were not had.
func mxCause(s *survey.Snapshot) string {
	if s.MX.Err != nil {
		return explain.Cause(s.MX.Err)
	}
	return explain.Text(s.Plan.MX.Reason)
}

// signZone is what to do about a zone that is not signed.
func signZone(h rfc6125.Host) string {
	return "Sign the zone of " + h.String() + " with DNSSEC, and have the registrar or the owner of the parent zone publish its DS record."
}

func mxLine(owner rfc6125.Name, preference uint16, target rfc6125.Name) string {
	return fmt.Sprintf("%s %d IN MX %d %s", owner.FQDN(), hour, preference, target.FQDN())
}

// hosts judges addresses.
func (r *report) hosts() {
	for i := range r.snap.Plan.Hosts {
		h := &r.snap.Plan.Hosts[i]
		d := &h.DANE
		if !h.Name.IsValid() || r.snap.Plan.MX.Row != "M5" && wrongName(h.Name, r.snap.Plan.Orig) != "" {
			continue
		}
		switch d.Address {
		case dane.AddressNone:
			if r.snap.Plan.MX.Row == "M5" || len(chainOf(d)) > 0 {
				continue // has been reported: by the domain, or by the alias that leads nowhere
			}
			r.add(HostNoAddress, h.Name, "Give "+h.Name.String()+" an A or AAAA record, or remove it from the MX records.",
				"The MX host %s has no address, so senders skip it.", h.Name).saw("%s A and AAAA: none", h.Name).steps(r.mxSteps()...)
			continue
		case dane.AddressFailed:
			f := r.add(HostAddressFail, h.Name, "Repair the zone of the host or its name servers: a resolver that checks DNSSEC must be able to answer for the A and AAAA records.",
				"The addresses of the MX host %s cannot be looked up, or fail the DNSSEC check, so it gets no mail.", h.Name)
			for _, l := range [...]dane.Lookup{d.A, d.AAAA} {
				if l.Err != nil {
					f.saw("%s", explain.Cause(l.Err))
				}
			}
			continue
		}
		for _, l := range [...]dane.Lookup{d.A, d.AAAA} {
			if l.Err != nil {
				r.add(HostFamilyFail, h.Name, "Repair the zone or its name servers: where a host has no addresses of one kind, the answer must say so (no records, no error), signed where the zone is.",
					"One of the two address lookups (A and AAAA) of %s fails; strict senders skip the host.", h.Name).saw("%s", explain.Cause(l.Err))
			}
		}
		if a, b := d.A.Answer, d.AAAA.Answer; d.A.Err == nil && d.AAAA.Err == nil && len(a.Records) > 0 && len(b.Records) > 0 && a.Status != b.Status {
			r.add(HostMixedStatus, h.Name, "Sign the zone that is not (DNSSEC): the two kinds are usually reached by different aliases.",
				"Of the IPv4 and the IPv6 addresses of %s only one kind is signed, so whether a sender looks for TLSA records depends on which it asks for.", h.Name).
				saw("%s A: %s", h.Name, signed(a.Status)).saw("%s AAAA: %s", h.Name, signed(b.Status))
		}
		if chain := chainOf(d); len(chain) > 0 {
			do := "Give " + h.Name.String() + " the addresses of the target in place of the alias. Do not name the target in the MX record before the policy lists it and its certificate names it, and before TLSA records are at its name: mail would stop or lose its protection."
			if r.snap.Plan.MX.Row == "M5" {
				do = "Publish an MX record at the target, so that the mail host is named on purpose."
			} else if r.movable(i) {
				do = "Name the target in the MX record."
			}
			f := r.add(HostAlias, h.Name, do,
				"The MX host %s is an alias; not every sender follows it, and the alias decides where TLSA records are looked for.", h.Name)
			for _, c := range chain {
				f.saw("%s %s %s (%s)", c.Owner, c.Type, c.Target, signed(c.Status))
			}
			if r.snap.Plan.MX.Row != "M5" && r.movable(i) { // else the MX record to publish names the target already
				f.steps(r.mxSteps()...)
			}
		}
		r.special(h, &r.snap.Hosts[i])
		r.reached(h, &r.snap.Hosts[i])
	}
}

// special reports addresses that the rest of the Internet does not reach.
func (r *report) special(h *engine.Host, v *survey.HostView) {
	if len(v.Special) == 0 {
		return
	}
	f := r.add(HostSpecial, h.Name, "Publish the address at which the Internet reaches the host, and keep this one in a zone for your own network.",
		"The MX host %s has an address that other networks do not reach: %s is %s.", h.Name, v.Special[0].Address, v.Special[0].Use)
	for _, s := range v.Special {
		f.saw("%s: %s", s.Address, s.Use)
	}
}

// aliases reports names that are aliases (CNAME) for a name without the records that are
// looked for: an alias can have no other records, so what is missing is not just missing.
func (r *report) aliases() {
	p := r.snap.Plan
	if !p.Orig.IsValid() {
		return
	}
	tell := func(host rfc6125.Host, name, what, do string, l dane.Lookup) *Finding {
		f := r.add(AliasNowhere, host, do, "%s is an alias (CNAME) for %s, which %s.", name, l.Answer.Final, what)
		for _, c := range l.Answer.Chain {
			f.saw("%s %s %s", c.Owner, c.Type, c.Target)
		}
		return f
	}
	// A wildcard alias (*.example.org CNAME www) leads every name to one that exists and has
	// other records: there nothing is missing but the record.
	dead := func(l dane.Lookup) bool {
		c := l.Answer.Chain
		return l.Err == nil && len(c) > 0 && c[0].Type == dnssec.TypeCNAME && l.Answer.Kind == dnssec.NXDomain
	}
	if l := r.snap.STSRecord; dead(l) {
		r.announce(tell(rfc6125.Host{}, "_mta-sts."+p.Orig.String(), "has no TXT record, so there is no MTA-STS record", "Publish the record in place of the alias, or at the end of the alias.", l))
	}
	if name := r.policyHostAlias(); name != "" {
		tell(rfc6125.Host{}, name, "has no address, so no sender fetches the MTA-STS policy",
			"Give the target the address of the web server, or point the alias to a host that serves the policy.", r.snap.PolicyHost[0])
	}
	if l := r.snap.TLSRPTRecord; dead(l) {
		tell(rfc6125.Host{}, "_smtp._tls."+p.Orig.String(), "has no TXT record, so there is no TLSRPT record", "Publish the record in place of the alias, or at the end of the alias.", l).steps(r.reportsStep())
	}
	for i := range p.Hosts {
		h := &p.Hosts[i]
		if d := &h.DANE; h.Name.IsValid() && d.Address == dane.AddressNone && len(chainOf(d)) > 0 {
			l := d.A
			if len(l.Answer.Chain) == 0 {
				l = d.AAAA
			}
			f := tell(h.Name, h.Name.String(), "has no address, so no mail reaches it", "Point the alias to the mail server's present name, or give the MX host addresses of its own in place of the alias.", l)
			if p.MX.Row != "M5" {
				f.steps(r.mxSteps()...)
			}
		}
		if l := lastLookup(h.DANE.TLSA); h.DANE.State == dane.None && dead(l) {
			f := tell(h.Name, l.Answer.Question.Name.String(), "has no TLSA record", "Publish the record in place of the alias, or at the end of the alias.", l)
			if s, ok := r.tlsaStep(h, &r.snap.Hosts[i]); ok {
				f.steps(s)
			}
		}
	}
}

func lastLookup(l []dane.Lookup) dane.Lookup {
	if len(l) == 0 {
		return dane.Lookup{}
	}
	return l[len(l)-1]
}

// policyHostAlias is the name of the policy host if it is an alias that leads nowhere.
func (r *report) policyHostAlias() string {
	a, aaaa := r.snap.PolicyHost[0], r.snap.PolicyHost[1]
	if a.Err != nil || aaaa.Err != nil || len(a.Answer.Records)+len(aaaa.Answer.Records) > 0 || len(a.Answer.Chain) == 0 || a.Answer.Chain[0].Type != dnssec.TypeCNAME {
		return ""
	}
	return a.Answer.Chain[0].Owner.String()
}

func chainOf(d *dane.Host) []dnssec.Alias {
	if len(d.A.Answer.Chain) > 0 {
		return d.A.Answer.Chain
	}
	return d.AAAA.Answer.Chain
}

// reached judges what connecting came to.
func (r *report) reached(h *engine.Host, v *survey.HostView) {
	all := slices.DeleteFunc(slices.Clone(v.Probe.Addresses), func(a probe.AddressResult) bool { return a.Peer.OtherKey })
	if len(all) == 0 {
		return
	}
	reached, f := 0, (*Finding)(nil)
	for _, a := range all {
		if a.Peer.Event != engine.NoConnection {
			reached++
		}
	}
	if reached < len(all) {
		f = r.add(HostUnreachable, h.Name, "See that the host answers on port 25 at each of its addresses, or remove the address.",
			"%s does not answer at %s.", h.Name, some(len(all)-reached, len(all)))
		for _, a := range all {
			if a.Peer.Event == engine.NoConnection {
				f.saw("%s: %s", a.Address, a.Peer.Detail)
			}
		}
	}
	if reached < 2 {
		return
	}
	first := -1
	for i, a := range all {
		if a.Peer.Event == engine.NoConnection {
			continue
		}
		if first < 0 {
			first = i
			continue
		}
		if b := all[first]; a.Decision.Outcome != b.Decision.Outcome || a.Decision.Reason.ID != b.Decision.Reason.ID {
			r.add(HostDiffer, h.Name, "Give all servers of this name the same certificate and the same settings.",
				"The addresses of %s show different things, so whether mail is authenticated depends on which one answers.", h.Name).
				saw("%s: %s (%s)", b.Address, b.Decision.Outcome, b.Decision.Reason.ID).
				saw("%s: %s (%s)", a.Address, a.Decision.Outcome, a.Decision.Reason.ID)
			return
		}
	}
}

// some says at how many of a host's addresses something is so.
func some(n, of int) string {
	switch {
	case of == 1:
		return "its address"
	case n == of:
		return fmt.Sprintf("any of its %d addresses", of)
	}
	return fmt.Sprintf("%d of its %d addresses", n, of)
}

// failedBy returns the reason code of a lookup failure.
func failedBy(err error) dnssec.ReasonCode {
	var le *dnssec.LookupError
	if errors.As(err, &le) {
		return le.Reason.Code
	}
	return ""
}
