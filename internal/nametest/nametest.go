// Package nametest parses names that a test knows to be good.
//
//	h := nametest.Host(t, "mx.example.org")
package nametest

import (
	"testing"

	"github.com/mxauth/mxauth/rfc6125"
)

// Host returns a host name, and ends the test if it is none.
func Host(tb testing.TB, s string) rfc6125.Host {
	tb.Helper()
	h, err := rfc6125.ParseHost(s)
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

// Hosts returns host names as Host does.
func Hosts(tb testing.TB, names ...string) (out []rfc6125.Host) {
	tb.Helper()
	for _, s := range names {
		out = append(out, Host(tb, s))
	}
	return out
}

// Name returns a domain name, and ends the test if it is none.
func Name(tb testing.TB, s string) rfc6125.Name {
	tb.Helper()
	n, err := rfc6125.ParseName(s)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}
