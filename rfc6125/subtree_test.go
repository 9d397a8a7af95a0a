package rfc6125_test

import (
	"errors"
	"testing"

	"github.com/mxauth/mxauth/rfc6125"
)

func TestParseSubtree(t *testing.T) {
	for in, want := range map[string]string{"": "", "Example.COM": "example.com", ".Example.com": ".example.com", "com": "com", "a_b": "a_b"} {
		s, err := rfc6125.ParseSubtree(in)
		if err != nil || s.String() != want {
			t.Errorf("%q: %q, %v", in, s, err)
		}
		if again, err := rfc6125.ParseSubtree(s.String()); err != nil || again != s {
			t.Errorf("%q does not read back", s)
		}
	}
	for _, in := range []string{".", "..", "a.", "a..b", "..a", "*.a", "*", "a b", "bü", "\u212a", "-a", "a-", "a.1", label(64), longest + "a", "a\x00"} {
		if s, err := rfc6125.ParseSubtree(in); !errors.Is(err, rfc6125.ErrSubtree) || s != (rfc6125.Subtree{}) {
			t.Errorf("%q: %q, %v", in, s, err)
		}
	}
}

func TestSubtree(t *testing.T) {
	for _, c := range []struct {
		name, tree        string
		permits, excludes bool
	}{
		{"host.example.com", "host.example.com", true, true},
		{"www.host.example.com", "host.example.com", true, true},
		{"host1.example.com", "host.example.com", false, false},
		{"xhost.example.com", "host.example.com", false, false},
		{"example.com", "host.example.com", false, false},
		{"WWW.Example.com", "example.COM", true, true},
		{"a", "", true, true},
		{"*.a", "", true, true},
		{"example.com", ".example.com", false, false},
		{"a.example.com", ".example.com", true, true},
		{"a.b.example.com", ".example.com", true, true},
		{"xexample.com", ".example.com", false, false},
		// A wildcard is every name that it can match.
		{"*.example.com", "example.com", true, true},
		{"*.example.com", ".example.com", true, true},
		{"*.a.example.com", "example.com", true, true},
		{"*.a.example.com", ".example.com", true, true},
		{"*.example.com", "www.example.com", false, true},
		{"*.example.com", ".www.example.com", false, false},
		{"*.example.com", "a.b.example.com", false, false},
		{"*.example.com", "com", true, true},
		{"*.example.com", "xample.com", false, false},
		{"*.example.com", "www.xexample.com", false, false},
		{"*.com", "com", true, true},
		{"*.com", "example.com", false, true},
		{"*.com", "net", false, false},
		// Malformed names lie in no permitted and in every excluded subtree.
		{"a b", "example.com", false, true},
		{"a*.example.com", "example.com", false, true},
		{"example.com.", "other.test", false, true},
		{"", "", false, true},
	} {
		tree, err := rfc6125.ParseSubtree(c.tree)
		if err != nil {
			t.Fatal(err)
		}
		id := rfc6125.Identify(c.name)
		if got := tree.Permits(id); got != c.permits {
			t.Errorf("%q permits %q: %v", c.tree, c.name, got)
		}
		if got := tree.Excludes(id); got != c.excludes {
			t.Errorf("%q excludes %q: %v", c.tree, c.name, got)
		}
	}
	cnID := rfc6125.ParsePresented(nil, subject(cn("mx.example.com"))).Identifiers()[0]
	if tree, err := rfc6125.ParseSubtree("example.com"); err != nil || !tree.Permits(cnID) {
		t.Errorf("a Common Name: %v", err)
	}
}
