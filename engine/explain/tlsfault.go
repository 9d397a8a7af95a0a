package explain

import (
	"fmt"
	"strings"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/reason"
)

// Connections that came to no TLS session.

// demand says which policy requires TLS.
func (c reasonView) demand(part engine.Requirement) string {
	switch part {
	case engine.DANE, engine.HalfDANE, engine.Encrypt:
		return fmt.Sprintf("the TLSA records at %s require it", c.owner())
	case engine.STS:
		return fmt.Sprintf("the MTA-STS policy of %s (mode enforce) requires it", c.domain)
	}
	return "this check requires it"
}

// alertWords begins the text of a TLS alert that the peer sent. It is of crypto/tls and of
// package net: the alert on a connection has no exported type (tls.AlertError is for QUIC),
// and its own text has "tls: " before the name of the alert.
const alertWords = "remote error: tls: "

// endedBy says how a connection ended, in brackets.
func endedBy(p *engine.Peer) string {
	detail := strings.TrimPrefix(clip(p.Detail), alertWords)
	if detail == "" {
		return ""
	}
	return " (" + detail + ")"
}

// said is what a server that does not speak SMTP answered, in brackets.
func said(p *engine.Peer) string {
	switch junk := clip(p.Junk); {
	case junk == "":
		return endedBy(p)
	case p.Awaited == reason.AwaitedGreeting:
		return ": it greets with " + junk + " instead of a line that begins with 220"
	default:
		return ": it answers " + junk + " instead of a reply that begins with three digits"
	}
}

// address is where a connection went, " (192.0.2.1:25)".
func address(p *engine.Peer) string {
	if !p.Address.IsValid() {
		return ""
	}
	return " (" + p.Address.String() + ")"
}

// openssl is the command that shows what the server does in TLS.
func (c reasonView) openssl() string {
	port := uint16(dane.DefaultPort)
	if c.h != nil && c.h.Port != 0 {
		port = c.h.Port
	}
	return fmt.Sprintf("`openssl s_client -starttls smtp -connect %s:%d`", strings.Trim(c.host, "[]"), port)
}

// noTLS is a connection that came to no TLS session.
func (c reasonView) noTLS(ev *engine.NoTLS) (t statement, ok bool) {
	switch c.r.ID {
	case reason.NoConnection:
		return c.noConnection(&ev.Peer), true
	case reason.NotTried:
		if ev.Peer.Ending != engine.EndedFamily {
			return statement{}, false
		}
		t.cause = fmt.Sprintf("%s was not tried: %s.", c.host, clip(ev.Peer.Detail))
		t.sender = []string{"Check over both families; a mail server uses the one that the host has."}
	case reason.Unconfirmed:
		return statement{}, false
	case reason.NoSTARTTLS:
		t.cause = fmt.Sprintf("%s does not offer STARTTLS, and %s.", c.host, c.demand(ev.Part))
		t.owner = c.startTLS()
		t.sender = append(t.sender, "If no other server offers it either, a firewall on this side removes it.")
	case reason.STARTTLSRefused:
		t.cause = fmt.Sprintf("%s offers STARTTLS and refuses to start it%s, and %s.", c.host, endedBy(&ev.Peer), c.demand(ev.Part))
		t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("The log of %s says why TLS is not available; often the key or certificate file cannot be read.", c.host)))}
	case reason.Injected:
		t.cause = fmt.Sprintf("%s sends plain text after its reply to STARTTLS, where the TLS handshake has to begin%s; perhaps an attacker inserted it, so the connection is dropped. TLS is needed: %s.", c.host, endedBy(&ev.Peer), c.demand(ev.Part))
		t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("See what answers STARTTLS at %s with more than one line: try %s. Update the server, or the proxy or filter before it.", c.host, c.openssl())))}
	case reason.Handshake:
		clause, fix := c.handshake(&ev.Peer)
		t.cause = fmt.Sprintf("%s. TLS is needed here: %s.", capital(clause), c.demand(ev.Part))
		t.owner = []Cure{cure(c.hostBy(fix))}
		if ev.Peer.Ending == engine.EndedTimeout {
			t.hints = append(t.hints, HintTime)
		}
	case reason.NoFallback:
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
func (c reasonView) startTLS() []Cure {
	return []Cure{cure(c.hostBy(fmt.Sprintf("Switch STARTTLS on at %s (Postfix: `smtpd_tls_security_level = may`). If it is on there, a firewall or filter before the server removes the offer (\"SMTP inspection\"): switch that off.", c.host)))}
}

// HandshakeFault returns the clause that says how the TLS handshake with a host failed, and
// the sentence that says what to look at.
func HandshakeFault(h *engine.Host, p *engine.Peer) (fault, cure string) {
	return reasonView{h: h, host: host(h)}.handshake(p)
}

// handshake says how a handshake failed, and what to look at.
func (c reasonView) handshake(p *engine.Peer) (clause, fix string) {
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
func (c reasonView) clear(ev *engine.NoTLS) (t statement) {
	clause := fmt.Sprintf("%s does not offer STARTTLS", c.host)
	t.owner = c.startTLS()
	switch c.r.ID {
	case reason.ClearRefused:
		clause = fmt.Sprintf("%s offers STARTTLS and refuses to start it%s", c.host, endedBy(&ev.Peer))
		t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("The log of %s says why TLS is not available; often the key or certificate file cannot be read.", c.host)))}
	case reason.ClearInjected:
		clause = fmt.Sprintf("%s sends plain text after its reply to STARTTLS, where the TLS handshake has to begin", c.host)
		t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("See what answers STARTTLS at %s with more than one line: try %s. Update the server, or the proxy or filter before it.", c.host, c.openssl())))}
	case reason.ClearHandshake:
		var fix string
		clause, fix = c.handshake(&ev.Peer)
		t.owner = []Cure{cure(c.hostBy(fix))}
		t.hints = append(t.hints, HintFallback)
	}
	t.cause = fmt.Sprintf("%s, and %s: the message goes in the clear, readable on its way.", capital(clause), c.free())
	if c.h != nil && c.h.Ground == reason.GroundNoPolicy {
		t.cause = sentences(t.cause, c.mechanisms())
	}
	return t
}

// free says in a clause why nothing is demanded.
func (c reasonView) free() string {
	ground := reason.GroundNoPolicy
	if c.h != nil {
		ground = c.h.Ground
	}
	switch ground {
	case reason.GroundLevel:
		return "this check demands no TLS"
	case reason.GroundMessage:
		return "nothing is to stop this message"
	case reason.GroundLiteral:
		return "nothing can be demanded of an address"
	case reason.GroundAudit:
		return "audit mode allows it"
	case reason.GroundException:
		return "an exception allows it"
	}
	return "nothing published requires TLS"
}

// mechanisms says in sentences what DANE and MTA-STS came to, the one first that is
// published and does not count.
func (c reasonView) mechanisms() string {
	d, s := daneOf(c.p, c.h), stsOf(c.p, c.h)
	if s.there {
		return sentences(sentence(s.clause), sentence(d.clause))
	}
	return sentences(sentence(d.clause), sentence(s.clause))
}

// noConnection is a server that was not reached, or takes no mail.
func (c reasonView) noConnection(p *engine.Peer) (t statement) {
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
	case p.Ending == engine.EndedTimeout && p.Awaited != reason.AwaitedNothing:
		t.cause = fmt.Sprintf("%s accepts the connection and then does not answer in time%s.%s", where, endedBy(p), need)
		t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("See why the server is slow: perhaps it is overloaded, waits for a DNS or block list lookup, or delays its greeting on purpose (Postfix: postscreen). The log of %s says which.", c.host)))}
		t.hints = append(t.hints, HintTime)
	case p.Ending == engine.EndedTimeout:
		t.cause = fmt.Sprintf("%s gives no answer in time: the attempt to connect timed out.%s", where, need)
		t.owner = []Cure{cure(c.hostBy(reach))}
		t.hints = append(t.hints, HintPort, HintTime)
	case p.Ending == engine.EndedClosed:
		t.cause = fmt.Sprintf("%s accepts the connection and closes it%s.%s", where, endedBy(p), need)
		t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("The log of %s says why it closes the connection: a limit of connections, a block list, or a proxy before it.", c.host)))}
	case p.Ending == engine.EndedNoSMTP:
		t.cause = fmt.Sprintf("The server at %s does not speak SMTP%s.%s", where, said(p), need)
		t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("See which program listens there, and let the mail server listen in its place: `nc %s %d` has to show a line that begins with 220. If %s is no mail server, correct the MX record or the address.", strings.Trim(c.host, "[]"), c.port(), c.host)))}
	default:
		t.cause = fmt.Sprintf("No mail server answers at %s%s.%s", where, endedBy(p), need)
		t.owner = []Cure{cure(c.hostBy(reach))}
		t.hints = append(t.hints, HintPort)
	}
	if p.DoubtedName != "" {
		t.cause = sentences(t.cause, fmt.Sprintf("This machine gave its name as %s in EHLO, and some servers demand a full name, with a dot.", quoted(p.DoubtedName)))
		t.hints = append(t.hints, HintHELO)
	}
	return t
}

func (c reasonView) port() uint16 {
	if c.h != nil && c.h.Port != 0 {
		return c.h.Port
	}
	return dane.DefaultPort
}

// needs says what would be required of the host.
func (c reasonView) needs() string {
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
