package explain_test

import (
	"testing"
	"time"

	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/rfc6125"
)

// TestClaim: each claim of a replay has a text with the names of the case.
func TestClaim(t *testing.T) {
	domain, err := rfc6125.ParseHost("example.org")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 30, 12, 0, 0, 0, time.FixedZone("", 3600))
	records := []reason.ClaimedRecord{{Owner: "example.org", Type: "MX"}, {Owner: "mx1.example.org", Type: "A"}}
	hosts := []string{"mx1", "mx2", "mx3", "mx4", "mx5", "mx6"}
	for _, c := range []struct {
		claim reason.Claim
		want  string
	}{
		{reason.Claim{ID: reason.ProvedDNSSEC, Records: records}, "DNSSEC signatures, from a trust anchor of this machine: example.org MX, mx1.example.org A"},
		{reason.Claim{ID: reason.ProvedPolicyHost, Domain: domain, At: at}, "the certificate chain of the policy host mta-sts.example.org, from a certification authority of this machine, at 2026-11-30T11:00:00Z"},
		{reason.Claim{ID: reason.ProvedDANE, Hosts: hosts[:5]}, "the recorded certificates match the TLSA records: mx1, mx2, mx3, mx4, mx5"},
		{reason.Claim{ID: reason.ProvedCA, Hosts: hosts}, "the recorded certificates name the hosts and lead to a certification authority of this machine: mx1, mx2, mx3, mx4, 2 more"},
		{reason.Claim{ID: reason.RestsTime, At: at}, "the time of the check, 2026-11-30T11:00:00Z, at which signatures, certificates and policies were judged"},
		{reason.Claim{ID: reason.RestsSettings, Level: "dane"}, "the request and the settings of the check (level dane)"},
		{reason.Claim{ID: reason.RestsExceptions, Count: 2}, "exceptions that the sender had: 2"},
		{reason.Claim{ID: reason.RestsMemory}, "what the sender remembered of the domain"},
		{reason.Claim{ID: reason.RestsTrustAD, Records: records[:1]}, "the DNSSEC status of every answer (recorded with trust-ad): example.org MX"},
		{reason.Claim{ID: reason.RestsUnsigned, Records: records[1:]}, "DNS answers that are not signed: mx1.example.org A"},
		{reason.Claim{ID: reason.RestsFailures, Count: 3}, "DNS lookups that failed: 3"},
		{reason.Claim{ID: reason.RestsNoSTS}, "MTA-STS was not looked up"},
		{reason.Claim{ID: reason.RestsNoPolicy, Domain: domain}, "example.org announced no MTA-STS policy, and none was cached"},
		{reason.Claim{ID: reason.RestsNoPolicy, Domain: domain, Absence: reason.PolicyNotFetched}, "the MTA-STS policy of example.org could not be fetched, and none was cached"},
		{reason.Claim{ID: reason.RestsNoPolicy, Domain: domain, Absence: reason.PolicyNotKept}, "no MTA-STS policy of example.org was cached"},
		{reason.Claim{ID: reason.RestsKept, Domain: domain, At: at}, "an MTA-STS policy of example.org was cached since 2026-11-30T11:00:00Z; the file has no certificate of its policy host"},
		{reason.Claim{ID: reason.RestsPolicyText, Domain: domain, Mode: "enforce"}, "the text of the MTA-STS policy of example.org (mode enforce)"},
		{reason.Claim{ID: reason.RestsKey, Hosts: hosts[:1]}, "the hosts had the private keys of the recorded certificates (anyone can copy a certificate): mx1"},
		{reason.Claim{ID: reason.RestsServers, Hosts: hosts[:2]}, "the replies of the mail servers: mx1, mx2"},
		{reason.Claim{ID: reason.RestsNotReached, Count: 1}, "addresses that did not answer or were not tried: 1"},
		{reason.Claim{ID: reason.RestsLeftOut, Count: 1, Chains: 2, Bytes: 3}, "the file had no room for 1 DNS answers and 2 certificate chains (3 bytes); what depends on them is deferred"},
		{reason.Claim{ID: "unknown"}, ""},
	} {
		t.Run(string(c.claim.ID), func(t *testing.T) {
			if got := explain.Claim(c.claim); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
