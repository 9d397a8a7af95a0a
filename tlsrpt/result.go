package tlsrpt

import "fmt"

// A ResultType names what failed (RFC 8460 section 4.3). The zero ResultType is no
// failure.
type ResultType string

// The result types, by the section of RFC 8460 that defines them.
const (
	StartTLSNotSupported    ResultType = "starttls-not-supported"    // 4.3.1
	CertificateHostMismatch ResultType = "certificate-host-mismatch" // 4.3.1
	CertificateExpired      ResultType = "certificate-expired"       // 4.3.1
	CertificateNotTrusted   ResultType = "certificate-not-trusted"   // 4.3.1, wants a failure-reason-code
	ValidationFailure       ResultType = "validation-failure"        // 4.3.1, 4.3.3, wants a failure-reason-code
	TLSAInvalid             ResultType = "tlsa-invalid"              // 4.3.2.1
	DNSSECInvalid           ResultType = "dnssec-invalid"            // 4.3.2.1
	DANERequired            ResultType = "dane-required"             // 4.3.2.1
	STSPolicyFetchError     ResultType = "sts-policy-fetch-error"    // 4.3.2.2
	STSPolicyInvalid        ResultType = "sts-policy-invalid"        // 4.3.2.2
	STSWebPKIInvalid        ResultType = "sts-webpki-invalid"        // 4.3.2.2
)

// ResultTypes lists all eleven, in the order of the RFC.
func ResultTypes() []ResultType {
	return []ResultType{
		StartTLSNotSupported, CertificateHostMismatch, CertificateExpired, CertificateNotTrusted, ValidationFailure,
		TLSAInvalid, DNSSECInvalid, DANERequired, STSPolicyFetchError, STSPolicyInvalid, STSWebPKIInvalid,
	}
}

// code is the number that the collector's datagram has for the type.
func (t ResultType) code() int {
	switch t {
	case StartTLSNotSupported:
		return 201
	case CertificateHostMismatch:
		return 202
	case CertificateNotTrusted:
		return 203
	case CertificateExpired:
		return 204
	case ValidationFailure:
		return 205
	case STSPolicyFetchError:
		return 301
	case STSPolicyInvalid:
		return 302
	case STSWebPKIInvalid:
		return 303
	case TLSAInvalid:
		return 304
	case DNSSECInvalid:
		return 305
	case DANERequired:
		return 306
	}
	return 0
}

// IsValid reports whether t is one of the eleven.
func (t ResultType) IsValid() bool { return t.code() != 0 }

// A PolicyType says which kind of policy was applied (RFC 8460 section 4.4).
type PolicyType string

// Policy types.
const (
	PolicyTLSA    PolicyType = "tlsa"
	PolicySTS     PolicyType = "sts"
	PolicyNoFound PolicyType = "no-policy-found"
)

func (t PolicyType) code() int {
	switch t {
	case PolicyTLSA:
		return 1
	case PolicySTS:
		return 2
	case PolicyNoFound:
		return 9
	}
	return 0
}

// IsValid reports whether t is one of the three.
func (t PolicyType) IsValid() bool { return t.code() != 0 }

// A Policy describes the policy that was applied.
type Policy struct {
	Type PolicyType
	// Strings is the policy itself: for tlsa each RDATA as four fields with single
	// blanks and unbroken hex, for sts each line of the policy as declared (RFC 8460
	// section 4.5).
	Strings []string
	// Domain is the policy domain in A-labels: the next-hop's for sts and
	// no-policy-found, the TLSA base domain for tlsa (RFC 8460 section 1.1).
	Domain string
	// MXHosts are the mx patterns of an sts policy, in A-labels.
	MXHosts []string
}

// A Failure is one thing that failed in a session, by policy.
type Failure struct {
	Type        ResultType
	SendingIP   string // of this MTA; plain text of an address, "" if not known
	MXHost      string // the receiving MX host
	MXHelo      string // what it said in its greeting or EHLO answer
	ReceivingIP string
	Info        string // additional-information: a URI
	ReasonCode  string // failure-reason-code: a short word, wanted for two of the types
}

// An Entry is the result of one session under one policy.
type Entry struct {
	Policy Policy
	// Compliant says that the session kept the policy. A session counts once, whatever
	// the number of failures (RFC 8460 section 4.2).
	Compliant bool
	Failures  []Failure
}

// A Session is the report of one delivery attempt: an entry for each policy
// that was applied (RFC 8460 section 4: both, where both were evaluated).
type Session struct {
	// Domain is the recipient's (next-hop) domain, in A-labels.
	Domain string
	// Record is the text of the TLSRPT record that asks for the report.
	Record  string
	Entries []Entry
}

// check refuses a session that could not be reported.
func (s Session) check() error {
	if s.Domain == "" || len(s.Entries) == 0 {
		return fmt.Errorf("%w: a session without domain or policy", ErrSession)
	}
	for _, e := range s.Entries {
		// RFC 8460 section 4.4: A-labels only.
		for _, name := range append([]string{s.Domain, e.Policy.Domain}, e.Policy.MXHosts...) {
			if !isASCII(name) { // TLSRPT-4.4-02: RFC 8460 section 4.4
				return fmt.Errorf("%w: %.80q is not in A-labels", ErrSession, name)
			}
		}
		if !e.Policy.Type.IsValid() {
			return fmt.Errorf("%w: policy type %.40q", ErrSession, e.Policy.Type)
		}
		for _, f := range e.Failures {
			if !f.Type.IsValid() {
				return fmt.Errorf("%w: result type %.40q", ErrSession, f.Type)
			}
		}
	}
	return nil
}

func isASCII(s string) bool {
	for _, c := range []byte(s) {
		if c > '~' {
			return false
		}
	}
	return true
}
