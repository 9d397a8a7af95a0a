package conformance

import (
	"bufio"
	_ "embed" // for the stored scores
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/mxauth/mxauth/conformance/mutate"
	"github.com/mxauth/mxauth/conformance/register"
)

// A Page is docs/conformance.md: what the suite holds and what came out. It is made of
// results alone, so that the same results give the same page.
type Page struct {
	Vectors  Report
	Register register.Table
	Scores   []StoredScore
	Worlds   int // of the lab
	Rows     int // of the decision table that the lab's worlds show
	Reasons  int // that a verdict can have
	Findings int // that lint can make
}

// A StoredScore is how many mutants of a package the tests noticed when that was measured
// last: a whole run takes too long for every change.
type StoredScore struct {
	Seed uint64
	mutate.Score
}

//go:embed mutation.tsv
var mutationTable string

// MutationScores are the stored scores that come with mxauth.
func MutationScores() ([]StoredScore, error) { return ReadScores(strings.NewReader(mutationTable)) }

const scoresHead = "# Mutants noticed, as `devtool mutate --record` measured: package, seed, mutants, tried, noticed, equivalent."

// ReadScores reads what [WriteScores] writes. An error names the line.
func ReadScores(r io.Reader) ([]StoredScore, error) {
	var out []StoredScore
	sc := bufio.NewScanner(r)
	for n := 1; sc.Scan(); n++ {
		line := sc.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 6 || f[0] == "" {
			return nil, fmt.Errorf("conformance: scores, line %d: want six columns", n)
		}
		var v [5]uint64
		for i := range v {
			var err error
			if v[i], err = strconv.ParseUint(f[i+1], 10, 32); err != nil {
				return nil, fmt.Errorf("conformance: scores, line %d: %w", n, err)
			}
		}
		s := StoredScore{Seed: v[0], Score: mutate.Score{Package: f[0], Mutants: int(v[1]), Tried: int(v[2]), Killed: int(v[3]), Equivalent: int(v[4])}}
		if s.Killed+s.Equivalent > s.Tried || s.Tried > s.Mutants {
			return nil, fmt.Errorf("conformance: scores, line %d: more noticed than tried, or tried than there are", n)
		}
		out = append(out, s)
	}
	return out, sc.Err()
}

// WriteScores writes scores, sorted by package, in place of all of the same package.
func WriteScores(w io.Writer, old []StoredScore, measured ...StoredScore) error {
	all := slices.DeleteFunc(slices.Clone(old), func(o StoredScore) bool {
		return slices.ContainsFunc(measured, func(m StoredScore) bool { return m.Package == o.Package })
	})
	all = append(all, measured...)
	slices.SortFunc(all, func(a, b StoredScore) int { return strings.Compare(a.Package, b.Package) })
	var b strings.Builder
	b.WriteString(scoresHead + "\n")
	for _, s := range all {
		fmt.Fprintf(&b, "%s\t%d\t%d\t%d\t%d\t%d\n", s.Package, s.Seed, s.Mutants, s.Tried, s.Killed, s.Equivalent)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteMarkdown prints the page.
func (p Page) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`# Conformance

What mxauth is held against, and what came out. This page is made by ` + "`devtool page`" + ` (see
[development.md](development.md)); ` + "`.ci/run`" + ` fails when it no longer says what the run found.

`)
	p.vectors(&b)
	p.requirements(&b)
	p.mutants(&b)
	fmt.Fprintf(&b, `## Lab

The mail Internet of %s and %s has %d worlds. They show %d rows of the
decision table. A verdict has one of %d [reasons](reasons.md); lint can make %d findings.
Each world is checked by plan, probe and decision with the validator and with a resolver that
is trusted, in the tests' own process and by the built program over real ports.
`, "`mxauth demo`", "`mxconform lab`", p.Worlds, p.Rows, p.Reasons, p.Findings)
	_, err := io.WriteString(w, b.String())
	return err
}

var cell = strings.NewReplacer("|", "\\|", "\n", " ")

func (p Page) vectors(b *strings.Builder) {
	b.WriteString("## Vectors\n\n`mxconform run` over the published sets.\n\n| set | cases | passed | failed | excepted |\n|---|---|---|---|---|\n")
	var all SetReport
	for _, s := range p.Vectors.Sets {
		fmt.Fprintf(b, "| %s | %d | %d | %d | %d |\n", s.Set, s.Cases, s.Passed, s.Failed, s.Excepted)
		all.Cases, all.Passed, all.Failed, all.Excepted = all.Cases+s.Cases, all.Passed+s.Passed, all.Failed+s.Failed, all.Excepted+s.Excepted
	}
	fmt.Fprintf(b, "| all | %d | %d | %d | %d |\n", all.Cases, all.Passed, all.Failed, all.Excepted)
	b.WriteString("\nWhat is excepted, and why:\n\n| set | cases | reason |\n|---|---|---|\n")
	for _, s := range p.Vectors.Sets {
		count := map[string]int{}
		var reasons []string
		for _, e := range s.Exceptions {
			r := general(e.Reason)
			if count[r] == 0 {
				reasons = append(reasons, r)
			}
			count[r]++
		}
		slices.Sort(reasons)
		for _, r := range reasons {
			fmt.Fprintf(b, "| %s | %d | %s |\n", s.Set, count[r], cell.Replace(r))
		}
	}
}

// general is the reason of an exception without what it says of the single case.
func general(reason string) string {
	const detail = ": not as expected:"
	r := strings.TrimPrefix(reason, "does not apply: ")
	if i := strings.Index(r, detail); i >= 0 {
		r = r[:i]
		r = strings.TrimSpace(r[:strings.LastIndexByte(r, '(')+1])
		r = strings.TrimSuffix(r, " (")
	}
	return r
}

func (p Page) requirements(b *strings.Builder) {
	b.WriteString("\n## Requirements\n\nRows of the [register](../conformance/requirements.tsv) that a passing test shows, by the package that they concern.\n\n" +
		"| package | rows | shown | MUST and MUST NOT | shown | excused | neither |\n|---|---|---|---|---|---|---|\n")
	for _, s := range p.Register.Summaries() {
		fmt.Fprintf(b, "| %s | %d | %d | %d | %d | %d | %d |\n", s.Package, s.Rows, s.Shown, s.Binding, s.BindingShown, s.Excused, s.Other)
	}
	b.WriteString("\nNot shown:\n\n| id | level | reason |\n|---|---|---|\n")
	for _, r := range p.Register.Rows {
		switch r.State() {
		case "shown":
		case "excused":
			fmt.Fprintf(b, "| %s | %s | %s |\n", r.ID, r.Level, cell.Replace(r.Excuse))
		default:
			fmt.Fprintf(b, "| %s | %s | %s: %s |\n", r.ID, r.Level, r.State(), cell.Replace(r.Text))
		}
	}
}

func (p Page) mutants(b *strings.Builder) {
	b.WriteString("\n## Mutants\n\nRules broken one at a time, and how many of them a test noticed, when `devtool mutate --record` measured last. Equivalents, which no test\ncan notice, are [listed with their reasons](../conformance/equivalents.tsv).\n\n" +
		"| package | seed | mutants | tried | noticed | equivalent | share |\n|---|---|---|---|---|---|---|\n")
	for _, s := range p.Scores {
		fmt.Fprintf(b, "| %s | %d | %d | %d | %d | %d | %.1f %% |\n", s.Package, s.Seed, s.Mutants, s.Tried, s.Killed, s.Equivalent, 100*s.Rate())
	}
	b.WriteString("\n")
}
