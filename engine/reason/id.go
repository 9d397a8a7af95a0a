// Package reason has the ids of the rules that decide and the evidence that they record.
//
//	switch d.Reason.ID {
//	case reason.DANENoMatch:
//		shown := d.Reason.Evidence.(*reason.Shown) // the certificate and what it was compared with
//	case reason.STSNoMatch:
//		hosts := d.Reason.Evidence.(*reason.PolicyHosts) // the mx patterns of the policy
//	}
//
// An [ID] is stable: logs, JSON and metrics use it. [Evidence] is for programs that say more
// than engine/explain does. [Ground], [NoDANE] and [NoSTS] say why a host of a plan need not
// prove itself.
package reason

import "github.com/mxauth/mxauth/tlsrpt"

// An ID is the stable word of a rule that decided. A word is never reused for another
// rule. Package engine/explain has the sentence of each, its RFC section, its
// status code and the advice.
type ID string

// Reasons that concern the next hop as a whole.
const (
	MXBogus        ID = "mx-bogus"
	MXLookupFailed ID = "mx-lookup-failed"
	NoSuchDomain   ID = "no-such-domain"
	NullMX         ID = "null-mx"
	NoUsableMX     ID = "no-usable-mx"
	MailLoop       ID = "mail-loop"
	STSRecordGone  ID = "sts-record-gone"
	STSRecordFail  ID = "sts-record-unknown"
	STSFetch       ID = "sts-fetch-failed"
	STSWebPKI      ID = "sts-fetch-certificate"
	STSInvalid     ID = "sts-policy-invalid"
	Budget         ID = "out-of-budget"
)

// Reasons for which a host is not used.
const (
	AddressBogus      ID = "address-bogus"
	AddressFailed     ID = "address-lookup-failed"
	NoAddress         ID = "no-address"
	AliasRefused      ID = "alias-refused"
	TLSABogus         ID = "tlsa-bogus"
	TLSALookupFailed  ID = "tlsa-lookup-failed"
	TLSATimeout       ID = "tlsa-timeout"
	TLSAUnproved      ID = "tlsa-denial-unproved"
	DANERequired      ID = "dane-required"
	STSNoMatch        ID = "sts-no-match"
	STSUndetermined   ID = "sts-undetermined"
	STSPending        ID = "sts-pending"
	STSNoTurn         ID = "sts-no-turn"
	STSStore          ID = "sts-store-failed"
	NoMethod          ID = "no-method"
	RequireTLSMX      ID = "requiretls-mx-unproved"
	RequireTLSLiteral ID = "requiretls-no-name"
)

// Reasons for what must hold for a host.
const (
	DANE           ID = "dane"
	HalfDANE       ID = "half-dane"
	TLSAUnusable   ID = "tlsa-unusable"
	STS            ID = "sts"
	Names          ID = "names-configured"
	RequireTLSPKIX ID = "requiretls"
	NoPolicy       ID = "no-policy"
	Literal        ID = "address-literal"
	Opportunistic  ID = "opportunistic"
	TLSRequiredNo  ID = "tls-required-no"
	TLSRPTReport   ID = "tlsrpt-report"
	Audit          ID = "audit"
	MemoryDANE     ID = "memory-dane"
	MemorySTS      ID = "memory-sts"
	MemoryTLS      ID = "memory-tls"
	MemoryUnknown  ID = "memory-unknown"
	Exception      ID = "exception"
)

// Reasons about a connection before a certificate was seen.
const (
	PlanExpired     ID = "plan-expired"
	NotInPlan       ID = "not-in-plan"
	WrongPort       ID = "wrong-port"
	NoConnection    ID = "no-connection"
	NotTried        ID = "not-tried"
	Unconfirmed     ID = "handshake-unconfirmed"
	NoSTARTTLS      ID = "no-starttls"
	STARTTLSRefused ID = "starttls-refused"
	Injected        ID = "starttls-injected"
	Handshake       ID = "handshake-failed"
	OwnTLS          ID = "own-tls"
	ClearOffered    ID = "cleartext-no-starttls"
	ClearRefused    ID = "cleartext-starttls-refused"
	ClearInjected   ID = "cleartext-injected"
	ClearHandshake  ID = "cleartext-handshake-failed"
	NoFallback      ID = "no-clear-fallback"
	NoREQUIRETLS    ID = "requiretls-not-offered"
)

// Reasons about a TLS session.
const (
	EncryptedName     ID = "encrypted-name-mismatch"
	EncryptedCA       ID = "encrypted-untrusted"
	EncryptedUnproved ID = "encrypted-unproved"
	EncryptedTLSA     ID = "encrypted-tlsa-unusable"
	HalfDANEMatch     ID = "half-dane-match"
	DANEEEMatch       ID = "dane-ee-match"
	DANETAMatch       ID = "dane-ta-match"
	DANENoMatch       ID = "dane-no-match"
	DANEName          ID = "dane-name-mismatch"
	DANEExpired       ID = "dane-expired"
	DANEUntrusted     ID = "dane-untrusted"
	STSMatch          ID = "mta-sts-match"
	STSName           ID = "mta-sts-name-mismatch"
	STSExpired        ID = "mta-sts-expired"
	STSUntrusted      ID = "mta-sts-untrusted"
	PKIXMatch         ID = "pkix-match"
	PKIXName          ID = "pkix-name-mismatch"
	PKIXExpired       ID = "pkix-expired"
	PKIXUntrusted     ID = "pkix-untrusted"
	TwoCertificates   ID = "two-certificates"
)

// Reasons for what happens to a message.
const (
	Delivered       ID = "delivered"
	Rejected        ID = "rejected"
	TLSDemanded     ID = "tls-demanded"
	Retry           ID = "retry"
	RequireTLSFails ID = "requiretls-failed"
	PolicyLastLook  ID = "policy-last-look"
	QueueExpired    ID = "queue-expired"
)

// Policy returns the type of the RFC 8460 policy entry (section 4.4) that the reason
// belongs to; "" if it is about none, or about the policy that the Policy field of engine.Reason names.
func (id ID) Policy() tlsrpt.PolicyType {
	switch id {
	case TLSABogus, TLSALookupFailed, TLSATimeout, TLSAUnproved,
		DANERequired, DANE, HalfDANE, TLSAUnusable, MemoryDANE,
		EncryptedTLSA, HalfDANEMatch, DANEEEMatch, DANETAMatch,
		DANENoMatch, DANEName, DANEExpired, DANEUntrusted:
		return tlsrpt.PolicyTLSA
	case STSRecordGone, STSRecordFail, STSFetch, STSWebPKI, STSInvalid,
		STSNoMatch, STS, MemorySTS, STSMatch, STSName, STSExpired,
		STSUntrusted:
		return tlsrpt.PolicySTS
	case MXBogus, AddressBogus, NoPolicy, Literal, Opportunistic,
		ClearOffered, ClearRefused, ClearInjected, ClearHandshake,
		NoFallback, EncryptedName, EncryptedCA, EncryptedUnproved,
		PKIXName, PKIXExpired, PKIXUntrusted:
		return tlsrpt.PolicyNoFound
	}
	return ""
}
