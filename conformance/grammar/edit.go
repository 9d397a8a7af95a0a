package grammar

import (
	"math/rand/v2"
	"slices"
	"strings"
)

// A Mutation is one change of a valid text.
type Mutation struct {
	Name      string
	Judgement Judgement // of what comes out
	Source    string    // the RFC and section that decide it, or whose decision it is
	edit      edit
}

// An edit changes a derivation; false if there is nothing in it to be changed.
type edit func(e *editor) bool

// An editor is at work on one derivation.
type editor struct {
	*Language
	rng    *rand.Rand
	round  int
	tree   *Node
	beside []string // further texts at the same name
}

// turn is the way of the round among those of a mutation.
func turn[T any](e *editor, ways []T) T {
	if len(ways) > rounds {
		panic("grammar: more ways than rounds")
	}
	return ways[e.round%len(ways)]
}

// one is any node of the rule, nil if there is none.
func (e *editor) one(rule string) *Node {
	all := e.tree.all(rule)
	if len(all) == 0 {
		return nil
	}
	return all[e.rng.IntN(len(all))]
}

// becomes gives a node another text.
func (n *Node) becomes(text string) { n.Kids = []*Node{leaf(text)} }

// one gives one node of the rule another text.
func one(rule string, texts ...string) edit {
	return func(e *editor) bool {
		n := e.one(rule)
		if n == nil {
			return false
		}
		n.becomes(turn(e, texts))
		return true
	}
}

// first gives the first node of the rule another text.
func first(rule string, texts ...string) edit {
	return func(e *editor) bool {
		all := e.tree.all(rule)
		if len(all) == 0 {
			return false
		}
		all[0].becomes(turn(e, texts))
		return true
	}
}

// every gives all nodes of the rule another text, the same.
func every(rule string, texts ...string) edit {
	return func(e *editor) bool {
		all := e.tree.all(rule)
		for _, n := range all {
			n.becomes(turn(e, texts))
		}
		return len(all) > 0
	}
}

// between gives a delimiter between two fields, or after the version of a
// record, another text. The field before it is not of the rule but, which may be "", and the
// first of its kind: what becomes of the value of a repeated one may not matter.
func between(but string, texts ...string) edit {
	return func(e *editor) bool {
		kids := e.tree.Kids
		var places []int
		for i := range kids {
			if kids[i].Rule != e.shape.delim || i == len(kids)-1 {
				continue
			}
			before := i - 1
			for kids[before].Rule == "" { // blanks
				before--
			}
			if (but == "" || len(kids[before].all(but)) == 0) && !slices.ContainsFunc(kids[:before], kids[before].isLike) {
				places = append(places, i)
			}
		}
		if len(places) == 0 {
			return false
		}
		kids[places[e.rng.IntN(len(places))]].becomes(turn(e, texts))
		return true
	}
}

// isLike reports whether the fields n and m are of one kind.
func (n *Node) isLike(m *Node) bool {
	return n.Rule != "" && n.Rule == m.Rule && n.Kids[0].Rule == m.Kids[0].Rule
}

// start puts a text before the whole, finish after it.
func start(texts ...string) edit {
	return func(e *editor) bool {
		e.tree.Kids = slices.Insert(e.tree.Kids, 0, leaf(turn(e, texts)))
		return true
	}
}

func finish(texts ...string) edit {
	return func(e *editor) bool {
		e.tree.Kids = append(e.tree.Kids, leaf(turn(e, texts)))
		return true
	}
}

// unended drops a delimiter from the end of the text and the blanks around it.
func unended(e *editor) bool {
	fields := e.shape.fields(e.tree)
	e.tree.Kids = e.tree.Kids[:fields[len(fields)-1]+1]
	return true
}

// ended makes a delimiter end the text.
func ended(e *editor) bool {
	unended(e)
	e.tree.Kids = append(e.tree.Kids, node(e.shape.delim, leaf(strings.TrimRight(e.shape.end, " "))))
	return true
}

// then does one edit after the other.
func then(edits ...edit) edit {
	return func(e *editor) bool {
		return !slices.ContainsFunc(edits, func(f edit) bool { return !f(e) })
	}
}

// without takes out every field of that rule, each with a delimiter next to it.
func without(rule string) edit {
	return func(e *editor) bool {
		any := false
		for {
			i := slices.IndexFunc(e.tree.Kids, func(k *Node) bool { return k.Rule == e.shape.field && k.Kids[0].Rule == rule })
			if i < 0 {
				return any
			}
			any = true
			e.cut(i)
		}
	}
}

// cut takes out the field that is child i: with all up to the next field, or, if it is the
// last one, with all from the delimiter before it on.
func (e *editor) cut(i int) {
	isDelim := func(k *Node) bool { return k.Rule == e.shape.delim }
	isField := func(k *Node) bool { return k.Rule == e.shape.field }
	kids := e.tree.Kids
	if n := slices.IndexFunc(kids[i+1:], isField); n >= 0 {
		e.tree.Kids = slices.Delete(kids, i, i+1+n)
		return
	}
	for j := i - 1; j >= 0; j-- {
		if isDelim(kids[j]) {
			e.tree.Kids = slices.Delete(kids, j, i+1)
			return
		}
	}
	e.tree.Kids = slices.Delete(kids, i, i+1)
}

// add puts a field before or after any other; after, if not "", is a rule after whose
// first field it comes.
func add(after string, makes func(e *editor) *Node) edit {
	return func(e *editor) bool {
		f := makes(e)
		if f == nil {
			return false
		}
		places := e.shape.fields(e.tree)
		if after != "" {
			i := slices.IndexFunc(places, func(p int) bool { return e.tree.Kids[p].Kids[0].Rule == after })
			if i < 0 {
				return false
			}
			places = places[i:]
		}
		at := places[e.rng.IntN(len(places))]
		delim := node(e.shape.delim, leaf(e.shape.end))
		if after == "" && e.rng.IntN(2) == 0 {
			e.tree.Kids = slices.Insert(e.tree.Kids, at, f, delim)
		} else {
			e.tree.Kids = slices.Insert(e.tree.Kids, at+1, delim, f)
		}
		return true
	}
}

// extension adds one of the fields, written as name=value or name: value.
func extension(after string, fields ...Field) edit {
	return add(after, func(e *editor) *Node {
		f := turn(e, fields)
		return e.shape.extension(f.Name, f.Value)
	})
}

// rename gives all fields of the rule, the first of whose children is their name, another.
func rename(rule, was string, names ...string) edit {
	return func(e *editor) bool {
		all := e.tree.all(rule)
		for _, n := range all {
			n.becomes(turn(e, names) + strings.TrimPrefix(n.Text(), was))
		}
		return len(all) > 0
	}
}

// beside adds further records at the name.
func beside(texts ...string) edit {
	return func(e *editor) bool {
		e.beside = append(e.beside, turn(e, texts))
		return true
	}
}
