package main

import (
	"fmt"
	"slices"
	"testing"
)

func TestTogether(t *testing.T) {
	type advice struct{ host, words string }
	for _, c := range []struct {
		name string
		list []advice
		want []string
	}{
		{"none", nil, nil},
		{"the same", []advice{{"a", "of a: x"}, {"b", "of b: x"}, {"c", "of c: x"}}, []string{"a[b c]"}},
		{"the same with others between", []advice{{"a", "of a: x"}, {"b", "of b: y"}, {"c", "of c: x"}}, []string{"a[c]", "b[]"}},
		{"without a host", []advice{{"", "x"}, {"", "x"}}, []string{"[]", "[]"}},
		{"of the domain beside a host", []advice{{"", "of a: x"}, {"a", "of a: x"}}, []string{"[]", "a[]"}},
	} {
		var got []string
		for _, p := range together(c.list, func(a advice) (string, string) { return a.host, a.words }) {
			got = append(got, fmt.Sprint(p.said.host, p.also))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
