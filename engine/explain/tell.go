package explain

import (
	"errors"
	"fmt"
	"slices"
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

// noTLS is a connection that came to no TLS session.
func (c reading) noTLS(ev *engine.NoTLS) (t told, ok bool) {
	switch c.r.ID {
	case engine.ReasonNoConnection:
		return c.noConnection(&ev.Peer), true
	case engine.ReasonNotTried, engine.ReasonUnconfirmed:
		return told{}, false
	case engine.ReasonNoSTARTTLS:
		t.cause = fmt.Sprintf("%s does not offer STARTTLS, and %s.", c.host, c.demand(ev.Part))
		t.owner = c.startTLS()
		t.sender = append(t.sender, "If no other server offers it either, a firewall on this side removes it.")
	case engine.ReasonSTARTTLSRefused:
		t.cause = fmt.Sprintf("%s offers STARTTLS and refuses to start it%s, and %s.", c.host, endedBy(&ev.Peer), c.demand(ev.Part))
		t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("The log of %s says why TLS is not available; often the key or certificate file cannot be read.", c.host)))}
	case engine.ReasonInjected:
		t.cause = fmt.Sprintf("%s sends plain text after its reply to STARTTLS, where the TLS handshake has to begin%s; perhaps it was inserted on the way, so the connection is dropped. TLS is needed: %s.", c.host, endedBy(&ev.Peer), c.demand(ev.Part))
		t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("See what answers STARTTLS at %s with more than one line: try %s. Update the server, or the proxy or filter before it.", c.host, c.openssl())))}
	case engine.ReasonHandshake:
		clause, fix := c.handshake(&ev.Peer)
		t.cause = fmt.Sprintf("%s. TLS is needed here: %s.", capital(clause), c.demand(ev.Part))
		t.owner = []Cure{cure(c.hostBy(fix))}
		if ev.Peer.Ending == engine.EndedTimeout {
			t.hints = append(t.hints, HintTime)
		}
	case engine.ReasonNoFallback:
		clause, fix := c.handshake(&ev.Peer)
		t.cause = fmt.Sprintf("%s, and this check is set not to send in the clear instead.", capital(clause))
		t.owner = []Cure{cure(c.hostBy(fix))}
		t.hints = append(t.hints, HintFallback)
	default:
		return c.clear(ev), true
	}
	return t, true
}

// startTLS is what makes a server offer STARTTLS.
func (c reading) startTLS() []Cure {
	return []Cure{cure(c.hostBy(fmt.Sprintf("Switch STARTTLS on at %s (Postfix: `smtpd_tls_security_level = may`). If it is on there, a firewall or filter before the server removes the offer (\"SMTP inspection\"): switch that off.", c.host)))}
}

// handshake says how a handshake failed, and what to look at.
func (c reading) handshake(p *engine.Peer) (clause, fix string) {
	logs := fmt.Sprintf("The log of %s says why; try %s from outside.", c.host, c.openssl())
	switch {
	case p.Event == engine.HandshakeDone && p.Outdated():
		return fmt.Sprintf("%s speaks only %s, and TLS before version 1.2 does not count", c.host, clip(p.TLS)),
			fmt.Sprintf("Let %s offer TLS 1.2 and 1.3 (Postfix: `smtpd_tls_protocols = >=TLSv1.2`; an old TLS library perhaps needs an update).", c.host)
	case p.Ending == engine.EndedVersion:
		return fmt.Sprintf("%s offers no TLS version from 1.2 on%s", c.host, endedBy(p)),
			fmt.Sprintf("Let %s offer TLS 1.2 and 1.3 (Postfix: `smtpd_tls_protocols = >=TLSv1.2`; an old TLS library perhaps needs an update).", c.host)
	case p.Ending == engine.EndedClosed:
		return fmt.Sprintf("%s answers STARTTLS with 220 and then closes the connection in place of the TLS handshake", c.host),
			logs + " Often its TLS process crashes or cannot read the key or certificate file, or a firewall or proxy before it ends the connection."
	case p.Ending == engine.EndedTimeout:
		return fmt.Sprintf("%s answers STARTTLS with 220 and then sends nothing: the TLS handshake timed out", c.host),
			logs + " Often the server is overloaded or its TLS process hangs, or a firewall or proxy before it drops the packets."
	case p.Ending == engine.EndedAlert:
		return fmt.Sprintf("%s ends the TLS handshake with an alert%s", c.host, endedBy(p)),
			logs + " Often no cipher suite is common to both sides, or the server has no certificate for the name it is asked for."
	case p.Ending == engine.EndedNoTLS:
		return fmt.Sprintf("%s answers STARTTLS with 220 and then sends something other than TLS", c.host),
			logs + " Often a proxy or filter before the server does not know STARTTLS."
	}
	return fmt.Sprintf("the TLS handshake with %s fails%s", c.host, endedBy(p)), logs
}

// clear is a message that goes in the clear, since nothing requires TLS.
func (c reading) clear(ev *engine.NoTLS) (t told) {
	clause := fmt.Sprintf("%s does not offer STARTTLS", c.host)
	t.owner = c.startTLS()
	switch c.r.ID {
	case engine.ReasonClearRefused:
		clause = fmt.Sprintf("%s offers STARTTLS and refuses to start it%s", c.host, endedBy(&ev.Peer))
		t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("The log of %s says why TLS is not available; often the key or certificate file cannot be read.", c.host)))}
	case engine.ReasonClearInjected:
		clause = fmt.Sprintf("%s sends plain text after its reply to STARTTLS, where the TLS handshake has to begin", c.host)
		t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("See what answers STARTTLS at %s with more than one line: try %s. Update the server, or the proxy or filter before it.", c.host, c.openssl())))}
	case engine.ReasonClearHandshake:
		var fix string
		clause, fix = c.handshake(&ev.Peer)
		t.owner = []Cure{cure(c.hostBy(fix))}
		t.hints = append(t.hints, HintFallback)
	}
	t.cause = fmt.Sprintf("%s, and %s: the message goes in the clear, readable on its way.", capital(clause), c.free())
	if c.h != nil && c.h.Ground == engine.GroundNoPolicy {
		t.cause = sentences(t.cause, c.mechanisms())
	}
	return t
}

// free says in a clause why nothing is demanded.
func (c reading) free() string {
	ground := engine.GroundNoPolicy
	if c.h != nil {
		ground = c.h.Ground
	}
	switch ground {
	case engine.GroundLevel:
		return "this check demands no TLS"
	case engine.GroundMessage:
		return "nothing is to stop this message"
	case engine.GroundLiteral:
		return "nothing can be demanded of an address"
	case engine.GroundAudit:
		return "audit mode lets it go"
	case engine.GroundException:
		return "an exception lets it go"
	}
	return "nothing published requires TLS"
}

// mechanisms says in sentences what DANE and MTA-STS came to, the one first that is
// published and does not count.
func (c reading) mechanisms() string {
	d, s := daneOf(c.p, c.h), stsOf(c.p, c.h)
	if s.there {
		return sentences(sentence(s.clause), sentence(d.clause))
	}
	return sentences(sentence(d.clause), sentence(s.clause))
}

// noConnection is a server that was not reached, or takes no mail.
func (c reading) noConnection(p *engine.Peer) (t told) {
	where := c.host + address(p)
	need := ""
	if c.h != nil && c.h.Requirement.NeedsTLS() {
		need = " Had it answered, " + c.needs() + "."
	}
	reach := fmt.Sprintf("See that the mail server at %s runs and can be reached on port %d from outside (firewall, address in DNS).", where, c.port())
	switch {
	case p.Code != 0:
		t.cause = fmt.Sprintf("%s answers, and does not take mail from this machine now%s.%s", where, endedBy(p), need)
		t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("The reply, and the log of %s, say why; a mail server greets with 220 and answers EHLO with 250.", c.host)))}
		t.sender = append(t.sender, "Often a server objects to the address of this machine (a dynamic one, or one on a block list).")
	case p.Ending == engine.EndedRefused:
		t.cause = fmt.Sprintf("Nothing listens at %s: the connection is refused.%s", where, need)
		t.owner = []Cure{cure(c.hostBy(reach))}
		t.hints = append(t.hints, HintPort)
	case p.Ending == engine.EndedUnreachable && p.Address.Addr().Is6():
		t.cause = fmt.Sprintf("This machine has no way to IPv6 addresses%s, and %s has no other address that could be tried. %s", endedBy(p), where, ownSide)
		t.hints = append(t.hints, HintIPv6)
	case p.Ending == engine.EndedUnreachable:
		t.cause = fmt.Sprintf("There is no route from this machine to %s%s.%s", where, endedBy(p), need)
		t.owner = []Cure{cure(c.hostBy(reach))}
		t.hints = append(t.hints, HintPort)
	case p.Ending == engine.EndedTimeout && strings.HasPrefix(p.Detail, "no "):
		t.cause = fmt.Sprintf("%s accepts the connection and then does not answer in time%s.%s", where, endedBy(p), need)
		t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("See why the server is slow: perhaps it is overloaded, waits for a DNS or block list lookup, or delays its greeting on purpose (Postfix: postscreen). The log of %s says which.", c.host)))}
		t.hints = append(t.hints, HintTime)
	case p.Ending == engine.EndedTimeout:
		t.cause = fmt.Sprintf("No connection to %s comes about: there is no answer in time.%s", where, need)
		t.owner = []Cure{cure(c.hostBy(reach))}
		t.hints = append(t.hints, HintPort, HintTime)
	case p.Ending == engine.EndedClosed:
		t.cause = fmt.Sprintf("%s accepts the connection and closes it%s.%s", where, endedBy(p), need)
		t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("The log of %s says why it closes the connection: a limit of connections, a block list, or a proxy before it.", c.host)))}
	case p.Ending == engine.EndedNoSMTP:
		t.cause = fmt.Sprintf("What answers at %s is no mail server that works%s.%s", where, endedBy(p), need)
		t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("See what listens there: `nc %s %d` has to show a line that begins with 220.", strings.Trim(c.host, "[]"), c.port())))}
	default:
		t.cause = fmt.Sprintf("No mail server answers at %s%s.%s", where, endedBy(p), need)
		t.owner = []Cure{cure(c.hostBy(reach))}
		t.hints = append(t.hints, HintPort)
	}
	if p.DoubtedName != "" {
		t.hints = append(t.hints, HintHELO)
	}
	return t
}

func (c reading) port() uint16 {
	if c.h != nil && c.h.Port != 0 {
		return c.h.Port
	}
	return dane.DefaultPort
}

// needs says what would be required of the host.
func (c reading) needs() string {
	r := c.h.Requirement
	switch {
	case r.Has(engine.DANE), r.Has(engine.HalfDANE):
		return "its key would have to match the TLSA records at " + c.owner()
	case r.Has(engine.STS):
		return "it would have to show a certificate of its name, as the MTA-STS policy requires"
	case r.Has(engine.PKIX):
		return "it would have to show a certificate of a trusted CA with the right name"
	}
	return "it would have to use TLS"
}

// policyFailed is a policy, or its record, that does not count.
func (c reading) policyFailed(ev *engine.PolicyFailed) (t told) {
	if c.p == nil {
		return told{cause: fmt.Sprintf("The MTA-STS policy of %s does not count (%s).", c.domain, clause(ev.Err))}
	}
	switch c.r.ID {
	case engine.ReasonSTSRecordGone:
		t.cause = kept(c.p)
		if t.cause == "" {
			t.cause = fmt.Sprintf("The TXT record at %s is gone or malformed, and the MTA-STS policy of %s that was fetched on %s still holds.", recordName(c.domain), c.domain, day(ev.Fetched))
		}
		if _, fix, ok := recordFault(c.p); ok {
			t.owner = append(t.owner, recordCure(c.p, fix))
		} else {
			t.owner = append(t.owner, cure(fmt.Sprintf("Put the TXT record back. If MTA-STS is to end, serve a policy with `mode: none` at %s first, and remove record and file when %s has passed.", policyURL(c.domain), moment(c.p.STS.Expires)), recordLine(c.p)))
		}
	case engine.ReasonSTSRecordFail:
		what := whatRecord(c.domain)
		if own := OwnFault(ev.Err); own != NoHint {
			t.cause = sentences(ownLookup(ev.Err, what, c.p), kept(c.p))
			t.hints = append(t.hints, own)
			return t
		}
		t.cause = sentences(sentence(failedLookup(ev.Err, what)), kept(c.p))
		if fix := lookupCure(ev.Err); fix.text != "" {
			t.owner = append(t.owner, cure(by(c.p, fix.zone.String(), fix.text)))
		}
		t.hints = append(t.hints, HintUnknown)
	default:
		f := policyFile(c.p, ev.Err)
		t.cause = sentences(sentence(f.clause), kept(c.p))
		t.owner = append(t.owner, cure(f.cure))
		if c.r.ID == engine.ReasonSTSWebPKI {
			t.hints = append(t.hints, HintRoots)
		}
	}
	return t
}

// policyUnknown is what this program has not found out.
func (c reading) policyUnknown(ev *engine.PolicyUnknown) (t told, ok bool) {
	switch c.r.ID {
	case engine.ReasonSTSPending:
		if ev.Record {
			t.cause = fmt.Sprintf("The question for the MTA-STS record of %s (TXT at %s) was not answered in time, so it is not known whether it has a policy.", c.domain, recordName(c.domain))
			t.owner = []Cure{cure(fmt.Sprintf("See that all name servers answer `dig %s TXT` quickly.", recordName(c.domain)))}
			t.hints = append(t.hints, HintSilent)
			return t, true
		}
		t.cause = fmt.Sprintf("%s announces an MTA-STS policy, and the web server mta-sts.%s has not answered yet; the fetch goes on.", c.domain, c.domain)
		t.owner = []Cure{cure(fmt.Sprintf("See why %s is not delivered within a few seconds: try `curl -v %s`.", policyURL(c.domain), policyURL(c.domain)))}
		t.sender = append(t.sender, "Nothing: the message goes with the next attempt, with the policy or, if it does not come, without.")
		return t, true
	case engine.ReasonSTSNoTurn:
		t.cause = fmt.Sprintf("The MTA-STS policy of %s is not fetched yet because of a limit of this program (%s). %s", c.domain, shortage(ev.Err), ownSide)
		t.hints = append(t.hints, HintLimit)
		return t, true
	case engine.ReasonSTSStore:
		t.cause = fmt.Sprintf("The store of this machine cannot be read (%s), so it is not known whether an MTA-STS policy of %s is kept. %s", clause(ev.Err), c.domain, ownSide)
		t.hints = append(t.hints, HintStore)
		return t, true
	}
	return t, false
}

// shortage says in a clause which limit kept a policy from being fetched.
func shortage(err error) string {
	f := fetchOf(err)
	if f == nil {
		return clause(err)
	}
	text := f.Detail
	if f.Cause != nil && !strings.Contains(text, f.Cause.Error()) {
		text += ": " + f.Cause.Error()
	}
	return clip(text)
}

// undetermined is a record that cannot be looked up, where this check waits for that.
func (c reading) undetermined() (t told) {
	if c.p == nil {
		return told{cause: fmt.Sprintf("Whether %s has an MTA-STS policy is not known.", c.domain)}
	}
	err := c.p.STS.TXTErr
	what := whatRecord(c.domain)
	t.cause = fmt.Sprintf("%s; this check is set to wait for that.", capital(failedLookup(err, what)))
	if own := OwnFault(err); own != NoHint {
		t.hints = append(t.hints, own)
		return t
	}
	if fix := lookupCure(err); fix.text != "" {
		t.owner = append(t.owner, cure(by(c.p, fix.zone.String(), fix.text)))
	}
	t.hints = append(t.hints, HintUnknown)
	return t
}

// notListed is a host that the policy does not name.
func (c reading) notListed(ev *engine.PolicyHosts) (t told) {
	var lists, note string
	if ev == nil && c.p != nil && c.p.STS.Policy != nil {
		ev = &engine.PolicyHosts{Patterns: c.p.STS.Policy.MX}
	}
	if ev != nil && c.h != nil {
		lists = fmt.Sprintf(" (it lists %s)", list(texts(ev.Patterns)))
		if n := patternNote(c.p, c.h, ev.Patterns); n != "" {
			note = sentence(n)
		}
	}
	effect := "so no mail goes there."
	if c.h != nil && c.h.Requirement != engine.Skip && !c.h.Requirement.Has(engine.STS) {
		effect = "so senders that use MTA-STS send no mail there."
	}
	if c.h != nil && c.h.Requirement.Has(engine.DANE) {
		effect = "so senders that use MTA-STS, and not DANE, send no mail there."
	}
	enforced := c.p == nil || c.p.STS.Policy == nil || c.p.STS.Policy.Mode.String() == "enforce"
	if !enforced {
		effect = "so in mode enforce no mail would go there."
	}
	t.cause = sentences(fmt.Sprintf("The MTA-STS policy of %s does not list the MX host %s%s, %s", c.domain, c.host, lists, effect), note, c.kept())
	t.owner = []Cure{cure(fmt.Sprintf("If %s is a mail host of %s: add the mx line to %s, and then give the TXT record a new id. If it is not, remove it from the MX records.", c.host, c.domain, policyURL(c.domain)), c.listLines()...)}
	if enforced {
		t.sender = append(t.sender, "If the host is not a mail host of the domain, somebody has forged the MX record, and the policy has done its work.")
	}
	return t
}

func (c reading) listLines() []string {
	lines := []string{"mx: " + c.host}
	if c.p != nil {
		lines = append(lines, recordLine(c.p))
	}
	return lines
}

// kept is kept of the plan.
func (c reading) kept() string {
	if c.p == nil {
		return ""
	}
	return kept(c.p)
}

// noPolicy is the plan for a host of which nothing is demanded.
func (c reading) noPolicy() told {
	return told{cause: sentences(fmt.Sprintf("Nothing is required of %s; TLS is used if it is offered.", c.host), c.mechanisms())}
}

// daneRequired is a level that wants DANE, and DANE authenticates nobody.
func (c reading) daneRequired() (t told) {
	d := daneOf(c.p, c.h)
	t.cause = sentences(sentence(d.clause), fmt.Sprintf("This check delivers to %s only where DANE authenticates the host (level dane-only).", c.domain))
	t.owner = c.daneCures(nil, d)
	t.hints = append(t.hints, HintLevel)
	return t
}

// noMethod is a level that wants a proof where nothing says which.
func (c reading) noMethod() (t told) {
	t.cause = sentences(c.mechanisms(), fmt.Sprintf("This check delivers to %s only where the host proves itself (level secure), and no names are configured that its certificate could prove.", c.domain))
	t.owner = c.publish(nil, certFault{})
	t.hints = append(t.hints, HintNames, HintLevel)
	return t
}

// requireTLSMX is REQUIRETLS, and a choice of host that nothing proves.
func (c reading) requireTLSMX() (t told) {
	t.cause = sentences(fmt.Sprintf("The message demands TLS on its whole way (REQUIRETLS), and nothing proves that %s is a mail host of %s: %s.", c.host, c.domain, unsignedMX(c.p, c.h)), sentence(stsOf(c.p, c.h).clause))
	t.owner = append(signMX(c.p), stsOf(c.p, c.h).cures...)
	t.sender = append(t.sender, "Send without REQUIRETLS, if that will do.")
	return t
}

// tlsaUnusable is a TLSA RRset of which no record can be used for mail.
func (c reading) tlsaUnusable(s *engine.Shown) (t told) {
	set := dane.Set{}
	if c.h != nil {
		set = c.h.DANE.Set
	}
	if len(set.Usable()) > 0 { // the option insecure-mx = encrypt
		return told{cause: fmt.Sprintf("%s, and this check then asks %s for no more than TLS, although it has TLSA records (at %s).", capital(unsignedMX(c.p, c.h)), c.host, c.owner()), owner: signMX(c.p)}
	}
	t.cause = sentences(fmt.Sprintf("None of the TLSA records of %s (at %s) can be used for mail: %s.%s So TLS is required, and who the server is cannot be checked.", c.host, c.owner(), unusable(set), c.alias()), tooMany(set))
	if c.h != nil && stsOf(c.p, c.h).there {
		t.cause = sentences(t.cause, sentence(stsOf(c.p, c.h).clause))
	}
	t.owner = []Cure{c.replace(s, fmt.Sprintf("Replace the TLSA records at %s by this one, which is made from the key that %s shows now", c.owner(), c.host), dane.Recommended(dane.DANEEE), true)}
	return t
}

// tooMany says that a set was cut; "" if it was not.
func tooMany(s dane.Set) string {
	if s.Len() <= dane.MaxRecords {
		return ""
	}
	return fmt.Sprintf("There are %d TLSA records, and only the first %d are looked at.", s.Len(), dane.MaxRecords)
}

// replace is the cure to publish a record of what the server shows now.
func (c reading) replace(s *engine.Shown, text string, r dane.Recipe, tlsa bool) Cure {
	rec, ok := dane.Record{}, false
	if s != nil {
		rec, ok = tlsaNow(s, r)
	}
	by := c.hostBy
	if tlsa {
		by = c.tlsaBy
	}
	if !ok {
		return cure(by(fmt.Sprintf("%s: `mxauth tlsa make %s` prints it.", strings.Replace(text, "this one, which is made", "one that is made", 1), c.host)))
	}
	return cure(by(text+" (compare it with the key on the server before you publish it):"), fmt.Sprintf("%s. IN TLSA %s", c.owner(), rec))
}

// matching is the record of the set that the presented certificate or key matches although
// it does not count, because a stronger digest is there; ok is false if there is none.
func (c reading) outranked(s *engine.Shown) (weak, strong dane.Record, ok bool) {
	if c.h == nil || leaf(s.Chain) == nil {
		return weak, strong, false
	}
	for _, u := range c.h.DANE.Set.Uses() {
		r := u.Record
		if u.Usable || r.Usage != dane.DANEEE || r.MatchingType == dane.Full || r.MatchingType > dane.SHA2_512 || r.Selector > dane.SPKI {
			continue
		}
		now, made := tlsaNow(s, dane.Recipe{Usage: r.Usage, Selector: r.Selector, MatchingType: r.MatchingType})
		if !made || now != r {
			continue
		}
		for _, o := range c.h.DANE.Set.Usable() {
			if o.Usage == r.Usage && o.Selector == r.Selector && o.MatchingType != r.MatchingType {
				return r, o, true
			}
		}
	}
	return weak, strong, false
}

// noMatch is a key or certificate that matches no TLSA record.
func (c reading) noMatch(s *engine.Shown) (t told) {
	owner := c.owner()
	set := dane.Set{}
	if c.h != nil {
		set = c.h.DANE.Set
	}
	usable := set.Usable()
	if weak, strong, ok := c.outranked(s); ok {
		now, _ := tlsaNow(s, dane.Recipe{Usage: strong.Usage, Selector: strong.Selector, MatchingType: strong.MatchingType})
		t.cause = sentences(fmt.Sprintf("At %s the TLSA record %s matches the key of %s, and the record %s, with a stronger digest (SHA-512), does not match: where both are published, only the strongest digest counts.", owner, short(weak), c.host, short(strong)), strings.TrimSpace(c.alias()))
		t.owner = []Cure{cure(c.tlsaBy(fmt.Sprintf("Delete the stale record `%s`, or replace it by:", short(strong))), fmt.Sprintf("%s. IN TLSA %s", owner, now))}
		return t
	}
	anchors := slices.ContainsFunc(usable, func(r dane.Record) bool { return r.Usage == dane.DANETA })
	ends := slices.ContainsFunc(usable, func(r dane.Record) bool { return r.Usage == dane.DANEEE })
	if anchors && !ends {
		return c.noAnchorMatch(s, usable)
	}
	recipe := dane.Recommended(dane.DANEEE)
	for _, r := range usable {
		if r.Usage == dane.DANEEE {
			recipe = dane.Recipe{Usage: r.Usage, Selector: r.Selector, MatchingType: r.MatchingType}
			if r.MatchingType == dane.Full {
				recipe.MatchingType = dane.SHA2_256
			}
			break
		}
	}
	it := "key"
	if recipe.Selector == dane.Cert {
		it = "certificate"
	}
	var published []string
	for _, r := range usable {
		published = append(published, short(r))
	}
	now, ok := tlsaNow(s, recipe)
	shows := fmt.Sprintf("%s shows another", c.host)
	switch {
	case len(s.Chain) == 0 && len(s.RawKey) == 0:
		shows = fmt.Sprintf("%s shows no certificate", c.host)
	case s.Fault != "":
		shows = fmt.Sprintf("the %s that is shown could not be compared (%s)", it, clip(s.Fault))
	case ok:
		shows = fmt.Sprintf("the one shown is %s", record(now))
	}
	t.cause = sentences(fmt.Sprintf("The %s that %s shows matches none of the TLSA records at %s (published: %s; %s).", it, c.host, owner, list(published), shows), strings.TrimSpace(c.alias()), tooMany(set))
	if ok {
		stale := "the published records"
		if len(usable) == 1 {
			stale = "the published record"
		}
		t.owner = []Cure{cure(c.tlsaBy(fmt.Sprintf("Run %s on %s and compare with the line below. The same: the TLSA record is stale, replace %s by this line (the next time, publish the record of a new key first and wait for the TTL). Not the same: another server answers in its place; publish nothing, and find out who that is.", compareCommand(recipe), c.host, stale)),
			fmt.Sprintf("%s. IN TLSA %s", owner, now))}
	} else {
		t.owner = []Cure{cure(c.tlsaBy(fmt.Sprintf("Publish at %s the record of the key that the server uses: `mxauth tlsa make %s`.", owner, c.host)))}
	}
	t.hints = append(t.hints, HintException)
	return t
}

// compareCommand prints the digest of the key in a certificate file.
func compareCommand(r dane.Recipe) string {
	sum := "sha256sum"
	if r.MatchingType == dane.SHA2_512 {
		sum = "sha512sum"
	}
	if r.Selector == dane.Cert {
		return "`openssl x509 -in cert.pem -outform DER | " + sum + "`"
	}
	return "`openssl x509 -in cert.pem -noout -pubkey | openssl pkey -pubin -outform DER | " + sum + "`"
}

// short is a record with the beginning of its data.
func short(r dane.Record) string { return record(r) }

// noAnchorMatch is a chain without the authority that TLSA records of usage 2 name.
func (c reading) noAnchorMatch(s *engine.Shown, usable []dane.Record) (t told) {
	owner := c.owner()
	var published []string
	for _, r := range usable {
		published = append(published, short(r))
	}
	c0 := leaf(s.Chain)
	switch {
	case c0 == nil:
		t.cause = fmt.Sprintf("%s shows no certificate, and the TLSA record at %s (%s) names a CA.", c.host, owner, list(published))
		t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("Let %s show a certificate of that CA, with the certificate of the CA.", c.host)))}
	case len(s.Chain) == 1 && !selfSigned(c0):
		t.cause = fmt.Sprintf("%s sends only its own certificate, without that of the issuer (%s): the CA certificate that the TLSA record at %s (%s) names is not among what it sends.", c.host, quoted(issuer(c0)), owner, list(published))
		t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("Let %s send the certificate of the CA with its own, also if it is a root (Postfix: append it to the file in `smtpd_tls_chain_files`). If the certificate comes from another CA than that of the record, publish the record of the new CA: `mxauth tlsa make --usage 2 CHAIN.pem`.", c.host)))}
	default:
		top := s.Chain[len(s.Chain)-1]
		t.cause = fmt.Sprintf("None of the certificates that %s sends is that of the CA which the TLSA record at %s (%s) names: the last one sent is %s, issued by %s.", c.host, owner, list(published), quoted(subject(top)), quoted(issuer(top)))
		text := fmt.Sprintf("If the CA of the record has issued the certificate, let %s send the certificate of that CA as well (Postfix: append it to the file in `smtpd_tls_chain_files`).", c.host)
		if ca, err := dane.Generate(dane.Recommended(dane.DANETA), top); err == nil && top.IsCA {
			t.owner = []Cure{cure(c.tlsaBy(text+fmt.Sprintf(" If the certificate now comes from %s on purpose, publish the record of that CA:", quoted(subject(top)))), fmt.Sprintf("%s. IN TLSA %s", owner, ca))}
		} else {
			t.owner = []Cure{cure(c.hostBy(text))}
		}
	}
	t.cause = sentences(t.cause, strings.TrimSpace(c.alias()))
	t.hints = append(t.hints, HintException)
	return t
}

// shown is what was made of a certificate.
func (c reading) shown(s *engine.Shown) (t told, ok bool) {
	f := judgeChain(s)
	switch c.r.ID {
	case engine.ReasonDANENoMatch:
		return c.noMatch(s), true
	case engine.ReasonEncryptedTLSA:
		return c.tlsaUnusable(s), true
	case engine.ReasonDANEName:
		return c.daneName(s), true
	case engine.ReasonDANEExpired, engine.ReasonDANEUntrusted:
		return c.daneChain(s, f), true
	case engine.ReasonSTSName, engine.ReasonSTSExpired, engine.ReasonSTSUntrusted:
		return c.stsChain(s, f), true
	case engine.ReasonPKIXName, engine.ReasonPKIXExpired, engine.ReasonPKIXUntrusted:
		return c.pkixChain(s, f), true
	case engine.ReasonHalfDANEMatch:
		return c.halfDANE(), true
	case engine.ReasonEncryptedName, engine.ReasonEncryptedCA, engine.ReasonEncryptedUnproved:
		if c.h != nil && c.h.Ground == engine.GroundNoPolicy {
			return c.encrypted(s, f), true
		}
		return told{cause: fmt.Sprintf("The connection to %s is encrypted, and who the server is was not checked.", c.host)}, true
	}
	return told{}, false
}

// halfDANE is a match behind an unsigned MX record.
func (c reading) halfDANE() (t told) {
	t.cause = sentences(fmt.Sprintf("%s proves itself by its TLSA records (at %s), but %s: so it is not proven that mail of %s belongs there.", c.host, c.owner(), unsignedMX(c.p, c.h), c.domain))
	s := stsOf(c.p, c.h)
	if s.there {
		t.cause = sentences(t.cause, sentence(s.clause))
	}
	t.owner = append(t.owner, signMX(c.p)...)
	if s.there {
		t.owner = append(t.owner, c.policyCures(nil, certFault{})...)
	} else if s.known {
		t.owner = append(t.owner, cure(fmt.Sprintf("Or publish an MTA-STS policy that lists %s (`mxauth lint %s` writes it).", c.host, c.domain)))
	}
	return t
}

// daneName is a certificate of the right CA and another name.
func (c reading) daneName(s *engine.Shown) (t told) {
	why := commonName(s.CommonName)
	t.cause = fmt.Sprintf("The certificate of %s is from the CA that its TLSA records at %s name, but it is for %s%s; one of these names is needed: %s.", c.host, c.owner(), presented(s.Presented), why, list(texts(s.References)))
	if c.p != nil && c.p.MX.Status != dnssec.Secure && c.p.Orig.IsValid() && slices.Contains(s.Presented, c.domain) {
		t.cause = sentences(t.cause, fmt.Sprintf("The name %s does not count here: %s, so anybody could have put %s in its place.", c.domain, unsignedMX(c.p, c.h), c.host))
	}
	t.cause = sentences(t.cause, strings.TrimSpace(c.alias()))
	want := c.host
	if len(s.References) > 0 {
		want = s.References[0].String()
	}
	text := fmt.Sprintf("Give %s a certificate whose subjectAltName has the name %s", c.host, want)
	if now, ok := tlsaNow(s, dane.Recommended(dane.DANEEE)); ok {
		t.owner = []Cure{cure(c.hostBy(text+"; or publish a record of the server's own key in place of that of the CA, with which no name is needed (compare it with the key on the server first):"), fmt.Sprintf("%s. IN TLSA %s", c.owner(), now))}
	} else {
		t.owner = []Cure{cure(c.hostBy(text + "."))}
	}
	return t
}

// daneChain is a path to a CA of the TLSA records that is not valid.
func (c reading) daneChain(s *engine.Shown, f certFault) (t told) {
	if errors.Is(s.Err, dane.ErrKey) {
		t.cause = fmt.Sprintf("The key of %s matches its TLSA record at %s, and proves nothing, because it is %s.", c.host, c.owner(), clip(s.Fault))
		t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("Give %s an ECDSA P-256 key or an RSA key of at least 2048 bits; publish its TLSA record first.", c.host)))}
		return t
	}
	t.cause = sentences(sentence(f.of(c.host)), fmt.Sprintf("The TLSA records at %s name a CA, so the chain to that CA has to be valid.", c.owner()))
	t.owner = []Cure{cure(c.hostBy(c.chainCure(f, false)))}
	if f.trouble == certIssuerOld && c.h != nil && slices.ContainsFunc(c.h.DANE.Set.Usable(), func(r dane.Record) bool { return r.Usage == dane.DANETA && r.Selector == dane.SPKI }) {
		// Doubt D8 of the decision table: OpenSSL looks at no date of an anchor that is a key.
		t.cause = sentences(t.cause, "Senders that use OpenSSL (Postfix) accept it all the same, because the TLSA record names only the key of the CA.")
	}
	return t
}

// chainCure is what puts a chain right.
func (c reading) chainCure(f certFault, public bool) string {
	switch f.trouble {
	case certNone:
		return fmt.Sprintf("Let %s show a certificate.", c.host)
	case certName:
		return fmt.Sprintf("Give %s a certificate whose subjectAltName has the name %s.", c.host, c.host)
	case certSelf:
		return fmt.Sprintf("Give %s a certificate of a public CA for the name %s.", c.host, c.host)
	case certExpired:
		if f.also != "" && public {
			return fmt.Sprintf("Give %s a certificate of a public CA for the name %s.", c.host, c.host)
		}
		return fmt.Sprintf("Renew the certificate of %s, and reload the mail server so that it uses the new one.", c.host)
	case certIssuerOld:
		return fmt.Sprintf("Replace the expired issuing certificate %s in the chain file of %s by the one that the CA uses now; the certificate of %s itself has not expired.", called(f.cert), c.host, c.host)
	case certEarly:
		return fmt.Sprintf("Use a certificate that is valid already, or wait until it begins; if the date is right, correct the clock of the machine that issued it.")
	case certIncomplete:
		return fmt.Sprintf("Let %s send the intermediate certificate with its own (the file that CAs call fullchain.pem; Postfix: `smtpd_tls_chain_files`). If the issuer %s is no public CA, get a certificate of one.", c.host, quoted(issuerOf(f.cert)))
	case certUnknownCA:
		return fmt.Sprintf("Give %s a certificate of a public CA for the name %s.", c.host, c.host)
	}
	return fmt.Sprintf("Get a new certificate for %s that is made for servers and whose chain is valid: try %s.", c.host, c.openssl())
}

// stsChain is a certificate that an enforced policy does not accept.
func (c reading) stsChain(s *engine.Shown, f certFault) (t told) {
	testing := c.p != nil && c.p.STS.Policy != nil && c.p.STS.Policy.Mode.String() == "testing"
	demands := fmt.Sprintf("The MTA-STS policy of %s (mode enforce) requires a valid certificate that names %s.", c.domain, c.host)
	if testing {
		demands = fmt.Sprintf("The MTA-STS policy of %s is in mode testing; in mode enforce no mail would go to %s.", c.domain, c.host)
	}
	clause := f.of(c.host)
	switch {
	case f.trouble == certName && s.CommonName == engine.CommonNameNever:
		clause = fmt.Sprintf("the certificate of %s has that name as Common Name only%s", c.host, commonName(s.CommonName))
	case f.trouble == certName:
		clause = fmt.Sprintf("the certificate of %s is for %s, not for %s", c.host, presented(s.Presented), c.host)
	}
	t.cause = sentences(capital(clause)+".", demands, c.kept())
	t.owner = []Cure{cure(c.hostBy(c.chainCure(f, true)))}
	switch f.trouble {
	case certUnknownCA, certIncomplete, certRoots:
		t.hints = append(t.hints, HintRoots)
	case certEarly, certExpired:
		t.sender = append(t.sender, "If other domains fail as well, check the clock of this machine.")
	}
	return t
}

// pkixChain is a certificate that the operator, or REQUIRETLS, does not accept.
func (c reading) pkixChain(s *engine.Shown, f certFault) (t told) {
	why := "This check demands a certificate of a trusted CA with the name " + list(texts(s.References)) + "."
	if c.r.ID == engine.ReasonPKIXName {
		t.cause = sentences(fmt.Sprintf("The certificate of %s is for %s%s.", c.host, presented(s.Presented), commonName(s.CommonName)), why)
		t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("Give %s a certificate whose subjectAltName has the name %s.", c.host, c.host)))}
		t.hints = append(t.hints, HintNames)
		return t
	}
	t.cause = sentences(capital(f.of(c.host))+".", why)
	t.owner = []Cure{cure(c.hostBy(c.chainCure(f, true)))}
	if f.trouble == certUnknownCA || f.trouble == certIncomplete || f.trouble == certRoots {
		t.hints = append(t.hints, HintRoots)
	}
	return t
}

// encrypted is a session that authenticates nobody, because nothing asks for that.
func (c reading) encrypted(s *engine.Shown, f certFault) (t told) {
	d, m := daneOf(c.p, c.h), stsOf(c.p, c.h)
	effect := fmt.Sprintf("So the connection to %s is encrypted, but the server is not verified", c.host)
	if c.r.ID == engine.ReasonEncryptedName && f.trouble != certName && f.trouble != certNone {
		// Two faults: a new certificate puts both right.
		if f.trouble == certFine || f.trouble == certRoots || f.trouble == certBudget {
			f.clause = ""
		}
		names := "its certificate names " + presented(s.Presented)
		switch rest, ok := strings.CutPrefix(f.clause, "its certificate "); {
		case f.clause == "":
			f.clause = names
		case ok:
			f.clause = names + " and " + rest
		default:
			f.clause = names + "; " + f.clause
		}
		f.trouble = certUnknownCA
	}
	if f.clause != "" && f.trouble != certRoots && f.trouble != certBudget {
		effect += " (" + f.clause + commonName(s.CommonName) + ")"
	}
	effect += "."
	switch {
	case m.there:
		t.cause = sentences(sentence(m.clause), effect, c.other(d))
	case d.there:
		t.cause = sentences(sentence(d.clause), effect, c.other(m))
	case d.known && m.known:
		t.cause = sentences(fmt.Sprintf("%s publishes nothing by which a sender could check its mail host %s: %s, and %s.", c.domain, c.host, strings.Replace(m.clause, c.domain+" has", "it has", 1), d.clause), effect)
	default:
		t.cause = sentences(sentence(m.clause), sentence(d.clause), effect)
	}
	t.owner = c.publish(s, f)
	if !d.known {
		if r := answerOf(c.h).Reason; r.Code == dnssec.ReasonADClear {
			t.hints = append(t.hints, HintStrips)
		}
	}
	return t
}

// other is the mechanism that is not the cause, in a sentence.
func (c reading) other(m mechanism) string {
	if !m.known && !m.there {
		return ""
	}
	return sentence(m.clause)
}

// publish is what makes a host count as authenticated: what is published and does not count
// is put right first.
func (c reading) publish(s *engine.Shown, f certFault) (out []Cure) {
	d, m := daneOf(c.p, c.h), stsOf(c.p, c.h)
	switch {
	case m.there:
		out = c.policyCures(s, f)
		if d.there {
			out = append(out, c.daneCures(s, d)...)
		}
	case d.there, d.known && c.h != nil && c.h.NoDANE == engine.NoDANENoRecords:
		out = append(c.daneCures(s, d), c.announce(f, true)...)
	case d.known:
		out = append(c.announce(f, false), c.orDANE(s, d)...)
	default:
		out = c.announce(f, false)
	}
	return out
}

// daneCures is the way to DANE from what there is.
func (c reading) daneCures(s *engine.Shown, d mechanism) (out []Cure) {
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
	case c.h.NoDANE == engine.NoDANEUnusable:
		return append(out, c.replace(s, fmt.Sprintf("Replace the TLSA records at %s by this one, which is made from the key that %s shows now", c.owner(), c.host), dane.Recommended(dane.DANEEE), true))
	case !ok:
		return append(out, cure(by(c.p, c.host, fmt.Sprintf("Publish a TLSA record at %s: `mxauth tlsa make %s` prints it.", owner, c.host))))
	case len(d.cures) > 0:
		return append(out, cure(by(c.p, c.host, fmt.Sprintf("The record of the key that %s shows now (compare it with the key on the server before you publish it):", c.host)), fmt.Sprintf("%s. IN TLSA %s", owner, rec)))
	}
	return append(out, cure(by(c.p, c.host, fmt.Sprintf("Publish the TLSA record of the key that %s shows now (compare it with the key on the server first):", c.host)), fmt.Sprintf("%s. IN TLSA %s", owner, rec)))
}

// orDANE names DANE as the other way, for a zone that is not signed.
func (c reading) orDANE(s *engine.Shown, d mechanism) []Cure {
	if len(d.cures) == 0 || c.h == nil {
		return nil
	}
	text := d.cures[0].Text
	return []Cure{cure(fmt.Sprintf("Or use DANE, which needs no certificate of a CA. %s Then publish the TLSA record of %s at %s.", text, c.host, tlsaOwner(c.h, c.h.Name)))}
}

// certificateFirst is the step before a policy may be enforced; "" where the certificate
// fits.
func (c reading) certificateFirst(f certFault) string {
	if f.trouble == certFine || f.trouble == certRoots || f.trouble == certBudget {
		return ""
	}
	return c.hostBy(c.chainCure(f, true))
}

// announce is the way to MTA-STS where nothing is published; or says that it is another.
func (c reading) announce(f certFault, other bool) []Cure {
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
func (c reading) policyLines() []string {
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
func (c reading) policyCures(s *engine.Shown, f certFault) (out []Cure) {
	m := stsOf(c.p, c.h)
	first := c.certificateFirst(f)
	var steps []Cure
	if first != "" {
		steps = append(steps, cure(first+" Do this first: an enforced policy stops mail to servers without such a certificate."))
	}
	why := engine.NoSTSNone
	if c.h != nil {
		why = c.h.NoSTS
	}
	switch why {
	case engine.NoSTSUnknown:
		return m.cures // what the policy says is not known
	case engine.NoSTSTesting, engine.NoSTSModeNone:
		if pol := c.p.STS.Policy; pol != nil && why == engine.NoSTSTesting {
			if missing := c.unlisted(); len(missing) > 0 {
				steps = append(steps, cure(fmt.Sprintf("Add to %s the mail hosts that the policy does not list (today it lists %s):", policyURL(c.domain), list(texts(pol.MX))), missing...))
			}
		}
		steps = append(steps, cure(fmt.Sprintf("Change the line `mode: %s` to `mode: enforce` in %s, and then give the TXT record a new id:", c.p.STS.Policy.Mode, policyURL(c.domain)), recordLine(c.p)))
	default:
		steps = append(steps, m.cures...)
		if why == engine.NoSTSFetch {
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
func (c reading) unlisted() (out []string) {
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
