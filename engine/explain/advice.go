package explain

import (
	"fmt"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine/reason"
)

// What the owner of a domain can do, from what there is now.

// publish is what makes a host count as authenticated: what is published and does not count
// is put right first.
func (c reasonView) publish(s *reason.Shown, f certFault) (out []Cure) {
	d, m := daneOf(c.p, c.h), stsOf(c.p, c.h)
	switch {
	case m.there:
		out = c.policyCures(s, f)
		if d.there {
			out = append(out, c.daneCures(s, d)...)
		}
	case d.there, d.known && c.h != nil && c.h.NoDANE == reason.NoDANENoRecords:
		out = append(c.daneCures(s, d), c.announce(f, true)...)
	case d.known:
		out = append(c.announce(f, false), c.orDANE(s, d)...)
	default:
		out = c.announce(f, false)
	}
	return out
}

// daneCures is the way to DANE from what there is.
func (c reasonView) daneCures(s *reason.Shown, d mechanism) (out []Cure) {
	out = append(out, d.cures...)
	if c.h == nil || c.h.Literal.IsValid() {
		return out
	}
	owner := tlsaOwner(c.h, c.h.Name)
	for _, l := range c.h.DANE.TLSA { // the records belong where an alias leads
		if len(l.Answer.Chain) > 0 && l.Answer.Status == dnssec.Secure {
			owner = l.Answer.Final.String()
		}
	}
	rec, ok := dane.Record{}, false
	if s != nil {
		rec, ok = tlsaNow(s, dane.Recommended(dane.DANEEE))
	}
	switch {
	case c.h.NoDANE == reason.NoDANEUnusable:
		return append(out, c.replace(s, fmt.Sprintf("Replace the TLSA records at %s %s", c.owner(), c.madeNow(s)), dane.Recommended(dane.DANEEE), true))
	case !ok:
		return append(out, cure(by(c.p, c.host, fmt.Sprintf("Publish a TLSA record at %s: `mxauth tlsa make %s` prints it.", owner, c.host))))
	case len(d.cures) > 0:
		return append(out, cure(by(c.p, c.host, publishNow(s, "The", c.host, "before you publish it")), recordLines(s, owner, rec)...))
	}
	return append(out, cure(by(c.p, c.host, publishNow(s, "Publish the TLSA", c.host, "first")), recordLines(s, owner, rec)...))
}

// orDANE names DANE as the other way, for a zone that is not signed.
func (c reasonView) orDANE(s *reason.Shown, d mechanism) []Cure {
	if len(d.cures) == 0 || c.h == nil {
		return nil
	}
	text := d.cures[0].Text
	return []Cure{cure(fmt.Sprintf("Or use DANE, which needs no certificate of a CA. %s Then publish the TLSA record of %s at %s.", text, c.host, tlsaOwner(c.h, c.h.Name)))}
}

// certificateFirst is the step before a policy may be enforced; "" where the certificate
// fits.
func (c reasonView) certificateFirst(f certFault) string {
	if f.trouble == certFine || f.trouble == certRoots || f.trouble == certBudget {
		return ""
	}
	return c.hostBy(c.chainCure(f, true))
}

// announce is the way to MTA-STS where nothing is published; or says that it is another.
func (c reasonView) announce(f certFault, other bool) []Cure {
	if c.p == nil || !c.p.Orig.IsValid() || stsOf(c.p, c.h).there {
		return nil
	}
	first := c.certificateFirst(f)
	text := fmt.Sprintf("serve this policy at %s, and publish the record below it:", policyURL(c.domain))
	lines := append(c.policyLines(), recordLine(c.p))
	switch {
	case other && first != "":
		return []Cure{cure(fmt.Sprintf("Or use MTA-STS, which needs a valid certificate of a public CA on every mail host first (today %s): `mxauth lint %s` writes record and policy.", f.clause, c.domain))}
	case other:
		return []Cure{cure(fmt.Sprintf("Or use MTA-STS: `mxauth lint %s` writes record and policy.", c.domain))}
	case first != "":
		return []Cure{cure("1. " + first), cure("2. Only then use MTA-STS: "+text, lines...)}
	}
	return []Cure{cure("Use MTA-STS: "+text, lines...)}
}

// policyLines are the lines of a policy that lists all hosts of the domain.
func (c reasonView) policyLines() []string {
	lines := []string{"version: STSv1", "mode: enforce"}
	for i := range c.p.Hosts {
		if n := c.p.Hosts[i].Name; n.IsValid() {
			lines = append(lines, "mx: "+n.String())
		}
	}
	return append(lines, "max_age: 604800")
}

// policyCures puts right what is published for MTA-STS. A policy that has no effect today
// stops mail once it has: so the certificates come first.
func (c reasonView) policyCures(s *reason.Shown, f certFault) (out []Cure) {
	m := stsOf(c.p, c.h)
	first := c.certificateFirst(f)
	var steps []Cure
	if first != "" {
		steps = append(steps, cure(first+" Do this first: an enforced policy stops mail to servers without such a certificate."))
	}
	why := reason.NoSTSNone
	if c.h != nil {
		why = c.h.NoSTS
	}
	switch why {
	case reason.NoSTSUnknown:
		return m.cures // what the policy says is not known
	case reason.NoSTSTesting, reason.NoSTSModeNone:
		if pol := c.p.STS.Policy; pol != nil && why == reason.NoSTSTesting {
			if missing := c.unlisted(); len(missing) > 0 {
				steps = append(steps, cure(fmt.Sprintf("Add to %s the mail hosts that the policy does not list (today it lists %s):", policyURL(c.domain), list(texts(pol.MX))), missing...))
			}
		}
		steps = append(steps, cure(fmt.Sprintf("Change the line `mode: %s` to `mode: enforce` in %s, and then give the TXT record a new id:", c.p.STS.Policy.Mode, policyURL(c.domain)), recordLine(c.p)))
	default:
		steps = append(steps, m.cures...)
		if why == reason.NoSTSFetch {
			steps[len(steps)-1].Text += " Then give the TXT record a new id, so that senders fetch it:"
			steps[len(steps)-1].Lines = append(steps[len(steps)-1].Lines, recordLine(c.p))
		}
	}
	if len(steps) > 1 {
		for i := range steps {
			steps[i].Text = fmt.Sprintf("%d. %s", i+1, steps[i].Text)
		}
	}
	return append(out, steps...)
}

// unlisted are the mx lines of hosts that the policy does not list.
func (c reasonView) unlisted() (out []string) {
	pol := c.p.STS.Policy
	for i := range c.p.Hosts {
		if n := c.p.Hosts[i].Name; n.IsValid() {
			if _, ok := pol.Match(n); !ok {
				out = append(out, "mx: "+n.String())
			}
		}
	}
	return out
}
