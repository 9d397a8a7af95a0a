package htmlpage

import (
	"fmt"
	"html/template"
	"io"
	"reflect"
	"text/template/parse"
)

// A failure is what an execution panics with; Execute returns its error.
type failure struct{ err error }

// A variable is a name with its "$", and what it holds.
type variable struct {
	name  string
	value reflect.Value
}

// execution is one run of a template. Later variables hide earlier ones of their name.
type execution struct {
	t    *Template
	w    io.Writer
	vars []variable
}

func fail(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }

// list executes nodes. Variables that it declares end with it.
func (x *execution) list(l *parse.ListNode, dot reflect.Value) {
	if l == nil {
		return
	}
	declared := len(x.vars)
	defer func() { x.vars = x.vars[:declared] }()
	for _, n := range l.Nodes {
		x.node(n, dot)
	}
}

// node executes one node.
func (x *execution) node(n parse.Node, dot reflect.Value) {
	switch n := n.(type) {
	case *parse.TextNode:
		x.write(string(n.Text))
	case *parse.ActionNode:
		v := x.pipe(n.Pipe, dot)
		if len(n.Pipe.Decl) == 0 {
			x.write(escaped(v))
		}
	case *parse.IfNode:
		x.branch(&n.BranchNode, dot, false)
	case *parse.WithNode:
		x.branch(&n.BranchNode, dot, true)
	case *parse.RangeNode:
		x.loop(&n.BranchNode, dot)
	default:
		fail("%s: %w", n, errUnsupported)
	}
}

func (x *execution) write(s string) {
	if _, err := io.WriteString(x.w, s); err != nil {
		panic(failure{err})
	}
}

// branch executes if and with.
func (x *execution) branch(n *parse.BranchNode, dot reflect.Value, with bool) {
	declared := len(x.vars)
	defer func() { x.vars = x.vars[:declared] }()
	switch v := x.pipe(n.Pipe, dot); {
	case !truth(v):
		x.list(n.ElseList, dot)
	case with:
		x.list(n.List, v)
	default:
		x.list(n.List, dot)
	}
}

// loop executes range over a slice. Its variables are the element, or the index and the
// element.
func (x *execution) loop(n *parse.BranchNode, dot reflect.Value) {
	declared := len(x.vars)
	defer func() { x.vars = x.vars[:declared] }()
	v := indirect(x.value(n.Pipe, dot))
	if v.IsValid() && v.Kind() != reflect.Slice {
		fail("range over %s: %w", v.Type(), errUnsupported)
	}
	if !v.IsValid() || v.Len() == 0 {
		x.list(n.ElseList, dot)
		return
	}
	for i := range v.Len() {
		x.vars = x.vars[:declared]
		if d := n.Pipe.Decl; len(d) > 1 {
			x.vars = append(x.vars, variable{d[0].Ident[0], reflect.ValueOf(i)}, variable{d[1].Ident[0], v.Index(i)})
		} else if len(d) == 1 {
			x.vars = append(x.vars, variable{d[0].Ident[0], v.Index(i)})
		}
		x.list(n.List, v.Index(i))
	}
}

// pipe is the value of a pipeline, which is one command here, and is set to its variable.
func (x *execution) pipe(p *parse.PipeNode, dot reflect.Value) reflect.Value {
	v := x.value(p, dot)
	for _, d := range p.Decl {
		x.vars = append(x.vars, variable{d.Ident[0], v})
	}
	return v
}

// value is the value of a pipeline.
func (x *execution) value(p *parse.PipeNode, dot reflect.Value) reflect.Value {
	args := p.Cmds[0].Args
	if f, ok := args[0].(*parse.IdentifierNode); ok {
		return x.call(f.Ident, args[1:], dot)
	}
	return x.operand(args[0], dot)
}

// operand is the value of a word of a command.
func (x *execution) operand(n parse.Node, dot reflect.Value) reflect.Value {
	switch n := n.(type) {
	case *parse.DotNode:
		return dot
	case *parse.FieldNode:
		return fields(dot, n.Ident)
	case *parse.VariableNode:
		for i := len(x.vars) - 1; i >= 0; i-- {
			if x.vars[i].name == n.Ident[0] {
				return fields(x.vars[i].value, n.Ident[1:])
			}
		}
	case *parse.StringNode:
		return reflect.ValueOf(n.Text)
	case *parse.PipeNode:
		return x.value(n, dot)
	case *parse.IdentifierNode:
		return x.call(n.Ident, nil, dot)
	}
	fail("%s: %w", n, errUnsupported)
	panic("unreachable")
}

// call calls a function, or one of the words of logic, which stop as those of text/template.
func (x *execution) call(name string, args []parse.Node, dot reflect.Value) reflect.Value {
	if _, builtin := builtins[name]; builtin {
		var v reflect.Value
		for _, a := range args {
			v = x.operand(a, dot)
			if name != "not" && truth(v) == (name == "or") {
				return v
			}
		}
		if name == "not" {
			return reflect.ValueOf(!truth(v))
		}
		return v
	}
	f := x.t.funcs[name]
	in := make([]reflect.Value, len(args))
	if f.Type().NumIn() != len(args) || f.Type().IsVariadic() {
		fail("%s: %d arguments", name, len(args))
	}
	for i, a := range args {
		v := x.operand(a, dot)
		if !v.IsValid() || !v.Type().AssignableTo(f.Type().In(i)) {
			fail("%s %s: not of type %s", name, a, f.Type().In(i))
		}
		in[i] = v
	}
	return f.Call(in)[0]
}

// fields follows names of fields.
func fields(v reflect.Value, names []string) reflect.Value {
	for _, name := range names {
		s := indirect(v)
		if !s.IsValid() || s.Kind() != reflect.Struct {
			fail(".%s: not a field of a struct", name)
		}
		f, ok := s.Type().FieldByName(name)
		if !ok || !f.IsExported() {
			fail(".%s: %s has no such field", name, s.Type())
		}
		got, err := s.FieldByIndexErr(f.Index)
		if err != nil {
			fail(".%s: %w", name, err)
		}
		v = got
	}
	return v
}

// indirect follows pointers and interfaces; the result is not valid at the end of a nil one.
func indirect(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	return v
}

// truth reports whether a value counts as true: all but zero, the empty, and nil. A struct is
// true.
func truth(v reflect.Value) bool {
	if v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Invalid:
		return false
	case reflect.String, reflect.Slice, reflect.Map, reflect.Array:
		return v.Len() > 0
	case reflect.Struct:
		return true
	}
	return !v.IsZero()
}

// escaped is a value as text of HTML or of a quoted attribute.
func escaped(v reflect.Value) string {
	if !v.IsValid() {
		return ""
	}
	switch s := v.Interface().(type) {
	case nil:
		return ""
	case template.HTML:
		return string(s)
	case string:
		return escape(s)
	default:
		return escape(fmt.Sprint(s))
	}
}
