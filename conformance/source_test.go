package conformance_test

import (
	"cmp"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/conformance/register"
	"github.com/mxauth/mxauth/internal/filetest"
)

// leastInSource is how many MUST and MUST NOT of the register have their id on the line
// that enforces them. It may only rise. The two that are missing are about reports by
// mail, which mxauth does not send (excuses.tsv).
const leastInSource = 233

// A citation is an id in a comment, with what follows it.
type citation struct {
	id, rfc, section string // rfc and section are "" if they do not follow
	at               token.Position
}

// citations finds the requirement ids in the comments of the Go files below root that are
// not tests and not of the conformance suite, which enforces nothing.
func citations(t *testing.T, root string, reqs []register.Requirement) (out []citation) {
	t.Helper()
	var prefixes []string
	for _, r := range reqs {
		prefix, _, _ := strings.Cut(r.ID, "-")
		if !slices.Contains(prefixes, prefix) {
			prefixes = append(prefixes, regexp.QuoteMeta(prefix))
		}
	}
	slices.SortFunc(prefixes, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	id := regexp.MustCompile(`\b((?:` + strings.Join(prefixes, "|") + `)-[0-9A-Za-z.-]*-[0-9]{2,3})\b(?:: RFC ([0-9]+) section ([0-9A-Z.]*[0-9A-Z]))?`)
	files := token.NewFileSet()
	skip := func(path string) bool { return path == filepath.Join(root, "conformance") || isTest(path) }
	eachGoFile(t, root, skip, func(path string) {
		f, err := parser.ParseFile(files, path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range f.Comments {
			for _, c := range group.List {
				for _, m := range id.FindAllStringSubmatch(c.Text, -1) {
					out = append(out, citation{m[1], m[2], m[3], files.Position(c.Pos())})
				}
			}
		}
	})
	return out
}

// requirements reads the register.
func requirements(t *testing.T) []register.Requirement {
	t.Helper()
	f, err := os.Open("requirements.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	reqs, err := register.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return reqs
}

// TestRequirementsInSource: the ids of requirements in comments are those of the register,
// with its RFC and section, and no fewer than before.
func TestRequirementsInSource(t *testing.T) {
	reqs := requirements(t)
	by := map[string]register.Requirement{}
	for _, r := range reqs {
		by[r.ID] = r
	}
	binding := map[string]bool{}
	for _, c := range citations(t, "..", reqs) {
		r, ok := by[c.id]
		switch {
		case !ok:
			t.Errorf("%s: there is no requirement %s", c.at, c.id)
		case c.rfc != "" && (c.rfc != r.RFC || c.section != r.Section):
			t.Errorf("%s: %s is of RFC %s section %s, not of RFC %s section %s", c.at, c.id, r.RFC, r.Section, c.rfc, c.section)
		case r.Binding():
			binding[c.id] = true
		}
	}
	if n := len(binding); n != leastInSource {
		var missing []string
		for _, r := range reqs {
			if r.Binding() && !binding[r.ID] {
				missing = append(missing, r.ID)
			}
		}
		if n < leastInSource {
			t.Errorf("%d ids of MUST and MUST NOT are in the source, and there were %d; missing are %s", n, leastInSource, strings.Join(missing, " "))
		} else {
			t.Errorf("%d ids of MUST and MUST NOT are in the source: set leastInSource to that", n)
		}
	}
}

// TestCitations: an id is found in a comment alone, and one that does not exist is found too.
func TestCitations(t *testing.T) {
	reqs := []register.Requirement{{ID: "STS-3.3-10"}, {ID: "NSEC3-5155-8.1-01"}, {ID: "NSEC3-9276-3.2-02"}, {ID: "TA9718-SecCons-01"}}
	dir := filetest.Tree(t, map[string]string{
		"a.go": "package a\n\nvar a = \"STS-3.3-11\" // STS-3.3-10: RFC 8461 section 3.3; NSEC3-5155-8.1-01: RFC 5155 section 8.1\n" +
			"// NSEC3-9276-3.2-02, STS-9.9-99 (RFC 1) and TA9718-SecCons-01. XSTS-3.3-10 is none, nor is STS-3.3.\n",
		"a_test.go":          "package a\n\n// STS-1-01\n",
		"testdata/b.go":      "package b\n\n// STS-1-01\n",
		"conformance/c/c.go": "package c\n\n// STS-1-01\n",
	})
	var got []string
	for _, c := range citations(t, dir, reqs) {
		got = append(got, c.id+" "+c.rfc+" "+c.section)
	}
	want := []string{"STS-3.3-10 8461 3.3", "NSEC3-5155-8.1-01 5155 8.1", "NSEC3-9276-3.2-02  ", "STS-9.9-99  ", "TA9718-SecCons-01  "}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
