package lab_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/conformance/lab"
)

var updateTable = flag.Bool("update-table", false, "write the worlds of each row into docs/decision-table.md")

// shownAtMost is how many worlds the page names for a row.
const shownAtMost = 2

// Each row of docs/decision-table.md names what shows it: worlds of the lab, or a test of
// package engine or sts. Each row of the lab is on the page.
func TestDecisionTablePage(t *testing.T) {
	const page = "../../docs/decision-table.md"
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	tests := testSources(t)
	found := map[string]bool{}
	lines := strings.SplitAfter(string(b), "\n")
	for i, line := range lines {
		cells := strings.Split(strings.TrimSuffix(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "| ") || len(cells) < 4 {
			continue
		}
		row := strings.TrimSpace(cells[1])
		if !rowID.MatchString(row) {
			continue
		}
		found[row] = true
		shown := strings.TrimSpace(cells[len(cells)-1])
		if name := shown; strings.HasPrefix(name, "Test") {
			src := tests[name]
			if src == "" {
				t.Errorf("row %s: there is no test %s", row, name)
			} else if !regexp.MustCompile(`\b` + row + `\b`).MatchString(src) {
				t.Errorf("row %s: the file of %s does not name it", row, name)
			}
			continue
		}
		want := strings.Join(worldsOf(row), ", ")
		if want == "" {
			// A row that is not among lab.Rows: the page names a world by hand.
			if name := strings.Trim(shown, "`"); !slices.ContainsFunc(lab.Worlds(), func(w lab.World) bool { return w.Name == name }) {
				t.Errorf("row %s: neither a world nor a test shows it", row)
			}
			continue
		}
		if shown == want {
			continue
		}
		if !*updateTable {
			t.Errorf("row %s: the page says %s, want %s (go test ./conformance/lab -run TestDecisionTablePage -update-table)", row, shown, want)
			continue
		}
		cells[len(cells)-1] = " " + want + " "
		lines[i] = strings.Join(cells, "|") + "|\n"
	}
	for _, r := range lab.Rows() {
		name, _, isCombination := strings.Cut(r, "/")
		if isCombination && strings.HasPrefix(name, "C") {
			r = name
		}
		if !found[r] {
			t.Errorf("row %s is not on the page", r)
		}
	}
	if *updateTable {
		if err := os.WriteFile(page, []byte(strings.Join(lines, "")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

var rowID = regexp.MustCompile(`^([MSATRCQO][0-9]+b?|level/[a-z-]+|[67]/\S+)$`)

// worldsOf lists the first worlds that show a row, as the page writes them.
func worldsOf(row string) (out []string) {
	for _, w := range lab.Worlds() {
		if slices.ContainsFunc(w.Rows, func(r string) bool { return r == row || strings.HasPrefix(r, row+"/") }) && len(out) < shownAtMost {
			out = append(out, "`"+w.Name+"`")
		}
	}
	return out
}

// testSources maps each test of the packages with rules to the text of its file.
func testSources(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, dir := range []string{"../../engine", "../../sts", "../../engine/explain"} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range testFunc.FindAllStringSubmatch(string(b), -1) {
				out[m[1]] += string(b)
			}
		}
	}
	return out
}

var testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
