package engine

import (
	"reflect"
	"time"
)

// heapSize estimates the bytes of heap that v keeps alive, and stops counting soon after
// the sum exceeds most. It walks the value itself, so that a field added later counts
// without being listed here. What several fields share is counted once, parts of a larger
// string or slice are counted again, and so are constants of the program, so the estimate
// is rather too high than too low. Functions, channels and time zones count nothing.
func heapSize(v any, most int64) int64 {
	s := sizer{most: most, seen: map[visit]bool{}}
	s.behind(reflect.ValueOf(v))
	return s.sum
}

// allocUnit is what the allocator rounds up to at least. Larger size classes waste up to
// an eighth, which what is counted twice outweighs.
const allocUnit = 16

// A visit is memory that was counted.
type visit struct {
	at  uintptr
	typ reflect.Type
	len int
}

// A sizer sums up.
type sizer struct {
	most, sum int64
	seen      map[visit]bool
}

func (s *sizer) add(n int64) { s.sum += (n + allocUnit - 1) / allocUnit * allocUnit }

// first reports whether v, a pointer, string, slice or map, is met for the first time.
func (s *sizer) first(v reflect.Value, n int) bool {
	k := visit{v.Pointer(), v.Type(), n}
	if s.seen[k] {
		return false
	}
	s.seen[k] = true
	return true
}

var timeType = reflect.TypeFor[time.Time]()

// behind counts what v refers to; v itself is counted by its holder.
func (s *sizer) behind(v reflect.Value) {
	if s.sum > s.most {
		return
	}
	switch v.Kind() {
	case reflect.String:
		if n := v.Len(); n > 0 && s.first(v, n) {
			s.add(int64(n))
		}
	case reflect.Pointer:
		if !v.IsNil() && s.first(v, 0) {
			s.add(int64(v.Type().Elem().Size()))
			s.behind(v.Elem())
		}
	case reflect.Interface:
		if !v.IsNil() {
			s.add(int64(v.Elem().Type().Size()))
			s.behind(v.Elem())
		}
	case reflect.Slice:
		if v.IsNil() || !s.first(v, v.Len()) {
			return
		}
		s.add(int64(v.Cap()) * int64(v.Type().Elem().Size()))
		s.elements(v)
	case reflect.Array:
		s.elements(v)
	case reflect.Map:
		if v.IsNil() || !s.first(v, 0) {
			return
		}
		// A table is at most seven eighths full, and may just have doubled.
		s.add(2 * int64(v.Len()) * int64(v.Type().Key().Size()+v.Type().Elem().Size()+1))
		for i := v.MapRange(); i.Next(); {
			s.behind(i.Key())
			s.behind(i.Value())
		}
	case reflect.Struct:
		if v.Type() == timeType {
			return
		}
		for i := range v.NumField() {
			s.behind(v.Field(i))
		}
	}
}

// elements counts what the elements of a slice or an array refer to.
func (s *sizer) elements(v reflect.Value) {
	if !refers(v.Type().Elem()) {
		return
	}
	for i := range v.Len() {
		s.behind(v.Index(i))
	}
}

// refers reports whether values of the type can refer to other memory.
func refers(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Map:
		return true
	case reflect.Array:
		return refers(t.Elem())
	case reflect.Struct:
		if t == timeType {
			return false
		}
		for i := range t.NumField() {
			if refers(t.Field(i).Type) {
				return true
			}
		}
	}
	return false
}
