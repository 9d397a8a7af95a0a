package proof

import "fmt"

// An Error is a failure with its evidence. Its Kind is one of the sentinels.
type Error struct {
	Kind error
	Text string
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
	return &Error{kind, fmt.Sprintf(format, args...)}
}
