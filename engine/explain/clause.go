package explain

import (
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
)

// Unsigned returns the clause that says why an answer counts as unsigned: "the zone
// example.org is not signed (no DS record in org)".
func Unsigned(r dnssec.Reason) string { return unsigned(r) }

// LookupFault returns the clause that says why a lookup failed. what is what was looked
// for, with its article: "the MX records of example.org".
func LookupFault(err error, what string) string { return clip(failedLookup(err, what)) }

// UnusableRecord returns the clause that says why a TLSA record cannot be used for mail; ""
// for one that can.
func UnusableRecord(u dane.RecordUse) string {
	if u.Usable {
		return ""
	}
	return whyUnusable(u)
}
