package grammar

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// A Node is a rule's part of a derivation, or a leaf of text.
type Node struct {
	Rule string // "" for a leaf
	Leaf string
	Kids []*Node
}

// Text is what the node derives.
func (n *Node) Text() string {
	if n.Rule == "" {
		return n.Leaf
	}
	var b strings.Builder
	for _, k := range n.Kids {
		b.WriteString(k.Text())
	}
	return b.String()
}

// String prints the derivation, a rule a line, but for rules of a single character.
func (n *Node) String() string {
	var b strings.Builder
	n.print(&b, 0)
	return b.String()
}

func (n *Node) print(b *strings.Builder, depth int) {
	text := n.Text()
	if n.Rule == "" || len(text) == 1 {
		return
	}
	fmt.Fprintf(b, "%s%s %.160q\n", strings.Repeat("  ", depth), n.Rule, text)
	for _, k := range n.Kids {
		k.print(b, depth+1)
	}
}

// leaf returns a node of text.
func leaf(s string) *Node { return &Node{Leaf: s} }

// node returns the node of a rule that derives the kids.
func node(rule string, kids ...*Node) *Node { return &Node{Rule: rule, Kids: kids} }

// all lists n and the nodes below it that are of the rule, in the order of the text.
func (n *Node) all(rule string) []*Node {
	var out []*Node
	if n.Rule == rule {
		out = append(out, n)
	}
	for _, k := range n.Kids {
		out = append(out, k.all(rule)...)
	}
	return out
}

// text is that of the first node of the rule below n, "" if there is none.
func (n *Node) text(rule string) string {
	if all := n.all(rule); len(all) > 0 {
		return all[0].Text()
	}
	return ""
}

// A deriver makes derivations.
type deriver struct {
	rules rules
	rng   *rand.Rand
	// picks says which alternatives the choices of that id take, one after the other, and
	// which number of times its repetitions; without, chance does.
	picks map[string][]int
	// steps counts those that were taken, by their number.
	steps []int
}

// picked takes the next pick for a choice or repetition.
func (d *deriver) picked(id string) (int, bool) {
	q := d.picks[id]
	if len(q) == 0 {
		return 0, false
	}
	d.picks[id] = q[1:]
	return q[0], true
}

func (l lit) derive(_ *deriver, n *Node) { n.Kids = append(n.Kids, leaf(string(l))) }

func (s *set) derive(d *deriver, n *Node) {
	c := string([]byte{s.octets[d.rng.IntN(len(s.octets))]})
	// Neighbouring characters make one leaf.
	if k := len(n.Kids); k > 0 && n.Kids[k-1].Rule == "" {
		n.Kids[k-1].Leaf += c
		return
	}
	n.Kids = append(n.Kids, leaf(c))
}

func (s seq) derive(d *deriver, n *Node) {
	for _, e := range s {
		e.derive(d, n)
	}
}

func (c *choice) derive(d *deriver, n *Node) {
	i, ok := d.picked(c.id)
	if !ok {
		i = c.draw(d.rng)
	}
	d.steps[c.base+i]++
	c.alts[i].derive(d, n)
}

func (c *choice) draw(rng *rand.Rand) int {
	at := rng.IntN(c.sum)
	return slices.IndexFunc(c.alts, func(a weighted) bool {
		at -= a.weight
		return at < 0
	})
}

// Of a repetition the ends are derived more often than chance would, and otherwise few.
const (
	few  = 6
	long = 60 // what is sometimes used for "without end"
)

func (r *repeat) derive(d *deriver, n *Node) {
	k, ok := d.picked(r.id)
	if !ok {
		k = r.draw(d.rng)
	}
	d.steps[r.base+r.way(k)]++
	for range k {
		r.of.derive(d, n)
	}
}

func (r *repeat) draw(rng *rand.Rand) int {
	most := r.max
	if most == unbounded {
		most = r.min + long
	}
	switch dice := rng.IntN(16); {
	case dice < 3:
		return r.min
	case dice < 4:
		return most
	}
	return r.min + rng.IntN(min(few, most-r.min)+1)
}

// maxDraws bounds how often a rule is derived again because the prose excludes the text.
const maxDraws = 1000

func (r ref) derive(d *deriver, n *Node) {
	body, ok := d.rules[string(r)]
	if !ok {
		panic("grammar: no rule " + string(r))
	}
	for range maxDraws {
		kid := node(string(r))
		body.is.derive(d, kid)
		if body.not == nil || !body.not(kid.Text()) {
			n.Kids = append(n.Kids, kid)
			return
		}
	}
	panic("grammar: the prose excludes every text of " + string(r))
}
