package dnssec

// Reason codes. A word is never reused for something else.
const (
	// Reasons for which a lookup fails before DNSSEC has a word in it. The stub and the
	// validator use the same.

	ReasonTimeout     ReasonCode = "timeout"       // no server answered in time
	ReasonUnreachable ReasonCode = "unreachable"   // no server could be reached
	ReasonMalformed   ReasonCode = "malformed"     // the answer cannot be read, or contradicts itself
	ReasonServFail    ReasonCode = "servfail"      // SERVFAIL, and nothing says that DNSSEC is the cause
	ReasonRefused     ReasonCode = "refused"       // REFUSED
	ReasonFormErr     ReasonCode = "formerr"       // FORMERR or BADVERS: the server does not know EDNS
	ReasonRcode       ReasonCode = "rcode"         // another rcode that is no answer
	ReasonReferral    ReasonCode = "referral"      // the server does not recurse
	ReasonAliasLoop   ReasonCode = "alias-loop"    // an alias leads back to a name before it
	ReasonAliasLimit  ReasonCode = "alias-limit"   // more steps than MaxAliases
	ReasonAliasMoved  ReasonCode = "alias-changed" // two answers of one lookup name different targets

	// Reasons that the AD-trusting stub gives.

	ReasonADClear       ReasonCode = "ad-clear"       // insecure: the resolver does not confirm it
	ReasonUpstreamBogus ReasonCode = "upstream-bogus" // the resolver says, or shows, that validation failed there
	ReasonUpstreamUnfit ReasonCode = "upstream-indeterminate"

	// Reasons for an answer that is insecure.

	ReasonNoAnchor             ReasonCode = "no-anchor"             // no trust anchor covers the name
	ReasonNegativeAnchor       ReasonCode = "negative-anchor"       // a negative trust anchor covers it
	ReasonUnsignedDelegation   ReasonCode = "unsigned-delegation"   // a zone on the way has provably no DS
	ReasonOptOut               ReasonCode = "opt-out"               // an NSEC3 opt-out span may hide an unsigned delegation
	ReasonUnsupportedAlgorithm ReasonCode = "unsupported-algorithm" // no DS of the zone has an algorithm and digest that we know
	ReasonUnsignedType         ReasonCode = "unsigned-type"         // a type that is never signed: RRSIG
	ReasonNSEC3Iterations      ReasonCode = "nsec3-iterations"      // denial with more iterations than are computed (RFC 9276)

	// Reasons for an answer that is bogus.

	ReasonSignatureMissing     ReasonCode = "signature-missing"
	ReasonSignatureInvalid     ReasonCode = "signature-invalid"
	ReasonSignatureExpired     ReasonCode = "signature-expired"
	ReasonSignatureNotYetValid ReasonCode = "signature-not-yet-valid"
	ReasonSignatureAlgorithm   ReasonCode = "signature-algorithm" // only algorithms that we do not know, in a zone that names one we do
	ReasonSignatureKey         ReasonCode = "signature-key"       // the zone has no such key
	ReasonSignatureSigner      ReasonCode = "signature-signer"    // by a zone that cannot hold the records
	ReasonSignatureLabels      ReasonCode = "signature-labels"    // the signature is for a longer name
	ReasonKeyUnusable          ReasonCode = "key-unusable"        // malformed, or no point on its curve
	ReasonKeySize              ReasonCode = "key-size"            // too short, or too long, to be accepted
	ReasonKeysMissing          ReasonCode = "keys-missing"        // a zone with DS has no DNSKEY
	ReasonNoKeyForDS           ReasonCode = "no-key-for-ds"       // no DNSKEY fits a DS
	ReasonKeyRevoked           ReasonCode = "key-revoked"         // the one that fits is revoked
	ReasonAnchorMismatch       ReasonCode = "anchor-mismatch"     // no DNSKEY fits a trust anchor
	ReasonDenialMissing        ReasonCode = "denial-missing"      // nothing proves that the records do not exist
	ReasonDenialInvalid        ReasonCode = "denial-invalid"      // what is there does not prove it
	ReasonWildcard             ReasonCode = "wildcard-unproved"   // nothing proves that no closer name exists
	ReasonAliasForged          ReasonCode = "alias-forged"        // a CNAME that its DNAME does not make

	// Reasons for an answer that is indeterminate.

	ReasonUpstreamStrips ReasonCode = "upstream-strips-dnssec"    // the resolver passes on no signatures, not even the root's
	ReasonUpstreamCD     ReasonCode = "upstream-servfail-with-cd" // the resolver answers SERVFAIL when it is asked not to validate
	ReasonNoUsableAnchor ReasonCode = "no-usable-anchor"          // every trust anchor is revoked
	ReasonBudget         ReasonCode = "budget-exceeded"           // the records make more work than those of any honest zone
	ReasonBudgetSpent    ReasonCode = "budget-spent"              // the plan, or its share for the host, has nothing left
)
