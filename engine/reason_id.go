package engine

import "github.com/mxauth/mxauth/tlsrpt"

// A ReasonID is the stable word of a rule that decided. Words are never reused for
// something else. Package engine/explain has the sentence of each, its RFC section, its
// status code and the advice.
type ReasonID string

// Reasons that concern the next hop as a whole.
const (
	ReasonMXBogus        ReasonID = "mx-bogus"
	ReasonMXLookupFailed ReasonID = "mx-lookup-failed"
	ReasonNoSuchDomain   ReasonID = "no-such-domain"
	ReasonNullMX         ReasonID = "null-mx"
	ReasonNoUsableMX     ReasonID = "no-usable-mx"
	ReasonMailLoop       ReasonID = "mail-loop"
	ReasonSTSRecordGone  ReasonID = "sts-record-gone"
	ReasonSTSRecordFail  ReasonID = "sts-record-unknown"
	ReasonSTSFetch       ReasonID = "sts-fetch-failed"
	ReasonSTSWebPKI      ReasonID = "sts-fetch-certificate"
	ReasonSTSInvalid     ReasonID = "sts-policy-invalid"
	ReasonBudget         ReasonID = "out-of-budget"
)

// Reasons for which a host is not used.
const (
	ReasonAddressBogus      ReasonID = "address-bogus"
	ReasonAddressFailed     ReasonID = "address-lookup-failed"
	ReasonNoAddress         ReasonID = "no-address"
	ReasonAliasRefused      ReasonID = "alias-refused"
	ReasonTLSABogus         ReasonID = "tlsa-bogus"
	ReasonTLSALookupFailed  ReasonID = "tlsa-lookup-failed"
	ReasonTLSATimeout       ReasonID = "tlsa-timeout"
	ReasonTLSAUnproved      ReasonID = "tlsa-denial-unproved"
	ReasonDANERequired      ReasonID = "dane-required"
	ReasonSTSNoMatch        ReasonID = "sts-no-match"
	ReasonSTSUndetermined   ReasonID = "sts-undetermined"
	ReasonSTSPending        ReasonID = "sts-pending"
	ReasonSTSNoTurn         ReasonID = "sts-no-turn"
	ReasonSTSStore          ReasonID = "sts-store-failed"
	ReasonNoMethod          ReasonID = "no-method"
	ReasonRequireTLSMX      ReasonID = "requiretls-mx-unproved"
	ReasonRequireTLSLiteral ReasonID = "requiretls-no-name"
)

// Reasons for what must hold for a host.
const (
	ReasonDANE           ReasonID = "dane"
	ReasonHalfDANE       ReasonID = "half-dane"
	ReasonTLSAUnusable   ReasonID = "tlsa-unusable"
	ReasonSTS            ReasonID = "sts"
	ReasonNames          ReasonID = "names-configured"
	ReasonRequireTLSPKIX ReasonID = "requiretls"
	ReasonNoPolicy       ReasonID = "no-policy"
	ReasonLiteral        ReasonID = "address-literal"
	ReasonOpportunistic  ReasonID = "opportunistic"
	ReasonTLSRequiredNo  ReasonID = "tls-required-no"
	ReasonTLSRPTReport   ReasonID = "tlsrpt-report"
	ReasonAudit          ReasonID = "audit"
	ReasonMemoryDANE     ReasonID = "memory-dane"
	ReasonMemorySTS      ReasonID = "memory-sts"
	ReasonMemoryTLS      ReasonID = "memory-tls"
	ReasonMemoryUnknown  ReasonID = "memory-unknown"
	ReasonException      ReasonID = "exception"
)

// Reasons for what came of a connection before a certificate was seen.
const (
	ReasonPlanExpired     ReasonID = "plan-expired"
	ReasonNotInPlan       ReasonID = "not-in-plan"
	ReasonWrongPort       ReasonID = "wrong-port"
	ReasonNoConnection    ReasonID = "no-connection"
	ReasonNotTried        ReasonID = "not-tried"
	ReasonUnconfirmed     ReasonID = "handshake-unconfirmed"
	ReasonNoSTARTTLS      ReasonID = "no-starttls"
	ReasonSTARTTLSRefused ReasonID = "starttls-refused"
	ReasonInjected        ReasonID = "starttls-injected"
	ReasonHandshake       ReasonID = "handshake-failed"
	ReasonOwnTLS          ReasonID = "own-tls"
	ReasonClearOffered    ReasonID = "cleartext-no-starttls"
	ReasonClearRefused    ReasonID = "cleartext-starttls-refused"
	ReasonClearInjected   ReasonID = "cleartext-injected"
	ReasonClearHandshake  ReasonID = "cleartext-handshake-failed"
	ReasonNoFallback      ReasonID = "no-clear-fallback"
	ReasonNoREQUIRETLS    ReasonID = "requiretls-not-offered"
)

// Reasons for what was made of a TLS session.
const (
	ReasonEncryptedName     ReasonID = "encrypted-name-mismatch"
	ReasonEncryptedCA       ReasonID = "encrypted-untrusted"
	ReasonEncryptedUnproved ReasonID = "encrypted-unproved"
	ReasonEncryptedTLSA     ReasonID = "encrypted-tlsa-unusable"
	ReasonHalfDANEMatch     ReasonID = "half-dane-match"
	ReasonDANEEEMatch       ReasonID = "dane-ee-match"
	ReasonDANETAMatch       ReasonID = "dane-ta-match"
	ReasonDANENoMatch       ReasonID = "dane-no-match"
	ReasonDANEName          ReasonID = "dane-name-mismatch"
	ReasonDANEExpired       ReasonID = "dane-expired"
	ReasonDANEUntrusted     ReasonID = "dane-untrusted"
	ReasonSTSMatch          ReasonID = "mta-sts-match"
	ReasonSTSName           ReasonID = "mta-sts-name-mismatch"
	ReasonSTSExpired        ReasonID = "mta-sts-expired"
	ReasonSTSUntrusted      ReasonID = "mta-sts-untrusted"
	ReasonPKIXMatch         ReasonID = "pkix-match"
	ReasonPKIXName          ReasonID = "pkix-name-mismatch"
	ReasonPKIXExpired       ReasonID = "pkix-expired"
	ReasonPKIXUntrusted     ReasonID = "pkix-untrusted"
)

// Reasons for what becomes of a message.
const (
	ReasonDelivered       ReasonID = "delivered"
	ReasonRejected        ReasonID = "rejected"
	ReasonTLSDemanded     ReasonID = "tls-demanded"
	ReasonRetry           ReasonID = "retry"
	ReasonRequireTLSFails ReasonID = "requiretls-failed"
	ReasonPolicyLastLook  ReasonID = "policy-last-look"
	ReasonQueueExpired    ReasonID = "queue-expired"
)

// Policy returns the type of the RFC 8460 policy entry (section 4.4) that the reason
// belongs to; "" if it is about none, or about the policy that [Reason].Policy names.
func (id ReasonID) Policy() tlsrpt.PolicyType {
	switch id {
	case ReasonTLSABogus, ReasonTLSALookupFailed, ReasonTLSATimeout, ReasonTLSAUnproved,
		ReasonDANERequired, ReasonDANE, ReasonHalfDANE, ReasonTLSAUnusable, ReasonMemoryDANE,
		ReasonEncryptedTLSA, ReasonHalfDANEMatch, ReasonDANEEEMatch, ReasonDANETAMatch,
		ReasonDANENoMatch, ReasonDANEName, ReasonDANEExpired, ReasonDANEUntrusted:
		return tlsrpt.PolicyTLSA
	case ReasonSTSRecordGone, ReasonSTSRecordFail, ReasonSTSFetch, ReasonSTSWebPKI, ReasonSTSInvalid,
		ReasonSTSNoMatch, ReasonSTS, ReasonMemorySTS, ReasonSTSMatch, ReasonSTSName, ReasonSTSExpired,
		ReasonSTSUntrusted:
		return tlsrpt.PolicySTS
	case ReasonMXBogus, ReasonAddressBogus, ReasonNoPolicy, ReasonLiteral, ReasonOpportunistic,
		ReasonClearOffered, ReasonClearRefused, ReasonClearInjected, ReasonClearHandshake,
		ReasonNoFallback, ReasonEncryptedName, ReasonEncryptedCA, ReasonEncryptedUnproved,
		ReasonPKIXName, ReasonPKIXExpired, ReasonPKIXUntrusted:
		return tlsrpt.PolicyNoFound
	}
	return ""
}
