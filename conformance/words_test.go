package conformance_test

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A compiled is what `go list -export` says of a package.
type compiled struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
}

// compile lists the packages of the module and all that they import, with their export
// data.
func compile(t *testing.T) []compiled {
	t.Helper()
	return goList[compiled](t, "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles", module+"/...")
}

// TestWordsAreNamed: where a package gives words a type of their own, such as the reason
// codes of package dnssec, another package uses its constants and does not spell the words
// again: they would go on to compile, and no longer fit, after a change (issue 1/8, F11).
// Tests and package conformance spell them out on purpose: they say what must come out.
func TestWordsAreNamed(t *testing.T) {
	all := compile(t)
	export := map[string]string{}
	for _, p := range all {
		export[p.ImportPath] = p.Export
	}
	fset := token.NewFileSet()
	imports := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(export[path]) })
	for _, p := range all {
		if !under(p.ImportPath, module) || under(p.ImportPath, module+"/conformance") {
			continue
		}
		var files []*ast.File
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		info := types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
		pkg, err := (&types.Config{Importer: imports}).Check(p.ImportPath, fset, files, &info)
		if err != nil {
			t.Fatalf("%s: %v", p.ImportPath, err)
		}
		var spelt []string
		for expr, tv := range info.Types {
			literal, ok := expr.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING || literal.Value == `""` {
				continue
			}
			if owner, ok := wordsOf(tv.Type); ok && owner.Pkg() != pkg {
				spelt = append(spelt, strings.TrimPrefix(fset.Position(literal.Pos()).String(), p.Dir+string(filepath.Separator))+
					": "+literal.Value+" is a "+owner.Pkg().Name()+"."+owner.Name()+"; use the constant")
			}
		}
		slices.Sort(spelt)
		for _, s := range spelt {
			t.Errorf("%s: %s", p.ImportPath, s)
		}
	}
}

// wordsOf returns the name of a type of words: a string type of this module that has
// constants.
func wordsOf(t types.Type) (*types.TypeName, bool) {
	named, ok := t.(*types.Named)
	if !ok || named.Obj().Pkg() == nil || !under(named.Obj().Pkg().Path(), module) {
		return nil, false
	}
	if b, ok := named.Underlying().(*types.Basic); !ok || b.Kind() != types.String {
		return nil, false
	}
	scope := named.Obj().Pkg().Scope()
	return named.Obj(), slices.ContainsFunc(scope.Names(), func(n string) bool {
		c, ok := scope.Lookup(n).(*types.Const)
		return ok && types.Identical(c.Type(), named)
	})
}
