// Package grammar makes texts for the parsers of records and policies from the grammars in
// which RFC 8461 and RFC 8460 write them down: valid ones together with what they mean,
// and nearly valid ones, each with one named fault and what must come of it.
//
// A [Language] is such a grammar as data: rules under the names that the RFC gives them,
// made of sequences, choices, repetitions and sets of characters. From a seed it derives a
// tree, whose leaves are the text and whose nodes are its meaning, so that the meaning is
// known without any parser. A [Mutation] changes the tree in one place. The same rules
// also say of a text whether the grammar has it ([Language.Has]): the package's own tests
// hold every valid text and every fault against that second reading.
//
// [Check] runs a parser against a language. It imports nothing of mxauth, so that a
// parser's own tests may use it.
package grammar

import (
	"maps"
	"slices"
	"strconv"
)

// unbounded is the upper end of a repetition that has none.
const unbounded = -1

// An expr is a right side of a rule.
type expr interface {
	// derive puts nodes for one text of the expression under n.
	derive(d *deriver, n *Node)
	// ends lists where texts of the expression that begin at from can end.
	ends(m *matcher, from int) []int
}

// A lit is a text, letter case included.
type lit string

// A set is any one of its octets.
type set struct {
	octets []byte
	has    [256]bool
}

// chars is the set of the octets from first to last, and so on for further pairs.
func chars(pairs ...byte) *set {
	var octets []byte
	for i := 0; i < len(pairs); i += 2 {
		for c := int(pairs[i]); c <= int(pairs[i+1]); c++ {
			octets = append(octets, byte(c))
		}
	}
	return anyOf(string(octets))
}

// anyOf is the set of the octets of s.
func anyOf(s string) *set {
	out := &set{octets: []byte(s)}
	for _, c := range out.octets {
		out.has[c] = true
	}
	return out
}

// A seq is one expression after the other.
type seq []expr

// A ref is a rule by its name.
type ref string

// A choice is one of its alternatives; those of more weight are derived more often.
type choice struct {
	id   string
	base int // of its alternatives among the steps of the grammar
	sum  int // of the weights
	alts []weighted
}

type weighted struct {
	weight int
	expr
}

// often gives an alternative a weight; others weigh 1.
func often(weight int, e expr) weighted { return weighted{weight, e} }

func or(alts ...expr) *choice {
	c := &choice{}
	for _, a := range alts {
		w, ok := a.(weighted)
		if !ok {
			w = weighted{1, a}
		}
		c.sum += w.weight
		c.alts = append(c.alts, w)
	}
	return c
}

// nocase is a text in any letter case, as ABNF reads a quoted string. Derived are the three
// usual ways of writing it.
func nocase(lower, upper, title string) *choice {
	return or(often(4, lit(lower)), lit(upper), lit(title))
}

// A repeat is its expression min to max times.
type repeat struct {
	id       string
	base     int // of its ways among the steps of the grammar
	min, max int
	of       expr
}

func times(min, max int, e expr) *repeat { return &repeat{min: min, max: max, of: e} }
func many(min int, e expr) *repeat       { return times(min, unbounded, e) }
func maybe(e expr) *repeat               { return times(0, 1, e) }

// A rule is a right side, and what the prose of the RFC takes out of it.
type rule struct {
	is expr
	// not reports a text that the prose excludes; nil: none. It is not derived, and the
	// language does not have it.
	not func(string) bool
}

// rules are those of a grammar, by name.
type rules map[string]rule

// join puts rules together.
func join(all ...rules) rules {
	out := rules{}
	for _, r := range all {
		for name, body := range r {
			out[name] = body
		}
	}
	return out
}

// number gives every choice and repetition a name after the rule in which it is, and
// lists what a set of derivations must pass through: each alternative of each choice, and
// of each repetition its ends.
func (r rules) number() []string {
	var steps []string
	for _, name := range slices.Sorted(maps.Keys(r)) {
		n := 0
		var walk func(e expr)
		walk = func(e expr) {
			switch e := e.(type) {
			case weighted:
				walk(e.expr)
			case seq:
				for _, x := range e {
					walk(x)
				}
			case *choice:
				n++
				e.id, e.base = name+"#"+strconv.Itoa(n), len(steps)
				for i := range e.alts {
					steps = append(steps, e.id+" alternative "+strconv.Itoa(i+1))
				}
				for _, a := range e.alts {
					walk(a)
				}
			case *repeat:
				n++
				e.id, e.base = name+"#"+strconv.Itoa(n), len(steps)
				steps = append(steps, e.ways()...)
				walk(e.of)
			}
		}
		walk(r[name].is)
	}
	return steps
}

// ways names the ways through a repetition: as few times as may be, as many, between; of one
// without end only whether there are more than the fewest.
func (r *repeat) ways() []string {
	all := []string{r.id + " fewest", r.id + " more", r.id + " most"}
	switch {
	case r.max == unbounded || r.max == r.min+1:
		return all[:2]
	case r.max == r.min:
		return all[:1]
	}
	return all
}

// way is which of its ways n times is.
func (r *repeat) way(n int) int {
	switch {
	case n == r.min:
		return 0
	case n == r.max && n > r.min+1:
		return 2
	}
	return 1
}
