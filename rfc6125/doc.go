// Package rfc6125 holds the names of hosts and says whether a certificate names
// one of them (RFC 9525, and where a caller asks for it its predecessor RFC
// 6125, whose number the subject is still known by).
//
// # The question
//
// A program delivers mail to the MX hosts of a large provider. It connects to
// alt1.smtp-in.example, starts TLS, and is shown a certificate for mx.example, a
// name that has no address at all. Did the program miss something? Which name
// must the certificate carry?
//
// The answer depends on which of two roles the program plays, and the same
// mismatch is fatal in one and means nothing in the other.
//
// # A mail client and its submission server
//
// A user's client (MUA) that talks to its provider's server (MSA, IMAP, POP)
// has a name that a person typed or an account's settings hold. That name owes
// nothing to the DNS. Both sides know beforehand that there will be TLS and
// what is at stake: a password follows. So the rules are strict:
//
//   - RFC 8314 section 3: TLS is used from the first octet where it can be, and
//     never not at all; section 5.3: the certificate is validated before
//     credentials are sent.
//   - RFC 7817 section 3: the certificate must match the host name that the
//     client was configured with (a DNS-ID; a CN-ID at most as a last resort) or,
//     where the server was found by an SRV lookup, the user's mail domain as
//     SRV-ID or DNS-ID. It updates RFC 3207 section 4.1 for submission, which had
//     left the question to each client.
//   - RFC 4954, which brought passwords to SMTP, had asked for that comparison
//     before a password is sent in clear inside TLS.
//
// A wrong name here ends the session. Such a client wants [NewReference] of the
// configured host, [NewServiceReference] of the mail domain, and
// [Options.SRVID].
//
// # Two mail servers
//
// An MTA that relays has only the recipient's domain. The MX host's name comes
// from the DNS, and an attacker who can forge that answer can choose the name, and hold
// a good certificate for it: proving that name proves nothing about the domain.
// Whether the next server has TLS is not known either before it says STARTTLS,
// and an attacker on the path can remove those words. RFC 3207 section 4.1 draws the
// conclusion: an MTA may go on whatever certificate it sees, and most must, or
// mail would stop. So a server may show any certificate, none obliges it to show
// its own name, and a mismatch means just that the delivery is encrypted and
// not authenticated at all. That was the whole of the answer in 2012.
//
// Since then a domain can say in advance, through a channel that the attacker
// does not hold, that its hosts will prove themselves, and by what name:
//
//   - DANE (RFC 7672): TLSA records in a zone signed with DNSSEC. With a DANE-EE
//     record the key is named and no name counts (section 3.1.1). With a DANE-TA
//     record the certificate must name the TLSA base domain, or, as the MX record
//     itself is signed, the next-hop domain (section 3.2.2). A CN-ID may still
//     count there where there is no DNS-ID (section 3.2.3), which RFC 9525
//     forbids everybody else.
//   - MTA-STS (RFC 8461): a policy fetched over HTTPS and remembered. The MX
//     host's name must match a pattern of the policy, and the certificate must
//     have a DNS-ID for that MX host (section 4.1).
//
// In both the name is learned from an authentic source first and compared then
// (RFC 9525 section 6.1.1). This package does the comparing; packages dane, sts
// and engine know which names to ask for.
//
// # Names and hosts
//
// [Name] is a name of the DNS, with any octets: owners of TLSA records, of NSEC
// records, the root. [Host] is a name of a host, in one form (A-labels in lower
// case), made by one deliberate IDNA profile, so that two Hosts are the same
// exactly if they are ==. [ParseHost] reads what people write and is strict;
// [HostFromName] takes what the DNS or a certificate has as it is.
//
// # References and presented identifiers
//
// A [Reference] is a name to be proved; a [Presented] holds the names in a certificate.
// Presented is read from the raw certificate: crypto/x509 would drop or refuse
// some names, and a person who asks "why not" needs to see just those. Match
// them with [Presented.Match]; [Presented.Explain] says why each one does not.
//
//   - ASCII, label by label, without regard to case (RFC 9525 section 6.3).
//   - One asterisk as the whole left-most label matches exactly one label;
//     any other asterisk makes the identifier invalid. That `*.com` matches
//     `example.com` follows from the text; [Options.NoTopLevelWildcard] is for
//     those who know better.
//   - An IP address is no name. There is no reference for one, and an
//     iPAddress of a certificate matches nothing.
//
// # What it does not do
//
// It asks no DNS, verifies no chain (package pkix does), and knows no public
// suffixes.
package rfc6125
