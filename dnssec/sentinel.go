package dnssec

import (
	"errors"
	"fmt"

	"github.com/mxauth/mxauth/internal/fault"
)

// Errors that a caller may branch on.
var (
	// ErrLookup is wrapped by every [LookupError]: there is no answer that may be
	// used. RFC 7672 section 2.1.2 makes the caller treat the host, or the domain, as
	// one that cannot be reached now; it never means that a record is absent.
	ErrLookup = errors.New("dns lookup failed")

	// What a lookup failed by. Each wraps [ErrLookup]. A [*LookupError] wraps exactly
	// one of them.

	ErrBogus         = fmt.Errorf("%w: bogus", ErrLookup)         // DNSSEC validation failed, here or (trust-ad) upstream
	ErrIndeterminate = fmt.Errorf("%w: indeterminate", ErrLookup) // the upstream does not let us validate, or there is no usable trust anchor
	ErrServFail      = fmt.Errorf("%w: SERVFAIL", ErrLookup)      // SERVFAIL without a sign that DNSSEC is the cause
	ErrRefused       = fmt.Errorf("%w: refused", ErrLookup)       // REFUSED, NOTIMP, FORMERR and other unusable rcodes
	ErrTimeout       = fmt.Errorf("%w: timeout", ErrLookup)       // no answer from any server in time
	ErrUnreachable   = fmt.Errorf("%w: unreachable", ErrLookup)   // no server could be reached (network error, TLS failure)
	ErrMalformed     = fmt.Errorf("%w: malformed", ErrLookup)     // the answer cannot be parsed, or contradicts itself
	ErrAliasLoop     = fmt.Errorf("%w: alias loop", ErrLookup)    // a loop, or more steps than [MaxAliases]
	ErrBudget        = fmt.Errorf("%w: out of budget", ErrLookup) // the work would cost more than may be spent; nothing is known of the records

	// ErrNotValidating is wrapped by [CheckValidating]: the resolver answers, but does not
	// validate, or keeps its verdict to itself. Its AD bit must not be relied on: every
	// answer would look insecure, and DANE would be switched off in silence.
	ErrNotValidating = errors.New("the resolver does not validate DNSSEC")
	// ErrRootRejected is wrapped by [CheckValidating]: the resolver validates, and rejects the
	// keys of the root. Its clock or its trust anchor is wrong. It wraps [ErrNotValidating].
	ErrRootRejected = fmt.Errorf("%w correctly", ErrNotValidating)
	// ErrShortage is wrapped by failures that come from this program and not from DNS: a
	// limit of its own is reached, or it is shutting down. Such a failure says nothing about
	// the name that was asked for.
	ErrShortage = errors.New("a limit or the end of this program")
	// ErrCacheClosed is the cause of the [LookupError] of questions after Close. It wraps
	// [ErrShortage].
	ErrCacheClosed = Shortage("the cache of answers is closed")
	// ErrUnprotectedPath is wrapped by [NewStub] when the AD bit of the configured
	// resolver could be forged by anyone on the network path to it.
	ErrUnprotectedPath = fault.New("dnssec", "the AD bit of this resolver can be forged on the network")
)
