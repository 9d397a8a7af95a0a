package explain

import (
	"fmt"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/reason"
)

// A statement is what is said about one reason: the cause in sentences, the first of which names
// the root cause, and what each side can do about it.
type statement struct {
	cause  string
	owner  []Cure // of the domain
	sender []string
	hints  []Hint // for who asks
}

// A reasonView is a reason with what it is about at hand.
type reasonView struct {
	r      engine.Reason
	p      *engine.Plan
	h      *engine.Host
	domain string
	host   string
	key    string // "RSA " where the host has two certificates and this is about one of them
}

func read(r engine.Reason) reasonView {
	c := reasonView{r: r, p: r.Plan, h: r.Host, domain: domain(r), host: host(r.Host)}
	if s, ok := r.Evidence.(*reason.Shown); ok && s.Pair != nil {
		c.key = s.Pair.Key.String() + " "
	}
	return c
}

// explainReason says what is to be said about a reason; ok is false where its entry in the table
// says all.
func explainReason(r engine.Reason) (t statement, ok bool) {
	c := read(r)
	switch ev := r.Evidence.(type) {
	case *reason.LookupFailed:
		return c.lookupFailed(ev), true
	case *engine.NoTLS:
		return c.noTLS(ev)
	case *reason.Shown:
		return c.shown(ev)
	case *reason.PolicyFailed:
		return c.policyFailed(ev), true
	case *reason.PolicyUnknown:
		return c.policyUnknown(ev)
	case *reason.PolicyHosts:
		return c.notListed(ev), true
	case *engine.Paired:
		return c.paired(ev), true
	}
	switch r.ID {
	case reason.NoConnection:
		if c.h == nil {
			return statement{cause: "There is no host to connect to."}, true
		}
		return statement{cause: fmt.Sprintf("Nothing is known of the connection to %s.", c.host)}, true
	case reason.NoPolicy:
		return c.noPolicy(), true
	case reason.DANERequired:
		return c.daneRequired(), true
	case reason.NoMethod:
		return c.noMethod(), true
	case reason.HalfDANE:
		return statement{cause: fmt.Sprintf("%s has signed TLSA records at %s and must match them; but %s, so it will not count as authenticated.", c.host, c.owner(), unsignedMX(c.p, c.h)), owner: signMX(c.p)}, true
	case reason.TLSAUnusable:
		return c.tlsaUnusable(nil), true
	case reason.STSUndetermined:
		return c.undetermined(), true
	case reason.STSNoMatch:
		return c.notListed(nil), true
	case reason.RequireTLSMX:
		return c.requireTLSMX(), true
	case reason.NoREQUIRETLS:
		return statement{
			cause:  fmt.Sprintf("The message demands TLS on every hop (REQUIRETLS), and %s does not offer REQUIRETLS, so it does not promise TLS for the hops that follow.", c.host),
			owner:  []Cure{cure(c.hostBy(fmt.Sprintf("Let %s offer REQUIRETLS (RFC 8689), if its software can.", c.host)))},
			sender: []string{"Send without REQUIRETLS, if that will do."},
		}, true
	case reason.NoAddress:
		return statement{
			cause: fmt.Sprintf("The mail host %s has no address (no A and no AAAA record).", c.host),
			owner: []Cure{cure(by(c.p, c.host, fmt.Sprintf("Give %s an A or AAAA record, or let the MX record of %s name another host.", c.host, c.domain)))},
		}, true
	}
	return statement{}, false
}

// owner is the owner name of the host's TLSA records.
func (c reasonView) owner() string {
	if c.h == nil {
		return "its TLSA name"
	}
	return tlsaOwner(c.h, c.h.DANE.Base)
}

// alias says that the records are at the end of an alias, "" if the host is none.
func (c reasonView) alias() string {
	h := c.h
	if h == nil || !h.DANE.Base.IsValid() || h.DANE.Base == h.Name {
		return ""
	}
	return fmt.Sprintf(" %s is an alias (CNAME) of %s: the TLSA records there count, and those at %s are not looked at.", h.Name, h.DANE.Base, tlsaOwner(h, h.Name))
}

// tlsaBy puts in front of a cure at the TLSA records who has to do it.
func (c reasonView) tlsaBy(text string) string {
	if c.h == nil {
		return text
	}
	base := c.h.DANE.Base
	if !base.IsValid() {
		base = c.h.Name
	}
	return by(c.p, base.String(), text)
}

// hostBy puts in front of a cure at the mail server who has to do it.
func (c reasonView) hostBy(text string) string { return by(c.p, c.host, text) }

// noPolicy is the plan for a host of which nothing is demanded.
func (c reasonView) noPolicy() statement {
	return statement{cause: sentences(fmt.Sprintf("Nothing is required of %s; TLS is used if it is offered.", c.host), c.mechanisms())}
}

// daneRequired is a level that wants DANE, and DANE authenticates no host.
func (c reasonView) daneRequired() (t statement) {
	d := daneOf(c.p, c.h)
	t.cause = sentences(sentence(d.clause), fmt.Sprintf("This check delivers to %s only where DANE authenticates the host (level dane-only).", c.domain))
	t.owner = c.daneCures(nil, d)
	t.hints = append(t.hints, HintLevel)
	return t
}

// noMethod is a level that wants a proof where nothing says which.
func (c reasonView) noMethod() (t statement) {
	t.cause = sentences(c.mechanisms(), fmt.Sprintf("This check delivers to %s only where the host proves itself (level secure), and no names are configured that its certificate could prove.", c.domain))
	t.owner = c.publish(nil, certFault{})
	t.hints = append(t.hints, HintNames, HintLevel)
	return t
}

// requireTLSMX is REQUIRETLS, and a choice of host that nothing proves.
func (c reasonView) requireTLSMX() (t statement) {
	t.cause = sentences(fmt.Sprintf("The message demands TLS on every hop (REQUIRETLS), and nothing proves that %s is a mail host of %s: %s.", c.host, c.domain, unsignedMX(c.p, c.h)), sentence(stsOf(c.p, c.h).clause))
	t.owner = append(signMX(c.p), stsOf(c.p, c.h).cures...)
	t.sender = append(t.sender, "Send without REQUIRETLS, if that will do.")
	return t
}
