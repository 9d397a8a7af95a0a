package upstream

import (
	"errors"
	"strings"
)

// An attempt is one that failed.
type attempt struct {
	server string // its label
	w      way
	err    error
}

// what is the server and the way; "" if the error is of none.
func (a attempt) what() string {
	if a.server == "" {
		return ""
	}
	return a.server + a.w.String()
}

// An exchangeError says why a question has no answer. It wraps one of the errors of
// [dnssec.Upstream]'s contract, and what each attempt failed by.
type exchangeError struct {
	kind     error
	attempts []attempt
}

// Error lists the attempts, each text once.
func (e *exchangeError) Error() string {
	var b strings.Builder
	seen := map[string]bool{}
	for _, a := range e.attempts {
		s := a.err.Error()
		if what := a.what(); what != "" {
			s = what + ": " + s
		}
		if seen[s] {
			continue
		}
		seen[s] = true
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(s)
	}
	return b.String()
}

// Tried returns the server that was tried first, over UDP or TCP; "" if that was over HTTPS.
// engine/explain finds it by an interface.
func (e *exchangeError) Tried() string {
	if len(e.attempts) == 0 || e.attempts[0].w == viaHTTPS {
		return ""
	}
	return e.attempts[0].server
}

// Unwrap returns the kind and the causes of the attempts, but not their kinds: of those
// only one holds for the question.
func (e *exchangeError) Unwrap() []error {
	out := []error{e.kind}
	for _, a := range e.attempts {
		err := a.err
		for f := (*failure)(nil); errors.As(err, &f); {
			err = f.cause
		}
		out = append(out, err)
	}
	return out
}

// A failure is an error of one of the kinds of the contract whose text is that of its
// cause alone: the kind is printed once, with the question.
type failure struct{ kind, cause error }

func (f *failure) Error() string   { return f.cause.Error() }
func (f *failure) Unwrap() []error { return []error{f.kind, f.cause} }
