// Package mutate shows that the tests can fail. It breaks one rule at a time in a
// package: turns a comparison, drops a check, skips a case, widens a bound. A mutant that
// no test notices (it survives) is a rule without a test.
//
// All mutants of a package are compiled into one test binary, each under a switch that
// an environment variable throws, so that a mutant costs one run of the tests and no
// compilation. The checkout is never written to: the changed files are laid over it for
// the compiler (`go build -overlay`).
package mutate

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// A Mutant is one broken rule.
type Mutant struct {
	ID   int    // from 1, unique in its package and stable for the same sources
	File string // base name
	Line int
	Func string // enclosing function
	What string // what was done: "== to !="
	Code string // the code that was changed, one line, cut
}

// Key names a mutant in a list of equivalents, across small edits of the file: file,
// function, what was done and the code.
func (m Mutant) Key() string {
	return strings.Join([]string{m.File, m.Func, m.What, m.Code}, "\t")
}

// An edit puts text before and after a stretch of source; the stretch may hold others.
type edit struct {
	pos, end      int // offsets
	before, after string
	mutant        int // index into mutants; edits of dropped mutants are left out
	order         int // of nesting where two begin at one place: the wider first
}

// A source is one file with the edits of its mutants.
type source struct {
	path  string
	text  []byte
	edits []edit
}

type collector struct {
	fset    *token.FileSet
	consts  map[string]bool
	src     *source
	file    string
	fn      string
	mutants []Mutant
}

// switchName is the function that says whether a mutant is on; no package has a
// name like it.
const switchName = "mutantIsOn"

// collect parses the files of a package (tests left out) and finds every mutant.
func collect(dir string) ([]*source, []Mutant, string, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, nil, "", err
	}
	sort.Strings(paths)
	fset := token.NewFileSet()
	var files []*ast.File
	var sources []*source
	consts := map[string]bool{}
	name := ""
	for _, p := range paths {
		if strings.HasSuffix(p, "_test.go") {
			continue
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return nil, nil, "", err
		}
		f, err := parser.ParseFile(fset, p, text, parser.SkipObjectResolution)
		if err != nil {
			return nil, nil, "", err
		}
		name = f.Name.Name
		files = append(files, f)
		sources = append(sources, &source{path: p, text: text})
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.CONST {
				for _, s := range g.Specs {
					for _, id := range s.(*ast.ValueSpec).Names {
						consts[id.Name] = true
					}
				}
			}
		}
	}
	if len(files) == 0 {
		return nil, nil, "", fmt.Errorf("no Go files in %s", dir)
	}
	c := &collector{fset: fset, consts: consts}
	for i, f := range files {
		c.src, c.file = sources[i], filepath.Base(sources[i].path)
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
				c.fn = fn.Name.Name
				ast.Inspect(fn.Body, c.visit)
			}
		}
	}
	return sources, c.mutants, name, nil
}

func (c *collector) offset(p token.Pos) int { return c.fset.Position(p).Offset }

func (c *collector) text(n ast.Node) string {
	return string(c.src.text[c.offset(n.Pos()):c.offset(n.End())])
}

// add makes a mutant of the node: with on standing for the call that asks whether it is
// on, before and after are put around the node's text.
func (c *collector) add(n ast.Node, what, before, after string) {
	const most = 70
	id := len(c.mutants) + 1
	code := strings.Join(strings.Fields(c.text(n)), " ")
	if len(code) > most {
		code = code[:most]
	}
	c.mutants = append(c.mutants, Mutant{ID: id, File: c.file, Line: c.fset.Position(n.Pos()).Line, Func: c.fn, What: what, Code: code})
	on := fmt.Sprintf("%s(%d)", switchName, id)
	r := strings.NewReplacer("ON", on)
	c.src.edits = append(c.src.edits, edit{
		pos: c.offset(n.Pos()), end: c.offset(n.End()),
		before: r.Replace(before), after: r.Replace(after), mutant: id, order: len(c.src.edits),
	})
}

// visit finds what can be broken in one node. Where it walks into a node by itself it
// returns false.
func (c *collector) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GenDecl:
		return n.Tok != token.CONST
	case *ast.BinaryExpr:
		c.binary(n)
	case *ast.UnaryExpr:
		if n.Op == token.NOT {
			c.add(n, "! dropped", "func() bool { if ON { return "+c.text(n.X)+" }; return ", " }()")
		}
	case *ast.IfStmt:
		c.add(n.Cond, "check dropped", "(", ") && !ON")
		// Nor can what precedes the condition; its expressions may be broken.
		c.initial(n.Init)
		ast.Inspect(n.Cond, c.visit)
		ast.Inspect(n.Body, c.visit)
		if n.Else != nil {
			ast.Inspect(n.Else, c.visit)
		}
		return false
	case *ast.SwitchStmt:
		c.initial(n.Init)
		if n.Tag != nil {
			ast.Inspect(n.Tag, c.visit)
		}
		ast.Inspect(n.Body, c.visit)
		return false
	case *ast.CaseClause:
		c.clause(n)
	case *ast.ExprStmt:
		if _, ok := n.X.(*ast.CallExpr); ok {
			c.add(n, "call dropped", "if !ON { ", " }")
		}
	case *ast.IncDecStmt:
		c.add(n, "step dropped", "if !ON { ", " }")
	case *ast.ForStmt:
		// The three parts of a for cannot hold statements in braces.
		if n.Cond != nil {
			ast.Inspect(n.Cond, c.visit)
		}
		ast.Inspect(n.Body, c.visit)
		return false
	case *ast.DeferStmt, *ast.GoStmt, *ast.LabeledStmt:
		return true
	}
	return true
}

// initial looks into the statement before a condition: into the values that it assigns.
func (c *collector) initial(s ast.Stmt) {
	if a, ok := s.(*ast.AssignStmt); ok {
		for _, e := range a.Rhs {
			ast.Inspect(e, c.visit)
		}
	}
}

// flips says what a comparison becomes.
var flips = map[token.Token]string{
	token.EQL: "!=", token.NEQ: "==", token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">",
}

func (c *collector) binary(n *ast.BinaryExpr) {
	x, y := c.text(n.X), c.text(n.Y)
	choice := func(other string) string { return "func() bool { if ON { return " + other + " }; return " }
	const end = " }()"
	switch n.Op {
	case token.LAND:
		c.add(n, "&& to ||", choice("("+x+") || ("+y+")"), end)
	case token.LOR:
		c.add(n, "|| to &&", choice("("+x+") && ("+y+")"), end)
	case token.EQL, token.NEQ, token.LSS, token.LEQ, token.GTR, token.GEQ:
		to := flips[n.Op]
		c.add(n, n.Op.String()+" to "+to, choice(x+" "+to+" "+y), end)
		if n.Op != token.EQL && n.Op != token.NEQ && c.isConst(n.Y) {
			step := "+1"
			if n.Op == token.LSS || n.Op == token.LEQ {
				step = "+1"
			} else if y == "0" {
				return // x > 0 and x >= 0 are what the flip makes of each other
			}
			c.add(n, "bound"+step, choice(x+" "+n.Op.String()+" ("+y+")"+step), end)
		}
	}
}

func (c *collector) isConst(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return e.Kind == token.INT
	case *ast.Ident:
		return c.consts[e.Name]
	}
	return false
}

// clause skips the body of a case that is not the default.
func (c *collector) clause(n *ast.CaseClause) {
	if n.List == nil || len(n.Body) == 0 {
		return
	}
	if b, ok := n.Body[len(n.Body)-1].(*ast.BranchStmt); ok && b.Tok == token.FALLTHROUGH {
		return
	}
	first, last := n.Body[0], n.Body[len(n.Body)-1]
	c.add(span{first.Pos(), last.End()}, "case skipped", "if !ON { ", " }")
	c.mutants[len(c.mutants)-1].Code = "case " + cutLine(c.exprs(n.List))
}

func (c *collector) exprs(list []ast.Expr) string {
	var out []string
	for _, e := range list {
		out = append(out, c.text(e))
	}
	return strings.Join(out, ", ")
}

func cutLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 65 {
		s = s[:65]
	}
	return s
}

// span is a stretch of several nodes.
type span struct{ pos, end token.Pos }

func (s span) Pos() token.Pos { return s.pos }
func (s span) End() token.Pos { return s.end }

// apply prints the source with the edits of the mutants that keep says. Every edit
// repeats the text of its operands in the mutant's branch as it was written, so only one
// mutant is ever in force, which is what is wanted.
func (s *source) apply(keep map[int]bool) ([]byte, error) {
	type mark struct {
		at, width, order int
		close            bool
		text             string
	}
	var marks []mark
	for _, e := range s.edits {
		if keep[e.mutant] {
			w := e.end - e.pos
			marks = append(marks, mark{e.pos, w, e.order, false, e.before}, mark{e.end, w, e.order, true, e.after})
		}
	}
	sort.SliceStable(marks, func(i, j int) bool {
		a, b := marks[i], marks[j]
		if a.at != b.at {
			return a.at < b.at
		}
		if a.close != b.close {
			return a.close // what ends here ends before what begins here
		}
		if a.width != b.width {
			return (a.width > b.width) != a.close // outer opens first, inner closes first
		}
		return (a.order < b.order) != a.close
	})
	var out bytes.Buffer
	last := 0
	for _, m := range marks {
		out.Write(s.text[last:m.at])
		out.WriteString(m.text)
		last = m.at
	}
	out.Write(s.text[last:])
	if _, err := format.Source(out.Bytes()); err != nil {
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	return out.Bytes(), nil
}
