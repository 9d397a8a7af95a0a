package dnssec

import (
	"errors"
	"strings"
)

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
