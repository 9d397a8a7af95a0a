package main

import (
	"errors"
	"fmt"
)

// The exit statuses of every verb. Those up to 3 are answers; over several domains
// the highest counts.
const (
	exitAuthenticated = 0 // authenticated at every host that mail could reach
	exitDeliverable   = 1 // the message may go, but not (everywhere) authenticated
	exitRefused       = 2 // refused or bounced
	exitDeferred      = 3 // deferred
	exitUsage         = 64
	exitUnavailable   = 69 // nothing could be looked up through a fault on this side
	exitFault         = 70 // an internal error
	exitConfig        = 78
	exitInterrupted   = 130 // as a shell says it of SIGINT
)

// An exitError ends the program with a status. Its text goes to standard error, its
// hint on a line of its own below.
type exitError struct {
	code int
	err  error  // nil: say nothing, the answer has been given
	hint string // what to do about it; "" for none
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exitWith ends the program with a status and no further word; nil for 0.
func exitWith(code int) error {
	if code == 0 {
		return nil
	}
	return &exitError{code: code}
}

// usageError is for a command line that cannot be carried out as written.
func usageError(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// configError is for a file, server or setting that is not what it should be; the
// hint says what to change, "" for none.
func configError(hint, format string, args ...any) error {
	return &exitError{code: exitConfig, err: fmt.Errorf(format, args...), hint: hint}
}

// exitCode is the one place where an error becomes a status: what carries none is a
// internal error.
func exitCode(err error) int {
	var e *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e.code
	}
	return exitFault
}

// worse returns the status that counts of two: the higher of two answers, else
// whichever is no answer.
func worse(a, b int) int { return max(a, b) }
