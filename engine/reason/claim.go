package reason

import (
	"time"

	"github.com/mxauth/mxauth/rfc6125"
)

// A Claim is a fact that the verdict of a replay depends on: the replay proved it from
// the evidence file, or took it from the file without a proof.
type Claim struct {
	ID ClaimID

	// The fields below are set for the claims named with them.

	At      time.Time       // RestsTime, ProvedPolicyHost, RestsKept
	Domain  rfc6125.Host    // ProvedPolicyHost, RestsNoPolicy, RestsKept, RestsPolicyText
	Records []ClaimedRecord // ProvedDNSSEC, RestsTrustAD, RestsUnsigned
	Hosts   []string        // ProvedDANE, ProvedCA, RestsKey, RestsServers: as text.Host prints them
	Count   int             // lookups, addresses, exceptions or, for RestsLeftOut, DNS answers
	Chains  int             // RestsLeftOut: certificate chains
	Bytes   int64           // RestsLeftOut
	Absence PolicyAbsence   // RestsNoPolicy
	Mode    string          // RestsPolicyText: the policy's mode
	Level   string          // RestsSettings: the request's level
}

// A ClaimedRecord names an RRset.
type ClaimedRecord struct{ Owner, Type string }

// A ClaimID is the stable word of a claim. A word never gets another meaning.
type ClaimID string

// What a replay proves.
const (
	ProvedDNSSEC     ClaimID = "dnssec"      // signatures up to a trust anchor of the replay
	ProvedPolicyHost ClaimID = "policy-host" // the certificate chain of the policy host
	ProvedDANE       ClaimID = "dane"        // a mail host's certificate against TLSA records
	ProvedCA         ClaimID = "ca"          // a mail host's certificate up to a CA of the replay
)

// What a replay takes from the file.
const (
	RestsTime       ClaimID = "time"           // the time of the check
	RestsSettings   ClaimID = "settings"       // the request and the settings of the check
	RestsExceptions ClaimID = "exceptions"     // the operator's exceptions
	RestsMemory     ClaimID = "memory"         // what the domain proved in the past
	RestsTrustAD    ClaimID = "trust-ad"       // the DNSSEC status of every answer
	RestsUnsigned   ClaimID = "unsigned-dns"   // answers without a signature
	RestsFailures   ClaimID = "dns-failures"   // lookups without an answer
	RestsNoSTS      ClaimID = "sts-not-asked"  // MTA-STS was not looked up
	RestsPolicyText ClaimID = "policy-text"    // the text of the MTA-STS policy
	RestsKept       ClaimID = "policy-kept"    // the policy was fetched before the check
	RestsNoPolicy   ClaimID = "no-policy"      // no policy could be fetched, or none is cached
	RestsKey        ClaimID = "key-possession" // a mail host has the key of its certificate
	RestsServers    ClaimID = "server-replies" // the replies of the mail servers
	RestsNotReached ClaimID = "not-connected"  // an address did not answer, or was not tried
	RestsLeftOut    ClaimID = "left-out"       // what the recorder had no room for
)

// A PolicyAbsence says why no MTA-STS policy applied. The zero
// PolicyAbsence is PolicyNotPublished.
type PolicyAbsence uint8

// Values of PolicyAbsence.
const (
	PolicyNotPublished PolicyAbsence = iota // no policy is announced, and none is cached
	PolicyNotFetched                        // one is announced and the fetch failed
	PolicyNotKept                           // a secure answer, and none is cached
)
