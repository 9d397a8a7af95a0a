package grammar

import (
	"slices"
	"strings"
)

// A matcher holds a text against rules. It follows all ways at once, so that it needs no
// grammar of a special kind; it is slow, and for tests.
type matcher struct {
	rules rules
	text  string
	known map[refAt][]int
}

type refAt struct {
	rule string
	from int
}

// has reports whether the whole text is one of the rule.
func (r rules) has(rule, text string) bool {
	m := &matcher{rules: r, text: text, known: map[refAt][]int{}}
	return slices.Contains(ref(rule).ends(m, 0), len(text))
}

func (l lit) ends(m *matcher, from int) []int {
	if strings.HasPrefix(m.text[from:], string(l)) {
		return []int{from + len(l)}
	}
	return nil
}

func (s *set) ends(m *matcher, from int) []int {
	if from < len(m.text) && s.has[m.text[from]] {
		return []int{from + 1}
	}
	return nil
}

// each collects the ends of e from each of the places.
func (m *matcher) each(e expr, from []int) []int {
	var out []int
	for _, f := range from {
		out = append(out, e.ends(m, f)...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (s seq) ends(m *matcher, from int) []int {
	at := []int{from}
	for _, e := range s {
		at = m.each(e, at)
	}
	return at
}

func (c *choice) ends(m *matcher, from int) []int {
	var out []int
	for _, a := range c.alts {
		out = append(out, a.ends(m, from)...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (r *repeat) ends(m *matcher, from int) []int {
	var out []int
	seen := map[int]bool{}
	at := []int{from}
	for n := 0; len(at) > 0; n++ {
		if n >= r.min {
			// A place that was reached before leads nowhere new.
			at = slices.DeleteFunc(at, func(p int) bool { return r.max == unbounded && seen[p] })
			out = append(out, at...)
			for _, p := range at {
				seen[p] = true
			}
		}
		if n == r.max {
			break
		}
		at = m.each(r.of, at)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (r ref) ends(m *matcher, from int) []int {
	key := refAt{string(r), from}
	if out, ok := m.known[key]; ok {
		return out
	}
	body := m.rules[string(r)]
	out := body.is.ends(m, from)
	if body.not != nil {
		out = slices.DeleteFunc(slices.Clone(out), func(to int) bool { return body.not(m.text[from:to]) })
	}
	m.known[key] = out
	return out
}
