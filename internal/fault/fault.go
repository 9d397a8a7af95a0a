// Package fault makes errors that begin with the name of their package, as those of the
// standard library do, and that a program can print without it:
//
//	rfc6125: not a host name: "a..b"
//	not a host name: "a..b"
package fault

import (
	"errors"
	"fmt"
	"strings"
)

// An Error is an error with the name of the package that made it.
type Error struct {
	pkg string
	err error
}

// New returns an error of a package, for use as a sentinel.
func New(pkg, text string) error { return &Error{pkg, errors.New(text)} }

// Errorf returns an error of a package; %w works as in [fmt.Errorf].
func Errorf(pkg, format string, args ...any) error { return &Error{pkg, fmt.Errorf(format, args...)} }

// Error returns the name of the package and the text.
func (e *Error) Error() string { return e.pkg + ": " + e.err.Error() }

// Unwrap returns the error without the name of the package.
func (e *Error) Unwrap() error { return e.err }

// Text returns the text of err on one line, without the names of packages that [New] and
// [Errorf] put into it and into the errors that it wraps.
func Text(err error) string {
	s := err.Error()
	each(err, func(e *Error) { s = strings.Replace(s, e.Error(), e.err.Error(), 1) })
	return strings.ReplaceAll(s, "\n", "; ")
}

// each calls f for each Error that err is or wraps, the outer ones first.
func each(err error, f func(*Error)) {
	if e, ok := err.(*Error); ok {
		f(e)
	}
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		if e := u.Unwrap(); e != nil {
			each(e, f)
		}
	case interface{ Unwrap() []error }:
		for _, e := range u.Unwrap() {
			if e != nil {
				each(e, f)
			}
		}
	}
}
