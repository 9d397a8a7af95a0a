package mutate_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/conformance/mutate"
	"github.com/mxauth/mxauth/internal/filetest"
)

const code = `package rule

const most = 3

// Grade is well tested; Slack is not.
func Grade(n int, ok bool) string {
	if n > most {
		return "high"
	}
	switch {
	case !ok:
		return "not"
	case n == most && ok:
		return "edge"
	}
	return "low"
}

func Slack(n int) int {
	if n < 0 || n == 7 {
		n = -n
	}
	for i := 0; i < 2; i++ {
		n++
	}
	if n--; n > 100 {
		return 100
	}
	switch n++; {
	case n == 50:
		return 51
	}
	return n
}
`

const test = `package rule

import "testing"

func TestGrade(t *testing.T) {
	for _, c := range []struct {
		n    int
		ok   bool
		want string
	}{{4, true, "high"}, {4, false, "high"}, {3, true, "edge"}, {3, false, "not"}, {2, true, "low"}, {5, true, "high"}} {
		if got := Grade(c.n, c.ok); got != c.want {
			t.Errorf("Grade(%d, %v) = %s, want %s", c.n, c.ok, got, c.want)
		}
	}
	Slack(1)
}
`

func module(t *testing.T, files map[string]string) string {
	t.Helper()
	files["go.mod"] = "module example.test/m\n\ngo 1.26\n"
	return filetest.Tree(t, files)
}

// run breaks one package.
func run(t *testing.T, c mutate.Config, p mutate.Package) (mutate.Score, error) {
	t.Helper()
	scores, err := mutate.Run(t.Context(), c, p)
	if err != nil {
		return mutate.Score{}, err
	}
	return scores[0], nil
}

func TestRun(t *testing.T) {
	dir := module(t, map[string]string{"rule/rule.go": code, "rule/rule_test.go": test})
	before, err := os.ReadFile(filepath.Join(dir, "rule/rule.go"))
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	s, err := run(t, mutate.Config{Root: dir, Log: &log}, mutate.Package{Folder: "rule", Equivalent: map[string]string{
		"rule.go\tGrade\t== to !=\tn == most": "not so: a test notices",
		"rule.go\tSlack\tbound+1\ti < 2":      "for the test's sake",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if s.Tried != s.Mutants || s.Mutants < 15 {
		t.Errorf("%d of %d mutants were tried", s.Tried, s.Mutants)
	}
	for _, m := range s.Survived {
		if m.Func == "Grade" {
			t.Errorf("survived though tested: %s: %s", m.What, m.Code)
		}
	}
	survived := map[string]bool{}
	for _, m := range s.Survived {
		survived[m.What+": "+m.Code] = true
	}
	for _, want := range []string{"< to <=: n < 0", "check dropped: n < 0 || n == 7", "|| to &&: n < 0 || n == 7", "step dropped: n++"} {
		if !survived[want] {
			t.Errorf("%q did not survive; survivors: %v", want, survived)
		}
	}
	if s.Equivalent != 1 || len(s.WrongEquivalent) != 1 || s.WrongEquivalent[0].Code != "n == most" {
		t.Errorf("equivalent %d, wrongly %v", s.Equivalent, s.WrongEquivalent)
	}
	if got := s.Killed + len(s.Survived) + s.Equivalent; got != s.Tried {
		t.Errorf("%d killed, %d survived and %d equivalent do not add up to %d", s.Killed, len(s.Survived), s.Equivalent, s.Tried)
	}
	if r := s.Rate(); r <= 0 || r >= 1 {
		t.Errorf("rate %v", r)
	}
	if n := strings.Count(log.String(), "\n"); n != s.Tried {
		t.Errorf("%d lines of log", n)
	}
	if after, err := os.ReadFile(filepath.Join(dir, "rule/rule.go")); err != nil || string(after) != string(before) {
		t.Errorf("the checkout was written to (%v)", err)
	}
}

func TestSampleIsSeeded(t *testing.T) {
	dir := module(t, map[string]string{"rule/rule.go": code, "rule/rule_test.go": test})
	draw := func(seed uint64) string {
		var log strings.Builder
		s, err := run(t, mutate.Config{Root: dir, Sample: 5, Seed: seed, Log: &log}, mutate.Package{Folder: "rule"})
		if err != nil || s.Tried != 5 {
			t.Fatalf("%d tried, %v", s.Tried, err)
		}
		return log.String()
	}
	if a, b := draw(1), draw(1); a != b {
		t.Errorf("the same seed drew\n%s\nand\n%s", a, b)
	}
	if a, b := draw(1), draw(2); a == b {
		t.Error("two seeds drew the same")
	}
}

func TestDeadline(t *testing.T) {
	dir := module(t, map[string]string{"rule/rule.go": code, "rule/rule_test.go": test})
	s, err := run(t, mutate.Config{Root: dir, Deadline: time.Now().Add(-time.Second)}, mutate.Package{Folder: "rule"})
	if err != nil || s.Tried != 0 || s.Rate() != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestEndlessMutantIsNoticed(t *testing.T) {
	dir := module(t, map[string]string{
		"loop/loop.go":      "package loop\n\nfunc Count(n int) (k int) {\n\tfor i := 0; i < n; {\n\t\ti++\n\t\tk++\n\t}\n\treturn k\n}\n",
		"loop/loop_test.go": "package loop\n\nimport \"testing\"\n\nfunc TestCount(t *testing.T) {\n\tif Count(3) != 3 {\n\t\tt.Fatal()\n\t}\n}\n",
	})
	s, err := run(t, mutate.Config{Root: dir, Timeout: time.Second}, mutate.Package{Folder: "loop"})
	if err != nil || s.Tried < 3 || len(s.Survived) != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestNothingIsKept: tests that keep what fails them in the checkout, as rapid does, are
// told not to.
func TestNothingIsKept(t *testing.T) {
	const keeps = `package rule

import (
	"flag"
	"os"
	"testing"
)

var nothing = flag.Bool("rapid.nofailfile", false, "")

func TestEdge(t *testing.T) {
	if Grade(9, 10) != "low" || Grade(10, 10) != "edge" || Grade(11, 10) != "high" {
		if !*nothing {
			os.WriteFile("kept.fail", nil, 0o600)
		}
		t.Fatal()
	}
}
`
	const grade = `package rule

func Grade(n, most int) string {
	switch {
	case n < most:
		return "low"
	case n == most:
		return "edge"
	}
	return "high"
}
`
	dir := module(t, map[string]string{"rule/rule.go": grade, "rule/rule_test.go": keeps})
	s, err := run(t, mutate.Config{Root: dir}, mutate.Package{Folder: "rule"})
	if err != nil || s.Killed == 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "rule/kept.fail")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the checkout was written to: %v", err)
	}
}

// TestReach: a mutant that no test reaches survives at once, and tests that do not reach a
// mutant are not run against it.
func TestReach(t *testing.T) {
	const two = "package rule\n\nfunc A(n int) bool { return n == 1 }\n\nfunc B(n int) bool { return n == 2 }\n\nfunc C(n int) bool { return n == 3 }\n"
	const tests = `package rule

import (
	"os"
	"testing"
)

func ran(name string) {
	f, _ := os.OpenFile("ran", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	f.WriteString(name)
	f.Close()
}

func TestA(t *testing.T) {
	ran("a")
	if !A(1) {
		t.Fatal()
	}
}

func ExampleB() {
	ran("b")
	B(2)
	// Output:
}
`
	dir := module(t, map[string]string{"rule/rule.go": two, "rule/rule_test.go": tests})
	s, err := run(t, mutate.Config{Root: dir}, mutate.Package{Folder: "rule"})
	if err != nil || s.Tried != 3 || s.Killed != 1 || len(s.Survived) != 2 {
		t.Fatalf("%+v, %v", s, err)
	}
	for _, m := range s.Survived {
		if want := map[string]int{"B": 1, "C": 0}[m.Func]; m.Tests != want {
			t.Errorf("%d tests reach %s, want %d", m.Tests, m.Func, want)
		}
	}
	got, err := os.ReadFile(filepath.Join(dir, "rule/ran"))
	if err != nil || strings.Count(string(got), "a") != 2 || strings.Count(string(got), "b") != 2 {
		t.Errorf("ran %q (%v), want each test once without a mutant and once with its own", got, err)
	}
}

// TestFailing: a test that fails without a mutant judges none, and is named.
func TestFailing(t *testing.T) {
	const failing = "package rule\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) { A(1); t.Fatal() }\n\nfunc TestB(t *testing.T) { A(2) }\n"
	dir := module(t, map[string]string{"rule/rule.go": "package rule\n\nfunc A(n int) bool { return n == 1 }\n", "rule/rule_test.go": failing})
	s, err := run(t, mutate.Config{Root: dir}, mutate.Package{Folder: "rule"})
	if err != nil || s.Tried != 1 || s.Killed != 0 || len(s.Failing) != 1 || s.Failing[0] != "rule TestA" {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestFairShare: the second package does not wait until the first is through.
func TestFairShare(t *testing.T) {
	files := map[string]string{}
	for _, name := range []string{"one", "two"} {
		files[name+"/rule.go"] = "package " + name + "\n\nfunc A(n int) bool { return n == 1 || n == 2 }\n"
		files[name+"/rule_test.go"] = "package " + name + "\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) { A(1) }\n"
	}
	var log strings.Builder
	scores, err := mutate.Run(t.Context(), mutate.Config{Root: module(t, files), Log: &log}, mutate.Package{Folder: "one"}, mutate.Package{Folder: "two"})
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"one", "two"} {
		if s := scores[i]; s.Package != name || s.Tried != 3 || s.Mutants != 3 {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if before, _, ok := strings.Cut(log.String(), "two\t"); !ok || strings.Count(before, "one\t") != 1 {
		t.Errorf("the second package is not tried in turn:\n%s", log.String())
	}
}

func TestSetup(t *testing.T) {
	for what, files := range map[string]map[string]string{
		"does not build":     {"rule/rule.go": "package rule\n\nfunc f() { x }\n", "rule/rule_test.go": test},
		"does not parse":     {"rule/rule.go": "package", "rule/rule_test.go": test},
		"tests fail already": {"rule/rule.go": code, "rule/rule_test.go": strings.Replace(test, `"edge"`, `"other"`, 1)},
		"no files":           {"other/other.go": "package other\n"},
		"tests do not build": {"rule/rule.go": code, "rule/rule_test.go": "package rule\n\nvar _ = none\n"},
	} {
		if _, err := run(t, mutate.Config{Root: module(t, files)}, mutate.Package{Folder: "rule"}); !errors.Is(err, mutate.ErrSetup) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestEquivalents(t *testing.T) {
	const list = "# why\n\ndane\ta.go\tF\t== to !=\tx == y\tnever both\nsts\tb.go\tG\tcheck dropped\tz\tsame\n"
	got, err := mutate.Equivalents(strings.NewReader(list), "dane")
	if err != nil || len(got) != 1 || got["a.go\tF\t== to !=\tx == y"] != "never both" {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"a\tb\n", "a\tb\tc\td\te\t\n"} {
		if _, err := mutate.Equivalents(strings.NewReader(bad), "a"); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
