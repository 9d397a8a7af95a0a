package conformance_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fiveWords is how long a text may be where the program decides: it does so in data, and
// only engine/explain makes sentences. Errors, panics and logs are no sentences about a plan.
const fiveWords = 5

// deciders are the packages that decide.
var deciders = []string{"dane", "engine", "engine/exception", "engine/memory", "engine/reason", "rfc6125"}

// errorMakers are functions and fields of them whose texts end in an error.
var errorMakers = []string{
	"errors.New", "fmt.Errorf", "fault.New", "fault.Errorf", "panic", "bad",
	"fail",                                                         // dane.ReadMaterial: wraps ErrMaterial
	"id.Invalid", "p.ids[i].Invalid", "checkHost", "presentedName", // rfc6125: what is wrong with the text of a name
}

// TestDecidersMakeNoSentences holds the string literals of the packages that decide against
// that.
func TestDecidersMakeNoSentences(t *testing.T) {
	for _, dir := range deciders {
		files := 0
		for _, name := range goFiles(t, dir) {
			files++
			for _, s := range sentences(t, name) {
				t.Errorf("%s: %s", name, s)
			}
		}
		if files == 0 {
			t.Errorf("no files in %s", dir)
		}
	}
	for src, want := range map[string]int{
		`var s = f("one two three four five six")`:                                                    1,
		`var e = errors.New("one two three four five six")`:                                           0,
		`const whyNoLeaf = "does not match what the server presented"`:                                1, // as package dane had
		`func f() { t.Why = "does not match what the server presented" }`:                             1,
		`func f() (why string) { return "usage " + u.String() + " is not used for SMTP (RFC 7672)" }`: 1,
		`func f() { id.Invalid = "an address in the place of a name" }`:                               0,
		`func f() { l.Warn("one two three four five six") }`:                                          0,
	} {
		name := filepath.Join(t.TempDir(), "a.go")
		if err := os.WriteFile(name, []byte("package a\n\n"+src+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := sentences(t, name); len(got) != want {
			t.Errorf("%s: %q", src, got)
		}
	}
}

// TestExplainReadsNoTexts: engine/explain reads the fields and the kinds of an error, and looks
// for no words in its text, which the package that makes the error may change.
func TestExplainReadsNoTexts(t *testing.T) {
	files := goFiles(t, "engine/explain")
	for _, name := range files {
		for _, s := range readTexts(t, name) {
			t.Errorf("%s: %s", name, s)
		}
	}
	if len(files) == 0 {
		t.Error("no files")
	}
	for src, want := range map[string]int{
		`var x = strings.Contains(e.Detail, "serverAuth")`:                                                  1,
		`var x = strings.HasPrefix(err.Error(), "no ")`:                                                     1,
		`func f() { detail := clip(e.Detail); g(strings.Contains(detail, "serverAuth")) }`:                  1,
		`func f() { var d = ""; if e != nil { d = clip(e.Why) }; in := " " + d; strings.Cut(in, ": ") }`:    1,
		`func f() { detail := clip(p.Detail); strings.Replace(detail, sts.ErrPolicy.Error()+": ", "", 1) }`: 1,
		`const phrase = "no "; var x = strings.HasPrefix(e.Detail, phrase)`:                                 1,
		`var x = strings.TrimPrefix(clip(p.Detail), alertWords)`:                                            0,
		`func f() { detail := clip(e.Detail); g(strings.Contains(detail, e.Field)) }`:                       0,
		`func f() { detail := e.Kind; g(strings.Contains(detail, "a")) }`:                                   0,
	} {
		name := filepath.Join(t.TempDir(), "a.go")
		if err := os.WriteFile(name, []byte("package a\n\n"+src+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := readTexts(t, name); len(got) != want {
			t.Errorf("%s: %q", src, got)
		}
	}
}

// seekers are the functions of package strings that find words in a text.
var seekers = []string{
	"Contains", "Count", "Cut", "CutPrefix", "CutSuffix", "EqualFold", "HasPrefix", "HasSuffix", "Index", "LastIndex",
	"Replace", "ReplaceAll", "Split", "SplitN", "TrimPrefix", "TrimSuffix",
}

// readTexts lists the calls of seekers with words of the program's own, by which it looks into
// the text of an error: what Error returns or a field such as Detail holds, or a variable that
// was made of one.
func readTexts(t *testing.T, name string) (out []string) {
	t.Helper()
	fset, f := parsed(t, name, nil)
	made := map[string]bool{} // variables of the function that hold the text of an error
	isText := func(e ast.Expr) (is bool) {
		ast.Inspect(e, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				is = is || slices.Contains([]string{"Error", "Detail", "Why"}, n.Sel.Name)
			case *ast.Ident:
				is = is || made[n.Name]
			}
			return true
		})
		return is
	}
	hasWords := func(e ast.Expr) (has bool) {
		if i, ok := e.(*ast.Ident); ok {
			return i.Name != "alertWords" // of crypto/tls, which has no type for them
		}
		ast.Inspect(e, func(n ast.Node) bool {
			_, ok := n.(*ast.BasicLit)
			has = has || ok
			return true
		})
		return has
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			clear(made)
		case *ast.AssignStmt:
			for i, l := range n.Lhs {
				if v, ok := l.(*ast.Ident); ok && len(n.Lhs) == len(n.Rhs) && isText(n.Rhs[i]) {
					made[v.Name] = true
				}
			}
		case *ast.CallExpr:
			s, ok := n.Fun.(*ast.SelectorExpr)
			if ok && types.ExprString(s.X) == "strings" && slices.Contains(seekers, s.Sel.Name) && isText(n.Args[0]) && hasWords(n.Args[1]) {
				out = append(out, fmt.Sprintf("line %d: %s", fset.Position(n.Pos()).Line, types.ExprString(n)))
			}
		}
		return true
	})
	return out
}

// goFiles lists the files of a package, without its tests.
func goFiles(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob("../" + dir + "/*.go")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(names, func(n string) bool { return strings.HasSuffix(n, "_test.go") })
}

// sentences lists the literals of more than five words that no error, panic or log is made
// of.
func sentences(t *testing.T, name string) (out []string) {
	t.Helper()
	fset, f := parsed(t, name, nil)
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			return !slices.Contains(errorMakers, n.Name.Name)
		case *ast.CallExpr:
			if s, ok := n.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Warn" {
				return false
			}
			return !slices.Contains(errorMakers, called(n))
		case *ast.AssignStmt:
			return !slices.Contains(errorMakers, types.ExprString(n.Lhs[len(n.Lhs)-1]))
		case *ast.BasicLit:
			if n.Kind == token.STRING && len(strings.Fields(n.Value)) > fiveWords {
				out = append(out, fmt.Sprintf("line %d: %s", fset.Position(n.Pos()).Line, n.Value))
			}
		}
		return true
	})
	return out
}

// proseNames are names of fields that hold a sentence in many programs.
var proseNames = []string{"Why", "Because", "Cause", "Detail", "Details", "Explanation", "Message", "Reason", "Text", "Note"}

// proseFields are the exported string fields of libraries with such a name, and why each is no
// state that a rule could read.
var proseFields = map[string]string{
	"dnssec.Reason.Text":                 "the text of an error; Code is for rules",
	"dnssec.ExtendedError.Text":          "what the resolver said (RFC 8914)",
	"dnssec/wire.ExtendedError.Text":     "what the resolver said (RFC 8914)",
	"dnssec.NegativeAnchor.Reason":       "the operator's own words",
	"dnssec/probe.Finding.Text":          "what the check of a resolver prints; Check and Grade are for rules",
	"dnssec/proof.Error.Text":            "the text of an error",
	"engine.Try.Text":                    "what the server said",
	"engine.OwnTLS.Detail":               "the suite, the group or the text of an error of the TLS library; Obstacle is for rules",
	"engine/evidence.Message.Detail":     "the text of an error in a file",
	"engine/evidence.OwnTLS.Detail":      "engine.OwnTLS.Detail in a file",
	"engine/evidence.Peer.Detail":        "engine.Peer.Detail in a file",
	"engine/evidence.Policy.Text":        "the policy as it was served",
	"engine/evidence.Verdict.Reason":     "the id of the rule",
	"engine/evidence.HostVerdict.Reason": "the id of the rule",
	"engine/mtapolicy.Reply.Text":        "the reply on the wire",
	"sts.FetchError.Detail":              "the text of an error; Kind is for rules",
	"sts.Record.Text":                    "the record as it is in the zone",
	"tlsrpt.Record.Text":                 "the record as it is in the zone",
	"engine.Peer.Detail":                 "the text of a network error; Ending is for rules",
	"engine/evidence.Syntax.Text":        "the line at fault of sts.SyntaxError in a file",
	"engine/evidence.Syntax.Why":         "sts.SyntaxError.Why in a file",
	"engine/exception.Exception.Reason":  "the operator's own words",
	"engine/exception.Error.Why":         "the text of an error",
	"engine/reason.Reply.Text":           "what the server said",
	"pkix.Error.Detail":                  "the text of an error; Kind is for rules",
	"pkix.Fault.Why":                     "what the certificate reader could not read; Field is for rules",
	"rfc6125.Identifier.Text":            "the name as it is in the certificate",
	"sts.Finding.Text":                   "the line at fault",
	"sts.Finding.Why":                    "what the linter prints; Field and Fatal are for rules",
	"sts.Policy.Text":                    "the policy as it was served",
	"sts.SyntaxError.Text":               "the line at fault",
	"sts.SyntaxError.Why":                "the text of an error; Kind and Field are for rules",
	"tlsrpt.SyntaxError.Text":            "the record at fault",
	"tlsrpt.SyntaxError.Why":             "the text of an error",
}

// TestNoProseFields: a library has no exported field for a sentence that rules could read
// as state, as dane.RecordUse.Why was.
func TestNoProseFields(t *testing.T) {
	found := map[string]bool{}
	for _, p := range list(t, module+"/...") {
		dir := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if first, _, _ := strings.Cut(dir, "/"); first == "cmd" || first == "conformance" || first == "advise" || first == "docs" || first == "internal" || dir == "engine/explain" {
			continue
		}
		for _, name := range goFiles(t, dir) {
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, field := range proseFieldsOf(f) {
				field = dir + "." + field
				found[field] = true
				if proseFields[field] == "" {
					t.Errorf("%s: a sentence in a field: make it an enum with typed evidence, and write the words in engine/explain", field)
				}
			}
		}
	}
	for field := range proseFields {
		if !found[field] {
			t.Errorf("%s is listed and does not exist", field)
		}
	}
}

// proseFieldsOf lists the exported string fields of exported structs with such a name.
func proseFieldsOf(f *ast.File) (out []string) {
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		st, ok := spec.Type.(*ast.StructType)
		if !ok || !spec.Name.IsExported() {
			return false
		}
		for _, field := range st.Fields.List {
			for _, name := range field.Names {
				if typ := types.ExprString(field.Type); (typ == "string" || typ == "[]string") && slices.Contains(proseNames, name.Name) {
					out = append(out, spec.Name.Name+"."+name.Name)
				}
			}
		}
		return false
	})
	return out
}
