// Package htmlpage executes the templates of mxauth's HTML pages:
//
//	<p class="{{.Status}}">{{if .Note}}{{.Note}}{{else}}{{words .Reason}}{{end}}</p>
//
// It reads the language of html/template and writes the same bytes, but it knows a part of
// the language only: if, else, with, range, variables, fields of structs, calls of functions,
// and, or, not. It has no methods. html/template and text/template look up methods by a name
// that the linker cannot know, and a program that executes one of their templates therefore
// holds every exported method of every type in it: 12 MB of 33 in mxauth.
package htmlpage

import (
	"errors"
	"fmt"
	"html/template"
	"io"
	"maps"
	"reflect"
	"text/template/parse"
)

// A Template is a parsed page. It is immutable, and may be executed by many goroutines.
type Template struct {
	root  *parse.ListNode
	funcs map[string]reflect.Value
}

// errUnsupported is wrapped by errors about what html/template has and this package has not.
var errUnsupported = errors.New("not supported")

// builtins are the names that call treats itself, for the parser.
var builtins = map[string]any{"and": true, "or": true, "not": true}

// Parse reads a template. Functions return one value. The error says what the template uses
// that this package has not, and where a value would be written that cannot be escaped there:
// in a tag outside of quotes, in a style sheet or a script, or as a link whose function does
// not return [template.URL].
func Parse(name, text string, funcs template.FuncMap) (*Template, error) {
	trees, err := parse.Parse(name, text, "", "", funcs, builtins)
	if err != nil {
		return nil, err
	}
	t := &Template{root: trees[name].Root, funcs: map[string]reflect.Value{}}
	if len(trees) != 1 {
		return nil, fmt.Errorf("%s: define: %w", name, errUnsupported)
	}
	for f := range maps.Keys(funcs) {
		v := reflect.ValueOf(funcs[f])
		if v.Kind() != reflect.Func || v.Type().NumOut() != 1 {
			return nil, fmt.Errorf("%s: function %s does not return one value", name, f)
		}
		t.funcs[f] = v
	}
	c := checker{t: t}
	if end := c.list(t.root, place{}); c.err == nil && end != (place{}) {
		c.fail(t.root, "the text ends inside of a tag")
	}
	if c.err != nil {
		return nil, fmt.Errorf("%s: %w", name, c.err)
	}
	return t, nil
}

// Must is Parse for the templates of the program itself. It panics where Parse fails.
func Must(name, text string, funcs template.FuncMap) *Template {
	t, err := Parse(name, text, funcs)
	if err != nil {
		panic(err)
	}
	return t
}

// Execute writes the page of data. The error is that of w, or says which field data lacks;
// what was written by then is no whole page.
func (t *Template) Execute(w io.Writer, data any) (err error) {
	defer func() {
		// A fault of the template, or of w, ends the walk from any depth of it.
		if r := recover(); r != nil {
			f, ok := r.(failure)
			if !ok {
				panic(r)
			}
			err = f.err
		}
	}()
	dot := reflect.ValueOf(data)
	x := execution{t: t, w: w, vars: []variable{{"$", dot}}}
	x.list(t.root, dot)
	return nil
}
