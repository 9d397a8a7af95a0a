package dane_test

import (
	"slices"
	"testing"

	"github.com/mxauth/mxauth/dane"
)

// TestMissAllocations: without an anchor no path is looked for; the trace is all there is.
func TestMissAllocations(t *testing.T) {
	w := newWorld(t)
	for _, r := range []dane.Record{w.root.record(3, 1, 1), w.root.record(2, 1, 1)} {
		verify := verifier(r, w.leaf, w.inter)
		if n := testing.AllocsPerRun(100, func() {
			if verify() == nil {
				t.Fatal("a match")
			}
		}); n > 2 {
			t.Errorf("%s: %v allocations", r.Numbers(), n)
		}
	}
}

func TestAllocations(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name string
		run  func() error
		most float64
	}{
		{"3 1 1", verifier(w.leaf.record(3, 1, 1), w.leaf, w.inter), 0},
		{"3 1 1, the last of eight", setVerifier(set(append(slices.Repeat([]dane.Record{w.root.record(3, 1, 1)}, 7), w.leaf.record(3, 1, 1))...), w.leaf), 0},
		{"3 1 1, the last of nine", setVerifier(set(append(slices.Repeat([]dane.Record{w.root.record(3, 1, 1)}, 8), w.leaf.record(3, 1, 1))...), w.leaf), 1},
		{"3 0 2", verifier(w.leaf.record(3, 0, 2), w.leaf, w.inter), 0},
		// The check of the signature alone takes 12.
		{"2 1 1", verifier(w.inter.record(2, 1, 1), w.leaf, w.inter), 32},
	} {
		least := min(c.most, 1) // one more than eight records: the trace is made
		if n := testing.AllocsPerRun(100, func() {
			if err := c.run(); err != nil {
				t.Fatal(err)
			}
		}); n > c.most || n < least {
			t.Errorf("%s: %v allocations, want at most %v", c.name, n, c.most)
		}
	}
}
