package sts

import (
	"crypto/x509"
	"strconv"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/rfc6125"
)

// A Row is a row S1 to S13 of the decision table's section 3; zero is none.
type Row uint8

// Rows of the state machine. "Cached" is an unexpired cached policy.
const (
	S1  Row = iota + 1 // nothing cached, and known to have no record: no policy
	S2                 // nothing cached (or the store cannot say), and no record could be had: not known
	S3                 // nothing cached, new record, fetched: the new policy
	S4                 // nothing cached, new record, fetch failed: no policy
	S5                 // cached, same id: the cached policy, its lifetime not extended
	S6                 // cached, new id, fetched: the new policy, also if its mode is none
	S7                 // cached, new id, fetch failed: the cached policy
	S8                 // cached, known to have no record: the cached policy
	S9                 // cached, the lookup of the record failed: the cached policy
	S10                // background refresh succeeded
	S11                // background refresh failed
	S12                // nothing cached, and the caller has left before the answer: pending
	S13                // nothing cached, and the fetch has no turn or is under way: not known
)

// String prints "S1" to "S13"; "" for the zero Row.
func (r Row) String() string {
	if r == 0 {
		return ""
	}
	return "S" + strconv.Itoa(int(r))
}

// A Result is what MTA-STS says of one domain now (decision table section 3). The
// zero Result says nothing is known: no policy, and no row.
type Result struct {
	Domain rfc6125.Host
	Row    Row
	// Policy is the applied policy, fresh or cached; nil if none applies. A policy of
	// mode none is given too. It is shared and must not be changed.
	Policy  *Policy
	Cached  bool      // it came from the cache
	ID      string    // the id under which it was fetched
	Fetched time.Time // the last successful HTTPS fetch
	Expires time.Time // Fetched plus max_age
	// Pending: there is no outcome yet. The caller's context ended (row S12 if nothing is
	// cached), or the fetch has no turn or is still under way (S13). The lookup goes on
	// and will be remembered. Nothing is to be reported until it ends.
	Pending bool
	// TXTErr is what the record lookup came to: nil, or wraps ErrNoRecord (known
	// absent), or is a dnssec lookup failure (not known).
	TXTErr error
	Record Record
	Answer dnssec.Answer // of the TXT question, for the trace
	// FetchErr is why the fetch failed, if one was tried (wraps ErrFetch), or the
	// earlier failure; a *FetchError. With Pending it wraps ErrNoTurn or ErrPending.
	FetchErr error
	// StoreErr is why the store could not say what is cached, or could not keep what
	// was fetched (wraps store.ErrUnavailable). If it could not say, and no policy was
	// fetched, the row is S2: an enforce policy may be there and unreachable, which is
	// not a failure of the domain's.
	StoreErr error
	Chain    []*x509.Certificate // what the policy host presented, if it got so far
	// Until is when this result should be asked for again: the earliest end of what
	// it rests on.
	Until time.Time
}
