package replay_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mxauth/mxauth/conformance"
	"github.com/mxauth/mxauth/conformance/replay"
	"github.com/mxauth/mxauth/conformance/vectors"
)

// TestVectors judges the published sets. An exception stands in conformance's table; one
// that passes fails.
func TestVectors(t *testing.T) {
	f, err := os.Open(filepath.Join("..", "exceptions.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	exceptions, err := conformance.Exceptions(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range []struct {
		name string
		run  func(string) ([]replay.Result, error)
		// least is the part of the cases, in hundredths, that has to pass: so many may
		// not be recognised as not applicable.
		least int
	}{
		{"dnssec/rfc", replay.Facts, 95},
		{"dnssec/unbound-unit", replay.Units, 95},
		{"dnssec/dnsjava", replay.Recordings, 100},
		{"dnssec/deckard", replay.Scenarios, 95},
		{"dnssec/unbound", replay.Scenarios, 85},
	} {
		t.Run(set.name, func(t *testing.T) {
			results, err := set.run(vectors.Dir(t, set.name))
			if err != nil {
				t.Error(err)
			}
			passed, seen := 0, map[string]bool{}
			for _, r := range results {
				if seen[r.Case] {
					t.Errorf("two cases are called %q", r.Case)
				}
				seen[r.Case] = true
				t.Run(r.Case, func(t *testing.T) {
					why := exceptions[set.name][r.Case]
					switch {
					case r.OK() && why != "":
						t.Errorf("passes, and is an exception: %s", why)
					case r.OK():
						passed++
					case why != "":
						t.Logf("exception: %s", why)
					case r.Skip != "":
						t.Log(r.Skip)
					default:
						t.Errorf("got %s, want %s", r.Got, r.Want)
					}
				})
			}
			if len(results) == 0 || passed*100 < set.least*len(results) {
				t.Errorf("%d of %d cases pass", passed, len(results))
			}
			t.Logf("%d of %d cases pass", passed, len(results))
		})
	}
}
