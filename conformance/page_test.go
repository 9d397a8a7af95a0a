package conformance_test

import (
	"strings"
	"testing"

	"github.com/mxauth/mxauth/conformance"
	"github.com/mxauth/mxauth/conformance/mutate"
	"github.com/mxauth/mxauth/conformance/register"
)

// TestScores: what is written is read again, a new score takes the place of the old one,
// and what cannot be is refused.
func TestScores(t *testing.T) {
	score := func(pkg string, seed uint64, n ...int) conformance.StoredScore {
		return conformance.StoredScore{Seed: seed, Score: mutate.Score{Package: pkg, Mutants: n[0], Tried: n[1], Killed: n[2], Equivalent: n[3]}}
	}
	var b strings.Builder
	if err := conformance.WriteScores(&b, nil, score("sts", 1, 300, 200, 190, 2), score("dane", 1, 400, 200, 180, 0)); err != nil {
		t.Fatal(err)
	}
	old, err := conformance.ReadScores(strings.NewReader(b.String()))
	if err != nil || len(old) != 2 || old[0].Package != "dane" || old[1].Killed != 190 {
		t.Fatalf("%+v %v", old, err)
	}
	b.Reset()
	if err := conformance.WriteScores(&b, old, score("sts", 7, 310, 200, 195, 1)); err != nil {
		t.Fatal(err)
	}
	if want := "dane\t1\t400\t200\t180\t0\nsts\t7\t310\t200\t195\t1\n"; !strings.HasSuffix(b.String(), want) {
		t.Errorf("%q", b.String())
	}
	for _, bad := range []string{"dane\t1\t2\t3\t4", "\t1\t4\t3\t2\t1", "dane\t1\t400\t200\t180\tx", "dane\t1\t400\t200\t200\t1", "dane\t1\t100\t200\t100\t1", "dane\t1\t-1\t200\t100\t1"} {
		if _, err := conformance.ReadScores(strings.NewReader("# head\n\n" + bad)); err == nil || !strings.Contains(err.Error(), "line 3") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	stored, err := conformance.MutationScores()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stored {
		if s.Tried < 200 && s.Tried < s.Mutants || s.Rate() < 0.9 {
			t.Errorf("%s: %d tried, %.1f %% noticed", s.Package, s.Tried, 100*s.Rate())
		}
	}
}

// TestPage: the page says what came out, in counts and reasons.
func TestPage(t *testing.T) {
	tab := register.Build([]register.Requirement{{ID: "A-1", Level: "MUST", Package: "dane"}, {ID: "A-2", Level: "SHOULD", Package: "dane", Text: "a | b"}, {ID: "A-3", Level: "MUST", Package: "dane"}},
		map[string]string{"A-3": "cannot be"}, []register.Test{{Package: "p", Name: "T/A-1_x", Result: "pass"}})
	p := conformance.Page{
		Vectors: conformance.Report{Sets: []conformance.SetReport{{Set: "one", Cases: 5, Passed: 3, Excepted: 2,
			Exceptions: []conformance.Exception{{Case: "x", Reason: "why"}, {Case: "y", Reason: "does not apply: why (a.test. A: step 3: not as expected: a.test. IN A: want an answer)"}}}}},
		Register: tab,
		Scores:   []conformance.StoredScore{{Seed: 1, Score: mutate.Score{Package: "dane", Mutants: 300, Tried: 200, Killed: 150, Equivalent: 50}}},
		Worlds:   7, Rows: 6, Reasons: 5, Findings: 4,
	}
	var b strings.Builder
	if err := p.WriteMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| one | 5 | 3 | 0 | 2 |\n", "| all | 5 | 3 | 0 | 2 |\n", "| one | 2 | why |\n",
		"| dane | 3 | 1 | 2 | 1 | 1 | 1 |\n", "| A-2 | SHOULD | missing: a \\| b |\n", "| A-3 | MUST | cannot be |\n",
		"| dane | 1 | 300 | 200 | 150 | 50 | 100.0 % |\n", "has 7 worlds. They show 6 rows",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}
