package main

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTypedFile: a file in place of a domain is named as such on the command line alone.
func TestTypedFile(t *testing.T) {
	file := testFile(t, "domains", []byte("example.org\n"))
	if err := checkArgument(file); err == nil || !strings.Contains(err.Error(), "is a file") {
		t.Errorf("an argument: %v", err)
	}
	for _, s := range []string{file, file + "-absent"} {
		err := checkNextHop(s)
		if err == nil || strings.Contains(err.Error(), "is a file,") {
			t.Errorf("%s as a text: %v", s, err)
		}
	}
	if a, b := checkNextHop("/x"+file), checkNextHop("/x"+file+"-absent"); errors.Is(a, fs.ErrNotExist) || errors.Is(b, fs.ErrNotExist) {
		t.Errorf("%v, %v", a, b)
	}
}

// TestTextsAreNoFiles: what a client of the daemon sends is never looked for among the files.
// Only what reads arguments calls fileTyped or checkArgument, and noDomain calls neither.
func TestTextsAreNoFiles(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	arguments := []string{"cache.go parseDomains", "check.go newCheckRun", "forecast.go newForecast", "lint.go runLint", "tlsa_check.go runTLSACheck", "typed.go checkArgument"}
	var callers []string
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if c, ok := n.(*ast.CallExpr); ok {
					if id, ok := c.Fun.(*ast.Ident); ok && (id.Name == "fileTyped" || id.Name == "checkArgument") {
						callers = append(callers, name+" "+f.Name.Name)
					}
					if sel, ok := c.Fun.(*ast.SelectorExpr); ok && (f.Name.Name == "noDomain" || f.Name.Name == "checkNextHop") {
						if id, ok := sel.X.(*ast.Ident); ok && id.Name == "os" {
							t.Errorf("%s calls os.%s", f.Name.Name, sel.Sel.Name)
						}
					}
				}
				return true
			})
		}
	}
	slices.Sort(callers)
	if callers = slices.Compact(callers); !slices.Equal(callers, arguments) {
		t.Errorf("callers: %q, want %q", callers, arguments)
	}
	for _, dir := range []string{"internal/httpdoor", "internal/page", "internal/exim", "internal/answers"} {
		names, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %v", dir, err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			// Tokens and certificates come from the files that the configuration names.
			if !strings.HasSuffix(name, "_test.go") && filepath.Base(name) != "access.go" && strings.Contains(string(text), "\"os\"") {
				t.Errorf("%s imports os", name)
			}
		}
	}
}
