package conformance_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// dialect are words that no comment and no page uses: plain ones exist.
var dialect = regexp.MustCompile(`(?i)\b(can not|anew|farewell|whoever|of ours|time-outs?|hands? on|handed on|(came|comes) of (it|them|this|that)|has not the type|mends?|mended|nobody|tells? of|told of)\b`)

// dialectOfRules are words that the comments of rules, and not those of tests, do without as
// well.
var dialectOfRules = regexp.MustCompile(`(?i)\b(behind|beside|stands|tells|told)\b`)

// dialectOfTexts are words that the texts of the programs do without as well, because a mail
// administrator has to guess at them.
var dialectOfTexts = regexp.MustCompile(`(?i)\b(behind|beside|stands|is no help to|is meant|at the most|all the same|on (its|the) whole way|put in order|lets it go|rid of)\b`)

// plainUses are uses of these words that are technical English, and why.
var plainUses = map[string]string{
	"the users root and nobody":                  "a user of Unix",
	"sender behind NAT64":                        "the place in a network",
	"behind one address there are often several": "the place in a network",
	"// behind counts":                           "the name of a function",
	"// beside adds":                             "the name of a method",
	"// beside is":                               "the name of a function",
	"nobody is a Unix user":                      "a user of Unix",
	"`connection-time-out`":                      "a name of a state of the lab",
	"$NOBODY":                                    "a variable of the test scripts",
}

// plainDirs are the folders whose Go files are read. Those of cmd/mxauth are read for the
// first list only.
var plainDirs = []string{"advise", "cmd", "conformance", "dane", "dnssec", "docs", "engine", "internal", "pkix", "rfc6125", "store", "sts", "tlsrpt"}

// tracked lists the files of the repository with an ending.
func tracked(t *testing.T, ending string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "*"+ending)
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("git ls-files: %v: not a checkout", err)
	}
	return slices.DeleteFunc(strings.Split(strings.TrimRight(string(out), "\x00"), "\x00"), func(n string) bool {
		return strings.Contains(n, "testdata/")
	})
}

// uses lists the words of a text that are in a list, but for plain uses.
func uses(text string, lists ...*regexp.Regexp) (out []string) {
	text = strings.Join(strings.Fields(text), " ")
	for plain := range plainUses {
		text = strings.ReplaceAll(text, plain, "")
	}
	for _, list := range lists {
		out = append(out, list.FindAllString(text, -1)...)
	}
	return out
}

// TestPlainComments reads the comments of all Go files that are tracked, tests too.
func TestPlainComments(t *testing.T) {
	files := 0
	for _, name := range tracked(t, ".go") {
		dir, _, _ := strings.Cut(name, "/")
		if !slices.Contains(plainDirs, dir) || name == "conformance/dialect_test.go" {
			continue
		}
		files++
		lists := []*regexp.Regexp{dialect}
		if !strings.HasSuffix(name, "_test.go") && !strings.HasPrefix(name, "cmd/mxauth/") {
			lists = append(lists, dialectOfRules)
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, filepath.Join("..", name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range f.Comments {
			var text strings.Builder
			for _, c := range g.List {
				text.WriteString(c.Text + "\n")
			}
			for _, w := range uses(strings.ReplaceAll(text.String(), "\n// ", " "), lists...) {
				t.Errorf("%s: %q; say it plainly", fset.Position(g.Pos()), w)
			}
		}
	}
	if files < 300 {
		t.Errorf("%d files", files)
	}
}

// TestPlainTexts reads the string literals of the packages and programs; conformance has
// texts for the engineers of this project.
func TestPlainTexts(t *testing.T) {
	texts := 0
	for _, name := range tracked(t, ".go") {
		dir, _, _ := strings.Cut(name, "/")
		if !slices.Contains(plainDirs, dir) || dir == "conformance" || strings.HasSuffix(name, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, filepath.Join("..", name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING || len(strings.Fields(lit.Value)) < 3 {
				return true
			}
			texts++
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range uses(text, dialect, dialectOfTexts) {
				t.Errorf("%s: %q; say it plainly", fset.Position(lit.Pos()), w)
			}
			return true
		})
	}
	if texts < 2000 {
		t.Errorf("%d texts", texts)
	}
}

// generatedPages are made by programs, of texts that are read where they are written.
var generatedPages = []string{"docs/conformance.md", "docs/deviations.md", "docs/reasons.md", "docs/scoreboard.md"}

// TestPlainPages reads the pages that are written by hand.
func TestPlainPages(t *testing.T) {
	pages := 0
	for _, name := range tracked(t, ".md") {
		if slices.Contains(generatedPages, name) {
			continue
		}
		pages++
		b, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(b), "\n") {
			for _, w := range uses(line, dialect) {
				t.Errorf("%s:%d: %q; say it plainly", name, i+1, w)
			}
		}
	}
	if pages < 10 {
		t.Errorf("%d pages", pages)
	}
}

// vagueTypes are names of types that say nothing of what a value holds: participles and
// syllables.
var vagueTypes = regexp.MustCompile(`^(?i:.*[a-z])?(?i:told|news|rests|piece|stuff|asked|resolving|looking|judging|ruling|gathered|recalled|kept|updating|watching)$`)

// plainTypes are names of that kind that are nouns of the field, and why.
var plainTypes = map[string]string{
	"Asked":    "advise/survey: what was asked for",
	"STSAsked": "engine/reason: whether MTA-STS was asked; exported",
	"Told":     "cmd/mxauth/internal/page: what a mail server is told of the domain",
}

// TestPlainTypes reads the names of the types of all packages but tests.
func TestPlainTypes(t *testing.T) {
	types := 0
	for _, name := range tracked(t, ".go") {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			for _, s := range g.Specs {
				types++
				if n := s.(*ast.TypeSpec).Name.Name; vagueTypes.MatchString(n) && plainTypes[n] == "" {
					t.Errorf("%s: type %s: name what it holds", name, n)
				}
			}
		}
	}
	if types < 500 {
		t.Errorf("%d types", types)
	}
}

// TestDialect shows that the lists catch what they are for.
func TestDialect(t *testing.T) {
	for text, want := range map[string]int{
		"closes it without its farewell": 1, "Nobody waits.": 1, "what came of it": 1, "it tells of a drop": 2, "a store behind it": 1,
		"the users root and nobody own it": 0, "a sender behind NAT64": 0, "cannot": 0, "recommend": 0, "amended": 0, "standby": 0,
	} {
		if got := uses(text, dialect, dialectOfRules); len(got) != want {
			t.Errorf("%q: %q", text, got)
		}
	}
	for name, want := range map[string]bool{"told": true, "news": true, "gathered": true, "policyUpdating": true, "Record": false, "Setting": false} {
		if vagueTypes.MatchString(name) != want {
			t.Errorf("type %s", name)
		}
	}
}
