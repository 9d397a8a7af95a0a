package reports_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/advise/reports"
	"github.com/mxauth/mxauth/tlsrpt"
)

// day is the report of one sender for a day of May 2026.
func day(sender string, d int, policy tlsrpt.PolicyType, good, bad uint64, failures ...tlsrpt.FailureCount) tlsrpt.Report {
	start := time.Date(2026, 5, d, 0, 0, 0, 0, time.UTC)
	return tlsrpt.Report{Organization: sender, ID: fmt.Sprint(sender, d, policy), Start: start, End: start.Add(24*time.Hour - time.Second),
		Policies: []tlsrpt.PolicyReport{{Policy: tlsrpt.Policy{Type: policy, Domain: "Example.org."}, Success: good, Failure: bad, Failures: failures}}}
}

func failed(result tlsrpt.ResultType, host, code string, sessions uint64) tlsrpt.FailureCount {
	return tlsrpt.FailureCount{Failure: tlsrpt.Failure{Type: result, MXHost: host, ReasonCode: code}, Sessions: sessions}
}

func TestSummary(t *testing.T) {
	var c reports.Collector
	c.Add(day("B", 1, tlsrpt.PolicySTS, 10, 0))
	c.Add(day("A", 3, tlsrpt.PolicySTS, 5, 2, failed(tlsrpt.CertificateExpired, "mx1.example.org", "", 2)))
	c.Add(day("B", 2, tlsrpt.PolicySTS, 5, 4, failed(tlsrpt.CertificateExpired, "MX1.example.org.", "X509_V_ERR_CERT_HAS_EXPIRED", 4)))
	c.Add(day("B", 2, tlsrpt.PolicySTS, 5, 4, failed(tlsrpt.CertificateExpired, "mx1.example.org", "", 4))) // the same once more
	c.Add(day("A", 2, tlsrpt.PolicyTLSA, 0, 1, failed(tlsrpt.ValidationFailure, "mx2.example.org", "dane-no-match", 1)))
	c.Add(day("A", 4, tlsrpt.PolicyTLSA, 7, 0))
	s := c.Summary()
	if s.Reports != 5 || s.Duplicates != 1 || strings.Join(s.Senders, " ") != "A B" || s.Begin.Day() != 1 || s.End.Day() != 4 {
		t.Errorf("%+v", s)
	}
	if len(s.Domains) != 2 || s.Domains[0] != (reports.Domain{Domain: "example.org", Policy: tlsrpt.PolicySTS, Success: 20, Failure: 6}) {
		t.Errorf("domains: %+v", s.Domains)
	}
	if len(s.Faults) != 2 {
		t.Fatalf("faults: %+v", s.Faults)
	}
	expired, tlsa := s.Faults[0], s.Faults[1]
	if expired.Host != "mx1.example.org" || expired.Sessions != 6 || expired.First.Day() != 2 || expired.Last.Day() != 3 || expired.Over ||
		strings.Join(expired.Senders, " ") != "A B" || len(expired.Codes) != 1 || !strings.Contains(expired.Cause, "mx1.example.org had expired") {
		t.Errorf("%+v", expired)
	}
	// A has reported a later day without it, and its code is a reason of mxauth.
	if !tlsa.Over || tlsa.Reason != "dane-no-match" || !strings.Contains(tlsa.Cause, "TLSA") {
		t.Errorf("%+v", tlsa)
	}
}

// TestEveryType: each result type under each policy has a cause and a cure without blanks to
// fill in, whatever names the report has.
func TestEveryType(t *testing.T) {
	for _, result := range append(tlsrpt.ResultTypes(), "x-own-type") {
		for _, policy := range []tlsrpt.PolicyType{tlsrpt.PolicySTS, tlsrpt.PolicyTLSA, tlsrpt.PolicyNoFound} {
			for _, host := range []string{"mx.example.org", "", "$(reboot)"} {
				var c reports.Collector
				c.Add(day("A", 1, policy, 0, 1, failed(result, host, "", 1)))
				f := c.Summary().Faults[0]
				if f.Cause == "" || f.Cure == "" || strings.ContainsAny(f.Cause+f.Cure, "{}$") {
					t.Errorf("%s %s %q: %q %q", result, policy, host, f.Cause, f.Cure)
				}
			}
		}
	}
}

// TestListed: where a report has the policy, it is known whether that lists the host.
func TestListed(t *testing.T) {
	for host, want := range map[string]string{
		"mx.example.org":     "The TLS handshake with mx.example.org failed",
		"a.in.example.org":   "The TLS handshake with",
		"b.a.in.example.org": "does not list b.a.in.example.org",
		"mx.example.net":     "does not list mx.example.net",
		"":                   "could not be authenticated",
	} {
		r := day("A", 1, tlsrpt.PolicySTS, 0, 1, failed(tlsrpt.ValidationFailure, host, "", 1))
		r.Policies[0].Policy.MXHosts = []string{"mx.example.org", "*.in.example.org"}
		var c reports.Collector
		c.Add(r)
		if f := c.Summary().Faults[0]; !strings.Contains(f.Cause, want) {
			t.Errorf("%s: %s", host, f.Cause)
		}
	}
}

// TestHostile: counts do not wrap around, texts and the number of faults are bounded.
func TestHostile(t *testing.T) {
	var c reports.Collector
	r := day(strings.Repeat("A\xff", 10_000), 1, tlsrpt.PolicySTS, math.MaxUint64, math.MaxUint64)
	r.Policies[0].Policy.Domain = strings.Repeat("x.", 10_000)
	for i := range 20_000 {
		r.Policies[0].Failures = append(r.Policies[0].Failures, failed("validation-failure", fmt.Sprintf("mx%d.example.org", i), strings.Repeat("c", 1000), math.MaxUint64))
	}
	c.Add(r)
	r.ID = ""
	c.Add(r)
	c.Add(r) // a report without an id is none that is there already
	s := c.Summary()
	if s.Reports != 3 || len(s.Faults) != 10_000 || s.Left != math.MaxUint64 || s.Domains[0].Success != math.MaxUint64 {
		t.Errorf("%d reports, %d faults, %d left, %+v", s.Reports, len(s.Faults), s.Left, s.Domains)
	}
	for _, f := range s.Faults {
		if len(f.Domain) > 253 || len(f.Host) > 253 || len(f.Senders[0]) > 253 || len(f.Codes[0]) > 253 || f.Sessions != math.MaxUint64 {
			t.Fatalf("%+v", f)
		}
	}
}
