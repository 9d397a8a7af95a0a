// Package labtest starts the lab in tests, and finds its worlds by their names.
//
//	l := labtest.Start(t, lab.Config{Worlds: labtest.Worlds(t, "dane-ee", "sts-enforce")})
package labtest

import (
	"slices"
	"testing"

	"github.com/mxauth/mxauth/conformance/lab"
)

// Start starts a lab, which ends with the test.
func Start(tb testing.TB, c lab.Config) *lab.Lab {
	tb.Helper()
	l, err := lab.Start(tb.Context(), c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := l.Close(); err != nil {
			tb.Error(err)
		}
	})
	return l
}

// Worlds returns the worlds with these names, in the order of the lab. The test ends if there
// is no world of a name.
func Worlds(tb testing.TB, names ...string) (out []lab.World) {
	tb.Helper()
	for _, w := range lab.Worlds() {
		if slices.Contains(names, w.Name) {
			out = append(out, w)
		}
	}
	if len(out) != len(names) {
		tb.Fatalf("the lab has %d of the worlds %q", len(out), names)
	}
	return out
}

// World returns the world of a name, as Worlds does.
func World(tb testing.TB, name string) lab.World {
	tb.Helper()
	return Worlds(tb, name)[0]
}
