package engine

import (
	"fmt"

	"github.com/mxauth/mxauth/tlsrpt"
)

// A ReasonID is the stable word of a reason. Words are never reused for something
// else.
type ReasonID string

// A Reason is why something is as it is. Every reason that can come out has an entry
// in the package's table ([Reasons]) with its sentence, RFC section and what each
// administrator can do.
type Reason struct {
	ID         ReasonID `json:"id,omitempty"`
	Text       string   `json:"text,omitempty"`        // one sentence for people with the names of this case, safe for a terminal
	RFC        string   `json:"rfc,omitempty"`         // "7672 s.2.2"
	ResultType string   `json:"result_type,omitempty"` // RFC 8460 section 4.3 result type; "" where none exists
	// Policy is the type of the RFC 8460 policy entry that the reason belongs to:
	// "tlsa", "sts" or "no-policy-found"; "" if it is about none.
	Policy string `json:"policy,omitempty"`
}

// The words of RFC 8460, section 4.4 (policy types) and section 4.3 (result types). A
// failure for which no type exists is a validation-failure.
const (
	policyTLSA = string(tlsrpt.PolicyTLSA)
	policySTS  = string(tlsrpt.PolicySTS)
	policyNone = string(tlsrpt.PolicyNoFound)

	resultSTARTTLS     = string(tlsrpt.StartTLSNotSupported)
	resultHostMismatch = string(tlsrpt.CertificateHostMismatch)
	resultExpired      = string(tlsrpt.CertificateExpired)
	resultNotTrusted   = string(tlsrpt.CertificateNotTrusted)
	resultValidation   = string(tlsrpt.ValidationFailure)
	resultTLSAInvalid  = string(tlsrpt.TLSAInvalid)
	resultDNSSEC       = string(tlsrpt.DNSSECInvalid)
	resultDANERequired = string(tlsrpt.DANERequired)
	resultSTSFetch     = string(tlsrpt.STSPolicyFetchError)
	resultSTSInvalid   = string(tlsrpt.STSPolicyInvalid)
	resultSTSWebPKI    = string(tlsrpt.STSWebPKIInvalid)
)

// IsZero reports whether r says nothing.
func (r Reason) IsZero() bool { return r.ID == "" }

// A ReasonInfo is what is true of a reason in every case.
type ReasonInfo struct {
	ID         ReasonID
	Says       string // what it means, without the names of a case
	RFC        string
	ResultType string
	Policy     string
	Code       string // enhanced status code (RFC 3463) for a bounce or a log line; "" where the message may go
	Sender     string // what the sender's administrator can do
	Recipient  string // what the recipient's administrator can do
}

// Reasons lists every reason that can come out, in the order of the documentation:
// next hop, host, requirement, connection, message. The slice is the caller's.
func Reasons() []ReasonInfo {
	var all []ReasonInfo
	for _, part := range reasonTable {
		all = append(all, part...)
	}
	return all
}

// Info returns the entry of id; ok is false if there is none.
func (id ReasonID) Info() (info ReasonInfo, ok bool) {
	info, ok = reasonByID[id]
	return info, ok
}

// reasonTable is the table in its parts.
var reasonTable = [...][]ReasonInfo{nextHopReasons, hostReasons, requirementReasons, connectionReasons, certificateReasons, messageReasons}

var reasonByID = indexReasons()

func indexReasons() map[ReasonID]ReasonInfo {
	m := make(map[ReasonID]ReasonInfo)
	for _, part := range reasonTable {
		for _, info := range part {
			m[info.ID] = info
		}
	}
	return m
}

// because makes the reason of a case: the table's entry with the case's sentence.
func because(id ReasonID, format string, args ...any) Reason {
	return saying(id, fmt.Sprintf(format, args...))
}

// saying makes a reason whose sentence is there already.
func saying(id ReasonID, text string) Reason {
	info := reasonByID[id]
	return Reason{ID: id, Text: text, RFC: info.RFC, ResultType: info.ResultType, Policy: info.Policy}
}

// about moves a reason to another policy entry of the report.
func (r Reason) about(policy string) Reason {
	r.Policy = policy
	return r
}

// A Step is one line of the ordered why: what was looked up, its security status,
// which record or name decided.
type Step struct {
	Step       string `json:"step"`                  // stable word, see the constants
	Host       string `json:"host,omitempty"`        // the MX host it is about
	Name       string `json:"name,omitempty"`        // what was asked or compared
	Type       string `json:"type,omitempty"`        // DNS type
	Status     string `json:"status,omitempty"`      // security status
	Result     string `json:"result,omitempty"`      // what came out, one line, safe for a terminal
	Row        string `json:"row,omitempty"`         // row of the decision table
	RFC        string `json:"rfc,omitempty"`         // "7672 s.2.2.2"
	ResultType string `json:"result_type,omitempty"` // RFC 8460
}

// The words of steps.
const (
	StepNextHop     = "next-hop"    // what kind of next hop it is
	StepMX          = "mx"          // the MX lookup, or a record of it that is not used
	StepSTSRecord   = "sts-txt"     // the TXT record of MTA-STS
	StepSTSPolicy   = "sts-policy"  // its policy: fetched, cached, or why not
	StepMemory      = "memory"      // what the domain once proved and does not now
	StepAddress     = "address"     // A and AAAA of a host
	StepTLSA        = "tlsa"        // a TLSA lookup
	StepTLSARecord  = "tlsa-record" // a record of a TLSA RRset that does not count, or what it matched
	StepRequirement = "requirement" // what must hold for a host
	StepConnection  = "connection"  // what came of the TCP connection and of STARTTLS
	StepCertificate = "certificate" // what the peer presented, and what was made of it
	StepVerdict     = "verdict"     // the decision
)
