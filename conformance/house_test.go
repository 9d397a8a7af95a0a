package conformance_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/mxauth/mxauth"

// floors say which packages of the module each room may import (docs/design: arrows point
// down only). A room is a folder with all below it, and may always import itself. A
// room that is not here may import everything.
var floors = map[string][]string{
	"rfc6125":              {"internal/text", "internal/fault"},
	"store":                {"internal/fault", "internal/inflight"},
	"dnssec":               {"rfc6125", "internal/tlsfloor", "internal/text", "internal/fault", "internal/inflight"},
	"pkix":                 {"rfc6125", "internal/text", "internal/fault"},
	"dane":                 {"dnssec", "pkix", "rfc6125", "internal/text", "internal/fault"},
	"sts":                  {"dnssec", "pkix", "store", "rfc6125", "internal/tlsfloor", "internal/specialaddr", "internal/fault", "internal/inflight"},
	"tlsrpt":               {"dnssec", "rfc6125", "internal/fault"},
	"engine":               {"dane", "sts", "tlsrpt", "dnssec", "pkix", "store", "rfc6125", "internal/text", "internal/fault", "internal/tlswire", "internal/zonefile", "internal/specialaddr", "internal/literal"},
	"engine/exception":     {"engine/internal/enum", "tlsrpt", "rfc6125", "internal/fault"},
	"engine/memory":        {"engine/internal/enum", "sts", "store", "rfc6125", "internal/fault"},
	"engine/reason":        {"engine/internal/enum", "engine/memory", "dane", "sts", "tlsrpt", "dnssec", "rfc6125"},
	"advise":               {"engine", "dane", "sts", "tlsrpt", "dnssec", "pkix", "rfc6125", "internal"},
	"conformance/vectors":  {},
	"conformance/sets":     {"engine", "dane", "sts", "tlsrpt", "dnssec", "pkix", "rfc6125", "conformance/vectors", "internal/certtest", "internal/dnsfake"},
	"conformance/lab":      {"engine", "rfc6125", "internal/certtest", "internal/dnsfake", "internal/dnstree", "internal/tlstest"}, // engine for the request of a world; it judges by itself
	"conformance/generate": {"internal/dnsfake", "internal/dnstree"},
	"internal/certtest":    {},
	"internal/porttest":    {},
	"internal/dnstree":     {},
	"internal/dnsfake":     {"dnssec", "rfc6125", "internal/dnstree"},
	"conformance/grammar":  {},
}

// owners say which rooms may import a module that is not for everybody.
var owners = map[string][]string{
	"github.com/miekg/dns":                  {"dnssec", "conformance", "internal/dnsfake", "internal/dnstree"},
	"github.com/spf13/cobra":                {"cmd"},
	"github.com/spf13/pflag":                {"cmd"},
	"github.com/BurntSushi/toml":            {"cmd"},
	"github.com/prometheus":                 {"cmd"},
	"github.com/coreos/go-systemd":          {"cmd"},
	"golang.org/x/term":                     {"cmd"},
	"go.etcd.io/bbolt":                      {"store/bolt"},
	"github.com/valkey-io/valkey-go":        {"store/valkey"},
	"github.com/hashicorp/golang-lru":       everybody,
	"golang.org/x/net":                      everybody,
	"golang.org/x/sync":                     everybody,
	"golang.org/x/time":                     everybody,
	"golang.org/x/crypto":                   everybody,
	"github.com/google/go-cmp":              testsOnly,
	"pgregory.net/rapid":                    testsOnly,
	"go.uber.org/goleak":                    testsOnly,
	"github.com/rogpeppe/go-internal":       testsOnly,
	"github.com/alicebob/miniredis":         testsOnly,
	"github.com/emersion/go-smtp":           testsOnly,
	"github.com/creack/pty":                 testsOnly,
	module + "/internal/dnsfake":            {"conformance", "internal/dnsfake"},
	module + "/internal/dnsfake/hostile":    testsOnly,
	module + "/internal/dnstree":            {"conformance", "internal/dnsfake"},
	module + "/internal/certtest":           {"conformance"},
	module + "/internal/tlstest":            {"conformance"},
	module + "/internal/filetest":           testsOnly,
	module + "/internal/nametest":           testsOnly,
	module + "/internal/servetest":          testsOnly,
	module + "/internal/smtptest":           testsOnly,
	module + "/internal/porttest":           {"conformance/peers"},
	module + "/cmd/mxauth/internal/manpage": testsOnly,
	module + "/internal/eachfield":          testsOnly,
	module + "/conformance/lab/labtest":     testsOnly,
	module + "/conformance/sets/setstest":   testsOnly,
	module + "/store/storetest":             testsOnly,
	module + "/conformance/peers":           testsOnly,
	module + "/store/bolt":                  {"cmd", "conformance"},
	module + "/store/valkey":                {"cmd", "conformance"},
	module + "/conformance/vectors":         {"conformance", "cmd/mxconform"},
	module + "/conformance/lab":             {"conformance", "cmd"},
	module + "/conformance":                 {"conformance", "cmd"},
	module + "/cmd/mxauth":                  {"cmd/mxauth"},
	module + "/conformance/mutate":          {"cmd/devtool"},
	module + "/cmd/mxconform":               {},
	"github.com/chromedp":                   testsOnly,
}

var (
	everybody = []string{""}
	testsOnly = []string{}
)

// under reports whether path is root or lies below it; everything lies below "".
func under(path, root string) bool {
	return root == "" || path == root || strings.HasPrefix(path, root+"/")
}

// forbidden says why a package of the module may not import path, "" if it may. room is the
// package's folder; test says that only a _test.go file does.
func forbidden(room, path string, test bool) string {
	first, _, _ := strings.Cut(path, "/")
	if !strings.Contains(first, ".") {
		return "" // standard library
	}
	if test {
		return ""
	}
	if path == module { // the front door: for programs and advice, and for nothing below it
		if under(room, "cmd") || under(room, "advise") || under(room, "docs") {
			return ""
		}
		return "the front door is for programs, examples and package advise"
	}
	ours, isOurs := strings.CutPrefix(path, module+"/")
	if isOurs {
		for floor, allowed := range floors {
			if !under(room, floor) || under(ours, floor) {
				continue
			}
			if !slices.ContainsFunc(allowed, func(a string) bool { return under(ours, a) }) {
				return fmt.Sprintf("%s may import only %v of ours", floor, allowed)
			}
		}
	}
	longest := ""
	for owner := range owners {
		if under(path, owner) && len(owner) > len(longest) {
			longest = owner
		}
	}
	switch {
	case longest == "" && isOurs:
		return ""
	case longest == "":
		return "a module that nobody has asked for"
	case isOurs && under(ours, room): // a package's own test helper, imported by its sibling
		return ""
	case slices.ContainsFunc(owners[longest], func(o string) bool { return under(room, o) }):
		return ""
	}
	return fmt.Sprintf("%s is for %v only (and tests)", longest, owners[longest])
}

// A listed is what `go list` says of a package.
type listed struct {
	ImportPath   string
	Dir          string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
}

func list(t *testing.T, args ...string) []listed {
	t.Helper()
	return goList[listed](t, append([]string{"-json=ImportPath,Dir,Imports,TestImports,XTestImports,Deps"}, args...)...)
}

// goList runs go list, which prints an object for each package.
func goList[T any](t *testing.T, args ...string) (all []T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p T
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// eachGoFile calls f for each Go file below root outside testdata and hidden folders; skip
// says which other folders and files are left out.
func eachGoFile(t *testing.T, root string, skip func(path string) bool, f func(path string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != root || skip(path)):
			return filepath.SkipDir
		case !d.IsDir() && strings.HasSuffix(path, ".go") && !skip(path):
			f(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// parsed returns the syntax of a file; src nil: what the file holds.
func parsed(t *testing.T, name string, src []byte) (*token.FileSet, *ast.File) {
	t.Helper()
	fset := token.NewFileSet()
	var from any // a nil slice in an interface would be an empty file
	if src != nil {
		from = src
	}
	f, err := parser.ParseFile(fset, name, from, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return fset, f
}

// isTest reports whether a file is one of tests.
func isTest(path string) bool { return strings.HasSuffix(path, "_test.go") }

// TestHouse holds every import of every package against the rules.
func TestHouse(t *testing.T) {
	pkgs := list(t, module+"/...")
	if len(pkgs) < len(floors) {
		t.Fatalf("only %d packages found", len(pkgs))
	}
	for _, p := range pkgs {
		room := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		for _, path := range p.Imports {
			if why := forbidden(room, path, false); why != "" {
				t.Errorf("%s imports %s: %s", room, path, why)
			}
		}
	}
}

// TestHouseRules shows that each rule catches what it is there for.
func TestHouseRules(t *testing.T) {
	for _, c := range []struct {
		room, path string
		test, ok   bool
	}{
		{"engine", "net/http", false, true},
		{"engine", module + "/dane", false, true},
		{"engine/probe", module + "/engine", false, true},
		{"engine", module + "/store", false, true},
		{"engine", module + "/store/bolt", false, false},
		{"engine/exception", module + "/engine", false, false},
		{"engine/memory", module + "/engine", false, false},
		{"engine/memory", module + "/store", false, true},
		{"engine/reason", module + "/engine", false, false},
		{"engine/reason", module + "/engine/memory", false, true},
		{"sts", module + "/store/valkey", false, false},
		{"cmd/mxauth", module + "/store/bolt", false, true},
		{"engine", module + "/conformance/lab", false, false},
		{"engine", module + "/conformance/lab", true, true},
		{"engine", module + "/cmd/mxauth", false, false},
		{"engine/probe", module, false, false},
		{"engine", module, true, true},
		{"cmd/mxauth", module, false, true},
		{"advise/survey", module, false, true},
		{"dane", module + "/sts", false, false},
		{"dane", module + "/tlsrpt", false, false},
		{"sts", module + "/dane", false, false},
		{"sts", module + "/engine", false, false},
		{"tlsrpt", module + "/dane", false, false},
		{"rfc6125", module + "/dnssec", false, false},
		{"dnssec", module + "/pkix", false, false},
		{"dnssec/upstream", module + "/dnssec", false, true},
		{"pkix", module + "/dnssec", false, false},
		{"store/bolt", module + "/store", false, true},
		{"store", module + "/rfc6125", false, false},
		{"conformance/lab", module + "/engine", false, true},
		{"conformance/lab", module + "/dane", false, false},
		{"conformance/vectors/deckard", module + "/rfc6125", false, false},
		{"cmd/mxauth", module + "/conformance/lab", false, true},
		{"cmd/mxauth", module + "/conformance/peers", false, false},
		{"sts", module + "/internal/dnsfake", false, false},
		{"sts", module + "/internal/dnsfake", true, true},
		{"cmd/mxauth", module + "/internal/dnsfake/hostile", false, false},
		{"cmd/mxauth", module + "/internal/certtest", false, false},
		{"conformance/lab", module + "/internal/certtest", false, true},
		{"dane", "github.com/miekg/dns", false, false},
		{"dane", "github.com/miekg/dns", true, true},
		{"dnssec/wire", "github.com/miekg/dns", false, true},
		{"conformance/lab", "github.com/miekg/dns", false, true},
		{"cmd/mxauth", "github.com/miekg/dns", false, false},
		{"engine", "github.com/spf13/cobra", false, false},
		{"engine", "github.com/prometheus/client_golang/prometheus", false, false},
		{"store", "go.etcd.io/bbolt", false, false},
		{"store/bolt", "go.etcd.io/bbolt", false, true},
		{"store/bolt", "github.com/valkey-io/valkey-go", false, false},
		{"sts", "example.org/anything", false, false},
	} {
		if why := forbidden(c.room, c.path, c.test); (why == "") != c.ok {
			t.Errorf("%s imports %s (test: %v): %q", c.room, c.path, c.test, why)
		}
	}
}

// light are the modules that come with the root package and the engine into a program.
var light = []string{"github.com/miekg/dns", "golang.org/x/net", "github.com/hashicorp/golang-lru", "golang.org/x/sync", "golang.org/x/crypto", "golang.org/x/text", module}

// TestFrontDoorIsLight: a program that imports the root package, or the engine alone, builds
// no other module than those, and none of the stores and packages for programs and tests.
// Of x/text, x/net/idna needs the tables.
func TestFrontDoorIsLight(t *testing.T) {
	for _, p := range list(t, module, module+"/engine", module+"/engine/probe") {
		if !slices.Contains(p.Deps, module+"/dane") {
			t.Errorf("%s does not even depend on dane: is this the import graph?", p.ImportPath)
		}
		for _, d := range p.Deps {
			first, _, _ := strings.Cut(d, "/")
			if strings.Contains(first, ".") && !slices.ContainsFunc(light, func(m string) bool { return under(d, m) }) {
				t.Errorf("%s pulls the module of %s into its user's build", p.ImportPath, d)
			}
			for _, heavy := range []string{module + "/cmd", module + "/conformance", module + "/advise", module + "/internal/certtest", module + "/internal/dnsfake", module + "/internal/dnstree", module + "/store/bolt", module + "/store/valkey", "testing"} {
				if under(d, heavy) {
					t.Errorf("%s pulls %s into its user's build", p.ImportPath, d)
				}
			}
		}
	}
}

// maxFileLines is how long a file may be before it holds a second idea.
const maxFileLines = 600

// TestFiles holds what stands in the files against the rules that need no compiler: no
// init functions, no sleeping tests, nothing left to be written, no endless files.
func TestFiles(t *testing.T) {
	root := ".."
	files := 0
	eachGoFile(t, root, func(string) bool { return false }, func(path string) {
		files++
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, why := range faults(t, path, src) {
			t.Errorf("%s: %s", path, why)
		}
	})
	if files < 50 {
		t.Errorf("only %d files looked at", files)
	}
}

// faults lists what is wrong with one file.
func faults(t *testing.T, path string, src []byte) (out []string) {
	t.Helper()
	test := isTest(path)
	if n := bytes.Count(src, []byte("\n")); n > maxFileLines && !test {
		out = append(out, fmt.Sprintf("%d lines", n))
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path, src, parser.SkipObjectResolution|parser.ParseComments)
	if err != nil {
		return append(out, err.Error())
	}
	// Under synctest the time that a test sleeps through is imitated.
	imitated := slices.ContainsFunc(f.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"testing/synctest"` })
	at := func(n ast.Node) string { return fmt.Sprintf("line %d: ", fset.Position(n.Pos()).Line) }
	for _, g := range f.Comments {
		for _, word := range []string{"TO" + "DO", "FIX" + "ME"} {
			if strings.Contains(g.Text(), word) {
				out = append(out, at(g)+"a comment says "+word)
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Name.Name == "init" && n.Recv == nil {
				out = append(out, at(n)+"an init function")
			}
		case *ast.CallExpr:
			name := called(n)
			if test && !imitated && name == "time.Sleep" {
				out = append(out, at(n)+"a test that sleeps")
			}
			if lit, ok := first(n).(*ast.BasicLit); ok && name == "panic" && strings.Contains(lit.Value, "unbuilt") {
				out = append(out, at(n)+"a stub")
			}
		}
		return true
	})
	return out
}

// called is the name of what a call calls, "" if it is not a plain name.
func called(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok {
			return x.Name + "." + f.Sel.Name
		}
	}
	return ""
}

func first(c *ast.CallExpr) ast.Expr {
	if len(c.Args) == 0 {
		return nil
	}
	return c.Args[0]
}

// TestFaults shows that each rule of TestFiles catches what it is there for.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		path, src, want string
	}{
		{"a.go", "package a\n\nfunc init() {}\n", "line 3: an init function"},
		{"a_test.go", "package a\n\nimport \"time\"\n\nfunc f() { time.Sleep(1) }\n", "line 5: a test that sleeps"},
		{"a.go", "package a\n\nimport \"time\"\n\nfunc f() { time.Sleep(1) }\n", ""},
		{"a_test.go", "package a\n\nimport \"testing/synctest\"\n\nvar _ = synctest.Test\n\nfunc f() { time.Sleep(1) }\n", ""},
		{"a.go", "package a\n\nfunc f() { panic(\"unbuilt\") }\n", "line 3: a stub"},
		{"a.go", "package a\n\n// TO" + "DO: more\n", "line 3: a comment says TO" + "DO"},
		{"a.go", "package a\n" + strings.Repeat("\n", maxFileLines), "601 lines"},
		{"a.go", "package a\n\ntype t struct{}\n\nfunc (t) init() {}\n", ""},
	} {
		if got := strings.Join(faults(t, c.path, []byte(c.src)), "; "); got != c.want {
			t.Errorf("%q: %q, want %q", c.src[:min(len(c.src), 60)], got, c.want)
		}
	}
}

// flagName is the name of an option as the command line spells it.
var flagName = regexp.MustCompile(`(^|[^-\pL\pN])--[a-z]`)

// TestLibrariesKnowNoFlags: a library names a cure or an option, and the program adds how its
// command line spells it.
func TestLibrariesKnowNoFlags(t *testing.T) {
	files := 0
	skip := func(path string) bool { return path == "../cmd" || path == "../conformance" || isTest(path) }
	eachGoFile(t, "..", skip, func(path string) {
		files++
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range flagNames(t, path, src) {
			t.Errorf("%s: %s", path, s)
		}
	})
	if files < 100 {
		t.Errorf("%d files", files)
	}
	for src, want := range map[string]int{
		`var s = "name it with --resolver ADDR"`: 1, "var s = `--dnssec`": 1, `var s = "ab--cd.example"`: 0, `var s = "-----BEGIN"`: 0, `var s = "certbot renew --reuse-key, or mxauth --x"`: 1, `var s = "certbot renew --reuse-key"`: 0, "// --comment\nvar s = 1": 0,
	} {
		if got := flagNames(t, "a.go", []byte("package a\n\n"+src+"\n")); len(got) != want {
			t.Errorf("%s: %q", src, got)
		}
	}
}

// otherProgram is a command of another program, whose flags an owner may be told.
var otherProgram = regexp.MustCompile(`\b(certbot|lego|openssl) [^,;.)]*`)

// flagNames lists the string literals of a file that name a flag.
func flagNames(t *testing.T, name string, src []byte) (out []string) {
	t.Helper()
	fset, f := parsed(t, name, src)
	ast.Inspect(f, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil && flagName.MatchString(otherProgram.ReplaceAllString(text, "")) {
				out = append(out, fmt.Sprintf("line %d: %s", fset.Position(lit.Pos()).Line, lit.Value))
			}
		}
		return true
	})
	return out
}
