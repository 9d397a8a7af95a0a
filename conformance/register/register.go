// Package register ties the requirements of the RFCs to the tests that show them. The
// register is a table, one row a requirement with an id; a test that shows one carries
// the id at the beginning of its subtest's name:
//
//	t.Run("DANE7672-2.2-01 secure usable TLSA forces authenticated TLS", ...)
//
// [Read] takes the table, [Scan] the output of `go test -json`, and [Build] says of each
// requirement which subtests carry its id and whether they ran and passed.
package register

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
)

// ErrFormat is wrapped by every error about a malformed register or test output.
var ErrFormat = errors.New("register: malformed input")

// A Requirement is one row of the register.
type Requirement struct {
	ID      string
	Level   string // MUST, MUST NOT, SHOULD, SHOULD NOT, MAY or DEF
	RFC     string
	Section string
	Package string
	Text    string
}

// Binding reports whether the row must be shown or excused: MUST and MUST NOT.
func (r Requirement) Binding() bool { return r.Level == "MUST" || r.Level == "MUST NOT" }

// maxLine bounds a line of a register and of test output.
const maxLine = 1 << 20

// Read reads a register: a line of column names, then a row a requirement, columns
// parted by tabs: id, level, rfc, section, package, requirement; more may follow.
// Errors wrap [ErrFormat].
func Read(r io.Reader) ([]Requirement, error) {
	var out []Requirement
	seen := map[string]bool{}
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxLine)
	for n := 1; sc.Scan(); n++ {
		if n == 1 {
			if !strings.HasPrefix(sc.Text(), "id\tlevel\trfc\tsection\tpackage\trequirement") {
				return nil, fmt.Errorf("%w: line 1 has other columns", ErrFormat)
			}
			continue
		}
		f := strings.Split(sc.Text(), "\t")
		if len(f) < 6 || f[0] == "" || seen[f[0]] {
			return nil, fmt.Errorf("%w: line %d: too few columns, or an id that is missing or twice there", ErrFormat, n)
		}
		seen[f[0]] = true
		out = append(out, Requirement{f[0], f[1], f[2], f[3], f[4], f[5]})
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: no rows", ErrFormat)
	}
	return out, nil
}

// Excuses reads why rows need not be shown: lines of an id, a tab and a reason; blank
// lines and lines that begin with # are skipped. Errors wrap [ErrFormat].
func Excuses(r io.Reader) (map[string]string, error) {
	out := map[string]string{}
	sc := bufio.NewScanner(r)
	for n := 1; sc.Scan(); n++ {
		line := sc.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		id, why, ok := strings.Cut(line, "\t")
		if !ok || strings.TrimSpace(why) == "" || out[id] != "" {
			return nil, fmt.Errorf("%w: excuses, line %d: want an id, a tab and a reason, each id once", ErrFormat, n)
		}
		out[id] = strings.TrimSpace(why)
	}
	return out, sc.Err()
}

// A Test is one test or subtest of a run.
type Test struct {
	Package string
	Name    string // as go test prints it
	Result  string // "pass", "fail", "skip", or "" if it did not end
}

// Scan reads the output of `go test -json`. Lines that are no JSON, as build errors are,
// are passed over. A name that ended more than once keeps its worst result.
func Scan(r io.Reader) ([]Test, error) {
	rank := map[string]int{"": 0, "pass": 1, "skip": 2, "fail": 3}
	index := map[[2]string]int{}
	var out []Test
	br := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := br.ReadBytes('\n')
		var e struct{ Action, Package, Test string }
		if len(line) > 0 && json.Unmarshal(line, &e) == nil && e.Test != "" {
			key := [2]string{e.Package, e.Test}
			i, ok := index[key]
			if !ok {
				i = len(out)
				index[key] = i
				out = append(out, Test{Package: e.Package, Name: e.Test})
			}
			if rank[e.Action] > rank[out[i].Result] {
				out[i].Result = e.Action
			}
		}
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFormat, err)
		}
	}
}

// IDs returns the ids that the last part of a subtest's name begins with. known says
// which words are ids. go test has turned blanks to underscores.
func IDs(name string, known func(string) bool) []string {
	last := name[strings.LastIndexByte(name, '/')+1:]
	var out []string
	for _, w := range strings.FieldsFunc(last, func(c rune) bool { return c == '_' || c == ' ' || c == ',' }) {
		// A name that is there twice gets #01 after it.
		w, _, _ = strings.Cut(w, "#")
		w = strings.TrimSuffix(w, ":")
		if !known(w) {
			break
		}
		out = append(out, w)
	}
	return out
}

// A Row is what the tests say of one requirement.
type Row struct {
	Requirement
	Tests  []Test
	Excuse string
}

// State is "shown" (at least one subtest passed and none failed), "failed", "skipped"
// (those that carry the id did not run), "excused" or "missing".
func (r Row) State() string {
	passed := false
	for _, t := range r.Tests {
		switch t.Result {
		case "fail", "":
			return "failed"
		case "pass":
			passed = true
		}
	}
	switch {
	case passed:
		return "shown"
	case r.Excuse != "":
		return "excused"
	case len(r.Tests) > 0:
		return "skipped"
	}
	return "missing"
}

// A Table is the register with what the tests say.
type Table struct {
	Rows []Row
	// Stray are ids in excuses that the register does not have.
	Stray []string
}

// Build ties tests to rows.
func Build(reqs []Requirement, excuses map[string]string, tests []Test) Table {
	at := map[string]int{}
	t := Table{Rows: make([]Row, len(reqs))}
	for i, r := range reqs {
		at[r.ID] = i
		t.Rows[i] = Row{Requirement: r, Excuse: excuses[r.ID]}
	}
	known := func(id string) bool { _, ok := at[id]; return ok }
	for _, test := range tests {
		for _, id := range IDs(test.Name, known) {
			r := &t.Rows[at[id]]
			r.Tests = append(r.Tests, test)
		}
	}
	for id := range excuses {
		if !known(id) {
			t.Stray = append(t.Stray, id)
		}
	}
	sort.Strings(t.Stray)
	return t
}

// Count counts the rows for which keep is true (nil: all), and those of them in state.
func (t Table) Count(state string, keep func(Requirement) bool) (n, of int) {
	for _, r := range t.Rows {
		if keep != nil && !keep(r.Requirement) {
			continue
		}
		of++
		if r.State() == state {
			n++
		}
	}
	return n, of
}

// Faults says what makes the register fail: MUST and MUST NOT rows that are neither
// shown nor excused, rows whose test failed, excuses of rows that are shown, and
// excuses of unknown ids.
func (t Table) Faults() []string {
	var out []string
	for _, r := range t.Rows {
		switch s := r.State(); {
		case s == "failed":
			out = append(out, r.ID+": a test that carries it failed")
		case s == "shown" && r.Excuse != "":
			out = append(out, r.ID+": excused, but shown: drop the excuse")
		case (s == "missing" || s == "skipped") && r.Binding():
			out = append(out, fmt.Sprintf("%s (%s, RFC %s s.%s, %s): %s", r.ID, r.Level, r.RFC, r.Section, r.Package, s))
		}
	}
	for _, id := range t.Stray {
		out = append(out, id+": excused, but not in the register")
	}
	return out
}
