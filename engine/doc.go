// Package engine answers one question before a message leaves: would this delivery
// be authenticated, by what, and if not, why? It is the only place where DANE (RFC
// 7672) and MTA-STS (RFC 8461) meet.
//
// Mail between servers finds its way by MX records and encrypts with STARTTLS. Both
// can be tampered with by an attacker in between: an MX record that is not signed
// can name another host, an EHLO reply can lose the word STARTTLS, and a certificate
// proves nothing as long as it is not known which name it must carry. Two standards say
// it. With DANE the domain signs its zone (DNSSEC) and publishes, for each MX
// host, which key or CA that host will show. With MTA-STS it publishes a policy on
// an HTTPS host: which MX names are good, and that each must show a WebPKI
// certificate of its own name. This package finds out which of them holds for each
// host of a delivery, what must therefore be true before MAIL FROM, and afterwards
// whether it was.
//
// # Plan, connect, decide
//
// [Engine.Plan] asks DNS and MTA-STS and returns a [Plan]: the hosts in the order in
// which SMTP tries them (RFC 5321 section 5.1; policies never change it), each with
// a [Requirement], the name for SNI and the names that count. The caller connects,
// says EHLO and STARTTLS, and gives [Engine.Decide] what the peer showed ([Peer]),
// or lets an [Attempt] watch the connection and its *tls.Config decide in the handshake.
// Decide does no I/O: it is a pure function of the plan, the peer and the time, so it can
// be repeated years later; [Engine.Record] says that a decision is acted on.
// The [Decision] keeps two questions apart: its outcome (authenticated, encrypted,
// cleartext, refused, deferred) and whether the message may go. A refusal is about
// one host: the next one is tried ([Engine.Message] says what becomes of the
// message, [Summarise] what one can say of the domain).
//
// # What never happens
//
// A lookup that failed (bogus, SERVFAIL, timeout, malformed) is never taken for the
// absence of a record: its host is deferred. A failing DANE check is never repaired
// by MTA-STS (RFC 8461 section 2). A host found through an insecure MX is never
// authenticated by DANE alone (RFC 7672 section 2.2.1). A policy in mode testing
// changes no outcome. Audit mode and waivers let a message go; they do not make it
// authenticated.
//
// # What was there once
//
// The standards know no memory but that of an MTA-STS policy in force: TLSA records that
// are gone, or an offer of TLS that is stripped, look as if they had never been. An
// engine with a [Memory] ([Config].Memory) keeps what each domain has proved and reports
// its loss ([Plan].Drops); by configuration it also waits for some hours with mail that
// nothing else protects. The caller says what connections showed ([Engine.Remember]). An
// operator's exceptions ([Config].Exceptions) go the other way: for a while, and never without a trace, they
// let pass what a policy forbids.
//
// # Why
//
// Everything that comes out carries its reasons in data: a [Reason] has the stable id of
// the rule that decided and, as [reason.Evidence], what the rule saw. No rule reads a sentence, and
// this package makes none: [engine/explain] does, with the section of the rule, the RFC
// 8460 result type where one exists, and what either administrator can do.
//
// A plan is made in two steps. All I/O comes first and its answers are gathered; then a
// pure function of what was gathered makes the immutable [Plan] at once.
//
// What this package does not do: it speaks no SMTP ([engine/probe] does, up to
// STARTTLS), keeps no queue, and sends no reports.
//
// [engine/explain]: https://pkg.go.dev/github.com/mxauth/mxauth/engine/explain
// [engine/probe]: https://pkg.go.dev/github.com/mxauth/mxauth/engine/probe
package engine
