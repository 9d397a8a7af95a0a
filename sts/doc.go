// Package sts is the sender's half of MTA-STS (RFC 8461): it finds out which
// policy a domain has published for mail that is on its way to it, and remembers it.
//
// # What the mechanism is for
//
// SMTP between mail servers is encrypted only if the peer offers STARTTLS, and
// nothing says that the peer is the right one. Who sits on the path can strip the
// offer or forge the MX records. With MTA-STS a domain publishes over HTTPS,
// protected by a WebPKI certificate for mta-sts.<domain>, which MX hosts it has
// and that mail must reach them over authenticated TLS. A TXT record at
// _mta-sts.<domain> says only that there is a policy, and by its id when it has
// changed.
//
// # Why the cache is the security
//
// The TXT record is not protected: on first contact an attacker can hide it. From
// the first success on, the policy is kept for its max_age (at most about a year),
// and while it is kept nothing that is said in DNS, and no failure of the policy
// host, takes it away: it is replaced only by a policy that was fetched over HTTPS.
// An attacker who can make a sender forget a policy can strip TLS; hence [Client] keeps
// policies in a [github.com/mxauth/mxauth/store.Store] that outlives the process.
//
// # What this package does
//
//   - [ParseRecord] and [ParsePolicy] read the two texts by their grammar and
//     [Lint] lists every deviation for the domain's owner.
//   - [Policy.Match] says whether an MX host is one that the policy names.
//   - [Client] looks up, fetches, remembers: its answer, [Result], is a row of the
//     state machine S1 to S13 (docs, decision table section 3).
//   - [Client.Run] refreshes what is kept, about daily, whatever DNS says.
//   - [Cache] lists, shows, exports, imports and deletes what is kept.
//
// It decides nothing about a delivery (package engine does), knows nothing of DANE,
// and never speaks SMTP.
package sts
