// Package probe speaks SMTP with a host of a plan, up to STARTTLS and no further:
// greeting, EHLO, STARTTLS, handshake with the plan's SNI, EHLO, QUIT. It never sends
// MAIL FROM.
//
// What came of it is an [engine.Peer] with one of five events: no connection, no
// greeting or no answer to EHLO (E0), no offer of STARTTLS (E1), STARTTLS refused or
// plain data behind its reply (E2), a failed handshake (E3), or a session with what
// the peer presented (E4). The handshake accepts any certificate; [engine.Engine.Decide]
// says afterwards whether it would have done.
//
// SMTP servers are foreign: replies are bounded in lines and octets, every step has
// a deadline, and nothing that a server sent before TLS is remembered behind it (RFC
// 3207 section 4.2).
package probe
