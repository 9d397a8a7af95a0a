// Package pkix finds out whether a certificate chain leads to an anchor that
// the caller trusts (RFC 5280 section 6).
//
// Two very different trusts are asked of it. WebPKI: a policy host or, under
// MTA-STS, an MX host must have a certificate below one of the roots that the
// system trusts. DANE-TA: the domain's own TLSA records name the anchor, a
// certificate or a bare key, and no other roots count. The path between
// leaf and anchor obeys the same rules in both, so both use one builder here,
// [Verify], and differ only in what [Request] gives it as anchors.
//
// # What is checked
//
// Of every certificate on the path, the anchor's included: dates (RFC 7671
// section 5.2.3 wants it of a DANE anchor, and a WebPKI root that its own maker
// says is over should not be used either), unknown critical extensions, purpose
// (an extended key usage, if there is one, names serverAuth or any). Of every
// issuer: the CA mark, keyCertSign if it has a keyUsage, pathLenConstraint, name
// constraints on all names below, the signature it made.
//
// Names are constrained as RFC 5280 section 4.2.1.10 says for dNSName, iPAddress,
// rfc822Name, uniformResourceIdentifier and directoryName; where a constraint is
// on another form and such a name occurs, the path fails. A wildcard is judged
// for every name that it can match ([rfc6125.Subtree]).
//
// # What is not checked
//
// No host name: that is [VerifyServer]'s second half, or the caller's (DANE-TA
// has several names that may be proved). No revocation: an MTA has no good place
// to ask, and mail would wait for the answer. No certificate transparency. The
// conduct of CAs (serial numbers, key identifiers, subject fields) is not judged:
// it says nothing about who holds the key. Certificate policies are accepted as
// they are; a CA that requires an explicit one (RFC 5280 section 4.2.1.11) is
// refused, since no policies are configured for mail.
//
// # Certificates that crypto/x509 does not parse
//
//	c := pkix.Read(der)
//	c.SPKI()                     // what a TLSA record 3 1 1 is compared with
//	c.Unread(pkix.FieldDates)    // "notAfter is not a time: \"271301000000Z\""
//
// [Read] reads each field by itself, and [Verify] refuses a path through a
// certificate if a field that it looks at is unread. So that no two readers find
// different keys in the same bytes, everything up to the key must be DER.
//
// # Hostile chains
//
// Certificates come from the peer, with their keys. A [Work] bounds what a
// verification may cost: each signature counts by the size of its key and
// exponent, each name, step and byte by its own cost, over all paths together.
// When it is used up the answer is [ErrBudget], not a longer search. RSA keys of
// fewer than 1,023 or more than 8,192 bits, or with an exponent of more than 33,
// sign nothing ([CheckKey]).
package pkix
