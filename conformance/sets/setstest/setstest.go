// Package setstest runs a judge of vectors as a test of the package that is judged:
//
//	func TestVectors(t *testing.T) {
//		setstest.Run(t, "limbo", chains.Limbo)
//	}
package setstest

import (
	"testing"

	"github.com/mxauth/mxauth/conformance/sets"
	"github.com/mxauth/mxauth/conformance/vectors"
)

// Run judges a published set and returns the results. A case that fails and is neither
// excepted nor inapplicable fails the test, as does an exception that passes, and a set
// without a case. The test is skipped where the
// vectors are missing (see [vectors.Dir]).
func Run(t *testing.T, set string, judge sets.Judge) []sets.Result {
	t.Helper()
	dir := vectors.Dir(t, set)
	table, err := sets.OwnExceptions()
	if err != nil {
		t.Fatal(err)
	}
	results, err := judge(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) == 0 {
		t.Fatalf("%s: no case", set)
	}
	for _, r := range results {
		switch state, why := r.State(table[set]); state {
		case sets.Failed:
			t.Errorf("%s: got %s, want %s %s", r.Case, r.Got, r.Want, why)
		case sets.Excepted:
			t.Logf("%s: excepted: got %s, want %s: %s", r.Case, r.Got, r.Want, why)
		}
	}
	return results
}
