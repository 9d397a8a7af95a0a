package sts

import (
	"time"

	"github.com/mxauth/mxauth/rfc6125"
)

// An Observer receives what a [Client] does, for metrics and reports. Each field may be
// nil. The functions are called by the goroutine that does the work, several at once;
// they must return quickly and not call the Client.
type Observer struct {
	// Fetching: a fetch for a lookup begins; Fetched reports its end.
	Fetching func(domain rfc6125.Host)
	// Fetched: a fetch ended; err is nil or a *FetchError. Row is S3, S4, S6, S7, S10
	// or S11, or S13 for one that a limit or the end of this program kept from an outcome.
	Fetched func(domain rfc6125.Host, row Row, took time.Duration, err error)
	// Changed: a fetch brought another policy than the one cached, and it is in force
	// now. sameID: under the id of the cached one, which the domain's owner should have
	// changed.
	Changed func(domain rfc6125.Host, old, new Policy, sameID bool)
	// Ending: the refreshes of a policy that is not of mode none have failed, and it
	// is about to end.
	Ending func(domain rfc6125.Host, expires time.Time)
	// StoreFailed: the store could not be read or written.
	StoreFailed func(err error)
}
