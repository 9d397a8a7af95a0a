package explain

import (
	"crypto/x509"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/rfc6125"
)

// Unsigned returns the clause that says why an answer counts as unsigned: "the zone
// example.org is not signed (no DS record in org)".
func Unsigned(r dnssec.Reason) string { return unsigned(r) }

// LookupFault returns the clause that says why a lookup failed. what is what was looked
// for, with its article: "the MX records of example.org".
func LookupFault(err error, what string) string { return clip(failedLookup(err, what)) }

// Unreachable returns what the network said when no resolver could be reached: "connection
// refused"; else the error's text.
func Unreachable(e *dnssec.LookupError) string {
	switch text := networkFault(e.Cause); {
	case text != "":
		return text
	case e.Cause != nil:
		return clip(e.Cause.Error())
	}
	return clip(e.Reason.String())
}

// FetchFault returns the clause that says why the fetch of a domain's policy failed: "the
// web server answers https://... with status 404 in place of the policy file". Chain is what
// the policy host showed, at the time at; it may be empty.
func FetchFault(domain rfc6125.Host, err error, chain []*x509.Certificate, at time.Time) string {
	p := &engine.Plan{Orig: domain, Made: at}
	p.STS.Chain = chain
	return policyFile(p, err).clause
}

// UnusableRecord returns the clause that says why a TLSA record cannot be used for mail; ""
// for one that can.
func UnusableRecord(u dane.RecordUse) string {
	if u.Usable {
		return ""
	}
	return whyUnusable(u)
}
