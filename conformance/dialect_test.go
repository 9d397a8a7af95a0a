package conformance_test

import (
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dialect are words that comments of the libraries do not use: plain ones exist.
var dialect = regexp.MustCompile(`(?i)\b(can not|anew|farewell|whoever|of ours|time-outs?|hands? on|what came of|has not the type)\b`)

// TestPlainComments reads the comments of all Go files that are tracked and no tests, but
// for those of programs.
func TestPlainComments(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "*.go")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("git ls-files: %v: not a checkout", err)
	}
	names := slices.DeleteFunc(strings.Split(strings.TrimRight(string(out), "\x00"), "\x00"), func(n string) bool {
		return strings.HasSuffix(n, "_test.go") || !slices.Contains([]string{"dane", "dnssec", "pkix", "store", "sts", "tlsrpt", "rfc6125", "engine", "internal", "conformance"}, strings.SplitN(n, "/", 2)[0])
	})
	if len(names) < 100 {
		t.Fatalf("%d files", len(names))
	}
	for _, name := range names {
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, filepath.Join("..", name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range f.Comments {
			for _, w := range dialect.FindAllString(strings.Join(strings.Fields(strings.ReplaceAll(g.Text(), "\n", " ")), " "), -1) {
				t.Errorf("%s: %q; say it plainly", fset.Position(g.Pos()), w)
			}
		}
	}
}
