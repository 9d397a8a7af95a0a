package lint

import (
	"errors"
	"fmt"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/survey"
	"github.com/mxauth/mxauth/rfc6125"
)

// mx judges the MX records.
func (r *report) mx() {
	p := r.snap.Plan
	dom := p.Orig
	if p.MX.Row == "M3" {
		r.add(MXFailed, rfc6125.Host{}, "Repair the zone or its name servers: a resolver that checks DNSSEC must be able to answer for the MX records of "+dom.String()+".",
			"The MX records of %s can not be looked up, or fail the DNSSEC check, so mail to it waits.", dom).saw("%s", mxCause(r.snap))
		return
	}
	if p.MX.Row == "M4" {
		r.add(MXNoDomain, rfc6125.Host{}, "Look for a slip in the name; else register the domain, or put it into the zone above.",
			"The domain %s does not exist, so mail to it comes back.", dom).saw("%s MX: no such domain (%s)", dom, signed(p.MX.Status))
		return
	}
	if p.MX.Row == "M5" && len(p.Hosts) > 0 {
		f := r.add(MXImplicit, rfc6125.Host{}, "Publish an MX record, so that the mail host is named on purpose.",
			"%s has no MX record, so senders take the domain itself for its mail host.", dom).saw("%s MX: no records (%s)", dom, signed(p.MX.Status))
		target := dom.Name()
		if d := &p.Hosts[0].DANE; len(chainOf(d)) > 0 {
			target = d.Final
		}
		f.publish(mxLine(dom, 10, target))
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
				r.add(MXNotAHost, rfc6125.Host{}, "Name the host by its name, and give that an A or AAAA record.",
					"An MX record of %s names %s, which is no host name; senders pass over it.", dom, m.Host).saw("%s MX %d %s", dom, m.Preference, m.Host)
				continue
			}
			real = append(real, m.Host.String())
		}
	}
	if null && len(real) > 0 {
		f := r.add(MXNullMixed, rfc6125.Host{}, "Remove the record with the dot, unless the domain takes no mail; then remove the others.",
			"%s says in one MX record that it takes no mail, and names mail hosts in others.", dom)
		f.saw("%s MX 0 .", dom)
		for _, n := range real {
			f.saw("%s MX %s", dom, n)
		}
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
			"The TLSA records of the hosts prove nothing for %s, because the MX records that lead to them are not signed: whoever forges those chooses another host.", dom)
		f.saw("%s MX: %s", dom, signed(p.MX.Status))
		for _, n := range withTLSA {
			f.saw("%s: signed TLSA records", n)
		}
		return
	}
	r.add(MXUnsigned, rfc6125.Host{}, signZone(dom)+" Until then an MTA-STS policy of mode enforce is what keeps mail away from a forged host.",
		"The MX records of %s are not signed (DNSSEC), so whoever stands between can name another host.", dom).saw("%s MX: %s", dom, signed(p.MX.Status))
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

func mxLine(dom rfc6125.Host, preference uint16, target rfc6125.Name) string {
	return fmt.Sprintf("%s. 3600 IN MX %d %s", dom, preference, target.FQDN())
}

// hosts judges addresses.
func (r *report) hosts() {
	for i := range r.snap.Plan.Hosts {
		h := &r.snap.Plan.Hosts[i]
		d := &h.DANE
		if !h.Name.IsValid() {
			continue
		}
		switch d.Address {
		case dane.AddressNone:
			r.add(HostNoAddress, h.Name, "Give the host an A or AAAA record, or remove it from the MX records.",
				"The MX host %s has no address.", h.Name).saw("%s A and AAAA: none", h.Name).publish(h.Name.String() + ". 3600 IN A 192.0.2.1 ; put the host's address here")
			continue
		case dane.AddressFailed:
			f := r.add(HostAddressFail, h.Name, "Repair the zone of the host or its name servers: a resolver that checks DNSSEC must be able to answer for the A and AAAA records.",
				"The addresses of the MX host %s can not be looked up, or fail the DNSSEC check, so it gets no mail.", h.Name)
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
					"One of the two address lookups (A and AAAA) of %s fails; strict senders pass the host over.", h.Name).saw("%s", explain.Cause(l.Err))
			}
		}
		if a, b := d.A.Answer, d.AAAA.Answer; d.A.Err == nil && d.AAAA.Err == nil && len(a.Records) > 0 && len(b.Records) > 0 && a.Status != b.Status {
			r.add(HostMixedStatus, h.Name, "Sign the zone that is not (DNSSEC): the two kinds are usually reached by different aliases.",
				"Of the IPv4 and the IPv6 addresses of %s only one kind is signed, so whether a sender looks for TLSA records depends on which it asks for.", h.Name).
				saw("%s A: %s", h.Name, signed(a.Status)).saw("%s AAAA: %s", h.Name, signed(b.Status))
		}
		if chain := chainOf(d); len(chain) > 0 {
			f := r.add(HostAlias, h.Name, "Name the target in the MX record, or give the host addresses of its own in place of the alias.",
				"The MX host %s is an alias; not every sender follows it, and the alias decides where TLSA records are looked for.", h.Name)
			for _, c := range chain {
				f.saw("%s %s %s (%s)", c.Owner, c.Type, c.Target, signed(c.Status))
			}
			if r.snap.Plan.MX.Row != "M5" { // else the MX record to publish names the target already
				f.publish(mxLine(r.snap.Plan.Orig, h.Preference, d.Final))
			}
		}
		r.reached(h, &r.snap.Hosts[i])
	}
}

func chainOf(d *dane.Host) []dnssec.Alias {
	if len(d.A.Answer.Chain) > 0 {
		return d.A.Answer.Chain
	}
	return d.AAAA.Answer.Chain
}

// reached judges what connecting came to.
func (r *report) reached(h *engine.Host, v *survey.HostView) {
	all := v.Probe.Addresses
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
			r.add(HostDiffer, h.Name, "Give the servers behind the name the same certificate and the same settings.",
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
