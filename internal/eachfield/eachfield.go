// Package eachfield changes the fields of a struct one at a time, for tests that each
// field counts:
//
//	for name, r := range eachfield.Of(engine.Request{}) {
//		// name is "Options.Audit", r the request with that field alone changed.
//	}
package eachfield

import (
	"encoding"
	"fmt"
	"iter"
	"reflect"
)

// Text is the value that a changed field has if it is a string or is read from text by
// [encoding.TextUnmarshaler], and is not an integer.
const Text = "changed.example"

// Of returns copies of base that differ from it in one field each, by the name of the
// field; a field of a struct within it is "Outer.Inner". It panics on a field of a kind
// that it cannot change, so that a new field is never left out.
func Of[T any](base T) iter.Seq2[string, T] {
	return func(yield func(string, T) bool) {
		for _, path := range paths(reflect.TypeFor[T](), nil, nil) {
			changed := base
			v := reflect.ValueOf(&changed).Elem().FieldByIndex(path.index)
			change(path.name, v)
			if !yield(path.name, changed) {
				return
			}
		}
	}
}

// A path leads to a field.
type path struct {
	name  string
	index []int
}

// paths lists the fields of t. A struct that is read from text is one field.
func paths(t reflect.Type, prefix []int, out []path) []path {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(append([]int(nil), prefix...), i)
		if f.Type.Kind() == reflect.Struct && !readsText(f.Type) {
			for _, p := range paths(f.Type, nil, nil) {
				out = append(out, path{f.Name + "." + p.name, append(index[:len(index):len(index)], p.index...)})
			}
			continue
		}
		out = append(out, path{f.Name, index})
	}
	return out
}

func readsText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// change gives v another value.
func change(name string, v reflect.Value) {
	switch t := v.Type(); t.Kind() {
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint:
		v.SetUint(v.Uint() ^ 1)
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() ^ 1)
	case reflect.String:
		v.SetString(Text)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(t, 1, 1))
		change(name, v.Index(0))
	case reflect.Func:
		v.Set(reflect.MakeFunc(t, func([]reflect.Value) (out []reflect.Value) {
			for i := range t.NumOut() {
				out = append(out, reflect.Zero(t.Out(i)))
			}
			return out
		}))
	default:
		u, ok := v.Addr().Interface().(encoding.TextUnmarshaler)
		if !ok {
			panic(fmt.Sprintf("eachfield: %s has the type %s, which is not known", name, t))
		}
		if err := u.UnmarshalText([]byte(Text)); err != nil {
			panic(fmt.Sprintf("eachfield: %s: %v", name, err))
		}
	}
}
