package lint

import (
	"errors"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/survey"
	"github.com/mxauth/mxauth/rfc6125"
)

// mx judges the MX records.
func (r *report) mx() {
	p := r.snap.Plan
	dom := p.Orig
	if p.MX.Row == "M3" {
		r.add(MXFailed, rfc6125.Host{}, "Repair the zone: a checking resolver must answer this question.",
			"The MX records of %s can not be looked up or trusted, so senders that check wait.", dom).saw("%s", p.MX.Reason.Text)
		return
	}
	if p.MX.Row == "M5" && len(p.Hosts) > 0 {
		f := r.add(MXImplicit, rfc6125.Host{}, "Publish an MX record, so that the mail host is named on purpose.",
			"%s has no MX record, so senders take the domain itself for its mail host.", dom).saw("%s MX: no records (%s)", dom, p.MX.Status)
		f.publish(dom.String() + ". 3600 IN MX 10 " + dom.String() + ".")
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
	var signed []string
	for i := range p.Hosts {
		if s := p.Hosts[i].DANE.State; s == dane.Usable || s == dane.Unusable {
			signed = append(signed, p.Hosts[i].Name.String())
		}
	}
	if len(signed) > 0 {
		f := r.add(MXUnsignedTLSA, rfc6125.Host{}, "Sign the zone of "+dom.String()+" with DNSSEC and have the DS record put into the parent zone.",
			"The TLSA records of the hosts prove nothing for %s, because the MX records that lead to them are not signed: whoever forges those chooses another host.", dom)
		for _, n := range signed {
			f.saw("%s has signed TLSA records; %s MX is %s", n, dom, p.MX.Status)
		}
		return
	}
	r.add(MXUnsigned, rfc6125.Host{}, "Sign the zone with DNSSEC; until then an enforced MTA-STS policy is what keeps a forged MX record out.",
		"The MX records of %s are not signed, so whoever stands between can name another host.", dom).saw("%s MX is %s", dom, p.MX.Status)
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
				"The MX host %s has no address.", h.Name).saw("%s A and AAAA: none", h.Name).publish(h.Name.String() + ". 3600 IN A 192.0.2.1 ; its address")
			continue
		case dane.AddressFailed:
			f := r.add(HostAddressFail, h.Name, "Repair the zone of the host: a checking resolver must answer this question.",
				"The addresses of the MX host %s can not be looked up or trusted; it gets no mail.", h.Name)
			for _, l := range [...]dane.Lookup{d.A, d.AAAA} {
				if l.Err != nil {
					f.saw("%v", l.Err)
				}
			}
			continue
		}
		for _, l := range [...]dane.Lookup{d.A, d.AAAA} {
			if l.Err != nil {
				r.add(HostFamilyFail, h.Name, "Repair the answer: a name without addresses of one kind must say so, signed where the zone is.",
					"One of the two address lookups of %s fails; strict senders pass the host over.", h.Name).saw("%v", l.Err)
			}
		}
		if a, b := d.A.Answer, d.AAAA.Answer; d.A.Err == nil && d.AAAA.Err == nil && len(a.Records) > 0 && len(b.Records) > 0 && a.Status != b.Status {
			r.add(HostMixedStatus, h.Name, "Sign both: they are usually reached by different aliases.",
				"The IPv4 and the IPv6 addresses of %s differ in whether they are signed.", h.Name).
				saw("%s A is %s", h.Name, a.Status).saw("%s AAAA is %s", h.Name, b.Status)
		}
		if chain := chainOf(d); len(chain) > 0 {
			f := r.add(HostAlias, h.Name, "Name the target in the MX record, or give the host addresses of its own.",
				"The MX host %s is an alias; not every sender follows it, and the alias decides where TLSA records are looked for.", h.Name)
			for _, c := range chain {
				f.saw("%s %s %s (%s)", c.Owner, c.Type, c.Target, c.Status)
			}
			f.publish(r.snap.Plan.Orig.String() + ". 3600 IN MX 10 " + d.Final.FQDN())
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
			"%s does not answer at %d of its %d addresses.", h.Name, len(all)-reached, len(all))
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

// failedBy returns the reason code of a lookup failure.
func failedBy(err error) dnssec.ReasonCode {
	var le *dnssec.LookupError
	if errors.As(err, &le) {
		return le.Reason.Code
	}
	return ""
}
