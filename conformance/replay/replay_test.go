package replay_test

import (
	"testing"

	"github.com/mxauth/mxauth/conformance/replay"
	"github.com/mxauth/mxauth/conformance/sets"
	"github.com/mxauth/mxauth/conformance/sets/setstest"
)

// TestVectors judges the published sets. So many cases may not be recognised as not
// applicable that less than the named part passes.
func TestVectors(t *testing.T) {
	for _, set := range []struct {
		name  string
		judge sets.Judge
		least int // hundredths of the cases
	}{
		{"dnssec/rfc", replay.Facts, 95},
		{"dnssec/unbound-unit", replay.Units, 95},
		{"dnssec/dnsjava", replay.Recordings, 100},
		{"dnssec/deckard", replay.Scenarios, 95},
		{"dnssec/unbound", replay.Scenarios, 85},
	} {
		t.Run(set.name, func(t *testing.T) {
			results := setstest.Run(t, set.name, set.judge)
			passed, seen := 0, map[string]bool{}
			for _, r := range results {
				if seen[r.Case] {
					t.Errorf("two cases are called %q", r.Case)
				}
				seen[r.Case] = true
				if r.Skip == "" && r.Got == r.Want {
					passed++
				}
			}
			if passed*100 < set.least*len(results) {
				t.Errorf("%d of %d cases pass", passed, len(results))
			}
		})
	}
}
