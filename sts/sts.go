package sts

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
)

// ErrFetch is wrapped by every failure to fetch a policy.
var ErrFetch = errors.New("sts: policy fetch failed")

// What a fetch failed by. Each wraps [ErrFetch]; a policy that does not parse wraps
// [ErrPolicy] as well.
var (
	ErrFetchDNS       = fmt.Errorf("%w: dns", ErrFetch)
	ErrFetchAddress   = fmt.Errorf("%w: address not allowed", ErrFetch) // special-purpose, see Config.Allow
	ErrFetchTCP       = fmt.Errorf("%w: connect", ErrFetch)
	ErrFetchTLS       = fmt.Errorf("%w: tls", ErrFetch)
	ErrFetchWebPKI    = fmt.Errorf("%w: certificate", ErrFetch)
	ErrFetchStatus    = fmt.Errorf("%w: http status", ErrFetch)
	ErrFetchRedirect  = fmt.Errorf("%w: redirect", ErrFetch)
	ErrFetchMediaType = fmt.Errorf("%w: media type", ErrFetch)
	ErrFetchSize      = fmt.Errorf("%w: too large", ErrFetch)
	ErrFetchTimeout   = fmt.Errorf("%w: time-out", ErrFetch)
	ErrFetchSyntax    = fmt.Errorf("%w: %w", ErrFetch, ErrPolicy)
)

// Config of a [Client].
type Config struct {
	Resolver dnssec.Resolver // required
	Roots    *pkix.Roots     // WebPKI anchors of policy hosts; nil: the system's
	Store    store.Store     // where policies are kept; nil: a memory store of this client
	// Allow lists special-purpose prefixes in which a policy host may lie; by default
	// loopback, private and the like are refused.
	Allow []netip.Prefix
	// Port of the policy hosts; 0 means 443. For tests.
	Port uint16
	// Dial opens the connection to an address that has been vetted; nil: net.Dialer.
	Dial func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	// Timeout of one whole fetch; 0 means DefaultFetchTimeout.
	Timeout time.Duration
	Now     func() time.Time // nil: time.Now
	Logger  *slog.Logger     // nil: discard
}

// A Row is a row S1 to S12 of the decision table's section 3; zero is none.
type Row uint8

// String prints "S1" to "S12"; "" for the zero Row.
func (r Row) String() string {
	if r == 0 {
		return ""
	}
	return fmt.Sprintf("S%d", uint8(r))
}

// A Result is what MTA-STS says of one domain now (decision table section 3). The
// zero Result says nothing is known: TXT is nil, no policy.
type Result struct {
	Domain rfc6125.Host
	Row    Row
	// Policy is the applied policy, fresh or cached; nil if none applies. A policy of
	// mode none is given too.
	Policy  *Policy
	Cached  bool      // it came from the cache
	ID      string    // the id under which it was fetched
	Fetched time.Time // the last successful HTTPS fetch
	Expires time.Time // Fetched plus max_age
	// Pending: a fetch is under way and nothing is cached (S12).
	Pending bool
	// TXT is what the record lookup came to: nil, or wraps ErrNoRecord (known
	// absent), or is a dnssec lookup failure (not known).
	TXTErr error
	Record Record
	Answer dnssec.Answer // of the TXT question, for the trace
	// FetchErr is why the fetch failed, if one was tried (wraps ErrFetch), or the
	// failure still in back-off.
	FetchErr error
	Chain    []*x509.Certificate // what the policy host presented, if it got so far
	// Until is when this result should be asked for again: the earliest end of what
	// it rests on.
	Until time.Time
}

// A Client knows the policies of domains: it looks at their records, fetches,
// remembers. It may be used by many goroutines at once.
type Client struct{}

// NewClient checks c and returns a client. It starts no goroutine.
func NewClient(c Config) (*Client, error) { panic("unbuilt") }

// Lookup says what policy applies to domain now: it asks for the TXT record and
// compares its id with the cached policy's; only for an id not seen (and not in
// back-off) it fetches. It never fails: what failed is in the Result.
func (c *Client) Lookup(ctx context.Context, domain rfc6125.Host) Result { panic("unbuilt") }

// Cached returns the unexpired cached policy of domain without asking anybody.
func (c *Client) Cached(ctx context.Context, domain rfc6125.Host) (Result, bool) { panic("unbuilt") }

// Close ends what the client began and waits for it.
func (c *Client) Close() error { panic("unbuilt") }
