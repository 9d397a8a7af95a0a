// Package probe speaks SMTP with a host of a plan, up to STARTTLS and no further:
// greeting, EHLO, STARTTLS, handshake with the plan's SNI, EHLO, QUIT. It never sends
// MAIL FROM.
//
// The result is an [engine.Peer] with one of five events: no connection, no greeting, or
// an EHLO that is not answered or is refused (E0), no offer of STARTTLS (E1), STARTTLS
// refused or plain data after its reply (E2), a failed handshake (E3), or a session with
// what the peer presented (E4). Nothing is concluded from a session before EHLO inside TLS
// is answered. The handshake accepts any certificate; [engine.Attempt.Decision] says
// whether it counts.
//
// [Prober.Hosts] probes all hosts of a plan within one deadline. What it did not reach in
// time is said to be so, and is no statement about the host.
//
// After a failed handshake [Prober.Hosts] looks whether the TLS library of this program is
// the cause, with at most two further connections to the address: one with more cipher
// suites and without ML-KEM, and one that reads certificate and signature of a TLS 1.2
// handshake without completing it ([engine.HandshakeRead], [engine.OwnTLS]). What is not
// proved that way keeps the reason that it has.
//
// Where a host may have an RSA and an ECDSA certificate, [Prober.Hosts] makes one more
// connection that offers only the other kind of key ([Certificates]). Each certificate is
// decided as each address is.
//
// SMTP servers are foreign: replies are bounded in lines and octets, every step has
// a deadline, and nothing that a server sent before TLS is remembered after it (RFC
// 3207 section 4.2).
package probe
