package dnssec

import (
	"errors"
	"fmt"
	"strings"
)

// ErrLookup is wrapped by every [LookupError]: there is no answer that may be
// used. RFC 7672 section 2.1.2 makes the caller treat the host, or the domain, as
// one that cannot be reached now; it never means that a record is absent.
var ErrLookup = errors.New("dns lookup failed")

// What a lookup failed by. Each wraps [ErrLookup]. A [*LookupError] wraps exactly
// one of them.
var (
	ErrBogus         = fmt.Errorf("%w: bogus", ErrLookup)         // DNSSEC validation failed, here or (trust-ad) upstream
	ErrIndeterminate = fmt.Errorf("%w: indeterminate", ErrLookup) // the upstream does not let us validate, or there is no usable trust anchor
	ErrServFail      = fmt.Errorf("%w: SERVFAIL", ErrLookup)      // SERVFAIL without a sign that DNSSEC is the cause
	ErrRefused       = fmt.Errorf("%w: refused", ErrLookup)       // REFUSED, NOTIMP, FORMERR and other unusable rcodes
	ErrTimeout       = fmt.Errorf("%w: timeout", ErrLookup)       // no answer from any server in time
	ErrUnreachable   = fmt.Errorf("%w: unreachable", ErrLookup)   // no server could be reached (network error, TLS failure)
	ErrMalformed     = fmt.Errorf("%w: malformed", ErrLookup)     // the answer cannot be parsed, or contradicts itself
	ErrAliasLoop     = fmt.Errorf("%w: alias loop", ErrLookup)    // a loop, or more steps than [MaxAliases]
	ErrBudget        = fmt.Errorf("%w: out of budget", ErrLookup) // the work would cost more than may be spent; nothing is known of the records
)

// MaxAliases bounds the steps of an alias chain (Unbound stops at 12, BIND at 16).
const MaxAliases = 16

// A LookupError is a lookup failure with its evidence. It wraps one of [ErrBogus],
// [ErrIndeterminate], [ErrServFail], [ErrRefused], [ErrTimeout], [ErrUnreachable],
// [ErrMalformed], [ErrAliasLoop] and [ErrBudget], and its cause if that is another error, such
// as context.Canceled.
type LookupError struct {
	Question Question        // what was asked of the resolver
	Kind     error           // one of the sentinels above
	Reason   Reason          // what decided, for people and machines
	Server   string          // the upstream that decided; "" if none did
	EDE      []ExtendedError // what the upstream added (RFC 8914)
	Cause    error           // may be nil
}

// Error returns the question, the kind, the reason, the server and the cause.
func (e *LookupError) Error() string {
	var b strings.Builder
	b.WriteString(e.Question.String())
	b.WriteString(": ")
	if e.Kind != nil {
		b.WriteString(e.Kind.Error())
	} else {
		b.WriteString(ErrLookup.Error())
	}
	why := e.Reason.String()
	if why != "" {
		b.WriteString(": " + why)
	}
	if e.Server != "" {
		b.WriteString(" (server " + e.Server + ")")
	}
	if e.Cause != nil {
		if s := e.Cause.Error(); !strings.Contains(why, s) {
			b.WriteString(": " + s)
		}
	}
	return b.String()
}

// Unwrap returns Kind and Cause.
func (e *LookupError) Unwrap() []error {
	var out []error
	if e.Kind != nil {
		out = append(out, e.Kind)
	} else {
		out = append(out, ErrLookup)
	}
	if e.Cause != nil {
		out = append(out, e.Cause)
	}
	return out
}

// Status is the security status that goes with the failure: Bogus for [ErrBogus],
// else Indeterminate.
func (e *LookupError) Status() Status {
	if errors.Is(e.Kind, ErrBogus) {
		return Bogus
	}
	return Indeterminate
}

// A ReasonCode is a stable word for why an answer has its status, or a lookup
// failed. Words are never reused for something else.
type ReasonCode string
