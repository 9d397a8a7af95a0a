// Package dane proves an SMTP server by what its domain publishes in DNS: TLSA
// records (RFC 6698, RFC 7671) as SMTP uses them (RFC 7672).
//
// # What it protects against
//
// Between mail servers TLS is optional and certificates may show any name, so
// an attacker on the path can strip STARTTLS or show another certificate. A
// domain that signs its zone (DNSSEC) can publish, at _25._tcp.mx.example.org, a
// TLSA record that says which certificate or key its server will show. A sender
// that finds a secure record must have TLS, and a match, or must not deliver. No
// public certificate authority has a part in it.
//
// # How it goes
//
// [Discover] asks for a host's addresses and then, only if these are secure (or the
// first alias is), for TLSA records at the candidate base domains: the end of the
// alias chain first, then the name itself. What it finds becomes a [Set], in which
// each record is judged before any connection: [NewSet] says which are usable and
// why the others are not. After the handshake [Set.Verify] compares the chain that
// the peer presented with the usable records:
//
//   - DANE-EE (usage 3) names the server's own certificate or key. It alone decides:
//     no name, no dates, no chain (RFC 7672 section 3.1.1).
//   - DANE-TA (usage 2) names the authority at the top. The chain must lead to it,
//     hold in every way of RFC 5280, and show one of the names expected (section
//     3.1.2 and 3.2.2).
//   - PKIX-TA and PKIX-EE (usages 0 and 1) are never usable for SMTP (section 3.1.3).
//
// Certificates need not be such as crypto/x509 parses: what another TLS library took is
// given as [Peer.Certs], read by package pkix.
//
// A secure TLSA answer in which nothing is usable still obliges the sender to use TLS:
// that is [Unusable], which is not [None].
//
// For operators, [Generate] makes records from a certificate or key, and [CheckRollover]
// says whether a published set fits a certificate and when it is safe to switch to
// the next one.
//
// # What it does not do
//
// It judges DNSSEC by what package dnssec answers, and paths by package pkix. It does
// not know of MTA-STS, nor what to do with a message: package engine does. There is
// no way to let usages 0 and 1 count for SMTP; [VerifyGeneric] exists to compare this
// package with test suites of RFC 6698.
package dane
