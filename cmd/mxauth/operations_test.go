package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/mtapolicy"
	"github.com/mxauth/mxauth/engine/reason"
)

// operationsPage says what every text means with which mail is kept.
const operationsPage = "../../docs/operations.md"

// A waitRow is a row of the page's tables of texts.
type waitRow struct {
	word  reason.ID // "" for a text that has none
	texts []string  // in the first cell, as they are written there
}

// waitRows reads the tables of the section on mail that waits.
func waitRows(t *testing.T) (rows []waitRow) {
	t.Helper()
	b, err := os.ReadFile(operationsPage)
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(b), "\n## When mail waits\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(cells[0], " the text") || strings.HasPrefix(cells[0], " ---") {
			continue
		}
		var r waitRow
		for _, m := range code.FindAllStringSubmatch(cells[0], -1) {
			r.texts = append(r.texts, m[1])
		}
		switch len(cells) {
		case 3:
		case 4:
			r.word = reason.ID(strings.Trim(cells[1], " `"))
		default:
			t.Fatalf("a row of %d cells: %s", len(cells), line)
		}
		rows = append(rows, r)
	}
	return rows
}

// names are the words of the page that are in the place of a name, a date or a number.
var names = regexp.MustCompile(`DOMAIN|HOST|DATE|\bN\b`)

// fits reports whether a text is one of those of the row.
func (r *waitRow) fits(text string) bool {
	return slices.ContainsFunc(r.texts, func(part string) bool {
		return regexp.MustCompile(names.ReplaceAllString(regexp.QuoteMeta(part), `\S+`)).MatchString(text)
	})
}

// onWaitPage fails the test if the page has no row for a text with which mail is kept.
func onWaitPage(t *testing.T, rows []waitRow, r mtapolicy.Reply) {
	t.Helper()
	if !slices.ContainsFunc(rows, func(row waitRow) bool { return row.word == r.Reason && row.fits(r.Text) }) {
		t.Errorf("%s has no row for %s: %s", operationsPage, r.Reason, r.Text)
	}
}

// Files of package engine: those that make a plan, and those that judge connections and
// messages. A reason that only the latter have is in no plan, whatever other file names it.
var (
	planFiles     = []string{"combine.go", "host.go", "mx.go", "recollect.go"}
	decisionFiles = []string{"attempt.go", "decide.go", "judge.go", "message.go", "owntls.go"}
)

// neverKept are reasons of plans that no table hears of: they belong to one message, or to a
// host that may be used.
var neverKept = map[reason.ID]string{
	reason.RequireTLSMX:      "the table is told nothing of a message (mtapolicy.ErrMessage)",
	reason.RequireTLSLiteral: "the table is told nothing of a message (mtapolicy.ErrMessage)",
	reason.MemoryTLS:         "what was remembered of STARTTLS counts when a connection is judged",
}

// TestOperationsWords: the page has each reason for which a plan keeps mail, and no word that
// does not exist.
func TestOperationsWords(t *testing.T) {
	rows := waitRows(t)
	words := map[reason.ID]bool{}
	for _, r := range rows {
		if _, ok := explain.About(r.word); r.word != "" && !ok {
			t.Errorf("there is no reason %s", r.word)
		}
		words[r.word] = true
	}
	constants := reasonConstants(t)
	found, planned, judged := map[reason.ID]bool{}, map[reason.ID]bool{}, map[reason.ID]bool{}
	files, err := filepath.Glob("../../engine/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		in := found
		switch {
		case slices.Contains(planFiles, filepath.Base(f)):
			in = planned
		case slices.Contains(decisionFiles, filepath.Base(f)):
			in = judged
		}
		walk(t, f, func(n ast.Node) {
			if s, ok := n.(*ast.SelectorExpr); ok && fmt.Sprint(s.X) == "reason" {
				in[constants[s.Sel.Name]] = true
			}
		})
	}
	if len(planned) == 0 || len(judged) == 0 {
		t.Error("the files of package engine have other names")
	}
	maps.DeleteFunc(found, func(id reason.ID, _ bool) bool { return judged[id] })
	maps.Copy(found, planned)
	keeps := 0
	for id := range maps.Keys(found) {
		info, ok := explain.About(id)
		if !ok || info.Code == "" {
			continue // a constant of another type, or a reason for which no mail is kept
		}
		keeps++
		if why := neverKept[id]; words[id] == (why != "") {
			t.Errorf("%s: in a row of the page %v; %s", id, words[id], why)
		}
	}
	if keeps < 20 {
		t.Errorf("only %d reasons of plans keep mail", keeps)
	}
}

// reasonConstants are the ids of package reason by the names of their constants.
func reasonConstants(t *testing.T) map[string]reason.ID {
	t.Helper()
	out := map[string]reason.ID{}
	walk(t, "../../engine/reason/id.go", func(n ast.Node) {
		if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 {
			if s, ok := textOf(v.Values[0]); ok {
				out[v.Names[0].Name] = reason.ID(s)
			}
		}
	})
	return out
}

// walk calls f for each node of a Go file.
func walk(t *testing.T, file string, f func(ast.Node)) {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(tree, func(n ast.Node) bool { f(n); return true })
}

// textOf is the value of a constant string.
func textOf(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(l.Value)
	return s, err == nil
}

// formatVerbs are the verbs of formats in the texts of this program.
var formatVerbs = regexp.MustCompile(`%[svq]`)

// TestOperationsTexts: the page has each text that is written in the source as that of mail
// that is kept: what is handed to mtapolicy.Failed, and what mtapolicy itself writes.
func TestOperationsTexts(t *testing.T) {
	rows := waitRows(t)
	failed := 0
	want := func(text string) {
		text = formatVerbs.ReplaceAllString(text, "15s") // a name, a time
		if !slices.ContainsFunc(rows, func(r waitRow) bool { return r.word == "" && r.fits(text) }) {
			t.Errorf("%s has no row for %q", operationsPage, text)
		}
	}
	for _, err := range []error{mtapolicy.ErrMessage, fmt.Errorf("engine: bad request: port: 0")} {
		want(err.Error()) // the errors with which answers.lookUp calls Failed
	}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return err
		}
		walk(t, file, func(n ast.Node) {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return
			}
			if s, ok := call.Fun.(*ast.SelectorExpr); !ok || fmt.Sprint(s.X) != "mtapolicy" || s.Sel.Name != "Failed" {
				return
			}
			failed++
			arg := call.Args[0]
			if c, ok := arg.(*ast.CallExpr); ok && len(c.Args) > 0 {
				arg = c.Args[0] // of fmt.Sprintf
			} else if ok {
				return // err.Error(): above
			}
			text, ok := textOf(arg)
			if !ok {
				t.Errorf("%s: the text of mtapolicy.Failed is not written in place", file)
				return
			}
			want(text)
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if failed < 8 {
		t.Errorf("only %d calls of mtapolicy.Failed", failed)
	}
	own := 0
	walk(t, "../../engine/mtapolicy/postfix.go", func(n ast.Node) {
		var value ast.Expr
		switch n := n.(type) {
		case *ast.KeyValueExpr:
			if fmt.Sprint(n.Key) == "Text" {
				value = n.Value
			}
		case *ast.AssignStmt:
			if s, ok := n.Lhs[0].(*ast.SelectorExpr); ok && s.Sel.Name == "Text" {
				value = n.Rhs[0]
			}
		}
		if text, ok := textOf(value); ok && strings.Contains(text, " ") {
			own++
			want(text)
		}
	})
	if own < 2 {
		t.Errorf("only %d texts of mtapolicy itself", own)
	}
}
