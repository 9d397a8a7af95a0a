package proof

import (
	"fmt"
	"time"
)

// An Error is a failure with its evidence. Its Kind is one of the sentinels.
type Error struct {
	Kind error
	Text string
	// At is when the signature ended (ErrExpired) or begins (ErrNotYetValid); zero for
	// other kinds.
	At time.Time
}

// Error says what failed, and by what.
func (e *Error) Error() string {
	if e.Text == "" {
		return e.Kind.Error()
	}
	return e.Kind.Error() + ": " + e.Text
}

// Unwrap returns Kind.
func (e *Error) Unwrap() error { return e.Kind }

func errorf(kind error, format string, args ...any) error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
}
