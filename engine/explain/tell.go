package explain

import (
	"errors"
	"fmt"
	"strings"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
)

// A told is what is said about one reason: the cause in sentences, the first of which names
// the root cause, and what each side can do about it.
type told struct {
	cause  string
	owner  []Cure // of the domain
	sender []string
	hints  []Hint // for who asks
}

// A reading is a reason with what it is about at hand.
type reading struct {
	r      engine.Reason
	p      *engine.Plan
	h      *engine.Host
	domain string
	host   string
}

func read(r engine.Reason) reading {
	return reading{r: r, p: r.Plan, h: r.Host, domain: domain(r), host: host(r.Host)}
}

// tell says what is to be said about a reason; ok is false where its entry in the table
// says all.
func tell(r engine.Reason) (t told, ok bool) {
	c := read(r)
	switch ev := r.Evidence.(type) {
	case *engine.LookupFailed:
		return c.lookupFailed(ev), true
	case *engine.NoTLS:
		return c.noTLS(ev)
	case *engine.Shown:
		return c.shown(ev)
	case *engine.PolicyFailed:
		return c.policyFailed(ev), true
	case *engine.PolicyUnknown:
		return c.policyUnknown(ev)
	case *engine.PolicyHosts:
		return c.notListed(ev), true
	}
	switch r.ID {
	case engine.ReasonNoConnection:
		if c.h == nil {
			return told{cause: "There is no host to connect to."}, true
		}
		return told{cause: fmt.Sprintf("Nothing is known of the connection to %s.", c.host)}, true
	case engine.ReasonNoPolicy:
		return c.noPolicy(), true
	case engine.ReasonDANERequired:
		return c.daneRequired(), true
	case engine.ReasonNoMethod:
		return c.noMethod(), true
	case engine.ReasonHalfDANE:
		return told{cause: fmt.Sprintf("%s has signed TLSA records at %s and must match them; but %s, so it will not count as authenticated.", c.host, c.owner(), unsignedMX(c.p, c.h)), owner: signMX(c.p)}, true
	case engine.ReasonTLSAUnusable:
		return c.tlsaUnusable(nil), true
	case engine.ReasonSTSUndetermined:
		return c.undetermined(), true
	case engine.ReasonSTSNoMatch:
		return c.notListed(nil), true
	case engine.ReasonRequireTLSMX:
		return c.requireTLSMX(), true
	case engine.ReasonNoREQUIRETLS:
		return told{
			cause:  fmt.Sprintf("The message demands TLS on its whole way (REQUIRETLS), and %s does not offer REQUIRETLS, so it does not promise TLS for the rest of the way.", c.host),
			owner:  []Cure{cure(c.hostBy(fmt.Sprintf("Let %s offer REQUIRETLS (RFC 8689), if its software can.", c.host)))},
			sender: []string{"Send without REQUIRETLS, if that will do."},
		}, true
	case engine.ReasonNoAddress:
		return told{
			cause: fmt.Sprintf("The mail host %s has no address (no A and no AAAA record).", c.host),
			owner: []Cure{cure(by(c.p, c.host, fmt.Sprintf("Give %s an A or AAAA record, or let the MX record of %s name another host.", c.host, c.domain)))},
		}, true
	}
	return told{}, false
}

// owner is the owner name of the host's TLSA records.
func (c reading) owner() string {
	if c.h == nil {
		return "its TLSA name"
	}
	return tlsaOwner(c.h, c.h.DANE.Base)
}

// alias says that the records are at the end of an alias, "" if the host is none.
func (c reading) alias() string {
	h := c.h
	if h == nil || !h.DANE.Base.IsValid() || h.DANE.Base == h.Name {
		return ""
	}
	return fmt.Sprintf(" %s is an alias (CNAME) of %s: the TLSA records there count, and those at %s are not looked at.", h.Name, h.DANE.Base, tlsaOwner(h, h.Name))
}

// tlsaBy puts in front of a cure at the TLSA records who has to do it.
func (c reading) tlsaBy(text string) string {
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
func (c reading) hostBy(text string) string { return by(c.p, c.host, text) }

// what is what a lookup was for.
func (c reading) what(ev *engine.LookupFailed) string {
	le := lookupOf(ev.Err)
	switch c.r.ID {
	case engine.ReasonMXBogus, engine.ReasonMXLookupFailed:
		return "the MX records of " + c.domain
	case engine.ReasonAddressBogus, engine.ReasonAddressFailed:
		typ := "A and AAAA"
		if le != nil {
			typ = le.Question.Type.String()
		}
		return fmt.Sprintf("the address records (%s) of the mail host %s", typ, c.host)
	}
	if c.r.ID == engine.ReasonBudget && !ev.Owner.IsValid() {
		if c.h == nil {
			return "the MX records of " + c.domain
		}
		return "the address records (A and AAAA) of the mail host " + c.host
	}
	return c.whatTLSA(ev)
}

func (c reading) whatTLSA(ev *engine.LookupFailed) string {
	owner := tlsaOwnerOf(c.h)
	if ev.Owner.IsValid() {
		owner = ev.Owner.String()
	}
	return fmt.Sprintf("the TLSA records of %s (at %s)", c.host, owner)
}

func tlsaOwnerOf(h *engine.Host) string {
	if h == nil {
		return "its TLSA name"
	}
	return tlsaOwner(h, h.Name)
}

// lookupFailed is a lookup without which nothing goes.
func (c reading) lookupFailed(ev *engine.LookupFailed) told {
	what := c.what(ev)
	var t told
	effect := ""
	switch c.r.ID {
	case engine.ReasonMXBogus, engine.ReasonMXLookupFailed:
		effect = fmt.Sprintf("So the mail hosts of %s are not known, and the message waits.", c.domain)
	case engine.ReasonBudget:
		effect = "What is not known now does not count as absent, so the message waits."
	case engine.ReasonAddressBogus, engine.ReasonAddressFailed:
		effect = fmt.Sprintf("No mail goes to %s until its addresses are known.", c.host)
	default:
		effect = fmt.Sprintf("No mail goes to %s until it is known whether it has TLSA records.", c.host)
	}
	own := OwnFault(ev.Err)
	if own != NoHint {
		t.cause = sentences(ownLookup(ev.Err, what, c.p), ownSide)
		t.hints = append(t.hints, own)
		return t
	}
	t.cause = sentences(sentence(failedLookup(ev.Err, what)), c.through(ev), effect)
	if fix := lookupCure(ev.Err); fix.text != "" {
		t.owner = append(t.owner, cure(by(c.p, fix.zone.String(), fix.text)))
	}
	if le := lookupOf(ev.Err); le != nil {
		switch {
		case errors.Is(le.Kind, dnssec.ErrTimeout):
			t.hints = append(t.hints, HintSilent)
		case errors.Is(le.Kind, dnssec.ErrServFail):
			t.hints = append(t.hints, HintResolverTest)
		case le.Reason.Code == dnssec.ReasonSignatureExpired || le.Reason.Code == dnssec.ReasonSignatureNotYetValid:
			t.sender = append(t.sender, "If other signed domains fail as well, check the clock of this machine.")
		}
	}
	return t
}

// through says by which aliases the lookup came to the name that failed.
func (c reading) through(ev *engine.LookupFailed) string {
	le := lookupOf(ev.Err)
	if le == nil || c.h == nil || !le.Reason.Zone.IsValid() || le.Question.Name.IsSubdomainOf(le.Reason.Zone) {
		return ""
	}
	return fmt.Sprintf("(%s is an alias that leads there.)", le.Question.Name)
}

// demand says which policy requires TLS.
func (c reading) demand(part engine.Requirement) string {
	switch part {
	case engine.DANE, engine.HalfDANE, engine.Encrypt:
		return fmt.Sprintf("the TLSA records at %s require it", c.owner())
	case engine.STS:
		return fmt.Sprintf("the MTA-STS policy of %s (mode enforce) requires it", c.domain)
	}
	return "this check requires it"
}

// silence says how a connection ended, in brackets.
func endedBy(p *engine.Peer) string {
	detail := strings.TrimPrefix(clip(p.Detail), "remote error: tls: ")
	if p.DoubtedName != "" {
		detail = strings.TrimPrefix(fmt.Sprintf("%s; this machine gave its name as %q, and some servers demand a full name, with a dot", detail, clip(p.DoubtedName)), "; ")
	}
	if detail == "" {
		return ""
	}
	return " (" + detail + ")"
}

// address is where a connection went, " (192.0.2.1:25)".
func address(p *engine.Peer) string {
	if !p.Address.IsValid() {
		return ""
	}
	return " (" + p.Address.String() + ")"
}

// openssl is the command that shows what the server does in TLS.
func (c reading) openssl() string {
	port := uint16(dane.DefaultPort)
	if c.h != nil && c.h.Port != 0 {
		port = c.h.Port
	}
	return fmt.Sprintf("`openssl s_client -starttls smtp -connect %s:%d`", strings.Trim(c.host, "[]"), port)
}
