package explain

import (
	"fmt"
	"strings"
	"time"

	"github.com/mxauth/mxauth/engine/reason"
)

// maxClaimed bounds the names in the text of one claim; the trace has them all.
const maxClaimed = 4

// Claim puts a claim of a replay into words, without a full stop. It returns "" for an
// unknown ID.
func Claim(c reason.Claim) string {
	at := c.At.UTC().Format(time.RFC3339)
	switch c.ID {
	case reason.ProvedDNSSEC:
		return "DNSSEC signatures, from a trust anchor of this machine: " + claimedRecords(c.Records)
	case reason.ProvedPolicyHost:
		return fmt.Sprintf("the certificate chain of the policy host mta-sts.%s, from a certification authority of this machine, at %s", c.Domain, at)
	case reason.ProvedDANE:
		return "the recorded certificates match the TLSA records: " + claimed(c.Hosts)
	case reason.ProvedCA:
		return "the recorded certificates name the hosts and lead to a certification authority of this machine: " + claimed(c.Hosts)
	case reason.RestsTime:
		return fmt.Sprintf("the time of the check, %s, at which signatures, certificates and policies were judged", at)
	case reason.RestsSettings:
		return fmt.Sprintf("the request and the settings of the check (level %s)", c.Level)
	case reason.RestsExceptions:
		return "exceptions that the sender had: " + fmt.Sprint(c.Count)
	case reason.RestsMemory:
		return "what the sender remembered of the domain"
	case reason.RestsTrustAD:
		return "the DNSSEC status of every answer (recorded with trust-ad): " + claimedRecords(c.Records)
	case reason.RestsUnsigned:
		return "DNS answers that are not signed: " + claimedRecords(c.Records)
	case reason.RestsFailures:
		return "DNS lookups that failed: " + fmt.Sprint(c.Count)
	case reason.RestsNoSTS:
		return "MTA-STS was not looked up"
	case reason.RestsNoPolicy:
		switch c.Absence {
		case reason.PolicyNotFetched:
			return fmt.Sprintf("the MTA-STS policy of %s could not be fetched, and none was cached", c.Domain)
		case reason.PolicyNotKept:
			return fmt.Sprintf("no MTA-STS policy of %s was cached", c.Domain)
		}
		return fmt.Sprintf("%s announced no MTA-STS policy, and none was cached", c.Domain)
	case reason.RestsKept:
		return fmt.Sprintf("an MTA-STS policy of %s was cached since %s; the file has no certificate of its policy host", c.Domain, at)
	case reason.RestsPolicyText:
		return fmt.Sprintf("the text of the MTA-STS policy of %s (mode %s)", c.Domain, c.Mode)
	case reason.RestsKey:
		return "the hosts had the private keys of the recorded certificates (anyone can copy a certificate): " + claimed(c.Hosts)
	case reason.RestsServers:
		return "the replies of the mail servers: " + claimed(c.Hosts)
	case reason.RestsNotReached:
		return "addresses that did not answer or were not tried: " + fmt.Sprint(c.Count)
	case reason.RestsLeftOut:
		return fmt.Sprintf("the file had no room for %d DNS answers and %d certificate chains (%d bytes); what depends on them is deferred", c.Count, c.Chains, c.Bytes)
	}
	return ""
}

// claimed joins the first names, and counts the rest.
func claimed(all []string) string {
	if n := len(all) - maxClaimed; n > 1 {
		return fmt.Sprintf("%s, %d more", strings.Join(all[:maxClaimed], ", "), n)
	}
	return strings.Join(all, ", ")
}

// claimedRecords prints RRsets as "mx1.example.org A, mx1.example.org AAAA".
func claimedRecords(records []reason.ClaimedRecord) string {
	all := make([]string, len(records))
	for i, r := range records {
		all[i] = r.Owner + " " + r.Type
	}
	return claimed(all)
}
